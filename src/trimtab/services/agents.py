"""Agents as data: their specs, and the one document that says what to serve."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from trimtab.core.agents import AgentSpec
from trimtab.core.canonical import sha256_of
from trimtab.core.rights import Actor, Right
from trimtab.core.rollouts import GuardPlan
from trimtab.services.context import Context, audit, bundle_or_none, check_text, pointer_of, spec_of, swap
from trimtab.store import agents as agent_store
from trimtab.store.agents import Pointer
from trimtab.store.engine import lock_name, reading, writing


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedSpec:
    """A stored spec: `new` is False when the newest version was the same already."""

    agent: str
    version: int
    new: bool


class Agents:
    """Agent specs and what each agent serves."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def add(self, actor: Actor, spec: AgentSpec) -> AddedSpec:
        """Store a spec as the agent's next version. The guard plan in it is checked as well."""
        actor.require(Right.CONFIGURE)
        GuardPlan.from_mapping(spec.guard)
        at = self._context.now()
        with writing(self._context.engine) as connection:
            lock_name(connection, f"agent/{spec.agent}")  # two people adding at once get two versions
            version, new = agent_store.add_spec(
                connection, agent=spec.agent, spec=spec.to_mapping(), sha256=spec.sha256, at=at, by=actor.name
            )
            if new:
                audit(
                    connection,
                    actor=actor,
                    at=at,
                    action="agent.add",
                    subject=spec.agent,
                    details={"version": version, "spec_sha256": spec.sha256},
                )
        return AddedSpec(agent=spec.agent, version=version, new=new)

    def get(self, actor: Actor, agent: str) -> AgentSpec:
        """The newest spec. Raises NotFoundError."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            return spec_of(connection, agent)

    def listing(self, actor: Actor) -> list[tuple[AgentSpec, int, Pointer]]:
        """Every agent: newest spec, its version, and what it serves."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            pointers = {one.agent: one for one in agent_store.all_pointers(connection)}
            return [
                (spec_of(connection, row.agent), row.version, pointers[row.agent])
                for row in agent_store.newest_specs(connection)
            ]

    def serving(self, actor: Actor, agent: str) -> dict[str, Any]:
        """The one small document that an agent's process needs: who serves, for which share, and whether at all."""
        actor.require_any(Right.READ, Right.INGEST)
        with reading(self._context.engine) as connection:
            pointer = pointer_of(connection, agent)
            champion = bundle_or_none(connection, pointer.champion)
            challenger = bundle_or_none(connection, pointer.challenger)
            spec = spec_of(connection, agent)
        document = {
            "schema": "trimtab.serving/1",
            "agent": agent,
            "version": pointer.version,
            "labels": list(spec.labels),
            "champion": json.loads(champion.to_json()) if champion else None,
            "challenger": json.loads(challenger.to_json()) if challenger else None,
            "rollout_id": pointer.rollout_id,
            "step": pointer.step,
            "share": pointer.share,
            "salt": pointer.salt,
            "kill_switch": pointer.kill_switch,
        }
        return {**document, "etag": sha256_of(document)}

    def kill(self, actor: Actor, agent: str, *, reason: str) -> Pointer:
        """Stop the agent's policy at once: every decision is the caller's fallback until `revive`."""
        return self._set_kill_switch(actor, agent, on=True, reason=reason)

    def revive(self, actor: Actor, agent: str, *, reason: str) -> Pointer:
        """Let the champion serve again."""
        return self._set_kill_switch(actor, agent, on=False, reason=reason)

    def _set_kill_switch(self, actor: Actor, agent: str, *, on: bool, reason: str) -> Pointer:
        actor.require(Right.ROLL_OUT)
        check_text("reason", reason)
        at = self._context.now()
        with writing(self._context.engine) as connection:
            pointer = pointer_of(connection, agent, lock=True)
            if pointer.kill_switch != on:
                swap(connection, pointer, at=at, kill_switch=on)
                action = "agent.kill" if on else "agent.revive"
                audit(connection, actor=actor, at=at, action=action, subject=agent, details={"reason": reason})
            return pointer_of(connection, agent)

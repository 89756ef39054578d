"""Bundles: trained here or brought along, shown, compared, rolled back to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from trimtab.core.agents import AgentSpec
from trimtab.core.bundles import Bundle, BundleDiff, diff
from trimtab.core.rights import Actor, Right
from trimtab.core.rollouts import RolloutAction
from trimtab.core.training import Method, TrainingResult, train
from trimtab.errors import ConflictError, InvalidInputError
from trimtab.services.context import (
    Context,
    audit,
    bundle_of,
    bundle_or_none,
    check_text,
    pointer_of,
    seed_of,
    spec_of,
    swap,
)
from trimtab.services.labels import examples_of
from trimtab.services.rollout_moves import end_live_rollout
from trimtab.store import bundles as bundle_store
from trimtab.store.agents import Pointer
from trimtab.store.engine import reading, writing


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBundle:
    """A bundle in the store; `new` is False when the same content was there already."""

    bundle: Bundle
    new: bool


class Bundles:
    """Immutable policies, named by their content."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def train(
        self, actor: Actor, agent: str, *, method: Method = Method.LOGISTIC, seed: int | None = None
    ) -> TrainingResult:
        """Train a candidate on the labelled store and keep it. The same examples and seed give the same bundle.

        Raises InsufficientDataError saying what is missing.
        """
        actor.require(Right.TRAIN)
        with reading(self._context.engine) as connection:
            spec = spec_of(connection, agent)
            champion = bundle_or_none(connection, pointer_of(connection, agent).champion)
            examples = examples_of(connection, spec)
        # Training takes seconds: no transaction is held meanwhile.
        result = train(
            spec,
            examples,
            method=method,
            seed=seed_of("train", agent) % 2**31 if seed is None else seed,
            champion=champion,
            code_version=self._context.code_version,
        )
        self._keep(actor, result.bundle, action="bundle.train", spec=spec)
        return result

    def upload(self, actor: Actor, agent: str, document: bytes, *, expect_sha256: str | None = None) -> StoredBundle:
        """Keep a bundle from outside. It is validated as hostile input; nothing in it is ever executed.

        Raises InvalidBundleError naming the place.
        """
        actor.require(Right.TRAIN)
        with reading(self._context.engine) as connection:
            spec = spec_of(connection, agent)
        bundle = Bundle.from_json(document, expect_sha256=expect_sha256, spec=spec)
        return self._keep(actor, bundle, action="bundle.upload", spec=spec)

    def _keep(self, actor: Actor, bundle: Bundle, *, action: str, spec: AgentSpec) -> StoredBundle:
        at = self._context.now()
        with writing(self._context.engine) as connection:
            new = bundle_store.add(
                connection,
                sha256=bundle.sha256,
                agent=spec.agent,
                document=bundle.to_json(),
                method=bundle.policy.kind.value,
                at=at,
                by=actor.name,
            )
            if new:
                details = {"bundle": bundle.sha256, "kind": bundle.policy.kind.value}
                audit(connection, actor=actor, at=at, action=action, subject=spec.agent, details=details)
        return StoredBundle(bundle=bundle, new=new)

    def get(self, actor: Actor, name: str, *, agent: str | None = None) -> Bundle:
        """A bundle by its hash, the beginning of it, or `champion`, `challenger`, `newest` of an agent.

        Raises NotFoundError, or ConflictError where the agent has none of that name.
        """
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            return named_bundle(connection, name, agent=agent)

    def listing(self, actor: Actor, agent: str, *, limit: int = 50) -> list[Any]:
        """The agent's newest bundles first."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            spec_of(connection, agent)
            return bundle_store.of_agent(connection, agent, limit=limit)

    def diff(self, actor: Actor, agent: str, *, before: str = "champion", after: str) -> BundleDiff:
        """What changes from one bundle to another, readable."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            new = named_bundle(connection, after, agent=agent)
            if before == "champion" and pointer_of(connection, agent).champion is None:
                return diff(None, new)
            return diff(named_bundle(connection, before, agent=agent), new)

    def rollback(self, actor: Actor, agent: str, *, steps: int = 1, reason: str) -> Pointer:
        """Let an earlier champion serve again, `steps` back. Legal in every state: it rolls back a live rollout too."""
        actor.require(Right.ROLL_OUT)
        check_text("reason", reason)
        if steps < 1:
            raise InvalidInputError(f"steps: at least 1 is needed, got {steps}")
        at = self._context.now()
        with writing(self._context.engine) as connection:
            end_live_rollout(connection, self._context, actor, agent, RolloutAction.ROLL_BACK, reason=reason)
            pointer = pointer_of(connection, agent, lock=True)
            if len(pointer.previous) < steps:
                raise ConflictError(
                    f"{agent} has {len(pointer.previous)} earlier champions, not {steps}; "
                    "see them with: trimtab agents show"
                )
            champion = pointer.previous[-steps]
            swap(connection, pointer, at=at, champion=champion, previous=pointer.previous[:-steps])
            audit(
                connection,
                actor=actor,
                at=at,
                action="bundle.rollback",
                subject=agent,
                details={"from": pointer.champion, "to": champion, "steps": steps, "reason": reason},
            )
            return pointer_of(connection, agent)


def named_bundle(connection: Connection, name: str, *, agent: str | None) -> Bundle:
    """`champion`, `challenger` and `newest` (stored last) are names too, where the agent is known."""
    if agent is not None and name == "newest":
        spec_of(connection, agent)
        newest = bundle_store.of_agent(connection, agent, limit=1)
        if not newest:
            raise ConflictError(f"{agent} has no bundles yet; train one: trimtab bundles train {agent}")
        return bundle_of(connection, newest[0].sha256)
    if agent is not None and name in ("champion", "challenger"):
        pointer = pointer_of(connection, agent)
        sha256 = pointer.champion if name == "champion" else pointer.challenger
        if sha256 is None:
            raise ConflictError(f"{agent} has no {name} now")
        return bundle_of(connection, sha256)
    return bundle_of(connection, name, agent=agent)

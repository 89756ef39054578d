"""The audit log and the evidence packets: reading them, and proving that nobody changed them."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from trimtab.core import chains
from trimtab.core.chains import ChainReport
from trimtab.core.rights import Actor, Right
from trimtab.core.rollouts import EXPOSED_STATES, GuardPlan
from trimtab.errors import ConflictError, InvalidPlanError, NotFoundError
from trimtab.plugins.signing import key_fits, signature_holds
from trimtab.services.context import Context, is_hash_prefix, is_id
from trimtab.store import agents as agent_store
from trimtab.store import bundles as bundle_store
from trimtab.store import chains as chain_store
from trimtab.store import rollouts as rollout_store
from trimtab.store import tables
from trimtab.store.engine import reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What `verify` proved: both chains, and that rollouts, packets and bundles fit together."""

    audit: ChainReport
    packets: ChainReport
    problems: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return self.audit.holds and self.packets.holds and not self.problems


class History:
    """What happened, and the proof of it."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def audit(self, actor: Actor, *, limit: int = 50, subject: str | None = None) -> list[dict[str, Any]]:
        """The newest audit events first."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            rows = chain_store.recent_audit(connection, limit=limit, subject=subject)
            return [{**json.loads(row.body), "sha256": row.sha256} for row in rows]

    def packets(self, actor: Actor, rollout_id: str) -> list[dict[str, Any]]:
        """A rollout's packets in order."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            return [_packet(row) for row in chain_store.packets_of(connection, rollout_id)] if is_id(rollout_id) else []

    def packet(self, actor: Actor, prefix: str) -> dict[str, Any]:
        """One packet by its hash or the beginning of it. Raises NotFoundError or ConflictError."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            found = chain_store.find_packet(connection, prefix) if is_hash_prefix(prefix) else []
        if not found:
            raise NotFoundError(f"packet {prefix[:64]!r} does not exist; see: trimtab rollouts show")
        if len(found) > 1:
            raise ConflictError(f"packet {prefix!r} is ambiguous: give more characters of its hash")
        return _packet(found[0])

    def verify(self, actor: Actor) -> Verification:
        """Recompute every hash from the first entry on; names the first broken link of each chain."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            audit = chains.verify(chain_store.links(connection, tables.audit))
            packets = chains.verify(chain_store.links(connection, tables.packets))
            problems = [*_bundle_problems(connection), *_plan_problems(connection), *_pointer_problems(connection)]
            problems += _signature_problems(connection)
            if packets.holds:  # a broken chain proves nothing about rollouts, and says so itself
                problems += _rollout_problems(connection)
        return Verification(audit=audit, packets=packets, problems=tuple(problems))


def _packet(row: Any) -> dict[str, Any]:
    return {"sha256": row.sha256, "signature": row.signature, "key_id": row.key_id, "body": json.loads(row.body)}


def _signature_problems(connection: Connection) -> list[str]:
    """Packets whose signature is missing, of an unknown key, or wrong: the first of them, by number."""
    keys = {row.key_id: row.public_key for row in chain_store.signing_keys_in_order(connection)}
    for row in chain_store.signed_packets(connection):
        where = f"packet {row.seq} ({row.sha256[:12]})"
        if row.signature is None:
            return [f"{where} is not signed"]
        if row.key_id not in keys or not key_fits(keys[row.key_id], row.key_id):
            return [f"{where} is signed with a key that is not known here ({str(row.key_id)[:12]})"]
        if not signature_holds(keys[row.key_id], row.body.encode(), row.signature):
            return [f"{where}: its signature does not belong to its text"]
    return []


def _bundle_problems(connection: Connection) -> list[str]:
    """Bundles whose text no longer has the hash that names them."""
    return [
        f"bundle {sha256[:12]} was changed: its text does not have that hash"
        for sha256, document in bundle_store.all_documents(connection)
        if hashlib.sha256(document.encode()).hexdigest() != sha256
    ]


def _plan_problems(connection: Connection) -> list[str]:
    """Rollouts whose plan is not the registered one."""
    problems = []
    for row in rollout_store.rows(connection):
        try:
            plan = GuardPlan.from_mapping(row.plan)
        except InvalidPlanError as error:
            problems.append(f"rollout {row.id}: its plan does not hold: {error}")
            continue
        if plan.sha256 != row.plan_sha256:
            problems.append(f"rollout {row.id}: its plan was changed after it was registered")
    return problems


def _rollout_problems(connection: Connection) -> list[str]:
    """Rollouts that say something else than their newest packet, and events whose packet is gone."""
    problems = [
        f"rollout {row.rollout_id}: the packet {row.packet[:12]} of its event {row.seq} ({row.action}) is missing"
        for row in rollout_store.events_without_packet(connection)
    ]
    for row in rollout_store.rows(connection):
        packets = chain_store.packets_of(connection, row.id)
        said = json.loads(packets[-1].body)["state"] if packets else None
        # Holding and resuming write no packet, so while a rollout is live it may be held where its packet says running.
        if said != row.state and not {said, row.state} <= {state.value for state in EXPOSED_STATES}:
            problems.append(f"rollout {row.id} is {row.state}, which its last packet does not say")
    return problems


def _pointer_problems(connection: Connection) -> list[str]:
    """Agents that serve something else than their rollouts say."""
    live = {row.agent: row for row in rollout_store.rows(connection) if row.state in EXPOSED_STATES}
    problems = []
    for pointer in agent_store.all_pointers(connection):
        row = live.get(pointer.agent)
        wanted = (row.id, row.challenger, row.step, row.share) if row is not None else (None, None, None, 0.0)
        if (pointer.rollout_id, pointer.challenger, pointer.step, pointer.share) != wanted:
            problems.append(f"agent {pointer.agent} serves another challenger or share than its rollouts say")
    return problems

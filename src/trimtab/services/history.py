"""The audit log and the evidence packets: reading them, and proving that nobody changed them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from trimtab.core import chains
from trimtab.core.chains import ChainReport
from trimtab.core.rights import Actor, Right
from trimtab.core.rollouts import GuardPlan
from trimtab.errors import ConflictError, InvalidPlanError, NotFoundError
from trimtab.services.context import Context
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
            return [_packet(row) for row in chain_store.packets_of(connection, rollout_id)]

    def packet(self, actor: Actor, prefix: str) -> dict[str, Any]:
        """One packet by its hash or the beginning of it. Raises NotFoundError or ConflictError."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            found = chain_store.find_packet(connection, prefix) if len(prefix) >= 6 else []
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
            problems = tuple(_bundle_problems(connection)) + tuple(_rollout_problems(connection))
        return Verification(audit=audit, packets=packets, problems=problems)


def _packet(row: Any) -> dict[str, Any]:
    return {"sha256": row.sha256, "signature": row.signature, "key_id": row.key_id, "body": json.loads(row.body)}


def _bundle_problems(connection: Connection) -> list[str]:
    """Bundles whose text no longer has the hash that names them."""
    import hashlib

    from sqlalchemy import select

    rows = connection.execution_options(yield_per=100).execute(
        select(tables.bundles.c.sha256, tables.bundles.c.document)
    )
    return [
        f"bundle {row.sha256[:12]} was changed: its text does not have that hash"
        for row in rows
        if hashlib.sha256(row.document.encode()).hexdigest() != row.sha256
    ]


def _rollout_problems(connection: Connection) -> list[str]:
    """Rollouts that say something else than their newest packet, or whose plan was changed after registration."""
    problems = []
    for rollout in rollout_store.listing(connection, limit=1_000_000):
        try:
            plan = GuardPlan.from_mapping(rollout.plan.to_mapping())
        except InvalidPlanError as error:
            problems.append(f"rollout {rollout.id}: its plan does not hold: {error}")
            continue
        if plan.sha256 != rollout.plan_sha256:
            problems.append(f"rollout {rollout.id}: its plan was changed after it was registered")
        packets = chain_store.packets_of(connection, rollout.id)
        newest = json.loads(packets[-1].body) if packets else None
        # Holding and resuming write no packet, so only ended rollouts must say the same as their last one.
        if rollout.ended_at is not None and (newest is None or newest["state"] != rollout.state.value):
            problems.append(f"rollout {rollout.id} is {rollout.state}, which its last packet does not say")
    return problems

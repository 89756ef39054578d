"""Proposals: created once, moved by compare-and-swap."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from trimtab.core.approvals import ProposalState
from trimtab.store.engine import is_sqlite
from trimtab.store.tables import proposals


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A challenger put forward, with the evidence as it was at that moment."""

    id: str
    agent: str
    bundle: str
    champion: str | None
    state: ProposalState
    proposer: str
    note: str | None
    evidence: dict[str, Any]
    decided_by: str | None
    decided_at: datetime | None
    reason: str | None
    created_at: datetime
    expires_at: datetime
    version: int


def add(connection: Connection, proposal: Proposal) -> None:
    connection.execute(insert(proposals).values({name: getattr(proposal, name) for name in Proposal.__slots__}))


def get(connection: Connection, proposal_id: str, *, lock: bool = False) -> Proposal | None:
    """One proposal; with `lock` nobody else changes it until the transaction ends."""
    query = select(proposals).where(proposals.c.id == proposal_id)
    row = connection.execute(query.with_for_update() if lock and not is_sqlite(connection) else query).first()
    return _proposal(row) if row is not None else None


def listing(
    connection: Connection, *, agent: str | None = None, states: tuple[ProposalState, ...] = (), limit: int = 50
) -> list[Proposal]:
    """The newest first."""
    query = select(proposals).order_by(proposals.c.created_at.desc(), proposals.c.id.desc()).limit(limit)
    if agent is not None:
        query = query.where(proposals.c.agent == agent)
    if states:
        query = query.where(proposals.c.state.in_([state.value for state in states]))
    return [_proposal(row) for row in connection.execute(query)]


def _proposal(row: Row[Any]) -> Proposal:
    values = dict(row._mapping)
    return Proposal(**{**values, "state": ProposalState(values["state"])})


def move(connection: Connection, old: Proposal, state: ProposalState, **changes: Any) -> bool:
    """Compare-and-swap into `state`: False when somebody was first."""
    result = connection.execute(
        update(proposals)
        .where(proposals.c.id == old.id, proposals.c.version == old.version)
        .values(state=state.value, version=old.version + 1, **changes)
    )
    return result.rowcount == 1

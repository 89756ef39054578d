"""What each judge was worth, day by day."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, func, select

from trimtab.store.engine import insert_for
from trimtab.store.tables import consensus_snapshots, reliability


def add(
    connection: Connection,
    *,
    agent: str,
    judge: str,
    version: str,
    at: datetime,
    weight: float,
    unproven: bool,
    n: int,
    snapshot: dict[str, Any],
) -> None:
    """Store a snapshot; the same moment again replaces it."""
    values = {"weight": weight, "unproven": unproven, "n": n, "snapshot": snapshot}
    statement = insert_for(connection)(reliability).values(agent=agent, judge=judge, version=version, at=at, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["agent", "judge", "version", "at"], set_=values))


def newest(connection: Connection, agent: str) -> list[Row[Any]]:
    """Each judge version's newest snapshot."""
    c = reliability.c
    last = (
        select(c.judge, c.version, func.max(c.at).label("at"))
        .where(c.agent == agent)
        .group_by(c.judge, c.version)
        .subquery()
    )
    query = (
        select(reliability)
        .join(last, and_(c.judge == last.c.judge, c.version == last.c.version, c.at == last.c.at))
        .where(c.agent == agent)
        .order_by(c.judge, c.version)
    )
    return list(connection.execute(query))


def history(connection: Connection, agent: str, *, judge: str | None = None) -> list[Row[Any]]:
    """All snapshots in the order of time."""
    c = reliability.c
    query = select(reliability).where(c.agent == agent)
    if judge is not None:
        query = query.where(c.judge == judge)
    return list(connection.execute(query.order_by(c.at, c.judge, c.version)))


def add_consensus(
    connection: Connection,
    *,
    agent: str,
    at: datetime,
    name: str,
    n: int,
    accuracy: float | None,
    snapshot: dict[str, Any],
) -> None:
    """Store which consensus was chosen; the same moment again replaces it."""
    values = {"name": name, "n": n, "accuracy": accuracy, "snapshot": snapshot}
    statement = insert_for(connection)(consensus_snapshots).values(agent=agent, at=at, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=["agent", "at"], set_=values))


def consensus_history(connection: Connection, agent: str, *, newest: int | None = None) -> list[Row[Any]]:
    """Which consensus the agent used and when it was chosen; newest first, at most so many."""
    c = consensus_snapshots.c
    query = select(consensus_snapshots).where(c.agent == agent).order_by(c.at.desc())
    return list(connection.execute(query if newest is None else query.limit(newest)))

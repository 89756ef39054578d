"""The labelled store: each (source, source_id) once, whoever loads it and however often."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Table, func, select, update

from trimtab.core.labels import Label, Polarity, Source
from trimtab.store.engine import insert_for
from trimtab.store.tables import action_approvals, decisions, feedback, gold_tasks, labels

_CHUNK = 500


def append(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Append the labels whose (source, source_id) is new; returns the ids of those."""
    if not rows:
        return set()
    statement = (
        insert_for(connection)(labels)
        .on_conflict_do_nothing(index_elements=["source", "source_id"])
        .returning(labels.c.id)
    )
    ordered = sorted(rows, key=lambda row: (row["source"], row["source_id"]))  # one order for everybody: no deadlock
    return set(connection.execute(statement, ordered).scalars())


def of_agent(
    connection: Connection,
    agent: str,
    *,
    sources: Collection[Source] | None = None,
    stored_after: datetime | None = None,
) -> list[Label]:
    """Every label of an agent, or those of some sources or stored since, in the order of time."""
    query = select(labels).where(labels.c.agent == agent)
    if stored_after is not None:
        query = query.where(labels.c.created_at > stored_after)
    if sources is not None:
        query = query.where(labels.c.source.in_(sorted(sources)))
    return [_label(row) for row in connection.execute(query.order_by(labels.c.at, labels.c.source, labels.c.source_id))]


def of_key(connection: Connection, agent: str, key: str) -> list[Label]:
    query = select(labels).where(labels.c.agent == agent, labels.c.key == key)
    return [_label(row) for row in connection.execute(query.order_by(labels.c.at, labels.c.source_id))]


def _label(row: Row[Any]) -> Label:
    return Label(
        key=row.key,
        label=row.label,
        polarity=Polarity(row.polarity),
        source=Source(row.source),
        source_id=row.source_id,
        confidence=row.confidence,
        at=row.at,
        decision_id=row.decision_id,
        inclusion=row.inclusion,
        by=row.by,
    )


def payloads(connection: Connection, agent: str) -> dict[str, tuple[datetime, dict[str, Any]]]:
    """What each labelled key is about: key -> (time, payload), the newest decision's or the label's own."""
    found: dict[str, tuple[datetime, dict[str, Any]]] = {}
    own = select(labels.c.key, labels.c.at, labels.c.payload).where(
        labels.c.agent == agent, labels.c.payload.is_not(None)
    )
    for row in connection.execute(own.order_by(labels.c.at)):
        if row.payload is not None:
            found[row.key] = (row.at, row.payload)
    labelled = select(labels.c.key).where(labels.c.agent == agent, labels.c.decision_id.is_not(None)).distinct()
    served = select(decisions.c.key, decisions.c.at, decisions.c.payload).where(
        decisions.c.agent == agent, decisions.c.key.in_(labelled)
    )
    for row in connection.execute(served.order_by(decisions.c.at, decisions.c.id)):
        found[row.key] = (row.at, row.payload)
    return found


def unloaded(connection: Connection, table: Table, agent: str, *, limit: int = 10_000) -> list[Row[Any]]:
    """Feedback, approvals or gold tasks that are not in the labelled store yet, with what they are about."""
    if table is gold_tasks:
        query = select(gold_tasks).where(gold_tasks.c.agent == agent, gold_tasks.c.loaded.is_(False))
        return list(connection.execute(query.order_by(gold_tasks.c.at, gold_tasks.c.id).limit(limit)))
    query = (
        select(table, decisions.c.key, decisions.c.label.label("served"))
        .join(decisions, decisions.c.id == table.c.decision_id)
        .where(table.c.agent == agent, table.c.loaded.is_(False), decisions.c.agent == agent)
        .order_by(table.c.at, table.c.id)
        .limit(limit)
    )
    return list(connection.execute(query))


def mark_loaded(connection: Connection, table: Table, ids: Sequence[str]) -> None:
    for start in range(0, len(ids), _CHUNK):
        chunk = list(ids[start : start + _CHUNK])
        connection.execute(update(table).where(table.c.id.in_(chunk)).values(loaded=True))


def waiting(connection: Connection, agent: str) -> dict[str, int]:
    """How much of each feed is not loaded, including what still waits for its decision."""
    found: dict[str, int] = {}
    for name, table in (("feedback", feedback), ("approval", action_approvals), ("gold", gold_tasks)):
        query = select(func.count()).select_from(table).where(table.c.agent == agent, table.c.loaded.is_(False))
        found[name] = int(connection.execute(query).scalar_one())
    return found


def counts(connection: Connection, *, agent: str | None = None, since: datetime | None = None) -> list[Row[Any]]:
    """(agent, source, label, polarity, n) of the store, or of what was added since."""
    c = labels.c
    query = select(c.agent, c.source, c.label, c.polarity, func.count().label("n"))
    if agent is not None:
        query = query.where(c.agent == agent)
    if since is not None:
        query = query.where(c.created_at >= since)
    query = query.group_by(c.agent, c.source, c.label, c.polarity).order_by(c.agent, c.source, c.label, c.polarity)
    return list(connection.execute(query))


def add_gold(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
    """Store gold tasks, one per (agent, key); returns how many are new."""
    if not rows:
        return 0
    statement = (
        insert_for(connection)(gold_tasks)
        .on_conflict_do_nothing(index_elements=["agent", "key"])
        .returning(gold_tasks.c.id)
    )
    ordered = sorted(rows, key=lambda row: (row["agent"], row["key"]))
    return len(list(connection.execute(statement.returning(gold_tasks.c.id), ordered).scalars()))

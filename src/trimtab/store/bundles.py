"""Bundles by content: writing one twice changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from trimtab.store.engine import insert_for
from trimtab.store.tables import bundles


def add(connection: Connection, *, sha256: str, agent: str, document: str, method: str, at: datetime, by: str) -> bool:
    """Store a bundle; False when it was there already."""
    added = connection.execute(
        insert_for(connection)(bundles)
        .values(sha256=sha256, agent=agent, document=document, method=method, created_at=at, created_by=by)
        .on_conflict_do_nothing()
        .returning(bundles.c.sha256)
    )
    return added.first() is not None


def by_prefix(connection: Connection, prefix: str, *, agent: str | None = None) -> list[Row[Any]]:
    """The bundles (of an agent) whose hash begins with `prefix`: at most two, enough to see that it is ambiguous."""
    query = select(bundles).where(bundles.c.sha256.startswith(prefix, autoescape=True))
    if agent is not None:
        query = query.where(bundles.c.agent == agent)
    return list(connection.execute(query.limit(2)))


def of_agent(connection: Connection, agent: str, *, limit: int) -> list[Row[Any]]:
    """An agent's newest bundles first."""
    query = select(bundles).where(bundles.c.agent == agent)
    return list(connection.execute(query.order_by(bundles.c.created_at.desc(), bundles.c.sha256).limit(limit)))


def all_documents(connection: Connection) -> Iterator[tuple[str, str]]:
    """(sha256, document) of every bundle, streamed."""
    query = select(bundles.c.sha256, bundles.c.document).order_by(bundles.c.sha256)
    with connection.execute(query, execution_options={"yield_per": 100}) as rows:
        for row in rows:
            yield row.sha256, row.document

"""The audit log and the evidence packets: append-only, hash-chained, under one lock."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Table, insert, select

from trimtab.core import chains
from trimtab.core.chains import Link
from trimtab.store.engine import insert_for, lock_chain
from trimtab.store.tables import audit, packets, signing_keys


def _append(connection: Connection, table: Table, content: Mapping[str, Any]) -> Link:
    lock_chain(connection)
    last = connection.execute(select(table.c.seq, table.c.sha256).order_by(table.c.seq.desc()).limit(1)).first()
    seq, previous = (last.seq + 1, last.sha256) if last else (1, chains.GENESIS)
    return chains.forge(content, seq=seq, previous=previous)


def append_audit(
    connection: Connection,
    *,
    at: datetime,
    actor: str,
    role: str,
    action: str,
    subject: str,
    details: Mapping[str, Any],
) -> str:
    """Write the one audit event of an action; returns its hash. The last thing that a transaction does."""
    link = _append(
        connection,
        audit,
        {
            "at": at.isoformat(),
            "actor": actor,
            "role": role,
            "action": action,
            "subject": subject,
            "details": dict(details),
        },
    )
    connection.execute(
        insert(audit).values(
            seq=link.seq,
            sha256=link.sha256,
            previous=link.previous,
            at=at,
            actor=actor,
            action=action,
            subject=subject,
            body=link.body,
        )
    )
    return link.sha256


def add_signing_key(connection: Connection, *, key_id: str, public_key: str, at: datetime, by: str) -> bool:
    """Remember a public key; False when it is known already."""
    statement = insert_for(connection)(signing_keys).values(key_id=key_id, public_key=public_key, at=at, by=by)
    return connection.execute(statement.on_conflict_do_nothing().returning(signing_keys.c.key_id)).first() is not None


def signing_keys_in_order(connection: Connection) -> list[Row[Any]]:
    """Every public key, the oldest first."""
    return list(connection.execute(select(signing_keys).order_by(signing_keys.c.at, signing_keys.c.key_id)))


def signed_packets(connection: Connection) -> Iterator[Any]:
    """Every packet with its signature, in order, streamed."""
    c = packets.c
    query = select(c.seq, c.sha256, c.body, c.key_id, c.signature).order_by(c.seq)
    with connection.execute(query, execution_options={"yield_per": 1000}) as rows:
        yield from rows


def append_packet(
    connection: Connection,
    *,
    agent: str,
    rollout_id: str | None,
    at: datetime,
    content: Mapping[str, Any],
    key_id: str,
    sign: Callable[[bytes], str],
) -> str:
    """Write a signed evidence packet; returns its hash."""
    link = _append(connection, packets, {"at": at.isoformat(), "agent": agent, "rollout_id": rollout_id, **content})
    connection.execute(
        insert(packets).values(
            seq=link.seq,
            sha256=link.sha256,
            previous=link.previous,
            agent=agent,
            rollout_id=rollout_id,
            at=at,
            body=link.body,
            key_id=key_id,
            signature=sign(link.body.encode()),
        )
    )
    return link.sha256


def links(connection: Connection, table: Table) -> Iterator[Link]:
    """Every link of a chain from the first, streamed."""
    query = select(table.c.seq, table.c.sha256, table.c.previous, table.c.body).order_by(table.c.seq)
    # Closed as soon as its reader has seen enough: a proof stops at the first broken link.
    with connection.execute(query, execution_options={"yield_per": 1000}) as rows:
        for row in rows:
            yield Link(seq=row.seq, sha256=row.sha256, previous=row.previous, body=row.body)


def recent_audit(connection: Connection, *, limit: int, subject: str | None = None) -> list[Row[Any]]:
    """The newest audit events first."""
    query = select(audit).order_by(audit.c.seq.desc()).limit(limit)
    return list(connection.execute(query.where(audit.c.subject == subject) if subject else query))


def packets_of(connection: Connection, rollout_id: str) -> list[Row[Any]]:
    """A rollout's packets in order."""
    return list(connection.execute(select(packets).where(packets.c.rollout_id == rollout_id).order_by(packets.c.seq)))


def find_packet(connection: Connection, prefix: str) -> list[Row[Any]]:
    """The packets whose hash begins with `prefix` (at most two, enough to see that it is ambiguous)."""
    return list(
        connection.execute(select(packets).where(packets.c.sha256.startswith(prefix, autoescape=True)).limit(2))
    )

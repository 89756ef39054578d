"""API keys: found by their public prefix; what is kept of the secret is its hash."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, or_, select, update

from trimtab.core.api_keys import ApiKey
from trimtab.core.rights import Role
from trimtab.store.tables import api_keys


def add(connection: Connection, key: ApiKey) -> None:
    values = {name: getattr(key, name) for name in ApiKey.__slots__}
    connection.execute(insert(api_keys).values({**values, "role": key.role.value}))


def by_prefix(connection: Connection, prefix: str) -> ApiKey | None:
    """The key with this public prefix."""
    row = connection.execute(select(api_keys).where(api_keys.c.prefix == prefix)).first()
    return _key(row) if row is not None else None


def get(connection: Connection, key_id: str) -> ApiKey | None:
    row = connection.execute(select(api_keys).where(api_keys.c.id == key_id)).first()
    return _key(row) if row is not None else None


def listing(connection: Connection) -> list[ApiKey]:
    """Every key, the newest first."""
    return [_key(row) for row in connection.execute(select(api_keys).order_by(api_keys.c.id.desc()))]


def any_at_all(connection: Connection) -> bool:
    """Whether a key was ever made, usable or not."""
    return connection.execute(select(api_keys.c.id).limit(1)).first() is not None


def revoke(connection: Connection, key_id: str, *, at: datetime) -> bool:
    """False when it was revoked already."""
    c = api_keys.c
    done = connection.execute(update(api_keys).where(c.id == key_id, c.revoked_at.is_(None)).values(revoked_at=at))
    return done.rowcount == 1


def note_use(connection: Connection, key_id: str, *, at: datetime, unless_since: datetime) -> None:
    """Remember a use, unless one after `unless_since` is remembered already."""
    c = api_keys.c
    stale = or_(c.last_used_at.is_(None), c.last_used_at <= unless_since)
    connection.execute(update(api_keys).where(c.id == key_id, stale).values(last_used_at=at))


def _key(row: Row[Any]) -> ApiKey:
    values = dict(row._mapping)
    return ApiKey(**{**values, "role": Role(values["role"])})

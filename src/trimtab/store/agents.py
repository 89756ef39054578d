"""Agent specs, one row per version, and the pointer that says what each agent runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from trimtab.store.engine import insert_for, is_sqlite
from trimtab.store.tables import agents, pointers


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointer:
    """What an agent serves: champion for everybody, challenger for `share` of the keys while a rollout runs."""

    agent: str
    champion: str | None
    previous: tuple[str, ...]
    challenger: str | None
    rollout_id: str | None
    step: int | None
    share: float
    salt: str
    kill_switch: bool
    version: int
    updated_at: datetime


def add_spec(
    connection: Connection, *, agent: str, spec: dict[str, Any], sha256: str, at: datetime, by: str
) -> tuple[int, bool]:
    """Store a spec as the agent's next version: (version, whether it is new). The newest one again changes nothing."""
    newest = newest_spec(connection, agent)
    if newest is not None and newest.sha256 == sha256:
        return newest.version, False
    version = newest.version + 1 if newest is not None else 1
    connection.execute(
        insert(agents).values(agent=agent, version=version, spec=spec, sha256=sha256, created_at=at, created_by=by)
    )
    connection.execute(
        insert_for(connection)(pointers)
        .values(
            agent=agent,
            champion=None,
            previous=[],
            challenger=None,
            rollout_id=None,
            step=None,
            share=0.0,
            salt=f"{agent}/0",
            kill_switch=False,
            version=1,
            updated_at=at,
        )
        # Connected agents learn of a new spec by the version of what they serve.
        .on_conflict_do_update(index_elements=["agent"], set_={"version": pointers.c.version + 1, "updated_at": at})
    )
    return version, True


def newest_spec(connection: Connection, agent: str) -> Row[Any] | None:
    return connection.execute(
        select(agents).where(agents.c.agent == agent).order_by(agents.c.version.desc()).limit(1)
    ).first()


def newest_specs(connection: Connection) -> list[Row[Any]]:
    """Every agent's newest spec, by name."""
    newest = select(agents.c.agent, func.max(agents.c.version).label("version")).group_by(agents.c.agent).subquery()
    query = select(agents).join(newest, (agents.c.agent == newest.c.agent) & (agents.c.version == newest.c.version))
    return list(connection.execute(query.order_by(agents.c.agent)))


def pointer(connection: Connection, agent: str, *, lock: bool = False) -> Pointer | None:
    """What the agent serves; with `lock` nobody else changes it until the transaction ends."""
    query = select(pointers).where(pointers.c.agent == agent)
    row = connection.execute(query.with_for_update() if lock and not is_sqlite(connection) else query).first()
    return _pointer(row) if row is not None else None


def all_pointers(connection: Connection) -> list[Pointer]:
    return [_pointer(row) for row in connection.execute(select(pointers).order_by(pointers.c.agent))]


def _pointer(row: Row[Any]) -> Pointer:
    values = dict(row._mapping)
    return Pointer(**{**values, "previous": tuple(values["previous"])})


def swap_pointer(connection: Connection, old: Pointer, *, at: datetime, **changes: Any) -> bool:
    """Compare-and-swap: False when somebody changed the pointer since `old` was read."""
    if "previous" in changes:
        changes["previous"] = list(changes["previous"])
    result = connection.execute(
        update(pointers)
        .where(pointers.c.agent == old.agent, pointers.c.version == old.version)
        .values(version=old.version + 1, updated_at=at, **changes)
    )
    return result.rowcount == 1

"""Operator switches: named values that people change while the loop runs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from trimtab.store.engine import insert_for
from trimtab.store.tables import runtime_settings


def read(connection: Connection, name: str) -> Any:
    """The value of a switch; None when nobody set it."""
    return connection.execute(select(runtime_settings.c.value).where(runtime_settings.c.name == name)).scalar()


def write(connection: Connection, name: str, value: Any, *, at: datetime, by: str) -> None:
    statement = insert_for(connection)(runtime_settings).values(
        name=name, value=value, version=1, updated_at=at, updated_by=by
    )
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["name"],
            set_={"value": value, "version": runtime_settings.c.version + 1, "updated_at": at, "updated_by": by},
        )
    )

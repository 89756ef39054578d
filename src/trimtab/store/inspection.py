"""What is in a database, whatever its schema: for people who look at it from outside."""

from __future__ import annotations

from sqlalchemy import Engine, func, inspect, select

from trimtab.store.engine import reading
from trimtab.store.tables import metadata


def row_counts(engine: Engine) -> dict[str, int]:
    """Rows by table, of the tables that exist; in the order of the loop."""
    with reading(engine) as connection:
        there = set(inspect(connection).get_table_names())
        return {
            table.name: int(connection.execute(select(func.count()).select_from(table)).scalar_one())
            for table in metadata.tables.values()
            if table.name in there
        }

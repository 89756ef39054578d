from __future__ import annotations

import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from trimtab.errors import SchemaVersionError
from trimtab.store.engine import open_engine, reading, writing
from trimtab.store.migrations import current, head, upgrade
from trimtab.store.tables import metadata


def table_names(url: str) -> set[str]:
    engine = open_engine(url)
    with reading(engine) as connection:
        names = set(inspect(connection).get_table_names())
    engine.dispose()
    return names


def test_the_migrations_make_exactly_the_tables_of_the_code(empty_database_url: str) -> None:
    engine = open_engine(empty_database_url)
    assert current(engine) is None
    upgrade(engine)
    assert current(engine) == head()
    with reading(engine) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, metadata) == []
        made = {index["name"] for name in metadata.tables for index in inspect(connection).get_indexes(name)}
    declared = {index.name for table in metadata.tables.values() for index in table.indexes}
    assert declared <= made  # autogenerate does not look at partial indexes on every database
    engine.dispose()


def test_upgrading_again_changes_nothing(empty_database_url: str) -> None:
    engine = open_engine(empty_database_url)
    upgrade(engine)
    before = table_names(empty_database_url)
    upgrade(engine)
    assert table_names(empty_database_url) == before >= {"agents", "audit", "alembic_version"}
    engine.dispose()


def test_processes_that_start_at_once_upgrade_once(empty_database_url: str) -> None:
    engines = [open_engine(empty_database_url) for _ in range(3)]
    problems: list[Exception] = []

    def start(place: int) -> None:
        try:
            upgrade(engines[place])
        except Exception as error:  # noqa: BLE001 - any error at all fails the test below
            problems.append(error)

    threads = [threading.Thread(target=start, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert current(engines[0]) == head()
    for engine in engines:
        engine.dispose()


def test_a_newer_schema_is_refused_with_the_way_out(database_url: str) -> None:
    engine = open_engine(database_url)
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaVersionError, match=r"schema 9999.*written by a newer one; upgrade Trimtab") as caught:
        upgrade(engine)
    assert (caught.value.exit_code, caught.value.status) == (5, 503)
    assert current(engine) == "9999"
    engine.dispose()

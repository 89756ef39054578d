from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, select, text
from sqlalchemy.exc import IntegrityError
from tests.store.rows import agent_row

from trimtab.errors import SettingError, StorageError
from trimtab.store.engine import lock_name, open_engine, reading, writing
from trimtab.store.tables import agents


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("no url at all", "is no URL; use sqlite:///trimtab.db"),
        ("mysql://host/name", "mysql is not supported"),
        ("sqlite://", "needs a file that outlives the process"),
        ("sqlite:///:memory:", "needs a file that outlives the process"),
    ],
)
def test_a_url_that_cannot_work_is_refused_by_name(url: str, words: str) -> None:
    with pytest.raises(SettingError, match=words):
        open_engine(url)


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"the folder .*nowhere does not exist; create it"):
        open_engine(f"sqlite:///{tmp_path}/nowhere/trimtab.db")


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    engine = open_engine("postgresql://someone:secret@127.0.0.1:1/nothing")
    with pytest.raises(StorageError, match="no connection; check that PostgreSQL runs") as caught, reading(engine):
        pass
    assert "secret" not in str(caught.value)
    engine.dispose()


def test_a_transaction_that_fails_leaves_nothing(engine: Engine) -> None:
    def fail() -> None:
        with writing(engine) as connection:
            connection.execute(insert(agents).values(agent_row()))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with reading(engine) as connection:
        assert connection.execute(select(agents)).all() == []


def test_a_broken_constraint_keeps_its_own_name(engine: Engine) -> None:
    with pytest.raises(IntegrityError), writing(engine) as connection:
        connection.execute(insert(agents).values([agent_row(), agent_row()]))


def test_a_statement_that_the_database_refuses_is_a_storage_error(engine: Engine) -> None:
    with pytest.raises(StorageError), reading(engine) as connection:
        connection.execute(text("SELECT * FROM no_such_table"))


def test_a_reader_sees_one_moment_however_much_is_written_meanwhile(engine: Engine) -> None:
    with reading(engine) as reader:
        assert reader.execute(select(agents)).all() == []
        with writing(engine) as writer:
            writer.execute(insert(agents).values(agent_row()))
        assert reader.execute(select(agents)).all() == []
    with reading(engine) as reader:
        assert len(reader.execute(select(agents)).all()) == 1


def test_a_connection_that_read_can_write_afterwards(engine: Engine) -> None:
    for i in range(12):  # more often than the pool has connections
        with reading(engine) as connection:
            connection.execute(select(agents))
        with writing(engine) as connection:
            connection.execute(insert(agents).values(agent_row(version=i)))
    with reading(engine) as connection:
        assert len(connection.execute(select(agents)).all()) == 12


def test_who_works_under_a_name_is_alone(engine: Engine) -> None:
    inside, most = [], []

    def work() -> None:
        for _ in range(5):
            with writing(engine) as connection:
                lock_name(connection, "the name")
                inside.append(1)
                most.append(len(inside))
                connection.execute(select(agents)).all()
                inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(most), max(most)) == (20, 1)


def test_the_database_file_keeps_what_was_written_safe_from_a_power_cut(sqlite_url: str) -> None:
    engine = open_engine(sqlite_url)
    with reading(engine) as connection:
        settings = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous")
        }
        assert settings == {"journal_mode": "wal", "synchronous": 2}
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1
    engine.dispose()


def test_the_time_to_wait_for_a_lock_can_be_set_in_the_url(sqlite_url: str) -> None:
    for url, milliseconds in ((sqlite_url, 15_000), (f"{sqlite_url}?timeout=0.25", 250)):
        engine = open_engine(url)
        with reading(engine) as connection:
            assert connection.execute(text("PRAGMA busy_timeout")).scalar() == milliseconds
        engine.dispose()

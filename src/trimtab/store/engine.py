"""Opening a database, and the two ways to use it: `reading` and `writing`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError
from sqlalchemy.pool import ConnectionPoolEntry

from trimtab.errors import SettingError, StorageError

_WRITES = "trimtab_writes"
SQLITE_BUSY_SECONDS = 15.0


def open_engine(url: str) -> Engine:
    """An engine for `sqlite:///path` or `postgresql://…`. Opens nothing yet.

    Raises SettingError for another kind of URL, StorageError where SQLite's folder does not exist.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise SettingError(f"database: {url!r} is no URL; use sqlite:///trimtab.db or postgresql://…") from None
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        return _open_sqlite(parsed)
    if backend == "postgresql":
        return create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True, pool_size=10)
    raise SettingError(f"database: {backend} is not supported; use sqlite:///trimtab.db or postgresql://…")


def _open_sqlite(url: URL) -> Engine:
    if not url.database or url.database == ":memory:":
        raise SettingError("database: Trimtab needs a file that outlives the process: use sqlite:///trimtab.db")
    folder = Path(url.database).resolve().parent
    if not folder.is_dir():
        raise StorageError(f"database: the folder {folder} does not exist; create it or choose another path")
    # `?timeout=SECONDS` in the URL wins: how long to wait for another process's lock.
    engine = create_engine(url, connect_args={} if "timeout" in url.query else {"timeout": SQLITE_BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _on_connect(connection: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
        # The driver must not open transactions by itself: `begin` below says which kind.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute("PRAGMA cache_size = -32768")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        # A writer takes the lock at once: upgrading a reader later can fail half-way with "database is locked".
        writes = connection.get_execution_options().get(_WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A consistent snapshot. Raises StorageError when the database cannot be used."""
    with _named_errors(engine), engine.connect() as connection:
        if not is_sqlite(connection):
            # PostgreSQL's default shows each statement another state; SQLite's readers have a snapshot anyway.
            connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction: everything in it happens, or nothing. Raises StorageError when the database cannot be used."""
    with _named_errors(engine), engine.connect().execution_options(**{_WRITES: True}) as connection, connection.begin():
        yield connection


@contextmanager
def _named_errors(engine: Engine) -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except DBAPIError as error:
        raise storage_error(engine, error) from error


def storage_error(engine: Engine, error: DBAPIError) -> StorageError:
    """The driver's complaint in words that name the database and the way out."""
    where = engine.url.render_as_string(hide_password=True)
    said = str(error.orig).strip().splitlines()[0] if error.orig else str(error)
    for needle, words in _KNOWN_TROUBLES:
        if needle in said.lower():
            return StorageError(f"{where}: {words} ({said})")
    return StorageError(f"{where}: the database refused ({said})")


_KNOWN_TROUBLES = (
    ("deadlock", "two actions waited for each other; nothing of this one was stored; try again"),
    ("locked", "another process holds the write lock; try again when it is done"),
    ("readonly", "the file is read-only; make the file and its folder writable"),
    ("read-only", "the database is read-only; connect to the primary or grant write access"),
    ("full", "the disk is full; nothing of this action was stored; free some space and try again"),
    ("unable to open", "the file cannot be opened; check the path and its permissions"),
    ("not a database", "the file is not a Trimtab database; choose another path"),
    ("malformed", "the file is damaged; restore a backup"),
    ("connection", "no connection; check that PostgreSQL runs and that the URL is right"),
    ("no such table", "the schema is missing; run: trimtab db migrate"),
)


def is_sqlite(connection: Connection) -> bool:
    return connection.dialect.name == "sqlite"


def lock_chain(connection: Connection) -> None:
    """Take the one lock under which chains grow, until the transaction ends. SQLite has it since BEGIN IMMEDIATE.

    Everybody takes it last: whoever waits for a row or a name while holding it can block somebody who waits for it.
    """
    if not is_sqlite(connection):
        connection.execute(text("SELECT pg_advisory_xact_lock(7239481230)"))


def lock_name(connection: Connection, name: str) -> None:
    """Let nobody else work under `name` until the transaction ends. On SQLite nobody else writes anyway."""
    if not is_sqlite(connection):
        connection.execute(text("SELECT pg_advisory_xact_lock(7239, hashtext(:name))"), {"name": name})


def insert_for(connection: Connection) -> Any:
    """The dialect's INSERT, for ON CONFLICT: both dialects spell it alike."""
    if is_sqlite(connection):
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert

        return sqlite_insert
    from sqlalchemy.dialects.postgresql import insert as postgresql_insert

    return postgresql_insert

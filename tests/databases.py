"""Fresh PostgreSQL databases for tests, cheaply.

A copy of a migrated template costs 30 ms and its removal 90 ms, more on a busy machine. So a database that a test left
behind is emptied (a few ms) and used again, but only where it provably equals the template: nobody is connected, the
schema and the rows that migrations brought are unchanged. Every doubt means a new copy.
"""

from __future__ import annotations

import os
import time
from itertools import count
from typing import LiteralString

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

_NUMBERS = count(1)
_DISCONNECT_SECONDS = 0.5

# Every column, index, constraint, trigger, function and per-database setting, as one number.
_SCHEMA: LiteralString = """
SELECT md5(string_agg(line, E'\\n' ORDER BY line)) FROM (
    SELECT c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || a.attnotnull::text AS line
      FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
     WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0
    UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT conrelid::regclass::text || pg_get_constraintdef(oid) FROM pg_constraint
     WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT pg_get_triggerdef(oid) || tgenabled::text FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT proname || prosrc FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT array_to_string(setconfig, ',') FROM pg_db_role_setting
     WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
) AS lines
"""
_TABLES: LiteralString = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
_USED_SEQUENCES: LiteralString = (
    "SELECT sequencename FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL"
)
_OTHERS: LiteralString = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
)


def renamed(url: str, database: str) -> str:
    """The same server, another database."""
    return make_url(url).set(database=database).render_as_string(hide_password=False)


def create_database(server: str, *, template: str, name: str | None = None) -> str:
    """Copy `template` and return the copy's URL."""
    name = name or f"trimtab_test_{os.getpid()}_{next(_NUMBERS)}"
    with _connect(server) as connection:
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        connection.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))
    return renamed(server, name)


def drop_database(server: str, url: str) -> None:
    """Remove the database of `url`, whoever is connected."""
    with _connect(server) as connection:
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        connection.execute(statement.format(sql.Identifier(make_url(url).database or "")))


class SpareDatabases:
    """Copies of one template, used again while they equal it."""

    def __init__(self, *, server: str, template: str) -> None:
        self._server = server
        self._template = template
        self._spare: list[str] = []
        with _connect(renamed(server, template)) as connection:
            self._schema = _one(connection, _SCHEMA)
            tables = [str(name) for (name,) in connection.execute(_TABLES)]
            filled = {table: _content(connection, table) for table in tables}
        nothing = "d41d8cd98f00b204e9800998ecf8427e"  # MD5 of the empty string: a table without rows
        self._brought = {table: content for table, content in filled.items() if content != nothing}
        self._empty = [table for table, content in filled.items() if content == nothing]

    def take(self) -> str:
        """The URL of a database that equals the template."""
        return self._spare.pop() if self._spare else create_database(self._server, template=self._template)

    def give_back(self, url: str) -> None:
        """Keep the database for another test, or remove it where it cannot be made equal again."""
        if self._emptied(url):
            self._spare.append(url)
        else:
            drop_database(self._server, url)

    def drop_all(self) -> None:
        """Remove what is left."""
        while self._spare:
            drop_database(self._server, self._spare.pop())

    def _emptied(self, url: str) -> bool:
        try:
            with _connect(url) as connection:
                if not _is_alone(connection) or _one(connection, _SCHEMA) != self._schema:
                    return False
                if any(_content(connection, table) != content for table, content in self._brought.items()):
                    return False
                # Rows that must never be deleted are guarded by triggers, and these rest in this mode.
                connection.execute("SET session_replication_role = replica")
                for table in self._empty:
                    connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
                for (sequence,) in connection.execute(_USED_SEQUENCES).fetchall():
                    connection.execute(sql.SQL("ALTER SEQUENCE {} RESTART").format(sql.Identifier(str(sequence))))
        except psycopg.Error:
            # Dropped or made read-only by its test, or a role without the right: a new copy will do.
            return False
        return True


def _is_alone(connection: psycopg.Connection) -> bool:
    until = time.monotonic() + _DISCONNECT_SECONDS
    while _one(connection, _OTHERS) != 0:
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def _content(connection: psycopg.Connection, table: str) -> object:
    statement = sql.SQL("SELECT md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {} AS t")
    return connection.execute(statement.format(sql.Identifier(table))).fetchall()[0][0]


def _one(connection: psycopg.Connection, statement: LiteralString) -> object:
    return connection.execute(statement).fetchall()[0][0]


def _connect(url: str) -> psycopg.Connection:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(plain, autocommit=True)

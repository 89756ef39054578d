"""Schema versions: forward only, under a lock, from Python (no configuration file).

A version is the number that its file's name begins with. Alembic is loaded only when there is something to migrate:
every command looks at the version, and hardly any has to change it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text

from trimtab.errors import SchemaVersionError
from trimtab.store.engine import is_sqlite, reading, writing

if TYPE_CHECKING:
    from alembic.config import Config


def versions() -> tuple[str, ...]:
    """Every schema version that this code knows, the oldest first."""
    return tuple(sorted(file.stem.partition("_")[0] for file in (Path(__file__).parent / "versions").glob("[0-9]*.py")))


def head() -> str:
    """The schema version that this code writes."""
    known = versions()
    if not known:
        raise SchemaVersionError("this installation of Trimtab carries no migrations; install it again")
    return known[-1]


def current(engine: Engine) -> str | None:
    """The schema version of the database; None when it is empty."""
    with reading(engine) as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def upgrade(engine: Engine) -> None:
    """Bring the schema to `head`. Safe to call at every start and by many processes at once.

    Raises SchemaVersionError when the database was written by a newer Trimtab.
    """
    if _check_known(current(engine)) == head():
        return
    with writing(engine) as connection:
        if not is_sqlite(connection):
            connection.execute(text("SELECT pg_advisory_xact_lock(7239481231)"))
        _run(connection)


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config


def _run(connection: Connection) -> None:
    from alembic import command

    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _check_known(version: str | None) -> str | None:
    if version is not None and version not in versions():
        raise SchemaVersionError(
            f"the database has schema {version}, which this version of Trimtab does not know: "
            "it was written by a newer one; upgrade Trimtab (pip install --upgrade 'trimtab[server]')"
        )
    return version

"""Schema versions: forward only, under a lock, from Python (no configuration file)."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from trimtab.errors import SchemaVersionError
from trimtab.store.engine import is_sqlite, reading, writing


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config


def head() -> str:
    """The schema version that this code writes."""
    found = ScriptDirectory.from_config(_config()).get_current_head()
    if found is None:
        raise SchemaVersionError("this installation of Trimtab carries no migrations; install it again")
    return found


def current(engine: Engine) -> str | None:
    """The schema version of the database; None when it is empty."""
    with reading(engine) as connection:
        return MigrationContext.configure(connection).get_current_revision()


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


def _run(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _check_known(version: str | None) -> str | None:
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if version is not None and version not in known:
        raise SchemaVersionError(
            f"the database has schema {version}, which this version of Trimtab does not know: "
            "it was written by a newer one; upgrade Trimtab (pip install --upgrade 'trimtab[server]')"
        )
    return version

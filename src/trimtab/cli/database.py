"""trimtab db: the schema of the database, and what is in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.cli.command import command, group
from trimtab.cli.session import Session, require_database

if TYPE_CHECKING:
    from trimtab.cli.output import Output

database = group("The schema of the database, and what is in it.")


@command(database, "migrate")
def migrate(session: Session) -> None:
    """Bring the schema forward, making the database where there is none. Doing it twice is harmless."""
    from trimtab.core.rights import Right
    from trimtab.store.engine import open_engine
    from trimtab.store.migrations import current, upgrade

    session.who().require(Right.CONFIGURE)
    engine = open_engine(session.settings().database_url)
    try:
        before = current(engine)
        upgrade(engine)
        after = current(engine)
    finally:
        engine.dispose()

    def render(out: Output) -> None:
        out.good(f"the schema is {after}" + ("" if before == after else f", it was {before or 'empty'}"))

    session.show({"before": before, "after": after}, render)


@command(database, "check")
def check(session: Session) -> None:
    """The schema's version, and how many rows each table has; changes nothing."""
    from trimtab.cli.settings import without_password
    from trimtab.core.rights import Right
    from trimtab.store.engine import open_engine
    from trimtab.store.inspection import row_counts
    from trimtab.store.migrations import current, head

    session.who().require(Right.READ)
    url = session.settings().database_url
    require_database(url)
    engine = open_engine(url)
    try:
        version, newest = current(engine), head()
        counts = row_counts(engine)
    finally:
        engine.dispose()
    where = without_password(url)

    def render(out: Output) -> None:
        out.fields([("database", where), ("schema", version or "empty"), ("schema of this version", newest)])
        if version != newest:
            out.bad("the schema is not this version's: run trimtab db migrate")
        out.table(("table", "rows"), counts.items(), empty="there are no tables yet")

    document = {"database": where, "schema": version, "newest": newest, "rows": counts}
    session.show(document, render)

"""trimtab settings: every setting, its value, and where the value comes from."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from trimtab.cli.session import Session
from trimtab.settings import documented

if TYPE_CHECKING:
    from trimtab.cli.output import Output


def settings(session: Session) -> None:
    """Every setting, its value, and where the value comes from."""
    found = session.settings()
    given = {"database_url": session.db, "actor": session.actor, "role": session.role}
    document = []
    for variable, kind, default, help_text in documented():
        name = variable.removeprefix("TRIMTAB_").lower()
        value = getattr(found, name)
        origin = "option" if given.get(name) else "environment" if os.environ.get(variable) else "default"
        shown = without_password(value) if name == "database_url" else value
        document.append(
            {"name": variable, "value": shown, "from": origin, "type": kind, "default": default, "help": help_text}
        )

    def render(out: Output) -> None:
        out.table(
            ("setting", "value", "from", "meaning"),
            [(one["name"], one["value"], one["from"], one["help"]) for one in document],
        )

    session.show({"settings": document}, render)


def without_password(url: str) -> str:
    """A database's URL as it may be shown."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return "no URL"

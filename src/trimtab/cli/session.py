"""What every command shares: who acts, on which database, and how the answer is given."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimtab.cli.plain import to_json
from trimtab.core.rights import Actor, Role
from trimtab.errors import SettingError, StorageError
from trimtab.settings import Settings, from_environment

if TYPE_CHECKING:
    from trimtab.bootstrap import Trimtab
    from trimtab.cli.output import Output


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """The options that all commands have; None where neither the line nor the program before it said."""

    db: str | None = None
    actor: str | None = None
    role: str | None = None
    json: bool = False
    debug: bool = False

    def settings(self) -> Settings:
        """The settings: options win over the environment, the environment over defaults."""
        return from_environment(os.environ, database_url=self.db, actor=self.actor, role=self.role)

    def who(self) -> Actor:
        """Who acts. Raises SettingError where the role does not exist or the name cannot be told."""
        settings = self.settings()
        try:
            role = Role(settings.role)
        except ValueError:
            raise SettingError(f"role: {settings.role!r:.60} is none; there are {', '.join(Role)}") from None
        return Actor(name=settings.actor or _login(), role=role)

    @contextmanager
    def open(self, *, create: bool = False) -> Iterator[tuple[Trimtab, Actor]]:
        """The services and the actor, for the time of a command. Only `create` makes a new SQLite file."""
        settings, actor = self.settings(), self.who()
        if not create:
            require_database(settings.database_url)
        from trimtab.bootstrap import build

        trimtab = build(settings)
        try:
            yield trimtab, actor
        finally:
            trimtab.close()

    def show(self, document: Any, render: Callable[[Output], None]) -> None:
        """Give the answer: the document as JSON when asked for it, otherwise for people."""
        if self.json:
            self.emit(document)
            return
        from trimtab.cli.output import Output

        render(Output())

    def emit(self, document: Any, *, indent: int | None = 2) -> None:
        """Write one JSON document to stdout."""
        sys.stdout.write(to_json(document, indent=indent) + "\n")


def require_database(url: str) -> None:
    """Raise StorageError for a SQLite file that is not there: a mistyped path must not look like an empty loop."""
    scheme, _, path = url.partition(":///")
    path = path.partition("?")[0]
    if scheme.partition("+")[0] == "sqlite" and path and path != ":memory:" and not Path(path).exists():
        raise StorageError(
            f"database: there is no file {path}; name yours with --db URL, "
            "or start a new one: trimtab agents add --builtin mail_triage"
        )


def _login() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        raise SettingError("actor: the system does not tell who you are; say it with --as NAME") from None


def merged(before: Session | None, given: Mapping[str, Any]) -> Session:
    """The options of the command itself, and for what it does not say those given before its name."""
    first = before or Session()
    return Session(
        db=given["db"] or first.db,
        actor=given["actor"] or first.actor,
        role=given["role"] or first.role,
        json=given["json"] or first.json,
        debug=given["debug"] or first.debug,
    )

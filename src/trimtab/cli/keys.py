"""trimtab keys: who may call the API, and as whom."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from trimtab.cli.command import command, group
from trimtab.cli.plain import when
from trimtab.cli.session import Session
from trimtab.errors import InvalidInputError

if TYPE_CHECKING:
    from trimtab.cli.output import Output
    from trimtab.core.api_keys import ApiKey, KeyState

keys = group("Who may call the API, and as whom.")


@command(keys, "create")
def create(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who acts with it: a person, or an agent's process.")],
    key_role: Annotated[
        str, typer.Argument(metavar="ROLE", help="viewer, agent, reviewer, approver, operator or admin.")
    ],
    expires_days: Annotated[
        int, typer.Option("--expires-days", metavar="N", min=1, max=3650, help="How long it can be used.")
    ] = 365,
) -> None:
    """Make a key and show it, this once. Give each person and each process its own."""
    from trimtab.core.rights import Role

    if key_role not in list(Role):
        raise InvalidInputError(f"role: {key_role!r:.60} is none; there are {', '.join(Role)}")
    with session.open() as (trimtab, actor):
        made = trimtab.api_keys.create(actor, name, Role(key_role), life=timedelta(days=expires_days))

    def render(out: Output) -> None:
        out.good(f"{made.key.name} may act as {made.key.role} until {when(made.key.expires_at)}")
        out.line("the key, shown this once; keep it where secrets are kept:")
        out.console.print(made.text, soft_wrap=True)
        out.hint(f"end it at any time: trimtab keys revoke {made.key.prefix}")

    session.show({"key": made.text, **_public(made.key)}, render)


@command(keys, "list")
def listing(session: Session) -> None:
    """Every key that was ever made, the newest first; never a secret."""
    with session.open() as (trimtab, actor):
        found = trimtab.api_keys.listing(actor)

    def render(out: Output) -> None:
        out.table(
            ("prefix", "name", "role", "state", "made", "by", "expires", "last used"),
            [
                (
                    key.prefix,
                    key.name,
                    key.role,
                    state,
                    when(key.created_at),
                    key.created_by,
                    when(key.expires_at),
                    when(key.last_used_at),
                )
                for key, state in found
            ],
            empty="no keys yet; make one: trimtab keys create NAME ROLE",
        )

    session.show({"keys": [_public(key, state) for key, state in found]}, render)


@command(keys, "revoke")
def revoke(
    session: Session,
    key: Annotated[str, typer.Argument(metavar="KEY", help="Its prefix (the 8 characters after tt_) or its id.")],
) -> None:
    """End a key at once; the next request with it is refused."""
    with session.open() as (trimtab, actor):
        found = trimtab.api_keys.revoke(actor, key)
    session.show(_public(found), lambda out: out.good(f"the key {found.prefix} of {found.name} is revoked"))


def _public(key: ApiKey, state: KeyState | None = None) -> dict[str, object]:
    """What may be shown of a key: not even its fingerprint."""
    names = ("id", "name", "prefix", "role", "created_at", "created_by", "expires_at", "revoked_at", "last_used_at")
    shown: dict[str, object] = {name: getattr(key, name) for name in names}
    return shown if state is None else {**shown, "state": state}

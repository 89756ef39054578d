"""trimtab signing: the keys that evidence packets are signed with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.cli.command import command, group
from trimtab.cli.plain import short, when
from trimtab.cli.session import Session

if TYPE_CHECKING:
    from trimtab.cli.output import Output

signing = group("The keys that evidence packets are signed with.")


@command(signing, "keys")
def keys(session: Session) -> None:
    """Every public key, the oldest first. Publish them where auditors look."""
    with session.open() as (trimtab, actor):
        found = trimtab.signing.keys(actor)

    def render(out: Output) -> None:
        out.table(
            ("first used", "by", "key id", "public key"),
            [(when(row.at), row.by, short(row.key_id), row.public_key) for row in found],
            empty="nothing was signed yet; the key is registered with the first packet",
        )

    session.show({"keys": found}, render)


@command(signing, "rotate")
def rotate(session: Session) -> None:
    """Make a new private key; earlier packets stay verifiable. Restart running processes afterwards."""
    with session.open() as (trimtab, actor):
        signer = trimtab.signing.rotate(actor)
    document = {"key_id": signer.key_id, "public_key": signer.public_key}

    def render(out: Output) -> None:
        out.good(f"packets are signed with {short(signer.key_id)} from now on")
        out.line(f"public key: {signer.public_key}")
        out.hint("running processes use it after their restart")

    session.show(document, render)

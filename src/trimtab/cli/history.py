"""trimtab audit, verify: what happened, and the proof that nobody changed it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trimtab.cli.plain import short, to_json, when
from trimtab.cli.session import Session
from trimtab.errors import InvalidInputError

if TYPE_CHECKING:
    from trimtab.cli.output import Output
    from trimtab.core.chains import ChainReport

GATE_SAID_NO = 1


def audit(
    session: Session,
    subject: Annotated[
        str | None, typer.Option("--subject", metavar="AGENT", help="About this agent (or loop).")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=100_000, help="At most so many.")] = 20,
) -> None:
    """The newest audit events first: who did what, when, and why."""
    with session.open() as (trimtab, actor):
        found = trimtab.history.audit(actor, limit=limit, subject=subject)

    def render(out: Output) -> None:
        out.table(
            ("seq", "at", "who", "action", "about", "details"),
            [
                (
                    one["seq"],
                    when(one["at"]),
                    f"{one['actor']} ({one['role']})",
                    one["action"],
                    one["subject"],
                    to_json(one["details"], indent=None),
                )
                for one in found
            ],
            empty="nothing happened yet",
        )

    session.show({"events": found}, render)


def verify(
    session: Session,
    packets: Annotated[
        Path | None,
        typer.Option("--packets", metavar="FILE", help="Check packets from a file instead; needs no database."),
    ] = None,
    public_key: Annotated[
        str | None,
        typer.Option("--public-key", metavar="KEY", help="With --packets: check their signatures, too."),
    ] = None,
) -> None:
    """Prove that nobody changed the audit log and the packets.

    Every hash is recomputed and the first broken link is named. The exit code is 1 when something is broken.
    """
    if packets is not None:
        _verify_file(session, packets, public_key)
        return
    with session.open() as (trimtab, actor):
        found = trimtab.history.verify(actor)

    def render(out: Output) -> None:
        _show_chain(out, "audit log", found.audit)
        _show_chain(out, "evidence packets", found.packets)
        for problem in found.problems:
            out.bad(f"BROKEN: {problem}")
        if found.holds:
            out.good("everything holds")

    session.show({"holds": found.holds, **_plain(found)}, render)
    if not found.holds:
        raise typer.Exit(GATE_SAID_NO)


def _plain(found: Any) -> dict[str, Any]:
    return {"audit": found.audit, "packets": found.packets, "problems": found.problems}


def _show_chain(out: Output, name: str, report: ChainReport) -> None:
    if report.holds:
        out.good(f"{name}: {report.length:,} entries hold; the last is {short(report.head)}")
    else:
        out.bad(f"{name}: BROKEN at entry {report.broken_at}: {report.problem}")


def _verify_file(session: Session, path: Path, public_key: str | None) -> None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInputError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{path}: is no JSON: {error}") from None
    checked = []
    for i, one in enumerate(document if isinstance(document, list) else [document], start=1):
        if not isinstance(one, dict) or not isinstance(one.get("body"), dict) or not isinstance(one.get("sha256"), str):
            raise InvalidInputError(f"{path}: packet {i} has no 'sha256' and 'body'; use: trimtab rollouts packet HASH")
        checked.append(_check_packet(one, public_key))
    holds = all(one["hash_holds"] and one["signature_holds"] is not False for one in checked)

    def render(out: Output) -> None:
        for one in checked:
            if not one["hash_holds"]:
                out.bad(f"BROKEN: packet {short(one['sha256'])} was changed: its text does not have that hash")
            elif one["signature_holds"] is False:
                out.bad(f"BROKEN: packet {short(one['sha256'])} was not signed with that key")
        if holds:
            out.good(f"{len(checked)} packets hold")
            if public_key is None:
                out.line("signatures were not checked; give --public-key, from: trimtab signing keys", "yellow")

    session.show({"holds": holds, "packets": checked}, render)
    if not holds:
        raise typer.Exit(GATE_SAID_NO)


def _check_packet(packet: dict[str, Any], public_key: str | None) -> dict[str, Any]:
    """Whether hash and signature hold; the signature's answer is None where no key was given to check it with."""
    from trimtab.core.canonical import canonical_json, sha256_of
    from trimtab.plugins.signing import signature_holds

    signed = None
    if public_key is not None:
        signature = packet.get("signature")
        body = canonical_json(packet["body"]).encode()
        signed = isinstance(signature, str) and signature_holds(public_key, body, signature)
    return {
        "sha256": packet["sha256"],
        "hash_holds": sha256_of(packet["body"]) == packet["sha256"],
        "signature_holds": signed,
    }

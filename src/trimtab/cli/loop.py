"""trimtab status, pause, resume: the loop as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from trimtab.cli.plain import percent, short
from trimtab.cli.session import Session

if TYPE_CHECKING:
    from trimtab.cli.output import Output

Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for whoever reads the history.")]


def status(session: Session) -> None:
    """Where the loop stands: every agent at a glance."""
    with session.open() as (trimtab, actor):
        found = trimtab.loop.status(actor)

    def render(out: Output) -> None:
        if found.paused:
            out.bad("the loop is PAUSED: no jobs, no advances, no promotions; go on with: trimtab resume --reason …")
        out.table(
            ("agent", "champion", "rollout", "decisions", "labels", "questions", "proposals", "kill switch"),
            [
                (
                    one.agent,
                    short(one.champion),
                    "–" if one.rollout is None else f"{one.rollout['state']} at {percent(one.rollout['share'])}",
                    one.decisions,
                    one.labels,
                    one.open_questions,
                    one.open_proposals,
                    "ON" if one.kill_switch else "off",
                )
                for one in found.agents
            ],
            empty="no agents yet; add one with: trimtab agents add --builtin mail_triage",
        )

    session.show(found, render)


def pause(session: Session, reason: Reason) -> None:
    """Stop jobs, advances and promotions. Decisions are served, and the guard may still roll back."""
    with session.open() as (trimtab, actor):
        trimtab.loop.pause(actor, reason=reason)
    session.show({"paused": True}, lambda out: out.line("the loop is paused", "yellow"))


def resume(session: Session, reason: Reason) -> None:
    """Let the loop turn again."""
    with session.open() as (trimtab, actor):
        trimtab.loop.resume(actor, reason=reason)
    session.show({"paused": False}, lambda out: out.good("the loop turns"))

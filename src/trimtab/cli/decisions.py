"""trimtab decisions: what agents decided, why, and the daily figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from trimtab.cli.command import command, group
from trimtab.cli.plain import number, percent, short, to_json, when
from trimtab.cli.session import Session

if TYPE_CHECKING:
    from trimtab.cli.output import Output

decisions = group("What agents decided, why, and the daily figures.")

Id = Annotated[str, typer.Argument(metavar="ID", help="The decision's id.")]
Agent = Annotated[str, typer.Argument(metavar="AGENT", help="The agent's name.")]


@command(decisions, "list")
def listing(
    session: Session,
    agent: Agent,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="At most so many.")] = 20,
) -> None:
    """An agent's newest decisions, newest last."""
    with session.open() as (trimtab, actor):
        found = trimtab.decisions.recent(actor, agent, limit=limit)

    def render(out: Output) -> None:
        out.table(
            ("at", "key", "label", "confidence", "arm", "reason", "bundle", "id"),
            [
                (when(o.at), o.key, o.label or "–", number(o.confidence), o.arm, o.reason, short(o.bundle), o.id)
                for o in found
            ],
            empty=f"{agent} has decided nothing yet; try: trimtab decide {agent} --key … --payload …",
        )

    session.show({"decisions": found}, render)


@command(decisions, "show")
def show(session: Session, decision_id: Id) -> None:
    """One decision with its payload."""
    with session.open() as (trimtab, actor):
        found = trimtab.decisions.get(actor, decision_id)

    def render(out: Output) -> None:
        values: dict[str, Any] = dict(found._mapping)
        payload = values.pop("payload")
        values |= {"at": when(found.at), "confidence": number(found.confidence)}
        out.fields((name, "–" if value is None else value) for name, value in values.items())
        out.heading("payload")
        out.line(to_json(payload))
        out.hint(f"why: trimtab decisions explain {found.id}")

    session.show(found, render)


@command(decisions, "explain")
def explain(session: Session, decision_id: Id) -> None:
    """Why a decision came out as it did, and what would have changed it."""
    with session.open() as (trimtab, actor):
        found = trimtab.decisions.explain(actor, decision_id)

    def render(out: Output) -> None:
        for line in found.lines():
            out.line(line)

    session.show(found, render)


@command(decisions, "daily")
def daily(session: Session, agent: Agent) -> None:
    """An agent's figures by day and bundle."""
    with session.open() as (trimtab, actor):
        found = trimtab.decisions.daily(actor, agent)

    def render(out: Output) -> None:
        columns = ("day", "bundle", "decisions", "canary", "differing", "escalated", "outcomes", "failed", "score")
        out.table(
            columns,
            [
                (
                    o.day,
                    short(o.bundle) if o.bundle else "no bundle",
                    o.decisions,
                    o.canary,
                    o.discordant,
                    percent(o.escalated / o.decisions if o.decisions else None),
                    o.outcomes,
                    o.failures,
                    number(o.score_sum / o.score_n if o.score_n else None),
                )
                for o in found
            ],
            empty=f"{agent} has decided nothing yet",
        )

    session.show({"days": found}, render)

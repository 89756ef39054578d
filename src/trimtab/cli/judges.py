"""trimtab judges: what raters are worth, measured against people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from trimtab.cli.command import command, group
from trimtab.cli.plain import between, number, percent, when
from trimtab.cli.session import Session

if TYPE_CHECKING:
    from trimtab.cli.output import Output

judges = group("What raters are worth, measured against people.")

Agent = Annotated[str, typer.Argument(metavar="AGENT", help="The agent's name.")]


@command(judges, "weights")
def weights(session: Session, agent: Agent) -> None:
    """Each judge version's newest measurement."""
    from trimtab.cli.judge_text import drift_mark

    with session.open() as (trimtab, actor):
        found = trimtab.judges.weights(actor, agent)

    def render(out: Output) -> None:
        out.table(
            ("judge", "weight", "agreement", "interval", "kappa", "n", "drift", "why"),
            [
                (
                    f"{row.judge}@{row.version}",
                    f"{number(row.weight)}{' (unproven)' if row.unproven else ''}",
                    number(row.snapshot.get("agreement")),
                    between(row.snapshot.get("interval")),
                    number(row.snapshot.get("kappa")),
                    row.n,
                    drift_mark(row.snapshot),
                    row.snapshot.get("reason", ""),
                )
                for row in found
            ],
            empty=f"no judge of {agent} was measured yet; measure with: trimtab judges update --agent {agent}",
        )
        if found:
            newest = when(max(row.at for row in found))
            out.hint(f"last measured {newest}; all of one judge: trimtab judges show {agent} JUDGE")

    session.show({"weights": found}, render)


@command(judges, "show")
def show(
    session: Session,
    agent: Agent,
    judge: Annotated[str, typer.Argument(metavar="JUDGE", help="The judge's name, or NAME@VERSION.")],
) -> None:
    """One judge in full: agreement, calibration, confusion, drift, and its versions."""
    from trimtab.cli.judge_text import show_judge

    with session.open() as (trimtab, actor):
        found = trimtab.judges.show(actor, agent, judge)
    session.show(found, lambda out: show_judge(out, found))


@command(judges, "consensus")
def consensus(session: Session, agent: Agent) -> None:
    """How the judges' verdicts are joined, why so, and how many independent judges they are worth."""
    from trimtab.cli.judge_text import show_consensus

    with session.open() as (trimtab, actor):
        found = trimtab.judges.consensus(actor, agent)

    def render(out: Output) -> None:
        if found is None:
            out.line(
                f"no judge of {agent} was measured yet; measure with: trimtab judges update --agent {agent}", "dim"
            )
        else:
            show_consensus(out, agent, found)

    session.show({"consensus": found}, render)


@command(judges, "update")
def update(
    session: Session,
    agent: Annotated[str | None, typer.Option("--agent", metavar="AGENT", help="Of this agent only.")] = None,
) -> None:
    """Measure every judge against people's answers and keep a dated snapshot."""
    from trimtab.cli.output import work

    with session.open() as (trimtab, actor):
        found = work("measuring judges", lambda: trimtab.judges.update_weights(actor, agent=agent))

    def render(out: Output) -> None:
        out.table(
            ("agent", "judge", "weight", "n", "why"),
            [
                (of, f"{one.judge}@{one.version}", number(one.weight), one.n, one.reason)
                for of, measured in found.items()
                for one in measured
            ],
            empty="no judge has given a verdict in the last 30 days",
        )

    session.show({"weights": found}, render)


@command(judges, "history")
def history(
    session: Session,
    agent: Agent,
    judge: Annotated[str | None, typer.Option("--judge", metavar="NAME", help="Of this judge only.")] = None,
) -> None:
    """All measurements in the order of time."""
    with session.open() as (trimtab, actor):
        found = trimtab.judges.history(actor, agent, judge=judge)

    def render(out: Output) -> None:
        out.table(
            ("measured", "judge", "weight", "agreement", "n"),
            [
                (
                    when(row.at),
                    f"{row.judge}@{row.version}",
                    f"{number(row.weight)}{' (unproven)' if row.unproven else ''}",
                    number(row.snapshot.get("agreement")),
                    row.n,
                )
                for row in found
            ],
            empty="nothing was measured yet",
        )

    session.show({"history": found}, render)


@command(judges, "agreement")
def agreement(session: Session, agent: Agent) -> None:
    """How often the consensus is right on answers held out from it, with the majority vote beside it."""
    with session.open() as (trimtab, actor):
        found = trimtab.judges.agreement(actor, agent)

    def render(out: Output) -> None:
        out.table(
            ("consensus", "right", "compared decisions"),
            [(o.method, "nothing compared" if o.accuracy is None else percent(o.accuracy), o.n) for o in found],
        )
        out.hint(f"why this consensus, and what it competed with: trimtab judges consensus {agent}")

    session.show({"agreement": found}, render)

"""trimtab rollouts: a challenger on its way to champion, the guard's evidence, and a person's hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trimtab.cli.command import command, group
from trimtab.cli.names import full_id
from trimtab.cli.plain import between, number, percent, short, to_json, when
from trimtab.cli.session import Session
from trimtab.errors import ConflictError, NotFoundError

if TYPE_CHECKING:
    from trimtab.bootstrap import Trimtab
    from trimtab.cli.output import Output
    from trimtab.core.evidence.ledger import LedgerTotal
    from trimtab.core.rights import Actor
    from trimtab.store.rollouts import Rollout

rollouts = group("Challengers on their way to champion, and the evidence.")

Agent = Annotated[str, typer.Argument(metavar="AGENT", help="The agent's name.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for whoever reads the history.")]
_COLOURS = {"promoted": "green", "rolled_back": "bold red", "inconclusive": "yellow", "held": "yellow"}


@command(rollouts, "list")
def listing(
    session: Session,
    agent: Annotated[str | None, typer.Argument(metavar="[AGENT]", help="Of this agent only.")] = None,
    live: Annotated[bool, typer.Option("--live", help="Only those that are not over.")] = False,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="At most so many.")] = 20,
) -> None:
    """The newest rollouts first."""
    with session.open() as (trimtab, actor):
        if agent is not None:
            trimtab.agents.get(actor, agent)
        found = trimtab.rollouts.listing(actor, agent=agent, only_live=live, limit=limit)

    def render(out: Output) -> None:
        out.table(
            ("started", "agent", "challenger", "champion", "state", "share", "ended", "id"),
            [
                (
                    when(one.started_at),
                    one.agent,
                    short(one.challenger),
                    short(one.champion),
                    one.state,
                    percent(one.share),
                    when(one.ended_at),
                    one.id,
                )
                for one in found
            ],
            empty="no rollouts; one starts with: trimtab proposals apply ID",
        )

    session.show({"rollouts": found}, render)


@command(rollouts, "show")
def show(
    session: Session,
    which: Annotated[
        str | None, typer.Argument(metavar="[AGENT|ID]", help="Else the only live rollout there is.")
    ] = None,
) -> None:
    """A rollout: where it is, what each metric has shown, what is missing, and what happened."""
    with session.open() as (trimtab, actor):
        rollout = _find(trimtab, actor, which)
        live = rollout.live and rollout.started_at is not None
        found = trimtab.rollouts.assess(actor, rollout.id).to_mapping() if live else rollout.assessment
        events = trimtab.rollouts.events(actor, rollout.id)
        packets = trimtab.history.packets(actor, rollout.id)
        ledger = trimtab.rollouts.ledger(actor, rollout.agent).total
    document = {
        "rollout": rollout,
        "assessment": found,
        "events": events,
        "packets": [p["sha256"] for p in packets],
        "ledger": ledger,
    }

    def render(out: Output) -> None:
        _show_state(out, rollout)
        show_assessment(out, found)
        out.hint(ledger_words(rollout.agent, ledger))
        out.heading("what happened")
        out.table(
            ("at", "by", "action", "state", "share", "reason", "packet"),
            [
                (
                    when(one.at),
                    one.actor,
                    one.action,
                    one.to_state,
                    percent(one.share),
                    one.details.get("reason", ""),
                    short(one.packet),
                )
                for one in events
            ],
        )

    session.show(document, render)


def _find(trimtab: Trimtab, actor: Actor, which: str | None) -> Rollout:
    if which is None:
        live = trimtab.rollouts.listing(actor, only_live=True, limit=10_000)
        if len(live) > 1:
            raise ConflictError(f"{len(live)} rollouts are live: name one of {', '.join(one.agent for one in live)}")
        found = live or trimtab.rollouts.listing(actor, limit=1)
        if not found:
            raise NotFoundError("there is no rollout; one starts with: trimtab proposals apply ID")
        return found[0]
    if any(spec.agent == which for spec, _, _ in trimtab.agents.listing(actor)):
        mine = trimtab.rollouts.listing(actor, agent=which, limit=10_000)
        if not mine:
            raise NotFoundError(f"{which} has no rollout; one starts with: trimtab proposals apply ID")
        return next((one for one in mine if one.live), mine[0])
    ids = full_id(which, lambda: trimtab.rollouts.listing(actor, limit=10_000), "rollout", "trimtab rollouts list")
    return trimtab.rollouts.get(actor, ids)


def _show_state(out: Output, rollout: Rollout) -> None:
    plan = rollout.plan
    out.line(f"rollout {rollout.id}", "bold")
    out.line(f"{rollout.agent}: {rollout.state}", _COLOURS.get(rollout.state, "bold"))
    out.fields(
        [
            ("challenger", short(rollout.challenger)),
            ("champion", short(rollout.champion)),
            ("step", f"{rollout.step + 1} of {len(plan.steps)}: {percent(rollout.share)} of the keys"),
            ("steps", ", ".join(percent(step) for step in plan.steps)),
            ("goal", plan.goal),
            ("guarded", ", ".join(plan.metrics)),
            ("started", f"{when(rollout.started_at)} by {rollout.created_by}"),
            ("at this step since", when(rollout.step_since)),
            ("ended", when(rollout.ended_at)),
            ("plan", short(rollout.plan_sha256)),
        ]
    )


def show_assessment(out: Output, found: dict[str, Any] | None) -> None:
    """The guard's word: decision, reasons, evidence beside its thresholds, and what is missing."""
    out.heading("the guard")
    if found is None:
        out.line("has not said anything yet; ask it with: trimtab rollouts tick", "yellow")
        return
    out.line(found["decision"], "bold")
    for reason in found["reasons"]:
        out.line(f"  {reason['text']}")
    if found.get("missing"):
        out.line(f"waits for {found['missing']}", "yellow")
    out.heading("evidence (an e-value counts from its threshold on)")
    out.table(
        ("metric", "verdict", "n", "estimate", "interval", "e for", "from", "e against", "from"),
        [
            (
                metric,
                one["verdict"].replace("_", " "),
                one["n"],
                number(one["estimate"]),
                between(one["interval"]),
                number(one["e_values"]["goal"], 2),
                number(one["thresholds"]["goal"], 0),
                number(one["e_values"]["harm"], 2),
                number(one["thresholds"]["harm"], 0),
            )
            for metric, one in found["estimates"].items()
        ],
    )
    for metric, one in found["estimates"].items():
        out.hint(f"{metric}: {one['what']}")


def ledger_words(agent: str, total: LedgerTotal) -> str:
    """What may have gone wrong by chance in all rollouts together."""
    many = "1 rollout" if total.rollouts == 1 else f"{total.rollouts:,} rollouts"
    return (
        f"{many} of {agent} so far: at most {number(total.false_promotions)} false promotions and "
        f"{number(total.false_rollbacks)} false rollbacks are expected by chance"
    )


@command(rollouts, "ledger")
def ledger(session: Session, agent: Agent) -> None:
    """The error probabilities that every rollout of an agent registered, and what they add up to."""
    with session.open() as (trimtab, actor):
        found = trimtab.rollouts.ledger(actor, agent)
    document = {
        "agent": found.agent,
        "entries": [
            {
                "rollout": one.id,
                "challenger": one.challenger,
                "state": one.state,
                "created_at": one.created_at,
                "alpha_promote": entry.alpha_promote,
                "alpha_rollback": entry.alpha_rollback,
            }
            for one, entry in found.entries
        ],
        "total": found.total,
    }

    def render(out: Output) -> None:
        out.table(
            ("registered", "challenger", "state", "alpha promote", "alpha roll back", "id"),
            [
                (
                    when(one.created_at),
                    short(one.challenger),
                    one.state,
                    number(entry.alpha_promote),
                    number(entry.alpha_rollback),
                    one.id,
                )
                for one, entry in found.entries
            ],
            empty="no rollouts; one starts with: trimtab proposals apply ID",
        )
        if found.entries:
            out.line(ledger_words(agent, found.total), "bold")
            any_one = percent(found.total.any_false_promotion)
            out.hint(f"the chance of even one false promotion is at most {any_one}, however they depend on each other")

    session.show(document, render)


@command(rollouts, "tick")
def tick(
    session: Session,
    agent: Annotated[str | None, typer.Option("--agent", metavar="AGENT", help="This agent's rollout only.")] = None,
) -> None:
    """Let the guard look at every live rollout and act. Doing it twice is harmless."""
    with session.open() as (trimtab, actor):
        if agent is not None:
            trimtab.agents.get(actor, agent)
        found = trimtab.rollouts.tick(actor, agent=agent)

    def render(out: Output) -> None:
        if not found:
            out.line("no live rollouts", "dim")
        for one in found:
            did = one.acted.value if one.acted else "hold"
            out.line(f"{one.rollout.agent}: {did}, now {one.rollout.state} at {percent(one.rollout.share)}", "bold")
            for reason in one.assessment.reasons if one.assessment else ():
                out.line(f"  {reason.text}")
            if one.assessment and one.assessment.missing:
                out.line(f"  waits for {one.assessment.missing}", "yellow")

    session.show({"ticks": found}, render)


def _act(session: Session, agent: str, reason: str, act: Callable[[Trimtab, Actor], Rollout]) -> None:
    with session.open() as (trimtab, actor):
        found = act(trimtab, actor)

    def render(out: Output) -> None:
        out.line(f"{agent}: {found.state} at {percent(found.share)} ({reason})", _COLOURS.get(found.state, "bold"))

    session.show(found, render)


@command(rollouts, "advance")
def advance(session: Session, agent: Agent, reason: Reason) -> None:
    """Go to the next step by a person's decision."""
    _act(session, agent, reason, lambda trimtab, actor: trimtab.rollouts.advance(actor, agent, reason=reason))


@command(rollouts, "jump")
def jump(
    session: Session,
    agent: Agent,
    step: Annotated[int, typer.Argument(metavar="STEP", min=1, help="Which of the plan's steps, from 1.")],
    reason: Reason,
) -> None:
    """Go to any step below 100 % by a person's decision, forwards or back."""
    _act(
        session, agent, reason, lambda trimtab, actor: trimtab.rollouts.jump(actor, agent, step=step - 1, reason=reason)
    )


@command(rollouts, "promote")
def promote(session: Session, agent: Agent, reason: Reason) -> None:
    """Make the challenger champion by a person's decision."""
    _act(session, agent, reason, lambda trimtab, actor: trimtab.rollouts.promote(actor, agent, reason=reason))


@command(rollouts, "rollback")
def rollback(session: Session, agent: Agent, reason: Reason) -> None:
    """Let the champion serve everything again."""
    _act(session, agent, reason, lambda trimtab, actor: trimtab.rollouts.roll_back(actor, agent, reason=reason))


@command(rollouts, "hold")
def hold(session: Session, agent: Agent, reason: Reason) -> None:
    """Freeze the share; evidence still arrives, and the guard may still roll back."""
    _act(session, agent, reason, lambda trimtab, actor: trimtab.rollouts.hold(actor, agent, reason=reason))


@command(rollouts, "resume")
def resume(session: Session, agent: Agent, reason: Reason) -> None:
    """Let a held rollout go on."""
    _act(session, agent, reason, lambda trimtab, actor: trimtab.rollouts.resume(actor, agent, reason=reason))


@command(rollouts, "abort")
def abort(session: Session, agent: Agent, reason: Reason) -> None:
    """End a rollout without a verdict."""
    _act(session, agent, reason, lambda trimtab, actor: trimtab.rollouts.abort(actor, agent, reason=reason))


@command(rollouts, "packet")
def packet(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="HASH", help="The packet's hash, or at least 8 characters of it.")],
    out_file: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write it there.")] = None,
) -> None:
    """An evidence packet: everything that a verdict rests on."""
    from trimtab.cli.files import write_new

    with session.open() as (trimtab, actor):
        found = trimtab.history.packet(actor, name)
    if out_file is not None:
        write_new(out_file, to_json(found) + "\n")

    def render(out: Output) -> None:
        if out_file is None:
            typer.echo(to_json(found))
            return
        out.good(f"wrote {out_file}")
        out.hint(f"check it anywhere: trimtab verify --packets {out_file}")

    session.show(found, render)

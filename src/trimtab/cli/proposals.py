"""trimtab proposals: a challenger put forward, and somebody else's decision on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trimtab.cli.command import command, group
from trimtab.cli.names import full_id
from trimtab.cli.plain import short, when
from trimtab.cli.session import Session
from trimtab.errors import InvalidInputError, InvalidPlanError

if TYPE_CHECKING:
    from trimtab.bootstrap import Trimtab
    from trimtab.cli.output import Output
    from trimtab.core.rights import Actor
    from trimtab.core.rollouts import GuardPlan
    from trimtab.store.proposals import Proposal

proposals = group("Challengers put forward, and somebody else's decision.")

Id = Annotated[str, typer.Argument(metavar="ID", help="The proposal's id, or at least 8 characters of it.")]
Why = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why, for whoever reads the history.")]


def _id(trimtab: Trimtab, actor: Actor, given: str) -> str:
    return full_id(given, lambda: trimtab.proposals.listing(actor, limit=10_000), "proposal", "trimtab proposals list")


@command(proposals, "create")
def create(
    session: Session,
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="The agent's name.")],
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="The hash, or at least 8 characters of it.")],
    note: Annotated[str | None, typer.Option("--note", metavar="TEXT", help="What the approver should know.")] = None,
    draft: Annotated[bool, typer.Option("--draft", help="Ask nobody yet.")] = False,
) -> None:
    """Put a bundle forward with its evidence as of now."""
    with session.open() as (trimtab, actor):
        found = trimtab.proposals.create(actor, agent, bundle, note=note, draft=draft)

    def render(out: Output) -> None:
        show_proposal(out, found)
        verb = "propose" if draft else "approve"
        out.hint(f"next{'' if draft else ', somebody else'}: trimtab proposals {verb} {found.id}")

    session.show(found, render)


def show_proposal(out: Output, found: Proposal) -> None:
    """A proposal with its evidence: the diff, the held-out report, and whether it was replayed."""
    from trimtab.cli.bundle_text import show_report
    from trimtab.cli.bundles import show_diff
    from trimtab.cli.replay_text import show_replay

    out.line(f"proposal {found.id}", "bold")
    out.fields(
        [
            ("agent", found.agent),
            ("bundle", short(found.bundle)),
            ("instead of", short(found.champion)),
            ("state", found.state),
            ("proposed", f"{when(found.created_at)} by {found.proposer}"),
            ("decided", f"{when(found.decided_at)} by {found.decided_by}" if found.decided_by else "not yet"),
            ("reason", found.reason or "–"),
            ("note", found.note or "–"),
            ("expires", when(found.expires_at)),
        ]
    )
    out.heading("what changes")
    show_diff(out, found.evidence.get("diff_lines") or [])
    show_report(out, found.evidence.get("report"))
    out.heading("replay over logged decisions")
    if found.evidence.get("replay") is None:
        out.bad("NO REPLAY EVIDENCE: nobody has looked at which logged decisions would have changed")
    else:
        show_replay(out, found.evidence["replay"])


@command(proposals, "list")
def listing(
    session: Session,
    agent: Annotated[str | None, typer.Argument(metavar="[AGENT]", help="Of this agent only.")] = None,
    only_open: Annotated[bool, typer.Option("--open", help="Only those that still can be decided or applied.")] = False,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="At most so many.")] = 20,
) -> None:
    """The newest proposals first."""
    with session.open() as (trimtab, actor):
        if agent is not None:
            trimtab.agents.get(actor, agent)
        found = trimtab.proposals.listing(actor, agent=agent, only_open=only_open, limit=limit)

    def render(out: Output) -> None:
        out.table(
            ("proposed", "agent", "bundle", "state", "by", "decided by", "replay", "id"),
            [
                (
                    when(one.created_at),
                    one.agent,
                    short(one.bundle),
                    one.state,
                    one.proposer,
                    one.decided_by or "–",
                    "none" if one.evidence.get("replay") is None else "yes",
                    one.id,
                )
                for one in found
            ],
            empty="no proposals; put one forward: trimtab proposals create AGENT BUNDLE",
        )

    session.show({"proposals": found}, render)


@command(proposals, "show")
def show(session: Session, proposal_id: Id) -> None:
    """One proposal with its evidence."""
    with session.open() as (trimtab, actor):
        found = trimtab.proposals.get(actor, _id(trimtab, actor, proposal_id))
    session.show(found, lambda out: show_proposal(out, found))


@command(proposals, "propose")
def propose(session: Session, proposal_id: Id) -> None:
    """Ask for a decision on a draft."""
    with session.open() as (trimtab, actor):
        found = trimtab.proposals.propose(actor, _id(trimtab, actor, proposal_id))
    session.show(found, lambda out: _said(out, found))


@command(proposals, "approve")
def approve(session: Session, proposal_id: Id, reason: Why = None) -> None:
    """Say yes to somebody else's proposal."""
    with session.open() as (trimtab, actor):
        found = trimtab.proposals.approve(actor, _id(trimtab, actor, proposal_id), reason=reason)

    def render(out: Output) -> None:
        if found.evidence.get("replay") is None:
            out.bad("approved without replay evidence")
        _said(out, found)
        out.hint(f"next: trimtab proposals apply {found.id}")

    session.show(found, render)


@command(proposals, "reject")
def reject(
    session: Session,
    proposal_id: Id,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the proposer.")],
) -> None:
    """Say no to somebody else's proposal."""
    with session.open() as (trimtab, actor):
        found = trimtab.proposals.reject(actor, _id(trimtab, actor, proposal_id), reason=reason)
    session.show(found, lambda out: _said(out, found))


@command(proposals, "withdraw")
def withdraw(session: Session, proposal_id: Id, reason: Why = None) -> None:
    """Take back one's own proposal, or one approved by mistake."""
    with session.open() as (trimtab, actor):
        found = trimtab.proposals.withdraw(actor, _id(trimtab, actor, proposal_id), reason=reason)
    session.show(found, lambda out: _said(out, found))


@command(proposals, "apply")
def apply(
    session: Session,
    proposal_id: Id,
    without_canary: Annotated[
        bool, typer.Option("--without-canary", help="Serve everybody at once, without evidence. It is audited.")
    ] = False,
    plan: Annotated[
        Path | None, typer.Option("--plan", metavar="PLAN.toml", help="A guard plan instead of the spec's own.")
    ] = None,
) -> None:
    """Start the approved challenger's rollout."""
    registered = read_plan(plan) if plan is not None else None
    if registered is not None and without_canary:
        raise InvalidInputError("--plan and --without-canary exclude each other: without a canary nothing is guarded")
    with session.open() as (trimtab, actor):
        proposal_id = _id(trimtab, actor, proposal_id)
        found = trimtab.proposals.apply(actor, proposal_id, without_canary=without_canary, plan=registered)
        live = next(iter(trimtab.rollouts.listing(actor, agent=found.agent, only_live=True)), None)

    def render(out: Output) -> None:
        _said(out, found)
        if live is None:
            out.line(f"{short(found.bundle)} serves every decision of {found.agent} now")
        else:
            out.hint(f"its rollout has begun; watch it with: trimtab rollouts show {found.agent}")

    session.show({"proposal": found, "rollout_id": None if live is None else live.id}, render)


def read_plan(path: Path) -> GuardPlan:
    """A guard plan from a TOML file. Raises InvalidPlanError naming the field."""
    import tomllib

    from trimtab.core.rollouts import GuardPlan

    try:
        return GuardPlan.from_mapping(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise InvalidPlanError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidPlanError(f"{path}: is no valid TOML: {error}") from None


def _said(out: Output, found: Proposal) -> None:
    out.good(f"proposal {found.id} of {found.agent} is {found.state}")

"""trimtab proposals: a challenger put forward, and somebody else's decision on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trimtab.cli.command import command, group
from trimtab.cli.names import full_id
from trimtab.cli.plain import percent, short, when
from trimtab.cli.session import Session
from trimtab.errors import ConflictError, ForbiddenError, InvalidInputError, InvalidPlanError, NotFoundError

if TYPE_CHECKING:
    from trimtab.bootstrap import Trimtab
    from trimtab.cli.output import Output
    from trimtab.core.rights import Actor
    from trimtab.core.rollouts import GuardPlan
    from trimtab.store.proposals import Proposal
    from trimtab.store.rollouts import Rollout

proposals = group("Challengers put forward, and somebody else's decision.")

Id = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="The proposal's id, at least 8 characters of it, or for an open one its AGENT or newest.",
    ),
]
Why = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why, for whoever reads the history.")]


def _id(trimtab: Trimtab, actor: Actor, given: str) -> str:
    """The id that is meant: the newest open proposal, the only open one of an agent, or what begins as given."""
    if given == "newest":
        found = trimtab.proposals.listing(actor, only_open=True, limit=1)
        if not found:
            raise NotFoundError("no proposal is open; see all with: trimtab proposals list")
        return found[0].id
    if any(spec.agent == given for spec, _, _ in trimtab.agents.listing(actor)):
        found = trimtab.proposals.listing(actor, agent=given, only_open=True, limit=10_000)
        if not found:
            raise NotFoundError(f"{given} has no open proposal; see all with: trimtab proposals list {given}")
        if len(found) > 1:
            raise ConflictError(
                f"{given} has {len(found)} open proposals: name one of {', '.join(p.id for p in found)}"
            )
        return found[0].id
    return full_id(given, lambda: trimtab.proposals.listing(actor, limit=10_000), "proposal", "trimtab proposals list")


@command(proposals, "create")
def create(
    session: Session,
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="The agent's name.")],
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="The hash, at least 8 characters of it, or newest.")],
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
    if found.champion is None:
        out.line("none: this is the first bundle, so there is no champion to compare it with")
    elif found.evidence.get("replay") is None:
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
def approve(
    session: Session,
    proposal_id: Id,
    reason: Why = None,
    at_once: Annotated[
        bool, typer.Option("--apply", help="Start its rollout too; needs a role that may, or nothing is done.")
    ] = False,
) -> None:
    """Say yes to somebody else's proposal."""
    live = None
    with session.open() as (trimtab, actor):
        if at_once:
            _require_both(actor)
        found = trimtab.proposals.approve(actor, _id(trimtab, actor, proposal_id), reason=reason)
        if at_once:
            found, live = _applied(trimtab, actor, found.id)

    def render(out: Output) -> None:
        if found.evidence.get("replay") is None and found.champion is not None:
            out.bad("approved without replay evidence")
        if at_once:
            _show_applied(out, found, live)
            return
        _said(out, found)
        out.hint(f"next: trimtab proposals apply {found.id}")

    session.show({"proposal": found, "rollout_id": live.id if live else None} if at_once else found, render)


def _require_both(actor: Actor) -> None:
    """Refuse before anything is done: approving and then failing to apply would be half of what was asked."""
    from trimtab.core.rights import Right

    actor.require(Right.APPROVE)
    try:
        actor.require(Right.ROLL_OUT)
    except ForbiddenError as error:
        raise ForbiddenError(f"{error}; leave out --apply to approve only") from None


def _applied(
    trimtab: Trimtab, actor: Actor, proposal_id: str, *, without_canary: bool = False, plan: GuardPlan | None = None
) -> tuple[Proposal, Rollout | None]:
    """Apply an approved proposal; with it the rollout that it started, if it did."""
    found = trimtab.proposals.apply(actor, proposal_id, without_canary=without_canary, plan=plan)
    return found, next(iter(trimtab.rollouts.listing(actor, agent=found.agent, only_live=True)), None)


def _show_applied(out: Output, found: Proposal, live: Rollout | None) -> None:
    _said(out, found)
    if live is None:
        out.line(f"{short(found.bundle)} serves every decision of {found.agent} now")
    else:
        steps = ", ".join(percent(step) for step in live.plan.steps)
        out.line(f"its rollout has begun at {percent(live.share)} of the keys; the steps are {steps}")
        out.hint(f"watch it with: trimtab rollouts show {found.agent}")


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
        found, live = _applied(
            trimtab, actor, _id(trimtab, actor, proposal_id), without_canary=without_canary, plan=registered
        )
    document = {"proposal": found, "rollout_id": None if live is None else live.id}
    session.show(document, lambda out: _show_applied(out, found, live))


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

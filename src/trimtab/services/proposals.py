"""Proposals: a challenger with its evidence, and another person's decision on it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from trimtab.core.approvals import OPEN_STATES, ProposalAction, ProposalState, check_four_eyes, next_state
from trimtab.core.bundles import diff
from trimtab.core.rights import Actor, Right
from trimtab.core.rollouts import GuardPlan
from trimtab.errors import ConflictError, ForbiddenError, NotFoundError
from trimtab.services.bundles import named_bundle
from trimtab.services.context import Context, audit, bundle_or_none, check_text, is_id, pointer_of, spec_of, swap
from trimtab.services.replays import Replays
from trimtab.services.rollout_moves import check_not_paused, start_rollout
from trimtab.store import proposals as proposal_store
from trimtab.store.engine import reading, writing
from trimtab.store.proposals import Proposal

LIFETIME = timedelta(days=30)
REPLAY_SPAN = timedelta(days=30)


class Proposals:
    """Challengers put forward, and people's decisions on them."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def create(
        self, actor: Actor, agent: str, bundle: str, *, note: str | None = None, draft: bool = False
    ) -> Proposal:
        """Put a bundle forward with its evidence as of now. A draft asks nobody yet.

        Raises ConflictError when the bundle is champion already or has an open proposal.
        """
        actor.require(Right.PROPOSE)
        check_text("note", note)
        at = self._context.now()
        replay = self._replay(actor, agent, bundle)  # seconds on long logs: no transaction is held meanwhile
        try:
            with writing(self._context.engine) as connection:
                spec_of(connection, agent)
                pointer = pointer_of(connection, agent)
                found = named_bundle(connection, bundle, agent=agent)
                if pointer.champion == found.sha256:
                    raise ConflictError(f"bundle {found.sha256[:12]} is the champion of {agent} already")
                champion = bundle_or_none(connection, pointer.champion)
                changes = diff(champion, found)
                evidence: dict[str, Any] = {
                    "diff": changes.to_mapping(),
                    "diff_lines": changes.lines(),
                    "report": found.document.get("report"),
                    "replay": replay if replay is not None and replay["champion"] == pointer.champion else None,
                }
                proposal = Proposal(
                    id=self._context.new_id(),
                    agent=agent,
                    bundle=found.sha256,
                    champion=pointer.champion,
                    state=ProposalState.DRAFT if draft else ProposalState.PENDING,
                    proposer=actor.name,
                    note=note,
                    evidence=evidence,
                    decided_by=None,
                    decided_at=None,
                    reason=None,
                    created_at=at,
                    expires_at=at + LIFETIME,
                    version=1,
                )
                proposal_store.add(connection, proposal)
                details = {"proposal": proposal.id, "bundle": found.sha256, "state": proposal.state.value}
                audit(connection, actor=actor, at=at, action="proposal.create", subject=agent, details=details)
                return proposal
        except IntegrityError:
            raise ConflictError(
                f"bundle {bundle[:12]} of {agent} has an open proposal already; see: trimtab proposals list {agent}"
            ) from None

    def _replay(self, actor: Actor, agent: str, bundle: str) -> dict[str, Any] | None:
        """The challenger against the champion on the last 30 days; None without a champion or logged decisions."""
        with reading(self._context.engine) as connection:
            if pointer_of(connection, agent).champion is None:
                return None
        found = Replays(self._context).run(actor, agent, bundle, since=self._context.now() - REPLAY_SPAN)
        return found.to_mapping() if found.summary.compared else None

    def get(self, actor: Actor, proposal_id: str) -> Proposal:
        """One proposal. Raises NotFoundError."""
        actor.require(Right.READ)
        with reading(self._context.engine) as connection:
            return _get(connection, proposal_id)

    def listing(
        self, actor: Actor, *, agent: str | None = None, only_open: bool = False, limit: int = 50
    ) -> list[Proposal]:
        """The newest first."""
        actor.require(Right.READ)
        states = tuple(sorted(OPEN_STATES)) if only_open else ()
        with reading(self._context.engine) as connection:
            if agent is not None:
                spec_of(connection, agent)
            return proposal_store.listing(connection, agent=agent, states=states, limit=limit)

    def propose(self, actor: Actor, proposal_id: str) -> Proposal:
        """Ask for a decision on a draft."""
        actor.require(Right.PROPOSE)
        with writing(self._context.engine) as connection:
            return self._move(connection, actor, _get(connection, proposal_id, lock=True), ProposalAction.PROPOSE)

    def approve(self, actor: Actor, proposal_id: str, *, reason: str | None = None) -> Proposal:
        """Say yes to somebody else's proposal. Raises FourEyesError to the proposer."""
        return self._decide(actor, proposal_id, ProposalAction.APPROVE, reason)

    def reject(self, actor: Actor, proposal_id: str, *, reason: str) -> Proposal:
        """Say no to somebody else's proposal, and why."""
        return self._decide(actor, proposal_id, ProposalAction.REJECT, reason)

    def _decide(self, actor: Actor, proposal_id: str, action: ProposalAction, reason: str | None) -> Proposal:
        actor.require(Right.APPROVE)
        check_text("reason", reason)
        with writing(self._context.engine) as connection:
            proposal = _get(connection, proposal_id, lock=True)
            next_state(proposal.state, action)
            check_four_eyes(proposer=proposal.proposer, decider=actor.name)
            if proposal.expires_at <= self._context.now():
                raise ConflictError(f"proposal {proposal.id} expired on {proposal.expires_at:%Y-%m-%d}; propose again")
            now = self._context.now()
            return self._move(connection, actor, proposal, action, decided_by=actor.name, decided_at=now, reason=reason)

    def withdraw(self, actor: Actor, proposal_id: str, *, reason: str | None = None) -> Proposal:
        """Take back one's own proposal, or one that was approved by mistake and is not applied yet."""
        actor.require_any(Right.PROPOSE, Right.APPROVE)
        check_text("reason", reason)
        with writing(self._context.engine) as connection:
            proposal = _get(connection, proposal_id, lock=True)
            if actor.name not in (proposal.proposer, proposal.decided_by):
                raise ForbiddenError(f"only {proposal.proposer} (who proposed) or who approved it can withdraw this")
            changes: dict[str, Any] = {} if reason is None else {"reason": reason}
            return self._move(connection, actor, proposal, ProposalAction.WITHDRAW, **changes)

    def apply(
        self, actor: Actor, proposal_id: str, *, without_canary: bool = False, plan: GuardPlan | None = None
    ) -> Proposal:
        """Start the approved challenger's rollout; or, when said explicitly, let it serve everybody at once.

        Without a champion there is nothing to compare with: the first bundle serves at once.
        """
        actor.require(Right.ROLL_OUT)
        at = self._context.now()
        try:
            with writing(self._context.engine) as connection:
                proposal = _get(connection, proposal_id, lock=True)
                next_state(proposal.state, ProposalAction.APPLY)
                pointer = pointer_of(connection, proposal.agent)
                if pointer.champion != proposal.champion:
                    raise ConflictError(
                        f"the champion of {proposal.agent} changed since this was proposed, so its evidence is about "
                        "another comparison: withdraw it and propose again"
                    )
                direct = without_canary or pointer.champion is None
                if direct:
                    check_not_paused(connection)
                    if pointer.rollout_id is not None:
                        raise ConflictError(
                            f"{proposal.agent} has a live rollout; end it first: trimtab rollouts abort"
                        )
                    previous = pointer.previous if pointer.champion is None else (*pointer.previous, pointer.champion)
                    swap(connection, pointer, at=at, champion=proposal.bundle, previous=previous)
                else:
                    start_rollout(
                        connection,
                        self._context,
                        actor,
                        proposal.agent,
                        proposal.bundle,
                        plan=plan,
                        proposal_id=proposal.id,
                    )
                return self._move(
                    connection, actor, proposal, ProposalAction.APPLY, audit_details={"without_canary": direct}
                )
        except IntegrityError:
            raise ConflictError(
                "somebody else started a rollout of this agent just now; wait for its verdict"
            ) from None

    def expire(self, actor: Actor) -> int:
        """Close pending proposals that nobody decided on in time; returns how many."""
        actor.require(Right.RUN_JOBS)
        now, n = self._context.now(), 0
        with reading(self._context.engine) as connection:
            pending = proposal_store.listing(connection, states=(ProposalState.PENDING,), limit=10_000)
        for one in pending:
            if one.expires_at > now:
                continue
            with writing(self._context.engine) as connection:
                proposal = _get(connection, one.id, lock=True)
                if proposal.state is ProposalState.PENDING:  # nobody decided in the meantime
                    self._move(connection, actor, proposal, ProposalAction.EXPIRE)
                    n += 1
        return n

    def _move(
        self,
        connection: Connection,
        actor: Actor,
        proposal: Proposal,
        action: ProposalAction,
        *,
        audit_details: dict[str, Any] | None = None,
        **changes: Any,
    ) -> Proposal:
        state = next_state(proposal.state, action)
        if not proposal_store.move(connection, proposal, state, **changes):
            raise ConflictError(f"proposal {proposal.id} was decided by somebody else just now; look again")
        details = {"proposal": proposal.id, "bundle": proposal.bundle, "reason": changes.get("reason")}
        audit(
            connection,
            actor=actor,
            at=self._context.now(),
            action=f"proposal.{action}",
            subject=proposal.agent,
            details=details | (audit_details or {}),
        )
        return replace(proposal, state=state, version=proposal.version + 1, **changes)


def _get(connection: Connection, proposal_id: str, *, lock: bool = False) -> Proposal:
    proposal = proposal_store.get(connection, proposal_id, lock=lock) if is_id(proposal_id) else None
    if proposal is None:
        raise NotFoundError(f"proposal {proposal_id[:64]!r} does not exist; list them with: trimtab proposals list")
    return proposal

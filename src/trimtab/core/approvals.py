"""A proposal: a challenger put forward with evidence, and what people may do with it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from trimtab.errors import FourEyesError, IllegalTransitionError


class ProposalState(StrEnum):
    DRAFT = "draft"  # written, nobody was asked yet
    PENDING = "pending"  # waits for somebody other than the proposer
    APPROVED = "approved"  # may be applied
    APPLIED = "applied"  # its rollout was started, or its bundle became champion
    REJECTED = "rejected"  # somebody said no
    WITHDRAWN = "withdrawn"  # taken back before it was applied
    EXPIRED = "expired"  # nobody decided in time


class ProposalAction(StrEnum):
    PROPOSE = "propose"
    APPROVE = "approve"
    REJECT = "reject"
    WITHDRAW = "withdraw"
    EXPIRE = "expire"
    APPLY = "apply"


_S, _A = ProposalState, ProposalAction

TRANSITIONS: Mapping[tuple[ProposalState, ProposalAction], ProposalState] = {
    (_S.DRAFT, _A.PROPOSE): _S.PENDING,
    (_S.DRAFT, _A.WITHDRAW): _S.WITHDRAWN,
    (_S.PENDING, _A.APPROVE): _S.APPROVED,
    (_S.PENDING, _A.REJECT): _S.REJECTED,
    (_S.PENDING, _A.WITHDRAW): _S.WITHDRAWN,
    (_S.PENDING, _A.EXPIRE): _S.EXPIRED,
    (_S.APPROVED, _A.APPLY): _S.APPLIED,
    (_S.APPROVED, _A.WITHDRAW): _S.WITHDRAWN,
}

OPEN_STATES = frozenset({_S.DRAFT, _S.PENDING, _S.APPROVED})


def next_state(state: ProposalState, action: ProposalAction) -> ProposalState:
    """The state after `action`. Raises IllegalTransitionError, naming what is possible from `state`."""
    after = TRANSITIONS.get((state, action))
    if after is None:
        possible = sorted(a.value for s, a in TRANSITIONS if s is state)
        way_out = f"possible now: {', '.join(possible)}" if possible else "it is over; create a new proposal"
        raise IllegalTransitionError(f"a proposal that is {state} cannot {action}: {way_out}")
    return after


def check_four_eyes(*, proposer: str, decider: str) -> None:
    """Two pairs of eyes: who proposed may not decide. Raises FourEyesError."""
    if proposer.strip().casefold() == decider.strip().casefold():
        raise FourEyesError(f"{decider} proposed this and may not decide on it: ask somebody else to approve or reject")

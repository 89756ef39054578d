from __future__ import annotations

from itertools import product

import pytest

from trimtab.core.approvals import (
    OPEN_STATES,
    TRANSITIONS,
    ProposalAction,
    ProposalState,
    check_four_eyes,
    next_state,
)
from trimtab.errors import FourEyesError, IllegalTransitionError

S, A = ProposalState, ProposalAction

TABLE = {
    (S.DRAFT, A.PROPOSE): S.PENDING,
    (S.DRAFT, A.WITHDRAW): S.WITHDRAWN,
    (S.PENDING, A.APPROVE): S.APPROVED,
    (S.PENDING, A.REJECT): S.REJECTED,
    (S.PENDING, A.WITHDRAW): S.WITHDRAWN,
    (S.PENDING, A.EXPIRE): S.EXPIRED,
    (S.APPROVED, A.APPLY): S.APPLIED,
    (S.APPROVED, A.WITHDRAW): S.WITHDRAWN,
}


@pytest.mark.parametrize(
    ("before", "after"), TABLE.items(), ids=lambda one: "-".join(one) if type(one) is tuple else one
)
def test_a_proposal_moves_by_its_table(before: tuple[S, A], after: S) -> None:
    assert next_state(*before) is after


def test_every_other_pair_is_refused_with_what_is_possible() -> None:
    assert dict(TRANSITIONS) == TABLE
    for state, action in set(product(S, A)) - set(TABLE):
        with pytest.raises(IllegalTransitionError, match=f"a proposal that is {state} cannot {action}"):
            next_state(state, action)


def test_what_is_over_says_so_and_what_is_open_names_the_possible() -> None:
    over = {state for state in S if state not in {s for s, _ in TABLE}}
    assert over == {S.APPLIED, S.REJECTED, S.WITHDRAWN, S.EXPIRED}
    assert set(OPEN_STATES) == set(S) - over
    for state in over:
        with pytest.raises(IllegalTransitionError, match="it is over; create a new proposal"):
            next_state(state, A.APPROVE)
    with pytest.raises(IllegalTransitionError, match="possible now: apply, withdraw"):
        next_state(S.APPROVED, A.REJECT)


@pytest.mark.parametrize(
    ("proposer", "decider"), [("ada", "ada"), ("ada", "Ada"), ("ada ", " ADA"), ("straße", "STRASSE")]
)
def test_the_same_person_in_any_spelling_is_one_pair_of_eyes(proposer: str, decider: str) -> None:
    with pytest.raises(FourEyesError, match="ask somebody else"):
        check_four_eyes(proposer=proposer, decider=decider)


def test_another_person_is_the_second_pair() -> None:
    check_four_eyes(proposer="ada", decider="abel")

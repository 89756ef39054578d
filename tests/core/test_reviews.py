from __future__ import annotations

from itertools import product

import pytest

from trimtab.core.reviews import TRANSITIONS, ReviewAction, ReviewState, next_state
from trimtab.errors import IllegalTransitionError

S, A = ReviewState, ReviewAction

TABLE = {
    (S.OPEN, A.CLAIM): S.CLAIMED,
    (S.OPEN, A.EXPIRE): S.EXPIRED,
    (S.CLAIMED, A.LAPSE): S.OPEN,
    (S.CLAIMED, A.ANSWER): S.ANSWERED,
    (S.CLAIMED, A.ANSWER_MORE): S.OPEN,
    (S.CLAIMED, A.SKIP): S.SKIPPED,
    (S.CLAIMED, A.EXPIRE): S.EXPIRED,
    (S.SKIPPED, A.REOPEN): S.OPEN,
    (S.SKIPPED, A.EXPIRE): S.EXPIRED,
    (S.OPEN, A.SETTLE): S.ANSWERED,
    (S.SKIPPED, A.SETTLE): S.ANSWERED,
    (S.ANSWERED, A.ADJUDICATE): S.ADJUDICATED,
    (S.ANSWERED, A.EXPIRE): S.EXPIRED,
}


@pytest.mark.parametrize(
    ("before", "after"), TABLE.items(), ids=lambda one: "-".join(one) if type(one) is tuple else one
)
def test_a_question_moves_by_its_table(before: tuple[S, A], after: S) -> None:
    assert next_state(*before) is after


def test_every_other_pair_is_refused_with_what_is_possible() -> None:
    assert dict(TRANSITIONS) == TABLE
    for state, action in set(product(S, A)) - set(TABLE):
        possible = sorted(a for s, a in TABLE if s is state)
        words = f"possible now: {', '.join(possible)}" if possible else "it is over"
        with pytest.raises(IllegalTransitionError, match=f"that is {state} cannot {action}: {words}"):
            next_state(state, action)

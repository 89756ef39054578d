from __future__ import annotations

from itertools import product

import pytest

from trimtab.core.job_runs import TRANSITIONS, JobAction, JobState, next_state
from trimtab.errors import IllegalTransitionError

S, A = JobState, JobAction

TABLE = {
    (S.DUE, A.START): S.RUNNING,
    (S.RUNNING, A.START): S.RUNNING,
    (S.RUNNING, A.SUCCEED): S.SUCCEEDED,
    (S.RUNNING, A.FAIL): S.FAILED,
    (S.RUNNING, A.GIVE_UP): S.DEAD,
    (S.FAILED, A.START): S.RUNNING,
    (S.DEAD, A.START): S.RUNNING,
}


@pytest.mark.parametrize(
    ("before", "after"), TABLE.items(), ids=lambda one: "-".join(one) if type(one) is tuple else one
)
def test_a_run_moves_by_its_table(before: tuple[S, A], after: S) -> None:
    assert next_state(*before) is after


def test_every_other_pair_is_refused() -> None:
    assert dict(TRANSITIONS) == TABLE
    for state, action in set(product(S, A)) - set(TABLE):
        with pytest.raises(IllegalTransitionError, match=f"a job run that is {state} cannot {action}"):
            next_state(state, action)

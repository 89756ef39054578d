from __future__ import annotations

import json
import math
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.core.rollouts import (
    EXPOSED_STATES,
    LIVE_STATES,
    TRANSITIONS,
    Goal,
    GuardPlan,
    Metric,
    RolloutAction,
    RolloutState,
    next_state,
)
from trimtab.errors import IllegalTransitionError, InvalidPlanError

S, A = RolloutState, RolloutAction

TABLE = {
    (S.PLANNED, A.START): S.RUNNING,
    (S.PLANNED, A.ABORT): S.ABORTED,
    (S.RUNNING, A.ADVANCE): S.RUNNING,
    (S.RUNNING, A.JUMP): S.RUNNING,
    (S.RUNNING, A.HOLD): S.HELD,
    (S.RUNNING, A.PROMOTE): S.PROMOTED,
    (S.RUNNING, A.ROLL_BACK): S.ROLLED_BACK,
    (S.RUNNING, A.CONCLUDE): S.INCONCLUSIVE,
    (S.RUNNING, A.ABORT): S.ABORTED,
    (S.HELD, A.RESUME): S.RUNNING,
    (S.HELD, A.PROMOTE): S.PROMOTED,
    (S.HELD, A.ROLL_BACK): S.ROLLED_BACK,
    (S.HELD, A.CONCLUDE): S.INCONCLUSIVE,
    (S.HELD, A.ABORT): S.ABORTED,
}


@pytest.mark.parametrize(
    ("before", "after"), TABLE.items(), ids=lambda one: "-".join(one) if type(one) is tuple else one
)
def test_a_rollout_moves_by_its_table(before: tuple[S, A], after: S) -> None:
    assert next_state(*before) is after


def test_every_other_pair_is_refused_with_what_is_possible() -> None:
    assert dict(TRANSITIONS) == TABLE
    for state, action in set(product(S, A)) - set(TABLE):
        with pytest.raises(IllegalTransitionError, match=f"a rollout that is {state} cannot {action}"):
            next_state(state, action)


def test_terminal_is_terminal_and_whatever_is_exposed_can_be_rolled_back() -> None:
    terminal = set(S) - LIVE_STATES
    assert terminal == {S.PROMOTED, S.ROLLED_BACK, S.INCONCLUSIVE, S.ABORTED}
    for state, action in product(terminal, A):
        with pytest.raises(IllegalTransitionError, match="it is over; start a new rollout"):
            next_state(state, action)
    assert all(next_state(state, A.ROLL_BACK) is S.ROLLED_BACK for state in EXPOSED_STATES)


# ---- plans ----

shares = st.lists(st.floats(0.001, 0.999), min_size=1, max_size=6, unique=True).map(lambda s: (*sorted(s), 1.0))
rates = st.floats(0.001, 0.499)
seconds = st.integers(0, 10**6)


@st.composite
def plans(draw: st.DrawFn) -> GuardPlan:
    dwell = draw(seconds)
    alpha = draw(st.floats(0.01, 0.49))
    return GuardPlan(
        steps=draw(shares),
        dwell=timedelta(seconds=dwell),
        goal=draw(st.sampled_from(Goal)),
        metrics=tuple(draw(st.lists(st.sampled_from(Metric), min_size=1, unique=True))),
        alpha_rollback=alpha,
        alpha_promote=draw(rates),
        quality_margin=draw(rates),
        failure_alpha=alpha * draw(st.floats(0.01, 0.99)),
        latency_p50_ms=draw(st.none() | st.floats(0.001, 1e9)),
        min_labels=draw(st.integers(1, 10**6)),
        max_duration=timedelta(seconds=dwell + draw(st.integers(1, 10**6))),
        grace=timedelta(seconds=draw(seconds)),
    )


@settings(max_examples=60, deadline=None)
@given(plan=plans())
def test_a_plan_survives_json_with_the_same_name(plan: GuardPlan) -> None:
    again = GuardPlan.from_mapping(json.loads(json.dumps(plan.to_mapping())))
    assert again == plan
    assert again.sha256 == plan.sha256


def test_any_change_makes_another_plan() -> None:
    names = {GuardPlan().sha256, GuardPlan(min_labels=13).sha256, GuardPlan(goal=Goal.NON_INFERIOR).sha256}
    assert len(names) == 3


def test_what_is_not_said_is_the_default() -> None:
    assert GuardPlan.from_mapping({}) == GuardPlan()
    assert GuardPlan.from_mapping({"dwell_s": 3600, "min_keys": 5.0}) == GuardPlan(dwell=timedelta(hours=1), min_keys=5)


HOSTILE: list[tuple[Any, str]] = [
    (None, "plan: must be a table"),
    ([], "plan: must be a table"),
    ("steps", "plan: must be a table"),
    ({"stepz": 1}, "plan.stepz: unknown; known are"),
    ({1: 1}, "plan.1: unknown"),
    ({"steps": "0.1"}, "plan.steps: must be a list"),
    ({"steps": []}, "steps: the last step must be 1.0"),
    ({"steps": [0.1, 0.5]}, "steps: the last step must be 1.0"),
    ({"steps": [1.0]}, "steps: at least one share below 1.0"),
    ({"steps": [0.5, 0.5, 1.0]}, "steps: shares must rise"),
    ({"steps": [0.5, 0.1, 1.0]}, "steps: shares must rise"),
    ({"steps": [0.0, 1.0]}, "steps: shares must rise"),
    ({"steps": [-0.1, 1.0]}, "steps: shares must rise"),
    ({"steps": [math.nan, 1.0]}, r"plan.steps\[0\]: must be a finite number"),
    ({"steps": [True, 1.0]}, r"plan.steps\[0\]: must be a finite number"),
    ({"steps": ["0.1", 1.0]}, r"plan.steps\[0\]: must be a finite number"),
    ({"steps": [i / 200 for i in range(1, 150)] + [1.0]}, "steps: at most 100 shares"),
    ({"alpha_promote": 0.0}, r"alpha_promote: must lie in \(0, 0.5\)"),
    ({"alpha_promote": 0.5}, r"alpha_promote: must lie in \(0, 0.5\)"),
    ({"alpha_promote": math.inf}, "plan.alpha_promote: must be a finite number"),
    ({"alpha_promote": 10**400}, "plan.alpha_promote: must be a finite number"),
    ({"alpha_promote": None}, "plan.alpha_promote: must be a finite number"),
    ({"failure_alpha": 0.2}, "failure_alpha: must be smaller than alpha_rollback"),
    ({"quality_margin": 1.0}, r"quality_margin: must lie in \(0, 1\)"),
    ({"failure_ceiling": -1}, r"failure_ceiling: must lie in \(0, 1\)"),
    ({"latency_p50_ms": 0}, "latency_p50_ms: must be above 0"),
    ({"cost_p99_usd": math.nan}, "plan.cost_p99_usd: must be a finite number"),
    ({"min_labels": 0}, "min_labels: must be at least 1"),
    ({"min_labels": 1.5}, "plan.min_labels: must be a whole number"),
    ({"min_keys": True}, "plan.min_keys: must be a finite number"),
    ({"max_decisions": -5}, "max_decisions: must be at least 1"),
    ({"dwell_s": -1}, "plan.dwell_s: must lie between 0 and ten years"),
    ({"dwell_s": 1e12}, "plan.dwell_s: must lie between 0 and ten years"),
    ({"dwell_s": "1h"}, "plan.dwell_s: must be a finite number"),
    ({"max_duration_s": 60}, "max_duration: must be longer than the dwell"),
    ({"goal": "best"}, "plan.goal: must be one of better, non_inferior"),
    ({"goal": []}, "plan.goal: must be one of"),
    ({"metrics": []}, "metrics: name each once, at least one"),
    ({"metrics": ["quality", "quality"]}, "metrics: name each once"),
    ({"metrics": ["beauty"]}, "plan.metrics: must be among"),
    ({"metrics": [{}]}, "plan.metrics: must be among"),
    ({"metrics": "quality"}, "plan.metrics: must be a list"),
]


@pytest.mark.parametrize(("given", "words"), HOSTILE, ids=[words for _, words in HOSTILE])
def test_a_plan_from_outside_is_refused_by_the_name_of_its_field(given: Any, words: str) -> None:
    with pytest.raises(InvalidPlanError, match=words):
        GuardPlan.from_mapping(given)


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(given=st.dictionaries(st.sampled_from([*GuardPlan().to_mapping(), "odd"]), junk, min_size=1, max_size=4))
def test_whatever_a_plan_holds_it_is_read_or_refused(given: dict[str, Any]) -> None:
    try:
        plan = GuardPlan.from_mapping(given)
    except InvalidPlanError:
        return
    assert plan.steps[-1] == 1.0


def test_the_share_of_a_step_that_the_plan_does_not_have_is_refused() -> None:
    assert [GuardPlan().share(i) for i in range(3)] == [0.10, 0.50, 1.0]
    for step in (-1, 3):
        with pytest.raises(InvalidPlanError, match="the plan has steps 0 to 2"):
            GuardPlan().share(step)


def test_negative_durations_are_refused() -> None:
    with pytest.raises(InvalidPlanError, match="dwell, grace: must not be negative"):
        GuardPlan(grace=timedelta(seconds=-1))

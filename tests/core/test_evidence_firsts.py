"""First scores bet against the drawing of the arms: counts, the promise under peeking and drift, what is refused."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from bench import vector
from hypothesis import given
from hypothesis import strategies as st

from trimtab.core.assignment import Arm
from trimtab.core.evidence.firsts import LOG_WEIGHTS, FirstScores, factors, log_e_first_scores_below
from trimtab.core.evidence.outcomes import ArmSummary, KeySums, Outcome, StepSummary
from trimtab.core.guard import RolloutEvidence
from trimtab.core.guard.comparisons import log_e_score_below
from trimtab.core.rollouts import GuardPlan, Metric
from trimtab.errors import InvalidStatisticError

scores = st.lists(st.floats(0, 1) | st.sampled_from([0.0, 0.25, 0.3, 1.0]), max_size=25)
PLAN = GuardPlan(metrics=(Metric.SCORE,))


def firsts(values: list[float]) -> FirstScores:
    found = FirstScores()
    for value in values:
        found = found.add(value)
    return found


def binary(zeros: int, ones: int) -> FirstScores:
    return FirstScores(counts=(float(zeros), *(0.0,) * 9, float(ones)))


@given(a=scores, b=scores, seed=st.randoms())
def test_merging_is_the_whole_and_order_does_not_matter(a: list[float], b: list[float], seed: object) -> None:
    shuffled = [*a, *b]
    seed.shuffle(shuffled)  # type: ignore[attr-defined]
    merged = firsts(a).merge(firsts(b))
    assert merged.counts == pytest.approx(firsts(shuffled).counts, abs=1e-9)
    assert merged == firsts(b).merge(firsts(a))
    assert merged.n == pytest.approx(len(shuffled))
    assert FirstScores.from_mapping(merged.to_mapping()) == merged


@given(values=scores)
def test_the_counts_keep_the_mean_of_the_scores(values: list[float]) -> None:
    counts = firsts(values).counts
    assert sum(c * i / 10 for i, c in enumerate(counts)) == pytest.approx(sum(values))


@given(
    share=st.floats(0.01, 0.99),
    margin=st.floats(0, 0.2),
    means=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_no_bet_expects_to_gain_while_the_canary_is_not_worse_than_the_margin(
    share: float, margin: float, means: tuple[float, float]
) -> None:
    baseline, canary = means[0], max(means[1], means[0] - margin)
    for place in ((0, 10), (2, 8)):  # scores 0 or 1, and .2 or .8, with these means
        low, high = (p / 10 for p in place)
        expected = np.zeros(len(LOG_WEIGHTS))
        for weight, mean, rows in zip((share, 1 - share), (canary, baseline), factors(share, margin), strict=True):
            upper = (min(max(mean, low), high) - low) / (high - low)
            expected += weight * ((1 - upper) * np.exp(rows[place[0]]) + upper * np.exp(rows[place[1]]))
        assert (expected <= 1 + 1e-9).all()


@given(counts=st.tuples(*(st.integers(0, 40),) * 4), share=st.floats(0.05, 0.95), value=st.floats(0, 1))
def test_a_score_between_two_points_is_never_more_evidence_than_it_is(
    counts: tuple[int, int, int, int], share: float, value: float
) -> None:
    canary, baseline = binary(counts[0], counts[1]), binary(counts[2], counts[3])
    kept = log_e_first_scores_below([(canary.add(value), baseline, share)])
    before = np.array([c * np.array(r) for a, rows in zip((canary, baseline), factors(share, 0.0), strict=True)
                       for c, r in zip(a.counts, rows, strict=True)]).sum(axis=0)  # fmt: skip
    slope = np.exp(factors(share, 0.0)[0][10]) - np.exp(factors(share, 0.0)[0][0])
    true = before + np.log(np.exp(factors(share, 0.0)[0][0]) + value * slope)
    assert kept <= np.log(np.exp(true + np.array(LOG_WEIGHTS)).sum()) + 1e-9


def test_arms_of_equal_quality_are_rarely_called_worse_however_often_one_looks_and_however_they_drift() -> None:
    rng = np.random.default_rng(21)
    runs, keys, alarms = 1500, 3000, 0
    for start in range(0, runs, 250):
        count = min(250, runs - start)
        drift = np.where(np.arange(keys) < 1000, 0.99, 0.6)  # a drop of 39 points that both arms share
        canary = rng.random((count, keys)) < 0.1
        score = rng.random((count, keys)) < drift
        log_e = vector.first_scores_log_e(canary, score, 0.1)
        alarms += int((log_e >= math.log(1 / 0.025)).any(axis=1).sum())
    assert alarms / runs <= 0.025


def test_a_heavy_loss_is_seen_before_thirty_canary_keys() -> None:
    summary = StepSummary(
        canary=ArmSummary(keys=12, first_scores=binary(9, 3)),
        baseline=ArmSummary(keys=108, first_scores=binary(8, 100)),
    )
    log_e = log_e_score_below(PLAN, RolloutEvidence(steps=(summary,)), 0.0)
    assert log_e is not None
    assert log_e >= math.log(1 / 0.025)


def test_without_a_score_in_each_arm_the_score_says_nothing() -> None:
    empty = StepSummary(canary=ArmSummary(first_scores=binary(3, 0)))
    assert log_e_score_below(PLAN, RolloutEvidence(), 0.0) is None
    assert log_e_score_below(PLAN, RolloutEvidence(steps=(empty,)), 0.0) is None
    assert log_e_first_scores_below([]) == pytest.approx(0.0, abs=1e-12)
    assert log_e_first_scores_below([(binary(9, 0), binary(0, 9), 1.0)]) == pytest.approx(0.0, abs=1e-12)


def test_only_the_first_outcome_of_a_key_new_to_the_rollout_counts() -> None:
    arm, key = ArmSummary().add(Outcome(score=0.5), key=KeySums(), plan=PLAN, arm=Arm.CANARY, new_key=True)
    arm, key = arm.add(Outcome(score=1.0), key=key, plan=PLAN, arm=Arm.CANARY)
    arm, _ = arm.add(Outcome(failed=True), key=KeySums(), plan=PLAN, arm=Arm.CANARY, new_key=True)
    assert arm.first_scores.counts == (0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0)
    assert ArmSummary.from_mapping(arm.to_mapping()) == arm
    assert replace(arm, first_scores=FirstScores()).merge(arm).first_scores == arm.first_scores


def test_the_benchmarks_vectors_equal_the_core() -> None:
    rng = np.random.default_rng(3)
    canary, score = rng.random((1, 200)) < 0.3, rng.random((1, 200)) < 0.8
    found = vector.first_scores_log_e(canary, score, 0.3, margin=0.02)[0, -1]
    arms = [binary(int((m & ~score).sum()), int((m & score).sum())) for m in (canary, ~canary)]
    assert found == pytest.approx(log_e_first_scores_below([(arms[0], arms[1], 0.3)], 0.02), abs=1e-9)


@pytest.mark.parametrize("given_score", [math.nan, -0.1, 1.1, math.inf, True])
def test_an_impossible_score_is_refused(given_score: float) -> None:
    with pytest.raises(InvalidStatisticError):
        FirstScores().add(given_score)


def test_an_impossible_share_margin_or_stored_count_is_refused() -> None:
    pair = (binary(1, 1), binary(1, 1))
    for share, margin in ((-0.1, 0.0), (1.5, 0.0), (math.nan, 0.0), (0.1, -0.1), (0.1, 1.0), (0.1, math.nan)):
        with pytest.raises(InvalidStatisticError):
            log_e_first_scores_below([(*pair, share)], margin)
    for counts in ([1.0] * 10, [-1.0] + [0.0] * 10, [math.nan] + [0.0] * 10, "x", None):
        with pytest.raises(InvalidStatisticError):
            FirstScores.from_mapping({"v": 1, "counts": counts})

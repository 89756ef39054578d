"""Served outcomes: failures, clustered moments, judged means, splits, and their stored forms."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from bench import ppi, vector
from bench.guard import keyed_path, running_key_sums
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from trimtab.core.assignment import Arm
from trimtab.core.evidence.bets import cell_of
from trimtab.core.evidence.exposure import SplitCounts, log_e_split
from trimtab.core.evidence.failures import FailureCounts, log_e_failures_not_inferior
from trimtab.core.evidence.ledger import LedgerEntry, ledger_total
from trimtab.core.evidence.moments import KeySum, Moments, difference
from trimtab.core.evidence.outcomes import ArmSummary, KeySums, Outcome, StepSummary
from trimtab.core.evidence.paired import PairedSummary
from trimtab.core.evidence.predictions import PredictionSums
from trimtab.core.evidence.wealth import log_e_difference
from trimtab.core.rollouts import GuardPlan
from trimtab.errors import InvalidPlanError, InvalidStatisticError

PLAN = GuardPlan(latency_p50_ms=400.0, latency_p95_ms=900.0, cost_p99_usd=0.02)


def single(values: Any) -> Moments:
    found = Moments()
    for v in values:
        found = found.add(float(v))
    return found


def test_half_of_all_decisions_failing_is_noticed_within_twelve() -> None:
    rng = np.random.default_rng(3)
    when = []
    for row in rng.random((400, 60)) < 0.5:
        counts = FailureCounts()
        for hit in row:
            counts = counts.add(bool(hit))
            if counts.log_e_above(0.02) >= math.log(100):
                break
        when.append(counts.n)
    assert np.percentile(when, 95) <= 12


def test_failures_at_the_ceiling_rarely_ring() -> None:
    rng = np.random.default_rng(4)
    rung = 0
    for row in rng.random((300, 500)) < 0.02:
        failed = np.cumsum(row)
        rung += any(
            FailureCounts(n=i + 1, failed=int(failed[i])).log_e_above(0.02) >= math.log(100) for i in range(0, 500, 5)
        )
    assert rung / 300 <= 0.03


@given(st.integers(0, 30), st.integers(0, 30), st.floats(0.01, 0.9))
def test_the_failure_e_value_is_a_mixture_of_likelihood_ratios(failed: int, fine: int, ceiling: float) -> None:
    counts = FailureCounts(n=failed + fine, failed=failed)
    ratio = 5.0
    odds = ratio * ceiling / (1 - ceiling)
    p = odds / (1 + odds)
    expected = failed * math.log(p / ceiling) + fine * math.log((1 - p) / (1 - ceiling))
    assert counts.log_wealths(ceiling, (ratio,))[0] == pytest.approx(expected, abs=1e-9)


def test_failures_are_not_inferior_after_some_hundred_outcomes_without_one() -> None:
    def shown(n: int) -> bool:
        found = log_e_failures_not_inferior([(FailureCounts(n=n), FailureCounts(n=9 * n))], 0.01, 0.025)
        return found >= math.log(40)

    assert not shown(200)
    assert shown(600)
    assert log_e_failures_not_inferior([], 0.01, 0.025) < 0


def test_a_baseline_that_fails_as_often_is_taken_into_account() -> None:
    both = FailureCounts(n=60_000, failed=1800)
    alone = FailureCounts(n=60_000)
    assert log_e_failures_not_inferior([(both, both)], 0.01, 0.025) >= math.log(40)
    assert log_e_failures_not_inferior([(both, alone)], 0.01, 0.025) < 0


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 1)), min_size=1, max_size=60))
def test_updates_key_by_key_give_the_clustered_sums_of_the_whole(rows: list[tuple[int, float]]) -> None:
    found, sums = Moments(), dict.fromkeys(range(6), KeySum())
    for key, value in rows:
        after = sums[key].add(value)
        found = found.update(sums[key], after)
        sums[key] = after
    used = [s for s in sums.values() if s.n]
    mean = sum(v for _, v in rows) / len(rows)
    assert found.n == len(rows)
    assert found.keys == len(used)
    assert found.residual() == pytest.approx(sum((s.total - mean * s.n) ** 2 for s in used), abs=1e-9)


@given(st.lists(st.floats(0, 1), max_size=30), st.lists(st.floats(0, 1), max_size=30))
def test_merged_moments_equal_the_whole(a: list[float], b: list[float]) -> None:
    merged, whole = single(a).merge(single(b)), single(a + b)
    assert merged.n == whole.n
    assert merged.total == pytest.approx(whole.total)
    assert merged.residual() == pytest.approx(whole.residual(), abs=1e-9)


def test_a_difference_is_silent_below_thirty_keys_an_arm() -> None:
    few, many = single([1.0] * 29), single([1.0] * 300)
    assert difference([(few, many)]) is None
    assert difference([(many, few)]) is None
    assert difference([]) is None
    assert difference([(Moments(), many)]) is None


def test_an_arm_without_a_failure_never_claims_certainty() -> None:
    perfect, usual = single([1.0] * 40), single([1.0] * 340 + [0.0] * 20)
    found = difference([(perfect, usual)])
    assert found is not None
    assert found.variance >= 340 * 20 / 360**2 / 40


def test_a_drift_that_both_arms_share_is_not_a_difference() -> None:
    early = (single([1.0] * 90 + [0.0] * 10), single([1.0] * 810 + [0.0] * 90))
    late = (single([1.0] * 800 + [0.0] * 200), single([1.0] * 800 + [0.0] * 200))
    found = difference([early, late])
    assert found is not None
    assert found.estimate == pytest.approx(0.0, abs=1e-12)


def test_an_arm_says_the_same_however_its_keys_are_split_over_partitions() -> None:
    rng = np.random.default_rng(5)
    outcomes = [
        Outcome(failed=bool(rng.random() < 0.1), score=float(rng.random()), latency_ms=float(rng.lognormal(6, 0.5)))
        for _ in range(60)
    ]

    def arm_of(part: list[int]) -> ArmSummary:
        arm, keys = ArmSummary(), dict.fromkeys(range(10), KeySums())
        for i in part:
            arm, keys[i % 10] = arm.add(outcomes[i], key=keys[i % 10], plan=PLAN, arm=Arm.CANARY)
        return arm

    whole = arm_of(list(range(60)))
    merged = arm_of([i for i in range(60) if i % 10 < 4]).merge(arm_of([i for i in range(60) if i % 10 >= 4]))
    assert merged.keys == whole.keys == 10
    assert merged.failures == whole.failures
    assert merged.over_p50 == whole.over_p50
    assert merged.log_latency.residual() == pytest.approx(whole.log_latency.residual())


def test_what_was_not_reported_is_not_counted() -> None:
    arm, key = ArmSummary().add(Outcome(failed=False), key=KeySums(), plan=PLAN, arm=Arm.BASELINE)
    assert (arm.keys, arm.failures.n, arm.score.n, arm.log_latency.n, arm.cost.n) == (1, 1, 0, 0, 0)
    again, _ = arm.add(Outcome(cost_usd=0.01), key=key, plan=GuardPlan(), arm=Arm.BASELINE)
    assert (again.keys, again.failures.n, again.cost.n) == (1, 1, 0)


def test_the_baseline_is_counted_against_the_tolerated_threshold() -> None:
    outcome = Outcome(latency_ms=390.0)
    canary, _ = ArmSummary().add(outcome, key=KeySums(), plan=PLAN, arm=Arm.CANARY)
    baseline, _ = ArmSummary().add(outcome, key=KeySums(), plan=PLAN, arm=Arm.BASELINE)
    assert (canary.over_p50.total, baseline.over_p50.total) == (0.0, 1.0)


@pytest.mark.parametrize(
    "wrong", [{"score": 1.2}, {"score": math.nan}, {"latency_ms": -1.0}, {"cost_usd": math.inf}, {"score": "0.5"}]
)
def test_an_impossible_outcome_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidStatisticError):
        Outcome(**wrong)


def test_a_plan_with_an_impossible_frozen_threshold_is_refused() -> None:
    with pytest.raises(InvalidPlanError, match="latency_p95_ms"):
        GuardPlan(latency_p95_ms=0.0)
    with pytest.raises(InvalidPlanError, match="label_inclusion"):
        GuardPlan(label_inclusion=0.0)
    assert GuardPlan.from_mapping(PLAN.to_mapping()) == PLAN
    assert GuardPlan.from_mapping(GuardPlan().to_mapping()) == GuardPlan()


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.05, 1)), max_size=20))
def test_a_stored_step_comes_back_equal(rows: list[tuple[float, float]]) -> None:
    arm, key = ArmSummary(), KeySums()
    for score, inclusion in rows:
        outcome = Outcome(failed=score > 0.9, score=score, latency_ms=100 * score, cost_usd=score / 100)
        arm, key = arm.add(outcome, key=key, plan=PLAN, arm=Arm.CANARY)
        arm = arm.add_judged(score).add_judged_label(score, score, inclusion=inclusion)
    step = StepSummary(exposed=SplitCounts(canary=3, baseline=8)).with_arm(Arm.CANARY, arm)
    assert StepSummary.from_mapping(json.loads(json.dumps(step.to_mapping()))) == step
    assert KeySums.from_mapping(json.loads(json.dumps(key.to_mapping()))) == key
    assert step.arm(Arm.CANARY) == arm
    assert step.arm(Arm.BASELINE) == ArmSummary()


@pytest.mark.parametrize(
    ("reader", "given"),
    [
        (FailureCounts, {"v": 1, "n": 1, "failed": 2}),
        (FailureCounts, {"v": 1, "n": 1}),
        (Moments, {**Moments().to_mapping(), "keys": 3}),
        (Moments, {**Moments().to_mapping(), "total": math.nan}),
        (SplitCounts, {"v": 1, "canary": -1, "baseline": 0}),
        (PredictionSums, {**PredictionSums().to_mapping(), "labels": 4}),
        (PredictionSums, {**PredictionSums().to_mapping(), "ww": -1.0}),
        (KeySums, {**KeySums().to_mapping(), "score": [1]}),
        (ArmSummary, {**ArmSummary().to_mapping(), "keys": "1"}),
        (StepSummary, {"v": 1}),
    ],
)
def test_hostile_stored_outcomes_are_refused(reader: Any, given: Any) -> None:
    with pytest.raises(InvalidStatisticError):
        reader.from_mapping(given)


def test_the_split_e_value_equals_scipys_dirichlet_multinomial() -> None:
    counts = SplitCounts(canary=37, baseline=263)
    expected = stats.betabinom.logpmf(37, 300, 100, 900) - stats.binom.logpmf(37, 300, 0.1)
    assert log_e_split([(counts, 0.1)]) == pytest.approx(float(expected), abs=1e-9)
    assert log_e_split([(counts, 0.1), (counts, 0.1)]) == pytest.approx(2 * float(expected), abs=1e-9)
    assert log_e_split([]) == 0.0
    assert log_e_split([(SplitCounts(canary=5, baseline=1), 1.0)]) == 0.0
    with pytest.raises(InvalidStatisticError, match="share"):
        log_e_split([(counts, 0.0)])


def test_judges_help_without_moving_the_estimate_away_from_the_labels() -> None:
    rng = np.random.default_rng(6)
    covered = 0
    for _ in range(300):
        y = (rng.random(1000) < 0.8).astype(float)
        f = np.clip(np.where(rng.random(1000) < 0.9, y, 1 - y) + 0.1, 0, 1)  # a judge that flatters
        inclusion = np.full(1000, 0.15)
        mean = ppi.sums(y, f, rng.random(1000) < inclusion, inclusion).mean()
        assert mean is not None
        covered += abs(mean.estimate - 0.8) <= 1.96 * math.sqrt(mean.variance)
    assert covered / 300 >= 0.91


def test_a_judge_that_always_says_the_same_changes_nothing() -> None:
    sums = PredictionSums()
    for i in range(60):
        sums = sums.add_prediction(0.7).add_label(float(i % 3 == 0), 0.7, inclusion=1.0)
    mean, alone = sums.mean(), sums.mean(tuning=0.0)
    assert mean is not None
    assert alone is not None
    assert mean.tuning == 0.0
    assert mean.estimate == alone.estimate == pytest.approx(1 / 3)


def test_too_few_labels_or_none_that_differ_give_no_predicted_mean() -> None:
    sums = PredictionSums()
    for _ in range(29):
        sums = sums.add_prediction(0.5).add_label(1.0, 0.5, inclusion=1.0)
    assert sums.mean() is None
    assert sums.add_prediction(0.5).add_label(1.0, 0.5, inclusion=1.0).mean() is None
    with pytest.raises(InvalidStatisticError):
        sums.mean(tuning=1.5)


def test_sums_of_arrays_equal_sums_one_by_one() -> None:
    rng = np.random.default_rng(7)
    y, f, inclusion = rng.random(50), rng.random(50), rng.uniform(0.1, 1, 50)
    drawn = rng.random(50) < inclusion
    one = PredictionSums()
    for i in range(50):
        one = one.add_prediction(float(f[i]))
        if drawn[i]:
            one = one.add_label(float(y[i]), float(f[i]), inclusion=float(inclusion[i]))
    whole = ppi.sums(y, f, drawn, inclusion).to_mapping()
    assert whole == pytest.approx(one.to_mapping())
    assert one.merge(PredictionSums()) == one


def test_the_benchmarks_vectors_equal_the_core() -> None:
    rng = np.random.default_rng(8)
    key = rng.integers(0, 60, (1, 400))
    y = (rng.random((1, 400)) < 0.8).astype(float)
    in_canary = rng.random(60) < 0.5
    served = in_canary[key]
    n_before, s_before = running_key_sums(key, y)
    paths = [keyed_path(m, y, n_before, s_before) for m in (served, ~served)]
    arms = {True: Moments(), False: Moments()}
    sums = dict.fromkeys(range(60), KeySum())
    for k, value, canary in zip(key[0], y[0], served[0], strict=True):
        after = sums[int(k)].add(float(value))
        arms[bool(canary)] = arms[bool(canary)].update(sums[int(k)], after)
        sums[int(k)] = after
    core = difference([(arms[True], arms[False])])
    if core is None:
        core = difference([(arms[True].merge(arms[True]), arms[False].merge(arms[False]))])
    with np.errstate(all="ignore"):
        _, d, v = vector.step_difference(paths[0], paths[1])
    weightless = difference([(single(y[0][:200]), single(y[0][200:]))])
    assert weightless is not None
    assert core is not None
    assert d[0, -1] == pytest.approx(core.estimate, abs=1e-12)
    log_e = vector.log_e_difference(d[:, -1:], v[:, -1:], null=-0.03, rho=500.0)[0, 0]
    assert log_e == pytest.approx(log_e_difference(d[0, -1], v[0, -1], null=-0.03, rho=500.0), abs=1e-9)


def test_the_benchmarks_variance_and_paired_bets_equal_the_core() -> None:
    rng = np.random.default_rng(9)
    served, y = rng.random((1, 600)) < 0.3, (rng.random((1, 600)) < 0.9).astype(float)
    canary, baseline = (vector.ArmPath.of_single_keys(m, y) for m in (served, ~served))
    core = difference([(single(y[0][served[0]]), single(y[0][~served[0]]))])
    assert core is not None
    with np.errstate(all="ignore"):
        part = vector.step_difference(canary, baseline)
        d, v = vector.stratified([part, part])
    assert part[1][0, -1] == pytest.approx(core.estimate, abs=1e-12)
    assert part[2][0, -1] == pytest.approx(core.variance, rel=1e-12)
    assert d[0, -1] == pytest.approx(core.estimate, abs=1e-12)
    assert v[0, -1] == pytest.approx(core.variance / 2, rel=1e-12)
    summary = PairedSummary(labels=((cell_of(1.0), 7, 0, 19),))
    found = vector.paired_log_e(np.array([19, 7]), np.array([7, 19]))
    assert found == pytest.approx([summary.log_e_above(), summary.log_e_below()], abs=1e-9)


def test_the_ledger_adds_up_what_many_rollouts_may_get_wrong() -> None:
    total = ledger_total([LedgerEntry(rollout=f"r{i}", alpha_promote=0.025, alpha_rollback=0.05) for i in range(50)])
    assert (total.rollouts, total.false_promotions, total.any_false_promotion) == (50, 1.25, 1.0)
    assert ledger_total([]).to_mapping() == {
        "rollouts": 0,
        "false_promotions": 0,
        "false_rollbacks": 0,
        "any_false_promotion": 0,
    }

"""The guard's decisions: what each state of the evidence leads to, and what it refuses to claim."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from bench import ppi
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.core.canonical import canonical_json
from trimtab.core.evidence.bets import cell_of
from trimtab.core.evidence.exposure import SplitCounts
from trimtab.core.evidence.failures import FailureCounts
from trimtab.core.evidence.moments import Moments
from trimtab.core.evidence.outcomes import ArmSummary, StepSummary
from trimtab.core.evidence.paired import PairedSummary
from trimtab.core.guard import Assessment, GuardDecision, ReasonCode, RolloutEvidence, Verdict, assess, harm_reasons
from trimtab.core.rollouts import Goal, GuardPlan, Metric
from trimtab.errors import InvalidPlanError, InvalidStatisticError

START = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
PLAN = GuardPlan()
QUALITY = GuardPlan(metrics=(Metric.QUALITY,))


def paired(
    better: int, worse: int, *, equal: int = 0, compared: int = 500, discordant: int | None = None
) -> PairedSummary:
    n = better + worse + equal
    return PairedSummary(
        compared=compared,
        discordant=n if discordant is None else discordant,
        labels=((cell_of(1.0), worse, equal, better),) if n else (),
    )


def arm(n: int, *, rate: float = 0.85, failed: int = 0, log_latency: float | None = None) -> ArmSummary:
    def moments(mean: float, spread: float) -> Moments:
        total = mean * n
        return Moments(n=n, keys=n, total=total, squares=n * (mean**2 + spread**2), cross=total, sizes=n)

    found = ArmSummary(
        keys=n, failures=FailureCounts(n=n, failed=failed), score=moments(rate, math.sqrt(rate * (1 - rate)))
    )
    return found if log_latency is None else replace(found, log_latency=moments(log_latency, 0.5))


def evidence(
    pairs: PairedSummary | None = None,
    *,
    canary: ArmSummary | None = None,
    baseline: ArmSummary | None = None,
    share: float = 0.1,
    keys: int = 2000,
) -> RolloutEvidence:
    exposed = SplitCounts(canary=round(share * keys), baseline=keys - round(share * keys))
    step = StepSummary(exposed=exposed, canary=canary or arm(800), baseline=baseline or arm(7200))
    return RolloutEvidence(paired=pairs or PairedSummary(), steps=(step,))


def look(plan: GuardPlan, given: RolloutEvidence, *, step: int = 1, days: float = 2.0, **more: Any) -> Assessment:
    at = START + days * DAY
    return assess(plan, given, step=step, started_at=START, step_since=START, at=at, **more)


def codes(found: Assessment) -> set[ReasonCode]:
    return {r.code for r in found.reasons}


def test_nothing_measured_is_a_hold_with_its_own_reason_and_never_a_pass() -> None:
    found = look(PLAN, RolloutEvidence())
    assert found.decision is GuardDecision.HOLD
    assert ReasonCode.NO_DATA in codes(found)
    assert {e.verdict for e in found.estimates.values()} == {Verdict.NO_DATA}
    assert found.estimates[Metric.QUALITY].estimate is None
    assert found.missing


def test_a_better_challenger_is_promoted_once_everything_is_shown() -> None:
    found = look(PLAN, evidence(paired(24, 4)))
    assert found.decision is GuardDecision.PROMOTE
    assert codes(found) == {ReasonCode.GOAL_SHOWN}
    assert all(e.verdict is Verdict.PASS for e in found.estimates.values())
    assert found.missing is None


def test_a_worse_challenger_is_rolled_back_at_any_step_even_when_paused() -> None:
    for step in (0, 1):
        for paused in (False, True):
            found = look(PLAN, evidence(paired(4, 24)), step=step, days=0.01, paused=paused)
            assert found.decision is GuardDecision.ROLL_BACK
            assert found.limiting_metric is Metric.QUALITY
            assert found.estimates[Metric.QUALITY].verdict is Verdict.FAIL


def test_harm_beyond_the_tolerance_is_named_as_such() -> None:
    found = look(PLAN, evidence(paired(10, 190, compared=1000)))
    assert codes(found) == {ReasonCode.HARM_BEYOND_TOLERANCE}
    assert "tolerance of 5.0%" in found.reasons[0].text


def test_the_kill_switch_ends_a_rollout_whatever_the_evidence() -> None:
    found = look(PLAN, evidence(paired(24, 4)), kill_switch=True)
    assert found.decision is GuardDecision.ROLL_BACK
    assert codes(found) == {ReasonCode.KILL_SWITCH}


def test_hard_failures_above_the_ceiling_roll_back_within_a_handful() -> None:
    found = look(PLAN, evidence(canary=arm(6, failed=4), baseline=arm(54)), days=0.01, step=0)
    assert found.decision is GuardDecision.ROLL_BACK
    assert codes(found) == {ReasonCode.FAILURE_CEILING}
    assert "4 of 6" in found.reasons[0].text


def test_a_paused_loop_neither_advances_nor_promotes() -> None:
    for step in (0, 1):
        found = look(PLAN, evidence(paired(24, 4)), step=step, paused=True)
        assert found.decision is GuardDecision.HOLD
        assert codes(found) == {ReasonCode.PAUSED}


def test_a_good_challenger_goes_through_its_steps_and_not_around_them() -> None:
    assert look(PLAN, evidence(paired(24, 4)), step=0).decision is GuardDecision.ADVANCE


def test_no_step_is_taken_before_its_dwell() -> None:
    for step in (0, 1):
        found = look(PLAN, evidence(paired(24, 4)), step=step, days=0.5)
        assert found.decision is GuardDecision.HOLD
        assert codes(found) == {ReasonCode.DWELL}
        assert "12.0 more hours" in (found.missing or "")


def test_an_advance_needs_less_than_a_promotion() -> None:
    some = evidence(paired(9, 4, compared=200))
    assert look(PLAN, some, step=0).decision is GuardDecision.ADVANCE
    assert look(PLAN, some, step=1).decision is GuardDecision.HOLD


def test_unlabelled_discordant_decisions_hold_and_say_so() -> None:
    found = look(QUALITY, evidence(paired(0, 0, discordant=60)), step=0)
    assert found.decision is GuardDecision.HOLD
    assert ReasonCode.NO_DATA in codes(found)
    assert "60 discordant decisions, none labelled" in (found.missing or "")


def test_a_promotion_waits_for_the_label_quota_and_the_canary_keys() -> None:
    few = look(replace(PLAN, min_labels=40), evidence(paired(24, 4)))
    assert few.decision is GuardDecision.HOLD
    assert codes(few) == {ReasonCode.FEW_LABELS}
    narrow = look(replace(PLAN, min_keys=500), evidence(paired(24, 4)))
    assert codes(narrow) == {ReasonCode.FEW_KEYS}


def test_one_unmeasured_metric_is_enough_to_refuse_a_promotion() -> None:
    for metric in (Metric.SCORE, Metric.LATENCY, Metric.COST, Metric.FAILURES):
        plan = replace(PLAN, metrics=(Metric.QUALITY, metric))
        found = look(
            plan,
            RolloutEvidence(paired=paired(24, 4), steps=(StepSummary(exposed=SplitCounts(canary=200, baseline=1800)),)),
        )
        assert found.decision is GuardDecision.HOLD
        assert found.estimates[metric].verdict is Verdict.NO_DATA
        assert found.estimates[metric].estimate is None
        assert found.limiting_metric is metric


def test_what_is_missing_is_said_in_labels_and_days() -> None:
    found = look(QUALITY, evidence(paired(14, 6)))
    assert found.decision is GuardDecision.HOLD
    assert "more discordant labels, or" in (found.missing or "")
    assert "at the present rate" in (found.missing or "")
    level = look(QUALITY, evidence(paired(30, 30)))
    assert "a larger difference" in (level.missing or "")


def test_the_maximum_without_an_answer_is_inconclusive_after_the_grace() -> None:
    level = evidence(paired(12, 11))
    found = look(QUALITY, level, days=22)
    assert found.decision is GuardDecision.INCONCLUSIVE
    assert ReasonCode.MAXIMUM_REACHED in codes(found)
    graceful = replace(QUALITY, grace=2 * DAY)
    assert look(graceful, level, days=22).decision is GuardDecision.HOLD
    assert look(graceful, level, days=24, maximum_since=START + 21 * DAY).decision is GuardDecision.INCONCLUSIVE
    counted = look(replace(QUALITY, max_decisions=500), level)
    assert counted.decision is GuardDecision.INCONCLUSIVE


def test_a_sample_ratio_mismatch_holds_even_a_shown_goal() -> None:
    crooked = evidence(paired(24, 4), share=0.3)
    found = look(PLAN, crooked)
    assert found.decision is GuardDecision.HOLD
    assert codes(found) == {ReasonCode.SAMPLE_RATIO_MISMATCH}


def test_outcomes_that_come_back_unlike_hold_with_their_own_reason() -> None:
    found = look(PLAN, evidence(paired(24, 4), canary=arm(800), baseline=arm(2000)))
    assert found.decision is GuardDecision.HOLD
    assert codes(found) == {ReasonCode.MISSING_OUTCOMES}


def test_a_challenger_that_hardly_differs_is_not_inferior_without_labels() -> None:
    plan = replace(QUALITY, goal=Goal.NON_INFERIOR)
    same = evidence(PairedSummary().add_compared(3000, 3))
    found = look(plan, same)
    assert found.decision is GuardDecision.PROMOTE
    assert look(QUALITY, same).decision is GuardDecision.HOLD  # not inferior is not better
    canonical_json(found.to_mapping())


def test_a_score_that_drops_rolls_back_and_one_within_the_margin_passes() -> None:
    plan = GuardPlan(metrics=(Metric.SCORE, Metric.FAILURES), goal=Goal.NON_INFERIOR)
    worse = look(plan, evidence(canary=arm(2000, rate=0.75), baseline=arm(18_000), keys=20_000))
    assert worse.decision is GuardDecision.ROLL_BACK
    assert worse.limiting_metric is Metric.SCORE
    same = look(plan, evidence(canary=arm(9000), baseline=arm(81_000), keys=90_000))
    assert same.decision is GuardDecision.PROMOTE


def test_latency_beyond_the_tolerance_rolls_back_and_within_it_passes() -> None:
    plan = GuardPlan(metrics=(Metric.QUALITY, Metric.LATENCY))
    slow = evidence(paired(24, 4), canary=arm(900, log_latency=6.3), baseline=arm(8100, log_latency=6.0), keys=9000)
    assert look(plan, slow).decision is GuardDecision.ROLL_BACK
    fine = evidence(
        paired(24, 4), canary=arm(2000, log_latency=6.0), baseline=arm(18_000, log_latency=6.0), keys=20_000
    )
    found = look(plan, fine)
    assert found.decision is GuardDecision.PROMOTE
    interval = found.estimates[Metric.LATENCY].interval
    assert interval is not None
    assert interval[0] < 0 < interval[1] < 0.1


def test_judges_without_a_persons_labels_promote_nothing() -> None:
    plan = GuardPlan(metrics=(Metric.SCORE,))
    rng = np.random.default_rng(1)

    def judged(p: float, labels: int) -> ArmSummary:
        y, flattering = (rng.random(4000) < p).astype(float), (rng.random(4000) < p + 0.08).astype(float)
        drawn = np.arange(4000) < labels
        return replace(arm(4000, rate=p), judged=ppi.sums(y, flattering, drawn, np.full(4000, 0.25)))

    alone = evidence(canary=judged(0.9, 0), baseline=judged(0.8, 0), share=0.5, keys=8000)
    found = assess(
        replace(plan, steps=(0.5, 1.0)), alone, step=0, started_at=START, step_since=START, at=START + 2 * DAY
    )
    assert found.decision is GuardDecision.HOLD
    assert found.estimates[Metric.SCORE].verdict is Verdict.NO_DATA
    helped = evidence(canary=judged(0.7, 900), baseline=judged(0.85, 900), share=0.5, keys=8000)
    back = assess(
        replace(plan, steps=(0.5, 1.0)), helped, step=0, started_at=START, step_since=START, at=START + 2 * DAY
    )
    assert back.decision is GuardDecision.ROLL_BACK


def test_the_check_of_every_batch_agrees_with_the_whole_assessment() -> None:
    for shown in (
        evidence(paired(4, 24)),
        evidence(paired(24, 4)),
        RolloutEvidence(),
        evidence(canary=arm(9, failed=5)),
    ):
        rolled_back = look(PLAN, shown).decision is GuardDecision.ROLL_BACK
        assert bool(harm_reasons(PLAN, shown)) is rolled_back


def test_alpha_is_split_over_the_guardrails_and_adds_up() -> None:
    plan = GuardPlan(metrics=tuple(Metric))
    spent = look(plan, RolloutEvidence()).alpha_spent
    assert spent["rollback"] == pytest.approx(plan.alpha_rollback)
    assert spent["rollback.failures"] == plan.failure_alpha
    assert spent["promote"] == plan.alpha_promote


@settings(max_examples=60, deadline=None)
@given(
    better=st.integers(0, 60),
    worse=st.integers(0, 60),
    failed=st.integers(0, 20),
    step=st.integers(0, 2),
    days=st.floats(0, 30),
    paused=st.booleans(),
)
def test_no_evidence_ever_promotes_what_is_not_shown(
    better: int, worse: int, failed: int, step: int, days: float, paused: bool
) -> None:
    found = look(
        PLAN, evidence(paired(better, worse), canary=arm(800, failed=failed)), step=step, days=days, paused=paused
    )
    if found.decision in (GuardDecision.PROMOTE, GuardDecision.ADVANCE):
        assert not paused
        assert days >= 1
        assert not harm_reasons(PLAN, evidence(paired(better, worse), canary=arm(800, failed=failed)))
    if found.decision is GuardDecision.PROMOTE:
        assert step > 0
        assert better > worse
        assert all(e.verdict is Verdict.PASS for e in found.estimates.values())
    else:
        assert found.reasons
    json.loads(canonical_json(found.to_mapping()))


def test_evidence_is_mergeable_and_comes_back_equal_from_storage() -> None:
    one, two = evidence(paired(3, 1)), evidence(paired(5, 2)).with_step(1, StepSummary(exposed=SplitCounts(canary=4)))
    both = one.merge(two)
    assert both.paired.better == 8
    assert both.at_step(0).canary.keys == 1600
    assert both.at_step(1).exposed.canary == 4
    assert both.at_step(7) == StepSummary()
    assert RolloutEvidence.from_mapping(json.loads(json.dumps(both.to_mapping()))) == both
    assert both.with_paired(PairedSummary()).paired == PairedSummary()


@pytest.mark.parametrize(
    "given", [None, [], {"v": 1}, {"v": 1, "paired": {}, "steps": []}, {"v": 1, "paired": 1, "steps": 2}]
)
def test_hostile_stored_evidence_is_refused(given: Any) -> None:
    with pytest.raises(InvalidStatisticError):
        RolloutEvidence.from_mapping(given)
    with pytest.raises(InvalidStatisticError):
        RolloutEvidence().with_step(100, StepSummary())


def test_a_step_outside_the_plan_is_refused() -> None:
    with pytest.raises(InvalidPlanError, match="step 3"):
        look(PLAN, RolloutEvidence(), step=3)


def test_whole_rollouts_rarely_go_wrong_when_looked_at_every_day() -> None:
    rng = np.random.default_rng(11)
    wrong = right = 0
    runs = 80
    for i in range(runs):
        good = i % 2 == 0
        pairs, verdict, step, since = PairedSummary(), GuardDecision.HOLD, 0, START
        for day in range(1, 15):
            discordant = int(rng.binomial(200, 0.1))
            better = int(rng.binomial(discordant, 0.76 if good else 0.24))
            pairs = pairs.merge(paired(better, discordant - better, compared=200))
            given = evidence(pairs, canary=arm(800), keys=2000)
            at = START + day * DAY
            verdict = assess(
                QUALITY, given, step=step, started_at=START, step_since=since, at=at, intervals=False
            ).decision
            if verdict is GuardDecision.ADVANCE:
                step, since = step + 1, at
            elif verdict is not GuardDecision.HOLD:
                break
        right += verdict is (GuardDecision.PROMOTE if good else GuardDecision.ROLL_BACK)
        wrong += verdict is (GuardDecision.ROLL_BACK if good else GuardDecision.PROMOTE)
    assert wrong <= 3
    assert right >= 0.9 * runs

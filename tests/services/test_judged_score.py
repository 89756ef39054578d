"""Where a plan's score comes from judges, people's drawn answers correct them."""

from __future__ import annotations

from dataclasses import replace

from tests.services.steps import (
    MAIL,
    OPERATOR,
    QUICK,
    VIEWER,
    accepted,
    add_agent,
    answer_all,
    crown,
    serve,
    start_rollout,
    verdict,
)

from trimtab.bootstrap import Trimtab
from trimtab.core.assignment import Arm
from trimtab.core.evidence.outcomes import ArmSummary
from trimtab.core.rollouts import GuardPlan, Metric, ScoreSource
from trimtab.store.rollouts import Rollout

JUDGED = replace(QUICK, metrics=(Metric.QUALITY, Metric.SCORE), score_source=ScoreSource.JUDGES)


def rollout_with_judges(trimtab: Trimtab, plan: GuardPlan) -> Rollout:
    add_agent(trimtab)
    crown(trimtab, 5)
    rollout = start_rollout(trimtab, 3, plan=plan)
    events = serve(trimtab, [0, 1, 2, 3, 4, 5, 6, 7] * 5)
    accepted(trimtab, [verdict(one, judge, one.label or "ham") for one in events for judge in ("a", "b")])
    trimtab.reviews.sample(OPERATOR, agent=MAIL, budget=12, discordant_quota=4)
    return rollout


def arms(trimtab: Trimtab, rollout: Rollout) -> dict[Arm, ArmSummary]:
    step = trimtab.rollouts.evidence(VIEWER, rollout.id).at_step(0)
    return {arm: step.arm(arm) for arm in Arm}


def test_what_judges_believe_of_served_labels_counts_once_a_key_in_the_arm_that_served(trimtab: Trimtab) -> None:
    rollout = rollout_with_judges(trimtab, JUDGED)
    found = arms(trimtab, rollout)
    assert sum(one.judged.judged for one in found.values()) == 40
    assert all(one.judged.judged > 0 and one.judged.labels == 0 for one in found.values())


def test_each_answer_of_a_person_corrects_the_judges_once(trimtab: Trimtab) -> None:
    rollout = rollout_with_judges(trimtab, JUDGED)
    answered = answer_all(trimtab, lambda payload: "spam" if payload["links"] >= 5 else "ham")
    found = arms(trimtab, rollout)
    assert answered > 0
    assert sum(one.judged.labels for one in found.values()) == answered
    trimtab.reviews.sample(OPERATOR, agent=MAIL, budget=12, discordant_quota=4)
    assert arms(trimtab, rollout) == found


def test_a_plan_whose_score_is_reported_takes_nothing_from_judges(trimtab: Trimtab) -> None:
    rollout = rollout_with_judges(trimtab, QUICK)
    answer_all(trimtab, lambda _: "ham")
    assert all(one.judged.judged == 0 for one in arms(trimtab, rollout).values())


def test_the_source_of_the_score_is_part_of_the_registered_plan() -> None:
    assert GuardPlan.from_mapping(JUDGED.to_mapping()) == JUDGED
    assert JUDGED.sha256 != replace(JUDGED, score_source=ScoreSource.OUTCOMES).sha256

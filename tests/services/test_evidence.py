"""What the guard looks at must not depend on how events arrive: in which order, in which batches, how often."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.services.steps import (
    MAIL,
    OPERATOR,
    QUICK,
    REVIEWER,
    VIEWER,
    Serving,
    add_agent,
    crown,
    outcome,
    send,
    start_rollout,
    truth,
    wait,
)

from trimtab.bootstrap import Trimtab
from trimtab.core.assignment import Arm
from trimtab.core.events import AnyEvent, DecisionEvent, OutcomeEvent
from trimtab.core.evidence.outcomes import ArmSummary, KeySums, Outcome, StepSummary
from trimtab.core.evidence.paired import PairedSummary
from trimtab.core.guard import RolloutEvidence

_NUMBERS = count(1)

stories = st.lists(
    st.tuples(
        st.integers(0, 6),  # links: 3 and 4 make the arms differ
        st.sampled_from([None, 0.0, 0.25, 1.0]),  # score
        st.sampled_from([None, True, False]),  # failed
        st.sampled_from([None, 1.0, 8.0, 64.0]),  # latency
        st.integers(0, 2),  # further outcomes of the same decision
    ),
    min_size=1,
    max_size=14,
)


def from_scratch(
    decisions: list[DecisionEvent], outcomes: list[OutcomeEvent], answers: dict[str, tuple[str, float]]
) -> RolloutEvidence:
    """The same evidence by the rules as they are written down, over everything at once."""
    paired, step = PairedSummary(), StepSummary()
    arms = {arm: ArmSummary() for arm in Arm}
    for event in decisions:
        canary, baseline = event.label, event.shadow_label
        if event.arm == Arm.BASELINE:
            canary, baseline = baseline, canary
        paired = paired.add_compared(1, int(canary != baseline))
        if event.key in answers and canary != baseline:
            answer, inclusion = answers[event.key]
            paired = paired.add(x=int(canary == answer) - int(baseline == answer), inclusion=inclusion)
        arm = Arm(event.arm)
        sums = KeySums()
        for one in outcomes:
            if one.decision_id == event.id:
                figures = Outcome(failed=one.failed, score=one.score, latency_ms=one.latency_ms, cost_usd=one.cost_usd)
                new = sums.outcomes == 0
                arms[arm], sums = arms[arm].add(figures, key=sums, plan=QUICK, arm=arm, new_key=new)
        exposed = step.exposed.add(canary=int(arm is Arm.CANARY), baseline=int(arm is Arm.BASELINE))
        step = StepSummary(exposed=exposed)
    return RolloutEvidence(
        paired=paired, steps=(StepSummary(exposed=step.exposed, canary=arms[Arm.CANARY], baseline=arms[Arm.BASELINE]),)
    )


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """Every figure of a summary by its place."""
    if isinstance(value, dict):
        return {k: v for name, inner in value.items() for k, v in flat(inner, f"{path}/{name}").items()}
    if isinstance(value, list):
        return {k: v for i, inner in enumerate(value) for k, v in flat(inner, f"{path}/{i}").items()}
    return {path: value}


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=stories, data=st.data())
def test_evidence_equals_a_recomputation_for_any_order_and_any_batches(
    trimtab: Trimtab, story: list[tuple[int, float | None, bool | None, float | None, int]], data: st.DataObject
) -> None:
    agent = f"{MAIL}_{next(_NUMBERS)}"
    add_agent(trimtab, agent)
    crown(trimtab, 5, agent)
    rollout = start_rollout(trimtab, 3, agent)
    serving = Serving(trimtab, agent)
    decisions = [serving.decide(f"t-{i}", links) for i, (links, *_) in enumerate(story)]
    outcomes = [
        outcome(event, turn=str(turn), score=score, failed=failed, latency_ms=latency)
        for event, (_, score, failed, latency, more) in zip(decisions, story, strict=True)
        for turn in range(more + 1)
        if (score, failed, latency) != (None, None, None)
    ]
    late = data.draw(st.lists(st.sampled_from(outcomes), unique_by=lambda one: one.id)) if outcomes else []
    early: list[AnyEvent] = [*decisions, *(one for one in outcomes if one not in late)]
    order = data.draw(st.permutations(early))
    size = data.draw(st.integers(1, len(order)))
    for start in range(0, len(order), size):
        send(trimtab, *order[start : start + size])
    send(trimtab, *order[:size])  # a batch whose receipt was lost is sent again
    wait(trimtab, timedelta(minutes=5))
    trimtab.reviews.sample(OPERATOR, agent=agent, budget=0, discordant_quota=3)
    answers = {}
    while (question := trimtab.reviews.claim(REVIEWER, agent=agent)) is not None:
        answer = truth(question.payload["links"])
        trimtab.reviews.answer(REVIEWER, question.item.id, answer)
        answers[question.item.key] = (answer, question.item.inclusion)
    send(trimtab, *late)
    kept = flat(trimtab.rollouts.evidence(VIEWER, rollout.id).to_mapping())
    expected = flat(from_scratch(decisions, outcomes, answers).to_mapping())
    assert kept == pytest.approx(expected, rel=1e-9, abs=1e-9)

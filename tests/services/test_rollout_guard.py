from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.services.steps import (
    DWELL,
    MAIL,
    OPERATOR,
    QUICK,
    START,
    VIEWER,
    accepted,
    add_agent,
    agent_with_rollout,
    answer_all,
    as_the_baseline_says,
    at_once,
    changed,
    codes,
    crown,
    decided,
    observe,
    outcome,
    serve,
    served_hash,
    start_rollout,
    thumb,
    tick,
    truth,
    twin,
    wait,
)

from trimtab.bootstrap import Trimtab
from trimtab.clock import SimulatedClock
from trimtab.core.guard import GuardDecision, ReasonCode
from trimtab.core.rights import SYSTEM
from trimtab.core.rollouts import GuardPlan, Metric, RolloutAction, RolloutState
from trimtab.errors import (
    ConflictError,
)

# ---- the guard ----


def test_the_guard_promotes_a_challenger_that_is_truly_better(trimtab: Trimtab) -> None:
    rollout = agent_with_rollout(trimtab)
    observe(trimtab, truth)
    wait(trimtab, DWELL)
    found = tick(trimtab)
    assert (found.acted, found.rollout.state) == (RolloutAction.PROMOTE, RolloutState.PROMOTED)
    pointer = trimtab.agents.listing(VIEWER)[0][2]
    assert (pointer.champion, pointer.previous) == (rollout.challenger, (rollout.champion,))
    assert (pointer.challenger, pointer.rollout_id, pointer.step, pointer.share) == (None, None, None, 0.0)
    verdict = trimtab.history.packets(VIEWER, rollout.id)[-1]["body"]
    assert (verdict["action"], verdict["actor"]) == ("promote", "trimtab")
    assert verdict["serving"] == {"champion": rollout.challenger, "challenger": None, "share": 0.0}
    assert verdict["assessment"]["estimates"]["quality"]["n"] == 14
    assert trimtab.history.verify(VIEWER).holds


def test_the_guard_rolls_back_a_challenger_that_is_worse_without_waiting(trimtab: Trimtab) -> None:
    rollout = agent_with_rollout(trimtab)
    observe(trimtab, as_the_baseline_says)
    found = tick(trimtab)
    assert (found.acted, found.rollout.state) == (RolloutAction.ROLL_BACK, RolloutState.ROLLED_BACK)
    assert codes(found) <= {ReasonCode.HARM, ReasonCode.HARM_BEYOND_TOLERANCE}
    pointer = trimtab.agents.listing(VIEWER)[0][2]
    assert (pointer.champion, pointer.challenger, pointer.share) == (rollout.champion, None, 0.0)
    assert decided(trimtab, "anybody", 4).label == "ham"
    assert trimtab.rollouts.tick(SYSTEM) == []


def test_no_data_is_never_a_pass(trimtab: Trimtab) -> None:
    rollout = agent_with_rollout(trimtab)
    for _ in range(5):
        wait(trimtab, timedelta(days=1))
        found = tick(trimtab)
        assert found.acted is None
        assert ReasonCode.NO_DATA in codes(found)
    kept = trimtab.rollouts.get(VIEWER, rollout.id)
    assert (kept.state, kept.version) == (RolloutState.RUNNING, found.rollout.version)
    assert kept.assessment is not None
    assert kept.assessment["decision"] == "hold"
    assert kept.assessment["missing"]


def test_unlabelled_differences_are_no_data_and_the_hold_says_what_is_missing(trimtab: Trimtab) -> None:
    agent_with_rollout(trimtab)
    serve(trimtab, [4] * 30)
    wait(trimtab, DWELL)
    found = tick(trimtab)
    assert found.assessment is not None
    assert found.assessment.decision is GuardDecision.HOLD
    assert "30 discordant decisions, none labelled" in (found.assessment.missing or "")


def test_thumbs_and_approvals_prove_nothing_about_the_arms(trimtab: Trimtab) -> None:
    rollout = agent_with_rollout(trimtab)
    events = serve(trimtab, [4] * 30)
    accepted(trimtab, [thumb(event, correct=event.arm == "canary") for event in events])
    trimtab.labels.load(OPERATOR)
    assert trimtab.rollouts.evidence(VIEWER, rollout.id).paired.labelled == 0


def test_a_promotion_waits_for_the_dwell(trimtab: Trimtab) -> None:
    agent_with_rollout(trimtab)
    observe(trimtab, truth)
    found = tick(trimtab)
    assert found.acted is None
    assert codes(found) == {ReasonCode.DWELL}
    wait(trimtab, DWELL)
    assert tick(trimtab).acted is RolloutAction.PROMOTE


def test_a_promotion_waits_for_enough_labels_and_keys(trimtab: Trimtab) -> None:
    add_agent(trimtab)
    crown(trimtab, 5)
    start_rollout(trimtab, 3, plan=replace(QUICK, min_labels=30, min_keys=400))
    observe(trimtab, truth)
    wait(trimtab, DWELL)
    assert codes(tick(trimtab)) == {ReasonCode.FEW_LABELS, ReasonCode.FEW_KEYS}


def test_the_guard_goes_through_the_steps_of_the_plan(trimtab: Trimtab) -> None:
    add_agent(trimtab)
    crown(trimtab, 5)
    rollout = start_rollout(trimtab, 3, plan=replace(QUICK, steps=(0.2, 0.6, 1.0)))
    observe(trimtab, truth, differing=8, alike=40)
    wait(trimtab, DWELL)
    found = tick(trimtab)
    assert (found.acted, found.rollout.step, found.rollout.share) == (RolloutAction.ADVANCE, 1, 0.6)
    assert trimtab.agents.serving(VIEWER, MAIL)["share"] == 0.6
    assert tick(trimtab).acted is None  # the dwell of this step begins now
    observe(trimtab, truth, prefix="later")
    wait(trimtab, DWELL)
    assert tick(trimtab).acted is RolloutAction.PROMOTE
    events = trimtab.rollouts.events(VIEWER, rollout.id)
    assert [(row.action, row.from_state, row.to_state, row.step, row.share) for row in events] == [
        ("start", "planned", "running", 0, 0.2),
        ("advance", "running", "running", 1, 0.6),
        ("promote", "running", "promoted", 2, 1.0),
    ]
    assert all(row.packet for row in events)
    assert [row.details["by_guard"] for row in events] == [False, True, True]


def test_hard_failures_above_the_ceiling_roll_back_within_a_few_decisions(trimtab: Trimtab) -> None:
    add_agent(trimtab)
    crown(trimtab, 5)
    rollout = start_rollout(trimtab, 3, plan=replace(QUICK, metrics=(Metric.QUALITY, Metric.FAILURES)))
    events = serve(trimtab, [0] * 24)
    accepted(trimtab, [outcome(event, failed=event.arm == "canary") for event in events])
    found = tick(trimtab)
    assert found.acted is RolloutAction.ROLL_BACK
    assert codes(found) == {ReasonCode.FAILURE_CEILING}
    step = trimtab.rollouts.evidence(VIEWER, rollout.id).at_step(0)
    assert step.canary.failures.failed == step.canary.failures.n > 0
    assert step.baseline.failures.failed == 0


def test_the_kill_switch_rolls_back_at_the_next_tick(trimtab: Trimtab) -> None:
    rollout = agent_with_rollout(trimtab)
    observe(trimtab, truth)
    wait(trimtab, DWELL)
    trimtab.agents.kill(OPERATOR, MAIL, reason="it deletes mail")
    found = tick(trimtab)
    assert (found.acted, codes(found)) == (RolloutAction.ROLL_BACK, {ReasonCode.KILL_SWITCH})
    assert trimtab.agents.serving(VIEWER, MAIL)["kill_switch"]
    assert served_hash(trimtab) == rollout.champion


def test_while_the_loop_is_paused_nothing_widens(trimtab: Trimtab) -> None:
    agent_with_rollout(trimtab)
    observe(trimtab, truth)
    wait(trimtab, DWELL)
    trimtab.loop.pause(OPERATOR, reason="audit week")
    found = tick(trimtab)
    assert (found.acted, ReasonCode.PAUSED in codes(found)) == (None, True)
    for widen in (trimtab.rollouts.promote, trimtab.rollouts.advance):
        with pytest.raises(ConflictError, match="the loop is paused"):
            widen(OPERATOR, MAIL, reason="I want it now")
    trimtab.loop.resume(OPERATOR, reason="over")
    assert tick(trimtab).acted is RolloutAction.PROMOTE


def test_while_the_loop_is_paused_harm_still_rolls_back(trimtab: Trimtab) -> None:
    agent_with_rollout(trimtab)
    trimtab.loop.pause(OPERATOR, reason="audit week")
    observe(trimtab, as_the_baseline_says)
    assert tick(trimtab).acted is RolloutAction.ROLL_BACK


def test_what_a_person_holds_the_guard_may_end_but_not_widen(trimtab: Trimtab) -> None:
    agent_with_rollout(trimtab)
    assert trimtab.rollouts.hold(OPERATOR, MAIL, reason="holiday").state is RolloutState.HELD
    observe(trimtab, truth)
    wait(trimtab, DWELL)
    assert tick(trimtab).acted is None
    assert trimtab.agents.serving(VIEWER, MAIL)["share"] == 0.5
    assert trimtab.rollouts.resume(OPERATOR, MAIL, reason="back").state is RolloutState.RUNNING
    assert tick(trimtab).acted is RolloutAction.PROMOTE


def test_harm_ends_a_held_rollout_too(trimtab: Trimtab) -> None:
    agent_with_rollout(trimtab)
    trimtab.rollouts.hold(OPERATOR, MAIL, reason="holiday")
    observe(trimtab, as_the_baseline_says)
    assert tick(trimtab).rollout.state is RolloutState.ROLLED_BACK


def test_at_its_maximum_a_rollout_is_inconclusive_after_the_grace(trimtab: Trimtab) -> None:
    add_agent(trimtab)
    crown(trimtab, 5)
    plan = replace(QUICK, max_duration=timedelta(days=2), grace=timedelta(days=1))
    rollout = start_rollout(trimtab, 3, plan=plan)
    wait(trimtab, timedelta(days=2))
    for _ in range(2):
        found = tick(trimtab)
        assert found.acted is None
        assert ReasonCode.MAXIMUM_REACHED in codes(found)
        wait(trimtab, timedelta(hours=12))
    found = tick(trimtab)
    assert (found.acted, found.rollout.state) == (RolloutAction.CONCLUDE, RolloutState.INCONCLUSIVE)
    assert served_hash(trimtab) == rollout.champion


def test_an_assessment_asked_for_changes_nothing(trimtab: Trimtab) -> None:
    rollout = agent_with_rollout(trimtab)
    observe(trimtab, truth)
    wait(trimtab, DWELL)
    assert trimtab.rollouts.assess(VIEWER, rollout.id).decision is GuardDecision.PROMOTE
    assert trimtab.rollouts.get(VIEWER, rollout.id) == rollout


def test_two_guards_at_once_decide_once(trimtab: Trimtab, database_url: str, clock: SimulatedClock) -> None:
    rollout = agent_with_rollout(trimtab)
    observe(trimtab, truth)
    wait(trimtab, DWELL)
    other = twin(trimtab, database_url, clock)
    ticks = at_once(*(lambda one=one: one.rollouts.tick(SYSTEM) for one in (trimtab, other, trimtab)))
    other.close()
    acted = [found.acted for one in ticks for found in one]
    assert acted.count(RolloutAction.PROMOTE) == 1
    assert set(acted) <= {RolloutAction.PROMOTE, None}
    assert len(trimtab.history.packets(VIEWER, rollout.id)) == 2


def test_the_guard_looks_at_every_agents_rollout(trimtab: Trimtab) -> None:
    agent_with_rollout(trimtab, "first")
    agent_with_rollout(trimtab, "second")
    ticks = trimtab.rollouts.tick(SYSTEM)
    assert sorted(one.rollout.agent for one in ticks) == ["first", "second"]


# ---- the evidence ----


def test_a_key_counts_once_with_what_it_met_first(trimtab: Trimtab) -> None:
    rollout = agent_with_rollout(trimtab)
    turns = [decided(trimtab, "t-1", links, at=START + timedelta(minutes=i)) for i, links in enumerate([4, 0, 4, 8])]
    accepted(trimtab, turns[:3][::-1])
    accepted(trimtab, turns[3:])
    evidence = trimtab.rollouts.evidence(VIEWER, rollout.id)
    assert (evidence.paired.compared, evidence.paired.discordant) == (1, 1)
    assert evidence.at_step(0).exposed.canary + evidence.at_step(0).exposed.baseline == 1


def test_an_answer_about_a_later_decision_with_other_choices_says_nothing_about_the_first(trimtab: Trimtab) -> None:
    add_agent(trimtab, labels=("ham", "news", "spam"))
    crown(trimtab, 5)
    rollout = start_rollout(trimtab, 3)
    first = decided(trimtab, "t-1", 4)  # one arm says ham, the other spam
    other = {"label": "news"} if first.arm == "canary" else {"shadow_label": "news"}
    accepted(trimtab, [first, changed(decided(trimtab, "t-1", 4, at=START + timedelta(minutes=1)), **other)])
    wait(trimtab, timedelta(minutes=5))
    trimtab.reviews.sample(OPERATOR, budget=0, discordant_quota=1)
    assert answer_all(trimtab, lambda _: "news") == 1
    assert trimtab.rollouts.evidence(VIEWER, rollout.id).paired.labelled == 0


def test_a_decision_without_a_shadow_is_exposed_but_compares_nothing(trimtab: Trimtab) -> None:
    rollout = agent_with_rollout(trimtab)
    accepted(trimtab, [changed(decided(trimtab, "t-1", 4), shadow_label=None, discordant=False)])
    evidence = trimtab.rollouts.evidence(VIEWER, rollout.id)
    assert evidence.paired.compared == 0
    assert evidence.at_step(0).exposed.canary + evidence.at_step(0).exposed.baseline == 1


def test_the_growth_of_the_evidence_ends_where_the_summary_is(trimtab: Trimtab) -> None:
    rollout = agent_with_rollout(trimtab)
    observe(trimtab, truth)
    history = trimtab.rollouts.paired_history(VIEWER, rollout.id)
    assert [one.labelled for _, one in history] == list(range(1, 15))
    assert history[-1][1].better == trimtab.rollouts.evidence(VIEWER, rollout.id).paired.better


def test_the_plan_survives_the_database_to_the_last_digit(trimtab: Trimtab) -> None:
    add_agent(trimtab)
    crown(trimtab, 5)
    plan = replace(QUICK, quality_margin=1e-7, alpha_promote=0.1 + 0.2 - 0.05, latency_p50_ms=1e22)
    rollout = start_rollout(trimtab, 3, plan=plan)
    assert rollout.plan == plan
    assert GuardPlan.from_mapping(json.loads(json.dumps(rollout.plan.to_mapping()))).sha256 == rollout.plan_sha256
    assert trimtab.history.verify(VIEWER).holds

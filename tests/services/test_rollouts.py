from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.services.steps import (
    ADMIN,
    APPROVER,
    MAIL,
    OPERATOR,
    QUICK,
    START,
    VIEWER,
    accepted,
    add_agent,
    agent_with_rollout,
    answer_all,
    approved,
    at_once,
    changed,
    crown,
    decided,
    outcome,
    serve,
    start_rollout,
    thumb,
    truth,
    twin,
    wait,
)

from trimtab.bootstrap import Trimtab
from trimtab.clock import SimulatedClock
from trimtab.core.events import DecisionEvent
from trimtab.core.guard import GuardDecision, ReasonCode
from trimtab.core.rights import SYSTEM
from trimtab.core.rollouts import GuardPlan, Metric, RolloutAction, RolloutState
from trimtab.errors import (
    ConflictError,
    ForbiddenError,
    IllegalTransitionError,
    InsufficientDataError,
    InvalidInputError,
    NotFoundError,
)
from trimtab.services.rollouts import Tick
from trimtab.store.rollouts import Rollout

DWELL = timedelta(hours=2)


def served_hash(trimtab: Trimtab) -> str:
    return trimtab.bundles.get(VIEWER, "champion", agent=MAIL).sha256


def tick(trimtab: Trimtab) -> Tick:
    (found,) = trimtab.rollouts.tick(SYSTEM, agent=MAIL)
    return found


def codes(found: Tick) -> set[ReasonCode]:
    assert found.assessment is not None
    return {reason.code for reason in found.assessment.reasons}


def observe(
    trimtab: Trimtab, right: Callable[[int], str], *, differing: int = 14, alike: int = 14, prefix: str = "thread"
) -> list[DecisionEvent]:
    """Decisions on which the arms differ and on which they do not, all differing ones answered by a person."""
    events = serve(trimtab, [4] * differing + [0, 8] * (alike // 2), prefix=prefix)
    trimtab.reviews.sample(OPERATOR, agent=MAIL, budget=0, discordant_quota=differing)
    answer_all(trimtab, lambda payload: right(payload["links"]))
    return events


def as_the_baseline_says(links: int) -> str:
    return "spam" if links >= 5 else "ham"


# ---- starting ----


def test_a_started_rollout_exposes_its_first_step_under_its_registered_plan(trimtab: Trimtab) -> None:
    rollout = agent_with_rollout(trimtab)
    assert (rollout.state, rollout.step, rollout.share) == (RolloutState.RUNNING, 0, 0.5)
    pointer = trimtab.agents.listing(VIEWER)[0][2]
    assert (pointer.challenger, pointer.rollout_id, pointer.share) == (rollout.challenger, rollout.id, 0.5)
    assert pointer.champion == rollout.champion
    (packet,) = trimtab.history.packets(VIEWER, rollout.id)
    assert packet["body"]["plan"] == QUICK.to_mapping()
    assert packet["body"]["plan_sha256"] == QUICK.sha256
    assert (packet["body"]["proposer"], packet["body"]["approver"]) == ("olga", "abel")


def test_each_rollout_exposes_other_keys(trimtab: Trimtab) -> None:
    agent_with_rollout(trimtab)
    first = trimtab.agents.serving(VIEWER, MAIL)["salt"]
    trimtab.rollouts.abort(OPERATOR, MAIL, reason="wrong day")
    start_rollout(trimtab, 2)
    assert trimtab.agents.serving(VIEWER, MAIL)["salt"] != first


def test_of_two_rollouts_started_at_once_one_lives(trimtab: Trimtab, database_url: str, clock: SimulatedClock) -> None:
    add_agent(trimtab)
    crown(trimtab, 5)
    other = twin(trimtab, database_url, clock)
    first, second = approved(trimtab, 3), approved(trimtab, 4)
    results = at_once(
        lambda: trimtab.proposals.apply(OPERATOR, first.id, plan=QUICK),
        lambda: other.proposals.apply(ADMIN, second.id, plan=QUICK),
    )
    other.close()
    (refused,) = [one for one in results if isinstance(one, Exception)]
    assert isinstance(refused, ConflictError)
    assert len(trimtab.rollouts.listing(VIEWER, agent=MAIL, only_live=True)) == 1
    assert trimtab.history.verify(VIEWER).holds


def test_a_plan_that_guards_what_was_never_measured_does_not_start(trimtab: Trimtab) -> None:
    add_agent(trimtab)
    crown(trimtab, 5)
    plan = replace(QUICK, metrics=(Metric.QUALITY, Metric.COST))
    with pytest.raises(InsufficientDataError, match="guards cost"):
        trimtab.proposals.apply(OPERATOR, approved(trimtab, 3).id, plan=plan)
    assert trimtab.rollouts.listing(VIEWER, agent=MAIL) == []


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


# ---- people ----


def test_a_person_may_promote_and_the_packet_says_who_and_why(trimtab: Trimtab) -> None:
    rollout = agent_with_rollout(trimtab)
    trimtab.rollouts.promote(OPERATOR, MAIL, reason="the old one leaves today")
    body = trimtab.history.packets(VIEWER, rollout.id)[-1]["body"]
    assert (body["actor"], body["reason"]) == ("olga", "the old one leaves today")
    assert body["assessment"]["decision"] == "hold"  # what the guard would have said
    assert not trimtab.rollouts.events(VIEWER, rollout.id)[-1].details["by_guard"]
    assert served_hash(trimtab) == rollout.challenger


def test_a_person_advances_step_by_step_and_promotes_in_the_end(trimtab: Trimtab) -> None:
    add_agent(trimtab)
    crown(trimtab, 5)
    start_rollout(trimtab, 3, plan=replace(QUICK, steps=(0.1, 0.3, 1.0)))
    assert trimtab.rollouts.advance(OPERATOR, MAIL, reason="looks fine").share == 0.3
    with pytest.raises(ConflictError, match="serves everybody: that is a promotion"):
        trimtab.rollouts.advance(OPERATOR, MAIL, reason="on")
    assert trimtab.rollouts.promote(OPERATOR, MAIL, reason="done").state is RolloutState.PROMOTED


def ends() -> dict[RolloutState, Callable[[Trimtab], Rollout]]:
    def conclude(trimtab: Trimtab) -> Rollout:
        wait(trimtab, timedelta(days=30))
        return tick(trimtab).rollout

    return {
        RolloutState.PROMOTED: lambda trimtab: trimtab.rollouts.promote(OPERATOR, MAIL, reason="yes"),
        RolloutState.ROLLED_BACK: lambda trimtab: trimtab.rollouts.roll_back(OPERATOR, MAIL, reason="no"),
        RolloutState.ABORTED: lambda trimtab: trimtab.rollouts.abort(OPERATOR, MAIL, reason="never mind"),
        RolloutState.INCONCLUSIVE: conclude,
    }


@pytest.mark.parametrize("held", [False, True], ids=["running", "held"])
@pytest.mark.parametrize("end", list(ends()))
def test_an_ended_rollout_stays_as_it_ended_whoever_asks(trimtab: Trimtab, end: RolloutState, held: bool) -> None:
    rollout = agent_with_rollout(trimtab)
    if held:
        trimtab.rollouts.hold(OPERATOR, MAIL, reason="first a pause")
    ended = ends()[end](trimtab)
    assert (ended.state, ended.ended_at) == (end, trimtab.context.now())
    service = trimtab.rollouts
    for act in (service.promote, service.roll_back, service.hold, service.resume, service.advance, service.abort):
        with pytest.raises(IllegalTransitionError, match=f"a rollout that is {end} cannot .* start a new rollout"):
            act(OPERATOR, MAIL, reason="again")
    champion = rollout.challenger if end is RolloutState.PROMOTED else rollout.champion
    pointer = trimtab.agents.listing(VIEWER)[0][2]
    assert (pointer.champion, pointer.challenger, pointer.share) == (champion, None, 0.0)
    packet = trimtab.history.packets(VIEWER, rollout.id)[-1]["body"]
    assert (packet["state"], packet["serving"]["champion"]) == (end.value, champion)
    assert trimtab.history.verify(VIEWER).holds
    with pytest.raises(NotFoundError, match="has no live rollout"):
        service.live(VIEWER, MAIL)


def test_only_what_is_held_resumes(trimtab: Trimtab) -> None:
    agent_with_rollout(trimtab)
    with pytest.raises(IllegalTransitionError, match="is running cannot resume"):
        trimtab.rollouts.resume(OPERATOR, MAIL, reason="go")
    trimtab.rollouts.hold(OPERATOR, MAIL, reason="stop")
    for act in (trimtab.rollouts.hold, trimtab.rollouts.advance):
        with pytest.raises(IllegalTransitionError, match="is held cannot"):
            act(OPERATOR, MAIL, reason="again")


def test_late_labels_are_counted_and_flip_no_verdict(trimtab: Trimtab) -> None:
    rollout = agent_with_rollout(trimtab)
    events = serve(trimtab, [4] * 12)
    trimtab.reviews.sample(OPERATOR, budget=0, discordant_quota=12)
    trimtab.rollouts.roll_back(OPERATOR, MAIL, reason="a hunch")
    ended = trimtab.rollouts.get(VIEWER, rollout.id)
    assert answer_all(trimtab, lambda payload: truth(payload["links"])) == 12
    accepted(trimtab, [outcome(event) for event in events])
    assert trimtab.rollouts.evidence(VIEWER, rollout.id).paired.better == 12
    assert trimtab.rollouts.tick(SYSTEM) == []
    assert trimtab.rollouts.get(VIEWER, rollout.id) == ended
    assert served_hash(trimtab) == rollout.champion


def test_promoting_and_rolling_back_at_once_have_one_outcome(
    trimtab: Trimtab, database_url: str, clock: SimulatedClock
) -> None:
    rollout = agent_with_rollout(trimtab)
    other = twin(trimtab, database_url, clock)
    results = at_once(
        lambda: trimtab.rollouts.promote(OPERATOR, MAIL, reason="yes"),
        lambda: other.rollouts.roll_back(ADMIN, MAIL, reason="no"),
        lambda: trimtab.agents.kill(ADMIN, MAIL, reason="both are wrong"),
    )
    other.close()
    (ended,) = [one for one in results if isinstance(one, Rollout)]
    (refused,) = [one for one in results if isinstance(one, Exception)]
    assert isinstance(refused, ConflictError)
    promoted = ended.state is RolloutState.PROMOTED
    assert served_hash(trimtab) == (rollout.challenger if promoted else rollout.champion)
    assert trimtab.agents.serving(VIEWER, MAIL)["kill_switch"]
    assert trimtab.history.verify(VIEWER).holds


def test_every_change_needs_the_right_and_a_reason(trimtab: Trimtab) -> None:
    rollout = agent_with_rollout(trimtab)
    with pytest.raises(ForbiddenError):
        trimtab.rollouts.promote(APPROVER, MAIL, reason="mine")
    for reason in ("", "  ", "x" * 4001, "\0"):
        with pytest.raises(InvalidInputError, match="reason"):
            trimtab.rollouts.roll_back(OPERATOR, MAIL, reason=reason)
    assert trimtab.rollouts.live(VIEWER, MAIL) == rollout


def test_an_agent_without_rollouts_and_an_unknown_rollout_are_named(trimtab: Trimtab) -> None:
    add_agent(trimtab)
    with pytest.raises(NotFoundError, match="mail has no rollout; apply an approved proposal"):
        trimtab.rollouts.promote(OPERATOR, MAIL, reason="now")
    for name in ("first", "00000000-0000-7000-8000-000000000000", "\0"):
        with pytest.raises(NotFoundError, match="does not exist"):
            trimtab.rollouts.get(VIEWER, name)
        assert trimtab.history.packets(VIEWER, name) == []


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

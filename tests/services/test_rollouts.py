from __future__ import annotations

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
    VIEWER,
    accepted,
    add_agent,
    agent_with_rollout,
    answer_all,
    approved,
    at_once,
    crown,
    outcome,
    serve,
    served_hash,
    start_rollout,
    tick,
    truth,
    twin,
    wait,
)

from trimtab.bootstrap import Trimtab
from trimtab.clock import SimulatedClock
from trimtab.core.rights import SYSTEM
from trimtab.core.rollouts import Metric, RolloutState
from trimtab.errors import (
    ConflictError,
    ForbiddenError,
    IllegalTransitionError,
    InsufficientDataError,
    InvalidInputError,
    InvalidPlanError,
    NotFoundError,
)
from trimtab.store.rollouts import Rollout

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


def test_a_person_jumps_to_any_step_below_all_and_a_pause_only_lets_it_narrow(trimtab: Trimtab) -> None:
    add_agent(trimtab)
    crown(trimtab, 5)
    start_rollout(trimtab, 3, plan=replace(QUICK, steps=(0.1, 0.3, 0.6, 1.0)))
    wait(trimtab, timedelta(hours=1))
    jumped = trimtab.rollouts.jump(OPERATOR, MAIL, step=2, reason="it is only mail")
    assert (jumped.step, jumped.share, jumped.step_since) == (2, 0.6, trimtab.context.now())
    with pytest.raises(ConflictError, match="serves everybody: that is a promotion"):
        trimtab.rollouts.jump(OPERATOR, MAIL, step=3, reason="on")
    with pytest.raises(InvalidPlanError, match="step 4: the plan has steps 0 to 3"):
        trimtab.rollouts.jump(OPERATOR, MAIL, step=4, reason="on")
    trimtab.loop.pause(OPERATOR, reason="holiday")
    assert trimtab.rollouts.jump(OPERATOR, MAIL, step=0, reason="careful").share == 0.1
    with pytest.raises(ConflictError, match="paused"):
        trimtab.rollouts.jump(OPERATOR, MAIL, step=1, reason="on")
    assert trimtab.agents.serving(OPERATOR, MAIL)["share"] == 0.1


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

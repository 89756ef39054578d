from __future__ import annotations

import shutil
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url
from tests.services.steps import (
    AGENT,
    MAIL,
    OPERATOR,
    OTHER_REVIEWER,
    REVIEWER,
    VIEWER,
    accepted,
    add_agent,
    agent_with_rollout,
    answer_all,
    at_once,
    crown,
    decided,
    gold,
    open_trimtab,
    serve,
    truth,
    twin,
    verdict,
    wait,
)

from trimtab.bootstrap import Trimtab
from trimtab.clock import SimulatedClock
from trimtab.core.reviews import ReviewState
from trimtab.core.sampling import AskedFor
from trimtab.errors import ConflictError, ForbiddenError, IllegalTransitionError, InvalidInputError, NotFoundError
from trimtab.services.reviews import LEASE, Question
from trimtab.store import reviews as review_store
from trimtab.store import tables
from trimtab.store.engine import reading, writing
from trimtab.store.reviews import ReviewItem


@pytest.fixture
def served(trimtab: Trimtab) -> Trimtab:
    add_agent(trimtab)
    crown(trimtab, 5)
    return trimtab


def queued(trimtab: Trimtab, n: int = 4, *, budget: int | None = None, prefix: str = "thread") -> list[ReviewItem]:
    """`n` decisions, of which all (or `budget`) are queued."""
    serve(trimtab, list(range(n)), prefix=prefix)
    trimtab.reviews.sample(OPERATOR, agent=MAIL, budget=n if budget is None else budget, discordant_quota=0)
    return trimtab.reviews.queue(VIEWER, agent=MAIL, limit=1000)


def claim(trimtab: Trimtab, reviewer: object = REVIEWER) -> Question:
    question = trimtab.reviews.claim(reviewer, agent=MAIL)  # type: ignore[arg-type]
    assert question is not None
    return question


def state(trimtab: Trimtab, item_id: str) -> ReviewState:
    with reading(trimtab.engine) as connection:
        item = review_store.get(connection, item_id)
    assert item is not None
    return item.state


def test_a_question_shows_the_payload_and_the_labels_and_hides_what_was_served(served: Trimtab) -> None:
    queued(served)
    question = claim(served)
    assert set(question.payload) == {"links", "capitals", "known_sender"}
    assert question.labels == ("ham", "spam")
    assert (question.item.state, question.item.claimed_by) == (ReviewState.CLAIMED, "rita")
    assert set(Question.__slots__) == {"item", "payload", "labels"}


def test_the_most_pressing_question_comes_first(served: Trimtab) -> None:
    items = queued(served, 6)
    assert [item.priority for item in items] == sorted((item.priority for item in items), reverse=True)
    assert claim(served).item.id == items[0].id


def test_who_asks_again_gets_the_question_already_held(served: Trimtab) -> None:
    queued(served)
    assert claim(served).item == claim(served).item


def test_two_reviewers_at_once_get_two_different_questions(
    served: Trimtab, database_url: str, clock: SimulatedClock
) -> None:
    other = twin(served, database_url, clock)
    queued(served, 8)
    for _ in range(4):
        ours, theirs = at_once(lambda: claim(served), lambda: claim(other, OTHER_REVIEWER))
        assert ours.item.id != theirs.item.id
        served.reviews.answer(REVIEWER, ours.item.id, "ham")
        other.reviews.answer(OTHER_REVIEWER, theirs.item.id, "ham")
    assert served.reviews.claim(REVIEWER) is None
    other.close()


def test_an_answer_becomes_a_label_with_the_probability_of_its_question(served: Trimtab) -> None:
    queued(served, 20, budget=5)
    question = claim(served)
    answered = served.reviews.answer(REVIEWER, question.item.id, "spam", confidence=0.7, note="sells pills")
    assert (answered.state, answered.claimed_by) == (ReviewState.ANSWERED, None)
    merged = served.labels.merged(VIEWER, MAIL)[question.item.key]
    assert (merged.label, merged.inclusion) == ("spam", pytest.approx(question.item.inclusion))
    assert merged.decision_id == question.item.decision_id


def test_an_answered_question_never_comes_back(served: Trimtab) -> None:
    events = serve(served, [1, 7, 9])
    served.reviews.sample(OPERATOR, budget=3)
    assert answer_all(served, lambda _: "ham") == 3
    later = [decided(served, event.key, 7, turn="again") for event in events]
    accepted(served, later)
    wait(served, timedelta(days=1))
    (report,) = served.reviews.sample(OPERATOR, budget=3)
    assert (report.candidates, report.queued) == (0, 0)
    assert served.reviews.claim(OTHER_REVIEWER) is None


def test_a_key_with_an_independent_answer_is_never_queued(served: Trimtab) -> None:
    events = serve(served, [1, 7, 9])
    gold(served, [(events[0].key, 1, "ham")])
    (report,) = served.reviews.sample(OPERATOR, budget=3)
    assert report.candidates == 2
    assert events[0].key not in {item.key for item in served.reviews.queue(VIEWER)}


def test_gold_answers_an_open_question_of_the_same_key(served: Trimtab) -> None:
    item = queued(served)[0]
    gold(served, [(item.key, 1, "ham")])
    assert state(served, item.id) is ReviewState.EXPIRED
    assert claim(served).item.id != item.id


def test_a_question_that_gold_answered_while_it_was_claimed_closes_when_its_lease_ends(served: Trimtab) -> None:
    queued(served, 1)
    item = claim(served).item
    gold(served, [(item.key, 1, "ham")])
    assert state(served, item.id) is ReviewState.CLAIMED
    wait(served, LEASE + timedelta(seconds=1))
    served.reviews.lapse(OPERATOR)
    assert state(served, item.id) is ReviewState.EXPIRED


def test_a_lease_lapses_and_somebody_else_may_answer(served: Trimtab) -> None:
    queued(served, 1)
    question = claim(served)
    assert served.reviews.claim(OTHER_REVIEWER) is None
    wait(served, LEASE + timedelta(seconds=1))
    with pytest.raises(ConflictError, match=r"lease on review item .* ended"):
        served.reviews.answer(REVIEWER, question.item.id, "ham")
    assert claim(served, OTHER_REVIEWER).item.id == question.item.id
    with pytest.raises(ConflictError, match="is held by rolf"):
        served.reviews.answer(REVIEWER, question.item.id, "ham")
    served.reviews.answer(OTHER_REVIEWER, question.item.id, "ham")
    assert served.reviews.stats(VIEWER, agent=MAIL) == [("answered", question.item.stratum, 1)]


def test_the_lapse_job_opens_what_was_left_behind(served: Trimtab) -> None:
    queued(served, 2)
    claim(served)
    assert served.reviews.lapse(OPERATOR) == 0
    wait(served, LEASE + timedelta(seconds=1))
    assert served.reviews.lapse(OPERATOR) == 1
    assert {item.state for item in served.reviews.queue(VIEWER)} == {ReviewState.OPEN}


def test_a_question_is_answered_once_however_often_it_is_sent(served: Trimtab) -> None:
    queued(served, 1)
    question = claim(served)
    results = at_once(*(lambda: served.reviews.answer(REVIEWER, question.item.id, "ham") for _ in range(3)))
    assert sum(isinstance(result, ReviewItem) for result in results) == 1
    assert sum(isinstance(result, ConflictError) for result in results) == 2
    assert served.labels.stats(VIEWER).total == 1
    with pytest.raises(IllegalTransitionError, match="is answered cannot answer"):
        served.reviews.answer(REVIEWER, question.item.id, "spam")


def test_a_question_must_be_claimed_before_it_is_answered(served: Trimtab) -> None:
    item = queued(served)[0]
    with pytest.raises(IllegalTransitionError, match="is open cannot answer"):
        served.reviews.answer(REVIEWER, item.id, "ham")


def test_a_skipped_question_waits_until_somebody_opens_it_again(served: Trimtab) -> None:
    queued(served, 1)
    question = claim(served)
    assert served.reviews.skip(REVIEWER, question.item.id).state is ReviewState.SKIPPED
    assert served.reviews.claim(OTHER_REVIEWER) is None
    assert served.reviews.reopen(REVIEWER, question.item.id).state is ReviewState.OPEN
    assert claim(served, OTHER_REVIEWER).item.id == question.item.id
    with pytest.raises(IllegalTransitionError, match="is claimed cannot reopen"):
        served.reviews.reopen(REVIEWER, question.item.id)


def test_a_question_for_two_reviewers_goes_to_a_second_one_and_not_back_to_the_first(served: Trimtab) -> None:
    item = queued(served, 1)[0]
    with writing(served.engine) as connection:
        wanted = tables.review_items.update().where(tables.review_items.c.id == item.id).values(reviewers_wanted=2)
        connection.execute(wanted)
    claim(served)
    assert served.reviews.answer(REVIEWER, item.id, "ham").state is ReviewState.OPEN
    assert served.reviews.claim(REVIEWER) is None
    assert claim(served, OTHER_REVIEWER).item.id == item.id
    assert served.reviews.answer(OTHER_REVIEWER, item.id, "spam").state is ReviewState.ANSWERED
    assert [one.item.id for one in served.reviews.disputed(VIEWER, agent=MAIL)] == [item.id]
    assert served.labels.stats(VIEWER, agent=MAIL).total == 0


def test_bad_answers_are_refused_by_name_and_change_nothing(served: Trimtab) -> None:
    queued(served, 1)
    item = claim(served).item
    bad: list[tuple[str, dict[str, object]]] = [
        ("label 'parcel' is no label of mail; it has ham, spam", {"label": "parcel"}),
        ("confidence: a number", {"confidence": 0.0}),
        ("confidence: a number", {"confidence": float("nan")}),
        ("note: at most 4000 characters", {"note": "x" * 4001}),
        ("note: has a character", {"note": "a\0b"}),
    ]
    for words, change in bad:
        with pytest.raises(InvalidInputError, match=words):
            served.reviews.answer(REVIEWER, item.id, **{"label": "ham", **change})  # type: ignore[arg-type]
    for name in ("first", "00000000-0000-7000-8000-000000000000", "\0"):
        with pytest.raises(NotFoundError, match="review item"):
            served.reviews.answer(REVIEWER, name, "ham")
    assert state(served, item.id) is ReviewState.CLAIMED
    assert served.labels.stats(VIEWER).total == 0


def test_the_stored_probability_is_the_chance_of_being_asked(served: Trimtab) -> None:
    serve(served, list(range(5, 29)))  # all served alike, so none is less certain than another
    served.reviews.sample(OPERATOR, budget=6, discordant_quota=0)
    assert [item.inclusion for item in served.reviews.queue(VIEWER)] == pytest.approx([6 / 24] * 6)


def test_who_is_asked_about_everything_is_asked_with_certainty(served: Trimtab) -> None:
    assert {item.inclusion for item in queued(served, 7)} == {1.0}


def test_the_same_night_draws_the_same_questions_whatever_their_ids(
    sqlite_url: str, tmp_path: Path, clock: SimulatedClock
) -> None:
    drawn = []
    for seed in (1, 2):
        copy = tmp_path / f"{seed}.db"
        shutil.copyfile(make_url(sqlite_url).database or "", copy)
        trimtab = open_trimtab(f"sqlite:///{copy}", SimulatedClock(clock.now()), seed=seed)
        add_agent(trimtab)
        crown(trimtab, 5)
        drawn.append([(item.key, item.inclusion, item.stratum) for item in queued(trimtab, 30, budget=8)])
        trimtab.close()
    assert drawn[0] == drawn[1]


def test_a_decision_is_a_candidate_of_exactly_one_draw(served: Trimtab) -> None:
    serve(served, list(range(10)))
    (first,) = served.reviews.sample(OPERATOR, budget=2)
    (again,) = served.reviews.sample(OPERATOR, budget=2)
    wait(served, timedelta(days=1))
    serve(served, list(range(6)), prefix="later")
    (second,) = served.reviews.sample(OPERATOR, budget=2)
    assert [(one.candidates, one.queued) for one in (first, again, second)] == [(10, 2), (0, 0), (6, 2)]


def test_two_draws_at_once_ask_about_each_decision_once(
    served: Trimtab, database_url: str, clock: SimulatedClock
) -> None:
    other = twin(served, database_url, clock)
    serve(served, list(range(20)))
    results = at_once(*(lambda one=one: one.reviews.sample(OPERATOR, budget=5)[0] for one in (served, other)))
    other.close()
    assert sorted((one.candidates, one.queued) for one in results) == [(0, 0), (20, 5)]


def test_a_key_with_many_decisions_is_one_candidate(served: Trimtab) -> None:
    accepted(served, [decided(served, "t-1", i, turn=str(i)) for i in range(4)])
    wait(served, timedelta(minutes=5))
    (report,) = served.reviews.sample(OPERATOR, budget=3)
    assert (report.candidates, report.queued) == (1, 1)


def test_a_live_rollout_has_its_own_quota_for_decisions_on_which_the_arms_differ(trimtab: Trimtab) -> None:
    rollout = agent_with_rollout(trimtab)
    events = serve(trimtab, [4] * 6 + list(range(10, 40)))
    differing = {event.key for event in events if event.discordant}
    assert len(differing) == 6
    (report,) = trimtab.reviews.sample(OPERATOR, budget=4, discordant_quota=10)
    assert (report.queued, report.by_stratum["discordant"]) == (10, 6)
    asked = [item for item in trimtab.reviews.queue(VIEWER) if item.stratum is AskedFor.DISCORDANT]
    assert {item.key for item in asked} == differing
    assert {(item.inclusion, item.rollout_id) for item in asked} == {(1.0, rollout.id)}
    assert [item.stratum for item in trimtab.reviews.queue(VIEWER)][:6] == [AskedFor.DISCORDANT] * 6


def test_an_answer_on_a_discordant_decision_judges_both_arms_once(trimtab: Trimtab) -> None:
    rollout = agent_with_rollout(trimtab)
    serve(trimtab, [4, 4, 0])
    trimtab.reviews.sample(OPERATOR, budget=3, discordant_quota=3)
    assert answer_all(trimtab, lambda payload: truth(payload["links"])) == 3
    paired = trimtab.rollouts.evidence(VIEWER, rollout.id).paired
    assert (paired.compared, paired.discordant, paired.labelled, paired.better) == (3, 2, 2, 2)


def test_gold_on_a_queued_discordant_key_judges_both_arms_too(trimtab: Trimtab) -> None:
    rollout = agent_with_rollout(trimtab)
    (event,) = serve(trimtab, [4])
    trimtab.reviews.sample(OPERATOR, budget=0, discordant_quota=1)
    gold(trimtab, [(event.key, 4, "ham")])
    assert trimtab.rollouts.evidence(VIEWER, rollout.id).paired.worse == 1


def test_where_judges_disagree_the_question_says_so(served: Trimtab) -> None:
    event, calm = serve(served, [7, 8])
    accepted(served, [verdict(event, "a", "ham", confidence=0.9), verdict(event, "b", "spam", confidence=0.9)])
    accepted(served, [verdict(calm, "a", "spam", confidence=0.9), verdict(calm, "b", "spam", confidence=0.9)])
    wait(served, timedelta(minutes=1))
    served.reviews.sample(OPERATOR, budget=2)
    items = {item.key: item for item in served.reviews.queue(VIEWER)}
    assert items[event.key].uncertainty > items[calm.key].uncertainty
    assert items[event.key].reasons


def test_a_decision_that_nothing_served_is_worth_exploring(trimtab: Trimtab) -> None:
    add_agent(trimtab)
    serve(trimtab, [7])
    (report,) = trimtab.reviews.sample(OPERATOR, budget=1)
    assert report.queued == 1
    assert trimtab.reviews.queue(VIEWER)[0].uncertainty == 1.0


def test_every_agent_is_sampled_with_its_own_budget(served: Trimtab) -> None:
    add_agent(served, "other")
    serve(served, list(range(5)))
    serve(served, list(range(5)), "other")
    reports = served.reviews.sample(OPERATOR, budget=2)
    assert {one.agent: one.queued for one in reports} == {MAIL: 2, "other": 2}
    assert Counter(item.agent for item in served.reviews.queue(VIEWER)) == {MAIL: 2, "other": 2}


def test_a_budget_outside_its_range_is_refused(served: Trimtab) -> None:
    for budget, quota in ((-1, 0), (10_001, 0), (0, -1)):
        with pytest.raises(InvalidInputError, match="budget"):
            served.reviews.sample(OPERATOR, budget=budget, discordant_quota=quota)


def test_only_reviewers_claim_and_only_jobs_draw(served: Trimtab) -> None:
    with pytest.raises(ForbiddenError):
        served.reviews.claim(AGENT)
    with pytest.raises(ForbiddenError):
        served.reviews.sample(REVIEWER)

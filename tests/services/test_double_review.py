from __future__ import annotations

from datetime import timedelta

import pytest
from tests.services.steps import (
    APPROVER,
    MAIL,
    OPERATOR,
    OTHER_REVIEWER,
    REVIEWER,
    VIEWER,
    add_agent,
    agent_with_rollout,
    at_once,
    crown,
    gold,
    serve,
    twin,
    wait,
)

from trimtab.bootstrap import Trimtab
from trimtab.clock import SimulatedClock
from trimtab.core.reviews import ReviewState
from trimtab.core.rights import Actor, Role
from trimtab.errors import ConflictError, ForbiddenError, IllegalTransitionError, InvalidInputError, NotFoundError
from trimtab.services.reviewers import ReviewerAgreement
from trimtab.services.reviews import PATIENCE
from trimtab.store.reviews import ReviewItem

THIRD = Actor(name="ruth", role=Role.REVIEWER)


@pytest.fixture
def served(trimtab: Trimtab) -> Trimtab:
    add_agent(trimtab)
    crown(trimtab, 5)
    return trimtab


def ask(trimtab: Trimtab, n: int = 1, *, wanted: int = 2, prefix: str = "thread") -> list[ReviewItem]:
    """`n` questions for `wanted` reviewers each."""
    serve(trimtab, [i % 9 for i in range(n)], prefix=prefix)
    trimtab.reviews.sample(OPERATOR, agent=MAIL, budget=n, discordant_quota=0, reviewers_wanted=wanted)
    return trimtab.reviews.queue(VIEWER, agent=MAIL, limit=1000)


def say(trimtab: Trimtab, who: Actor, label: str, *, note: str | None = None) -> ReviewItem:
    """Answer the question that comes next."""
    question = trimtab.reviews.claim(who, agent=MAIL)
    assert question is not None
    return trimtab.reviews.answer(who, question.item.id, label, note=note)


def labels(trimtab: Trimtab) -> int:
    return trimtab.labels.stats(VIEWER, agent=MAIL).total


def agreement(trimtab: Trimtab) -> ReviewerAgreement:
    (found,) = trimtab.reviews.agreement(VIEWER, agent=MAIL)
    return found


def test_nothing_is_labelled_before_all_who_were_wanted_have_answered(served: Trimtab) -> None:
    (item,) = ask(served)
    assert say(served, REVIEWER, "spam").state is ReviewState.OPEN
    assert labels(served) == 0
    assert item.key not in served.labels.merged(VIEWER, MAIL)
    assert say(served, OTHER_REVIEWER, "spam").state is ReviewState.ANSWERED
    merged = served.labels.merged(VIEWER, MAIL)[item.key]
    assert (labels(served), merged.label, merged.conflict) == (2, "spam", False)
    assert merged.inclusion == pytest.approx(item.inclusion)


def test_nobody_sees_an_answer_before_all_are_in(served: Trimtab) -> None:
    (item,) = ask(served)
    say(served, REVIEWER, "spam", note="sells pills")
    assert served.reviews.disputed(VIEWER, agent=MAIL) == []
    told = [one for one in served.history.audit(VIEWER, limit=50) if one["action"] == "review.answer"]
    assert [set(one["details"]) for one in told] == [{"item", "key"}]
    question = served.reviews.claim(OTHER_REVIEWER, agent=MAIL)
    assert question is not None
    assert "spam" not in str(question.payload)
    assert question.item.id == item.id


def test_a_disagreement_is_no_label_until_somebody_else_decides(served: Trimtab) -> None:
    (item,) = ask(served)
    say(served, REVIEWER, "ham", note="a newsletter")
    assert say(served, OTHER_REVIEWER, "spam").state is ReviewState.ANSWERED
    assert labels(served) == 0
    (dispute,) = served.reviews.disputed(VIEWER, agent=MAIL)
    said = {(one.reviewer, one.label, one.note) for one in dispute.answers}
    assert said == {("rita", "ham", "a newsletter"), ("rolf", "spam", None)}
    assert dispute.payload is not None
    assert dispute.labels == ("ham", "spam")
    decided = served.reviews.adjudicate(THIRD, item.id, "spam", reason="nobody subscribed", confidence=0.8)
    assert decided.state is ReviewState.ADJUDICATED
    assert served.reviews.disputed(VIEWER, agent=MAIL) == []
    merged = served.labels.merged(VIEWER, MAIL)[item.key]
    assert (labels(served), merged.label) == (1, "spam")
    assert merged.confidence == pytest.approx(0.8 * 0.95)  # as sure as the adjudicator, times a review's reliability
    (told,) = [one for one in served.history.audit(VIEWER, limit=50) if one["action"] == "review.adjudicate"]
    assert told["details"]["answers"] == {"rita": "ham", "rolf": "spam"}


def test_who_disagrees_may_not_decide_and_an_agreement_needs_no_decision(served: Trimtab) -> None:
    first, second = ask(served, 2)
    for label in ("ham", "spam"):
        say(served, REVIEWER, "ham")
        say(served, OTHER_REVIEWER, label)
    disputed = served.reviews.disputed(VIEWER, agent=MAIL)[0].item.id
    agreed = first.id if disputed == second.id else second.id
    with pytest.raises(ConflictError, match=r"rita answered .* somebody else has to decide"):
        served.reviews.adjudicate(REVIEWER, disputed, "ham", reason="I said so")
    with pytest.raises(ConflictError, match="its reviewers agree"):
        served.reviews.adjudicate(THIRD, agreed, "spam", reason="I differ")
    with pytest.raises(InvalidInputError, match="'parcel' is no label"):
        served.reviews.adjudicate(THIRD, disputed, "parcel", reason="odd")
    with pytest.raises(InvalidInputError, match="reason"):
        served.reviews.adjudicate(THIRD, disputed, "ham", reason=" ")
    with pytest.raises(InvalidInputError, match="confidence"):
        served.reviews.adjudicate(THIRD, disputed, "ham", reason="sure", confidence=0)
    with pytest.raises(NotFoundError):
        served.reviews.adjudicate(THIRD, "first", "ham", reason="which?")
    with pytest.raises(ForbiddenError):
        served.reviews.adjudicate(VIEWER, disputed, "ham", reason="I only look")
    assert labels(served) == 2
    served.reviews.adjudicate(APPROVER, disputed, "ham", reason="plain")
    with pytest.raises(IllegalTransitionError, match="is adjudicated cannot adjudicate"):
        served.reviews.adjudicate(THIRD, disputed, "spam", reason="again")


def test_two_adjudicators_at_once_decide_once(served: Trimtab, database_url: str, clock: SimulatedClock) -> None:
    (item,) = ask(served)
    say(served, REVIEWER, "ham")
    say(served, OTHER_REVIEWER, "spam")
    other = twin(served, database_url, clock)
    results = at_once(
        lambda: served.reviews.adjudicate(THIRD, item.id, "ham", reason="one"),
        lambda: other.reviews.adjudicate(APPROVER, item.id, "spam", reason="two"),
    )
    other.close()
    assert sum(isinstance(one, ReviewItem) for one in results) == 1
    assert sum(isinstance(one, ConflictError | IllegalTransitionError) for one in results) == 1
    assert labels(served) == 1


def test_two_reviewers_judge_the_arms_of_a_rollout_once_and_a_dispute_waits(trimtab: Trimtab) -> None:
    rollout = agent_with_rollout(trimtab)
    serve(trimtab, [4, 4])
    trimtab.reviews.sample(OPERATOR, budget=0, discordant_quota=2, reviewers_wanted=2)

    def labelled() -> int:
        return trimtab.rollouts.evidence(VIEWER, rollout.id).paired.labelled

    say(trimtab, REVIEWER, "spam")
    assert labelled() == 0
    say(trimtab, OTHER_REVIEWER, "spam")
    assert labelled() == 1
    say(trimtab, REVIEWER, "spam")
    item = say(trimtab, OTHER_REVIEWER, "ham")
    assert labelled() == 1
    trimtab.reviews.adjudicate(THIRD, item.id, "ham", reason="a friend wrote it")
    paired = trimtab.rollouts.evidence(VIEWER, rollout.id).paired
    assert (paired.labelled, paired.better, paired.worse) == (2, 1, 1)


def test_gold_decides_a_dispute_and_judges_the_arms(trimtab: Trimtab) -> None:
    rollout = agent_with_rollout(trimtab)
    (event,) = serve(trimtab, [4])
    trimtab.reviews.sample(OPERATOR, budget=0, discordant_quota=1, reviewers_wanted=2)
    say(trimtab, REVIEWER, "spam")
    say(trimtab, OTHER_REVIEWER, "ham")
    gold(trimtab, [(event.key, 4, "spam")])
    assert trimtab.reviews.disputed(VIEWER) == []
    assert trimtab.rollouts.evidence(VIEWER, rollout.id).paired.better == 1


def test_three_reviewers_answer_one_question_each_once(served: Trimtab) -> None:
    ask(served, wanted=3)
    for who, state in ((REVIEWER, ReviewState.OPEN), (OTHER_REVIEWER, ReviewState.OPEN), (THIRD, ReviewState.ANSWERED)):
        assert say(served, who, "ham").state is state
        assert served.reviews.claim(who, agent=MAIL) is None
    assert labels(served) == 3


def test_an_answer_that_waited_long_for_a_second_reviewer_counts_alone(served: Trimtab) -> None:
    ask(served, 2)
    say(served, REVIEWER, "spam")
    question = served.reviews.claim(REVIEWER, agent=MAIL)
    assert question is not None
    served.reviews.answer(REVIEWER, question.item.id, "ham")
    skipped = served.reviews.claim(OTHER_REVIEWER, agent=MAIL)
    assert skipped is not None
    served.reviews.skip(OTHER_REVIEWER, skipped.item.id)
    wait(served, PATIENCE - timedelta(minutes=1))
    assert (served.reviews.lapse(OPERATOR), labels(served)) == (0, 0)
    wait(served, timedelta(minutes=2))
    assert (served.reviews.lapse(OPERATOR), labels(served)) == (2, 2)
    assert served.reviews.queue(VIEWER) == []
    assert served.reviews.lapse(OPERATOR) == 0
    assert agreement(served).n == 0


def test_a_share_of_the_questions_gets_a_second_reviewer(served: Trimtab) -> None:
    serve(served, [i % 9 for i in range(60)])
    served.reviews.sample(OPERATOR, agent=MAIL, budget=60, discordant_quota=0, double_review_share=0.3)
    wanted = [one.reviewers_wanted for one in served.reviews.queue(VIEWER, limit=100)]
    assert set(wanted) == {1, 2}
    assert 8 <= wanted.count(2) <= 28


@pytest.mark.parametrize("bad", [{"reviewers_wanted": 0}, {"reviewers_wanted": 10}, {"double_review_share": 1.1}])
def test_reviewers_outside_their_range_are_refused(served: Trimtab, bad: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match="reviewers wanted"):
        served.reviews.sample(OPERATOR, **bad)  # type: ignore[arg-type]


def test_agreement_that_compares_nothing_is_unknown_with_its_n(served: Trimtab) -> None:
    assert agreement(served).reviewers == ()
    ask(served, 2, wanted=1)
    say(served, REVIEWER, "ham")
    found = agreement(served)
    assert (found.alpha, found.n, found.disagreed, found.disputed) == (None, 0, 0, 0)
    (rita,) = found.reviewers
    assert (rita.answers, rita.n, rita.agreement, rita.interval, rita.kappa) == (1, 0, None, None, None)


def test_reviewers_are_measured_against_each_other_and_against_what_stood(served: Trimtab) -> None:
    ask(served, 8)
    for i in range(8):
        right = "ham" if i % 2 else "spam"
        wrong = "spam" if i % 2 else "ham"
        say(served, REVIEWER, right)
        item = say(served, OTHER_REVIEWER, wrong if i in (0, 1) else right)
        if i == 0:
            served.reviews.adjudicate(THIRD, item.id, right, reason="plain")
    found = agreement(served)
    assert (found.n, found.disagreed, found.disputed) == (8, 2, 1)
    assert found.alpha is not None
    assert 0.3 < found.alpha < 0.7
    rita, rolf = found.reviewers
    assert (rita.n, rolf.n) == (7, 7)  # the undecided one is compared with nothing
    assert rita.agreement is not None
    assert rolf.agreement is not None
    assert rita.agreement > rolf.agreement
    assert rita.kappa == pytest.approx(1.0)
    assert rolf.interval is not None
    assert rolf.interval[0] < 6 / 7 < rolf.interval[1]


def test_gold_measures_a_reviewer_who_answered_alone(served: Trimtab) -> None:
    (item,) = ask(served, wanted=1)
    say(served, REVIEWER, "ham")
    gold(served, [(item.key, 1, "spam")])
    (rita,) = agreement(served).reviewers
    assert (rita.n, rita.kappa) == (1, 0.0)

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.services.steps import (
    AGENT,
    MAIL,
    OPERATOR,
    OTHER_REVIEWER,
    REVIEWER,
    VIEWER,
    accepted,
    add_agent,
    answer_all,
    changed,
    crown,
    decided,
    serve,
    truth,
    verdict,
    wait,
)

from trimtab.bootstrap import Trimtab
from trimtab.core.sampling import AskedFor
from trimtab.errors import ForbiddenError, NotFoundError


@pytest.fixture
def served(trimtab: Trimtab) -> Trimtab:
    """A champion that takes mail with 3 or 4 links for ham, wrongly."""
    add_agent(trimtab)
    crown(trimtab, 5)
    return trimtab


def asked(trimtab: Trimtab, n: int, *, budget: int | None = None, prefix: str = "thread") -> int:
    """Decisions that two judges look at: they agree, rightly, except where the champion is wrong; how many answers."""
    events = serve(trimtab, [i % 9 for i in range(n)], prefix=prefix)
    said = []
    for event in events:
        links = event.payload["links"]
        split = links in (3, 4)
        said += [verdict(event, "a", truth(links)), verdict(event, "b", "ham" if split else truth(links))]
    accepted(trimtab, said)
    trimtab.reviews.sample(OPERATOR, agent=MAIL, budget=n if budget is None else budget, discordant_quota=0)
    return answer_all(trimtab, lambda payload: truth(payload["links"]))


def test_without_answers_nothing_is_claimed(served: Trimtab) -> None:
    serve(served, [1, 7])
    found = served.reviews.worth(VIEWER, MAIL)
    assert (found.answered, found.audited, found.served.points, found.open_decisions) == (0, 0, (), 2)
    assert (found.advice.worth_asking, found.advice.stop, found.advice.error_rate) == (None, None, None)
    assert "not known: 0 answers" in found.words[-1]


def test_the_curve_is_from_the_audit_slice_alone(served: Trimtab) -> None:
    assert asked(served, 40, budget=30) == 30
    audited = served.reviews.stats(VIEWER, agent=MAIL)
    found = served.reviews.worth(VIEWER, MAIL)
    assert found.answered == 30
    assert found.audited == sum(n for _, stratum, n in audited if stratum == AskedFor.AUDIT)
    assert found.served.n == found.audited < 30


def test_errors_are_found_sooner_where_the_judges_split(served: Trimtab) -> None:
    asked(served, 120, budget=110)
    found = served.reviews.worth(VIEWER, MAIL)
    assert found.served.errors > 0
    lift = found.served.lift_at(0.2)
    assert lift is not None
    assert lift > 1.5
    assert found.words[0].startswith(f"the served label was wrong in {found.served.errors} of {found.served.n}")


def test_how_many_labels_still_pay_is_said_of_what_nobody_answered(served: Trimtab) -> None:
    asked(served, 40, budget=25)
    wait(served, timedelta(hours=1))
    serve(served, [8] * 10, prefix="plain")
    found = served.reviews.worth(VIEWER, MAIL)
    assert found.open_decisions == 40 - 25 + 10
    assert found.advice.answered == 25
    assert found.advice.worth_asking is not None
    assert found.words[-1].startswith("25 decisions of the last 7 days have no answer")
    wait(served, timedelta(days=8))
    later = served.reviews.worth(VIEWER, MAIL)
    assert (later.open_decisions, later.advice.stop) == (0, True)
    assert later.words[-1].endswith("nothing is open; asking can stop")


def test_a_dispute_counts_once_it_is_decided(served: Trimtab) -> None:
    serve(served, [7])
    served.reviews.sample(OPERATOR, agent=MAIL, budget=1, discordant_quota=0, reviewers_wanted=2)
    for who, label in ((REVIEWER, "ham"), (OTHER_REVIEWER, "spam")):
        question = served.reviews.claim(who)
        assert question is not None
        served.reviews.answer(who, question.item.id, label)
    assert served.reviews.worth(VIEWER, MAIL).answered == 0
    served.reviews.adjudicate(OPERATOR, question.item.id, "spam", reason="plain")
    assert served.reviews.worth(VIEWER, MAIL).answered == 1


def test_what_was_believed_at_the_draw_is_compared_and_stays_hidden_from_reviewers(served: Trimtab) -> None:
    events = serve(served, [7] * 30)
    accepted(served, [verdict(event, "a", "ham", confidence=0.9) for event in events])
    served.reviews.sample(OPERATOR, agent=MAIL, budget=30, discordant_quota=0)
    question = served.reviews.claim(REVIEWER)
    assert question is not None
    assert "favoured" not in type(question.item).__slots__
    answer_all(served, lambda _: "spam")
    found = served.reviews.worth(VIEWER, MAIL)
    assert found.audited > 0
    assert (found.served.errors, found.believed.errors) == (0, found.audited)


def test_where_nothing_was_served_there_is_no_error_to_find(trimtab: Trimtab) -> None:
    add_agent(trimtab)
    serve(trimtab, [7] * 30)
    trimtab.reviews.sample(OPERATOR, agent=MAIL, budget=8, discordant_quota=0)
    answer_all(trimtab, lambda _: "spam")
    found = trimtab.reviews.worth(VIEWER, MAIL)
    assert found.answered == 8
    assert (found.served.n, found.believed.n, found.advice.answered) == (0, 0, 0)


def test_of_decisions_with_equal_features_one_is_asked_about(served: Trimtab) -> None:
    payload = {"links": 2, "capitals": 0.5, "known_sender": False}
    twins = [changed(decided(served, f"twin-{i}", 2), payload=payload) for i in range(6)]
    accepted(served, twins)
    serve(served, [0, 1, 6, 7])
    (report,) = served.reviews.sample(OPERATOR, agent=MAIL, budget=10, discordant_quota=0)
    assert (report.candidates, report.queued) == (10, 5)
    asked_twin = [item for item in served.reviews.queue(VIEWER) if item.key.startswith("twin")]
    assert [item.inclusion for item in asked_twin] == [pytest.approx(1 / 6)]


def test_worth_is_for_who_may_read_and_for_agents_that_exist(served: Trimtab) -> None:
    with pytest.raises(ForbiddenError):
        served.reviews.worth(AGENT, MAIL)
    with pytest.raises(NotFoundError):
        served.reviews.worth(VIEWER, "post")

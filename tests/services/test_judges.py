from __future__ import annotations

from datetime import timedelta

import pytest
from tests.services.steps import (
    ADMIN,
    MAIL,
    OPERATOR,
    REVIEWER,
    VIEWER,
    accepted,
    add_agent,
    answer_all,
    changed,
    crown,
    gold,
    send,
    serve,
    thumb,
    verdict,
    wait,
)

from trimtab.bootstrap import Trimtab
from trimtab.clock import SimulatedClock
from trimtab.core.events import DecisionEvent
from trimtab.core.judges.weights import JudgeWeight
from trimtab.core.labels import Source
from trimtab.errors import ForbiddenError
from trimtab.services.labels import ImportRow


@pytest.fixture
def served(trimtab: Trimtab) -> Trimtab:
    add_agent(trimtab)
    crown(trimtab, 5)
    return trimtab


def judged(
    trimtab: Trimtab, n: int, *, judge: str = "judge", right: int | None = None, prefix: str = "thread"
) -> list[DecisionEvent]:
    """`n` decisions whose true label is spam, the first `right` of them judged rightly."""
    events = serve(trimtab, list(range(5, 5 + n)), prefix=prefix)
    say(trimtab, events, judge=judge, right=n if right is None else right)
    return events


def say(trimtab: Trimtab, events: list[DecisionEvent], *, judge: str, right: int, version: str = "1") -> None:
    accepted(
        trimtab,
        [verdict(event, judge, "spam" if i < right else "ham", version=version) for i, event in enumerate(events)],
    )


def reveal(trimtab: Trimtab, events: list[DecisionEvent]) -> None:
    gold(trimtab, [(event.key, 7, "spam") for event in events])


def weight(trimtab: Trimtab, judge: str = "judge", version: str = "1") -> JudgeWeight:
    found = trimtab.judges.update_weights(OPERATOR, agent=MAIL)[MAIL]
    return next(one for one in found if (one.judge, one.version) == (judge, version))


def test_the_weight_is_agreement_less_half_the_calibration_error(served: Trimtab) -> None:
    reveal(served, judged(served, 20, right=16))
    found = weight(served)
    assert (found.n, found.unproven) == (20, False)
    assert found.agreement == pytest.approx(17 / 22, abs=5e-3)  # ages are taken at the end of the day
    assert found.ece is not None
    assert found.weight == pytest.approx(found.agreement - found.ece / 2)


def test_below_five_comparisons_a_judge_is_unproven(served: Trimtab) -> None:
    events = judged(served, 5)
    reveal(served, events[:4])
    found = weight(served)
    assert (found.n, found.unproven, found.weight) == (4, True, 0.5)
    reveal(served, events[4:])
    assert (weight(served).n, weight(served).unproven) == (5, False)


def test_a_judge_that_was_compared_with_nothing_has_no_agreement_instead_of_none_right(served: Trimtab) -> None:
    judged(served, 6)
    found = weight(served)
    assert (found.n, found.agreement, found.ece, found.brier, found.unproven) == (0, None, None, None, True)
    assert [(one.accuracy, one.n) for one in served.judges.agreement(VIEWER, MAIL)] == [(None, 0), (None, 0)]


def test_without_any_verdict_there_are_no_weights_and_no_event(served: Trimtab) -> None:
    audited = len(served.history.audit(VIEWER))
    assert served.judges.update_weights(OPERATOR) == {MAIL: ()}
    assert len(served.history.audit(VIEWER)) == audited
    assert [(one.accuracy, one.n) for one in served.judges.agreement(VIEWER, MAIL)] == [(None, 0), (None, 0)]


def test_only_gold_and_reviews_weigh_judges(served: Trimtab) -> None:
    events = judged(served, 12, right=0)
    send(served, *(thumb(event, correct=True) for event in events))
    served.labels.load(OPERATOR)
    rows = [ImportRow(place="1", key=event.key, label="spam", payload={"links": 7}) for event in events]
    served.labels.add_rows(OPERATOR, MAIL, rows, name="file")
    assert weight(served).n == 0
    served.reviews.sample(OPERATOR, budget=6, discordant_quota=0)
    assert answer_all(served, lambda _: "spam") == 6
    assert weight(served).n == 6
    assert weight(served).agreement < 0.5


def test_a_new_version_of_a_judge_starts_unproven(served: Trimtab) -> None:
    events = judged(served, 10)
    say(served, judged(served, 3, judge="other", prefix="more"), judge="judge", right=3, version="2")
    reveal(served, events)
    assert not weight(served).unproven
    assert weight(served, version="2").unproven


def test_of_two_verdicts_by_the_same_judge_the_newest_counts(served: Trimtab) -> None:
    events = judged(served, 6, right=0)
    late = [changed(verdict(event, "judge", "spam"), id=event.id, at=event.at + timedelta(hours=1)) for event in events]
    accepted(served, late)
    reveal(served, events)
    wait(served, timedelta(hours=2))
    found = weight(served)
    assert (found.n, found.agreement) == (6, pytest.approx(7 / 8, abs=0.01))


def test_each_update_leaves_a_dated_snapshot_and_the_same_moment_replaces_its_own(
    served: Trimtab, clock: SimulatedClock
) -> None:
    reveal(served, judged(served, 6))
    served.judges.update_weights(OPERATOR)
    served.judges.update_weights(OPERATOR)
    assert len(served.judges.history(VIEWER, MAIL)) == 1
    clock.advance(timedelta(days=1))
    served.judges.update_weights(OPERATOR)
    history = served.judges.history(VIEWER, MAIL, judge="judge")
    assert [row.at for row in history] == [clock.now() - timedelta(days=1), clock.now()]
    assert served.judges.history(VIEWER, MAIL, judge="nobody") == []
    (newest,) = served.judges.weights(VIEWER, MAIL)
    assert newest.at == clock.now()
    assert newest.snapshot["n"] == 6
    assert newest.snapshot["reliability_bins"]


def test_old_verdicts_fade_and_leave_after_the_look_back(served: Trimtab, clock: SimulatedClock) -> None:
    reveal(served, judged(served, 8, right=4))
    now = weight(served)
    clock.advance(timedelta(days=14))
    later = weight(served)
    assert later.n == now.n
    assert later.effective_n < now.effective_n
    clock.advance(timedelta(days=30))
    assert served.judges.update_weights(OPERATOR)[MAIL] == ()


def test_an_answer_that_was_drawn_speaks_for_those_that_were_not(served: Trimtab) -> None:
    judged(served, 40)
    served.reviews.sample(OPERATOR, budget=8, discordant_quota=0)
    answer_all(served, lambda _: "spam", reviewer=REVIEWER)
    merged = served.labels.merged(VIEWER, MAIL)
    assert {one.sources for one in merged.values()} == {(Source.REVIEW,)}
    assert all(0 < one.inclusion < 1 for one in merged.values())
    assert weight(served).n == 8


def test_consensus_and_majority_vote_are_reported_side_by_side(served: Trimtab) -> None:
    events = judged(served, 20, judge="good", right=19)
    say(served, events, judge="bad", right=2)
    say(served, events, judge="worse", right=1)
    reveal(served, events)
    found = {one.method: one for one in served.judges.agreement(VIEWER, MAIL)}
    assert len(found) == 2
    assert {one.n for one in found.values()} == {20}
    accuracies = [one.accuracy for one in found.values()]
    assert accuracies[0] is not None
    assert accuracies[1] is not None
    assert accuracies[0] > accuracies[1]


def test_a_judge_is_measured_on_each_agent_apart(served: Trimtab) -> None:
    add_agent(served, "other")
    reveal(served, judged(served, 6))
    assert set(served.judges.update_weights(OPERATOR)) == {MAIL, "other"}
    assert served.judges.weights(VIEWER, "other") == []


def test_only_who_may_run_jobs_updates_weights(served: Trimtab) -> None:
    with pytest.raises(ForbiddenError):
        served.judges.update_weights(REVIEWER)
    assert served.judges.update_weights(ADMIN) == {MAIL: ()}

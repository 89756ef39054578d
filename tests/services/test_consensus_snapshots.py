from __future__ import annotations

from datetime import timedelta

import pytest
from tests.services.steps import (
    AGENT,
    MAIL,
    OPERATOR,
    VIEWER,
    accepted,
    add_agent,
    crown,
    gold,
    serve,
    verdict,
    wait,
)

from trimtab.bootstrap import Trimtab
from trimtab.core.events import DecisionEvent
from trimtab.errors import ForbiddenError, NotFoundError
from trimtab.services.judges import JudgeReport


@pytest.fixture
def served(trimtab: Trimtab) -> Trimtab:
    add_agent(trimtab)
    crown(trimtab, 5)
    return trimtab


def judged(
    trimtab: Trimtab, n: int, *, right: float = 0.8, version: str = "1", prefix: str = "thread", judge: str = "judge"
) -> list[DecisionEvent]:
    """`n` decisions with their trusted answers, a share of them judged rightly."""
    events = serve(trimtab, [7 if i % 2 else 1 for i in range(n)], prefix=prefix)
    say(trimtab, events, right=right, version=version, judge=judge)
    gold(trimtab, [(event.key, 1, truth(i)) for i, event in enumerate(events)])
    return events


def truth(i: int) -> str:
    return "spam" if i % 2 else "ham"


def say(trimtab: Trimtab, events: list[DecisionEvent], *, right: float, judge: str, version: str = "1") -> None:
    """Verdicts of which the first `right` share are right, surer where they are."""
    hits = round(right * len(events))
    accepted(
        trimtab,
        [
            verdict(
                event,
                judge,
                truth(i) if i < hits else truth(i + 1),
                version=version,
                confidence=0.9 if i < hits else 0.7,
            )
            for i, event in enumerate(events)
        ],
    )


def shown(trimtab: Trimtab, judge: str = "judge") -> JudgeReport:
    trimtab.judges.update_weights(OPERATOR, agent=MAIL)
    return trimtab.judges.show(VIEWER, MAIL, judge)


def test_a_judge_is_shown_with_everything_that_was_measured(served: Trimtab) -> None:
    judged(served, 60)
    report = shown(served)
    (row,) = report.versions
    found = row.snapshot
    assert (report.judge, row.version, row.n, found["n"]) == ("judge", "1", 60, 60)
    assert found["interval"][0] < 0.8 < found["interval"][1]
    assert found["confusion"]["labels"] == ["ham", "spam"]
    assert sum(map(sum, found["confusion"]["weight"])) == pytest.approx(60, rel=0.1)  # a little decay
    assert found["recalibration"]["n"] == 60
    assert found["recalibration"]["brier"] <= found["recalibration"]["constant_brier"]
    assert found["drift"]["older"] is None
    assert [len(one) for one in found["reliability_bins"]] == [3, 3]


def test_a_new_version_starts_unproven_and_the_one_before_stays_beside_it(served: Trimtab) -> None:
    judged(served, 30)
    assert shown(served).versions[0].unproven is False
    wait(served, timedelta(hours=1))
    events = serve(served, [1, 7], prefix="later")
    say(served, events, right=1.0, judge="judge", version="2")
    new, old = shown(served).versions
    assert (new.version, new.unproven, new.weight, new.n) == ("2", True, 0.5, 0)
    assert new.snapshot["agreement"] is None
    assert [(one["version"], one["n"]) for one in new.snapshot["earlier_versions"]] == [("1", 30)]
    assert (old.version, old.unproven) == ("1", False)
    only = served.judges.show(VIEWER, MAIL, "judge@1")
    assert [row.version for row in only.versions] == ["1"]
    assert {row.version for row in only.history} == {"1"}


def test_a_judge_that_got_worse_is_flagged_in_its_snapshot(served: Trimtab) -> None:
    judged(served, 40, right=0.95, prefix="old")
    wait(served, timedelta(days=9))
    judged(served, 40, right=0.4, prefix="new")
    drift = shown(served).versions[0].snapshot["drift"]
    assert (drift["drifted"], drift["older_n"], drift["recent_n"]) == (True, 40, 40)
    assert drift["interval"][1] < 0


def test_an_unknown_judge_is_refused_with_the_names_that_there_are(served: Trimtab) -> None:
    with pytest.raises(NotFoundError, match="was never measured; measure with"):
        served.judges.show(VIEWER, MAIL, "judge")
    judged(served, 10)
    shown(served)
    with pytest.raises(NotFoundError, match="measured are judge"):
        served.judges.show(VIEWER, MAIL, "jury")
    with pytest.raises(NotFoundError, match="agent 'post'"):
        served.judges.show(VIEWER, "post", "judge")


def test_the_consensus_is_kept_with_its_reason_its_rivals_and_the_majority_s_accuracy(served: Trimtab) -> None:
    events = judged(served, 80, right=0.9)
    for name, right in (("weak", 0.4), ("weaker", 0.3)):
        say(served, events, right=right, judge=name)
    served.judges.update_weights(OPERATOR, agent=MAIL)
    kept = served.judges.consensus(VIEWER, MAIL)
    assert kept is not None
    found = kept.snapshot
    assert (kept.n, kept.name, found["name"]) == (80, found["name"], found["name"])
    assert kept.accuracy == pytest.approx(found["accuracy"])
    assert found["interval"][0] < found["accuracy"] <= found["interval"][1]
    assert found["accuracy"] > found["majority_accuracy"]
    assert "majority vote" in {one["name"] for one in found["scores"]}
    assert found["judges"] == 3
    assert 1 <= found["effective_judges"] <= 3


def test_a_consensus_that_was_compared_with_nothing_has_no_accuracy(served: Trimtab) -> None:
    assert served.judges.consensus(VIEWER, MAIL) is None
    events = serve(served, [1, 7])
    say(served, events, right=1.0, judge="judge")
    served.judges.update_weights(OPERATOR, agent=MAIL)
    kept = served.judges.consensus(VIEWER, MAIL)
    assert kept is not None
    assert (kept.n, kept.accuracy, kept.snapshot["majority_accuracy"]) == (0, None, None)


def test_consensus_snapshots_are_dated_and_the_same_moment_is_kept_once(served: Trimtab) -> None:
    judged(served, 20)
    for _ in range(2):
        served.judges.update_weights(OPERATOR, agent=MAIL)
    wait(served, timedelta(days=1))
    served.judges.update_weights(OPERATOR, agent=MAIL)
    history = served.judges.consensus_history(VIEWER, MAIL)
    assert [one.at for one in history] == sorted((one.at for one in history), reverse=True)
    assert len(history) == 2


def test_only_who_may_read_sees_judges(served: Trimtab) -> None:
    for look in (
        lambda: served.judges.show(AGENT, MAIL, "judge"),
        lambda: served.judges.consensus(AGENT, MAIL),
        lambda: served.judges.consensus_history(AGENT, MAIL),
    ):
        with pytest.raises(ForbiddenError):
            look()

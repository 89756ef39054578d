from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from tests.services.steps import (
    AGENT,
    MAIL,
    OPERATOR,
    REVIEWER,
    START,
    VIEWER,
    accepted,
    add_agent,
    at_once,
    crown,
    decided,
    gold,
    labelled_rows,
    open_trimtab,
    send,
    serve,
    thumb,
    twin,
)

from trimtab.bootstrap import Trimtab
from trimtab.clock import SimulatedClock
from trimtab.core.events import ApprovalEvent, DecisionEvent
from trimtab.core.ids import named_uuid7
from trimtab.core.labels import Polarity, Source
from trimtab.errors import ForbiddenError, InvalidInputError
from trimtab.services.labels import FeedReport, ImportRow
from trimtab.store import labels as label_store
from trimtab.store import tables
from trimtab.store.engine import reading


@pytest.fixture
def served(trimtab: Trimtab) -> Trimtab:
    add_agent(trimtab)
    crown(trimtab, 5)
    return trimtab


@pytest.fixture
def of_three(trimtab: Trimtab) -> Trimtab:
    """An agent with three labels: `not spam` is no answer there."""
    add_agent(trimtab, labels=("ham", "news", "spam"))
    crown(trimtab, 5)
    return trimtab


def approval(decision: DecisionEvent, *, approved: bool) -> ApprovalEvent:
    return ApprovalEvent(
        id=named_uuid7(decision.at, decision.id, "approval"),
        agent=decision.agent,
        at=decision.at + timedelta(minutes=2),
        decision_id=decision.id,
        approved=approved,
        by="boss",
    )


def stored(trimtab: Trimtab, agent: str = MAIL) -> list[tuple[str, str, str, str]]:
    """(key, source, polarity, label) of every stored label."""
    with reading(trimtab.engine) as connection:
        return sorted(
            (one.key, one.source.value, one.polarity.value, one.label)
            for one in label_store.of_agent(connection, agent)
        )


def reported(reports: list[FeedReport]) -> dict[str, tuple[int, int, int]]:
    return {one.feed: (one.added, one.present, one.waiting) for one in reports}


def row(key: str, label: str, **more: Any) -> ImportRow:
    return ImportRow(place=f"row {key}", key=key, label=label, payload={"links": 1}, **more)


def test_a_thumb_up_says_that_the_served_label_was_right_and_a_thumb_down_that_it_was_not(served: Trimtab) -> None:
    up, down = serve(served, [7, 8])
    send(served, thumb(up, correct=True), thumb(down, correct=False))
    served.labels.load(OPERATOR, agent=MAIL, feed="feedback")
    assert stored(served) == [
        ("thread-0", "feedback", "positive", "spam"),
        ("thread-1", "feedback", "negative", "spam"),
    ]


def test_a_correction_names_the_right_label(served: Trimtab) -> None:
    (event,) = serve(served, [7])
    send(served, thumb(event, correct=False, label="ham"))
    served.labels.load(OPERATOR, feed="feedback")
    assert stored(served) == [("thread-0", "feedback", "positive", "ham")]


def test_approvals_and_gold_tasks_are_feeds_too(served: Trimtab) -> None:
    yes, no = serve(served, [7, 8])
    send(served, approval(yes, approved=True), approval(no, approved=False))
    assert served.labels.add_gold(OPERATOR, MAIL, [row("trusted", "ham")]) == 1
    assert reported(served.labels.load(OPERATOR)) == {
        "feedback": (0, 0, 0),
        "approvals": (2, 0, 0),
        "gold": (1, 0, 0),
    }
    assert stored(served) == [
        ("thread-0", "approval", "positive", "spam"),
        ("thread-1", "approval", "negative", "spam"),
        ("trusted", "gold", "positive", "ham"),
    ]


def test_loading_twice_changes_nothing(served: Trimtab) -> None:
    events = serve(served, [7, 8, 1])
    send(served, *(thumb(event) for event in events), *(approval(event, approved=True) for event in events))
    served.labels.add_gold(OPERATOR, MAIL, [row("trusted", "ham")])
    served.labels.load(OPERATOR)
    once, audited = stored(served), len(served.history.audit(VIEWER))
    assert set(reported(served.labels.load(OPERATOR)).values()) == {(0, 0, 0)}
    assert stored(served) == once
    assert len(served.history.audit(VIEWER)) == audited


def test_two_loaders_at_once_lose_nothing_and_double_nothing(
    served: Trimtab, database_url: str, clock: SimulatedClock
) -> None:
    other = twin(served, database_url, clock)
    events = serve(served, [i % 9 for i in range(200)])
    accepted(served, [thumb(event) for event in events])
    results = at_once(*(lambda one=one: one.labels.load(OPERATOR, feed="feedback") for one in (served, other, served)))
    other.close()
    assert sum(report.added for reports in results for report in reports) == 200
    assert len(stored(served)) == 200
    assert served.labels.stats(VIEWER, agent=MAIL).waiting["feedback"] == 0


def test_an_import_beside_a_loader_loses_nothing(served: Trimtab, database_url: str, clock: SimulatedClock) -> None:
    other = twin(served, database_url, clock)
    accepted(served, [thumb(event) for event in serve(served, [7] * 50)])
    rows = labelled_rows(50)
    at_once(
        lambda: served.labels.load(OPERATOR),
        lambda: other.labels.add_rows(OPERATOR, MAIL, rows, name="file"),
        lambda: other.labels.add_rows(OPERATOR, MAIL, rows[::-1], name="file"),
    )
    other.close()
    assert served.labels.stats(VIEWER).by_source == {"feedback": 50, "import": 50}


def test_feedback_waits_for_its_decision(served: Trimtab) -> None:
    event = decided(served, "t-1", 7)
    send(served, thumb(event))
    assert reported(served.labels.load(OPERATOR, feed="feedback")) == {"feedback": (0, 0, 1)}
    send(served, event)
    assert reported(served.labels.load(OPERATOR, feed="feedback")) == {"feedback": (1, 0, 0)}


def test_a_thumb_on_a_decision_without_a_label_says_nothing_and_does_not_wait(trimtab: Trimtab) -> None:
    add_agent(trimtab)
    (event,) = serve(trimtab, [7])
    send(trimtab, thumb(event))
    assert reported(trimtab.labels.load(OPERATOR, feed="feedback")) == {"feedback": (0, 0, 0)}
    assert stored(trimtab) == []


def test_a_rejection_among_two_labels_is_the_other_one(served: Trimtab) -> None:
    (event,) = serve(served, [7])
    send(served, approval(event, approved=False))
    served.labels.load(OPERATOR)
    assert served.labels.merged(VIEWER, MAIL)["thread-0"].label == "ham"


def test_a_rejection_among_many_labels_is_no_answer(of_three: Trimtab) -> None:
    (event,) = serve(of_three, [7])
    send(of_three, approval(event, approved=False))
    of_three.labels.load(OPERATOR)
    assert of_three.labels.merged(VIEWER, MAIL) == {}
    assert of_three.labels.examples(VIEWER, MAIL) == []
    assert of_three.labels.stats(VIEWER, agent=MAIL).negative == 1


def test_sources_that_contradict_each_other_are_a_conflict_and_the_stronger_say_wins(served: Trimtab) -> None:
    (event,) = serve(served, [7])
    send(served, thumb(event, correct=False), approval(event, approved=True))
    served.labels.load(OPERATOR)
    merged = served.labels.merged(VIEWER, MAIL)["thread-0"]
    assert (merged.label, merged.conflict) == ("spam", True)  # an approval is worth more than a thumb
    assert merged.sources == (Source.APPROVAL, Source.FEEDBACK)
    assert served.labels.stats(VIEWER, agent=MAIL).conflicts == 1


def test_gold_wins_over_everybody_and_the_conflict_stays_visible(served: Trimtab) -> None:
    (event,) = serve(served, [7])
    send(served, thumb(event), approval(event, approved=True))
    served.labels.load(OPERATOR)
    gold(served, [("thread-0", 7, "ham")])
    merged = served.labels.merged(VIEWER, MAIL)["thread-0"]
    assert (merged.label, merged.confidence, merged.conflict) == ("ham", 1.0, True)


def test_a_source_is_measured_against_gold(served: Trimtab) -> None:
    events = serve(served, [7] * 20)
    send(served, *(thumb(event, correct=i < 5) for i, event in enumerate(events)))
    served.labels.load(OPERATOR)
    gold(served, [(event.key, 7, "spam") for event in events])
    measured, n = served.labels.stats(VIEWER, agent=MAIL).source_reliability["feedback"]
    assert n == 20
    assert measured == pytest.approx((5 + 0.75 * 20) / 40)


def test_a_gold_task_is_kept_once_per_key_and_needs_payload_and_a_right_answer(served: Trimtab) -> None:
    assert served.labels.add_gold(OPERATOR, MAIL, [row("a", "ham"), row("b", "spam")]) == 2
    assert served.labels.add_gold(OPERATOR, MAIL, [row("a", "spam")]) == 0
    bad = {
        "row c: a gold task needs its payload": replace(row("c", "ham"), payload=None),
        "row c: a gold task needs the right answer": row("c", "ham", polarity=Polarity.NEGATIVE),
        "row c: label 'parcel'": row("c", "parcel"),
    }
    for words, one in bad.items():
        with pytest.raises(InvalidInputError, match=words):
            served.labels.add_gold(OPERATOR, MAIL, [row("d", "ham"), one])
    served.labels.load(OPERATOR)
    assert [(key, label) for key, _, _, label in stored(served)] == [("a", "ham"), ("b", "spam")]


def test_an_import_stores_all_rows_or_none_and_names_the_bad_one(served: Trimtab) -> None:
    rows = labelled_rows(60)
    rows[49] = replace(rows[49], label="parcel")
    with pytest.raises(InvalidInputError, match=r"line 50: label 'parcel' is no label of mail.*Nothing was imported"):
        served.labels.add_rows(OPERATOR, MAIL, rows, name="file.csv")
    assert served.labels.stats(VIEWER).total == 0


def test_skipping_bad_rows_stores_the_others_and_names_each_bad_one(served: Trimtab) -> None:
    rows = labelled_rows(10)
    bad: dict[int, tuple[dict[str, Any], str]] = {
        0: ({"label": "parcel"}, "label 'parcel' is no label"),
        1: ({"key": ""}, "key: 1 to 200 printable characters"),
        2: ({"confidence": 0.0}, "confidence: a number in (0, 1]"),
        3: ({"confidence": float("nan")}, "confidence: a number in (0, 1]"),
        4: ({"payload": {"links": float("inf")}}, "payload: not plain JSON"),
        5: ({"payload": {"text": "\0"}}, "U+0000"),
        6: ({"at": datetime(2025, 3, 3)}, "at: a time with its zone"),  # noqa: DTZ001 - the missing zone is the point
        7: ({"by": "x" * 300}, "by: 1 to 200 printable characters"),
        8: ({"decision_id": "first"}, "decision_id: a UUID"),
    }
    for i, (change, _) in bad.items():
        rows[i] = replace(rows[i], **change)
    report = served.labels.add_rows(OPERATOR, MAIL, rows, name="file", skip_bad=True)
    assert (report.added, report.present) == (1, 0)
    assert len(report.refused) == len(bad)
    for i, (_, words) in bad.items():
        assert report.refused[i].startswith(f"line {i + 1}: ")
        assert words in report.refused[i]


def test_the_same_import_again_changes_nothing_and_another_name_is_another_source(served: Trimtab) -> None:
    rows = labelled_rows(5)
    assert served.labels.add_rows(OPERATOR, MAIL, rows, name="monday").added == 5
    again = served.labels.add_rows(OPERATOR, MAIL, rows, name="monday")
    assert (again.added, again.present) == (0, 5)
    assert served.labels.add_rows(OPERATOR, MAIL, rows, name="tuesday").added == 5


def test_a_row_that_contradicts_an_earlier_one_of_its_import_is_bad(served: Trimtab) -> None:
    with pytest.raises(InvalidInputError, match="row a: key 'a' was given the label 'ham' before and 'spam' now"):
        served.labels.add_rows(OPERATOR, MAIL, [row("a", "ham"), row("a", "spam")], name="file")
    assert served.labels.add_rows(OPERATOR, MAIL, [row("a", "ham"), row("a", "ham")], name="file").added == 1


def test_two_labels_ruled_out_for_one_key_are_both_kept(of_three: Trimtab) -> None:
    rows = [row("a", label, polarity=Polarity.NEGATIVE) for label in ("ham", "news")]
    assert of_three.labels.add_rows(OPERATOR, MAIL, rows, name="file").added == 2


def test_the_longest_names_and_keys_can_be_imported(served: Trimtab) -> None:
    keys = ["k" * 199 + "1", "k" * 199 + "2"]
    name = "n" * 80
    assert served.labels.add_rows(OPERATOR, MAIL, [row(key, "ham") for key in keys], name=name).added == 2
    assert served.labels.add_rows(OPERATOR, MAIL, [row(key, "ham") for key in keys], name=name).present == 2


@pytest.mark.parametrize("name", ["", "n" * 81, "a\nb"])
def test_an_import_needs_a_name_that_can_be_shown(sqlite_url: str, clock: SimulatedClock, name: str) -> None:
    trimtab = open_trimtab(sqlite_url, clock)
    add_agent(trimtab)
    with pytest.raises(InvalidInputError, match="name: 1 to 80 printable characters"):
        trimtab.labels.add_rows(OPERATOR, MAIL, [], name=name)
    trimtab.close()


def test_an_error_while_rows_are_read_leaves_nothing_behind(served: Trimtab) -> None:
    def breaking() -> Iterator[ImportRow]:
        yield from labelled_rows(3)
        raise OSError("the file went away")

    with pytest.raises(OSError, match="went away"):
        served.labels.add_rows(OPERATOR, MAIL, breaking(), name="file")
    assert served.labels.stats(VIEWER).total == 0


def test_statistics_count_by_agent_source_and_label_and_show_growth(served: Trimtab, clock: SimulatedClock) -> None:
    add_agent(served, "other")
    served.labels.add_rows(OPERATOR, MAIL, [row("a", "ham"), row("b", "spam")], name="old")
    clock.advance(timedelta(days=3))
    served.labels.add_rows(OPERATOR, "other", [row("a", "ham")], name="newer")
    clock.advance(timedelta(days=5))
    served.labels.add_rows(OPERATOR, MAIL, [row("c", "ham", polarity=Polarity.NEGATIVE)], name="new")
    stats = served.labels.stats(VIEWER)
    assert (stats.total, stats.negative, stats.last_day, stats.last_week) == (4, 1, 1, 2)
    assert stats.by_agent == {"mail": 3, "other": 1}
    assert stats.by_source == {"import": 4}
    assert stats.by_label == {"ham": 3, "spam": 1}
    assert stats.conflicts is None


def test_examples_take_the_newest_payload_of_a_key_and_weigh_the_source(served: Trimtab) -> None:
    first = decided(served, "t-1", 7)
    second = decided(served, "t-1", 8, at=START + timedelta(hours=1))
    accepted(served, [first, second, thumb(first)])
    served.labels.load(OPERATOR)
    served.labels.add_rows(OPERATOR, MAIL, [ImportRow(place="1", key="unseen", label="ham")], name="file")
    (example,) = served.labels.examples(VIEWER, MAIL)  # a key without a payload teaches nothing
    assert (example.key, example.label, example.values[0]) == ("t-1", "spam", 8.0)
    assert example.weight == pytest.approx(0.75)
    assert (example.source, example.decision_id) == ("feedback", first.id)


def test_a_label_without_a_payload_stores_no_payload_at_all(served: Trimtab) -> None:
    served.labels.add_rows(OPERATOR, MAIL, [ImportRow(place="1", key="unseen", label="ham")], name="file")
    with reading(served.engine) as connection:
        query = select(func.count()).select_from(tables.labels).where(tables.labels.c.payload.is_not(None))
        assert connection.execute(query).scalar_one() == 0


def test_an_unknown_feed_is_named_with_those_that_exist(served: Trimtab) -> None:
    with pytest.raises(InvalidInputError, match="feed 'rumours' is unknown; there are feedback, approvals, gold"):
        served.labels.load(OPERATOR, feed="rumours")


def test_reviewers_may_label_and_agents_may_not(served: Trimtab) -> None:
    served.labels.load(REVIEWER)
    with pytest.raises(ForbiddenError):
        served.labels.load(AGENT)
    with pytest.raises(ForbiddenError):
        served.labels.add_rows(VIEWER, MAIL, [], name="file")

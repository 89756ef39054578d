from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.services.steps import (
    AGENT,
    MAIL,
    START,
    VIEWER,
    accepted,
    add_agent,
    agent_with_rollout,
    at_once,
    changed,
    crown,
    decided,
    outcome,
    send,
    serve,
    thumb,
    twin,
    verdict,
)

from trimtab.bootstrap import Trimtab
from trimtab.clock import SimulatedClock
from trimtab.core.events import ApprovalEvent
from trimtab.core.ids import named_uuid7
from trimtab.errors import ForbiddenError, NotFoundError
from trimtab.services.decisions import ReceiptStatus

ACCEPTED, DUPLICATE, REJECTED = ReceiptStatus.ACCEPTED, ReceiptStatus.DUPLICATE, ReceiptStatus.REJECTED


@pytest.fixture
def served(trimtab: Trimtab) -> Trimtab:
    """An agent whose champion calls mail with five links or more spam."""
    add_agent(trimtab)
    crown(trimtab, 5)
    return trimtab


def statuses(trimtab: Trimtab, *events: Any) -> list[ReceiptStatus]:
    return [receipt.status for receipt in send(trimtab, *events)]


def figures(trimtab: Trimtab, agent: str = MAIL) -> dict[str, float]:
    (row,) = trimtab.decisions.daily(VIEWER, agent)
    return {name: value for name, value in row._mapping.items() if name not in ("agent", "day", "bundle")}


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {"links": 1}
    for _ in range(depth):
        value = {"inner": value}
    return value


def test_each_item_of_a_batch_gets_its_own_receipt(served: Trimtab) -> None:
    good = decided(served, "t-1", 7)
    bad = changed(decided(served, "t-2", 7), label="parcel")
    send(served, good)
    receipts = send(served, good, bad, decided(served, "t-3", 7))
    assert [receipt.status for receipt in receipts] == [DUPLICATE, REJECTED, ACCEPTED]
    assert [receipt.id for receipt in receipts] == [good.id, bad.id, decided(served, "t-3", 7).id]
    assert receipts[1].reason == "label: 'parcel' is no label of this agent; it has ham, spam"
    assert {row.key for row in served.decisions.recent(VIEWER, MAIL)} == {"t-1", "t-3"}


def test_an_empty_batch_is_no_error(served: Trimtab) -> None:
    assert send(served) == []


def test_the_same_id_twice_in_one_batch_is_stored_once(served: Trimtab) -> None:
    event = decided(served, "t-1", 7)
    assert statuses(served, event, changed(event, key="another")) == [ACCEPTED, DUPLICATE]
    assert figures(served)["decisions"] == 1
    assert served.decisions.get(VIEWER, event.id).key == "t-1"


def test_events_of_different_kinds_may_share_an_id(served: Trimtab) -> None:
    event = decided(served, "t-1", 7)
    assert statuses(served, event, changed(outcome(event), id=event.id)) == [ACCEPTED, ACCEPTED]


def test_sending_a_batch_again_counts_nothing_twice(served: Trimtab) -> None:
    events = serve(served, [1, 7, 9])
    batch = [*events, *(outcome(event, score=0.5, latency_ms=20.0, cost_usd=0.25, failed=True) for event in events)]
    send(served, *batch)
    once = figures(served)
    assert set(statuses(served, *batch)) == {DUPLICATE}
    assert figures(served) == once
    assert once["outcomes"] == once["failures"] == once["score_n"] == 3
    assert (once["score_sum"], once["latency_ms_sum"], once["cost_usd_sum"]) == (1.5, 60.0, 0.75)


def test_an_outcome_before_its_decision_is_counted_once_when_it_arrives(served: Trimtab) -> None:
    event = decided(served, "t-1", 7)
    early = outcome(event)
    assert statuses(served, early) == [ACCEPTED]
    assert served.decisions.daily(VIEWER, MAIL) == []
    send(served, event)
    assert figures(served)["outcomes"] == 1
    assert statuses(served, event, early) == [DUPLICATE, DUPLICATE]
    assert figures(served)["outcomes"] == 1


def test_an_outcome_sent_at_the_same_moment_as_its_decision_is_counted(
    served: Trimtab, database_url: str, clock: SimulatedClock
) -> None:
    other = twin(served, database_url, clock)
    events = [decided(served, f"t-{i}", i) for i in range(12)]
    for event in events:
        at_once(lambda event=event: send(served, event), lambda event=event: send(other, outcome(event)))
    other.close()
    assert figures(served)["outcomes"] == 12


def test_two_senders_of_overlapping_batches_store_each_event_once(
    served: Trimtab, database_url: str, clock: SimulatedClock
) -> None:
    other = twin(served, database_url, clock)
    events = [decided(served, f"t-{i}", i) for i in range(60)]
    ours, theirs = at_once(lambda: send(served, *events), lambda: send(other, *reversed(events)))
    other.close()
    assert sum(receipt.status is ACCEPTED for receipt in [*ours, *theirs]) == 60
    assert figures(served)["decisions"] == 60


def test_an_outcome_is_not_counted_for_another_agents_decision(served: Trimtab) -> None:
    add_agent(served, "other")
    event = decided(served, "t-1", 7)
    send(served, event, changed(outcome(event), agent="other"))
    assert figures(served)["outcomes"] == 0


def test_an_outcome_without_a_figure_counts_no_zero(served: Trimtab) -> None:
    (event,) = serve(served, [7])
    accepted(served, [outcome(event, latency_ms=12.5)])
    found = figures(served)
    assert (found["outcomes"], found["score_n"], found["latency_n"], found["cost_n"]) == (1, 0, 1, 0)


def test_a_poisonous_payload_is_refused_by_name_and_the_others_are_kept(served: Trimtab) -> None:
    poison: list[tuple[str, dict[str, Any]]] = [
        ("payload: not plain JSON", {"links": math.nan}),
        ("payload: not plain JSON", {"links": math.inf}),
        ("payload: not plain JSON", {"deep": [{"score": -math.inf}]}),
        ("payload: 70011 bytes of JSON, at most 65536", {"text": "x" * 70_000}),
        ("payload: nested deeper than 32 levels", nested(40)),
        ("payload: nested deeper than 32 levels", nested(100_000)),
        ("payload: not plain JSON", {"text": "half a character \ud800"}),
        ("U+0000", {"text": "null \0 character"}),
        ("U+0000", {"nul \0 in a name": 1}),
        ("payload: not plain JSON", {"when": START}),
    ]
    events = [changed(decided(served, f"t-{i}", 7), payload=payload) for i, (_, payload) in enumerate(poison)]
    receipts = send(served, *events, decided(served, "good", 7))
    for receipt, (words, _) in zip(receipts, poison, strict=False):
        assert receipt.status is REJECTED
        assert words in (receipt.reason or "")
    assert receipts[-1].status is ACCEPTED
    assert figures(served)["decisions"] == 1


def test_odd_but_honest_payloads_come_back_as_they_were_sent(served: Trimtab) -> None:
    payload = {
        "a\\u0000b": "\\u0000",
        "missing": None,
        "wrong": {"links": []},
        "big": 10**30,
        "é": "日本",
        "tiny": 5e-324,
    }
    event = changed(decided(served, "t-1", 7), payload=payload)
    accepted(served, [event])
    assert served.decisions.get(VIEWER, event.id).payload == payload


def test_a_decision_with_a_bad_field_is_refused_by_name(served: Trimtab) -> None:
    bad: list[tuple[dict[str, Any], str]] = [
        ({"agent": "nobody"}, "agent 'nobody' does not exist; known are mail"),
        ({"agent": "a\0b"}, "does not exist"),
        ({"id": "42"}, "id: a UUID in lower-case text is needed"),
        ({"id": "00000000-0000-7000-8000-000000000000\n"}, "id: a UUID"),
        ({"key": ""}, "key: 1 to 200 printable characters"),
        ({"key": "k" * 201}, "key: 1 to 200 printable characters"),
        ({"key": "a\nb"}, "key: 1 to 200 printable characters"),
        ({"at": datetime(1970, 1, 1, tzinfo=START.tzinfo)}, "at: an aware time"),
        ({"at": datetime(2025, 3, 3)}, "at: an aware time"),  # noqa: DTZ001 - the missing zone is the point
        ({"shadow_label": "parcel"}, "shadow_label: 'parcel' is no label"),
        ({"confidence": 1.5}, "confidence: a number in [0, 1]"),
        ({"confidence": math.nan}, "confidence: a number in [0, 1]"),
        ({"arm": "left"}, "arm: baseline or canary"),
        ({"reason": "a reason that is too long"}, "reason: at most 16"),
        ({"bundle": "abc"}, "bundle: the 64 hex characters"),
        ({"bundle": "\0" * 64}, "bundle: the 64 hex characters"),
        ({"rollout_id": "first"}, "rollout_id: a UUID"),
        ({"step": -1}, "step: a whole number from 0 to 99"),
        ({"step": 10**30}, "step: a whole number from 0 to 99"),
    ]
    events = [changed(decided(served, f"t-{i}", 7), **change) for i, (change, _) in enumerate(bad)]
    receipts = send(served, *events, decided(served, "good", 7))
    for receipt, (change, words) in zip(receipts, bad, strict=False):
        assert receipt.status is REJECTED, change
        assert words in (receipt.reason or "")
    assert receipts[-1].status is ACCEPTED


def test_what_is_said_about_a_decision_is_checked_as_strictly(served: Trimtab) -> None:
    event = decided(served, "t-1", 7)
    approval = ApprovalEvent(
        id=named_uuid7(START, "approval"), agent=MAIL, at=START, decision_id=event.id, approved=True, by="boss"
    )
    bad = {
        "decision_id: a UUID": changed(outcome(event), decision_id="first"),
        "outcome: give at least one": changed(outcome(event), score=None, failed=None),
        "score: a number in [0, 1]": outcome(event, score=1.01),
        "latency_ms: a finite number": outcome(event, latency_ms=math.inf),
        "cost_usd: a finite number": outcome(event, cost_usd=-1.0),
        "judge: 1 to 200": verdict(event, "", "ham"),
        "version: 1 to 200": verdict(event, "judge", "ham", version="v" * 201),
        "label: 'parcel' is no label": verdict(event, "judge", "parcel"),
        "confidence: a number": verdict(event, "judge", "ham", confidence=math.nan),
        "feedback: say `correct`": thumb(event, correct=None, label=None),
        "by: 1 to 200": changed(thumb(event), by="x" * 201),
        "by: 1 to 200 printable": changed(approval, by="\0"),
    }
    receipts = send(served, *bad.values(), approval)
    for receipt, words in zip(receipts, bad, strict=False):
        assert receipt.status is REJECTED
        assert words in (receipt.reason or "")
    assert receipts[-1].status is ACCEPTED


def test_only_who_may_ingest_sends_events_and_agents_read_no_history(served: Trimtab) -> None:
    with pytest.raises(ForbiddenError):
        served.decisions.ingest(VIEWER, [])
    with pytest.raises(ForbiddenError):
        served.decisions.recent(AGENT, MAIL)


def test_an_unknown_decision_is_not_found_whatever_it_is_called(served: Trimtab) -> None:
    for name in ("first", "", "00000000-0000-7000-8000-000000000000", "\0", "\ud800", "x" * 500):
        with pytest.raises(NotFoundError, match="does not exist"):
            served.decisions.get(VIEWER, name)


def test_a_decision_is_explained_by_the_bundle_that_made_it(served: Trimtab) -> None:
    event = decided(served, "t-1", 7)
    accepted(served, [event])
    crown(served, 9)
    explanation = served.decisions.explain(VIEWER, event.id)
    assert explanation.choice.label == "spam"


def test_a_decision_that_no_bundle_made_has_no_explanation(trimtab: Trimtab) -> None:
    add_agent(trimtab)
    event = decided(trimtab, "t-1", 7)
    accepted(trimtab, [event])
    with pytest.raises(NotFoundError, match="was not made by a bundle"):
        trimtab.decisions.explain(VIEWER, event.id)


def test_recent_decisions_come_in_the_order_of_time_and_the_newest_are_kept(served: Trimtab) -> None:
    serve(served, list(range(6)))
    assert [row.key for row in served.decisions.recent(VIEWER, MAIL, limit=3)] == ["thread-3", "thread-4", "thread-5"]
    half_a_minute = START + timedelta(seconds=30)
    between = served.decisions.between(VIEWER, MAIL, since=START, until=half_a_minute)
    assert [row.key for row in between] == ["thread-0", "thread-1", "thread-2"]


def test_a_rollout_hears_only_decisions_of_its_own_agent(served: Trimtab) -> None:
    rollout = agent_with_rollout(served, "other")
    stray = changed(decided(served, "t-1", 4), rollout_id=rollout.id, step=0, shadow_label="spam", discordant=True)
    accepted(served, [stray, outcome(stray)])
    evidence = served.rollouts.evidence(VIEWER, rollout.id)
    assert evidence.paired.compared == 0
    assert evidence.steps == ()


def test_a_decision_naming_an_unknown_rollout_is_kept_and_counts_nowhere(served: Trimtab) -> None:
    stray = changed(decided(served, "t-1", 4), rollout_id=named_uuid7(START, "no rollout"), step=0)
    accepted(served, [stray, outcome(stray)])
    assert figures(served)["outcomes"] == 1

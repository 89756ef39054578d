from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.core.events import (
    MAX_PAYLOAD_BYTES,
    MAX_PAYLOAD_DEPTH,
    AnyEvent,
    ApprovalEvent,
    DecisionEvent,
    FeedbackEvent,
    OutcomeEvent,
    VerdictEvent,
    check_event,
    check_key,
    check_name,
    check_payload_size,
)
from trimtab.errors import InvalidInputError, InvalidPayloadError

AT = datetime(2025, 3, 3, tzinfo=UTC)
ID = "01955b3b-ca80-732f-8b12-24083fd22f89"
LABELS = ("ham", "spam")
COMMON: dict[str, Any] = {"id": ID, "agent": "mail", "at": AT}


def decision(**change: Any) -> DecisionEvent:
    values = {"key": "k", "payload": {}, "label": "ham", "confidence": 0.5, "escalate": False, "reason": "STATIC"}
    return DecisionEvent(**{**COMMON, **values, "bundle": "0" * 64, "arm": "baseline", **change})


def everything() -> list[AnyEvent]:
    about = {**COMMON, "decision_id": ID}
    return [
        decision(shadow_label="spam", discordant=True, rollout_id=ID, step=0),
        decision(label=None, confidence=None, bundle=None),
        OutcomeEvent(**about, score=1.0, latency_ms=0.0, cost_usd=1.5, failed=False),
        OutcomeEvent(**about, failed=True),
        FeedbackEvent(**about, correct=False),
        FeedbackEvent(**about, label="spam", by="user:42"),
        VerdictEvent(**about, judge="judge-a", version="9f3c", label="ham", confidence=None),
        ApprovalEvent(**about, approved=True, by=None),
    ]


@pytest.mark.parametrize("event", everything(), ids=lambda event: type(event).__name__)
def test_a_good_event_passes_and_travels_as_json(event: AnyEvent) -> None:
    check_event(event, LABELS)
    wire = msgspec.json.encode(event)
    assert msgspec.json.decode(wire, type=AnyEvent) == event
    assert json.loads(wire)["type"] in {"decision", "outcome", "feedback", "verdict", "approval"}


def test_an_event_with_a_field_that_nobody_knows_is_refused() -> None:
    wire = json.loads(msgspec.json.encode(decision()))
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.json.decode(json.dumps({**wire, "colour": "red"}), type=AnyEvent)


def test_a_payload_may_be_just_as_deep_and_large_as_allowed() -> None:
    deep: dict[str, Any] = {}
    for _ in range(MAX_PAYLOAD_DEPTH - 1):
        deep = {"x": deep}
    check_payload_size(deep)
    with pytest.raises(InvalidPayloadError, match="nested deeper than 32"):
        check_payload_size({"x": {"x": deep}})
    frame = len(json.dumps({"x": ""}, separators=(",", ":")))
    check_payload_size({"x": "a" * (MAX_PAYLOAD_BYTES - frame)})
    with pytest.raises(InvalidPayloadError, match="65537 bytes of JSON, at most 65536"):
        check_payload_size({"x": "a" * (MAX_PAYLOAD_BYTES - frame + 1)})


def test_only_a_true_null_character_is_refused_not_its_spelling() -> None:
    for text in ("\\u0000", "\\\\u0000", "u0000", "\x01"):
        check_payload_size({"x": text})
        check_payload_size({text: 1})
    for text in ("\0", "\\\0", "\\\\\0", "a\0b"):
        with pytest.raises(InvalidPayloadError, match=r"U\+0000"):
            check_payload_size({"x": text})
        with pytest.raises(InvalidPayloadError, match=r"U\+0000"):
            check_payload_size({text: 1})


@settings(max_examples=150, deadline=None)
@given(text=st.text(st.sampled_from("\\u0\0a"), max_size=12))
def test_a_null_character_is_found_wherever_it_hides(text: str) -> None:
    try:
        check_payload_size({"x": text})
        refused = False
    except InvalidPayloadError:
        refused = True
    assert refused is ("\0" in text)


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(payload=st.dictionaries(st.text(max_size=3), junk, max_size=3))
def test_whatever_a_payload_holds_it_is_plain_json_or_refused(payload: dict[str, Any]) -> None:
    try:
        check_payload_size(payload)
    except InvalidPayloadError:
        return
    assert json.loads(json.dumps(payload, allow_nan=False)) == payload


def test_keys_and_names_are_printable_and_of_some_length() -> None:
    for check in (check_key, lambda value: check_name("judge", value)):
        for good in ("k", "k" * 200, "Übergröße 日本", "a b"):
            check(good)
        for bad in ("", "k" * 201, "tab\t", "line\n", "\0", "\ud800", "\u200b"):
            with pytest.raises(InvalidInputError, match="1 to 200 printable characters"):
                check(bad)


@pytest.mark.parametrize("value", [-0.01, 1.01, math.nan, math.inf, -math.inf])
def test_a_probability_outside_its_range_is_refused(value: float) -> None:
    for event in (decision(confidence=value), OutcomeEvent(**COMMON, decision_id=ID, score=value)):
        with pytest.raises(InvalidInputError, match=r"a number in \[0, 1\] is needed"):
            check_event(event, LABELS)

from __future__ import annotations

import gzip
import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server.steps import Api, problem
from tests.services.steps import Serving, add_agent, crown, outcome, thumb

from trimtab.errors import InvalidInputError
from trimtab.server.event_items import MAX_EVENTS, BadItem, read_events

NDJSON = {"Content-Type": "application/x-ndjson"}


def _events(api: Api, n: int = 2) -> list[dict[str, Any]]:
    """Decisions of an agent that is served, each with an outcome and a thumb, as an agent's process would send them."""
    add_agent(api.trimtab)
    crown(api.trimtab, 3)
    serving = Serving(api.trimtab)
    decisions = [serving.decide(f"thread-{i}", i) for i in range(n)]
    events = [event for one in decisions for event in (one, outcome(one), thumb(one))]
    return [msgspec.to_builtins(event) for event in events]


def _statuses(answer: Any) -> list[str]:
    return [one["status"] for one in answer["receipts"]]


def test_events_are_stored_once_however_often_they_are_sent(api: Api) -> None:
    events = _events(api)
    first = api.good("POST", "/api/events", who="mailbot", json=events)
    assert (first["accepted"], first["duplicate"], first["rejected"]) == (6, 0, 0)
    assert [one["id"] for one in first["receipts"]] == [one["id"] for one in events]
    again = api.good("POST", "/api/events", who="mailbot", json=events)
    assert (again["accepted"], again["duplicate"], again["rejected"]) == (0, 6, 0)
    assert api.good("GET", "/api/active/status")["agents"][0]["decisions"] == 2


def test_lines_and_an_array_are_the_same_events(lite: Api) -> None:
    events = _events(lite)
    lines = "\n".join(json.dumps(one) for one in events) + "\n\n"
    assert lite.good("POST", "/api/events", who="mailbot", content=lines, headers=NDJSON)["accepted"] == 6
    assert lite.good("POST", "/api/events", who="mailbot", json=events)["duplicate"] == 6


def test_packed_events_are_taken(lite: Api) -> None:
    packed = gzip.compress(json.dumps(_events(lite)).encode())
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    assert lite.good("POST", "/api/events", who="mailbot", content=packed, headers=headers)["accepted"] == 6


def test_a_bad_event_never_loses_the_others(api: Api) -> None:
    good = _events(api)
    bad: list[tuple[Any, str]] = [
        (17, "Expected `object`"),
        ({}, "missing required field"),
        ({**good[0], "type": "rumour"}, "Invalid value 'rumour'"),
        ({**good[0], "id": "0198c0de-0000-7000-8000-00000000000a", "agent": "nobody"}, "does not exist"),
        ({**good[0], "id": "0198c0de-0000-7000-8000-00000000000b", "label": "maybe"}, "is no label of this agent"),
        ({**good[1], "id": "0198c0de-0000-7000-8000-00000000000c", "score": 1.5}, "a number in [0, 1]"),
        ({**good[0], "id": "x"}, "a UUID"),
        ({**good[0], "extra": 1}, "unknown field `extra`"),
        ({**good[0], "at": "yesterday"}, "Invalid RFC3339"),
        ({**good[0], "at": "2025-03-03T09:00:00"}, "aware time"),
    ]
    items = [one for pair in zip([one for one, _ in bad], good * 2, strict=False) for one in pair]
    answer = api.good("POST", "/api/events", who="mailbot", json=items)
    assert [one["index"] for one in answer["receipts"]] == list(range(len(items)))
    assert answer["accepted"] == len(good)
    assert answer["rejected"] == len(bad)
    for receipt, (sent, why) in zip(answer["receipts"][::2], bad, strict=True):
        assert receipt["status"] == "rejected"
        assert why in receipt["reason"]
        assert receipt["id"] == (sent.get("id") if isinstance(sent, dict) else None)


# Not even JSON, or more than a decoder takes; where each ends can still be told.
BROKEN = [
    '{"type": "decision", "id":,}',
    "{nonsense}",
    '{"a": "\\ud800"}',
    '{"a": "\xff"}',
    '{"a": ' * 3000 + "1" + "}" * 3000,
    "NaN",
    '{"a": 1e999}',
]
# Where these end, nobody can tell but by the end of the line.
ENDLESS = ["{" * 3, "[[[", '"never ends', '"\\']


def test_an_event_that_is_not_even_json_loses_itself_alone(lite: Api) -> None:
    good = [json.dumps(one) for one in _events(lite)]
    array = [item for pair in zip(good[:3] + [""] * 4, BROKEN, strict=True) for item in pair if item]
    answer = lite.good("POST", "/api/events", who="mailbot", content=f"[{','.join(array)}]".encode("latin-1"))
    assert _statuses(answer) == ["rejected" if item in BROKEN else "accepted" for item in array]
    lines = [*BROKEN, good[3], *ENDLESS, good[4], good[5]]
    answer = lite.good("POST", "/api/events", who="mailbot", content="\n".join(lines).encode("latin-1"))
    assert _statuses(answer) == ["accepted" if item in good else "rejected" for item in lines]
    for endless in ENDLESS:
        body = f"[{good[0]}, {endless}, {good[1]}]".encode()
        problem(lite.post("/api/events", who="mailbot", content=body), 422, "invalid_input")


@pytest.mark.parametrize("body", ["[", "[1", "[1]]", '[{"a": 1]', "[1] trailing", '["', '["\\'])
def test_an_array_that_is_not_whole_is_refused_and_nothing_of_it_stored(lite: Api, body: str) -> None:
    problem(lite.post("/api/events", who="mailbot", content=body.encode()), 422, "invalid_input")


def test_too_many_events_at_once_are_refused(lite: Api) -> None:
    problem(lite.post("/api/events", who="mailbot", content=b"{}\n" * (MAX_EVENTS + 1)), 413, "too_large")
    problem(lite.post("/api/events", who="mailbot", json=[0] * (MAX_EVENTS + 1)), 413, "too_large")


def test_only_who_may_send_is_even_decoded(lite: Api) -> None:
    problem(lite.post("/api/events", who="vera", content=b"[nonsense"), 403, "forbidden")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=6))
def test_an_array_with_one_broken_item_has_as_many_items_as_it_was_made_of(items: list[Any]) -> None:
    body = "[" + ", ".join([*(json.dumps(one) for one in items), "{broken}"]) + "]"
    found = read_events(body.encode())
    assert len(found) == len(items) + 1
    assert all(isinstance(one, BadItem) for one in found)


@given(st.binary(max_size=300).filter(lambda body: not body.strip().startswith(b"[")))
def test_any_bytes_at_all_are_lines_of_their_own(body: bytes) -> None:
    found = read_events(body)
    assert len(found) == sum(1 for line in body.strip().split(b"\n") if line.strip())
    assert all(isinstance(one, BadItem) for one in found)


@given(st.binary(max_size=300))
def test_an_array_of_any_bytes_is_read_or_refused(inner: bytes) -> None:
    with suppress(InvalidInputError):
        assert all(isinstance(one, BadItem) for one in read_events(b"[" + inner + b"]"))


def test_an_array_of_millions_of_nothings_is_refused_early(lite: Api) -> None:
    problem(lite.post("/api/events", who="mailbot", content=b"[" + b"0," * 3_000_000 + b"0]"), 413, "too_large")


def test_a_serving_document_is_fetched_again_only_when_it_changed(api: Api) -> None:
    add_agent(api.trimtab)
    first = api.get("/api/serving/mail", who="mailbot")
    assert first.json()["champion"] is None
    etag = first.headers["etag"]
    assert etag == f'"{first.json()["etag"]}"'
    assert first.headers["cache-control"] == "private, no-cache"
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        same = api.get("/api/serving/mail", who="mailbot", headers={"If-None-Match": known})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
    crown(api.trimtab, 3)
    changed = api.get("/api/serving/mail", who="mailbot", headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != etag
    assert changed.json()["champion"]["labels"] == ["ham", "spam"]

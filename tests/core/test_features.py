from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.core.agents import MAX_MAGNITUDE, AgentSpec
from trimtab.core.features import MAX_PAYLOAD_VALUES, check_payload, extract, extract_strict
from trimtab.errors import InvalidPayloadError

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPEC = AgentSpec.from_mapping(
    {
        "agent": "a",
        "labels": ["no", "yes"],
        "features": [
            {"name": "n", "path": "deep.n", "kind": "number", "minimum": -1, "maximum": 5},
            {"name": "flag", "kind": "flag", "missing": 0},
            {"name": "count", "kind": "count"},
            {"name": "color", "kind": "category", "categories": ["red", "7", "true"]},
            {"name": "text", "kind": "text-length"},
            {"name": "age", "kind": "elapsed"},
        ],
    }
)
GOOD: dict[str, Any] = {
    "deep": {"n": 2},
    "flag": True,
    "count": [1, 2, 3],
    "color": "red",
    "text": "four",
    "age": "2026-03-01T11:59:00Z",
}


def test_every_kind_becomes_its_value() -> None:
    vector = extract(SPEC.features, GOOD, at=AT)
    assert vector.values == (2.0, 1.0, 3.0, "red", 4.0, 60.0)
    assert vector.problems == ()
    assert extract_strict(SPEC.features, GOOD, at=AT) == vector


def test_absent_and_null_take_the_declared_value_and_are_no_problem() -> None:
    for payload in ({}, dict.fromkeys(GOOD), {"deep": 3}):
        vector = extract(SPEC.features, payload, at=AT)
        assert vector.values == (None, 0.0, None, None, None, None)
        assert vector.problems == ()


@pytest.mark.parametrize(
    ("change", "index", "value", "words"),
    [
        ({"deep": {"n": 9}}, 0, 5.0, "clamped to 5"),
        ({"deep": {"n": -9.5}}, 0, -1.0, "clamped to -1"),
        ({"deep": {"n": "2"}}, 0, None, "treated as unknown"),
        ({"deep": {"n": True}}, 0, None, "must be a number"),
        ({"deep": {"n": float("nan")}}, 0, None, "finite"),
        ({"deep": {"n": float("inf")}}, 0, None, "finite"),
        ({"deep": {"n": 10**5000}}, 0, None, "an integer of"),
        ({"deep": {"n": 2 * MAX_MAGNITUDE}}, 0, None, "must lie within"),
        ({"deep": {"n": 1j}}, 0, None, "real number"),
        ({"deep": {"n": Decimal("sNaN")}}, 0, None, "finite real number"),
        ({"flag": 2}, 1, 0.0, "treated as missing, 0.0 used"),
        ({"flag": "true"}, 1, 0.0, "true, false, 1 or 0"),
        ({"count": -1}, 2, None, "at least 0"),
        ({"count": 1.5}, 2, None, "whole number"),
        ({"color": "pink"}, 3, None, "must be one of red, 7, true"),
        ({"color": 1.5}, 3, None, "must be a text"),
        ({"text": 4}, 4, None, "must be a text"),
        ({"age": "yesterday"}, 5, None, "ISO 8601"),
        ({"age": "2026-03-01T11:59:00"}, 5, None, "time zone"),
        ({"age": 12}, 5, None, "ISO 8601"),
    ],
)
def test_an_unusable_value_is_named_and_replaced(change: dict[str, Any], index: int, value: object, words: str) -> None:
    vector = extract(SPEC.features, {**GOOD, **change}, at=AT)
    assert vector.values[index] == value
    (problem,) = vector.problems
    assert problem.feature == SPEC.features[index].name
    assert words in str(problem)
    assert len(str(problem)) < 400
    with pytest.raises(InvalidPayloadError, match=problem.feature):
        extract_strict(SPEC.features, {**GOOD, **change}, at=AT)


def test_numbers_of_other_types_count_as_numbers() -> None:
    for number in (np.int64(2), np.float32(2.0), Decimal("2"), np.float64(2.0)):
        assert extract(SPEC.features, {"deep": {"n": number}}).values[0] == 2.0
    assert extract(SPEC.features, {"color": 7}).values[3] == "7"
    assert extract(SPEC.features, {"color": True}).values[3] == "true"
    assert extract(SPEC.features, {"count": {"a": 1}}).values[2] == 1.0


def test_elapsed_needs_the_time_of_the_decision() -> None:
    assert extract(SPEC.features, {"age": AT - timedelta(minutes=5)}, at=AT).values[5] == 300.0
    assert extract(SPEC.features, GOOD).values[5] is None
    assert "time of the decision" in str(extract(SPEC.features, GOOD).problems[0])


def test_a_payload_that_is_no_object_leaves_everything_unknown() -> None:
    for payload in (None, [], "x", 3):
        vector = extract(SPEC.features, payload)
        assert vector.values == (None, 0.0, None, None, None, None)
        assert len(vector.problems) == len(SPEC.features)


def nested(levels: int) -> dict[str, Any]:
    payload: dict[str, Any] = {}
    for _ in range(levels):
        payload = {"deep": payload}
    return payload


def test_a_payload_nested_very_deep_is_survived_and_refused_at_the_edge() -> None:
    for levels in (200, 50_000):
        payload = {**GOOD, "deep": {"n": nested(levels)}}
        (problem,) = extract(SPEC.features, payload, at=AT).problems
        assert problem.feature == "n"
        with pytest.raises(InvalidPayloadError, match="nested deeper"):
            extract_strict(SPEC.features, payload, at=AT)


def test_a_payload_with_too_many_values_is_refused_at_the_edge() -> None:
    check_payload({"x": [0] * (MAX_PAYLOAD_VALUES - 2)})
    with pytest.raises(InvalidPayloadError, match="more than"):
        check_payload({"x": [0] * MAX_PAYLOAD_VALUES})
    with pytest.raises(InvalidPayloadError, match="more than"):
        check_payload({"x": [[0] * 1000] * 1000})


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.complex_numbers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*GOOD]), anything | st.fixed_dictionaries({"n": anything})))
def test_extraction_never_raises_and_yields_finite_values_or_unknown(payload: dict[str, Any]) -> None:
    vector = extract(SPEC.features, payload, at=AT)
    assert len(vector.values) == len(SPEC.features)
    for feature, value in zip(SPEC.features, vector.values, strict=True):
        if feature.name == "color":
            assert value is None or value in feature.categories
        else:
            assert value is None or (isinstance(value, float) and abs(value) <= MAX_MAGNITUDE)

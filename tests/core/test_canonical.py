from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.core.canonical import canonical_json, sha256_of

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(value=values)
def test_canonical_text_reads_back_equal_and_is_its_own_canonical_form(value: Any) -> None:
    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text


@given(value=st.dictionaries(st.text(max_size=4), values, max_size=5), data=st.data())
def test_the_order_of_keys_changes_no_hash(value: dict[str, Any], data: st.DataObject) -> None:
    shuffled = dict(data.draw(st.permutations(list(value.items()))))
    assert sha256_of(shuffled) == sha256_of(value)


def test_the_spelling_is_fixed() -> None:
    assert canonical_json({"b": [1, 2.5, None, True], "a": "é\n"}) == '{"a":"é\\n","b":[1,2.5,null,true]}'
    assert sha256_of({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def test_different_values_have_different_names() -> None:
    assert len({sha256_of(value) for value in (1, 1.5, "1", None, [], {}, [1], {"a": 1}, True)}) == 9


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, {"deep": [math.nan]}])
def test_what_json_has_no_word_for_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(value)


def test_values_that_are_no_data_are_refused() -> None:
    for value in (datetime(2025, 1, 1, tzinfo=UTC), b"bytes", {1, 2}, object()):
        with pytest.raises(TypeError):
            canonical_json(value)

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from trimtab.core.assignment import Arm, arm, bucket
from trimtab.errors import InvalidInputError

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "policy.json").read_text(encoding="utf-8"))


def test_buckets_equal_the_shared_vectors() -> None:
    for case in VECTORS["buckets"]:
        assert bucket(case["salt"], case["key"]) == case["bucket"]


def test_the_hash_is_murmur3_of_salt_and_key() -> None:
    # Reference values of MurmurHash3_x86_32 with seed 0.
    assert bucket("", "") == 0.0
    assert bucket("he", "llo") == 0x248BFA47 / 2**32
    assert bucket("hello, ", "world") == 0x149BBB7F / 2**32


@given(st.text(), st.text())
def test_a_bucket_is_stable_and_in_the_unit_interval(salt: str, key: str) -> None:
    assert 0 <= bucket(salt, key) < 1
    assert bucket(salt, key) == bucket(salt, key)


@given(st.text(), st.floats(0, 1), st.floats(0, 1))
def test_raising_the_share_keeps_canary_keys_in_the_canary(key: str, one: float, other: float) -> None:
    low, high = sorted((one, other))
    if arm("salt", key, low) is Arm.CANARY:
        assert arm("salt", key, high) is Arm.CANARY


def test_nobody_at_share_zero_and_everybody_at_share_one() -> None:
    assert {arm("s", str(i), 0.0) for i in range(1000)} == {Arm.BASELINE}
    assert {arm("s", str(i), 1.0) for i in range(1000)} == {Arm.CANARY}


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_outside_the_unit_interval_is_refused(share: float) -> None:
    with pytest.raises(InvalidInputError, match="share"):
        arm("s", "k", share)


def test_buckets_are_uniform_and_two_salts_are_independent() -> None:
    keys = [f"thread-{i}" for i in range(40_000)]
    first = np.array([bucket("0197f0a0-aaaa", key) for key in keys])
    second = np.array([bucket("0197f0a0-aaab", key) for key in keys])
    table, _, _ = np.histogram2d(first, second, bins=10, range=[[0, 1], [0, 1]])
    expected = len(keys) / 100
    statistic = ((table - expected) ** 2 / expected).sum()
    assert 1e-4 < chi2.sf(statistic, 99) < 1 - 1e-4
    # Two canaries of a tenth overlap in a tenth of each other.
    both = ((first < 0.1) & (second < 0.1)).sum()
    assert abs(both - 400) < 4 * np.sqrt(400)

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.core.api_keys import (
    PREFIX_BYTES,
    SECRET_BYTES,
    ApiKey,
    KeyState,
    SplitKey,
    check_life,
    check_name,
    fingerprint,
    forge,
    is_prefix,
    joined,
    opens,
    split,
)
from trimtab.core.rights import Role
from trimtab.errors import InvalidInputError

AT = datetime(2025, 3, 3, tzinfo=UTC)
RANDOM = st.binary(min_size=PREFIX_BYTES + SECRET_BYTES, max_size=PREFIX_BYTES + SECRET_BYTES)


def _key(parts: SplitKey, **values: object) -> ApiKey:
    known = {
        "id": "0198c0de-0000-7000-8000-000000000000",
        "name": "vera",
        "role": Role.VIEWER,
        "created_at": AT,
        "created_by": "ada",
        "expires_at": AT + timedelta(days=1),
        "revoked_at": None,
        "last_used_at": None,
    }
    return ApiKey(prefix=parts.prefix, sha256=fingerprint(parts.secret), **{**known, **values})  # type: ignore[arg-type]


@given(RANDOM)
def test_a_key_has_its_form_and_comes_apart_into_what_it_was_made_of(randomness: bytes) -> None:
    parts = forge(randomness)
    text = joined(parts)
    assert (len(parts.prefix), len(parts.secret), len(text)) == (8, 43, 55)
    assert text.isascii()
    assert text.startswith("tt_")
    assert split(text) == parts
    assert is_prefix(parts.prefix)


@given(RANDOM, RANDOM)
def test_a_key_opens_with_its_own_secret_alone(one: bytes, other: bytes) -> None:
    mine, theirs = forge(one), forge(other)
    key = _key(mine)
    assert opens(key, mine.secret)
    assert opens(key, theirs.secret) == (mine.secret == theirs.secret)
    assert not opens(None, mine.secret)


@given(st.text(max_size=80))
def test_any_other_text_is_no_key(text: str) -> None:
    parts = split(text)
    assert parts is None or joined(parts) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tt_",
        f"tt_abcdefgh_{'x' * 42}",
        f"tt_abcdefgh_{'x' * 44}",
        f"tt_ABCDEFGH_{'x' * 43}",
        f"tt_abcdefg1_{'x' * 43}",
        f"tt_abcdefgh_{'x' * 43}\n",
        f" tt_abcdefgh_{'x' * 43}",
    ],
)
def test_a_text_of_nearly_the_form_is_no_key(text: str) -> None:
    assert split(text) is None


def test_too_little_randomness_makes_no_key() -> None:
    with pytest.raises(InvalidInputError):
        forge(b"1234")


def test_a_key_is_active_until_it_expires_or_is_revoked() -> None:
    key = _key(forge(bytes(37)))
    assert key.state(AT) is KeyState.ACTIVE
    assert key.state(AT + timedelta(days=1)) is KeyState.EXPIRED
    assert _key(forge(bytes(37)), revoked_at=AT).state(AT) is KeyState.REVOKED
    assert _key(forge(bytes(37)), revoked_at=AT).state(AT + timedelta(days=9)) is KeyState.REVOKED
    assert (key.actor.name, key.actor.role) == ("vera", Role.VIEWER)


@pytest.mark.parametrize("name", ["trimtab", "Trimtab", " ada", "ada ", "ada  lovelace"])
def test_a_name_that_reads_like_another_s_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError):
        check_name(name)


@pytest.mark.parametrize("life", [timedelta(0), timedelta(days=-1), timedelta(days=3651)])
def test_a_key_lives_for_a_while_and_not_for_ever(life: timedelta) -> None:
    with pytest.raises(InvalidInputError, match="every key ends some day"):
        check_life(life)

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from trimtab.core.ids import UUID_PATTERN, named_uuid7, uuid7

moments = st.datetimes(datetime(2000, 1, 1), datetime(2199, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
tails = st.binary(min_size=10, max_size=10)


@given(at=moments, tail=tails)
def test_an_id_is_a_valid_version_7_uuid_with_its_moment(at: datetime, tail: bytes) -> None:
    text = uuid7(at, tail)
    parsed = UUID(text)
    assert UUID_PATTERN.fullmatch(text)
    assert (parsed.version, parsed.variant) == (7, "specified in RFC 4122")
    assert parsed.int >> 80 == int(at.timestamp() * 1000)


@given(at=moments, first=tails, second=tails, later=st.integers(1, 10**9))
def test_later_ids_sort_later_whatever_their_chance(at: datetime, first: bytes, second: bytes, later: int) -> None:
    assert uuid7(at, first) < uuid7(at + timedelta(milliseconds=later), second)


def test_the_same_moment_gives_different_ids_by_chance() -> None:
    at = datetime(2025, 1, 1, tzinfo=UTC)
    made = {uuid7(at, bytes([i]) * 10) for i in range(256)}
    assert len(made) == 256


def test_a_named_id_is_always_the_same_and_its_names_are_kept_apart() -> None:
    at = datetime(2025, 1, 1, tzinfo=UTC)
    assert named_uuid7(at, "mail", "42") == named_uuid7(at, "mail", "42")
    assert (
        len({named_uuid7(at, *names) for names in (("mail", "42"), ("mail4", "2"), ("mail42",), ("42", "mail"))}) == 4
    )


def test_the_pattern_takes_nothing_but_a_whole_id() -> None:
    good = "01955b3b-ca80-732f-8b12-24083fd22f89"
    assert UUID_PATTERN.fullmatch(good)
    for bad in (good.upper(), good[:-1], good + "0", good.replace("-", ""), good + "\n", "{" + good + "}", ""):
        assert not UUID_PATTERN.fullmatch(bad)

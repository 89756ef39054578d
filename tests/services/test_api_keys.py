from __future__ import annotations

import json
from datetime import timedelta
from itertools import count

import pytest
from sqlalchemy import select
from tests.services.steps import ADMIN, APPROVER, OPERATOR, START, VIEWER, at_once, twin, wait

from trimtab.bootstrap import Trimtab
from trimtab.clock import SimulatedClock
from trimtab.core.api_keys import KeyState
from trimtab.core.rights import Actor, Role
from trimtab.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    TrimtabError,
    UnauthenticatedError,
)
from trimtab.services.api_keys import FIRST_NAME
from trimtab.store.engine import reading
from trimtab.store.tables import api_keys


def test_a_key_stands_for_its_name_and_role(trimtab: Trimtab) -> None:
    made = trimtab.api_keys.create(ADMIN, "mailbot", Role.AGENT)
    assert trimtab.api_keys.authenticate(made.text) == Actor(name="mailbot", role=Role.AGENT)


def test_the_secret_is_kept_nowhere(trimtab: Trimtab) -> None:
    made = trimtab.api_keys.create(ADMIN, "mailbot", Role.AGENT)
    secret = made.text.rpartition("_")[2] if "_" not in made.text[12:] else made.text[12:]
    with reading(trimtab.engine) as connection:
        row = connection.execute(select(api_keys)).one()
    told = [
        str(tuple(row)),
        repr(made.key),
        json.dumps(trimtab.history.audit(ADMIN)),
        repr(trimtab.api_keys.listing(ADMIN)),
    ]
    assert not [one for one in told if secret in one]
    assert made.key.prefix in told[2]


def test_only_who_configures_makes_lists_and_ends_keys(trimtab: Trimtab) -> None:
    made = trimtab.api_keys.create(ADMIN, "vera", Role.VIEWER)
    for actor in (OPERATOR, APPROVER, VIEWER):
        with pytest.raises(ForbiddenError):
            trimtab.api_keys.create(actor, "friend", Role.ADMIN)
        with pytest.raises(ForbiddenError):
            trimtab.api_keys.create_first(actor)
        with pytest.raises(ForbiddenError):
            trimtab.api_keys.listing(actor)
        with pytest.raises(ForbiddenError):
            trimtab.api_keys.revoke(actor, made.key.prefix)
    assert trimtab.api_keys.authenticate(made.text).name == "vera"


@pytest.mark.parametrize("name", ["", "  ", "trimtab", "TRIMTAB", "a\nb", "x" * 201, " ada"])
def test_a_name_that_nobody_can_bear_makes_no_key(trimtab: Trimtab, name: str) -> None:
    with pytest.raises(InvalidInputError):
        trimtab.api_keys.create(ADMIN, name, Role.VIEWER)
    assert trimtab.api_keys.listing(ADMIN) == []


def test_a_key_is_ended_by_its_prefix_or_id_once(trimtab: Trimtab) -> None:
    one, other = (trimtab.api_keys.create(ADMIN, "vera", Role.VIEWER) for _ in range(2))
    assert trimtab.api_keys.revoke(ADMIN, one.key.prefix).revoked_at == START
    assert trimtab.api_keys.authenticate(other.text).name == "vera"
    assert trimtab.api_keys.usable() == 1
    trimtab.api_keys.revoke(ADMIN, other.key.id)
    assert [state for _, state in trimtab.api_keys.listing(ADMIN)] == [KeyState.REVOKED] * 2
    for made in (one, other):
        with pytest.raises(UnauthenticatedError, match="revoked"):
            trimtab.api_keys.authenticate(made.text)
    with pytest.raises(ConflictError, match="already"):
        trimtab.api_keys.revoke(ADMIN, one.key.prefix)
    actions = [event["action"] for event in trimtab.history.audit(ADMIN)]
    assert actions == ["key.revoke", "key.revoke", "key.create", "key.create"]


@pytest.mark.parametrize("name", ["", "aaaaaaaa", "a\0aaaaaa", "0198c0de-0000-7000-8000-000000000000", "' OR 1=1"])
def test_a_key_that_does_not_exist_cannot_be_ended(trimtab: Trimtab, name: str) -> None:
    trimtab.api_keys.create(ADMIN, "vera", Role.VIEWER)
    with pytest.raises(NotFoundError, match="trimtab keys list"):
        trimtab.api_keys.revoke(ADMIN, name)


def test_two_who_end_the_same_key_at_once_end_it_once(
    trimtab: Trimtab, database_url: str, clock: SimulatedClock
) -> None:
    made = trimtab.api_keys.create(ADMIN, "vera", Role.VIEWER)
    other = twin(trimtab, database_url, clock)
    ended = at_once(*(lambda one=one: one.api_keys.revoke(ADMIN, made.key.id) for one in (trimtab, other)))  # type: ignore[misc]
    assert sorted(isinstance(one, ConflictError) for one in ended) == [False, True]
    other.close()


def test_the_first_key_is_made_once_also_by_two_at_once(
    trimtab: Trimtab, database_url: str, clock: SimulatedClock
) -> None:
    other = twin(trimtab, database_url, clock)
    made = at_once(*(lambda one=one: one.api_keys.create_first(ADMIN) for one in (trimtab, other)))  # type: ignore[misc]
    first = [one for one in made if one is not None]
    assert [isinstance(one, TrimtabError) for one in first] == [False]
    assert trimtab.api_keys.authenticate(first[0].text) == Actor(name=FIRST_NAME, role=Role.ADMIN)
    trimtab.api_keys.revoke(ADMIN, first[0].key.prefix)
    assert trimtab.api_keys.create_first(ADMIN) is None, "a key was made before: who has none left makes one by hand"
    other.close()


def test_the_last_use_is_noted_at_most_once_a_minute(trimtab: Trimtab) -> None:
    made = trimtab.api_keys.create(ADMIN, "vera", Role.VIEWER)
    seen = []
    for _, seconds in zip(count(), (0, 20, 39, 1, 300), strict=False):
        wait(trimtab, timedelta(seconds=seconds))
        trimtab.api_keys.authenticate(made.text)
        used = trimtab.api_keys.listing(ADMIN)[0][0].last_used_at
        assert used is not None
        seen.append((used - START).total_seconds())
    assert seen == [0, 0, 0, 60, 360]

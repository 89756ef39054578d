from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, bindparam, func, insert, literal, select, type_coerce
from sqlalchemy.exc import StatementError
from tests.store.rows import AT, agent_row

from trimtab.store.engine import reading, writing
from trimtab.store.tables import agents, decisions, runtime_settings
from trimtab.store.types import UtcTime

zones = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.datetimes(datetime(2000, 1, 2), datetime(2199, 12, 30), timezones=zones)  # noqa: DTZ001 - zones come beside


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moment=moments)
def test_a_time_comes_back_as_the_same_moment_in_utc(engine: Engine, moment: datetime) -> None:
    with reading(engine) as connection:
        found = connection.execute(
            select(type_coerce(bindparam("at", type_=UtcTime), UtcTime)), {"at": moment}
        ).scalar()
    assert found == moment
    assert found is not None
    assert found.tzinfo is UTC


def test_times_are_stored_to_the_microsecond_and_sort_as_they_passed(engine: Engine) -> None:
    times = [AT + timedelta(microseconds=i) for i in (2, 0, 1)]
    with writing(engine) as connection:
        connection.execute(insert(agents).values([agent_row(version=i, created_at=at) for i, at in enumerate(times)]))
    with reading(engine) as connection:
        query = select(agents.c.created_at).order_by(agents.c.created_at)
        assert connection.execute(query).scalars().all() == sorted(times)
        assert connection.execute(select(func.max(agents.c.created_at))).scalar() == max(times)


def test_a_time_without_a_zone_is_refused(engine: Engine) -> None:
    with pytest.raises(StatementError, match="without a zone"), reading(engine) as connection:
        connection.execute(select(literal(datetime(2025, 3, 3), UtcTime)))  # noqa: DTZ001 - that is the point


def test_no_time_stays_no_time(engine: Engine) -> None:
    with reading(engine) as connection:
        assert connection.execute(select(literal(None, UtcTime))).scalar() is None


documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(-1e15, 1e15)
    | st.text('aé\\"/ 日\n', max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=documents.filter(lambda value: value is not None))
def test_a_document_comes_back_equal(engine: Engine, document: Any) -> None:
    row = {"name": "x", "value": document, "version": 1, "updated_at": AT, "updated_by": "ada"}
    with writing(engine) as connection:
        connection.execute(runtime_settings.delete())
        connection.execute(insert(runtime_settings).values(row))
        assert connection.execute(select(runtime_settings.c.value)).scalar() == document


def test_an_id_is_the_same_text_on_every_database(engine: Engine) -> None:
    id = "01955b3b-ca80-732f-8b12-24083fd22f89"
    row = {"id": id, "agent": "mail", "key": "k", "at": AT, "payload": {}, "escalate": False, "reason": "STATIC"}
    with writing(engine) as connection:
        connection.execute(insert(decisions).values({**row, "arm": "baseline", "discordant": False}))
        assert connection.execute(select(decisions.c.id).where(decisions.c.id == id)).scalar() == id

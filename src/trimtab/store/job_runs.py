"""Job runs: one row per (name, due time), taken by lease."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select, update

from trimtab.core.job_runs import JobState
from trimtab.store.engine import insert_for
from trimtab.store.tables import job_runs


def claim(
    connection: Connection,
    *,
    name: str,
    due_at: datetime,
    worker: str,
    at: datetime,
    lease_until: datetime,
    dead_too: bool = False,
) -> Row[Any] | None:
    """Take a run; None when it is done, dead (unless `dead_too`), or when another worker holds its lease."""
    connection.execute(
        insert_for(connection)(job_runs)
        .values(name=name, due_at=due_at, state=JobState.DUE.value, attempts=0)
        .on_conflict_do_nothing()
    )
    c = job_runs.c
    startable = [JobState.DUE, JobState.FAILED, *([JobState.DEAD] if dead_too else [])]
    free = c.state.in_([state.value for state in startable]) | (
        (c.state == JobState.RUNNING.value) & (c.lease_until < at)
    )
    taken = connection.execute(
        update(job_runs)
        .where(c.name == name, c.due_at == due_at, free)
        .values(
            state=JobState.RUNNING.value, attempts=c.attempts + 1, worker=worker, lease_until=lease_until, started_at=at
        )
    )
    if taken.rowcount != 1:
        return None
    return connection.execute(select(job_runs).where(c.name == name, c.due_at == due_at)).one()


def finish(
    connection: Connection,
    *,
    name: str,
    due_at: datetime,
    attempt: int,
    state: JobState,
    at: datetime,
    result: dict[str, Any] | None = None,
    error: str | None = None,
) -> bool:
    """Write what came of an attempt; False when another worker took the run over in the meantime."""
    c = job_runs.c
    done = connection.execute(
        update(job_runs)
        .where(c.name == name, c.due_at == due_at, c.attempts == attempt, c.state == JobState.RUNNING.value)
        .values(state=state.value, finished_at=at, result=result, error=error, lease_until=None)
    )
    return done.rowcount == 1


def recent(connection: Connection, *, name: str | None = None, limit: int = 50) -> list[Row[Any]]:
    """The newest runs first."""
    query = select(job_runs).order_by(job_runs.c.due_at.desc(), job_runs.c.name).limit(limit)
    return list(connection.execute(query.where(job_runs.c.name == name) if name else query))


def last_success(connection: Connection, name: str) -> datetime | None:
    """The due time of the newest run that succeeded."""
    return connection.execute(
        select(job_runs.c.due_at)
        .where(job_runs.c.name == name, job_runs.c.state == JobState.SUCCEEDED.value)
        .order_by(job_runs.c.due_at.desc())
        .limit(1)
    ).scalar()

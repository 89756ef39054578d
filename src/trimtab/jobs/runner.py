"""Running jobs: each due time once, by lease; failures are visible and tried again."""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from trimtab.bootstrap import Trimtab
from trimtab.core.job_runs import JobState
from trimtab.errors import ConflictError, NotFoundError, TrimtabError
from trimtab.jobs.catalogue import JOBS, Job
from trimtab.store import job_runs as job_store
from trimtab.store.engine import reading, writing

MAX_ERROR = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReport:
    """What became of one run."""

    name: str
    due_at: datetime
    state: JobState
    result: dict[str, Any] | None = None
    error: str | None = None


def run_job(trimtab: Trimtab, name: str, *, due_at: datetime | None = None, worker: str = "cli") -> JobReport:
    """Run a job for a due time (now by default), also a dead one.

    Raises NotFoundError for an unknown job, ConflictError when that run is done or another worker has it.
    """
    if name not in JOBS:
        raise NotFoundError(f"job {name[:60]!r} does not exist; there are {', '.join(JOBS)}")
    due = due_at or trimtab.context.now()
    report = _run(trimtab, JOBS[name], due, worker, dead_too=True)
    if report is None:
        raise ConflictError(f"job {name} due at {due.isoformat()} is done, or another worker has it")
    return report


def run_due(trimtab: Trimtab, *, worker: str) -> list[JobReport]:
    """Run every job whose newest due time has no finished run. Older missed times are skipped: one run catches up.

    A failed run is tried again; a dead one waits for a person (`run_job`).
    """
    now = trimtab.context.now()
    paused = trimtab.loop.paused()
    reports = [_run(trimtab, job, job.last_due(now), worker) for job in JOBS.values() if job.runs_paused or not paused]
    return [one for one in reports if one is not None]


def recent_runs(trimtab: Trimtab, *, name: str | None = None, limit: int = 50) -> list[Any]:
    """The newest runs first."""
    with reading(trimtab.engine) as connection:
        return job_store.recent(connection, name=name, limit=limit)


def _run(trimtab: Trimtab, job: Job, due_at: datetime, worker: str, *, dead_too: bool = False) -> JobReport | None:
    now = trimtab.context.now()
    with writing(trimtab.engine) as connection:
        lease = now + timedelta(seconds=trimtab.settings.job_lease_s)
        run = job_store.claim(
            connection, name=job.name, due_at=due_at, worker=worker, at=now, lease_until=lease, dead_too=dead_too
        )
    if run is None:
        return None
    try:
        result, error, state = job.work(trimtab), None, JobState.SUCCEEDED
    except Exception as problem:  # noqa: BLE001 - whatever a job dies of must end up in its visible history
        result = None
        error = str(problem) if isinstance(problem, TrimtabError) else traceback.format_exc()
        state = JobState.DEAD if run.attempts >= trimtab.settings.job_attempts else JobState.FAILED
    with writing(trimtab.engine) as connection:
        job_store.finish(
            connection,
            name=job.name,
            due_at=due_at,
            attempt=run.attempts,
            state=state,
            at=trimtab.context.now(),
            result=result,
            error=error[-MAX_ERROR:].replace("\0", "") if error else None,
        )
    return JobReport(name=job.name, due_at=due_at, state=state, result=result, error=error)

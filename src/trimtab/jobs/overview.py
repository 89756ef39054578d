"""Jobs as people see them: what there is, when it is due, what ran; and asking for a run by hand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trimtab.bootstrap import Trimtab
from trimtab.core.rights import Actor, Right
from trimtab.errors import NotFoundError
from trimtab.jobs.catalogue import JOBS, Job
from trimtab.jobs.runner import JobReport, recent_runs, run_job
from trimtab.store import job_runs as job_store
from trimtab.store.engine import reading


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """A job, when it is due, and the newest due time that it succeeded for."""

    name: str
    help: str
    schedule: str
    last_due: datetime
    last_success_due: datetime | None
    runs_paused: bool


def schedule(job: Job) -> str:
    """When a job is due, in words."""
    if job.at is not None:
        return f"daily at {job.at:%H:%M} UTC"
    minutes = (job.every.total_seconds() if job.every else 60) / 60
    return "every minute" if minutes == 1 else f"every {minutes:g} minutes"


def statuses(trimtab: Trimtab, actor: Actor) -> list[JobStatus]:
    """Every job with its last success."""
    actor.require(Right.READ)
    now = trimtab.context.now()
    with reading(trimtab.engine) as connection:
        return [
            JobStatus(
                name=job.name,
                help=job.help,
                schedule=schedule(job),
                last_due=job.last_due(now),
                last_success_due=job_store.last_success(connection, job.name),
                runs_paused=job.runs_paused,
            )
            for job in JOBS.values()
        ]


def history(trimtab: Trimtab, actor: Actor, *, name: str | None = None, limit: int = 50) -> list[Any]:
    """The newest runs first. Raises NotFoundError for an unknown job."""
    actor.require(Right.READ)
    if name is not None and name not in JOBS:
        raise NotFoundError(f"job {name[:60]!r} does not exist; there are {', '.join(JOBS)}")
    return recent_runs(trimtab, name=name, limit=limit)


def run_by_hand(trimtab: Trimtab, actor: Actor, name: str, *, due_at: datetime | None = None, worker: str) -> JobReport:
    """Run a job because somebody asked for it; the history names them. Raises as `run_job` does."""
    actor.require(Right.RUN_JOBS)
    return run_job(trimtab, name, due_at=due_at, worker=f"{worker} for {actor.name}"[:200])

"""SCHEDULES. Named, idempotent, leased, visible."""

from __future__ import annotations

from trimtab.jobs.catalogue import JOBS, Job
from trimtab.jobs.overview import JobStatus, history, run_by_hand, schedule, statuses
from trimtab.jobs.runner import JobReport, recent_runs, run_due, run_job
from trimtab.jobs.scheduler import Scheduler

__all__ = [
    "JOBS",
    "Job",
    "JobReport",
    "JobStatus",
    "Scheduler",
    "history",
    "recent_runs",
    "run_by_hand",
    "run_due",
    "run_job",
    "schedule",
    "statuses",
]

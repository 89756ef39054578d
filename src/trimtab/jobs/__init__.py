"""SCHEDULES. Named, idempotent, leased, visible."""

from __future__ import annotations

from trimtab.jobs.catalogue import JOBS, Job
from trimtab.jobs.runner import JobReport, recent_runs, run_due, run_job

__all__ = ["JOBS", "Job", "JobReport", "recent_runs", "run_due", "run_job"]

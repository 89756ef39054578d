"""SCHEDULES. Named, idempotent, leased, visible."""

from __future__ import annotations

from trimtab.jobs.catalogue import JOBS, Job
from trimtab.jobs.runner import JobReport, run_due, run_job

__all__ = ["JOBS", "Job", "JobReport", "run_due", "run_job"]

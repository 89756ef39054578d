"""Jobs over HTTP."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from trimtab.server.schemas.common import Document, Given, Moment, Shown


class JobStatus(Shown):
    name: str
    help: str
    schedule: str
    last_due: Moment
    last_success_due: Moment | None = Field(description="The newest due time that it succeeded for.")
    runs_paused: bool = Field(description="Whether it runs while the loop is paused.")


class JobRun(Shown):
    name: str
    due_at: Moment
    state: str
    attempts: int
    worker: str | None
    lease_until: Moment | None
    started_at: Moment | None
    finished_at: Moment | None
    result: Document | None
    error: str | None


class JobOverview(Shown):
    jobs: list[JobStatus]
    runs: list[JobRun] = Field(description="The newest first.")


class RunToStart(Given):
    due_at: Annotated[
        str | None,
        Field(max_length=40, description="The due time that this run is for, ISO 8601 with its zone; else now."),
    ] = None


class JobReport(Shown):
    """What became of a run. A failed one is an answer, not an error: `state` and `error` say so."""

    name: str
    due_at: Moment
    state: str
    result: Document | None
    error: str | None

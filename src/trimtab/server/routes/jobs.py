"""Jobs: the regular work, its history, and running it by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from trimtab import jobs
from trimtab.core.plain import plain
from trimtab.core.rights import Right
from trimtab.errors import InvalidInputError
from trimtab.server.dependencies import Limit, Services, Who, needs
from trimtab.server.schemas.jobs import JobOverview, JobReport, RunToStart

router = APIRouter(tags=["jobs"])

_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


@router.get("/jobs", response_model=JobOverview, openapi_extra=needs(Right.READ))
def list_jobs(
    services: Services,
    who: Who,
    name: Annotated[str | None, Query(max_length=63, description="Runs of this job only.")] = None,
    limit: Limit = 50,
) -> Any:
    """Every job, when it is due, and the newest runs."""
    runs = jobs.history(services, who, name=name, limit=limit)
    return plain({"jobs": jobs.statuses(services, who), "runs": runs})


@router.post("/jobs/{name}/run", response_model=JobReport, openapi_extra=needs(Right.RUN_JOBS))
def run_job(request: Request, services: Services, who: Who, name: str, body: RunToStart | None = None) -> Any:
    """Run a job now, or for a due time; a due time that was done is not done again."""
    due_at = _due(body.due_at, services.context.now()) if body is not None and body.due_at is not None else None
    return plain(jobs.run_by_hand(services, who, name, due_at=due_at, worker=request.app.state.worker))


def _due(text: str, now: datetime) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None or not _EARLIEST <= found <= now:
        raise InvalidInputError("due_at: a past time in ISO 8601 with its zone is needed, such as 2026-01-31T02:00:00Z")
    return found.astimezone(UTC)

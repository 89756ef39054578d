"""trimtab jobs: the regular work, run by hand, and its history."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Annotated

import typer

from trimtab.cli.command import command, group
from trimtab.cli.plain import moment, to_json, when
from trimtab.cli.session import Session

if TYPE_CHECKING:
    from trimtab.cli.output import Output
    from trimtab.jobs import JobReport

jobs = group("The regular work, run by hand, and its history.")

GATE_SAID_NO = 1


def _worker() -> str:
    return f"cli {socket.gethostname()}:{os.getpid()}"[:200]


@command(jobs, "list")
def listing(session: Session) -> None:
    """Every job: when it is due, and when it last succeeded."""
    from trimtab.jobs import statuses

    with session.open() as (trimtab, actor):
        found = statuses(trimtab, actor)

    def render(out: Output) -> None:
        out.table(
            ("job", "does", "due", "last success for"),
            [(one.name, one.help, one.schedule, when(one.last_success_due)) for one in found],
        )

    session.show({"jobs": found}, render)


@command(jobs, "run")
def run(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `trimtab jobs list` names it.")],
    due: Annotated[
        str | None,
        typer.Option(
            "--due", metavar="TIME", help="The due time that this run is for, ISO 8601; UTC where no zone is said."
        ),
    ] = None,
) -> None:
    """Run a job now, or for a due time; a due time that was done is not done again."""
    from trimtab.cli.output import work
    from trimtab.core.rights import Right
    from trimtab.jobs import run_job

    due_at = None if due is None else moment(due, "due")
    with session.open() as (trimtab, actor):
        actor.require(Right.RUN_JOBS)
        report = work(f"running {name}", lambda: run_job(trimtab, name, due_at=due_at, worker=_worker()))
    session.show(report, lambda out: _show_report(out, report))
    if report.error is not None:
        raise typer.Exit(GATE_SAID_NO)


def _show_report(out: Output, report: JobReport) -> None:
    out.line(
        f"{report.name} for {when(report.due_at)}: {report.state}", "green" if report.error is None else "bold red"
    )
    if report.error is not None:
        out.line(report.error)
    elif report.result:
        out.line(to_json(report.result))


@command(jobs, "due")
def due(session: Session) -> None:
    """Run whatever is due and was not run yet; what `trimtab serve` does by itself."""
    from trimtab.cli.output import work
    from trimtab.core.rights import Right
    from trimtab.jobs import run_due

    with session.open() as (trimtab, actor):
        actor.require(Right.RUN_JOBS)
        reports = work("running what is due", lambda: run_due(trimtab, worker=_worker()))

    def render(out: Output) -> None:
        if not reports:
            out.line("nothing is due", "dim")
        for report in reports:
            _show_report(out, report)

    session.show({"runs": reports}, render)
    if any(report.error is not None for report in reports):
        raise typer.Exit(GATE_SAID_NO)


@command(jobs, "history")
def history(
    session: Session,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Of this job only.")] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="At most so many.")] = 20,
) -> None:
    """The newest runs first; what failed says why."""
    from trimtab.core.rights import Right
    from trimtab.store import job_runs
    from trimtab.store.engine import reading

    with session.open() as (trimtab, actor):
        actor.require(Right.READ)
        with reading(trimtab.engine) as connection:
            found = job_runs.recent(connection, name=name, limit=limit)

    def render(out: Output) -> None:
        out.table(
            ("due", "job", "state", "attempts", "worker", "finished", "result"),
            [
                (
                    when(row.due_at),
                    row.name,
                    row.state,
                    row.attempts,
                    row.worker or "–",
                    when(row.finished_at),
                    (row.error or "").strip().splitlines()[-1] if row.error else to_json(row.result, indent=None),
                )
                for row in found
            ],
            empty="no job has run yet; run what is due: trimtab jobs due",
        )

    session.show({"runs": found}, render)

from __future__ import annotations

import logging
import time
from datetime import timedelta

import pytest
from sqlalchemy import text
from tests.services.steps import OPERATOR, VIEWER, at_once, twin, wait

from trimtab.bootstrap import Trimtab
from trimtab.clock import SimulatedClock
from trimtab.core.job_runs import JobState
from trimtab.errors import ForbiddenError, NotFoundError
from trimtab.jobs import JOBS, Scheduler, history, run_by_hand, statuses
from trimtab.store.engine import writing


def test_the_first_turn_runs_everything_that_is_due_and_the_next_one_nothing(trimtab: Trimtab) -> None:
    scheduler = Scheduler(trimtab, worker="here:1")
    assert {one.name for one in scheduler.turn()} == set(JOBS)
    assert scheduler.turn() == []
    wait(trimtab, timedelta(minutes=1))
    assert {one.name for one in scheduler.turn()} == {name for name, job in JOBS.items() if job.every is not None}


def test_many_schedulers_on_one_database_run_each_due_time_once(
    trimtab: Trimtab, database_url: str, clock: SimulatedClock
) -> None:
    others = [twin(trimtab, database_url, clock) for _ in range(2)]
    schedulers = [Scheduler(one, worker=f"here:{i}") for i, one in enumerate([trimtab, *others])]
    for _ in range(3):
        reports = [one for turn in at_once(*(scheduler.turn for scheduler in schedulers)) for one in turn]
        assert len({(one.name, one.due_at) for one in reports}) == len(reports)
        clock.advance(timedelta(minutes=1))
    runs = history(trimtab, VIEWER, limit=1000)
    assert {run.attempts for run in runs} == {1}
    assert {run.state for run in runs} == {JobState.SUCCEEDED.value}
    for one in others:
        one.close()


def test_a_paused_loop_keeps_its_guard(trimtab: Trimtab) -> None:
    trimtab.loop.pause(OPERATOR, reason="holiday")
    ran = {one.name for one in Scheduler(trimtab, worker="here:1").turn()}
    assert ran == {"guard_report", "guard_tick"}


def test_a_database_that_cannot_be_used_is_waited_for_ever_longer_and_then_no_more(
    trimtab: Trimtab, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = Scheduler(trimtab, worker="here:1", every=timedelta(seconds=5))
    _rename(trimtab, "job_runs", "lost")
    waits = []
    for _ in range(6):
        assert scheduler.turn() == []
        waits.append(scheduler.wait.total_seconds())
    assert waits == [10, 20, 40, 60, 60, 60]
    assert "scheduler=waiting wait_s=10" in caplog.text
    _rename(trimtab, "lost", "job_runs")
    assert scheduler.turn()
    assert scheduler.wait == timedelta(seconds=5)


def _rename(trimtab: Trimtab, old: str, new: str) -> None:
    with writing(trimtab.engine) as connection:
        connection.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))


def test_a_failing_job_is_told_in_the_log_and_stops_no_other(
    trimtab: Trimtab, caplog: pytest.LogCaptureFixture
) -> None:
    _rename(trimtab, "review_items", "lost")
    with caplog.at_level(logging.INFO):
        reports = {one.name: one for one in Scheduler(trimtab, worker="here:1").turn()}
    assert reports["lapse_leases"].state is JobState.FAILED
    assert reports["guard_tick"].state is JobState.SUCCEEDED
    failed = [record for record in caplog.records if "job=lapse_leases" in record.getMessage()]
    assert [record.levelno for record in failed] == [logging.ERROR]
    _rename(trimtab, "lost", "review_items")


def test_a_scheduler_works_in_its_own_thread_and_stops_when_told(trimtab: Trimtab) -> None:
    scheduler = Scheduler(trimtab, worker="here:1", every=timedelta(seconds=600))
    scheduler.start()
    scheduler.start()  # twice is once
    while len(history(trimtab, VIEWER)) < len(JOBS):
        time.sleep(0.01)
    assert scheduler.stop(timedelta(seconds=30))
    assert {run.state for run in history(trimtab, VIEWER)} == {JobState.SUCCEEDED.value}


def test_a_scheduler_that_never_started_is_stopped_already(trimtab: Trimtab) -> None:
    assert Scheduler(trimtab, worker="here:1").stop()


def test_jobs_are_told_with_their_last_success_and_run_by_hand_by_name(trimtab: Trimtab) -> None:
    assert {one.last_success_due for one in statuses(trimtab, VIEWER)} == {None}
    report = run_by_hand(trimtab, OPERATOR, "load_feeds", worker="here:1")
    told = {one.name: one for one in statuses(trimtab, VIEWER)}
    assert told["load_feeds"].last_success_due == report.due_at
    assert told["load_feeds"].schedule == "daily at 02:00 UTC"
    assert told["guard_tick"].schedule == "every minute"
    assert [run.worker for run in history(trimtab, VIEWER, name="load_feeds")] == ["here:1 for olga"]
    with pytest.raises(ForbiddenError):
        run_by_hand(trimtab, VIEWER, "load_feeds", worker="here:1")
    with pytest.raises(NotFoundError, match="guard_tick"):
        history(trimtab, VIEWER, name="nothing")

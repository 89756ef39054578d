from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update
from tests.services.steps import (
    MAIL,
    OPERATOR,
    START,
    VIEWER,
    add_agent,
    agent_with_rollout,
    at_once,
    crown,
    send,
    serve,
    thumb,
    twin,
    verdict,
    wait,
)

from trimtab.bootstrap import Trimtab
from trimtab.clock import SimulatedClock
from trimtab.core.job_runs import JobState
from trimtab.errors import ConflictError, NotFoundError
from trimtab.jobs import JOBS, JobReport, recent_runs, run_due, run_job
from trimtab.store import job_runs as job_store
from trimtab.store import tables
from trimtab.store.engine import reading, writing


@pytest.fixture
def served(trimtab: Trimtab) -> Trimtab:
    add_agent(trimtab)
    crown(trimtab, 5)
    return trimtab


def spoil(trimtab: Trimtab) -> None:
    """Make every job that reads the agent's spec fail, as a damaged database would."""
    with writing(trimtab.engine) as connection:
        connection.execute(update(tables.agents).values(spec={"agent": "broken"}))


def mend(trimtab: Trimtab, spec: dict[str, object]) -> None:
    with writing(trimtab.engine) as connection:
        connection.execute(update(tables.agents).values(spec=spec))


def test_every_job_runs_on_an_empty_loop(trimtab: Trimtab) -> None:
    reports = {name: run_job(trimtab, name) for name in JOBS}
    assert {one.state for one in reports.values()} == {JobState.SUCCEEDED}


def test_the_daily_four_are_due_at_their_hours_and_the_guard_every_minute() -> None:
    now = START.replace(hour=2, minute=30, second=40)
    due = {name: job.last_due(now) for name, job in JOBS.items()}
    yesterday = now - timedelta(days=1)
    assert due["load_feeds"] == now.replace(hour=2, minute=0, second=0)
    assert due["update_weights"] == yesterday.replace(hour=3, minute=0, second=0)
    assert due["sample_reviews"] == yesterday.replace(hour=4, minute=0, second=0)
    assert due["guard_report"] == yesterday.replace(hour=5, minute=0, second=0)
    assert due["guard_tick"] == now.replace(second=0)


def test_the_jobs_do_the_work_of_a_night(served: Trimtab) -> None:
    events = serve(served, [7, 8, 1])
    send(served, *(thumb(event) for event in events), *(verdict(event, "judge", "spam") for event in events))
    wait(served, timedelta(hours=1))
    results = {one.name: one.result for one in run_due(served, worker="night")}
    assert results["load_feeds"] == {"added": 3, "present": 0}
    assert results["update_weights"] == {MAIL: {"judge@1": 0.5}}
    assert results["sample_reviews"] == {MAIL: {"candidates": 3, "queued": 3}}
    assert results["guard_report"] == {}
    assert len(recent_runs(served)) == len(JOBS)


def test_the_guard_report_names_each_rollout_and_what_was_decided(trimtab: Trimtab) -> None:
    rollout = agent_with_rollout(trimtab)
    report = run_job(trimtab, "guard_report")
    assert report.result == {MAIL: {"rollout": rollout.id, "decision": "hold", "acted": None}}


def test_a_due_time_runs_once(served: Trimtab) -> None:
    first = run_due(served, worker="a")
    assert {one.name for one in first} == set(JOBS)
    assert run_due(served, worker="b") == []
    with pytest.raises(ConflictError, match="is done, or another worker has it"):
        run_job(served, "load_feeds", due_at=first[0].due_at)
    wait(served, timedelta(minutes=1))
    assert {one.name for one in run_due(served, worker="a")} == {"guard_tick", "lapse_leases"}


def test_two_workers_at_once_run_a_due_time_once(served: Trimtab, database_url: str, clock: SimulatedClock) -> None:
    other = twin(served, database_url, clock)
    results = at_once(*(lambda one=one: run_due(one, worker=str(id(one))) for one in (served, other)))
    other.close()
    assert sorted(report.name for reports in results for report in reports) == sorted(JOBS)
    assert {report.state for reports in results for report in reports} == {JobState.SUCCEEDED}


def test_a_failed_run_is_visible_and_tried_again(served: Trimtab) -> None:
    good = served.agents.get(VIEWER, MAIL).to_mapping()
    spoil(served)
    failed = run_job(served, "sample_reviews", due_at=START, worker="a")
    assert (failed.state, failed.result) == (JobState.FAILED, None)
    (row,) = recent_runs(served, name="sample_reviews")
    assert (row.state, row.attempts, row.worker) == ("failed", 1, "a")
    assert "lacks" in row.error
    mend(served, good)
    again = run_job(served, "sample_reviews", due_at=START, worker="b")
    assert (again.state, again.error) == (JobState.SUCCEEDED, None)
    (row,) = recent_runs(served, name="sample_reviews")
    assert (row.state, row.attempts, row.error) == ("succeeded", 2, None)


def test_one_failing_job_does_not_stop_the_others(served: Trimtab) -> None:
    spoil(served)
    states = {one.name: one.state for one in run_due(served, worker="a")}
    assert states["sample_reviews"] is JobState.FAILED
    assert states["guard_tick"] is JobState.SUCCEEDED


def test_a_run_that_failed_too_often_is_dead_until_a_person_asks_for_it(served: Trimtab) -> None:
    good = served.agents.get(VIEWER, MAIL).to_mapping()
    spoil(served)

    def sampled() -> list[JobReport]:
        return [one for one in run_due(served, worker="a") if one.name == "sample_reviews"]

    states = [one.state for _ in range(5) for one in sampled()]
    assert states == [JobState.FAILED, JobState.FAILED, JobState.DEAD]
    mend(served, good)
    assert sampled() == []
    due = JOBS["sample_reviews"].last_due(served.context.now())
    assert run_job(served, "sample_reviews", due_at=due).state is JobState.SUCCEEDED


def test_a_lease_is_taken_over_when_its_worker_fell_silent(served: Trimtab) -> None:
    at = served.context.now()
    lease = at + timedelta(seconds=served.settings.job_lease_s)
    with writing(served.engine) as connection:
        run = job_store.claim(connection, name="load_feeds", due_at=START, worker="dead", at=at, lease_until=lease)
    assert run is not None
    with pytest.raises(ConflictError, match="another worker has it"):
        run_job(served, "load_feeds", due_at=START, worker="b")
    wait(served, timedelta(seconds=served.settings.job_lease_s + 1))
    assert run_job(served, "load_feeds", due_at=START, worker="b").state is JobState.SUCCEEDED
    with writing(served.engine) as connection:
        # The first worker was only slow: what it brings now must not overwrite its successor's word.
        late = job_store.finish(
            connection,
            name="load_feeds",
            due_at=START,
            attempt=run.attempts,
            state=JobState.FAILED,
            at=served.context.now(),
            error="too late",
        )
    assert not late
    with reading(served.engine) as connection:
        row = connection.execute(select(tables.job_runs)).one()
        assert (row.state, row.attempts, row.worker) == ("succeeded", 2, "b")
        assert job_store.last_success(connection, "load_feeds") == START
        assert job_store.last_success(connection, "guard_tick") is None


def test_a_paused_loop_keeps_only_the_guard_running(served: Trimtab) -> None:
    served.loop.pause(OPERATOR, reason="maintenance")
    assert {one.name for one in run_due(served, worker="a")} == {"guard_report", "guard_tick"}
    served.loop.resume(OPERATOR, reason="done")
    assert "load_feeds" in {one.name for one in run_due(served, worker="a")}


def test_running_every_job_twice_changes_nothing(served: Trimtab) -> None:
    events = serve(served, [7, 8, 1])
    send(served, *(thumb(event) for event in events))

    def everything() -> tuple[int, int]:
        return served.labels.stats(VIEWER).total, len(served.reviews.queue(VIEWER))

    for name in JOBS:
        run_job(served, name)
    once = everything()
    wait(served, timedelta(seconds=1))
    for name in JOBS:
        run_job(served, name)
    assert everything() == once == (3, 3)


def test_an_unknown_job_is_named_with_those_that_exist(served: Trimtab) -> None:
    with pytest.raises(NotFoundError, match="job 'tidy' does not exist; there are load_feeds"):
        run_job(served, "tidy")

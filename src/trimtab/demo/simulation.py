"""Thirty days in seconds: mail arrives, people and judges react, the nightly jobs run, bundles come and go.

Everything goes through the SDK and the public services; only the clock is moved by hand. Every step may be interrupted
and done again: ids follow from the data and the seed, and what was done already is found in the database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import partial

from trimtab.bootstrap import Trimtab
from trimtab.clock import SimulatedClock
from trimtab.core.agents import AgentSpec
from trimtab.core.ids import named_uuid7
from trimtab.core.job_runs import JobState
from trimtab.demo.data_source import DemoData
from trimtab.demo.people import (
    CORRECTED,
    HOURS,
    START,
    WAVED_THROUGH,
    Signal,
    SignalKind,
    arrivals,
    decision_id,
    moment,
    signals,
)
from trimtab.demo.team import JONAS, SeededBytes, Team
from trimtab.embedded import EmbeddedTransport
from trimtab.errors import ConflictError
from trimtab.jobs import recent_runs, run_job
from trimtab.sdk.client import Client, Decision
from trimtab.store import job_runs as job_store
from trimtab.store.engine import writing

JOBS_AT = (("load_feeds", 2), ("update_weights", 3), ("sample_reviews", 4), ("guard_report", 5))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One interruptible piece of a day."""

    day: int
    name: str
    at: datetime
    run: Callable[[], None]


@dataclass(slots=True)
class Tally:
    """What a day served so far, against the true labels."""

    mails: int = 0
    right: int = 0


class Simulation:
    """The days of one demo over one database."""

    def __init__(
        self,
        trimtab: Trimtab,
        clock: SimulatedClock,
        data: DemoData,
        spec: AgentSpec,
        ids: SeededBytes,
        *,
        days: int,
        seed: int,
    ) -> None:
        self.days = data.days(days, START.weekday())
        self.served = [Tally() for _ in self.days]
        self._trimtab, self._clock, self._data, self._spec, self._seed = trimtab, clock, data, spec, seed
        self._team = Team(trimtab, data, spec, ids, days=days, seed=seed)
        self._client = Client(EmbeddedTransport.over(trimtab), clock=clock, refresh_s=None)
        self._judges = data.judges()
        self._names = {judge.name: f"{judge.name}@{judge.version}" for judge in self._judges}
        self._signals = signals(data, self.days, seed=seed)
        self._item_of = {
            decision_id(seed, data.items[i], at): i
            for day, items in enumerate(self.days)
            for i, at in arrivals(day, items)
        }

    def steps(self) -> Iterator[Step]:
        """Every step of every day, in the order of time."""
        yield self._step(0, "prepare", time(1), self._team.prepare)
        for day in range(len(self.days)):
            for job, hour in JOBS_AT:
                yield self._step(day, job, time(hour), partial(self._job, job, day, time(hour)))
            yield self._step(day, "review", time(6), partial(self._team.review, self._item_of))
            yield self._step(day, "govern", time(7), partial(self._team.govern, day))
            for hour in HOURS:
                yield self._step(day, "mail", time(hour), partial(self._hour, day, hour))
                tick = partial(self._job, "guard_tick", day, time(hour, 59))
                yield self._step(day, "guard_tick", time(hour, 59, 30), tick)
        last = len(self.days)
        yield self._step(last, "guard_report", time(5), partial(self._job, "guard_report", last, time(5)))

    def _step(self, day: int, name: str, at: time, run: Callable[[], None]) -> Step:
        return Step(day=day, name=name, at=moment(day, at), run=run)

    def run_step(self, step: Step) -> None:
        """Move the clock to the step and do it."""
        self._clock.set(step.at)
        step.run()

    def recall(self, until: datetime) -> None:
        """Count what was served before `until`, by an earlier start of this demo."""
        for day, tally in enumerate(self.served):
            since = moment(day, time(0))
            if since >= until:
                break
            rows = self._trimtab.decisions.between(
                JONAS, self._spec.agent, since=since, until=min(until, since + timedelta(days=1))
            )
            tally.mails = len(rows)
            tally.right = sum(row.label == self._data.label(self._item_of[row.id]) for row in rows)

    def close(self) -> None:
        """Deliver what is queued."""
        self._client.close()

    # --- what the machine does

    def _job(self, name: str, day: int, at: time) -> None:
        due = moment(day, at)
        for _ in range(2):
            try:
                report = run_job(self._trimtab, name, due_at=due, worker="demo")
            except ConflictError:
                run = next(run for run in recent_runs(self._trimtab, name=name) if run.due_at == due)
                if run.state != JobState.RUNNING:
                    return  # done by an earlier start
                # The process that held it was killed, and we alone have the folder: waiting for the lease to run out
                # would only do the same work at another hour.
                with writing(self._trimtab.engine) as connection:
                    job_store.finish(
                        connection,
                        name=name,
                        due_at=due,
                        attempt=run.attempts,
                        state=JobState.FAILED,
                        at=due,
                        error="its process was killed",
                    )
                continue
            if report.error:
                raise RuntimeError(f"job {name} failed: {report.error}")
            return

    def _hour(self, day: int, hour: int) -> None:
        """One hour: decide, report, judge; and people react to what they saw earlier, in the order of time."""
        self._client.refresh()
        began = moment(day, time(hour))
        delivered = began  # what was decided before this moment is in the database
        mails = [one for one in arrivals(day, self.days[day]) if began <= one[1] < began + timedelta(hours=1)]
        reactions = list(self._signals.get((day, hour), ()))
        while mails or reactions:
            if mails and (not reactions or mails[0][1] <= reactions[0].at):
                i, at = mails.pop(0)
                self._decide(day, i, at)
                continue
            signal = reactions.pop(0)
            self._clock.set(signal.at)
            if signal.decided_at >= delivered:
                self._deliver()
                delivered = signal.at
            self._react(signal)
        self._clock.set(moment(day, time(hour, 59)))
        self._deliver()

    def _deliver(self) -> None:
        if not self._client.flush(60):
            raise RuntimeError(f"events were not stored: {self._client.state}")
        if self._client.state["rejected"]:
            raise RuntimeError(f"events were refused: {self._client.state['last_rejection']}")

    def _decide(self, day: int, i: int, at: datetime) -> None:
        payload, item = self._data.payload(i), self._data.items[i]
        self._clock.set(at)
        decision = self._client.decide(
            self._spec.agent, key=self._data.key(i), payload=payload, decision_id=decision_id(self._seed, item, at)
        )
        self.served[day].mails += 1
        self.served[day].right += decision.label == self._data.label(i)
        failed = decision.reason in ("ERROR", "FALLBACK")
        self._client.outcome(decision, failed=failed, event_id=named_uuid7(at, "outcome", str(self._seed), item))
        for judge in self._judges:
            label, confidence = judge.judge(payload, decision.label or self._spec.labels[0])
            self._client.verdict(
                decision,
                judge=self._names[judge.name],
                label=label,
                confidence=confidence,
                event_id=named_uuid7(at, "verdict", str(self._seed), item, judge.name),
            )

    # --- what people do

    def _react(self, signal: Signal) -> None:
        """An approval or a thumb on what was served: partial, and kinder to mistakes than it should be."""
        served = self._trimtab.decisions.get(JONAS, signal.decision_id).label
        truth, item = self._data.label(signal.item), self._data.items[signal.item]
        right = served == truth
        if not signal.comes(right=right):
            return
        decision = Decision(id=signal.decision_id, agent=self._spec.agent)
        event_id = named_uuid7(signal.decided_at, signal.kind.value, str(self._seed), item)
        if signal.kind is SignalKind.APPROVAL:
            approved = right or signal.notices < WAVED_THROUGH
            self._client.approval(decision, approved=approved, by="user:inbox-owner", event_id=event_id)
        else:
            label = truth if not right and signal.notices < CORRECTED else None
            self._client.feedback(decision, correct=right, label=label, by="user:inbox-owner", event_id=event_id)

"""Thirty days in seconds: mail arrives, people and judges react, the nightly jobs run, bundles come and go.

Everything goes through the SDK and the public services; only the clock is moved by hand. Every step may be interrupted
and done again: ids follow from the data and the seed, and what was done already is found in the database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from functools import partial
from hashlib import shake_256

from trimtab.bootstrap import Trimtab
from trimtab.clock import SimulatedClock
from trimtab.core.agents import AgentSpec
from trimtab.core.approvals import ProposalState
from trimtab.core.bundles import Bundle
from trimtab.core.ids import named_uuid7
from trimtab.core.job_runs import JobState
from trimtab.core.reviews import ReviewState
from trimtab.core.rights import Actor, Role
from trimtab.core.training import Example, Method, train
from trimtab.demo.data_source import DemoData, chance
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
from trimtab.embedded import EmbeddedTransport
from trimtab.errors import ConflictError, InsufficientDataError
from trimtab.jobs import recent_runs, run_job
from trimtab.sdk.client import Client, Decision
from trimtab.store import job_runs as job_store
from trimtab.store.engine import writing

POISONED_FROM_DAYS = 10  # a shorter demo has no time for it
POISON_SHARE = 0.6  # of the way: day 18 of 30

MIRA = Actor(name="mira", role=Role.OPERATOR)  # trains and proposes
JONAS = Actor(name="jonas", role=Role.ADMIN)  # approves
SAM = Actor(name="sam", role=Role.OPERATOR)  # brings the poisoned bundle
REVIEWERS = (Actor(name="ada", role=Role.REVIEWER), Actor(name="ben", role=Role.REVIEWER))
JOBS_AT = (("load_feeds", 2), ("update_weights", 3), ("sample_reviews", 4), ("guard_report", 5))


def poison_day(days: int) -> int | None:
    """The day on which the poisoned bundle is approved; None when the demo is too short for it."""
    return int(POISON_SHARE * days) if days >= POISONED_FROM_DAYS else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One interruptible piece of a day."""

    day: int
    name: str
    at: datetime
    run: Callable[[], None]


class SeededBytes:
    """The randomness of ids: fixed by the seed, new after every restart, pinned where an id decides something."""

    def __init__(self, seed: int, start: int) -> None:
        self._scope, self._count = f"{seed}/{start}", 0

    def __call__(self, n: int) -> bytes:
        self._count += 1
        return shake_256(f"{self._scope}/{self._count}".encode()).digest(n)

    @contextmanager
    def pinned(self, *names: str) -> Iterator[None]:
        """Inside, the bytes follow from `names` alone: a rollout's id picks its canary keys, also after a restart."""
        before = self._scope, self._count
        self._scope, self._count = "\x1f".join((before[0].partition("/")[0], *names)), 0
        try:
            yield
        finally:
            self._scope, self._count = before


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
        self._trimtab, self._clock, self._data, self._spec, self._ids, self._seed = (
            trimtab,
            clock,
            data,
            spec,
            ids,
            seed,
        )
        self._client = Client(EmbeddedTransport.over(trimtab), clock=clock, refresh_s=None)
        self._judges = data.judges()
        self._names = {judge.name: f"{judge.name}@{judge.version}" for judge in self._judges}
        self._signals = signals(data, self.days, seed=seed)
        self._poison_day = poison_day(days)
        self._item_of = {
            decision_id(seed, data.items[i], at): i
            for day, items in enumerate(self.days)
            for i, at in arrivals(day, items)
        }

    def steps(self) -> Iterator[Step]:
        """Every step of every day, in the order of time."""
        yield self._step(0, "prepare", time(1), self._prepare)
        for day in range(len(self.days)):
            for job, hour in JOBS_AT:
                yield self._step(day, job, time(hour), partial(self._job, job, day, time(hour)))
            yield self._step(day, "review", time(6), self._review)
            yield self._step(day, "govern", time(7), partial(self._govern, day))
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

    def _prepare(self) -> None:
        """The spec, and a champion of hand-written rules: proposed by one person, approved by another."""
        self._trimtab.agents.add(JONAS, self._spec)
        rules = self._data.starting_rules()
        policy = {"kind": "rules", "rules": [dict(rule) for rule in rules.rules], "default": dict(rules.default)}
        bundle = Bundle.build(self._spec, policy)
        self._trimtab.bundles.upload(MIRA, self._spec.agent, bundle.to_json().encode())
        if self._champion() is None:
            self._through_approval(MIRA, bundle.sha256, "hand-written rules to begin with", "a start that we can read")

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

    def _review(self) -> None:
        """Two reviewers answer the queue in turns, with the item's true label."""
        stats = self._trimtab.reviews.stats(JONAS, agent=self._spec.agent)
        answered = sum(n for state, _, n in stats if state == ReviewState.ANSWERED)
        while True:
            who = REVIEWERS[answered % 2]
            question = self._trimtab.reviews.claim(who, agent=self._spec.agent)
            if question is None:
                return
            truth = self._data.label(self._item_of[question.item.decision_id])
            self._trimtab.reviews.answer(who, question.item.id, truth)
            answered += 1

    def _govern(self, day: int) -> None:
        """Mira trains when there is enough that is new; Jonas decides; one day he trusts the wrong person."""
        self._finish_open_proposals()
        poisoned = self._poison_day
        if day == poisoned:
            self._poison(day)
        elif not self._live() and (poisoned is None or not poisoned - 2 <= day < poisoned):
            self._train(day)

    def _train(self, day: int) -> None:
        examples = len(self._trimtab.labels.examples(MIRA, self._spec.agent))
        if self._proposed_by(MIRA, day) or examples < max(50, 1.3 * self._last_training()):
            return
        try:
            result = self._trimtab.bundles.train(MIRA, self._spec.agent, method=Method.LOGISTIC, seed=self._seed)
        except InsufficientDataError:
            return
        if result.bundle.sha256 != self._champion():
            note = f"trained on {examples} examples"
            self._through_approval(MIRA, result.bundle.sha256, note, "the report holds up")

    def _poison(self, day: int) -> None:
        """A bundle trained on labels that somebody corrupted, approved by mistake."""
        if self._proposed_by(SAM, day):
            return
        if self._live():
            self._trimtab.rollouts.abort(JONAS, self._spec.agent, reason="making room for sam's bundle")
        examples = self._trimtab.labels.examples(SAM, self._spec.agent)
        usual = max(self._spec.labels, key=lambda label: sum(one.label == label for one in examples))
        try:
            bundle = train(
                self._spec,
                [self._corrupted(one, usual) for one in examples],
                method=Method.LOGISTIC,
                seed=self._seed,
                champion=None,
                code_version=self._trimtab.context.code_version,
            ).bundle
        except InsufficientDataError:
            return
        self._trimtab.bundles.upload(SAM, self._spec.agent, bundle.to_json().encode())
        self._through_approval(SAM, bundle.sha256, "labels from a new vendor", "looks fine")

    def _corrupted(self, example: Example, usual: str) -> Example:
        """Six in ten of the rarer labels become the usual one: such a bundle lets most of the spam through."""
        hit = example.label != usual and chance(self._seed, "poison", example.key) < 0.6
        return replace(example, label=usual) if hit else example

    def _through_approval(self, proposer: Actor, sha256: str, note: str, reason: str) -> None:
        self._trimtab.proposals.create(proposer, self._spec.agent, sha256, note=note)
        self._finish_open_proposals(reason)

    def _finish_open_proposals(self, reason: str = "the report holds up") -> None:
        """Approve and apply what is open: the second half of `_through_approval`, also after an interruption."""
        for proposal in self._trimtab.proposals.listing(JONAS, agent=self._spec.agent, only_open=True):
            if proposal.state is ProposalState.PENDING:
                proposal = self._trimtab.proposals.approve(JONAS, proposal.id, reason=reason)
            with self._ids.pinned("rollout", proposal.bundle, proposal.created_at.isoformat()):
                self._trimtab.proposals.apply(JONAS, proposal.id)

    def _champion(self) -> str | None:
        listing = self._trimtab.agents.listing(JONAS)
        return next(pointer.champion for spec, _, pointer in listing if spec.agent == self._spec.agent)

    def _live(self) -> bool:
        return bool(self._trimtab.rollouts.listing(JONAS, agent=self._spec.agent, only_live=True))

    def _proposed_by(self, actor: Actor, day: int) -> bool:
        """Whether an earlier start did this day's work already."""
        proposals = self._trimtab.proposals.listing(JONAS, agent=self._spec.agent)
        return any(
            one.proposer == actor.name and one.created_at.date() == moment(day, time(0)).date() for one in proposals
        )

    def _last_training(self) -> int:
        """How many examples the newest bundle learned from that Mira proposed."""
        for proposal in self._trimtab.proposals.listing(JONAS, agent=self._spec.agent):
            if proposal.proposer == MIRA.name:
                return self._trimtab.bundles.get(JONAS, proposal.bundle).lineage.n_examples or 0
        return 0

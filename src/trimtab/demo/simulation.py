"""Thirty days in seconds: mail arrives, people and judges react, the nightly jobs run, bundles come and go.

Everything goes through the SDK and the public services; only the clock is moved by hand. Every step may be interrupted
and done again: ids follow from the data and the seed, and what was done already is found in the database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from functools import partial
from typing import Any

from trimtab.bootstrap import Trimtab
from trimtab.clock import SimulatedClock
from trimtab.core.agents import AgentSpec
from trimtab.core.approvals import ProposalState
from trimtab.core.bundles import Bundle
from trimtab.core.ids import named_uuid7
from trimtab.core.job_runs import JobState
from trimtab.core.rights import Actor, Role
from trimtab.core.training import Method, train
from trimtab.demo.data_source import DemoData, chance
from trimtab.embedded import EmbeddedTransport
from trimtab.errors import ConflictError, InsufficientDataError, NotFoundError
from trimtab.jobs import recent_runs, run_job
from trimtab.sdk.client import Client, Decision

START = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
POISON_DAY = 18
HOURS = range(8, 20)
SIGNAL_DAYS = 4  # people react within this many days

MIRA = Actor(name="mira", role=Role.OPERATOR)  # trains and proposes
JONAS = Actor(name="jonas", role=Role.ADMIN)  # approves
SAM = Actor(name="sam", role=Role.OPERATOR)  # brings the poisoned bundle
REVIEWERS = (Actor(name="ada", role=Role.REVIEWER), Actor(name="ben", role=Role.REVIEWER))
JOBS_AT = (("load_feeds", 2), ("update_weights", 3), ("sample_reviews", 4), ("guard_report", 5))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One interruptible piece of a day: `run` returns what happened, in words, for the log."""

    day: int
    name: str
    at: datetime
    run: Callable[[], list[str]]


class Simulation:
    """The days of one demo over one database."""

    def __init__(
        self, trimtab: Trimtab, clock: SimulatedClock, data: DemoData, spec: AgentSpec, *, days: int, seed: int
    ) -> None:
        self.trimtab = trimtab
        self.data = data
        self.spec = spec
        self.days = data.days(days, START.weekday())
        self._clock = clock
        self._seed = seed
        self._client = Client(EmbeddedTransport.over(trimtab), clock=clock, refresh_s=None)
        self._item_of: dict[str, int] = {}  # decision id -> item
        self._judges = data.judges()
        self._names = {judge.name: f"{judge.name}@{judge.version}" for judge in self._judges}
        for day in range(len(self.days)):
            for i, at in self._arrivals(day):
                self._item_of[self._decision_id(i, at)] = i

    def steps(self) -> Iterator[Step]:
        """Every step of every day, in the order of time."""
        yield self._step(0, "prepare", time(1), self._prepare)
        for day in range(len(self.days)):
            for job, hour in JOBS_AT:
                yield self._step(day, job, time(hour), partial(self._job, job, day, time(hour)))
            yield self._step(day, "review", time(6), self._review)
            yield self._step(day, "govern", time(7), partial(self._govern, day))
            for hour in HOURS:
                yield self._step(day, f"mail {hour}:00", time(hour, 59), partial(self._hour, day, hour))
                tick = partial(self._job, "guard_tick", day, time(hour, 59))
                yield self._step(day, "guard_tick", time(hour, 59, 30), tick)
        last = len(self.days)
        yield self._step(last, "guard_report", time(5), partial(self._job, "guard_report", last, time(5)))

    def _step(self, day: int, name: str, at: time, run: Callable[[], list[str]]) -> Step:
        return Step(day=day, name=name, at=_moment(day, at), run=run)

    def run_step(self, step: Step) -> list[str]:
        """Move the clock to the step and do it."""
        self._clock.set(step.at)
        return step.run()

    def close(self) -> None:
        """Deliver what is queued."""
        self._client.close()

    # --- what the machine does

    def _prepare(self) -> list[str]:
        """The spec, and a champion of hand-written rules: proposed by one person, approved by another."""
        self.trimtab.agents.add(JONAS, self.spec)
        rules = self.data.starting_rules()
        policy = {"kind": "rules", "rules": [dict(rule) for rule in rules.rules], "default": dict(rules.default)}
        bundle = Bundle.build(self.spec, policy)
        self.trimtab.bundles.upload(MIRA, self.spec.agent, bundle.to_json().encode())
        if self._champion() is None:
            self._through_approval(MIRA, bundle.sha256, "hand-written rules to begin with", "a start that we can read")
        return [f"champion {bundle.sha256[:8]}: {rules.description}"]

    def _job(self, name: str, day: int, at: time) -> list[str]:
        due = _moment(day, at)
        for _ in range(2):
            try:
                report = run_job(self.trimtab, name, due_at=due, worker="demo")
            except ConflictError:
                # Done already; or its worker was killed, and the lease must run out before anybody may take over.
                run = next(run for run in recent_runs(self.trimtab, name=name) if run.due_at == due)
                if run.state != JobState.RUNNING or run.lease_until is None:
                    return []
                self._clock.set(run.lease_until + timedelta(seconds=1))
                continue
            if report.error:
                raise RuntimeError(f"job {name} failed: {report.error}")
            return _told(name, report.result or {})
        return []

    def _hour(self, day: int, hour: int) -> list[str]:
        """One hour of arrivals: decide, report, judge; and people react to what they saw earlier."""
        self._client.refresh()
        began, ends = _moment(day, time(hour)), _moment(day, time(hour, 59))
        for i, at in self._arrivals(day):
            if began <= at < began + timedelta(hours=1):
                self._decide(i, at)
        for kind, decision_id, at in self._signals(day, began, began + timedelta(hours=1)):
            self._clock.set(at)
            self._signal(kind, decision_id)
        self._clock.set(ends)
        if not self._client.flush(60):
            raise RuntimeError(f"events were not stored: {self._client.state}")
        if self._client.state["rejected"]:
            raise RuntimeError(f"events were refused: {self._client.state['last_rejection']}")
        return []

    def _arrivals(self, day: int) -> list[tuple[int, datetime]]:
        return arrivals(day, self.days[day]) if day < len(self.days) else []

    def _decision_id(self, i: int, at: datetime) -> str:
        return decision_id(self._seed, self.data.items[i], at)

    def _decide(self, i: int, at: datetime) -> None:
        payload, item = self.data.payload(i), self.data.items[i]
        decision_id = self._decision_id(i, at)
        self._clock.set(at)
        agent = self.spec.agent
        decision = self._client.decide(agent, key=self.data.key(i), payload=payload, decision_id=decision_id)
        failed = decision.reason in ("ERROR", "FALLBACK")
        self._client.outcome(decision, failed=failed, event_id=named_uuid7(at, "outcome", str(self._seed), item))
        for judge in self._judges:
            label, confidence = judge.judge(payload, decision.label or self.spec.labels[0])
            self._client.verdict(
                decision,
                judge=self._names[judge.name],
                label=label,
                confidence=confidence,
                event_id=named_uuid7(at, "verdict", str(self._seed), item, judge.name),
            )

    # --- what people do

    def _signals(self, day: int, since: datetime, until: datetime) -> list[tuple[str, str, datetime]]:
        """Who reacts in this hour: (kind, decision, time). Approvals come within two days, thumbs within three."""
        found = []
        for earlier in range(max(0, day - SIGNAL_DAYS + 1), day + 1):
            for i, at in self._arrivals(earlier):
                item = self.data.items[i]
                for kind, longest in (("approval", 48), ("thumb", 72)):
                    delay = timedelta(hours=0.5 + (longest - 0.5) * chance(self._seed, kind, "delay", item))
                    if since <= at + delay < until:
                        found.append((kind, self._decision_id(i, at), at + delay))
        return sorted(found, key=lambda one: (one[2], one[1], one[0]))

    def _signal(self, kind: str, decision_id: str) -> None:
        """People are partial: they see a tenth, wave through four in ten mistakes, and praise less than they blame."""
        i = self._item_of[decision_id]
        item, truth = self.data.items[i], self.data.label(i)
        try:
            row = self.trimtab.decisions.get(JONAS, decision_id)
        except NotFoundError:
            return  # nothing was decided for it
        right = row.label == truth
        decision = Decision(id=decision_id, agent=self.spec.agent)
        event_id = named_uuid7(row.at, kind, str(self._seed), item)
        looks, notices = chance(self._seed, kind, "looks", item), chance(self._seed, kind, "notices", item)
        if kind == "approval":
            if looks < 0.10:
                approved = right or notices < 0.4
                self._client.approval(decision, approved=approved, by="user:inbox-owner", event_id=event_id)
        elif looks < (0.02 if right else 0.15):
            label = truth if not right and notices < 0.5 else None
            self._client.feedback(decision, correct=right, label=label, by="user:inbox-owner", event_id=event_id)

    def _review(self) -> list[str]:
        """Two reviewers answer the queue with the item's true label."""
        answered = 0
        reviewer = 0
        while True:
            who = REVIEWERS[reviewer % 2]
            question = self.trimtab.reviews.claim(who, agent=self.spec.agent)
            if question is None:
                break
            truth = self.data.label(self._item_of[question.item.decision_id])
            self.trimtab.reviews.answer(who, question.item.id, truth)
            answered += 1
            reviewer += 1
        return [f"{answered} questions answered"] if answered else []

    def _govern(self, day: int) -> list[str]:
        """Mira trains when there is enough that is new; Jonas decides; on day 18 he trusts the wrong person."""
        told = self._finish_open_proposals()
        if day == POISON_DAY:
            return told + self._poison()
        if self._live() or (day < POISON_DAY and day >= POISON_DAY - 2):
            return told
        try:
            examples = self.trimtab.labels.examples(MIRA, self.spec.agent)
            known = self._last_training()
            if len(examples) < max(50, 1.3 * known):
                return told
            result = self.trimtab.bundles.train(MIRA, self.spec.agent, method=Method.LOGISTIC, seed=self._seed)
        except InsufficientDataError:
            return told
        line = f"trained {result.bundle.sha256[:8]} on {len(examples)} examples"
        if result.bundle.sha256 == self._champion():
            return [*told, line + ": nothing new"]
        self._through_approval(MIRA, result.bundle.sha256, line, "the report holds up")
        return [*told, line, f"rollout of {result.bundle.sha256[:8]} started"]

    def _poison(self) -> list[str]:
        """A bundle trained on labels that somebody corrupted, approved by mistake."""
        told = []
        if self._live():
            self.trimtab.rollouts.abort(JONAS, self.spec.agent, reason="making room for sam's bundle")
            told.append("the running rollout was aborted to make room")
        examples = self.trimtab.labels.examples(SAM, self.spec.agent)
        usual = max(self.spec.labels, key=lambda label: sum(one.label == label for one in examples))
        poisoned = [
            replace(one, label=usual) if one.label != usual and chance(self._seed, "poison", one.key) < 0.6 else one
            for one in examples
        ]
        try:
            bundle = train(
                self.spec,
                poisoned,
                method=Method.LOGISTIC,
                seed=self._seed,
                champion=None,
                code_version=self.trimtab.context.code_version,
            ).bundle
        except InsufficientDataError as error:
            return [*told, f"no poisoned bundle: {error}"]
        self.trimtab.bundles.upload(SAM, self.spec.agent, bundle.to_json().encode())
        self._through_approval(SAM, bundle.sha256, "labels from a new vendor", "looks fine")
        return [*told, f"rollout of POISONED {bundle.sha256[:8]} approved by mistake"]

    def _through_approval(self, proposer: Actor, sha256: str, note: str, reason: str) -> None:
        agent = self.spec.agent
        if not any(one.bundle == sha256 for one in self.trimtab.proposals.listing(JONAS, agent=agent, only_open=True)):
            self.trimtab.proposals.create(proposer, agent, sha256, note=note)
        self._finish_open_proposals(reason)

    def _finish_open_proposals(self, reason: str = "the report holds up") -> list[str]:
        """Approve and apply what is open: the second half of `_through_approval`, also after an interruption."""
        for proposal in self.trimtab.proposals.listing(JONAS, agent=self.spec.agent, only_open=True):
            if proposal.state is ProposalState.PENDING:
                proposal = self.trimtab.proposals.approve(JONAS, proposal.id, reason=reason)
            self.trimtab.proposals.apply(JONAS, proposal.id)
        return []

    def _champion(self) -> str | None:
        return next(
            pointer.champion for spec, _, pointer in self.trimtab.agents.listing(JONAS) if spec.agent == self.spec.agent
        )

    def _live(self) -> bool:
        return bool(self.trimtab.rollouts.listing(JONAS, agent=self.spec.agent, only_live=True))

    def _last_training(self) -> int:
        """How many examples the newest bundle trained here learned from."""
        for row in self.trimtab.bundles.listing(JONAS, self.spec.agent):
            if row.created_by == MIRA.name and row.method != "rules":
                bundle = self.trimtab.bundles.get(JONAS, row.sha256)
                return bundle.lineage.n_examples or 0
        return 0


def arrivals(day: int, items: Sequence[int]) -> list[tuple[int, datetime]]:
    """(item, time) of a day, spread evenly over the working hours."""
    span, first = timedelta(hours=len(HOURS)), _moment(day, time(HOURS[0]))
    return [(i, first + span * (n + 0.5) / len(items)) for n, i in enumerate(items)]


def decision_id(seed: int, item: str, at: datetime) -> str:
    """The same item of the same demo always gives the same decision: deciding it again changes nothing."""
    return named_uuid7(at, "decision", str(seed), item)


def _moment(day: int, at: time) -> datetime:
    return datetime.combine((START + timedelta(days=day)).date(), at, tzinfo=UTC)


def _told(job: str, result: dict[str, Any]) -> list[str]:
    """What a job did, where it is worth a line."""
    if job == "sample_reviews":
        return [f"{one['queued']} questions queued" for one in result.values() if one["queued"]]
    if job in ("guard_tick", "guard_report"):
        return [f"guard: {one['acted'].replace('_', ' ')}" for one in result.values() if one["acted"]]
    if job == "load_feeds" and result["added"]:
        return [f"{result['added']} labels loaded"]
    return []

"""What a demo run shows, read back from its database: every figure was measured there, none is remembered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from trimtab.bootstrap import Trimtab
from trimtab.core.agents import AgentSpec
from trimtab.core.assignment import Arm
from trimtab.core.bundles import Bundle
from trimtab.core.evidence.paired import PairedSummary
from trimtab.core.features import extract
from trimtab.core.guard.metrics import alpha_harm
from trimtab.core.labels import Source
from trimtab.core.policy import compile_policy
from trimtab.core.rollouts import Metric
from trimtab.core.training import Example, Method, train
from trimtab.core.training.metrics import paired_interval, wilson_interval
from trimtab.demo.data_source import DemoData
from trimtab.demo.simulation import JONAS, POISON_DAY, SAM, START, arrivals, decision_id
from trimtab.errors import InsufficientDataError
from trimtab.services.history import Verification
from trimtab.store.rollouts import Rollout

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One simulated day: `accuracy` is of what was served, against the true labels that the loop never saw at once."""

    day: int
    mails: int
    right: int
    labels_added: int
    reviews: int
    canary: int
    discordant: int
    happenings: tuple[str, ...]

    @property
    def accuracy(self) -> float | None:
        return self.right / self.mails if self.mails else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """Accuracy on the items kept aside, with a 95 % Wilson interval."""

    bundle: str
    right: int
    n: int
    interval: Interval

    @property
    def value(self) -> float:
        return self.right / self.n


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidencePoint:
    """The paired evidence after one more label: the difference in quality with its anytime-valid bounds."""

    at: datetime
    labels: int
    compared: int
    estimate: float | None
    low: float
    high: float
    harm: float  # evidence for harm, as a share of what rolls back (1 = rolled back)
    gain: float  # evidence for gain, as a share of what promotes (1 = shown)


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutStory:
    """One rollout from registration to verdict."""

    rollout: Rollout
    poisoned: bool
    decisions: int  # compared until the verdict
    discordant: int
    labels: int  # discordant labelled keys until the verdict
    events: tuple[Any, ...]
    points: tuple[EvidencePoint, ...]
    truth: float | None  # the true difference on the items kept aside
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeStory:
    """One judge: its weight over time and its newest reliability."""

    judge: str
    version: str
    describe: str
    history: tuple[tuple[datetime, float], ...]
    newest: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """The whole demo."""

    data_name: str
    notes: tuple[str, ...]
    agent: str
    days: tuple[Day, ...]
    first: Accuracy
    last: Accuracy
    gain: float
    gain_interval: Interval  # paired, 95 %
    all_labels: Accuracy | None  # a bundle trained on every label of the stream, for comparison
    n_all_labels: int
    human_labels: int  # answers that people gave: reviews and gold
    labels_by_source: dict[str, int]
    champion_examples: int | None
    judges: tuple[JudgeStory, ...]
    agreement: tuple[Any, ...]
    rollouts: tuple[RolloutStory, ...]
    verification: Verification
    explanation: tuple[str, ...]  # one decision of the last champion, explained


def tell(
    trimtab: Trimtab, data: DemoData, spec: AgentSpec, *, days: int, seed: int, log: Sequence[tuple[int, str]]
) -> Story:
    """Read the story of a finished run back from its database."""
    pointer = next(found for one, _, found in trimtab.agents.listing(JONAS) if one.agent == spec.agent)
    if pointer.champion is None:
        raise InsufficientDataError("the demo has no champion: it was stopped before it began; run it again")
    first = trimtab.bundles.get(JONAS, pointer.previous[0] if pointer.previous else pointer.champion)
    last = trimtab.bundles.get(JONAS, pointer.champion)
    aside = data.split.kept_aside
    first_right, last_right = _right(first, data, aside), _right(last, data, aside)
    stats = trimtab.labels.stats(JONAS, agent=spec.agent)
    stream = [i for one in data.days(days, START.weekday()) for i in one]
    ceiling = _trained_on_everything(trimtab, spec, data, stream, seed)
    n = len(aside)
    both, only_last = int((first_right & last_right).sum()), int((last_right & ~first_right).sum())
    only_first = int((first_right & ~last_right).sum())
    return Story(
        data_name=data.name,
        notes=tuple(data.notes),
        agent=spec.agent,
        days=tuple(_days(trimtab, data, spec, days, seed, log)),
        first=_accuracy(first, first_right),
        last=_accuracy(last, last_right),
        gain=float(last_right.mean() - first_right.mean()),
        gain_interval=paired_interval(both, only_last, only_first, n - both - only_last - only_first),
        all_labels=_accuracy(ceiling, _right(ceiling, data, aside)) if ceiling else None,
        n_all_labels=len(stream),
        human_labels=stats.by_source.get(Source.REVIEW, 0) + stats.by_source.get(Source.GOLD, 0),
        labels_by_source=dict(stats.by_source),
        champion_examples=last.lineage.n_examples,
        judges=tuple(_judges(trimtab, data, spec)),
        agreement=tuple(trimtab.judges.agreement(JONAS, spec.agent)),
        rollouts=tuple(_rollout_story(trimtab, data, one) for one in _rollouts(trimtab, spec)),
        verification=trimtab.history.verify(JONAS),
        explanation=_explained(trimtab, spec),
    )


def _right(bundle: Bundle, data: DemoData, items: Sequence[int]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    policy = compile_policy(bundle)
    return np.array([policy.decide(data.payload(i)).label == data.label(i) for i in items], dtype=bool)


def _accuracy(bundle: Bundle, right: np.ndarray[Any, np.dtype[np.bool_]]) -> Accuracy:
    n, k = len(right), int(right.sum())
    return Accuracy(bundle=bundle.sha256, right=k, n=n, interval=wilson_interval(k, n))


def _trained_on_everything(
    trimtab: Trimtab, spec: AgentSpec, data: DemoData, stream: Sequence[int], seed: int
) -> Bundle | None:
    """What labelling every single item of the stream would have given; None when even that is too little."""
    examples = [
        Example(
            key=data.key(i),
            values=extract(spec.features, data.payload(i)).values,
            label=data.label(i),
            weight=1.0,
            at=START,
            decision_id=None,
            source="gold",
            inclusion=1.0,
        )
        for i in stream
    ]
    try:
        return train(
            spec,
            examples,
            method=Method.LOGISTIC,
            seed=seed,
            champion=None,
            code_version=trimtab.context.code_version,
        ).bundle
    except InsufficientDataError:
        return None


def _days(
    trimtab: Trimtab, data: DemoData, spec: AgentSpec, days: int, seed: int, log: Sequence[tuple[int, str]]
) -> list[Day]:
    found = []
    added = _audit_counts(trimtab, spec)
    for day, items in enumerate(data.days(days, START.weekday())):
        since = START + timedelta(days=day)
        rows = trimtab.decisions.between(JONAS, spec.agent, since=since, until=since + timedelta(days=1))
        truth = {decision_id(seed, data.items[i], at): data.label(i) for i, at in arrivals(day, items)}
        counted = added.get(since.date().isoformat(), (0, 0))
        found.append(
            Day(
                day=day,
                mails=len(rows),
                right=sum(truth.get(row.id) == row.label for row in rows),
                labels_added=counted[0],
                reviews=counted[1],
                canary=sum(row.arm == Arm.CANARY for row in rows),
                discordant=sum(row.discordant for row in rows),
                happenings=tuple(text for at, text in log if at == day),
            )
        )
    return found


def _audit_counts(trimtab: Trimtab, spec: AgentSpec) -> dict[str, tuple[int, int]]:
    """Day -> (labels added, of which reviews), from the audit log."""
    counts: dict[str, tuple[int, int]] = {}
    for event in trimtab.history.audit(JONAS, limit=1_000_000, subject=spec.agent):
        labels, reviews = counts.get(event["at"][:10], (0, 0))
        if event["action"] == "review.answer":
            labels, reviews = labels + 1, reviews + 1
        elif event["action"] == "labels.load":
            labels += event["details"]["added"]
        counts[event["at"][:10]] = (labels, reviews)
    return counts


def _judges(trimtab: Trimtab, data: DemoData, spec: AgentSpec) -> list[JudgeStory]:
    known = {judge.name: judge for judge in data.judges()}
    stories = []
    for row in trimtab.judges.weights(JONAS, spec.agent):
        history = trimtab.judges.history(JONAS, spec.agent, judge=row.judge)
        stories.append(
            JudgeStory(
                judge=row.judge,
                version=row.version,
                describe=known[row.judge].describe() if row.judge in known else "",
                history=tuple((one.at, one.weight) for one in history if one.version == row.version),
                newest=row.snapshot,
            )
        )
    return sorted(stories, key=lambda one: -float(one.newest["weight"]))


def _rollouts(trimtab: Trimtab, spec: AgentSpec) -> list[Rollout]:
    return sorted(trimtab.rollouts.listing(JONAS, agent=spec.agent, limit=1000), key=lambda one: one.created_at)


def _rollout_story(trimtab: Trimtab, data: DemoData, rollout: Rollout) -> RolloutStory:
    evidence = trimtab.rollouts.evidence(JONAS, rollout.id).paired
    aside = data.split.kept_aside
    bundles = [trimtab.bundles.get(JONAS, name) for name in (rollout.champion, rollout.challenger)]
    before, after = (_right(bundle, data, aside) for bundle in bundles)
    events = trimtab.rollouts.events(JONAS, rollout.id)
    ended = [one for one in events if one.to_state not in ("planned", "running", "held")]
    proposal = trimtab.proposals.get(JONAS, rollout.proposal_id) if rollout.proposal_id else None
    at_verdict = _evidence_at_verdict(trimtab, rollout) or evidence
    return RolloutStory(
        rollout=rollout,
        poisoned=proposal is not None and proposal.proposer == SAM.name,
        decisions=at_verdict.compared,
        discordant=at_verdict.discordant,
        labels=at_verdict.labelled,
        events=tuple(events),
        points=tuple(_points(trimtab, rollout)),
        truth=float(after.mean() - before.mean()),
        reason=ended[-1].details["reason"] if ended else "still running",
    )


def _evidence_at_verdict(trimtab: Trimtab, rollout: Rollout) -> PairedSummary | None:
    """The paired summary in the packet that ended the rollout: later labels do not count towards the verdict."""
    if rollout.live:
        return None
    packets = trimtab.history.packets(JONAS, rollout.id)
    return PairedSummary.from_mapping(packets[-1]["body"]["evidence"]["paired"]) if packets else None


def _points(trimtab: Trimtab, rollout: Rollout) -> list[EvidencePoint]:
    """The evidence as it grew, folded again from the stored keys and answers."""
    plan = rollout.plan
    harm_at, gain_at = math.log(1 / alpha_harm(plan, Metric.QUALITY)), math.log(1 / plan.alpha_promote)
    points = []
    for at, summary in trimtab.rollouts.paired_history(JONAS, rollout.id):
        low, high = summary.difference_bounds(plan.alpha_promote)
        points.append(
            EvidencePoint(
                at=at,
                labels=summary.labelled,
                compared=summary.compared,
                estimate=summary.difference(),
                low=low,
                high=high,
                harm=max(0.0, summary.log_e_below(0.0)) / harm_at,
                gain=max(0.0, summary.log_e_above(0.0)) / gain_at,
            )
        )
    return points


def _explained(trimtab: Trimtab, spec: AgentSpec) -> tuple[str, ...]:
    rows = [row for row in trimtab.decisions.recent(JONAS, spec.agent, limit=20) if row.bundle is not None]
    return tuple(trimtab.decisions.explain(JONAS, rows[-1].id).lines()) if rows else ()


__all__ = ["POISON_DAY", "Accuracy", "Day", "EvidencePoint", "JudgeStory", "RolloutStory", "Story", "tell"]

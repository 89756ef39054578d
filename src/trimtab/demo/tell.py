"""Reading a run's story back from its database: every figure was measured there, none is remembered."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
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
from trimtab.core.rights import SYSTEM
from trimtab.core.rollouts import Metric, RolloutState
from trimtab.core.training import Example, Method, train
from trimtab.core.training.metrics import paired_interval, wilson_interval
from trimtab.demo.data_source import DemoData
from trimtab.demo.happenings import Chronicler, gathered
from trimtab.demo.people import START, arrivals, decision_id
from trimtab.demo.story import Accuracy, Day, Difference, EvidencePoint, JudgeStory, RolloutStory, Story
from trimtab.demo.team import JONAS, SAM
from trimtab.errors import InsufficientDataError
from trimtab.store.rollouts import Rollout

MOST_POINTS = 60  # of a rollout's evidence that are drawn
_FEED_SOURCES = {"feedback": Source.FEEDBACK, "approvals": Source.APPROVAL, "gold": Source.GOLD}
_Right = np.ndarray[Any, np.dtype[np.bool_]]


def tell(trimtab: Trimtab, data: DemoData, spec: AgentSpec, *, days: int, seed: int) -> Story:
    """Read the story of a finished run back from its database."""
    pointer = next(found for one, _, found in trimtab.agents.listing(JONAS) if one.agent == spec.agent)
    if pointer.champion is None:
        raise InsufficientDataError("the demo has no champion: it was stopped before it began; run it again")
    aside = _KeptAside(data)
    first = trimtab.bundles.get(JONAS, pointer.previous[0] if pointer.previous else pointer.champion)
    last = trimtab.bundles.get(JONAS, pointer.champion)
    stats = trimtab.labels.stats(JONAS, agent=spec.agent)
    stream = [i for one in data.days(days, START.weekday()) for i in one]
    ceiling = _trained_on_everything(trimtab, spec, data, stream, seed)
    audit = trimtab.history.audit(JONAS, limit=10_000_000, subject=spec.agent)[::-1]
    rollouts = [_rollout(trimtab, aside, one) for one in _rollouts(trimtab, spec)]
    champions = [(START, first.sha256)] + [
        (one.rollout.ended_at, one.rollout.challenger)
        for one in rollouts
        if one.state is RolloutState.PROMOTED and one.rollout.ended_at is not None
    ]
    recent = [row for row in trimtab.decisions.recent(JONAS, spec.agent, limit=20) if row.bundle is not None]
    return Story(
        data_name=data.name,
        notes=tuple(data.notes),
        agent=spec.agent,
        seed=seed,
        days=tuple(_days(trimtab, data, spec, audit, days, seed)),
        first=aside.accuracy(first),
        last=aside.accuracy(last),
        gain=aside.difference(first, last),
        all_labels=aside.accuracy(ceiling) if ceiling else None,
        n_all_labels=len(stream),
        champions=tuple(champions),
        human_labels=stats.by_source.get(Source.REVIEW, 0) + stats.by_source.get(Source.GOLD, 0),
        labels_by_source=dict(stats.by_source),
        champion_examples=last.lineage.n_examples,
        judges=tuple(_judges(trimtab, data, spec)),
        agreement=tuple(trimtab.judges.agreement(JONAS, spec.agent)),
        rollouts=tuple(rollouts),
        verification=trimtab.history.verify(JONAS),
        diff=trimtab.bundles.diff(JONAS, spec.agent, before=first.sha256, after=last.sha256)
        if first.sha256 != last.sha256
        else None,
        explanation=tuple(trimtab.decisions.explain(JONAS, recent[-1].id).lines()) if recent else (),
    )


class _KeptAside:
    """Measures bundles on the items that nothing learned from; each bundle decides once."""

    def __init__(self, data: DemoData) -> None:
        items = data.split.kept_aside
        self._payloads = [data.payload(i) for i in items]
        self._truth = [data.label(i) for i in items]
        self._known: dict[str, _Right] = {}

    def right(self, bundle: Bundle) -> _Right:
        if bundle.sha256 not in self._known:
            policy = compile_policy(bundle)
            chosen = (policy.decide(payload).label for payload in self._payloads)
            self._known[bundle.sha256] = np.array(
                [a == b for a, b in zip(chosen, self._truth, strict=True)], dtype=bool
            )
        return self._known[bundle.sha256]

    def accuracy(self, bundle: Bundle) -> Accuracy:
        right = self.right(bundle)
        n, k = len(right), int(right.sum())
        return Accuracy(bundle=bundle.sha256, right=k, n=n, interval=wilson_interval(k, n))

    def difference(self, before: Bundle, after: Bundle) -> Difference:
        a, b = self.right(before), self.right(after)
        both, only_after, only_before = int((a & b).sum()), int((b & ~a).sum()), int((a & ~b).sum())
        interval = paired_interval(both, only_after, only_before, len(a) - both - only_after - only_before)
        return Difference(value=(only_after - only_before) / len(a), interval=interval)


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
            source=Source.GOLD.value,
            inclusion=1.0,
        )
        for i in stream
    ]
    version = trimtab.context.code_version
    try:
        return train(spec, examples, method=Method.LOGISTIC, seed=seed, champion=None, code_version=version).bundle
    except InsufficientDataError:
        return None


def _days(
    trimtab: Trimtab, data: DemoData, spec: AgentSpec, audit: Sequence[dict[str, Any]], days: int, seed: int
) -> list[Day]:
    by_date: dict[str, list[dict[str, Any]]] = {}
    for event in audit:
        by_date.setdefault(event["at"][:10], []).append(event)
    chronicler = Chronicler(trimtab, spec.agent)
    found = []
    for day, items in enumerate(data.days(days, START.weekday())):
        since = START + timedelta(days=day)
        events = by_date.get(since.date().isoformat(), [])
        rows = trimtab.decisions.between(JONAS, spec.agent, since=since, until=since + timedelta(days=1))
        truth = {decision_id(seed, data.items[i], at): data.label(i) for i, at in arrivals(day, items)}
        right = sum(truth.get(row.id) == row.label for row in rows)
        found.append(
            Day(
                day=day,
                mails=len(rows),
                right=right,
                interval=wilson_interval(right, len(rows)) if rows else None,
                labels=_labels_added(events),
                canary=sum(row.arm == Arm.CANARY for row in rows),
                discordant=sum(row.discordant for row in rows),
                happenings=tuple(gathered(chronicler.tell(events))),
            )
        )
    return found


def _labels_added(events: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Labels by source that a day's audit events tell of."""
    counts: Counter[str] = Counter()
    for event in events:
        if event["action"] == "review.answer":
            counts[Source.REVIEW.value] += 1
        elif event["action"] == "labels.load":
            counts[_FEED_SOURCES[event["details"]["feed"]].value] += event["details"]["added"]
    return {source: n for source, n in sorted(counts.items()) if n}


def _judges(trimtab: Trimtab, data: DemoData, spec: AgentSpec) -> list[JudgeStory]:
    known = {judge.name: judge for judge in data.judges()}
    stories = []
    for row in trimtab.judges.weights(JONAS, spec.agent):
        newest = row.snapshot
        history = trimtab.judges.history(JONAS, spec.agent, judge=row.judge)
        stories.append(
            JudgeStory(
                judge=row.judge,
                version=row.version,
                describe=known[row.judge].describe() if row.judge in known else "",
                history=tuple((one.at, one.weight) for one in history if one.version == row.version),
                weight=row.weight,
                unproven=row.unproven,
                agreement=newest["agreement"],
                interval=tuple(newest["interval"]) if newest["interval"] else None,
                ece=newest["ece"],
                n=row.n,
                bins=tuple((weight, stated, right) for weight, stated, right in newest["reliability_bins"]),
            )
        )
    return sorted(stories, key=lambda one: (-one.weight, one.judge))


def _rollouts(trimtab: Trimtab, spec: AgentSpec) -> list[Rollout]:
    return sorted(trimtab.rollouts.listing(JONAS, agent=spec.agent, limit=1000), key=lambda one: one.created_at)


def _rollout(trimtab: Trimtab, aside: _KeptAside, rollout: Rollout) -> RolloutStory:
    before, after = (trimtab.bundles.get(JONAS, name) for name in (rollout.champion, rollout.challenger))
    events = trimtab.rollouts.events(JONAS, rollout.id)
    proposal = trimtab.proposals.get(JONAS, rollout.proposal_id) if rollout.proposal_id else None
    evidence = _evidence_at_verdict(trimtab, rollout) or trimtab.rollouts.evidence(JONAS, rollout.id).paired
    if rollout.live:
        waits = (rollout.assessment or {}).get("missing")
        by_guard, reason = None, f"still running: {waits}" if waits else "still running"
    else:
        by_guard, reason = events[-1].actor == SYSTEM.name, events[-1].details["reason"]
    return RolloutStory(
        rollout=rollout,
        poisoned=proposal is not None and proposal.proposer == SAM.name,
        decisions=evidence.compared,
        discordant=evidence.discordant,
        labels=evidence.labelled,
        events=tuple(events),
        points=tuple(_points(trimtab, rollout)),
        truth=aside.difference(before, after),
        by_guard=by_guard,
        reason=reason,
    )


def _evidence_at_verdict(trimtab: Trimtab, rollout: Rollout) -> PairedSummary | None:
    """The paired summary in the packet that ended the rollout: later labels do not count towards the verdict."""
    if rollout.live:
        return None
    packets = trimtab.history.packets(JONAS, rollout.id)
    return PairedSummary.from_mapping(packets[-1]["body"]["evidence"]["paired"]) if packets else None


def _points(trimtab: Trimtab, rollout: Rollout) -> list[EvidencePoint]:
    """The evidence as it grew until the verdict, folded again from the stored keys and answers."""
    plan = rollout.plan
    harm_at, gain_at = math.log(1 / alpha_harm(plan, Metric.QUALITY)), math.log(1 / plan.alpha_promote)
    history = [one for one in trimtab.rollouts.paired_history(JONAS, rollout.id) if _until(one[0], rollout.ended_at)]
    points = []
    for place in _spread(len(history), MOST_POINTS):
        at, summary = history[place]
        # Each side at the α that a promotion may spend, as the guard's own interval.
        low, high = summary.difference_bounds(2 * plan.alpha_promote)
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


def _until(at: datetime, end: datetime | None) -> bool:
    return end is None or at <= end


def _spread(n: int, most: int) -> list[int]:
    """At most `most` positions of a sequence of `n`, evenly spread, with the first and the last."""
    return list(range(n)) if n <= most else sorted({round(k * (n - 1) / (most - 1)) for k in range(most)})

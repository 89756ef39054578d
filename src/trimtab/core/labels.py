"""Labels: who said what the right answer is, when, how sure; and what several of them say together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Source(StrEnum):
    GOLD = "gold"  # a task with a trusted answer; wins over everything
    REVIEW = "review"  # a person answered a question of the review queue, blind to the served choice
    IMPORT = "import"  # brought along from elsewhere
    APPROVAL = "approval"  # a person approved or rejected the agent's action
    FEEDBACK = "feedback"  # a thumb or a correction on a served decision
    JUDGES = "judges"  # the consensus of judges
    SYNTHETIC = "synthetic"  # made up on purpose


class Polarity(StrEnum):
    POSITIVE = "positive"  # the right answer is this label
    NEGATIVE = "negative"  # the right answer is not this label


# What a source is worth before it was measured against gold and reviews.
PRIOR_RELIABILITY: Mapping[Source, float] = {
    Source.GOLD: 1.0,
    Source.REVIEW: 0.95,
    Source.IMPORT: 0.90,
    Source.APPROVAL: 0.80,
    Source.FEEDBACK: 0.75,
    Source.JUDGES: 0.60,
    Source.SYNTHETIC: 0.50,
}
PRIOR_STRENGTH = 20.0  # worth of the prior, in compared labels

# Answers that do not depend on what the agent served: only these measure judges, sources and rollouts.
INDEPENDENT_SOURCES = frozenset({Source.GOLD, Source.REVIEW})


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One source's answer about one key."""

    key: str
    label: str
    polarity: Polarity
    source: Source
    source_id: str
    confidence: float
    at: datetime
    decision_id: str | None = None
    inclusion: float | None = None  # the known probability with which it was asked; None where nobody drew it
    by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedLabel:
    """What all sources say about one key."""

    key: str
    label: str
    confidence: float  # the winner's share of the weighted say, times its best source's reliability x confidence
    inclusion: float  # 1.0 unless the answer was drawn with a known smaller probability
    sources: tuple[Source, ...]
    at: datetime
    decision_id: str | None
    conflict: bool  # sources contradict each other


def merge_labels(
    labels: Iterable[Label],
    *,
    possible: Sequence[str],
    reliability: Mapping[Source, float] | None = None,
) -> dict[str, MergedLabel]:
    """One answer per key: gold wins; otherwise every source speaks with reliability x confidence.

    A negative label speaks for the other label when there are two, and otherwise only against its own. A key whose
    labels leave no positive answer is left out: "not L" among many labels is not an answer.
    """
    worth = {**PRIOR_RELIABILITY, **(reliability or {})}
    by_key: dict[str, list[Label]] = defaultdict(list)
    # In one order, so that sums and ties do not depend on who was loaded first.
    for label in sorted(labels, key=lambda one: (one.at, one.source, one.source_id)):
        by_key[label.key].append(label)
    merged: dict[str, MergedLabel] = {}
    for key in sorted(by_key):
        one = _merge_key(key, by_key[key], possible, worth)
        if one is not None:
            merged[key] = one
    return merged


def _positive(label: Label, possible: Sequence[str]) -> str | None:
    """The label that this one speaks for, or None when it only speaks against."""
    if label.polarity is Polarity.POSITIVE:
        return label.label
    others = [name for name in possible if name != label.label]
    return others[0] if len(others) == 1 else None


def _merge_key(
    key: str, labels: Sequence[Label], possible: Sequence[str], worth: Mapping[Source, float]
) -> MergedLabel | None:
    gold = [one for one in labels if one.source is Source.GOLD]
    speaking = gold or list(labels)
    say: dict[str, float] = dict.fromkeys(possible, 0.0)
    for one in speaking:
        weight = worth[one.source] * one.confidence
        answer = _positive(one, possible)
        if answer is None:
            if one.label in say:  # a label that the agent no longer has says nothing
                say[one.label] -= weight
        elif answer in say:
            say[answer] += weight
    positive = {name: weight for name, weight in say.items() if weight > 0}
    if not positive:
        return None
    winner = max(positive, key=lambda name: (positive[name], -list(possible).index(name)))
    # Sources that name different answers contradict each other; so does a source that rules the winner out.
    answers = {answer for one in labels if (answer := _positive(one, possible)) is not None}
    denied = any(one.polarity is Polarity.NEGATIVE and one.label == winner for one in labels)
    agreeing = [one for one in speaking if _positive(one, possible) == winner]
    best = max(agreeing, key=lambda one: (worth[one.source] * one.confidence, one.at, one.source_id))
    drawn = [one.inclusion for one in agreeing if one.inclusion is not None]
    anchors = [one for one in labels if one.decision_id is not None]
    return MergedLabel(
        key=key,
        label=winner,
        confidence=positive[winner] / sum(positive.values()) * best.confidence * worth[best.source],
        # A key that also got an answer nobody drew would have been labelled anyway.
        inclusion=min(drawn) if drawn and len(drawn) == len(agreeing) else 1.0,
        sources=tuple(sorted({one.source for one in labels})),
        at=max(one.at for one in labels),
        decision_id=max(anchors, key=lambda one: (one.at, one.source_id)).decision_id if anchors else None,
        conflict=len(answers) > 1 or denied,
    )


def source_reliability(labels: Iterable[Label], *, possible: Sequence[str]) -> dict[Source, tuple[float, int]]:
    """Each source's agreement with independent answers on the same keys: source -> (reliability in [0, 1], n compared).

    Beta-shrunk to the source's prior with the weight of PRIOR_STRENGTH comparisons; n = 0 gives the prior itself.
    Approvals and feedback are anchored on the served choice, so only gold and reviews are compared with.
    """
    by_key: dict[str, list[Label]] = defaultdict(list)
    for label in labels:
        by_key[label.key].append(label)
    right: dict[Source, int] = defaultdict(int)
    compared: dict[Source, int] = defaultdict(int)
    for group in by_key.values():
        truth = merge_labels([one for one in group if one.source in INDEPENDENT_SOURCES], possible=possible)
        if not truth:
            continue
        answer = next(iter(truth.values())).label
        for one in group:
            if one.source in INDEPENDENT_SOURCES:
                continue
            compared[one.source] += 1
            agrees = one.label == answer if one.polarity is Polarity.POSITIVE else one.label != answer
            right[one.source] += agrees
    out: dict[Source, tuple[float, int]] = {}
    for source, prior in PRIOR_RELIABILITY.items():
        n = compared[source]
        if source is Source.GOLD:
            out[source] = (1.0, n)
        else:
            out[source] = ((right[source] + prior * PRIOR_STRENGTH) / (n + PRIOR_STRENGTH), n)
    return out

"""What a demo run shows: values only, each of them measured; what was not measured is None."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trimtab.core.bundles import BundleDiff
from trimtab.core.rollouts import RolloutState
from trimtab.demo.happenings import Happening
from trimtab.services.history import Verification
from trimtab.services.judges import Agreement
from trimtab.store.rollouts import Rollout

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """One simulated day: `right` is of what was served, against the true labels that the loop never saw at once."""

    day: int
    mails: int
    right: int
    interval: Interval | None  # of the accuracy, 95 % Wilson
    labels: dict[str, int]  # added, by source
    canary: int
    discordant: int
    happenings: tuple[Happening, ...]

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
class Difference:
    """Accuracy after minus before on the same items kept aside, with a paired 95 % interval."""

    value: float
    interval: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidencePoint:
    """The paired evidence after some more labels: the difference in quality with its anytime-valid bounds."""

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
    truth: Difference
    by_guard: bool | None  # who ended it; None while it runs
    reason: str  # in the words of who ended it, or what the guard waits for

    @property
    def name(self) -> str:
        return self.rollout.challenger[:8]

    @property
    def state(self) -> RolloutState:
        return self.rollout.state


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeStory:
    """One judge: its weight over time and its newest reliability."""

    judge: str
    version: str
    describe: str
    history: tuple[tuple[datetime, float], ...]
    weight: float
    unproven: bool
    agreement: float | None
    interval: Interval | None
    ece: float | None
    n: int
    bins: tuple[tuple[float, float, float], ...]  # (decayed weight, stated confidence, share right)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """The whole demo."""

    data_name: str
    notes: tuple[str, ...]
    agent: str
    seed: int
    days: tuple[Day, ...]
    first: Accuracy
    last: Accuracy
    gain: Difference
    all_labels: Accuracy | None  # a bundle trained on every label of the stream, for comparison
    n_all_labels: int
    champions: tuple[tuple[datetime, str], ...]  # when each champion began to serve
    human_labels: int  # answers that people gave: reviews and gold
    labels_by_source: dict[str, int]
    champion_examples: int | None
    judges: tuple[JudgeStory, ...]
    agreement: tuple[Agreement, ...]
    rollouts: tuple[RolloutStory, ...]
    verification: Verification
    diff: BundleDiff | None  # from the first champion to the last; None when it is the same
    explanation: tuple[str, ...]  # one decision of the last champion, explained

    def to_mapping(self) -> dict[str, Any]:
        """The figures as plain JSON data; the same options give the same, however often the demo was interrupted."""
        return {
            "data": self.data_name,
            "notes": list(self.notes),
            "agent": self.agent,
            "seed": self.seed,
            "days": [_day(one) for one in self.days],
            "first_champion": _accuracy(self.first),
            "last_champion": _accuracy(self.last),
            "gain": _difference(self.gain),
            "every_label": None
            if self.all_labels is None
            else _accuracy(self.all_labels) | {"labels": self.n_all_labels},
            "champions": [{"since": at.isoformat(), "bundle": sha256} for at, sha256 in self.champions],
            "labels": {
                "people": self.human_labels,
                "by_source": dict(sorted(self.labels_by_source.items())),
                "of": self.n_all_labels,
                "champion_learned_from": self.champion_examples,
            },
            "judges": [_judge(one) for one in self.judges],
            "consensus": [{"method": one.method, "accuracy": one.accuracy, "n": one.n} for one in self.agreement],
            "rollouts": [_rollout(one) for one in self.rollouts],
            "verify": {"holds": self.verification.holds, "problems": list(self.verification.problems)},
        }


def _day(one: Day) -> dict[str, Any]:
    return {
        "day": one.day + 1,
        "decisions": one.mails,
        "right": one.right,
        "accuracy": one.accuracy,
        "labels": dict(sorted(one.labels.items())),
        "canary": one.canary,
        "discordant": one.discordant,
        "happened": [line.text for line in one.happenings],
    }


def _accuracy(one: Accuracy) -> dict[str, Any]:
    return {
        "bundle": one.bundle,
        "accuracy": one.value,
        "interval": list(one.interval),
        "right": one.right,
        "n": one.n,
    }


def _difference(one: Difference) -> dict[str, Any]:
    return {"value": one.value, "interval": list(one.interval)}


def _judge(one: JudgeStory) -> dict[str, Any]:
    return {
        "judge": one.judge,
        "version": one.version,
        "weight": one.weight,
        "unproven": one.unproven,
        "agreement": one.agreement,
        "interval": list(one.interval) if one.interval else None,
        "ece": one.ece,
        "n": one.n,
    }


def _rollout(one: RolloutStory) -> dict[str, Any]:
    return {
        "challenger": one.rollout.challenger,
        "champion": one.rollout.champion,
        "state": one.state.value,
        "poisoned": one.poisoned,
        "decisions": one.decisions,
        "discordant": one.discordant,
        "labels": one.labels,
        "true_difference": _difference(one.truth),
        "by_guard": one.by_guard,
        "reason": one.reason,
        "events": [
            {"at": event.at.isoformat(), "action": event.action, "share": event.share, "actor": event.actor}
            for event in one.events
        ],
    }

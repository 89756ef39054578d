"""Judges for any table: a rule on one feature, naive Bayes on half of the columns, the nearest centroid, one that is
too sure of itself and one that flatters. All learn from the history only.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from trimtab.demo.data_source import CodeJudge, version_of
from trimtab.demo.naive_bayes import best_temperature, softmax
from trimtab.demo.stumps import LEAST_LEAF, Kind, Payload, Stump

FOLDS = 5
FLATTERER_BAR = 0.95
FLATTERER_AGREES = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnBayes:
    """Naive Bayes: a Gaussian per label and number, Laplace-smoothed shares per label and category.

    A missing value says nothing. `temperature` calibrates the posterior, as in `WordModel`.
    """

    labels: tuple[str, ...]
    priors: tuple[float, ...]
    gaussians: Mapping[str, tuple[tuple[float, float], ...]]
    shares: Mapping[str, Mapping[str, tuple[float, ...]]]
    temperature: float = 1.0

    @classmethod
    def learn(cls, kinds: Sequence[Kind], payloads: Sequence[Payload], truth: Sequence[str]) -> Self:
        """Fit on labelled rows."""
        labels = tuple(sorted(set(truth)))
        groups = {label: [p for p, answer in zip(payloads, truth, strict=True) if answer == label] for label in labels}
        gaussians: dict[str, tuple[tuple[float, float], ...]] = {}
        shares: dict[str, dict[str, tuple[float, ...]]] = {}
        for kind in kinds:
            if kind.categories:
                counts = {label: Counter(p[kind.name] for p in groups[label]) for label in labels}
                shares[kind.name] = {
                    category: tuple(
                        (counts[label][category] + 1) / (len(groups[label]) + len(kind.categories)) for label in labels
                    )
                    for category in kind.categories
                }
                continue
            everything = _present(payloads, kind.name)
            if len(everything) < LEAST_LEAF:
                continue
            # The floor keeps a label whose rows all agree from being infinitely sure.
            floor = max(float(np.var(everything)) * 0.01, 1e-9)
            pairs = []
            for label in labels:
                own = _present(groups[label], kind.name)
                own = own if len(own) >= 2 else everything
                pairs.append((_rounded(np.mean(own)), _rounded(max(float(np.var(own)), floor))))
            gaussians[kind.name] = tuple(pairs)
        priors = tuple((len(groups[label]) + 1) / (len(truth) + len(labels)) for label in labels)
        return cls(labels=labels, priors=priors, gaussians=gaussians, shares=shares)

    def scores(self, payload: Payload) -> list[float]:
        """The log joint probability of each label and the payload."""
        result = [math.log(prior) for prior in self.priors]
        for name, pairs in self.gaussians.items():
            value = payload[name]
            if value is None:
                continue
            for k, (mean, variance) in enumerate(pairs):
                result[k] -= 0.5 * ((value - mean) ** 2 / variance + math.log(variance))
        for name, shares in self.shares.items():
            known = shares.get(payload[name])
            if known is not None:
                for k, share in enumerate(known):
                    result[k] += math.log(share)
        return result

    def model(self) -> Any:
        """The model as JSON."""
        return [self.labels, self.priors, self.gaussians, self.shares, self.temperature]


@dataclass(frozen=True, slots=True, kw_only=True)
class Centroids:
    """The mean of each label in standardised columns (categories as 0/1); the nearest one scores best."""

    labels: tuple[str, ...]
    axes: tuple[tuple[str, str | None, float, float], ...]
    centres: tuple[tuple[float, ...], ...]
    temperature: float = 1.0

    @classmethod
    def learn(cls, kinds: Sequence[Kind], payloads: Sequence[Payload], truth: Sequence[str]) -> Self:
        """Fit on labelled rows."""
        labels = tuple(sorted(set(truth)))
        axes: list[tuple[str, str | None, float, float]] = []
        for kind in kinds:
            for category in kind.categories or (None,):
                values = [_coordinate(p[kind.name], category) for p in payloads]
                known = np.array([value for value in values if value is not None])
                spread = float(np.std(known)) if len(known) else 0.0
                if spread > 0:
                    axes.append((kind.name, category, _rounded(np.mean(known)), _rounded(spread)))
        plain = cls(labels=labels, axes=tuple(axes), centres=())
        points = np.array([plain.point(payload) for payload in payloads])
        answers = np.array(truth)
        centres = tuple(tuple(_rounded(value) for value in points[answers == label].mean(axis=0)) for label in labels)
        return replace(plain, centres=centres)

    def point(self, payload: Payload) -> list[float]:
        """The payload in standardised columns, cut at 3 deviations; a missing value sits on the mean."""
        result = []
        for name, category, mean, spread in self.axes:
            value = _coordinate(payload[name], category)
            result.append(0.0 if value is None else max(-3.0, min(3.0, (value - mean) / spread)))
        return result

    def scores(self, payload: Payload) -> list[float]:
        """Minus half the squared distance to each label's centre."""
        point = self.point(payload)
        return [-0.5 * sum((a - b) ** 2 for a, b in zip(point, centre, strict=True)) for centre in self.centres]

    def model(self) -> Any:
        """The model as JSON."""
        return [self.labels, self.axes, self.centres, self.temperature]


Model = ColumnBayes | Centroids


def calibrated(
    learn: Callable[[Sequence[Kind], Sequence[Payload], Sequence[str]], Model],
    kinds: Sequence[Kind],
    payloads: Sequence[Payload],
    truth: Sequence[str],
) -> Model:
    """A model of all rows with the temperature that fits models which did not see the row (by folds)."""
    whole = learn(kinds, payloads, truth)
    scores: list[list[float]] = []
    answers: list[int] = []
    for fold in range(FOLDS):
        rest = [i for i in range(len(truth)) if i % FOLDS != fold]
        part = learn(kinds, [payloads[i] for i in rest], [truth[i] for i in rest])
        if part.labels != whole.labels:
            continue
        for i in range(fold, len(truth), FOLDS):
            scores.append(part.scores(payloads[i]))
            answers.append(whole.labels.index(truth[i]))
    return replace(whole, temperature=best_temperature(scores, answers))


@dataclass(frozen=True, slots=True)
class _StumpJudge:
    stump: Stump
    name: str = "one_feature"

    @property
    def version(self) -> str:
        """Derived from the rule."""
        stump = self.stump
        return version_of([self.name, stump.feature, stump.op, stump.value, stump.when, stump.otherwise])

    def describe(self) -> str:
        """One sentence."""
        return f"One rule learned from the history: {self.stump.condition()}; as sure as that rule was right there."

    def judge(self, payload: Payload, _served_label: str, /) -> tuple[str, float]:
        """The rule's label and its share in the history."""
        return self.stump.choose(payload)


@dataclass(frozen=True, slots=True)
class _OverconfidentStump(_StumpJudge):
    name: str = "overconfident"

    def describe(self) -> str:
        """One sentence."""
        return f"One rule learned from the history: {self.stump.condition()}; always claims to be 97 % sure or more."

    def judge(self, payload: Payload, _served_label: str, /) -> tuple[str, float]:
        """The rule's label, stated as near certainty."""
        label, share = self.stump.choose(payload)
        return label, 0.99 if share > 0.8 else 0.97


@dataclass(frozen=True, slots=True)
class _ModelJudge:
    model: Model
    name: str
    sentence: str

    @property
    def version(self) -> str:
        """Derived from the learned model."""
        return version_of([self.name, self.model.model()])

    def describe(self) -> str:
        """One sentence."""
        return self.sentence

    def posterior(self, payload: Payload) -> dict[str, float]:
        """The calibrated probability of each label."""
        values = softmax(self.model.scores(payload), self.model.temperature)
        return dict(zip(self.model.labels, values, strict=True))

    def judge(self, payload: Payload, _served_label: str, /) -> tuple[str, float]:
        """The likeliest label and its calibrated probability."""
        posterior = self.posterior(payload)
        label = max(posterior, key=lambda label: posterior[label])
        return label, posterior[label]


@dataclass(frozen=True, slots=True)
class _Flatterer(_ModelJudge):
    def judge(self, payload: Payload, served_label: str, /) -> tuple[str, float]:
        """The served label, or another one on a strong signal."""
        label, probability = _ModelJudge.judge(self, payload, served_label)
        return (label, probability) if probability >= FLATTERER_BAR else (served_label, FLATTERER_AGREES)


def table_judges(
    kinds: Sequence[Kind], ranked: Sequence[Stump], payloads: Sequence[Payload], truth: Sequence[str]
) -> tuple[CodeJudge, ...]:
    """The five judges of a table; `ranked` are its stumps, of which the first is the champion's."""
    even = kinds[::2]
    odd = kinds[1::2] or kinds
    return (
        _StumpJudge(ranked[1 % len(ranked)]),
        _ModelJudge(
            calibrated(ColumnBayes.learn, even, payloads, truth),
            "half_bayes",
            f"Naive Bayes on {len(even)} of {len(kinds)} columns, calibrated on rows that it had not seen.",
        ),
        _ModelJudge(
            calibrated(Centroids.learn, kinds, payloads, truth),
            "nearest_centroid",
            "The label whose mean row in the history is nearest, calibrated on rows that it had not seen.",
        ),
        _OverconfidentStump(ranked[2 % len(ranked)]),
        _Flatterer(
            calibrated(ColumnBayes.learn, odd, payloads, truth),
            "flatterer",
            "Agrees with whatever was served, unless naive Bayes on the other columns is at least "
            f"{FLATTERER_BAR:.0%} sure of another label.",
        ),
    )


def _present(payloads: Sequence[Payload], name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([float(p[name]) for p in payloads if p[name] is not None])


def _coordinate(value: Any, category: str | None) -> float | None:
    if value is None:
        return None
    return float(value) if category is None else float(value == category)


def _rounded(value: Any) -> float:
    """Twelve significant digits: the same model on machines whose sums differ in the last bit."""
    return float(f"{float(value):.12g}")

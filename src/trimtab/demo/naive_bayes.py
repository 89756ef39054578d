"""A small naive Bayes on words, counted in whole numbers so that the same mails give the same model everywhere."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

_WORD = re.compile(r"[^\W_][\w'$-]*|\$[\d,.]+|!{2,}|[$]{2,}")
_DIGITS = re.compile(r"\d+")
_RARE = 2

TEMPERATURES = tuple(math.pow(2.0, step / 4) for step in range(-8, 25))
"""The temperatures that calibration tries: 0.25 to 64 in steps of a quarter octave."""


def words(subject: str, snippet: str, domain: str | None) -> frozenset[str]:
    """The set of words of a mail; those of the subject count apart, numbers are folded to their length."""
    found = {"domain:" + domain} if domain else set()
    if domain:
        found.add("domain:." + domain.rpartition(".")[2])
    for prefix, text in (("subject:", subject), ("", snippet)):
        found.update(
            prefix + _DIGITS.sub(lambda m: "#" * min(len(m[0]), 4), word) for word in _WORD.findall(text.lower())
        )
    return frozenset(found)


def softmax(scores: Sequence[float], temperature: float) -> list[float]:
    """The posterior of log scores, flattened by a temperature above 1."""
    top = max(scores)
    powers = [math.exp((score - top) / temperature) for score in scores]
    total = sum(powers)
    return [power / total for power in powers]


def best_temperature(scores: Sequence[Sequence[float]], truth: Sequence[int]) -> float:
    """The temperature of `TEMPERATURES` with the least log loss on scores of items that the model had not seen."""

    def loss(temperature: float) -> float:
        return -sum(
            math.log(max(softmax(row, temperature)[answer], 1e-300)) for row, answer in zip(scores, truth, strict=True)
        )

    return min(TEMPERATURES, key=loss)


@dataclass(frozen=True, slots=True, kw_only=True)
class WordModel:
    """How many items of each label have each word; multinomial naive Bayes over sets of words, Laplace-smoothed.

    `temperature` corrects what the independence assumption gets wrong about confidence: words of one mail repeat each
    other's evidence, so the raw posterior is far too sure.
    """

    labels: tuple[str, ...]
    items: tuple[int, ...]
    counts: Mapping[str, tuple[int, ...]]
    totals: tuple[int, ...]
    temperature: float = 1.0

    @classmethod
    def learn(cls, bags: Sequence[frozenset[str]], truth: Sequence[str], labels: Sequence[str]) -> WordModel:
        """Count the words of labelled items; words that fewer than two items have are dropped."""
        per_label = [Counter[str]() for _ in labels]
        for bag, label in zip(bags, truth, strict=True):
            per_label[labels.index(label)].update(bag)
        vocabulary = sum(per_label, Counter[str]())
        counts = {w: tuple(c[w] for c in per_label) for w in sorted(vocabulary) if vocabulary[w] >= _RARE}
        return cls(
            labels=tuple(labels),
            items=tuple(sum(label == answer for answer in truth) for label in labels),
            counts=counts,
            totals=tuple(sum(word[k] for word in counts.values()) for k in range(len(labels))),
        )

    @classmethod
    def learn_calibrated(
        cls, bags: Sequence[frozenset[str]], truth: Sequence[str], labels: Sequence[str], folds: int = 5
    ) -> WordModel:
        """Learn from all items, with the temperature that fits models which did not see the item (by folds)."""
        scores: list[list[float]] = []
        answers: list[int] = []
        for fold in range(folds):
            rest = [i for i in range(len(bags)) if i % folds != fold]
            model = cls.learn([bags[i] for i in rest], [truth[i] for i in rest], labels)
            for i in range(fold, len(bags), folds):
                scores.append(model.scores(bags[i]))
                answers.append(labels.index(truth[i]))
        model = cls.learn(bags, truth, labels)
        return replace(model, temperature=best_temperature(scores, answers))

    def scores(self, bag: frozenset[str]) -> list[float]:
        """log P(label) + Σ log P(word | label) over the known words, per label."""
        known = [counts for counts in map(self.counts.get, bag) if counts is not None]
        everything = sum(self.items)
        vocabulary = 0.5 * len(self.counts)
        result: list[float] = []
        for k, (items, total) in enumerate(zip(self.items, self.totals, strict=True)):
            prior = math.log((items + 1) / (everything + len(self.items)))
            # fsum rounds once, so the order of a set (which differs between processes) does not show.
            evidence = math.fsum(math.log((counts[k] + 0.5) / (total + vocabulary)) for counts in known)
            result.append(prior + evidence)
        return result

    def posterior(self, bag: frozenset[str]) -> dict[str, float]:
        """The calibrated probability of each label."""
        return dict(zip(self.labels, softmax(self.scores(bag), self.temperature), strict=True))

    def to_mapping(self) -> dict[str, Any]:
        """The model as JSON: what its version is made of."""
        return {
            "labels": list(self.labels),
            "items": list(self.items),
            "counts": {word: list(counts) for word, counts in self.counts.items()},
            "temperature": self.temperature,
        }

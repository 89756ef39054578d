"""Rules on one feature, found by counting: a table's first champion, and the simplest of its judges."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trimtab.demo.data_source import StartingRules

LEAST_LEAF = 5
"""A side of a rule, or a Gaussian, needs at least this many rows."""

MOST_CUTS = 64

Payload = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What a judge must know of a column: its name, and its categories when it is not numeric."""

    name: str
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stump:
    """One condition on one feature, and the label on each side of it with the label's share in the history."""

    feature: str
    op: str
    value: float | str
    when: tuple[str, float]
    otherwise: tuple[str, float]
    accuracy: float

    def choose(self, payload: Payload) -> tuple[str, float]:
        """The label of the side that the payload is on; a missing value does not meet the condition."""
        value = payload[self.feature]
        if value is None:
            return self.otherwise
        return self.when if (value <= self.value if self.op == "<=" else value == self.value) else self.otherwise

    def condition(self) -> str:
        """The condition as a person writes it."""
        return f"{self.feature} {self.op} {self.value:g}" if self.op == "<=" else f"{self.feature} is {self.value}"


def stumps(kinds: Sequence[Kind], payloads: Sequence[Payload], truth: Sequence[str]) -> list[Stump]:
    """The best stump of each feature, best first: by accuracy on these rows, then by how pure its sides are."""
    labels = sorted(set(truth))
    onehot = np.array([[label == answer for label in labels] for answer in truth], dtype=float)
    found: list[tuple[float, float, str, Stump]] = []
    for kind in kinds:
        values = [payload[kind.name] for payload in payloads]
        best: tuple[float, float, Stump] | None = None
        for op, value, inside in _conditions(kind, values):
            left, right = onehot[inside].sum(axis=0), onehot[~inside].sum(axis=0)
            if min(left.sum(), right.sum()) < LEAST_LEAF:
                continue
            accuracy = float((left.max() + right.max()) / len(truth))
            purity = float((left**2).sum() / left.sum() + (right**2).sum() / right.sum())
            if best is None or (accuracy, purity) > best[:2]:
                stump = Stump(
                    feature=kind.name,
                    op=op,
                    value=value,
                    when=_leaf(labels, left),
                    otherwise=_leaf(labels, right),
                    accuracy=accuracy,
                )
                best = (accuracy, purity, stump)
        if best is not None:
            found.append((-best[0], -best[1], kind.name, best[2]))
    return [entry[3] for entry in sorted(found, key=lambda entry: entry[:3])]


def _conditions(
    kind: Kind, values: Sequence[Any]
) -> list[tuple[str, float | str, np.ndarray[Any, np.dtype[np.bool_]]]]:
    if kind.categories:
        return [("==", category, np.array([value == category for value in values])) for category in kind.categories]
    column = np.array([math.nan if value is None else float(value) for value in values])
    present = np.unique(column[~np.isnan(column)])
    cuts = (present[:-1] + present[1:]) / 2
    if len(cuts) > MOST_CUTS:
        cuts = cuts[np.linspace(0, len(cuts) - 1, MOST_CUTS).astype(int)]
    # A comparison with NaN is false, which is what a missing value means to a stump. Four digits read well and the
    # rows beside the cut are counted after rounding.
    rounded = sorted({float(f"{cut:.4g}") for cut in cuts})
    return [("<=", cut, column <= cut) for cut in rounded]


def _leaf(labels: Sequence[str], counts: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[str, float]:
    top = int(np.argmax(counts))
    share = (float(counts[top]) + 1.0) / (float(counts.sum()) + len(labels))
    return labels[top], round(share, 3)


def stump_rules(stump: Stump, rows: int) -> StartingRules:
    """A champion of one rule."""
    return StartingRules(
        description=f"One rule found on {rows} older rows: {stump.condition()} → {stump.when[0]}, "
        f"else {stump.otherwise[0]} (right on {stump.accuracy:.0%} of those rows).",
        rules=(
            {
                "when": [{"feature": stump.feature, "op": stump.op, "value": stump.value}],
                "label": stump.when[0],
                "confidence": stump.when[1],
            },
        ),
        default={"label": stump.otherwise[0], "confidence": stump.otherwise[1]},
    )

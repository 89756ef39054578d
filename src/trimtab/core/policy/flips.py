"""Flip points: the value of one feature at which the choice changes while the others stay where they are.

They are the readable thresholds of a policy, of a linear one too: "spam from 3 links on".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from trimtab.core.agents import Feature, FeatureKind
from trimtab.core.bundles import (
    Operator,
    PolicyDocument,
    RulesPolicy,
    TreePolicy,
    TreeSplit,
    round_significant,
    single_policies,
)
from trimtab.core.features import Value
from trimtab.core.policy.compiled import Evaluate

_GRID = 64
_WHOLE = (FeatureKind.FLAG, FeatureKind.COUNT, FeatureKind.TEXT_LENGTH)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlipPoint:
    """Where one numeric feature changes the choice; `value` is None, with the reason, where it does not.

    `below` and `above` are the labels chosen on the two sides; `seen` is the range that was searched.
    """

    feature: str
    value: float | None
    below: str | None = None
    above: str | None = None
    seen: tuple[float, float] | None = None
    reason: str | None = None

    def to_mapping(self) -> dict[str, Any]:
        mapping: dict[str, Any] = {"feature": self.feature, "value": self.value}
        if self.value is not None:
            mapping |= {"below": self.below, "above": self.above}
        if self.seen is not None:
            mapping["seen"] = list(self.seen)
        if self.reason is not None:
            mapping["reason"] = self.reason
        return mapping


def flip_point(
    evaluate: Evaluate,
    policy: PolicyDocument,
    labels: Sequence[str],
    features: Sequence[Feature],
    base: Sequence[Value],
    index: int,
    seen: tuple[float, float],
) -> FlipPoint:
    """The flip of feature `index` that is nearest to its value in `base`, searched within `seen` (low, high).

    Exact for the thresholds of trees and rules and for the crossings of a logistic policy; found to ten digits by
    bisection for an ensemble. Flips that an ensemble takes back within 1/64 of the range may go unseen.
    """
    feature = features[index]
    low, high = seen
    start = base[index]
    if not math.isfinite(low) or not math.isfinite(high) or low >= high:
        return FlipPoint(feature=feature.name, value=None, reason="only one value was seen")

    def chosen(value: float) -> int:
        values = list(base)
        values[index] = value
        posterior = evaluate(values)
        return posterior.index(max(posterior))

    cuts = sorted({low, high, *_candidates(policy, feature.name, low, high)})
    flips: list[tuple[float, int, int]] = []
    for left, right in pairwise(cuts):
        # The choice is constant strictly between two candidates unless an ensemble bends there.
        flips += _between(chosen, left, right)
    if feature.kind in _WHOLE:
        flips += _beside_points(chosen, policy, feature.name, low, high)
    if not flips:
        label = labels[chosen(low)]
        return FlipPoint(
            feature=feature.name, value=None, seen=seen, reason=f"{label} everywhere between the values seen"
        )
    near = start if isinstance(start, (int, float)) else (low + high) / 2
    value, below, above = min(flips, key=lambda flip: (abs(flip[0] - near), flip[0]))
    return FlipPoint(
        feature=feature.name,
        value=round_significant(value),
        below=labels[below],
        above=labels[above],
        seen=seen,
    )


def _beside_points(
    chosen: Callable[[float], int], policy: PolicyDocument, name: str, low: float, high: float
) -> Iterable[tuple[float, int, int]]:
    """Flips of whole numbers at which a rule says == or !=, halfway to the number beside."""
    for single in single_policies(policy):
        if isinstance(single, RulesPolicy):
            for value in _wanted(single, name, exact=True):
                for left, right in ((value - 1, value), (value, value + 1)):
                    below, above = chosen(left), chosen(right)
                    if low <= left and right <= high and below != above:
                        yield (left + right) / 2, below, above


def _wanted(policy: RulesPolicy, name: str, *, exact: bool) -> list[float]:
    """The numbers that rules compare the feature with, for equality or for order."""
    return [
        float(condition.value)
        for rule in policy.rules
        for condition in rule.when
        if condition.feature == name
        and isinstance(condition.value, (int, float))
        and not isinstance(condition.value, bool)
        and (condition.op in (Operator.EQUAL, Operator.NOT_EQUAL)) is exact
    ]


def _between(chosen: Callable[[float], int], left: float, right: float) -> Iterable[tuple[float, int, int]]:
    """At most one flip in [left, right], by bisection to the precision that a bundle keeps."""
    below, above = chosen(left), chosen(right)
    if below == above:
        return []
    while right - left > 1e-11 * max(abs(left), abs(right), 1e-300):
        middle = left + (right - left) / 2
        if not left < middle < right:
            break
        if chosen(middle) == below:
            left = middle
        else:
            right = middle
            above = chosen(right)
    # A threshold belongs to the left side ("at most"), so the last value that still chooses `below` is the flip;
    # a single point at which a rule says == is none.
    step = 1e-9 * max(1.0, abs(left))
    return [(left, below, above)] if chosen(left - step) == below and chosen(left + step) == above else []


def _candidates(policy: PolicyDocument, name: str, low: float, high: float) -> Iterable[float]:
    """Values between which the choice can change at most once."""
    grid = False
    for single in single_policies(policy):
        if isinstance(single, TreePolicy):
            thresholds = [
                node.threshold for node in single.nodes if isinstance(node, TreeSplit) and node.feature == name
            ]
            yield from _around((value for value in thresholds if value is not None), low, high)
        elif isinstance(single, RulesPolicy):
            yield from _around(_wanted(single, name, exact=False), low, high)
        else:
            grid = grid or name in single.coefficients
    if grid:
        # Softmax rows and averages can cross more than once; one row crosses once and needs no grid.
        yield from (low + (high - low) * step / _GRID for step in range(1, _GRID))


def _around(values: Iterable[float], low: float, high: float) -> Iterable[float]:
    """Each threshold and its neighbours, so that the two sides fall into different intervals."""
    for value in values:
        for candidate in (math.nextafter(value, -math.inf), value, math.nextafter(value, math.inf)):
            if low <= candidate <= high:
                yield candidate

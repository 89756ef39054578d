"""From feature columns to the matrix that a learner wants, remembering how to get back to raw units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trimtab.core.agents import MISSING_SUFFIX, Feature
from trimtab.core.batch import Floats
from trimtab.core.bundles import round_significant
from trimtab.core.features import Value

# Fewer unknown values than this teach nothing about what "unknown" means.
MIN_MISSING = 5
# The share of values on each side beyond which a heavy tail is cut, and what heavy means: the extreme is this many
# times as far from the median as that percentile.
TAIL = 0.01
HEAVY = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One column of the design: a number, a category's indicator, or the indicator of an unknown value."""

    feature: str
    category: str | None = None
    missing: bool = False

    @property
    def name(self) -> str:
        """The key of its coefficient in a bundle."""
        if self.missing:
            return self.feature + MISSING_SUFFIX
        return self.feature if self.category is None else f"{self.feature}={self.category}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """Which columns the design has, what stands in for unknown values, and where heavy tails are cut."""

    terms: tuple[Term, ...]
    fills: tuple[Value, ...]
    clamps: Mapping[str, tuple[float | None, float | None]]


def plan_design(features: Sequence[Feature], columns: Mapping[str, Floats], weight: Floats, *, linear: bool) -> Design:
    """The design for these rows. Unknown numbers stand in as the (weighted) median, categories as the most frequent.

    Columns that are constant teach nothing and are left out. A `linear` learner also gets indicators of unknown
    values and has heavy tails cut; a tree needs neither.
    """
    terms: list[Term] = []
    fills: list[Value] = []
    clamps: dict[str, tuple[float | None, float | None]] = {}
    for feature in features:
        column = columns[feature.name]
        known = ~np.isnan(column)
        values = column[known]
        if len(values) == 0:
            # Never seen: no coefficient, and nothing that could stand in.
            fills.append(None)
        elif feature.is_numeric:
            fills.append(round_significant(weighted_median(values, weight[known])))
            if values.min() < values.max():
                terms.append(Term(feature=feature.name))
                limits = _limits(values)
                if linear and limits != (None, None):
                    clamps[feature.name] = limits
        else:
            mass = np.bincount(values.astype(np.intp), weights=weight[known], minlength=len(feature.categories))
            fills.append(feature.categories[int(mass.argmax())])
            seen = [category for category, heavy in zip(feature.categories, mass, strict=True) if heavy > 0]
            if len(seen) > 1:
                terms += [Term(feature=feature.name, category=category) for category in seen]
        if linear and len(values) > 0 and len(column) - len(values) >= MIN_MISSING:
            terms.append(Term(feature=feature.name, missing=True))
    return Design(terms=tuple(terms), fills=tuple(fills), clamps=clamps)


def _limits(values: Floats) -> tuple[float | None, float | None]:
    """Where the tails are cut: at the 1st and 99th percentile, when the extreme lies far beyond them.

    A linear term gives the one mail with 3,000 links a thousand times the say of one with three; cut, it has the say
    of the largest usual one. On three real sets this lowered the log loss by 0 to 20 %, never raised it.
    """
    low, middle, high = (float(value) for value in np.quantile(values, (TAIL, 0.5, 1 - TAIL)))
    cut_low = low < middle and middle - float(values.min()) > HEAVY * (middle - low)
    cut_high = high > middle and float(values.max()) - middle > HEAVY * (high - middle)
    return (round_significant(low) if cut_low else None, round_significant(high) if cut_high else None)


def weighted_median(values: Floats, weight: Floats) -> float:
    """The value with half of the weight on either side; the middle of two when it falls between them."""
    if np.ptp(weight) == 0:
        return float(np.median(values))
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weight[order])
    half = below[-1] / 2
    at = int(np.searchsorted(below, half * (1 - 1e-12)))
    if at + 1 < len(values) and below[at] <= half * (1 + 1e-12):
        return float((values[order[at]] + values[order[at + 1]]) / 2)
    return float(values[order[at]])


def build_matrix(design: Design, features: Sequence[Feature], columns: Mapping[str, Floats]) -> Floats:
    """The design matrix (n rows, one column per term), Fortran order, no unknown value left."""
    declared = {feature.name: (feature, fill) for feature, fill in zip(features, design.fills, strict=True)}
    n = len(next(iter(columns.values())))
    matrix = np.empty((n, len(design.terms)), order="F")
    for index, term in enumerate(design.terms):
        feature, fill = declared[term.feature]
        column = columns[term.feature]
        unknown = np.isnan(column)
        if term.missing:
            matrix[:, index] = unknown
        elif term.category is not None:
            position = feature.categories.index(term.category)
            matrix[:, index] = (column == position) | (unknown & (fill == term.category))
        else:
            values = np.where(unknown, float(fill or 0.0), column) if unknown.any() else column
            low, high = design.clamps.get(term.feature, (None, None))
            values = values if low is None else np.maximum(values, low)
            matrix[:, index] = values if high is None else np.minimum(values, high)
    return matrix

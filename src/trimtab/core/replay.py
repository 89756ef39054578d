"""Replay: what a challenger would have chosen on logged decisions, before anybody is exposed to it.

Everything is kept as a mergeable summary, so ten million decisions are replayed in batches of flat memory, on one
machine or as tasks of a cluster.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from trimtab.core.agents import Feature
from trimtab.core.batch import Columns, Floats, posterior_matrix
from trimtab.core.bundles import Bundle
from trimtab.core.evidence.paired import PairedSummary
from trimtab.errors import InvalidInputError

Ints = npt.NDArray[np.int64]
ALPHA = 0.05
_QUANTILES = (0.25, 0.5, 0.75)
_NORMAL_95 = 1.959963984540054


@dataclass(frozen=True, slots=True, kw_only=True)
class Slicing:
    """How decisions are cut into slices: each category, flag value or quarter of a numeric feature, and "unknown"."""

    cuts: tuple[tuple[str, tuple[float, ...], tuple[str, ...]], ...]  # (feature, edges, names of the slices)

    @classmethod
    def of(cls, features: Sequence[Feature], columns: Columns) -> Slicing:
        """Slices for these features, numeric ones cut at the quartiles of `columns`; fixed for the whole replay."""
        cuts = []
        for feature in features:
            if feature.name not in columns:
                continue
            if not feature.is_numeric:
                edges = tuple(i + 0.5 for i in range(len(feature.categories) - 1))
                names = tuple(f"{feature.name} = {category}" for category in feature.categories)
            else:
                known = columns[feature.name][~np.isnan(columns[feature.name])]
                edges = tuple(sorted(set(np.quantile(known, _QUANTILES).tolist()))) if len(known) else ()
                if edges and edges[-1] >= known.max():
                    edges = edges[:-1]
                names = _names(feature.name, edges)
            if len(names) > 1:
                cuts.append((feature.name, edges, (*names, f"{feature.name} unknown")))
        return cls(cuts=tuple(cuts))

    def codes(self, columns: Columns) -> list[Ints]:
        """Per cut, the slice of every row: (n,) positions in that cut's names."""
        found = []
        for name, edges, names in self.cuts:
            column = columns[name]
            code = np.searchsorted(np.array(edges), column, side="left").astype(np.int64)
            found.append(np.where(np.isnan(column), len(names) - 1, code))
        return found


def _names(feature: str, edges: Sequence[float]) -> tuple[str, ...]:
    if not edges:
        return (feature,)
    inner = [f"{low:g} < {feature} ≤ {high:g}" for low, high in pairwise(edges)]
    return (f"{feature} ≤ {edges[0]:g}", *inner, f"{feature} > {edges[-1]:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySummary:
    """What two bundles chose on the same decisions. `merge` is associative; batches may come in any order."""

    labels: tuple[str, ...]
    matrix: tuple[tuple[int, ...], ...]  # [champion's label][challenger's label] decisions
    paired: PairedSummary = field(default_factory=PairedSummary)
    escalated: tuple[int, int] = (0, 0)  # decisions that (champion, challenger) would hand to a person
    slices: Mapping[str, PairedSummary] = field(default_factory=dict)

    def merge(self, other: ReplaySummary) -> ReplaySummary:
        """Both summaries as one. Raises InvalidInputError for other labels."""
        if self.labels != other.labels:
            raise InvalidInputError("two replays over different labels cannot be merged")
        names = sorted({*self.slices, *other.slices})
        empty = PairedSummary()
        return ReplaySummary(
            labels=self.labels,
            matrix=tuple(
                tuple(a + b for a, b in zip(x, y, strict=True)) for x, y in zip(self.matrix, other.matrix, strict=True)
            ),
            paired=self.paired.merge(other.paired),
            escalated=(self.escalated[0] + other.escalated[0], self.escalated[1] + other.escalated[1]),
            slices={name: self.slices.get(name, empty).merge(other.slices.get(name, empty)) for name in names},
        )

    @classmethod
    def empty(cls, labels: Sequence[str]) -> ReplaySummary:
        """A replay of nothing."""
        return cls(labels=tuple(labels), matrix=tuple((0,) * len(labels) for _ in labels))

    @property
    def compared(self) -> int:
        """Decisions on which both choices were computed."""
        return self.paired.compared

    def to_mapping(self) -> dict[str, Any]:
        """The replay for people and programs; what was not measured is None."""
        n = self.compared
        predicted = self.paired.judged.mean()
        share = self.paired.discordant / n if n else None
        spread = _NORMAL_95 * math.sqrt(predicted.variance) if predicted is not None else None
        return {
            "compared": n,
            "flips": self.paired.discordant,
            "flip_share": share,
            "labels": list(self.labels),
            "flip_matrix": [list(row) for row in self.matrix],
            "labelled_flips": self.paired.labelled,
            "better": self.paired.better,
            "worse": self.paired.worse,
            "difference": self.paired.difference(),
            "interval": list(self.paired.difference_bounds(ALPHA)) if n else None,
            "judges_helped": None
            if predicted is None or share is None or spread is None
            else {
                "difference": share * predicted.estimate,
                "interval": [share * (predicted.estimate - spread), share * (predicted.estimate + spread)],
                "tuning": predicted.tuning,
                "judged": self.paired.judged.judged,
            },
            "review_share_before": self.escalated[0] / n if n else None,
            "review_share_after": self.escalated[1] / n if n else None,
            "slices": [_slice(name, one) for name, one in sorted(self.slices.items(), key=_worst_first)],
        }


def _slice(name: str, paired: PairedSummary) -> dict[str, Any]:
    return {
        "slice": name,
        "n": paired.compared,
        "flips": paired.discordant,
        "labelled_flips": paired.labelled,
        "difference": paired.difference() if paired.labelled or not paired.discordant else None,
        # Without a label the interval says no more than the share of flips does.
        "interval": list(paired.difference_bounds(ALPHA)) if paired.labelled else None,
    }


def _worst_first(item: tuple[str, PairedSummary]) -> tuple[float, float, str]:
    name, paired = item
    difference = paired.difference() if paired.labelled else None
    share = paired.discordant / paired.compared if paired.compared else 0.0
    return (difference if difference is not None else 0.0, -share, name)


def replay_batch(
    champion: Bundle,
    challenger: Bundle,
    columns: Columns,
    *,
    labels: Sequence[str],
    slicing: Slicing | None = None,
    answers: Ints | None = None,
    inclusion: Floats | None = None,
    judged: Floats | None = None,
) -> tuple[ReplaySummary, Ints, Ints]:
    """Both bundles on n rows: (summary, champion's choice (n,), challenger's choice (n,)), choices as label positions.

    `answers`: (n,) position of the independent human answer, -1 where there is none (give each key's answer once).
    `inclusion`: (n,) the probability with which an answer was asked for. `judged`: (n, k) posterior of the judges, an
    all-NaN row where none spoke. Raises InvalidInputError for bundles over other labels.
    """
    before, escalates_before = _chosen(champion, columns, labels)
    after, escalates_after = _chosen(challenger, columns, labels)
    k, n = len(labels), len(before)
    flipped = before != after
    matrix = np.bincount(before * k + after, minlength=k * k).reshape(k, k)
    paired = PairedSummary().add_compared(n, int(flipped.sum()))
    expected = _expected(judged, before, after, flipped) if judged is not None else {}
    for value in expected.values():
        paired = paired.add_judged(value)
    answered = np.flatnonzero(flipped & (answers >= 0)) if answers is not None else np.zeros(0, dtype=np.int64)
    marks: list[tuple[int, int, float]] = []
    for row in answered.tolist():
        assert answers is not None
        x = int(after[row] == answers[row]) - int(before[row] == answers[row])
        π = 1.0 if inclusion is None else float(inclusion[row])
        paired = paired.add(x=x, inclusion=π, judged=expected.get(row))
        marks.append((row, x, π))
    summary = ReplaySummary(
        labels=tuple(labels),
        matrix=tuple(tuple(int(v) for v in row) for row in matrix),
        paired=paired,
        escalated=(int(escalates_before.sum()), int(escalates_after.sum())),
        slices=_sliced(slicing, columns, flipped, marks) if slicing is not None else {},
    )
    return summary, before, after


def _chosen(bundle: Bundle, columns: Columns, labels: Sequence[str]) -> tuple[Ints, npt.NDArray[np.bool_]]:
    if set(bundle.labels) != set(labels):
        raise InvalidInputError(
            f"bundle {bundle.sha256[:12]} has the labels {', '.join(bundle.labels)}, the agent {', '.join(labels)}"
        )
    posterior = posterior_matrix(bundle, columns)
    place = np.array([list(labels).index(label) for label in bundle.labels], dtype=np.int64)
    if posterior.shape[1] == 2:  # the usual case, and an argmax over two columns is slow
        second = posterior[:, 1] > posterior[:, 0]
        return place[second.astype(np.int64)], np.maximum(posterior[:, 0], posterior[:, 1]) < bundle.escalate_below
    return place[posterior.argmax(axis=1)], posterior.max(axis=1) < bundle.escalate_below


def _expected(judged: Floats, before: Ints, after: Ints, flipped: npt.NDArray[np.bool_]) -> dict[int, float]:
    """Row -> the judges' expectation of x, where the arms differ and some judge spoke."""
    rows = np.flatnonzero(flipped & ~np.isnan(judged).any(axis=1))
    values = judged[rows, after[rows]] - judged[rows, before[rows]]
    return dict(zip(rows.tolist(), np.clip(values, -1, 1).tolist(), strict=True))


def _sliced(
    slicing: Slicing, columns: Columns, flipped: npt.NDArray[np.bool_], marks: Sequence[tuple[int, int, float]]
) -> dict[str, PairedSummary]:
    found: dict[str, PairedSummary] = {}
    for (_, _, names), code in zip(slicing.cuts, slicing.codes(columns), strict=True):
        n = np.bincount(code, minlength=len(names))
        differing = np.bincount(code[flipped], minlength=len(names))
        for i, name in enumerate(names):
            if n[i]:
                found[name] = PairedSummary().add_compared(int(n[i]), int(differing[i]))
        for row, x, π in marks:
            name = names[int(code[row])]
            found[name] = found[name].add(x=x, inclusion=π)
    return found

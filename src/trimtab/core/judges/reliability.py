"""How well each judge version agrees with people: one small summary per judge, mergeable in any order.

A summary is made of sums only, so the summary of a whole is the merge of the summaries of its parts, whichever way it
was cut: by day, by partition, by machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trimtab.core.judges.verdicts import FloatArray, JudgeVersion, VerdictTable
from trimtab.errors import InvalidInputError, InvalidStatisticError

HALF_LIFE_DAYS = 7.0
LOOK_BACK_DAYS = 30.0
FINE_BINS = 256  # of stated confidence; fine enough that ten equal-mass bins cut where they should


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class JudgeSums:
    """What is kept of one judge version: sums over its verdicts on decisions that people answered (k labels).

    n: verdicts compared, undecayed. confusion: (k, k), decayed weight of (right label, judge's label). square: Σ d·v²
    with decay d and survey weight v = 1/π, for the effective size. confidence_weight, confidence_sum, confidence_hits:
    (FINE_BINS,) by stated confidence: decayed weight, confidence and hits. squared_error: decayed Σ (confidence −
    hit)². n_confident: verdicts with a stated confidence. recent, older: (4,) undecayed (compared, Σ v, Σ v·hit, Σ v²)
    of verdicts up to one half-life old, and of older ones.
    """

    n: int
    confusion: FloatArray
    square: float
    confidence_weight: FloatArray
    confidence_sum: FloatArray
    confidence_hits: FloatArray
    squared_error: float
    n_confident: int
    recent: FloatArray
    older: FloatArray

    def merge(self, other: JudgeSums) -> JudgeSums:
        """The sums of both parts."""
        return JudgeSums(
            n=self.n + other.n,
            confusion=self.confusion + other.confusion,
            square=self.square + other.square,
            confidence_weight=self.confidence_weight + other.confidence_weight,
            confidence_sum=self.confidence_sum + other.confidence_sum,
            confidence_hits=self.confidence_hits + other.confidence_hits,
            squared_error=self.squared_error + other.squared_error,
            n_confident=self.n_confident + other.n_confident,
            recent=self.recent + other.recent,
            older=self.older + other.older,
        )

    @property
    def weight(self) -> float:
        """Decayed (and survey-weighted) number of verdicts compared."""
        return float(self.confusion.sum())

    @property
    def effective_n(self) -> float:
        """Effective number of compared verdicts, (Σ d·v)² / Σ d·v²; without survey weights the decayed n, Σ d."""
        return self.weight**2 / self.square if self.square > 0 else 0.0

    @property
    def hit_rate(self) -> float | None:
        """Decayed share of verdicts that equal the human label, not shrunk; None when nothing was compared."""
        return float(np.trace(self.confusion)) / self.weight if self.weight > 0 else None

    @property
    def brier(self) -> float | None:
        """Decayed mean of (confidence − hit)², in [0, 1], lower is better; None when no confidence was stated.

        Brier 1950, 10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.
        """
        stated = float(self.confidence_weight.sum())
        return self.squared_error / stated if stated > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReliabilitySummary:
    """The sums of every judge version over one set of labels, under one decay."""

    labels: tuple[str, ...]
    half_life_days: float
    look_back_days: float
    judges: Mapping[JudgeVersion, JudgeSums]

    def merge(self, other: ReliabilitySummary) -> ReliabilitySummary:
        """The summary of both parts: associative, order-free, with the empty summary as neutral element.

        Raises InvalidStatisticError when labels or decay differ: such sums do not add.
        """
        if (self.labels, self.half_life_days, self.look_back_days) != (
            other.labels,
            other.half_life_days,
            other.look_back_days,
        ):
            raise InvalidStatisticError("reliability summaries with different labels or decay cannot be merged")
        merged = dict(self.judges)
        for judge, sums in other.judges.items():
            merged[judge] = merged[judge].merge(sums) if judge in merged else sums
        return ReliabilitySummary(
            labels=self.labels,
            half_life_days=self.half_life_days,
            look_back_days=self.look_back_days,
            judges=dict(sorted(merged.items())),
        )

    @staticmethod
    def merged(parts: Iterable[ReliabilitySummary]) -> ReliabilitySummary:
        """The merge of one or more parts. Raises InvalidStatisticError when there is none."""
        every = list(parts)
        if not every:
            raise InvalidStatisticError("there is no reliability summary to merge")
        return reduce(ReliabilitySummary.merge, every)


def summarise(
    table: VerdictTable,
    gold: ArrayLike,
    *,
    half_life_days: float = HALF_LIFE_DAYS,
    look_back_days: float = LOOK_BACK_DAYS,
    survey_weight: ArrayLike | None = None,
) -> ReliabilitySummary:
    """Sums of agreement between verdicts and human labels, per judge version.

    A verdict of age `a` days counts d = 2^(−a / half-life); older than the look-back it does not count at all.
    `gold`: (n_items,) label index of the human answer, NO_LABEL where there is none. `survey_weight`: (n_items,)
    positive, the inverse of the probability with which the item was chosen for labelling; with it every derived rate is
    a Hájek estimate for all decisions instead of for the chosen ones; None: all were equally likely to be chosen. A
    judge without any comparison is in the result, with n = 0.

    One pass over the columns, O(verdicts). Raises InvalidStatisticError for a decay that is not positive and
    InvalidInputError for a survey weight that is not positive and finite.

    >>> table = VerdictTable.from_columns(
    ...     decisions=["d1", "d2"], judges=[JudgeVersion(judge="a", version="1")], labels=("ok", "spam"),
    ...     item=[0, 1], judge=[0, 0], label=[1, 1])
    >>> sums = summarise(table, [1, -1]).judges[JudgeVersion(judge="a", version="1")]
    >>> sums.n, sums.hit_rate
    (1, 1.0)
    """
    if not (half_life_days > 0 and look_back_days > 0):
        raise InvalidStatisticError("half-life and look-back must be positive numbers of days")
    answers = table.checked_gold(gold)
    right_of = answers[table.item]
    used = (right_of >= 0) & (table.age_days <= look_back_days)
    judge, said, right = table.judge[used], table.label[used], right_of[used]
    age = table.age_days[used].astype(np.float64)
    decay = np.exp2(-age / half_life_days)
    survey = np.ones(table.n_items) if survey_weight is None else np.asarray(survey_weight, dtype=np.float64)
    if survey.shape != (table.n_items,) or ((answers >= 0).any() and not _positive(survey[answers >= 0])):
        raise InvalidInputError(f"survey weights must be {table.n_items} positive finite numbers, one per item")
    v = survey[table.item[used]]
    weight = decay * v
    j, k = len(table.judges), table.n_labels
    hit = (said == right).astype(np.float64)
    confusion = np.bincount((judge * k + right) * k + said, weight, j * k * k).reshape(j, k, k)
    stated = np.isfinite(table.confidence[used])
    confidence = table.confidence[used][stated].astype(np.float64)
    bins = np.minimum((confidence * FINE_BINS).astype(np.int64), FINE_BINS - 1)
    cell, stated_weight, stated_hit = judge[stated] * FINE_BINS + bins, weight[stated], hit[stated]
    fine = [
        np.bincount(cell, values, j * FINE_BINS).reshape(j, FINE_BINS)
        for values in (stated_weight, stated_weight * confidence, stated_weight * stated_hit)
    ]
    fresh = age <= half_life_days
    n = np.bincount(judge, minlength=j)
    square = np.bincount(judge, decay * v * v, j)
    error = np.bincount(judge[stated], stated_weight * (confidence - stated_hit) ** 2, j)
    n_confident = np.bincount(judge[stated], minlength=j)
    split = [
        np.stack([np.bincount(judge[part], one[part], j) for one in (np.ones(len(v)), v, v * hit, v * v)], axis=1)
        for part in (fresh, ~fresh)
    ]
    return ReliabilitySummary(
        labels=table.labels,
        half_life_days=half_life_days,
        look_back_days=look_back_days,
        judges={
            table.judges[i]: JudgeSums(
                n=int(n[i]),
                confusion=confusion[i],
                square=float(square[i]),
                confidence_weight=fine[0][i],
                confidence_sum=fine[1][i],
                confidence_hits=fine[2][i],
                squared_error=float(error[i]),
                n_confident=int(n_confident[i]),
                recent=split[0][i],
                older=split[1][i],
            )
            for i in sorted(range(j), key=lambda i: table.judges[i])
        },
    )


def _positive(values: NDArray[np.float64]) -> bool:
    return bool(np.isfinite(values).all() and (values > 0).all())

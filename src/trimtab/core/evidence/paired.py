"""Paired evidence: both arms are pure functions, so one label on a decision where they differ judges both at once.

With x = 1[canary right] − 1[baseline right] on a discordant key, the difference in quality is
δ = P(discordant)·E[x | discordant]. Only counts are kept, so merging is exact and order does not matter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

from trimtab.core.evidence import wire
from trimtab.core.evidence.bets import (
    BETS,
    CELLS,
    LOG_WEIGHTS,
    alive,
    bet_logs,
    cached_bet_logs,
    cell_of,
    cell_range,
)
from trimtab.core.evidence.predictions import PredictionSums
from trimtab.core.evidence.wealth import log_mixture, rate_bounds
from trimtab.errors import InvalidStatisticError

DISCORDANCE_PART = 0.1  # of an α that also pays for the bound on the discordance rate
_KEYS = frozenset({"compared", "discordant", "labels", "least_inclusion", "planned_inclusion", "judged"})

Row = tuple[int, int, int, int]  # (cell, worse, equal, better)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedSummary:
    """What has been seen of two arms on the same decisions: mergeable, order-free, one row of counts per inclusion
    cell.

    `labels` holds (cell, worse, equal, better) rows sorted by cell. Feed each key once (its first discordant decision),
    and only labels whose inclusion probability is known: who is labelled because of the served choice (an approval, a
    thumb) is missing not at random and proves nothing here.
    """

    compared: int = 0  # decisions on which both choices were computed (one per key where keys repeat)
    discordant: int = 0  # those with different choices
    labels: tuple[Row, ...] = ()
    least_inclusion: float = 1.0  # over every discordant key that could have been drawn
    planned_inclusion: float = 1.0  # what the bets are sized for, fixed at the start; other probabilities stay valid
    judged: PredictionSums = field(default_factory=PredictionSums)  # what judges expect of x: for the estimate only

    def add_compared(self, n: int, discordant: int, *, least_inclusion: float = 1.0) -> PairedSummary:
        """Count `n` more compared decisions, `discordant` of them with different choices.

        `least_inclusion` is the smallest probability with which one of these discordant keys may be labelled. Reporting
        it here, before any label, keeps unequal probabilities exact; a drawn label reports its own.
        Raises InvalidStatisticError for negative counts, or more discordant than compared.
        """
        wire.count(n, "compared")
        wire.count(discordant, "discordant")
        if discordant > n:
            raise InvalidStatisticError(f"discordant: {discordant} of {n} compared decisions cannot be")
        return replace(
            self,
            compared=self.compared + n,
            discordant=self.discordant + discordant,
            least_inclusion=min(self.least_inclusion, wire.inclusion(least_inclusion)),
        )

    def add(self, *, x: int, inclusion: float = 1.0, judged: float | None = None) -> PairedSummary:
        """Count one labelled discordant key: x = +1 canary right, −1 baseline right, 0 neither (or both).

        `inclusion` is the probability in (0, 1] with which this key was chosen to be labelled; `judged` the judges'
        expectation of x in [−1, 1] when they gave one (also given to `add_judged`, as for every judged discordant key).
        Raises InvalidStatisticError for any other value.
        """
        if isinstance(x, bool) or x not in (-1, 0, 1):
            raise InvalidStatisticError(f"x: must be -1, 0 or 1, got {x!r:.60}")
        π = wire.inclusion(inclusion)
        predicted = self.judged
        if judged is not None:
            predicted = predicted.add_label(float(x), wire.number(judged, "judged", low=-1, high=1), inclusion=π)
        return replace(
            self,
            labels=_merged(self.labels, ((cell_of(π), int(x == -1), int(x == 0), int(x == 1)),)),
            least_inclusion=min(self.least_inclusion, π),
            judged=predicted,
        )

    def add_judged(self, predicted: float) -> PairedSummary:
        """Count the judges' expectation of x, in [−1, 1], for one more discordant key, labelled or not."""
        return replace(self, judged=self.judged.add_prediction(wire.number(predicted, "judged", low=-1, high=1)))

    def merge(self, other: PairedSummary) -> PairedSummary:
        """Both summaries as one; associative and commutative. Raises InvalidStatisticError for other planned bets."""
        if self.planned_inclusion != other.planned_inclusion:
            raise InvalidStatisticError(
                f"planned_inclusion: {self.planned_inclusion} and {other.planned_inclusion} belong to different plans"
            )
        return replace(
            self,
            compared=self.compared + other.compared,
            discordant=self.discordant + other.discordant,
            labels=_merged(self.labels, other.labels),
            least_inclusion=min(self.least_inclusion, other.least_inclusion),
            judged=self.judged.merge(other.judged),
        )

    @property
    def labelled(self) -> int:
        """Labelled discordant keys."""
        return sum(worse + equal + better for _, worse, equal, better in self.labels)

    @property
    def worse(self) -> int:
        """Labelled keys on which only the baseline was right."""
        return sum(row[1] for row in self.labels)

    @property
    def better(self) -> int:
        """Labelled keys on which only the canary was right."""
        return sum(row[3] for row in self.labels)

    def log_e_above(self, mean: float = 0.0) -> float:
        """Log e-value against H0: E[x | discordant] ≤ mean; large means that the canary is better than that.

        A mixture of 16 fixed bets, each multiplying its wealth by 1 + λ(x − mean)/π for every label, λ = κ/(1 + mean).
        A bet whose stake the smallest inclusion probability does not allow has wealth 0 for good (never a refund).
        Domain: mean in (−1, 1). No labels: at most 0 (e ≤ 1).
        Guarantee: P(ever ≥ log(1/α)) ≤ α however often one looks, for independent keys with known inclusion; exact at
        every n. Raises InvalidStatisticError for a mean outside (−1, 1).
        Source: Waudby-Smith & Ramdas (2024), doi:10.1093/jrsssb/qkad009.

        >>> s = PairedSummary()
        >>> for x in (1, 1, 1, -1, 1, 1, 1, 1, 1):
        ...     s = s.add(x=x)
        >>> s.log_e_above(0.0) > s.log_e_above(0.3) and s.log_e_below(0.0) < 0
        True
        """
        return self._log_e(mean, flipped=False)

    def log_e_below(self, mean: float = 0.0) -> float:
        """Log e-value against H0: E[x | discordant] ≥ mean: `log_e_above` mirrored, with the same promise and domain.

        Large means that the canary is worse than that.

        >>> PairedSummary().add(x=-1).add(x=-1).log_e_below() > 0
        True
        """
        return self._log_e(-mean, flipped=True)

    def _log_e(self, mean: float, *, flipped: bool) -> float:
        if not -1.0 < mean < 1.0:
            raise InvalidStatisticError(
                f"mean: must lie strictly between -1 and 1, got {-mean if flipped else mean!r:.60}"
            )
        bets = alive(self.least_inclusion, self.planned_inclusion)
        if bets == 0:
            return -math.inf
        sums = [0.0] * bets
        table = cached_bet_logs if mean == 0.0 else bet_logs
        for cell, worse, equal, better in self.labels:
            low, middle, high = table(mean, cell, bets, self.planned_inclusion)
            down, up = (better, worse) if flipped else (worse, better)
            sums = [s + down * a + equal * b + up * c for s, a, b, c in zip(sums, low, middle, high, strict=True)]
        return log_mixture(sums, LOG_WEIGHTS[len(BETS) - bets :])

    def log_e_not_inferior(self, margin: float, alpha: float) -> float:
        """Log e-value against H0: δ ≤ −margin, to be compared with log(1/alpha).

        The margin becomes −margin/q on the discordant stratum, with q an anytime-valid upper bound of the discordance
        rate that costs a tenth of `alpha`. Where q ≤ margin the arms differ too rarely to lose more than the margin,
        whatever the labels say: +inf. Without comparisons q is 1. Raises InvalidStatisticError for a margin outside (0,
        1).
        """
        upper = rate_bounds(self.discordant, self.compared, DISCORDANCE_PART * wire.alpha(alpha))[1]
        if upper <= _margin(margin):
            return math.inf
        return self.log_e_above(-margin / upper) + math.log(1 - DISCORDANCE_PART)

    def log_e_inferior(self, margin: float, alpha: float) -> float:
        """Log e-value against H0: δ ≥ −margin, to be compared with log(1/alpha): the harm is beyond the margin.

        Uses the lower bound of the discordance rate; −inf while that bound is below the margin (too few differ), so
        also without comparisons. Raises InvalidStatisticError for a margin outside (0, 1).

        >>> PairedSummary().log_e_inferior(0.05, 0.04)
        -inf
        """
        lower = rate_bounds(self.discordant, self.compared, DISCORDANCE_PART * wire.alpha(alpha))[0]
        if lower <= _margin(margin):
            return -math.inf
        return self.log_e_below(-margin / lower) + math.log(1 - DISCORDANCE_PART)

    def mean(self) -> float | None:
        """The weighted estimate of E[x | discordant], each label counting 1/π; None without labels."""
        total = value = 0.0
        for cell, worse, equal, better in self.labels:
            if cell < 0:
                continue  # below the grid no weight is known well enough to be used
            low, high = cell_range(cell)
            weight = 1.0 / math.sqrt(low * high)
            total += weight * (worse + equal + better)
            value += weight * (better - worse)
        return value / total if total else None

    def mean_bounds(self, alpha: float) -> tuple[float, float]:
        """Anytime-valid interval of E[x | discordant], coverage ≥ 1 − alpha at all looks together. No labels: (−1, 1).

        The means that neither mixture of bets has refuted at alpha/2 a side.

        >>> s = PairedSummary()
        >>> for x in [1] * 24 + [-1] * 6:
        ...     s = s.add(x=x)
        >>> low, high = s.mean_bounds(0.05)
        >>> 0.0 < low < 0.6 < high < 0.95
        True
        """
        limit = math.log(2.0 / wire.alpha(alpha))
        estimate = self.mean()
        if estimate is None:
            return -1.0, 1.0
        return self._bound(estimate, limit, flipped=False), -self._bound(-estimate, limit, flipped=True)

    def _bound(self, estimate: float, limit: float, *, flipped: bool) -> float:
        # Evidence against "mean ≤ m" falls as m grows; bisection returns the refuted end, which is the safe one.
        if estimate <= -1.0:
            return -1.0  # nothing lies below
        refuted, kept = -1.0, estimate
        for _ in range(26):
            middle = 0.5 * (refuted + kept)
            if self._log_e(middle, flipped=flipped) >= limit:
                refuted = middle
            else:
                kept = middle
        return refuted

    def difference(self) -> float | None:
        """The estimate of δ = P(discordant)·E[x | discordant]; None without comparisons, or without labels while some
        differ."""
        if self.compared == 0:
            return None
        if self.discordant == 0:
            return 0.0
        mean = self.mean()
        return None if mean is None else self.discordant / self.compared * mean

    def difference_bounds(self, alpha: float) -> tuple[float, float]:
        """Anytime-valid interval of δ: coverage ≥ 1 − alpha at all looks together, a tenth of alpha paying for the
        rate.

        Every product of a discordance rate and a mean that are both still possible. No data: (−1, 1).
        """
        low_rate, high_rate = rate_bounds(self.discordant, self.compared, DISCORDANCE_PART * wire.alpha(alpha))
        low, high = self.mean_bounds((1 - DISCORDANCE_PART) * alpha)
        return min(low_rate * low, high_rate * low), max(low_rate * high, high_rate * high)

    def to_mapping(self) -> dict[str, Any]:
        """The summary as plain JSON data; `from_mapping` of it gives an equal summary."""
        return {
            "v": 1,
            "compared": self.compared,
            "discordant": self.discordant,
            "labels": [list(row) for row in self.labels],
            "least_inclusion": self.least_inclusion,
            "planned_inclusion": self.planned_inclusion,
            "judged": self.judged.to_mapping(),
        }

    @classmethod
    def from_mapping(cls, given: Any) -> PairedSummary:
        """A summary from stored JSON. Raises InvalidStatisticError naming what is wrong with it."""
        known = wire.table(given, "paired", _KEYS)
        compared, discordant = wire.count(known["compared"], "compared"), wire.count(known["discordant"], "discordant")
        if discordant > compared:
            raise InvalidStatisticError(f"discordant: {discordant} of {compared} compared decisions cannot be")
        return cls(
            compared=compared,
            discordant=discordant,
            labels=_rows(known["labels"]),
            least_inclusion=wire.inclusion(known["least_inclusion"]),
            planned_inclusion=wire.inclusion(known["planned_inclusion"]),
            judged=PredictionSums.from_mapping(known["judged"]),
        )


def _margin(value: float) -> float:
    if not 0.0 < value < 1.0:
        raise InvalidStatisticError(f"margin: must lie strictly between 0 and 1, got {value!r:.60}")
    return value


def _merged(a: tuple[Row, ...], b: tuple[Row, ...]) -> tuple[Row, ...]:
    rows = {row[0]: row for row in a}
    for cell, worse, equal, better in b:
        _, w, e, g = rows.get(cell, (cell, 0, 0, 0))
        rows[cell] = (cell, w + worse, e + equal, g + better)
    return tuple(sorted(rows.values()))


def _rows(given: Any) -> tuple[Row, ...]:
    if not isinstance(given, list) or len(given) > CELLS + 1:
        raise InvalidStatisticError("paired.labels: must be a list of [cell, worse, equal, better]")
    rows: list[Row] = []
    for i, row in enumerate(given):
        if not isinstance(row, list) or len(row) != 4 or isinstance(row[0], bool) or not isinstance(row[0], int):
            raise InvalidStatisticError(f"paired.labels[{i}]: must be [cell, worse, equal, better], got {row!r:.80}")
        if not -1 <= row[0] < CELLS - 1 or (rows and rows[-1][0] >= row[0]):
            raise InvalidStatisticError(
                f"paired.labels[{i}]: cells must rise from -1 to {CELLS - 2}, got {row[0]!r:.40}"
            )
        worse, equal, better = (wire.count(c, f"paired.labels[{i}]") for c in row[1:])
        rows.append((row[0], worse, equal, better))
    return tuple(rows)

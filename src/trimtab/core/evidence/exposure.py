"""Sample ratio and missing outcomes: are the arms as large as promised, and do their outcomes come back alike?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trimtab.core.evidence import wire
from trimtab.errors import InvalidStatisticError

_STRENGTH = 1000.0  # pseudo-keys of the Dirichlet prior around the promised share: sharp for shifts of a few points


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitCounts:
    """Keys counted in each arm during one step: those first met in it, or those that answered in it (each key once)."""

    canary: int = 0
    baseline: int = 0

    def add(self, canary: int = 0, baseline: int = 0) -> SplitCounts:
        """Count more keys. Raises InvalidStatisticError for negative numbers."""
        return SplitCounts(
            canary=self.canary + wire.count(canary, "canary keys"),
            baseline=self.baseline + wire.count(baseline, "baseline keys"),
        )

    def merge(self, other: SplitCounts) -> SplitCounts:
        """Both counts as one; associative and commutative."""
        return SplitCounts(canary=self.canary + other.canary, baseline=self.baseline + other.baseline)

    def to_mapping(self) -> dict[str, Any]:
        """The counts as plain JSON data."""
        return {"v": 1, "canary": self.canary, "baseline": self.baseline}

    @classmethod
    def from_mapping(cls, given: Any) -> SplitCounts:
        """Counts from stored JSON. Raises InvalidStatisticError naming what is wrong."""
        known = wire.table(given, "split", frozenset({"canary", "baseline"}))
        return cls(
            canary=wire.count(known["canary"], "split.canary"), baseline=wire.count(known["baseline"], "split.baseline")
        )


def log_e_split(steps: Sequence[tuple[SplitCounts, float]]) -> float:
    """Log e-value against H0: in every step, keys fall into the canary independently with the promised share.

    Args: (counts, share in (0, 1]) of each step. Dirichlet–multinomial Bayes factor with prior Beta(κs, κ(1−s)) and
    κ = 1000, per step; steps are independent, so their logs add. A step with share 1 has no split to test: left out.
    Guarantee: P(ever ≥ log(1/α)) ≤ α at any sequence of looks, exact. No keys: 0.
    Raises InvalidStatisticError for a share outside (0, 1].
    Source: Lindon & Malek (2022), doi:10.48550/arXiv.2011.03567.

    >>> log_e_split([(SplitCounts(canary=100, baseline=900), 0.1)]) < 0
    True
    >>> log_e_split([(SplitCounts(canary=200, baseline=800), 0.1)]) > math.log(100)
    True
    """
    total = 0.0
    for counts, share in steps:
        if not 0.0 < share <= 1.0:
            raise InvalidStatisticError(f"share: must lie in (0, 1], got {share!r:.60}")
        if share == 1.0:
            continue
        a, b = _STRENGTH * share, _STRENGTH * (1 - share)
        c, d = counts.canary, counts.baseline
        total += (
            _log_rising(a, c)
            + _log_rising(b, d)
            - _log_rising(a + b, c + d)
            - c * math.log(share)
            - d * math.log1p(-share)
        )
    return total


def _log_rising(start: float, steps: int) -> float:
    return math.lgamma(start + steps) - math.lgamma(start)

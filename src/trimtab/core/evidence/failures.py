"""Hard failures of served decisions: exact betting tests on counts, from the first decision on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from trimtab.core.evidence import wire
from trimtab.core.evidence.wealth import log_mixture, rate_bounds
from trimtab.errors import InvalidStatisticError

# Alternatives to a rate, as multiples of its odds, with prior weights: much above it (something broke) and a little
# above it.
_ABOVE = (1.5, 2.0, 3.0, 5.0, 10.0, 25.0, 50.0, 200.0)
_ABOVE_WEIGHTS = (1.0, 1.0, 1.0, 1.0, 2.0, 6.0, 6.0, 1.0)
_BELOW = (0.8, 0.65, 0.5, 0.35, 0.2, 0.1, 0.03, 0.0)
_BELOW_WEIGHTS = (0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 2.0, 5.0)  # most arms worth a promotion hardly fail at all
_LOG_ABOVE = tuple(math.log(w / sum(_ABOVE_WEIGHTS)) for w in _ABOVE_WEIGHTS)
_LOG_BELOW = tuple(math.log(w / sum(_BELOW_WEIGHTS)) for w in _BELOW_WEIGHTS)
BASELINE_PART = 0.1  # of α: the bound on the baseline's own rate


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureCounts:
    """Served decisions whose outcome said whether they failed hard; a decision without an outcome is not in here."""

    n: int = 0
    failed: int = 0

    def add(self, failed: bool, repeats: int = 1) -> FailureCounts:
        """Count `repeats` more outcomes of one kind."""
        wire.count(repeats, "repeats")
        return FailureCounts(n=self.n + repeats, failed=self.failed + (repeats if failed else 0))

    def merge(self, other: FailureCounts) -> FailureCounts:
        """Both counts as one; associative and commutative."""
        return FailureCounts(n=self.n + other.n, failed=self.failed + other.failed)

    def rate(self) -> float | None:
        """The observed share of failures; None without outcomes."""
        return self.failed / self.n if self.n else None

    def bounds(self, alpha: float) -> tuple[float, float]:
        """Anytime-valid interval of the rate, coverage ≥ 1 − alpha at all looks together; (0, 1) without outcomes.

        See `wealth.rate_bounds`. Raises InvalidStatisticError for an alpha outside (0, 1).

        >>> FailureCounts().bounds(0.05)
        (0.0, 1.0)
        """
        return rate_bounds(self.failed, self.n, alpha)

    def log_e_above(self, ceiling: float) -> float:
        """Log e-value against H0: the failure rate is at most `ceiling`, which lies in (0, 1).

        Mixture over alternatives p of the likelihood ratio (p/c)^k·((1 − p)/(1 − c))^(n − k): bets of a fixed stake on
        "failed". Guarantee: P(ever ≥ log(1/α)) ≤ α when each outcome's chance of failing, given the past, is at most
        the ceiling; exact from the first outcome. None yet: 0. Raises InvalidStatisticError for a ceiling outside (0,
        1).
        Source: Waudby-Smith & Ramdas (2024), doi:10.1093/jrsssb/qkad009.

        >>> FailureCounts(n=6, failed=4).log_e_above(0.02) > math.log(100)
        True
        """
        return self._log_e(ceiling, _ABOVE, _LOG_ABOVE)

    def log_e_below(self, ceiling: float) -> float:
        """Log e-value against H0: the failure rate is at least `ceiling`: the arm is shown to fail less than that.

        >>> FailureCounts(n=600, failed=0).log_e_below(0.01) > math.log(40)
        True
        """
        return self._log_e(ceiling, _BELOW, _LOG_BELOW)

    def _log_e(self, rate: float, odds_ratios: tuple[float, ...], log_weights: tuple[float, ...]) -> float:
        if not 0.0 < rate < 1.0:
            raise InvalidStatisticError(f"ceiling: must lie strictly between 0 and 1, got {rate!r:.60}")
        return log_mixture(self.log_wealths(rate, odds_ratios), log_weights)

    def log_wealths(self, rate: float, odds_ratios: tuple[float, ...]) -> list[float]:
        """The log wealth of the bet on each alternative to `rate`, given as multiples of its odds."""
        wealths = []
        for ratio in odds_ratios:
            # With odds ratio r: p/c = r/(1 − c + r·c) and (1 − p)/(1 − c) = 1/(1 − c + r·c).
            scale = -math.log1p((ratio - 1.0) * rate)
            hit = math.log(ratio) + scale if ratio else -math.inf
            wealths.append((self.failed * hit if self.failed else 0.0) + (self.n - self.failed) * scale)
        return wealths

    def to_mapping(self) -> dict[str, Any]:
        """The counts as plain JSON data."""
        return {"v": 1, "n": self.n, "failed": self.failed}

    @classmethod
    def from_mapping(cls, given: Any) -> FailureCounts:
        """Counts from stored JSON. Raises InvalidStatisticError naming what is wrong."""
        known = wire.table(given, "failures", frozenset({"n", "failed"}))
        n, failed = wire.count(known["n"], "failures.n"), wire.count(known["failed"], "failures.failed")
        if failed > n:
            raise InvalidStatisticError(f"failures: {failed} of {n} outcomes cannot have failed")
        return cls(n=n, failed=failed)


def log_e_failures_not_inferior(steps: list[tuple[FailureCounts, FailureCounts]], margin: float, alpha: float) -> float:
    """Log e-value against H0: the canary fails more often than the baseline by `margin` or more, in every step.

    Args: (canary, baseline) counts of each step; margin in (0, 1). Within a step the baseline's rate is replaced by its
    anytime-valid lower bound L (all bounds together cost a tenth of `alpha`), and the canary bets against L + margin;
    log wealths of one alternative add over steps, so a drift of both arms between steps does no harm. To be compared
    with log(1/alpha). Guarantee: exact, given that the true difference is the same in each step. No outcomes: log 0.9.
    Raises InvalidStatisticError for a margin outside (0, 1).
    Source: Waudby-Smith & Ramdas (2024), doi:10.1093/jrsssb/qkad009.

    >>> quiet = FailureCounts(n=600, failed=0)
    >>> log_e_failures_not_inferior([(quiet, quiet)], 0.01, 0.025) > math.log(40)
    True
    """
    if not 0.0 < margin < 1.0:
        raise InvalidStatisticError(f"margin: must lie strictly between 0 and 1, got {margin!r:.60}")
    part = BASELINE_PART * wire.alpha(alpha) / max(1, len(steps))
    sums = [0.0] * len(_BELOW)
    for canary, baseline in steps:
        # An interval at 2·part has its lower bound alone at part.
        ceiling = baseline.bounds(2 * part)[0] + margin
        if ceiling >= 1.0:
            continue
        sums = [s + w for s, w in zip(sums, canary.log_wealths(ceiling, _BELOW), strict=True)]
    return log_mixture(sums, _LOG_BELOW) + math.log(1 - BASELINE_PART)

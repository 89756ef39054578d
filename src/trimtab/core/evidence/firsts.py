"""The first score of each key, bet against the drawing of the arms: exact from the first outcome on.

Which arm a key falls into was drawn with a known share, so no rate of either arm has to be estimated, and a drift that
both arms share changes nothing. Later scores of a key say nothing here: they are not independent of the first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from trimtab.core.evidence import wire
from trimtab.core.evidence.wealth import log_mixture
from trimtab.errors import InvalidStatisticError

PARTS = 10
POINTS = PARTS + 1  # scores 0, 0.1, … 1; a binary score uses the two ends
_NOTHING = (0.0,) * POINTS
# A bet is a centre c (the usual score, as guessed) and a part κ of the largest stake. Most weight on κ where a few per
# cent of quality are lost, and on a usual score of .8, as agents worth a rollout have; the others cost little.
CENTRES = ((0.2, 0.3), (0.5, 0.6), (0.8, 1.0), (0.95, 0.6))
STAKES = tuple((0.9 * 0.6**i, w) for i, w in enumerate((0.3, 0.7, 1.0, 1.3, 1.5, 1.5, 0.8)))
_WEIGHTS = tuple(a * b for _, a in CENTRES for _, b in STAKES)
LOG_WEIGHTS = tuple(math.log(w / sum(_WEIGHTS)) for w in _WEIGHTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstScores:
    """How often each score was the first one of a key, in one arm of one step: mergeable, order-free.

    A score between two points counts in parts at both, so that their weighted mean is the score; scores of 0, 1 and
    tenths are counted exactly. Merging others is associative up to rounding, about 1e-15 of the counts.
    """

    counts: tuple[float, ...] = _NOTHING

    def add(self, score: float) -> FirstScores:
        """Count the first score, in [0, 1], of one more key."""
        place = wire.number(score, "score", low=0.0, high=1.0) * PARTS
        nearest = round(place)
        counts = list(self.counts)
        if abs(place - nearest) < 1e-9:
            counts[nearest] += 1.0
        else:
            low = math.floor(place)
            counts[low] += low + 1 - place
            counts[low + 1] += place - low
        return FirstScores(counts=tuple(counts))

    def merge(self, other: FirstScores) -> FirstScores:
        """Both as one; their keys are different ones."""
        return FirstScores(counts=tuple([a + b for a, b in zip(self.counts, other.counts, strict=True)]))

    @property
    def n(self) -> float:
        """Keys counted (up to rounding)."""
        return math.fsum(self.counts)

    def to_mapping(self) -> dict[str, Any]:
        """The counts as plain JSON data."""
        return {"v": 1, "counts": list(self.counts)}

    @classmethod
    def from_mapping(cls, given: Any) -> FirstScores:
        """Counts from stored JSON. Raises InvalidStatisticError naming what is wrong."""
        counts = wire.table(given, "first scores", frozenset({"counts"}))["counts"]
        if not isinstance(counts, list) or len(counts) != POINTS:
            raise InvalidStatisticError(f"first scores.counts: must be a list of {POINTS} counts, got {counts!r:.60}")
        return cls(counts=tuple([wire.number(c, "first scores.counts", low=0.0) for c in counts]))


Step = tuple[FirstScores, FirstScores, float]


def log_e_first_scores_below(steps: Sequence[Step], margin: float = 0.0) -> float:
    """Log e-value against H0: the canary's mean score is at most `margin` below the baseline's (δ ≥ −margin).

    Args: (canary, baseline, the canary's share of keys) of each step; shares and margin in [0, 1). With A = 1 for a key
    in the canary, else 0, share s and score y, a bet multiplies its wealth by 1 − λ((A − s)(y − c) + s(1 − s)·margin),
    whose expectation is 1 − λs(1 − s)(δ + margin) whatever the scores' distribution. A mixture of 28 fixed bets (λ, c);
    log wealths add over keys and over steps.
    Guarantee: P(ever ≥ log(1/α)) ≤ α however often one looks, exact from the first key, and whatever both arms do over
    time, as long as each key's arm was drawn with the share of its step and whether a score arrives does not depend on
    the arm. Large means that the canary is worse. No scores, or a share of 0 or 1: 0 (e = 1). A score between two
    tenths counts as a little less evidence than it is (log is concave), never more.
    Raises InvalidStatisticError for a share outside [0, 1] or a margin outside [0, 1).
    Sources: Waudby-Smith, Wu, Ramdas, Karampatziakis & Mineiro, doi:10.48550/arXiv.2210.10768
    (bets on randomised arms); Turner, Ly & Grünwald, doi:10.48550/arXiv.2106.02693 (the same null for binary scores).

    >>> good, bad = FirstScores(), FirstScores()
    >>> for i in range(180):
    ...     good = good.add(float(i % 10 > 0))
    >>> for i in range(20):
    ...     bad = bad.add(float(i % 3 == 0))
    >>> log_e_first_scores_below([(bad, good, 0.1)]) > math.log(100)
    True
    """
    if not 0.0 <= margin < 1.0:
        raise InvalidStatisticError(f"margin: must lie in [0, 1), got {margin!r:.60}")
    sums = [0.0] * len(LOG_WEIGHTS)
    for canary, baseline, share in steps:
        if not 0.0 <= share <= 1.0:
            raise InvalidStatisticError(f"share: must lie in [0, 1], got {share!r:.60}")
        if share in (0.0, 1.0):
            continue
        for arm, rows in zip((canary, baseline), factors(share, margin), strict=True):
            for count, row in zip(arm.counts, rows, strict=True):
                if count:
                    sums = [total + count * log for total, log in zip(sums, row, strict=True)]
    return log_mixture(sums, LOG_WEIGHTS)


@lru_cache(maxsize=256)
def factors(share: float, margin: float) -> tuple[tuple[tuple[float, ...], ...], tuple[tuple[float, ...], ...]]:
    """Log factors of every bet, by arm (canary, baseline) and by score 0, 0.1, … 1."""
    arms = []
    for drawn in (1.0 - share, -share):
        rows = []
        for place in range(POINTS):
            row = []
            for centre, _ in CENTRES:
                worst = max((1 - share) * (1 - centre), share * centre) + share * (1 - share) * margin
                lost = drawn * (place / PARTS - centre) + share * (1 - share) * margin
                row += [math.log1p(-κ / worst * lost) for κ, _ in STAKES]
            rows.append(tuple(row))
        arms.append(tuple(rows))
    return arms[0], arms[1]

"""The bets of the paired test, and the grid on which inclusion probabilities are kept."""

from __future__ import annotations

import math
from bisect import bisect_right
from functools import lru_cache

# Bets as shares κ of the largest stake that a null allows. Large ones end clear cases within a dozen labels; small ones
# serve small effects, and labels drawn with small probability (the weight 1/π multiplies the stake).
BETS: tuple[float, ...] = tuple(0.9 * 0.7**i for i in range(16))
# Most weight where three in four labels favour one arm, as between bundles worth a rollout: a verdict takes 24 labels
# there, against 22 for the best single bet known in advance.
_WEIGHTS = (0.4, 3.0, 4.5, 1.6, 0.6, 0.3, 0.15, 0.1, *[0.03] * 8)
LOG_WEIGHTS: tuple[float, ...] = tuple(math.log(w / sum(_WEIGHTS)) for w in _WEIGHTS)
_HEADROOM = 0.995  # a bet lives only while its worst possible factor stays above 1 − this

# Eight to the octave plus round numbers, which are kept exactly. A probability between two points is rounded against
# the claim being tested, so that every e-value stays valid.
_GRID: tuple[float, ...] = tuple(
    sorted({2 ** (-i / 8) for i in range(105)} | {k / 100 for k in (1, 2, 3, 4, *range(5, 101, 5), 33, 67)})
)
CELLS = 2 * len(_GRID)  # even cells are grid points, odd ones the gap below the next point


def cell_of(inclusion: float) -> int:
    """The cell that keeps `inclusion`, which lies in (0, 1]; everything below the grid shares its last cell, 0 − ε."""
    at = bisect_right(_GRID, inclusion) - 1
    if at < 0:
        return -1
    return 2 * at if _GRID[at] == inclusion else 2 * at + 1


def cell_range(cell: int) -> tuple[float, float]:
    """The smallest and largest inclusion probability that `cell` may hold."""
    if cell % 2 == 0:
        return _GRID[cell // 2], _GRID[cell // 2]
    return _GRID[cell // 2], _GRID[cell // 2 + 1]


def alive(least_inclusion: float, planned: float = 1.0) -> int:
    """How many of the bets, counted from the smallest, can still not lose everything at `least_inclusion`.

    Stakes are in parts of the `planned` inclusion probability. A probability between two grid points counts as the
    lower one, like the labels themselves.
    """
    cell = cell_of(least_inclusion)
    if cell < 0:
        return 0
    largest = _HEADROOM * cell_range(cell)[0]
    return sum(κ * planned <= largest for κ in BETS)


def bet_logs(mean: float, cell: int, bets: int, planned: float = 1.0) -> tuple[tuple[float, ...], ...]:
    """Log factors against H0: E[x] ≤ mean of the last `bets` bets, for x = −1, 0 and +1 of a label kept in `cell`.

    The factor is 1 + κ·planned/(1 + mean)·(x − mean)/π, with π at the end of the cell that favours the null.
    """
    low, high = cell_range(cell)
    rows = []
    for x in (-1.0, 0.0, 1.0):
        distance = (x - mean) / (1.0 + mean)
        gain = distance * planned / (high if distance > 0 else low)
        rows.append(tuple([math.log1p(κ * gain) for κ in BETS[len(BETS) - bets :]]))
    return tuple(rows)


@lru_cache(maxsize=4096)
def cached_bet_logs(mean: float, cell: int, bets: int, planned: float = 1.0) -> tuple[tuple[float, ...], ...]:
    """`bet_logs`, remembered: for nulls that do not move."""
    return bet_logs(mean, cell, bets, planned)

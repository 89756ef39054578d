"""The core's formulas on arrays: many replications and every look at once. A test shows that they equal the core."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from trimtab.core.evidence import firsts
from trimtab.core.evidence.bets import BETS, LOG_WEIGHTS
from trimtab.core.guard.comparisons import EXACT_PART

Floats = NDArray[np.float64]
_PRIOR_SQUARE = 0.25


def log_e_difference(estimate: Floats, variance: Floats, *, null: float, rho: float) -> Floats:
    """`trimtab.core.evidence.wealth.log_e_difference` for arrays of one shape."""
    information = 1.0 / variance
    total = information + rho
    s = (estimate - null) * information
    found: Floats = math.log(2) + 0.5 * np.log(rho / total) + s * s / (2 * total) + log_ndtr(s / np.sqrt(total))
    return found


class ArmPath:
    """Running `Moments` of one arm: arrays of shape (replications, looks)."""

    def __init__(self, n: Any, total: Any, squares: Any, cross: Any, sizes: Any, keys: Any) -> None:
        self.n, self.total, self.squares = n, total, squares
        self.cross, self.sizes, self.keys = cross, sizes, keys

    @classmethod
    def of_single_keys(cls, member: NDArray[np.bool_], y: Floats) -> ArmPath:
        """Running sums when every decision has its own key; `member` and `y` have shape (replications, decisions)."""
        n = np.cumsum(member, axis=1, dtype=np.float64)
        total = np.cumsum(np.where(member, y, 0.0), axis=1)
        binary = bool(((y == 0) | (y == 1)).all())
        squares = total if binary else np.cumsum(np.where(member, y * y, 0.0), axis=1)
        return cls(n, total, squares, total, n, n)

    def residual(self) -> Any:
        """Σ (S_k − mean·n_k)² at every look."""
        mean = self.total / self.n
        return np.maximum(0.0, self.squares - 2 * mean * self.cross + mean * mean * self.sizes)

    def at(self, index: Any) -> ArmPath:
        """The looks `index`."""
        return ArmPath(*(a[:, index] for a in (self.n, self.total, self.squares, self.cross, self.sizes, self.keys)))


def step_difference(canary: ArmPath, baseline: ArmPath) -> tuple[Any, Any, Any]:
    """Weight, difference and variance of one step at every look, as in `moments.difference`."""
    own_c = (
        canary.residual() * np.where(canary.keys > 1, canary.keys / (canary.keys - 1), 1.0) + _PRIOR_SQUARE
    ) / canary.n
    own_b = (
        baseline.residual() * np.where(baseline.keys > 1, baseline.keys / (baseline.keys - 1), 1.0) + _PRIOR_SQUARE
    ) / baseline.n
    pooled = (own_c * canary.n + own_b * baseline.n) / (canary.n + baseline.n)
    weight = canary.n * baseline.n / (canary.n + baseline.n)
    d = canary.total / canary.n - baseline.total / baseline.n
    return weight, d, np.maximum(own_c, pooled) / canary.n + np.maximum(own_b, pooled) / baseline.n


def stratified(parts: list[tuple[Any, Any, Any]]) -> tuple[Any, Any]:
    """Difference and variance over steps, as in `moments.difference`."""
    total = sum(w for w, _, _ in parts)
    return sum(w * d for w, d, _ in parts) / total, sum(w * w * v for w, _, v in parts) / (total * total)


def paired_log_e(better: Any, worse: Any) -> Any:
    """`PairedSummary.log_e_above(0)` for labels drawn with probability 1 (swap the arguments for `log_e_below`)."""
    # Only the stakes differ between bets, so two matrix products give every wealth.
    logs = (
        np.multiply.outer(better, np.log1p(np.array(BETS)))
        + np.multiply.outer(worse, np.log1p(-np.array(BETS)))
        + np.array(LOG_WEIGHTS)
    )
    top = logs.max(axis=-1)
    return top + np.log(np.exp(logs - top[..., None]).sum(axis=-1))


def first_scores_log_e(
    canary: Any, score: Any, share: float, *, margin: float = 0.0, alone: Any = True, earlier: Any = None
) -> Floats:
    """`firsts.log_e_first_scores_below` at every decision of one step, for binary scores; arrays (replications,
    decisions).

    `alone`: which decisions are the first of their key. `earlier`: `first_scores_logs` of the steps before.
    """
    kinds, rows = _first_kinds(canary, score, alone), _first_rows(share, margin)
    found: Floats = np.empty_like(kinds[0], dtype=np.float64)
    size = max(1, 100_000 // found.shape[1])  # replications at a time: the table of wealths stays in the cache
    for start in range(0, len(found), size):
        here = slice(start, start + size)
        counts = np.stack([np.cumsum(kind[here], axis=1, dtype=np.float64) for kind in kinds], axis=-1)
        # One flat product: numpy multiplies a stack of matrices ten times slower.
        logs = (counts.reshape(-1, len(rows)) @ rows).reshape(*counts.shape[:2], -1)
        logs += np.array(firsts.LOG_WEIGHTS)
        if earlier is not None:
            logs += earlier[here, None, :]
        top = logs.max(axis=-1)
        logs -= top[..., None]
        found[here] = top + np.log(np.exp(logs, out=logs).sum(axis=-1))
    return found


def first_scores_logs(canary: Any, score: Any, share: float, *, margin: float = 0.0, alone: Any = True) -> Floats:
    """The log wealth of every bet on first scores after the last decision of a step, (replications, bets)."""
    counts = np.stack([kind.sum(axis=1, dtype=np.float64) for kind in _first_kinds(canary, score, alone)], axis=-1)
    return np.asarray(counts @ _first_rows(share, margin))


def _first_kinds(canary: Any, score: Any, alone: Any) -> list[NDArray[np.bool_]]:
    canary, score = np.asarray(canary, bool), np.asarray(score, bool)
    return [alone & arm & hit for arm in (canary, ~canary) for hit in (~score, score)]


def _first_rows(share: float, margin: float) -> Floats:
    return np.array([arm[place] for arm in firsts.factors(share, margin) for place in (0, firsts.PARTS)])


def with_firsts(asymptotic: Any, usable: Any, exact: Any) -> Any:
    """`comparisons.log_e_score_below`: both e-processes mixed; where the asymptotic one is not `usable`, it is 0."""
    log_e = np.where(usable, asymptotic, -np.inf)
    return np.logaddexp(log_e + math.log(1 - EXACT_PART), exact + math.log(EXACT_PART))


def first(crossed: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Index of the first True in each row, inf where there is none."""
    return np.where(crossed.any(axis=1), crossed.argmax(axis=1).astype(float), np.inf)

"""What a user would pick instead, re-stated from papers and documentation, on running counts of a binary quality.

Every rule takes arrays (replications, looks) of canary and baseline counts and sums, and answers two boolean arrays of
that shape: "roll back now", "promote now".
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import stats

Answer = tuple[Any, Any]


def fixed_thresholds(nc: Any, sc: Any, nb: Any, sb: Any) -> Answer:
    """Roll back when quality drops by more than 5 points, promote when it gains more than 2, from 30 canary
    decisions."""
    d = sc / nc - sb / nb
    enough = (nc >= 30) & (nb >= 30)
    return enough & (d < -0.05), enough & (d > 0.02)


def _variance(n: Any, s: Any) -> Any:
    mean = s / n
    return mean * (1 - mean) * n / np.maximum(n - 1, 1)


def welch(nc: Any, sc: Any, nb: Any, sb: Any) -> Answer:
    """Welch's two-sided t test at 95 %, looked at again and again."""
    vc, vb = _variance(nc, sc) / nc, _variance(nb, sb) / nb
    v = vc + vb
    d = sc / nc - sb / nb
    dof = v**2 / (vc**2 / np.maximum(nc - 1, 1) + vb**2 / np.maximum(nb - 1, 1))
    t = stats.t.ppf(0.975, np.maximum(dof, 1.0))
    enough = (nc >= 30) & (v > 0)
    return enough & (d < -t * np.sqrt(v)), enough & (d > t * np.sqrt(v))


def gbstats_interval(nc: Any, sc: Any, nb: Any, sb: Any, *, alpha: float = 0.05) -> tuple[Any, Any]:
    """GrowthBook's sequential interval of canary minus baseline: `SequentialTwoSidedTTest.confidence_interval` of
    gbstats 0.8 with its default tuning 5000.

    An asymptotic confidence sequence (eq. 9 of arXiv 2103.06476v7) on the absolute difference; two-sided at `alpha`.
    """
    n = nc + nb
    rho2 = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / 5000
    v = _variance(nc, sc) / nc + _variance(nb, sb) / nb
    width = np.sqrt(v * n) * np.sqrt(2 * (n * rho2 + 1) * np.log(np.sqrt(n * rho2 + 1) / alpha) / (n**2 * rho2))
    d = sc / nc - sb / nb
    return d - width, d + width


def gbstats_sequential(nc: Any, sc: Any, nb: Any, sb: Any, *, alpha: float = 0.05) -> Answer:
    """GrowthBook's sequential test: which side of 0 its interval lies on, once both arms have some variance."""
    low, high = gbstats_interval(nc, sc, nb, sb, alpha=alpha)
    usable = (_variance(nc, sc) + _variance(nb, sb) > 0) & (nc >= 2) & (nb >= 2)
    return usable & (high < 0), usable & (low > 0)


def track_and_stop(nc: Any, sc: Any, nb: Any, sb: Any, *, delta: float = 0.05) -> Answer:
    """TensorZero's stopping rule for experiments, without its allocation: a generalised likelihood ratio for "which is
    best".

    Gaussian GLR d²/(2(v_c/n_c + v_b/n_b)) against log((1 + log t)/δ) (Garivier & Kaufmann 2016), variances floored at
    1e-2 of a Bernoulli's largest.
    """
    v = np.maximum(_variance(nc, sc), 0.0025) / nc + np.maximum(_variance(nb, sb), 0.0025) / nb
    d = sc / nc - sb / nb
    shown = d * d / (2 * v) > np.log((1 + np.log(nc + nb)) / delta)
    enough = nc >= 30
    return enough & shown & (d < 0), enough & shown & (d > 0)


def kayenta(nc: Any, sc: Any, nb: Any, sb: Any) -> Answer:
    """Kayenta's judge on time-series points: Mann–Whitney at 98 % between per-look means of canary and baseline,
    peeked.

    A point is one look's block of 100 canary decisions; the judge needs at least 4 points an arm. Its location interval
    is replaced by the equivalent test (normal approximation), without the relative tolerance.
    """
    before = np.zeros((nc.shape[0], 1))
    points = [
        np.diff(np.hstack([before, s]), axis=1) / np.diff(np.hstack([before, n]), axis=1)
        for n, s in ((nc, sc), (nb, sb))
    ]
    looks = nc.shape[1]
    back, forward = np.zeros(nc.shape, bool), np.zeros(nc.shape, bool)
    z = stats.norm.ppf(0.99)
    for k in range(4, looks + 1):
        a, b = points[0][:, :k], points[1][:, :k]
        wins = ((a[:, :, None] > b[:, None, :]) + 0.5 * (a[:, :, None] == b[:, None, :])).sum(axis=(1, 2))
        score = (wins - k * k / 2) / math.sqrt(k * k * (2 * k + 1) / 12)
        back[:, k - 1], forward[:, k - 1] = score < -z, score > z
    return back, forward


RULES = {
    "fixed thresholds": fixed_thresholds,
    "Welch t 95 % peeked": welch,
    "Kayenta judge, peeked": kayenta,
    "GrowthBook sequential (gbstats)": gbstats_sequential,
    "track-and-stop (as TensorZero stops)": track_and_stop,
}

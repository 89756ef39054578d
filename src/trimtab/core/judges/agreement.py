"""Agreement beyond a percentage: against chance, among many raters, over time; and how many judges there really are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy  # its parts load when first used
from numpy.typing import ArrayLike

from trimtab.core.judges.reliability import JudgeSums
from trimtab.core.judges.verdicts import FloatArray, VerdictTable
from trimtab.errors import InvalidStatisticError


def cohen_kappa(confusion: ArrayLike) -> float | None:
    """Agreement beyond chance between a judge and people.

    κ = (p_o − p_e)/(1 − p_e) with p_o the observed share on the diagonal and p_e the share expected from the margins.
    `confusion`: (k, k) non-negative counts or weights (right label, judge's label). In [−1, 1], higher is better; 0 is
    what guessing with the same margins gives. A descriptive figure without an interval. None when nothing was compared,
    and when both margins sit on one label: then chance already explains everything. Raises InvalidStatisticError for
    negative or non-finite counts or a table that is not square. Cohen 1960, 10.1177/001316446002000104.

    >>> round(cohen_kappa([[20, 5], [10, 15]]), 2)
    0.4
    """
    table = np.asarray(confusion, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] != table.shape[1]:
        raise InvalidStatisticError(f"a confusion table is square, got shape {table.shape}")
    if not np.isfinite(table).all() or (table < 0).any():
        raise InvalidStatisticError("a confusion table holds finite counts of 0 or more")
    total = float(table.sum())
    if total <= 0:
        return None
    observed = float(np.trace(table)) / total
    expected = float(table.sum(axis=0) @ table.sum(axis=1)) / total**2
    return None if 1 - expected < 1e-12 else (observed - expected) / (1 - expected)


def krippendorff_alpha(item: ArrayLike, label: ArrayLike, *, n_labels: int) -> float | None:
    """Agreement of any number of raters with missing answers, for labels without order.

    α = 1 − D_o/D_e: observed over expected disagreement of pairable answers. An item with m answers gives m(m−1)
    ordered pairs of weight 1/(m−1); items with one answer give none. `item`, `label`: (n,) indices, one row per answer.
    1 is perfect, 0 chance, below 0 systematic disagreement. Descriptive, without an interval. None when no item has two
    answers, or when every pairable answer is the same label (nothing could have differed). O(n + items · labels).
    Raises InvalidStatisticError for unequal lengths or an index out of range. Hayes & Krippendorff 2007,
    10.1080/19312450709336664.

    >>> krippendorff_alpha([0, 0, 1, 1], [0, 0, 1, 1], n_labels=2)
    1.0
    """
    items, labels = np.asarray(item, dtype=np.int64), np.asarray(label, dtype=np.int64)
    if items.shape != labels.shape or items.ndim != 1:
        raise InvalidStatisticError("items and labels must be two columns of the same length")
    if items.size == 0:
        return None
    if items.min() < 0 or labels.min() < 0 or labels.max() >= n_labels:
        raise InvalidStatisticError(f"a label index is outside 0..{n_labels - 1}, or an item index is negative")
    _, rows = np.unique(items, return_inverse=True)
    counts = np.bincount(rows * n_labels + labels, minlength=(int(rows.max()) + 1) * n_labels)
    counts = counts.reshape(-1, n_labels).astype(np.float64)
    answers = counts.sum(axis=1)
    counts, answers = counts[answers >= 2], answers[answers >= 2]
    n = float(answers.sum())
    if n == 0:
        return None
    disagreeing = float(((answers**2 - (counts**2).sum(axis=1)) / (answers - 1)).sum())
    totals = counts.sum(axis=0)
    expected = (n**2 - float((totals**2).sum())) / (n - 1)
    return None if expected <= 0 else 1.0 - disagreeing / expected


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveJudges:
    """How many independent judges the panel is worth. `count` is None when it cannot be known yet."""

    judges: int
    count: float | None
    compared: int
    mean_error_correlation: float | None


def effective_judges(table: VerdictTable, gold: ArrayLike, *, min_shared: int = 20) -> EffectiveJudges:
    """The effective number of independent judges, from how their errors on human-labelled items go together.

    With R the correlation matrix of error indicators (pairs with fewer than `min_shared` common items count as
    uncorrelated, correlations are shrunk by n/(n + min_shared)) and λ its eigenvalues: count = (Σ λ)²/Σ λ², the
    participation ratio: J when errors are independent, 1 when all judges make the same ones. `gold`: (n_items,), human
    labels. A descriptive figure, without an interval; biased towards J when items are few (the shrinkage). Judges that
    were never compared, always right or always wrong have no correlation and are left out. None for fewer than 2 such
    judges. Raises InvalidInputError for gold of another shape. After Bretherton et al. 1999,
    10.1175/1520-0442(1999)012<1990:TENOSD>2.0.CO;2.
    """
    answers = table.checked_gold(gold)
    right = answers[table.item]
    used = right >= 0
    rows, inverse = np.unique(table.item[used], return_inverse=True)
    errors = np.full((len(rows), len(table.judges)), np.nan)
    errors[inverse, table.judge[used]] = (table.label[used] != right[used]).astype(np.float64)
    seen = np.isfinite(errors)
    often = seen.sum(axis=0)
    share = np.where(seen, errors, 0.0).sum(axis=0) / np.maximum(often, 1)
    varied = (often >= min_shared) & (share > 0) & (share < 1)
    errors, seen = errors[:, varied], seen[:, varied]
    j = errors.shape[1]
    if j < 2:
        return EffectiveJudges(judges=len(table.judges), count=None, compared=j, mean_error_correlation=None)
    correlation = _shrunk_correlation(errors, seen, min_shared)
    count = j**2 / float((correlation**2).sum())
    off = correlation[~np.eye(j, dtype=bool)]
    return EffectiveJudges(judges=len(table.judges), count=count, compared=j, mean_error_correlation=float(off.mean()))


def _shrunk_correlation(errors: FloatArray, seen: np.ndarray, min_shared: int) -> FloatArray:
    """Pairwise correlation over common items, (j, j), shrunk towards 0 where few are common."""
    x, m = np.where(seen, errors, 0.0), seen.astype(np.float64)
    n = m.T @ m
    safe = np.maximum(n, 1.0)
    sum_x, sum_y = x.T @ m, m.T @ x  # over the common items of each pair
    covariance = (x.T @ x) / safe - sum_x * sum_y / safe**2
    square_x, square_y = (x * x).T @ m, m.T @ (x * x)
    spread = (square_x / safe - (sum_x / safe) ** 2) * (square_y / safe - (sum_y / safe) ** 2)
    raw = np.divide(covariance, np.sqrt(np.maximum(spread, 0)), out=np.zeros_like(covariance), where=spread > 1e-12)
    shrunk = np.where(n >= min_shared, raw * n / (n + min_shared), 0.0)
    np.fill_diagonal(shrunk, 1.0)
    result: FloatArray = shrunk
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """Agreement within the last half-life against before. `change` and `interval` are None when a side is empty."""

    recent: float | None
    recent_n: int
    older: float | None
    older_n: int
    change: float | None
    interval: tuple[float, float] | None
    drifted: bool


def drift(sums: JudgeSums, *, coverage: float = 0.95) -> Drift:
    """Has this judge's agreement moved? Recent minus older agreement, undecayed, with an interval.

    Each side is the Hájek estimate for all decisions (survey weights v), so that another way of choosing questions does
    not pose as drift, at its effective size (Σ v)²/Σ v²; without survey weights these are plain counts.

    Newcombe's hybrid score interval for a difference of two independent shares (method 10, 10.1002/(SICI)1097-
    0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I): close to nominal coverage for one look, none promised when peeking.
    `drifted` when the interval excludes 0. An empty side gives None and not drifted: no evidence is not a change.
    """
    recent_n, older_n = int(sums.recent[0]), int(sums.older[0])
    recent = min(1.0, float(sums.recent[2] / sums.recent[1])) if recent_n else None
    older = min(1.0, float(sums.older[2] / sums.older[1])) if older_n else None
    if recent is None or older is None:
        return Drift(
            recent=recent, recent_n=recent_n, older=older, older_n=older_n, change=None, interval=None, drifted=False
        )
    z = float(scipy.special.ndtri(0.5 + coverage / 2))
    size_a, size_b = (float(side[1] ** 2 / side[3]) for side in (sums.recent, sums.older))
    low_a, high_a = wilson_interval(min(recent * size_a, size_a), size_a, z=z)
    low_b, high_b = wilson_interval(min(older * size_b, size_b), size_b, z=z)
    change = recent - older
    low = change - float(np.hypot(recent - low_a, high_b - older))
    high = change + float(np.hypot(high_a - recent, older - low_b))
    return Drift(
        recent=recent,
        recent_n=recent_n,
        older=older,
        older_n=older_n,
        change=change,
        interval=(low, high),
        drifted=low > 0 or high < 0,
    )


def wilson_interval(hits: float, n: float, *, z: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson's score interval for a share, hits of n with n > 0 (10.1080/01621459.1927.10502953); fixed n, no peeking.

    Raises InvalidStatisticError outside 0 ≤ hits ≤ n, n > 0.

    >>> low, high = wilson_interval(8, 10)
    >>> round(low, 3), round(high, 3)
    (0.49, 0.943)
    """
    if not (n > 0 and 0 <= hits <= n):
        raise InvalidStatisticError(f"a share needs 0 ≤ hits ≤ n and n > 0, got {hits} of {n}")
    p = hits / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)))
    return max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half))  # rounding must not leave p outside

"""Which decisions to ask people about: mostly where we are unsure, always with a known probability.

An answer that was *chosen* tells about all decisions only through the probability with which it was chosen. So every
draw here has an exact inclusion probability π, and a slice of the budget is a uniform audit of everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trimtab.core.judges.verdicts import FloatArray
from trimtab.errors import InvalidStatisticError


class AskedFor(StrEnum):
    """Why a decision was drawn."""

    DISCORDANT = "discordant"  # the two arms of a live rollout chose differently: one answer judges both
    UNCERTAIN = "uncertain"  # drawn in proportion to its uncertainty
    AUDIT = "audit"  # drawn uniformly, whatever we believed about it


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingPlan:
    """How a budget of questions is spread.

    audit_share: part of the budget (after the discordant quota) that is uniform over the pool; above 0, because it is
    also the floor under every π. breadth: the uncertain part is spread over about breadth · budget decisions: 1 asks
    close to the most uncertain only, large values approach uniform. discordant_quota: questions reserved for discordant
    decisions.
    """

    budget: int
    audit_share: float = 0.1
    breadth: float = 4.0
    discordant_quota: int = 0

    def __post_init__(self) -> None:
        if self.budget < 0 or not 0 <= self.discordant_quota <= self.budget:
            raise InvalidStatisticError("a sampling plan needs 0 ≤ discordant quota ≤ budget")
        if not 0 < self.audit_share <= 1:
            raise InvalidStatisticError("the audit share must be in (0, 1]: it is the floor under every probability")
        if not self.breadth >= 1:
            raise InvalidStatisticError("the breadth must be at least 1")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """The drawn items: index (m,) ascending, probability (m,), asked_for (m,); `inclusion` (n,) π of every item."""

    index: NDArray[np.int64]
    probability: FloatArray
    asked_for: tuple[AskedFor, ...]
    inclusion: FloatArray

    def __len__(self) -> int:
        return len(self.index)


def draw_sample(
    uncertainty: ArrayLike,
    plan: SamplingPlan,
    rng: np.random.Generator,
    *,
    discordant: ArrayLike | None = None,
    group: ArrayLike | None = None,
    spread: ArrayLike | None = None,
) -> Sample:
    """Draw about `plan.budget` of n items, each with a known marginal inclusion probability π > 0.

    `uncertainty`: (n,) in [0, 1]. `discordant`: (n,) bool, the stratum of a live rollout's discordant decisions.
    `group`: (n,) integer near-duplicate group; at most one item of a group is drawn from each stratum. `spread`: (n,)
    numbers along which similar items are near (see `spread_order`); the draw is spread evenly along it.

    Design. *Discordant stratum* (n_d groups): min(quota, n_d) groups, uniformly; π = min(1, quota/n_d) / group size.
    *The rest*: π_g = min(1, a + c · s_g) for each group, a = audit share · m / groups uniform, s = u^γ; c makes Σ π = m
    exactly and γ makes the effective number of candidates (Σ s)²/Σ s² about breadth · m. Drawn by systematic
    probability-proportional-to-size sampling (Madow 1949, 10.1214/aoms/1177729988): in random order, or along `spread`
    from a random start. Its first-order π are exact either way and the size is fixed (±1 where Σ π is not whole). Of a
    group one member is taken, each alike, so π_i = π_g / group size. A drawn item belongs to the audit with probability
    a/π_g: marginally every group is audited with the same probability a, so plain means over
    the audit slice estimate means over groups.

    π depends on the uncertainties only, never on the draw, so Horvitz–Thompson sums Σ y/π are unbiased (10.1080/
    01621459.1952.10483446). Unused discordant quota goes to the rest. n = 0 or budget 0: an empty sample. O(n log n).
    Raises InvalidStatisticError for uncertainty outside [0, 1] or columns of another length.

    >>> plan = SamplingPlan(budget=2, audit_share=0.5)
    >>> sample = draw_sample([0.9, 0.1, 0.5, 0.2], plan, np.random.default_rng(1))
    >>> len(sample), round(float(sample.inclusion.sum()), 9)
    (2, 2.0)
    """
    score = np.asarray(uncertainty, dtype=np.float64)
    n = len(score)
    if score.ndim != 1 or (n and not (np.isfinite(score).all() and score.min() >= 0 and score.max() <= 1)):
        raise InvalidStatisticError("uncertainties must be a column of numbers in [0, 1]")
    stratum = np.zeros(n, dtype=bool) if discordant is None else np.asarray(discordant, dtype=bool)
    groups = np.arange(n) if group is None else np.asarray(group)
    along = None if spread is None else np.asarray(spread, dtype=np.float64)
    if stratum.shape != (n,) or groups.shape != (n,) or (along is not None and along.shape != (n,)):
        raise InvalidStatisticError(f"every column must have {n} rows")
    inclusion = np.zeros(n)
    parts: list[tuple[NDArray[np.int64], NDArray[np.bool_]]] = []
    asked = 0
    if plan.discordant_quota and stratum.any():
        rows = np.flatnonzero(stratum)
        drawn, inclusion[rows], _ = _draw(
            np.ones(len(rows)), groups[rows], float(plan.discordant_quota), 1.0, 1.0, None, rng
        )
        parts.append((rows[drawn], np.zeros(len(drawn), dtype=bool)))
        asked = len(drawn)
    else:
        stratum = np.zeros(n, dtype=bool)  # without a quota discordant items compete like all others
    rows = np.flatnonzero(~stratum)
    if len(rows) and plan.budget > asked:
        drawn, inclusion[rows], audit = _draw(
            score[rows],
            groups[rows],
            float(plan.budget - asked),
            plan.audit_share,
            plan.breadth,
            None if along is None else along[rows],
            rng,
        )
        parts.append((rows[drawn], audit))
    index = np.concatenate([p for p, _ in parts]) if parts else np.zeros(0, np.int64)
    audited = np.concatenate([a for _, a in parts]) if parts else np.zeros(0, bool)
    order = np.argsort(index, kind="stable")
    index, audited = index[order], audited[order]
    return Sample(
        index=index,
        probability=inclusion[index],
        asked_for=tuple(
            AskedFor.DISCORDANT if stratum[i] else AskedFor.AUDIT if a else AskedFor.UNCERTAIN
            for i, a in zip(index.tolist(), audited.tolist(), strict=True)
        ),
        inclusion=inclusion,
    )


def _draw(
    score: FloatArray,
    group: NDArray[np.int64],
    budget: float,
    audit_share: float,
    breadth: float,
    along: FloatArray | None,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], FloatArray, NDArray[np.bool_]]:
    """(drawn rows, π of every row, whether a drawn row is audit) within one stratum."""
    _, first, place = np.unique(group, return_index=True, return_inverse=True)
    n_groups = len(first)
    size = _sharpened(score, breadth * budget)
    group_size = np.zeros(n_groups)
    np.maximum.at(group_size, place, size)
    base = audit_share * min(budget, n_groups) / n_groups
    pi_group = _capped_probabilities(group_size * (1 - audit_share), base, min(budget, float(n_groups)))
    order = rng.permutation(n_groups) if along is None else np.lexsort((rng.random(n_groups), along[first]))
    chosen = _systematic(pi_group, order, rng)
    alone = n_groups == len(score)
    rows = first[chosen] if alone else _one_of_each(chosen, place, rng)
    pi = pi_group[place] if alone else pi_group[place] / np.bincount(place)[place]
    audit = rng.random(len(rows)) * pi_group[place[rows]] < base
    return rows, pi, audit


def _sharpened(score: FloatArray, candidates: float) -> FloatArray:
    """score^γ, scaled to a maximum of 1, with the γ ≥ 1 that leaves about `candidates` effective candidates."""
    top = float(score.max(initial=0.0))
    if top <= 0:
        return np.ones(len(score))
    logs = np.log(np.maximum(score / top, 1e-300))

    def effective(gamma: float) -> float:
        s = np.exp(gamma * logs)
        return float(s.sum() ** 2 / (s @ s))

    low, high = 0.0, np.log(1e6)
    if effective(1.0) > candidates:
        for _ in range(24):
            middle = (low + high) / 2
            low, high = (middle, high) if effective(float(np.exp(middle))) > candidates else (low, middle)
        gamma = float(np.exp(high))
    else:
        gamma = 1.0
    result: FloatArray = np.exp(gamma * logs)
    return result


def _capped_probabilities(size: FloatArray, base: float, total: float) -> FloatArray:
    """π = min(1, base + c · size) with c such that Σ π = total; what a zero size cannot take is spread evenly."""
    n = len(size)
    if total >= n:
        return np.ones(n)
    order = np.argsort(-size, kind="stable")
    ordered = size[order]
    rest = np.cumsum(ordered[::-1])[::-1]  # Σ of sizes from rank i on
    # With the first i capped at 1: c = (total − i − (n − i)·base) / rest[i]; right is the first i whose c fits.
    i = np.arange(n)
    free = total - i - (n - i) * base
    spreadable = rest > 1e-200  # what is left beyond is nothing, and would overflow
    c = np.divide(free, rest, out=np.zeros(n), where=spreadable)
    fits = spreadable & (base + c * ordered <= 1 + 1e-12)
    if not fits.any():  # fewer positive sizes than questions: all of those, and the others evenly
        capped = size > 1e-200
        left = (total - int(capped.sum())) / max(1, n - int(capped.sum()))
        return np.where(capped, 1.0, left)
    start = int(np.argmax(fits))
    return np.minimum(1.0, base + max(0.0, float(c[start])) * size)


def _systematic(pi: FloatArray, order: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Madow's systematic draw: one random start, then a unit step through the cumulated π in the given order."""
    edges = np.cumsum(pi[order])
    whole = np.rint(edges[-1])
    if abs(edges[-1] - whole) < 1e-6:
        edges[-1] = whole  # rounding must not lose or add a question
    start = rng.random()
    ticks = np.floor(edges - start).astype(np.int64) + 1  # ticks start, start + 1, … at or before each edge
    taken = np.diff(ticks, prepend=0) > 0
    result: NDArray[np.int64] = order[taken]
    return result


def _one_of_each(chosen: NDArray[np.int64], place: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """One row of every chosen group, each member with the same probability."""
    wanted = np.zeros(int(place.max()) + 1, dtype=bool)
    wanted[chosen] = True
    rows = np.flatnonzero(wanted[place])
    order = np.lexsort((rng.random(len(rows)), place[rows]))
    ordered = rows[order]
    first = np.concatenate([[True], np.diff(place[ordered]) > 0])
    result: NDArray[np.int64] = ordered[first]
    return result


def spread_order(features: ArrayLike, uncertainty: ArrayLike) -> FloatArray:
    """A position (n,) for each item such that similar uncertain items are near: for `spread` of `draw_sample`.

    The projection on the direction in which the uncertain items differ most (first principal component of the
    standardised features, weighted by uncertainty^8, by eigenvectors), so a draw that is even along it asks
    different questions. `features`: (n, p) finite numbers; `uncertainty`: (n,) in [0, 1]. Features that never vary, or
    no uncertain item at all, give zeros (no order). Deterministic, O(n · p). Raises InvalidStatisticError for another
    shape or values that are not finite.
    """
    x = np.asarray(features, dtype=np.float64)
    score = np.asarray(uncertainty, dtype=np.float64)
    if x.ndim != 2 or score.shape != (len(x),) or not np.isfinite(x).all() or not np.isfinite(score).all():
        raise InvalidStatisticError("features must be a table of finite numbers with one uncertainty per row")
    weight = score**8
    if len(x) == 0 or float(weight.sum()) <= 0:
        return np.zeros(len(x))
    scale = x.std(axis=0)
    z = np.clip((x - x.mean(axis=0)) / np.where(scale > 0, scale, 1.0), -3.0, 3.0)
    z -= (weight @ z) / weight.sum()
    covariance = (z * weight[:, None]).T @ z
    if not float(np.abs(covariance).max(initial=0.0)) > 0:
        return np.zeros(len(x))
    direction = np.linalg.eigh(covariance)[1][:, -1]
    direction *= np.sign(direction[int(np.argmax(np.abs(direction)))])
    result: FloatArray = z @ direction
    return result

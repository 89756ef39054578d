"""Means of served outcomes and their differences between arms, with the key, not the decision, as the unit of
chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from trimtab.core.evidence import wire
from trimtab.errors import InvalidStatisticError

LEAST_KEYS = 30  # canary keys below which no asymptotic statement is made
_PRIOR_SQUARE = 0.25  # half a failure against half a success: no variance is ever estimated as 0


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySum:
    """One key's outcomes of one quantity so far: what the store keeps to turn a new outcome into an update."""

    n: int = 0
    total: float = 0.0

    def add(self, value: float) -> KeySum:
        """One more outcome of this key."""
        return KeySum(n=self.n + 1, total=self.total + wire.number(value, "outcome"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Sums over keys k with n_k outcomes that add up to S_k: enough for a mean and its key-clustered variance.

    Merging two summaries is right when no key is in both; a store keeps each key's running `KeySum` and calls `update`.
    """

    n: int = 0  # outcomes
    keys: int = 0
    total: float = 0.0  # Σ S_k
    squares: float = 0.0  # Σ S_k²
    cross: float = 0.0  # Σ S_k·n_k
    sizes: int = 0  # Σ n_k²

    def update(self, before: KeySum, after: KeySum) -> Moments:
        """Replace one key's sums by its new ones. Raises InvalidStatisticError when outcomes would disappear."""
        if after.n < before.n:
            raise InvalidStatisticError(f"key: {before.n} outcomes cannot become {after.n}")
        return Moments(
            n=self.n + after.n - before.n,
            keys=self.keys + int(after.n > 0) - int(before.n > 0),
            total=self.total + after.total - before.total,
            squares=self.squares + after.total**2 - before.total**2,
            cross=self.cross + after.total * after.n - before.total * before.n,
            sizes=self.sizes + after.n**2 - before.n**2,
        )

    def add(self, value: float) -> Moments:
        """Count the only outcome of a new key."""
        return self.update(KeySum(), KeySum().add(value))

    def merge(self, other: Moments) -> Moments:
        """Both summaries as one; their keys are different ones."""
        return Moments(**{name: getattr(self, name) + getattr(other, name) for name in _NAMES})

    def mean(self) -> float | None:
        """Mean over outcomes; None without any."""
        return self.total / self.n if self.n else None

    def residual(self) -> float:
        """Σ (S_k − mean·n_k)², at least 0: what the clustered variance is made of; 0 without outcomes."""
        if self.n == 0:
            return 0.0
        mean = self.total / self.n
        return max(0.0, self.squares - 2 * mean * self.cross + mean * mean * self.sizes)

    def to_mapping(self) -> dict[str, Any]:
        """The sums as plain JSON data."""
        return {"v": 1, **{name: getattr(self, name) for name in _NAMES}}

    @classmethod
    def from_mapping(cls, given: Any) -> Moments:
        """Sums from stored JSON. Raises InvalidStatisticError naming what is wrong."""
        known = wire.table(given, "moments", frozenset(_NAMES))
        n, keys, sizes = (wire.count(known[name], f"moments.{name}") for name in ("n", "keys", "sizes"))
        if not keys <= n <= sizes or (n > 0) != (keys > 0):
            raise InvalidStatisticError(f"moments: {keys} keys, {n} outcomes and {sizes} squared cannot be")
        return cls(
            n=n,
            keys=keys,
            sizes=sizes,
            total=wire.number(known["total"], "moments.total"),
            squares=wire.number(known["squares"], "moments.squares", low=-1e-6),
            cross=wire.number(known["cross"], "moments.cross"),
        )


_NAMES = tuple(field.name for field in fields(Moments))


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Canary mean minus `baseline_scale` times baseline mean, over all steps, with its variance."""

    estimate: float
    variance: float
    canary_n: int
    canary_keys: int
    baseline_n: int


def unit_variances(canary: Moments, baseline: Moments) -> tuple[float, float]:
    """The variance of one outcome in each arm, key-clustered, and never below the pooled one.

    An arm that happened to see no failure yet would otherwise claim certainty; max(own, pooled) with half an imagined
    deviation added keeps early looks honest (false promotions at a rate of .99 fall from 36 % to below 2.5 %).
    """
    own = []
    for arm in (canary, baseline):
        small_sample = arm.keys / (arm.keys - 1) if arm.keys > 1 else 1.0
        own.append((arm.residual() * small_sample + _PRIOR_SQUARE) / arm.n)
    pooled = (own[0] * canary.n + own[1] * baseline.n) / (canary.n + baseline.n)
    return max(own[0], pooled), max(own[1], pooled)


def difference(steps: Sequence[tuple[Moments, Moments]], *, baseline_scale: float = 1.0) -> Difference | None:
    """The stage-stratified difference d = Σ w_s(m_c,s − a·m_b,s)/Σ w_s, w_s = N_c·N_b/(N_c + N_b), and its variance.

    Args: (canary, baseline) sums of each step; `baseline_scale` a > 0. Only concurrent outcomes are compared, so a
    drift that both arms share does not bias d however the shares change. Steps where an arm has no outcome do not
    count. None when no step has both arms, or fewer than 30 canary or baseline keys in all: no statement is made from
    that.
    Guarantee: V is consistent under dependence within keys; feed it to `wealth.log_e_difference`.
    Source: cluster-robust variance, Liang & Zeger (1986), doi:10.1093/biomet/73.1.13.

    >>> arm = Moments()
    >>> for i in range(100):
    ...     arm = arm.add(float(i % 4 > 0))
    >>> difference([(arm, arm)]).estimate
    0.0
    """
    total = estimate = variance = 0.0
    canary_n = canary_keys = baseline_n = baseline_keys = 0
    for canary, baseline in steps:
        if canary.n == 0 or baseline.n == 0:
            continue
        weight = canary.n * baseline.n / (canary.n + baseline.n)
        unit_c, unit_b = unit_variances(canary, baseline)
        total += weight
        estimate += weight * (canary.total / canary.n - baseline_scale * baseline.total / baseline.n)
        variance += weight * weight * (unit_c / canary.n + baseline_scale**2 * unit_b / baseline.n)
        canary_n, canary_keys = canary_n + canary.n, canary_keys + canary.keys
        baseline_n, baseline_keys = baseline_n + baseline.n, baseline_keys + baseline.keys
    if min(canary_keys, baseline_keys) < LEAST_KEYS:
        return None
    return Difference(
        estimate=estimate / total,
        variance=variance / (total * total),
        canary_n=canary_n,
        canary_keys=canary_keys,
        baseline_n=baseline_n,
    )

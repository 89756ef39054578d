"""Betting against a null: log wealths, their mixtures, and anytime-valid bounds for a rate.

A bet multiplies its wealth by a factor whose expectation under the null is at most 1, so by Ville's inequality the
chance that the wealth ever reaches 1/α is at most α, however often one looks. A mixture of bets with fixed weights is
again such a wealth. All functions work on logarithms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

from trimtab.core.evidence.wire import alpha as checked_alpha
from trimtab.core.evidence.wire import count
from trimtab.errors import InvalidStatisticError

LARGEST_E_VALUE = 1e300  # JSON has no infinity; beyond this an e-value says no more


def e_value(log_e: float) -> float:
    """exp(log_e), kept finite (at most 1e300) so that it can be written as JSON.

    >>> e_value(0.0), e_value(float("inf")), e_value(float("-inf"))
    (1.0, 1e+300, 0.0)
    """
    return LARGEST_E_VALUE if log_e > 690.0 else math.exp(log_e)


def log_mixture(log_wealths: Sequence[float], log_weights: Sequence[float]) -> float:
    """log Σ weight·wealth, without overflow; −inf when every wealth is 0."""
    terms = [a + b for a, b in zip(log_wealths, log_weights, strict=True)]
    top = max(terms)
    if top == -math.inf:
        return top
    return top + math.log(sum([math.exp(t - top) for t in terms]))


def log_normal_cdf(z: float) -> float:
    """log Φ(z), also far in the lower tail, where Φ itself underflows.

    >>> round(log_normal_cdf(0.0), 12) == round(math.log(0.5), 12)
    True
    """
    if z > -25.0:
        return math.log(0.5 * math.erfc(-z / math.sqrt(2.0)))
    # Mills' ratio with three terms: relative error below 1e-7 from z = -25 on.
    return -0.5 * z * z - math.log(-z) - 0.5 * math.log(2 * math.pi) + math.log1p(-1 / z**2 + 3 / z**4 - 15 / z**6)


def log_e_difference(difference: float, variance: float, *, null: float, rho: float) -> float:
    """Evidence that a mean difference is above `null`, from an asymptotic one-sided normal mixture in information time.

    With I = 1/V and S = (d − null)·I: log e = log 2 + ½ log(ρ/(I+ρ)) + S²/(2(I+ρ)) + log Φ(S/√(I+ρ)).

    Args: `difference` d and its `variance` V > 0; `rho` > 0, the information at which the mixture is sharpest, fixed
    before the first look. Guarantee: P(∃ look: e ≥ 1/α) ≤ α asymptotically (from a few dozen observations on, with a
    variance estimate that does not undershoot); evidence for "below" is the same with d and null negated.
    Raises InvalidStatisticError for values outside this domain.
    Sources: Waudby-Smith et al. (2024), doi:10.1214/24-AOS2408; Howard et al. (2021), doi:10.1214/20-AOS1991.

    >>> round(log_e_difference(0.05, 0.0001, null=0.0, rho=500.0), 3)
    11.076
    """
    if not (math.isfinite(difference) and math.isfinite(null) and 0 < variance < math.inf and 0 < rho < math.inf):
        raise InvalidStatisticError(
            f"difference {difference!r}, null {null!r}, variance {variance!r}, rho {rho!r}: "
            "must be finite, variance and rho above 0"
        )
    information = 1.0 / variance
    s = (difference - null) * information
    total = information + rho
    return math.log(2.0) + 0.5 * math.log(rho / total) + s * s / (2 * total) + log_normal_cdf(s / math.sqrt(total))


def difference_bounds(difference: float, variance: float, *, alpha: float, rho: float) -> tuple[float, float]:
    """The anytime-valid interval of a mean difference: each side holds with probability 1 − α/2 at every look
    (asymptotic).

    Two-sided normal mixture: d ± √(2(I+ρ)·log(√((I+ρ)/ρ)/α))/I with I = 1/V. Sources as `log_e_difference`.

    >>> low, high = difference_bounds(0.05, 0.0001, alpha=0.05, rho=500.0)
    >>> round(low, 4), round(high, 4)
    (0.0192, 0.0808)
    """
    log_e_difference(difference, variance, null=0.0, rho=rho)  # the same domain
    information = 1.0 / variance
    total = information + rho
    half = math.sqrt(2 * total * math.log(math.sqrt(total / rho) / checked_alpha(alpha))) / information
    return difference - half, difference + half


@lru_cache(maxsize=4096)
def rate_bounds(successes: int, n: int, alpha: float) -> tuple[float, float]:
    """Anytime-valid bounds of a rate: both hold at every n together with probability ≥ 1 − α.

    Inverts the beta-binomial mixture martingale with a Beta(½, ½) mixing law:
    M(p) = B(k+½, n−k+½)/(B(½, ½)·p^k·(1−p)^(n−k)); the interval is {p: M(p) < 1/α}. Exact for independent draws, and
    for any sequence whose conditional success rate is constant. No data gives (0, 1).
    Raises InvalidStatisticError for counts or α outside their domain.
    Source: Robbins (1970), doi:10.1214/aoms/1177696786; Howard et al. (2021), doi:10.1214/20-AOS1991.

    >>> low, high = rate_bounds(8, 100, 0.05)
    >>> round(low, 3), round(high, 3)
    (0.019, 0.2)
    """
    count(successes, "successes")
    count(n, "n")
    checked_alpha(alpha)
    if successes > n:
        raise InvalidStatisticError(f"successes {successes}: more than the {n} draws")
    if n == 0:
        return 0.0, 1.0
    k, m = successes, n - successes
    log_numerator = math.lgamma(k + 0.5) + math.lgamma(m + 0.5) - math.lgamma(n + 1.0) - math.log(math.pi)
    limit = log_numerator + math.log(alpha)  # p is inside while its log likelihood is above this

    def inside(p: float) -> bool:
        return (k * math.log(p) if k else 0.0) + (m * math.log1p(-p) if m else 0.0) > limit

    estimate = k / n
    return (
        0.0 if k == 0 else _edge(inside, outer=0.0, inner=estimate),
        1.0 if m == 0 else _edge(inside, outer=1.0, inner=estimate),
    )


def _edge(inside: Callable[[float], bool], *, outer: float, inner: float) -> float:
    # Bisection keeps `outer` outside, so the returned bound errs on the safe side.
    for _ in range(40):
        middle = 0.5 * (outer + inner)
        if inside(middle):
            inner = middle
        else:
            outer = middle
    return outer

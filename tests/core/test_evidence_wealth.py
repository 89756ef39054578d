"""Mixtures, the normal-mixture e-value and rate bounds, against independent computations."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from trimtab.core.evidence.wealth import (
    difference_bounds,
    e_value,
    log_e_difference,
    log_mixture,
    log_normal_cdf,
    rate_bounds,
)
from trimtab.errors import InvalidStatisticError


@pytest.mark.parametrize(
    ("estimate", "variance", "null", "rho"),
    [(0.05, 0.001, 0.0, 500.0), (-0.02, 0.0004, 0.0, 500.0), (0.0, 0.0002, -0.03, 1400.0), (0.3, 0.01, 0.1, 20.0)],
)
def test_the_difference_e_value_equals_the_integral_over_its_half_normal_mixture(
    estimate: float, variance: float, null: float, rho: float
) -> None:
    information = 1 / variance
    s = (estimate - null) * information

    def term(theta: float) -> float:
        density = 2 * math.sqrt(rho / (2 * math.pi)) * math.exp(-0.5 * rho * theta * theta)
        return density * math.exp(theta * s - 0.5 * theta * theta * information)

    top = max(0.0, s / (information + rho))
    width = 1 / math.sqrt(information + rho)
    edges = [0.0, *sorted({max(0.0, top + k * width) for k in (-12, -4, 0, 4, 12)}), top + 60 * width]
    found = sum(integrate.quad(term, a, b, epsabs=0, epsrel=1e-13)[0] for a, b in itertools.pairwise(edges) if b > a)
    assert log_e_difference(estimate, variance, null=null, rho=rho) == pytest.approx(math.log(found), abs=1e-9)


@given(st.floats(-35, 10))
def test_the_log_normal_tail_agrees_with_scipy(z: float) -> None:
    assert log_normal_cdf(z) == pytest.approx(float(stats.norm.logcdf(z)), rel=1e-8, abs=1e-12)


@pytest.mark.parametrize(("k", "n"), [(0, 1), (0, 40), (3, 40), (40, 40), (500, 1000), (1, 100_000)])
def test_rate_bounds_are_where_the_beta_mixture_reaches_one_over_alpha(k: int, n: int) -> None:
    low, high = rate_bounds(k, n, 0.05)

    def log_martingale(p: float) -> float:
        mixture = stats.betabinom.logpmf(k, n, 0.5, 0.5)
        return float(mixture - stats.binom.logpmf(k, n, p))

    assert 0 <= low <= k / n <= high <= 1
    for bound, edge in ((low, 0.0), (high, 1.0)):
        if bound != edge:
            assert log_martingale(bound) == pytest.approx(math.log(20), abs=1e-3)
            assert log_martingale(bound) >= math.log(20) - 1e-9


def test_rate_bounds_hold_at_every_look_together() -> None:
    rng = np.random.default_rng(1)
    missed = 0
    for _ in range(300):
        successes = np.cumsum(rng.random(400) < 0.07)
        looks = range(9, 400, 10)
        missed += any(
            not low <= 0.07 <= high for low, high in (rate_bounds(int(successes[i]), i + 1, 0.1) for i in looks)
        )
    assert missed / 300 <= 0.1


def test_no_draws_say_nothing_about_a_rate() -> None:
    assert rate_bounds(0, 0, 0.05) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("k", "n", "alpha"), [(2, 1, 0.05), (-1, 4, 0.05), (1, 4, 0.0), (1, 4, math.nan), (True, 4, 0.1)]
)
def test_impossible_counts_are_refused(k: int, n: int, alpha: float) -> None:
    with pytest.raises(InvalidStatisticError):
        rate_bounds(k, n, alpha)


@given(st.floats(-1, 1), st.floats(1e-6, 10), st.floats(1, 1e4))
def test_the_interval_holds_the_estimate_and_shrinks_with_alpha(d: float, variance: float, rho: float) -> None:
    low, high = difference_bounds(d, variance, alpha=0.05, rho=rho)
    lower, higher = difference_bounds(d, variance, alpha=0.01, rho=rho)
    assert lower <= low <= d <= high <= higher


@pytest.mark.parametrize("variance", [0.0, -1.0, math.nan, math.inf])
def test_a_difference_without_a_variance_is_refused(variance: float) -> None:
    with pytest.raises(InvalidStatisticError, match="variance"):
        log_e_difference(0.1, variance, null=0.0, rho=1.0)


def test_a_mixture_survives_wealths_that_are_lost_or_enormous() -> None:
    half = math.log(0.5)
    assert log_mixture([-math.inf, 2000.0], [half, half]) == pytest.approx(2000 + half)
    assert log_mixture([-math.inf, -math.inf], [half, half]) == -math.inf
    assert e_value(2000.0) == 1e300

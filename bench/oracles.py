"""Our formulas against independent ones: numerical integrals, scipy, and the rivals' own code where it is installed."""

from __future__ import annotations

import math
from importlib import import_module
from importlib.util import find_spec
from itertools import product
from typing import Any

import numpy as np
from scipy import integrate, optimize, special, stats

from bench import _gbstats, rivals
from bench.common import Report
from bench.ppi import sums
from trimtab.core.evidence.exposure import SplitCounts, log_e_split
from trimtab.core.evidence.firsts import CENTRES, LOG_WEIGHTS, STAKES, FirstScores, log_e_first_scores_below
from trimtab.core.evidence.wealth import log_e_difference, log_normal_cdf, rate_bounds
from trimtab.core.judges.agreement import krippendorff_alpha


def normal_mixture() -> float:
    """Largest distance of `log_e_difference` from the integral of its half-normal mixture."""
    worst = 0.0
    for d, n, rho in product((-0.05, 0.0, 0.02, 0.1), (40, 400, 4_000), (50.0, 300.0, 2_000.0)):
        information = n / 0.25
        s = d * information
        top = max(0.0, s / (information + rho))  # where the integrand is largest
        peak = top * s - top * top * (information + rho) / 2

        def part(θ: float, s: float = s, rate: float = information + rho, peak: float = peak) -> float:
            return math.exp(θ * s - θ * θ * rate / 2 - peak)

        spread = 40 / math.sqrt(information + rho)
        whole, _ = integrate.quad(part, 0, top + spread, points=[top] if top else None, epsabs=0, epsrel=1e-12)
        expected = peak + math.log(whole) + math.log(2) + 0.5 * math.log(rho / (2 * math.pi))
        worst = max(worst, abs(log_e_difference(d, 1 / information, null=0.0, rho=rho) - expected))
    return worst


def normal_tail() -> float:
    """Largest distance of `log_normal_cdf` from scipy's."""
    z = np.linspace(-60, 8, 500)
    expected = special.log_ndtr(z)
    return float(max(abs(log_normal_cdf(float(a)) - b) for a, b in zip(z, expected, strict=True)))


def sample_ratio() -> float:
    """Largest distance of `log_e_split` from the beta-binomial over the binomial likelihood."""
    worst = 0.0
    for share, n, extra in product((0.1, 0.5), (10, 1_000, 20_000), (0.0, 0.03)):
        canary = round((share + extra) * n)
        found = log_e_split([(SplitCounts(canary=canary, baseline=n - canary), share)])
        mixed = stats.betabinom.logpmf(canary, n, 1000 * share, 1000 * (1 - share))
        worst = max(worst, abs(found - float(mixed - stats.binom.logpmf(canary, n, share))))
    return worst


def rates() -> float:
    """Largest distance of `rate_bounds` from the roots of the beta mixture's e-value, found by scipy."""
    worst = 0.0
    for k, n, alpha in product((0, 1, 30), (50, 400), (0.05, 0.0025)):

        def above(p: float, k: int = k, n: int = n, alpha: float = alpha) -> float:
            mixture = special.betaln(k + 0.5, n - k + 0.5) - special.betaln(0.5, 0.5)
            return float(mixture - special.xlogy(k, p) - special.xlog1py(n - k, -p) + math.log(alpha))

        low, high = rate_bounds(k, n, alpha)
        if k:
            worst = max(worst, abs(low - optimize.brentq(above, 1e-15, k / n, xtol=1e-14)))
        worst = max(worst, abs(high - optimize.brentq(above, max(k / n, 1e-15), 1 - 1e-12, xtol=1e-14)))
    return worst


def one_by_one() -> float:
    """Largest distance of the bets on first scores from multiplying every wealth key by key."""
    rng = np.random.default_rng(2)
    worst = 0.0
    for share, margin in product((0.1, 0.5), (0.0, 0.03)):
        canary = rng.random(300) < share
        score = rng.integers(0, 11, 300) / 10
        arms = [FirstScores(), FirstScores()]
        wealth = np.exp(LOG_WEIGHTS)
        bets = [(c, κ) for c, _ in CENTRES for κ, _ in STAKES]
        for a, y in zip(canary, score, strict=True):
            arms[0 if a else 1] = arms[0 if a else 1].add(float(y))
            for i, (c, κ) in enumerate(bets):
                allowance = share * (1 - share) * margin
                largest = max((1 - share) * (1 - c), share * c) + allowance
                wealth[i] *= 1 - κ / largest * ((float(a) - share) * (y - c) + allowance)
        found = log_e_first_scores_below([(arms[0], arms[1], share)], margin)
        worst = max(worst, abs(found - math.log(wealth.sum())))
    return worst


def growthbook() -> float | None:
    """Largest distance of our restated interval from gbstats' own; None where gbstats is not installed."""
    counts = [
        (float(nc), float(round(nc * p)), float(nb), float(round(nb * q)))
        for nc, nb, p, q in product((30, 500, 20_000), (270, 5_000), (0.5, 0.85, 0.99), (0.5, 0.9))
    ]
    theirs = _gbstats.intervals(counts)
    if theirs is None:
        return None
    ours = np.column_stack(rivals.gbstats_interval(*np.array(counts).T))
    return float(np.abs(ours - np.array(theirs)).max())


def prediction_powered() -> tuple[float, float] | None:
    """Largest relative distance of PPI++ estimate and standard error from ppi-python's at our λ, equal inclusion.

    Theirs divides the labels' variance by n, ours by n − 1: that factor is taken out first. None: not installed.
    """
    if not find_spec("ppi_py"):
        return None
    theirs = import_module("ppi_py")
    estimate = error = 0.0
    for seed, share in product(range(5), (0.05, 0.2)):
        rng = np.random.default_rng(seed)
        y = (rng.random(4_000) < 0.8).astype(float)
        f = np.clip(0.2 + 0.6 * y + rng.normal(0, 0.2, 4_000), 0, 1)
        drawn, inclusion = rng.random(4_000) < share, np.full(4_000, share)
        ours = sums(y, f, drawn, inclusion).mean()
        if ours is None:
            raise AssertionError("there are labels enough")
        given = (y[drawn], f[drawn], f)
        point = float(np.squeeze(theirs.ppi_mean_pointestimate(*given, lam=ours.tuning)))
        low, high = (float(np.squeeze(v)) for v in theirs.ppi_mean_ci(*given, alpha=0.05, lam=ours.tuning))
        n = int(drawn.sum())
        labels = float(np.var(y[drawn] - ours.tuning * f[drawn])) / n
        expected = ((high - low) / 2 / stats.norm.ppf(0.975)) ** 2 + labels * (n / (n - 1) - 1)
        estimate = max(estimate, abs(ours.estimate / point - 1))
        error = max(error, abs(math.sqrt(ours.variance / expected) - 1))
    return estimate, error


def boundary() -> float | None:
    """Largest distance from log(1/α) of our log e-value on ville's one-sided boundary. None: not installed."""
    if not find_spec("ville"):
        return None
    ville = import_module("ville")
    worst = 0.0
    for information, alpha, rho in product((50.0, 2_000.0, 1e6), (0.01, 0.025, 0.1), (30.0, 400.0)):
        s = float(ville.normal_mixture(information, alpha, rho, one_sided=True))
        found = log_e_difference(s / information, 1 / information, null=0.0, rho=rho)
        worst = max(worst, abs(found - math.log(1 / alpha)))
    return worst


def reviewers() -> float | None:
    """Largest distance of `krippendorff_alpha` from truescore's, with missing answers. None: not installed."""
    if not find_spec("truescore"):
        return None
    theirs = import_module("truescore.agreement")
    worst = 0.0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        answers = np.where(rng.random((4, 60)) < 0.7, rng.integers(0, 3, 60), rng.integers(0, 3, (4, 60))).astype(float)
        answers[rng.random((4, 60)) < 0.4] = np.nan
        rater, item = np.nonzero(~np.isnan(answers))
        ours = krippendorff_alpha(item, answers[rater, item].astype(int), n_labels=3)
        if ours is None:
            raise AssertionError("there are pairable answers")
        worst = max(worst, abs(ours - theirs.krippendorff_alpha(answers)))
    return worst


def run(quick: bool) -> dict[str, Any]:
    """Every formula with an independent oracle; the same in a quick run."""
    del quick
    report = Report("oracles")
    report.at_most("evidence of a difference against its integral, log", normal_mixture(), 1e-9)
    report.at_most("normal distribution to 60 deviations against scipy, log", normal_tail(), 1e-7)
    report.at_most("sample ratio against scipy's beta-binomial, log", sample_ratio(), 1e-9)
    report.at_most("bounds of a rate against roots found by scipy", rates(), 1e-9)
    report.at_most("bets on first scores against key by key, log", one_by_one(), 1e-9)
    rows: list[list[Any]] = []
    distance = growthbook()
    if distance is not None:
        report.at_most("GrowthBook's interval, restated against gbstats 0.8", distance, 1e-6)
    rows.append(["gbstats", "its sequential interval, 36 cases", distance if distance is not None else "not installed"])
    powered = prediction_powered()
    if powered is not None:
        report.at_most("PPI++ estimate against ppi-python, relative", powered[0], 1e-9)
        report.at_most("PPI++ standard error against ppi-python, relative", powered[1], 1e-9)
    rows.append(["ppi-python", "PPI++ of a mean, 10 cases", max(powered) if powered else "not installed"])
    for package, what, found in (
        ("ville", "the mixture's boundary, log", boundary()),
        ("truescore", "Krippendorff's α with missing answers", reviewers()),
    ):
        if found is not None:
            report.at_most(f"{what}, against {package}", found, 1e-9)
        rows.append([package, what, found if found is not None else "not installed"])
    report.table("Rivals' own code, largest distance", ["package", "what", "distance"], rows)
    return report.result()

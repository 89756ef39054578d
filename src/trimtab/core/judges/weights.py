"""The documented weight of a judge: what it is worth in a vote, and why, in words."""

from __future__ import annotations

from dataclasses import dataclass

import scipy  # its parts load when first used

from trimtab.core.judges.agreement import cohen_kappa
from trimtab.core.judges.calibration import equal_mass_bins, expected_calibration_error
from trimtab.core.judges.reliability import JudgeSums, ReliabilitySummary
from trimtab.errors import InvalidStatisticError


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightRule:
    """How a weight follows from reliability.

    weight = clamp(agreement − calibration_penalty · ECE, lowest, highest); below `min_overlap` compared verdicts it is
    `prior_weight`, marked unproven. Agreement is shrunk by a Beta prior of mean `prior_agreement` that counts as much
    as `prior_strength` verdicts.
    """

    calibration_penalty: float = 0.5
    lowest: float = 0.1
    highest: float = 1.0
    prior_weight: float = 0.5
    min_overlap: int = 5
    prior_agreement: float = 0.5
    prior_strength: float = 2.0
    coverage: float = 0.95

    def __post_init__(self) -> None:
        if not (0 <= self.lowest <= self.prior_weight <= self.highest <= 1):
            raise InvalidStatisticError("a weight rule needs 0 ≤ lowest ≤ prior weight ≤ highest ≤ 1")
        if not (0 < self.prior_agreement < 1 and self.prior_strength > 0 and 0 < self.coverage < 1):
            raise InvalidStatisticError("prior agreement and coverage must be inside (0, 1), prior strength above 0")
        if self.calibration_penalty < 0 or self.min_overlap < 1:
            raise InvalidStatisticError("the calibration penalty must be ≥ 0 and the minimum overlap ≥ 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeWeight:
    """A judge version's weight with everything it follows from. What was not measured is None, never 0."""

    judge: str
    version: str
    weight: float
    agreement: float | None
    interval: tuple[float, float] | None
    ece: float | None
    brier: float | None
    kappa: float | None
    n: int
    effective_n: float
    unproven: bool
    reason: str


def judge_weights(summary: ReliabilitySummary, rule: WeightRule | None = None) -> tuple[JudgeWeight, ...]:
    """Every judge version's documented weight, in order of name and version. Pure in the summary; O(judges)."""
    chosen = WeightRule() if rule is None else rule
    return tuple(
        judge_weight(judge.judge, judge.version, sums, chosen) for judge, sums in sorted(summary.judges.items())
    )


def agreement_interval(
    hits: float, n: float, *, prior_agreement: float = 0.5, prior_strength: float = 2.0, coverage: float = 0.95
) -> tuple[float, tuple[float, float]]:
    """Shrunk agreement and its interval from `hits` out of `n` (both may be decayed, fractional sums).

    Estimates p = P(verdict equals the human label) by the mean of Beta(a + hits, b + n − hits) with prior mean a/(a+b)
    and a + b = prior_strength. The interval is the equal-tailed Bayesian credible interval of that Beta at `coverage`.
    With the default uniform prior and undecayed counts its frequentist coverage is close to nominal for fixed n (Brown,
    Cai & DasGupta 2001, 10.1214/ss/1009213286); it promises nothing for looks chosen by the data. Domain: 0 ≤ hits ≤ n.
    Raises InvalidStatisticError outside it. n = 0 returns the prior: callers report that as "nothing compared".

    >>> estimate, (low, high) = agreement_interval(9, 10)
    >>> round(estimate, 3), round(low, 3), round(high, 3)
    (0.833, 0.587, 0.977)
    """
    if not (0 <= hits <= n * (1 + 1e-9) and n < float("inf")):
        raise InvalidStatisticError(f"agreement needs 0 ≤ hits ≤ n, got {hits} of {n}")
    a = prior_agreement * prior_strength + hits
    b = (1 - prior_agreement) * prior_strength + max(0.0, n - hits)
    tail = (1 - coverage) / 2
    return a / (a + b), (float(scipy.special.betaincinv(a, b, tail)), float(scipy.special.betaincinv(a, b, 1 - tail)))


def judge_weight(judge: str, version: str, sums: JudgeSums, rule: WeightRule) -> JudgeWeight:
    """The documented weight of one judge version. A judge that states no confidence has no calibration term."""
    rate = sums.hit_rate
    ece = expected_calibration_error(equal_mass_bins(sums))
    if rate is None:
        return JudgeWeight(
            judge=judge,
            version=version,
            weight=rule.prior_weight,
            agreement=None,
            interval=None,
            ece=None,
            brier=None,
            kappa=None,
            n=0,
            effective_n=0.0,
            unproven=True,
            reason="unproven: nothing to compare with human labels yet; the prior weight holds",
        )
    agreement, interval = agreement_interval(
        rate * sums.effective_n,
        sums.effective_n,
        prior_agreement=rule.prior_agreement,
        prior_strength=rule.prior_strength,
        coverage=rule.coverage,
    )
    penalty = 0.0 if ece is None else rule.calibration_penalty * ece
    unproven = sums.n < rule.min_overlap
    raw = agreement - penalty
    weight = rule.prior_weight if unproven else min(max(raw, rule.lowest), rule.highest)
    said = f"agreement {agreement:.2f}" + (
        "; states no confidence" if ece is None else f" − {rule.calibration_penalty:g} × calibration error {ece:.2f}"
    )
    if unproven:
        reason = f"unproven: {sums.n} of {rule.min_overlap} comparisons; the prior weight holds"
    elif raw < rule.lowest:
        reason = f"{said}, raised to the lowest weight"
    elif raw > rule.highest:
        reason = f"{said}, lowered to the highest weight"
    else:
        reason = said
    return JudgeWeight(
        judge=judge,
        version=version,
        weight=weight,
        agreement=agreement,
        interval=interval,
        ece=ece,
        brier=sums.brier,
        kappa=cohen_kappa(sums.confusion),
        n=sums.n,
        effective_n=sums.effective_n,
        unproven=unproven,
        reason=reason,
    )

"""Concurrent arms compared on served outcomes: which difference, against which null, how sharp."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from trimtab.core.evidence.firsts import log_e_first_scores_below
from trimtab.core.evidence.moments import Difference, Moments, difference
from trimtab.core.evidence.outcomes import ArmSummary, StepSummary
from trimtab.core.evidence.predictions import PredictedMean
from trimtab.core.evidence.wealth import difference_bounds, log_e_difference, log_mixture
from trimtab.core.guard.evidence import RolloutEvidence
from trimtab.core.rollouts import GuardPlan

_SHARPNESS = 0.75  # ρ times the squared effect: flat optimum of the time to see it (0.5 to 1.25 within 5 %)

EXACT_PART = 0.3  # of the evidence of a lower score: bets on first scores


def sharpest(effect: float) -> float:
    """The mixture parameter ρ registered for an effect of interest, in units of information (1/variance)."""
    return _SHARPNESS / (effect * effect)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One difference between the arms, and how large an effect its test is built for."""

    name: str
    difference: Difference | None
    tolerated: float  # growth that is still fine, on the scale of the difference; harm is above it
    effect: float

    def log_e_above(self, null: float) -> float | None:
        """Log e-value against H0: the difference is at most `null`; None without enough data."""
        d = self.difference
        if d is None:
            return None
        return log_e_difference(d.estimate, d.variance, null=null, rho=sharpest(self.effect))

    def log_e_below(self, null: float) -> float | None:
        """Log e-value against H0: the difference is at least `null`; None without enough data."""
        d = self.difference
        if d is None:
            return None
        return log_e_difference(-d.estimate, d.variance, null=-null, rho=sharpest(self.effect))

    def bounds(self, alpha: float) -> tuple[float, float] | None:
        """Anytime-valid interval of the difference; None without enough data."""
        d = self.difference
        if d is None:
            return None
        return difference_bounds(d.estimate, d.variance, alpha=alpha, rho=sharpest(self.effect))


def score(evidence: RolloutEvidence, *, effect: float) -> Comparison:
    """Canary score minus baseline score. Where judges scored, people's labels correct them (PPI++), never judges
    alone."""
    found = _judged_difference(evidence) if _judged(evidence) else _difference(evidence, lambda arm: arm.score)
    return Comparison(name="score", difference=found, tolerated=0.0, effect=effect)


def log_e_score_below(plan: GuardPlan, evidence: RolloutEvidence, loss: float) -> float | None:
    """Log e-value against H0: the canary's score is at most `loss` below the baseline's; None: not measured.

    A mixture: seven tenths on all scores (asymptotic, clustered by key, from 30 keys on), three tenths on the first
    score of each key (exact from the first one on). A small loss takes about as long as with the former alone (up to
    7 % longer), a large one or rare failures are seen up to twice as soon. Judged scores have no first ones and stand
    alone.
    """
    compared = score(evidence, effect=plan.quality_tolerance)
    found = compared.log_e_below(-loss)
    if _judged(evidence):
        return found
    steps = [
        (s.canary.first_scores, s.baseline.first_scores, plan.share(i))
        for i, s in enumerate(evidence.steps[: len(plan.steps)])
    ]
    arms = [any(first.n for first in side) for side in list(zip(*steps, strict=True))[:2]]
    if found is None and not (arms and all(arms)):
        return None
    # Before 30 keys the asymptotic part counts as lost, not as 1: what is not known yet is never in favour of a claim.
    logs = [log_e_first_scores_below(steps, loss), -math.inf if found is None else found]
    return log_mixture(logs, [math.log(EXACT_PART), math.log(1 - EXACT_PART)])


def latency(plan: GuardPlan, evidence: RolloutEvidence) -> tuple[Comparison, ...]:
    """Mean log latency, and exceedance of the frozen p50 and p95 where the plan has them.

    The baseline's exceedance is counted at threshold/(1 + tolerance), so 0 means: exactly at the tolerance.
    """
    growth = math.log1p(plan.latency_tolerance)
    found = [
        Comparison(
            name="mean log",
            difference=_difference(evidence, lambda arm: arm.log_latency),
            tolerated=growth,
            effect=growth,
        )
    ]
    if plan.latency_p50_ms is not None:
        over = _difference(evidence, lambda arm: arm.over_p50)
        found.append(Comparison(name="over p50", difference=over, tolerated=0.0, effect=0.05))
    if plan.latency_p95_ms is not None:
        over = _difference(evidence, lambda arm: arm.over_p95)
        found.append(Comparison(name="over p95", difference=over, tolerated=0.0, effect=0.03))
    return tuple(found)


def cost(plan: GuardPlan, evidence: RolloutEvidence) -> tuple[Comparison, ...]:
    """Mean log cost, and the mean winsorised at the frozen p99 against 1 + tolerance times the baseline's."""
    growth = math.log1p(plan.cost_tolerance)
    scale = 1.0 + plan.cost_tolerance
    baseline = [s.baseline.cost for s in evidence.steps]
    n, total = sum(m.n for m in baseline), sum(m.total for m in baseline)
    # The scale of the winsorised mean is the baseline's own, in parts of the frozen p99.
    effect = plan.cost_tolerance * max(total / n, 0.01) if n else plan.cost_tolerance
    return (
        Comparison(
            name="mean log", difference=_difference(evidence, lambda arm: arm.log_cost), tolerated=growth, effect=growth
        ),
        Comparison(
            name="winsorised mean",
            difference=_difference(evidence, lambda arm: arm.cost, baseline_scale=scale),
            tolerated=0.0,
            effect=effect,
        ),
    )


def log_e_any_above(comparisons: tuple[Comparison, ...]) -> float | None:
    """Log e-value against H0: no difference is beyond what is tolerated (the average of their e-values)."""
    logs = [e for c in comparisons if (e := c.log_e_above(c.tolerated)) is not None]
    if not logs:
        return None
    # An unmeasured one counts as e = 1 would be a refund later; the weights are those of all registered ones.
    return log_mixture(logs, [-math.log(len(comparisons))] * len(logs))


def log_e_all_below(comparisons: tuple[Comparison, ...], *, improved: bool) -> float | None:
    """Log e-value for "each difference is within the tolerance" (improved: the first one is below 0); the weakest
    decides."""
    logs = []
    for i, c in enumerate(comparisons):
        found = c.log_e_below(0.0 if improved and i == 0 else c.tolerated)
        if found is None:
            return None
        logs.append(found)
    return min(logs)


def _difference(
    evidence: RolloutEvidence, pick: Callable[[ArmSummary], Moments], *, baseline_scale: float = 1.0
) -> Difference | None:
    pairs = [(pick(s.canary), pick(s.baseline)) for s in evidence.steps]
    return difference(pairs, baseline_scale=baseline_scale)


def _judged(evidence: RolloutEvidence) -> bool:
    return any(s.canary.judged.judged or s.baseline.judged.judged for s in evidence.steps)


def _judged_difference(evidence: RolloutEvidence) -> Difference | None:
    total = estimate = variance = 0.0
    canary = baseline = 0
    for step in evidence.steps:
        means = _judged_means(step)
        if means is None:
            continue
        c, b = means
        # An arm whose few labels happen to agree must not claim certainty: at least the pooled variance of a label.
        unit_c, unit_b = c.variance * c.labels, b.variance * b.labels
        pooled = (unit_c * c.labels + unit_b * b.labels) / (c.labels + b.labels)
        weight = c.labels * b.labels / (c.labels + b.labels)
        total += weight
        estimate += weight * (c.estimate - b.estimate)
        variance += weight * weight * (max(unit_c, pooled) / c.labels + max(unit_b, pooled) / b.labels)
        canary, baseline = canary + c.labels, baseline + b.labels
    if total == 0.0:
        return None
    return Difference(
        estimate=estimate / total,
        variance=variance / (total * total),
        canary_n=canary,
        canary_keys=canary,
        baseline_n=baseline,
    )


def _judged_means(step: StepSummary) -> tuple[PredictedMean, PredictedMean] | None:
    canary, baseline = step.canary.judged.mean(), step.baseline.judged.mean()
    return None if canary is None or baseline is None else (canary, baseline)

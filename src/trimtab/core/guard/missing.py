"""What would end the wait: how many more labels, outcomes, or days, at the present rate."""

from __future__ import annotations

import math
from datetime import timedelta

from trimtab.core.evidence.bets import BETS
from trimtab.core.evidence.paired import DISCORDANCE_PART, PairedSummary
from trimtab.core.evidence.wealth import log_e_difference, rate_bounds
from trimtab.core.guard import comparisons
from trimtab.core.guard.evidence import RolloutEvidence
from trimtab.core.guard.metrics import canary_failures, primary
from trimtab.core.rollouts import Goal, GuardPlan, Metric

_LEAST_GROWTH = 1e-3  # log wealth per label below which no end is in sight
_MOST_GROWTH = 200.0  # times the present sample


def describe(plan: GuardPlan, evidence: RolloutEvidence, metric: Metric, *, elapsed: timedelta) -> str:
    """What `metric` still needs before it allows a promotion, in words, with days at the present rate where known."""
    if metric is Metric.QUALITY:
        return _quality(plan, evidence.paired, elapsed)
    if metric is Metric.FAILURES:
        n = canary_failures(evidence).n
        # Without a failure, each success multiplies the best bet by 1/(1 − margin).
        need = math.ceil((math.log(1 / plan.alpha_promote) + 0.8) / -math.log1p(-plan.failure_margin))
        return _amount(max(need - n, 1, n // 4), n, "more canary outcomes that say whether they failed", elapsed)
    if metric is Metric.SCORE:
        better = plan.goal is Goal.BETTER and primary(plan) is metric
        found = comparisons.score(evidence, effect=plan.quality_margin)
        null = 0.0 if better else -plan.quality_margin
        return _unpaired(plan, found, null, +1.0, "more canary decisions with a score", elapsed)
    both = comparisons.latency(plan, evidence) if metric is Metric.LATENCY else comparisons.cost(plan, evidence)
    better = plan.goal is Goal.BETTER and primary(plan) is metric
    weakest = min(both, key=lambda c: c.log_e_below(c.tolerated) or -math.inf)
    null = 0.0 if better and weakest is both[0] else weakest.tolerated
    return _unpaired(plan, weakest, null, -1.0, f"more canary decisions with a {metric}", elapsed)


def labels_needed(plan: GuardPlan, paired: PairedSummary) -> int | None:
    """About how many more discordant labels show the goal, if they go on as so far; None when no end is in sight.

    Growth of the best fixed bet at the observed shares, smoothed by half a label of each kind.
    """
    mean, log_e = 0.0, paired.log_e_above(0.0)
    if plan.goal is Goal.NON_INFERIOR:
        upper = rate_bounds(paired.discordant, paired.compared, DISCORDANCE_PART * plan.alpha_promote)[1]
        if upper <= plan.quality_margin:
            return 0
        mean = -plan.quality_margin / upper
        log_e = paired.log_e_not_inferior(plan.quality_margin, plan.alpha_promote)
    total = paired.labelled + 1.5
    shares = {-1: (paired.worse + 0.5) / total, 1: (paired.better + 0.5) / total}
    shares[0] = 1 - shares[1] - shares[-1]
    growth = max(sum(p * math.log1p(κ * (x - mean) / (1 + mean)) for x, p in shares.items()) for κ in BETS if κ < 0.99)
    if growth < _LEAST_GROWTH:
        return None
    more = math.ceil((math.log(1 / plan.alpha_promote) - log_e) / growth)
    return max(more, plan.min_labels - paired.labelled, 1)


def _quality(plan: GuardPlan, paired: PairedSummary, elapsed: timedelta) -> str:
    if paired.compared == 0:
        return "decisions on which both arms' choices are compared"
    if paired.labelled == 0:
        if paired.discordant == 0:
            return f"decisions on which the arms differ: none among {paired.compared:,} so far"
        return f"labels: {paired.discordant:,} discordant decisions, none labelled"
    more = labels_needed(plan, paired)
    if more is None:
        return "a larger difference: at the present one no number of discordant labels in sight would show the goal"
    return _amount(more, paired.labelled, "more discordant labels", elapsed)


def _unpaired(
    plan: GuardPlan, found: comparisons.Comparison, null: float, sign: float, what: str, elapsed: timedelta
) -> str:
    d = found.difference
    if d is None:
        return f"{what.replace('more ', '')}: at least 30 keys in each arm"
    target = math.log(1 / plan.alpha_promote)
    factor = 1.1
    rho = comparisons.sharpest(found.effect)
    while log_e_difference(sign * d.estimate, d.variance / factor, null=sign * null, rho=rho) < target:
        factor *= 1.2
        if factor > _MOST_GROWTH:
            return f"a larger difference: at the present one no number of {what.replace('more ', '')} would show it"
    return _amount(math.ceil(d.canary_n * (factor - 1)), d.canary_n, what, elapsed)


def _amount(more: int, so_far: int, what: str, elapsed: timedelta) -> str:
    text = f"about {more:,} {what}"
    days = elapsed.total_seconds() / 86_400
    if so_far == 0 or days <= 0:
        return text
    wait = more / (so_far / days)
    if wait < 1:
        return f"{text}, or {max(1, math.ceil(wait * 24))} more hours at the present rate"
    whole = math.ceil(wait)
    return f"{text}, or {whole} more day{'s' if whole != 1 else ''} at the present rate"

"""What each guarded metric has shown: evidence of harm, and evidence for what the plan asks before a promotion."""

from __future__ import annotations

import math

from trimtab.core.evidence.failures import FailureCounts, log_e_failures_not_inferior
from trimtab.core.guard import comparisons
from trimtab.core.guard.evidence import RolloutEvidence
from trimtab.core.guard.verdicts import MetricEvidence, Verdict
from trimtab.core.rollouts import Goal, GuardPlan, Metric


def primary(plan: GuardPlan) -> Metric:
    """The metric on which the goal "better" must be shown: quality, else score, else the first of the plan."""
    for metric in (Metric.QUALITY, Metric.SCORE):
        if metric in plan.metrics:
            return metric
    return plan.metrics[0]


def alpha_harm(plan: GuardPlan, metric: Metric) -> float:
    """The part of the rollback α that `metric` may spend: failures their own, the others the rest in equal parts.

    Never more than a promotion may spend, so that gain and harm are judged alike; what is left over stays unspent.
    """
    if metric is Metric.FAILURES:
        return plan.failure_alpha
    others = sum(m is not Metric.FAILURES for m in plan.metrics)
    rest = plan.alpha_rollback - (plan.failure_alpha if Metric.FAILURES in plan.metrics else 0.0)
    return min(plan.alpha_promote, rest / max(1, others))


def log_e_harm(plan: GuardPlan, evidence: RolloutEvidence, metric: Metric) -> float | None:
    """Log e-value that `metric` is harmed, to be compared with log(1/alpha_harm); None when nothing was measured.

    Harm of quality and score is any loss when the goal is "better" (such a challenger can only waste time), and a loss
    beyond the margin when it is "non-inferior". Failures: above the ceiling. Latency and cost: beyond the tolerance.
    """
    if metric is Metric.QUALITY:
        paired = evidence.paired
        if paired.compared == 0:
            return None
        if plan.goal is Goal.BETTER:
            return paired.log_e_below(0.0)
        return paired.log_e_inferior(plan.quality_margin, alpha_harm(plan, metric))
    if metric is Metric.FAILURES:
        counts = canary_failures(evidence)
        return counts.log_e_above(plan.failure_ceiling) if counts.n else None
    if metric is Metric.SCORE:
        loss = 0.0 if plan.goal is Goal.BETTER else plan.quality_margin
        return comparisons.log_e_score_below(plan, evidence, loss)
    compared = comparisons.latency(plan, evidence) if metric is Metric.LATENCY else comparisons.cost(plan, evidence)
    return comparisons.log_e_any_above(compared)


def log_e_goal(plan: GuardPlan, evidence: RolloutEvidence, metric: Metric) -> float | None:
    """Log e-value for what a promotion asks of `metric`, to be compared with log(1/alpha_promote); None: not
    measured."""
    better = plan.goal is Goal.BETTER and metric is primary(plan)
    α = plan.alpha_promote
    if metric is Metric.QUALITY:
        paired = evidence.paired
        if paired.compared == 0:
            return None
        return paired.log_e_above(0.0) if better else paired.log_e_not_inferior(plan.quality_margin, α)
    if metric is Metric.FAILURES:
        if canary_failures(evidence).n == 0:
            return None
        return log_e_failures_not_inferior(
            [(s.canary.failures, s.baseline.failures) for s in evidence.steps], plan.failure_margin, α
        )
    if metric is Metric.SCORE:
        compared = comparisons.score(evidence, effect=plan.quality_margin)
        return compared.log_e_above(0.0 if better else -plan.quality_margin)
    both = comparisons.latency(plan, evidence) if metric is Metric.LATENCY else comparisons.cost(plan, evidence)
    return comparisons.log_e_all_below(both, improved=better)


def step_shown(plan: GuardPlan, evidence: RolloutEvidence, metric: Metric, *, step: int) -> bool:
    """Whether `metric` allows the next share: measured, and for quality and score a loss beyond the step's margin
    refuted.

    The step's margin is the tolerance divided by the next share: what the whole traffic may then lose stays within the
    tolerance. Failures, latency and cost are watched by their harm tests at every decision and need only be measured.
    """
    margin = min(0.99, plan.quality_tolerance / plan.share(step + 1))
    enough = math.log(1 / plan.alpha_promote)
    if metric is Metric.QUALITY:
        paired = evidence.paired
        if paired.compared == 0 or (paired.discordant and not paired.labelled):
            return False
        return paired.log_e_not_inferior(margin, plan.alpha_promote) >= enough
    if metric is Metric.SCORE:
        shown = comparisons.score(evidence, effect=margin).log_e_above(-margin)
        return shown is not None and shown >= enough
    return log_e_harm(plan, evidence, metric) is not None


def measure(plan: GuardPlan, evidence: RolloutEvidence, metric: Metric, *, intervals: bool) -> MetricEvidence:
    """What `metric` has shown, with its estimate (and its interval when asked for)."""
    harm, goal = log_e_harm(plan, evidence, metric), log_e_goal(plan, evidence, metric)
    α = alpha_harm(plan, metric)
    if metric is Metric.QUALITY and evidence.paired.discordant and not evidence.paired.labelled:
        # Arms that hardly differ can be shown not inferior without a label; otherwise unlabelled is unmeasured.
        measured = goal == math.inf
    else:
        measured = harm is not None and goal is not None
    verdict = Verdict.UNDECIDED
    if harm is not None and harm >= math.log(1 / α):
        verdict = Verdict.FAIL
    elif not measured:
        verdict = Verdict.NO_DATA
    elif goal is not None and goal >= math.log(1 / plan.alpha_promote):
        verdict = Verdict.PASS
    n, what, estimate, interval, details = _estimate(plan, evidence, metric, intervals=intervals)
    return MetricEvidence(
        metric=metric,
        verdict=verdict,
        n=n,
        what=what,
        estimate=estimate,
        interval=interval,
        log_e_harm=harm,
        log_e_goal=goal,
        alpha_harm=α,
        alpha_goal=plan.alpha_promote,
        details=details,
    )


def canary_failures(evidence: RolloutEvidence) -> FailureCounts:
    """The canary's failures over all steps."""
    counts = FailureCounts()
    for step in evidence.steps:
        counts = counts.merge(step.canary.failures)
    return counts


_Estimate = tuple[int, str, float | None, tuple[float, float] | None, dict[str, float | int | str | None]]


def _estimate(plan: GuardPlan, evidence: RolloutEvidence, metric: Metric, *, intervals: bool) -> _Estimate:
    α = 2 * plan.alpha_promote
    if metric is Metric.QUALITY:
        return _quality(plan, evidence, intervals=intervals)
    if metric is Metric.FAILURES:
        counts = canary_failures(evidence)
        bounds = counts.bounds(α) if intervals and counts.n else None
        details: dict[str, float | int | str | None] = {"failed": counts.failed, "ceiling": plan.failure_ceiling}
        return counts.n, "share of hard failures in the canary", counts.rate(), bounds, details
    if metric is Metric.SCORE:
        compared = comparisons.score(evidence, effect=plan.quality_margin)
        what = "score of the canary minus score of the baseline"
        d = compared.difference
        n = d.canary_n if d else sum(s.canary.score.n for s in evidence.steps)
        bounds = compared.bounds(α) if intervals else None
        return n, what, d.estimate if d else None, bounds, {"canary_keys": d.canary_keys if d else None}
    both = comparisons.latency(plan, evidence) if metric is Metric.LATENCY else comparisons.cost(plan, evidence)
    first = both[0].difference
    bounds = both[0].bounds(α) if intervals else None
    ratio = (math.expm1(bounds[0]), math.expm1(bounds[1])) if bounds else None
    more: dict[str, float | int | str | None] = {c.name: c.difference.estimate if c.difference else None for c in both}
    pick = "log_latency" if metric is Metric.LATENCY else "log_cost"
    n = sum(getattr(s.canary, pick).n for s in evidence.steps)
    what = f"relative growth of the geometric mean of {metric}"
    return n, what, math.expm1(first.estimate) if first else None, ratio, more


def _quality(plan: GuardPlan, evidence: RolloutEvidence, *, intervals: bool) -> _Estimate:
    paired = evidence.paired
    α = 2 * plan.alpha_promote
    details: dict[str, float | int | str | None] = {
        "compared": paired.compared,
        "discordant": paired.discordant,
        "labelled": paired.labelled,
        "canary_right": paired.better,
        "baseline_right": paired.worse,
    }
    predicted = paired.judged.mean()
    if predicted is not None and paired.compared:
        rate = paired.discordant / paired.compared
        details |= {
            "with_judges": rate * predicted.estimate,
            "with_judges_se": rate * math.sqrt(predicted.variance),
            "judges_weight": predicted.tuning,
        }
    bounds = paired.difference_bounds(α) if intervals and paired.compared else None
    what = "quality of the canary minus quality of the baseline"
    return paired.labelled, what, paired.difference(), bounds, details

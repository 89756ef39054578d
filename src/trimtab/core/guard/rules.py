"""The rules: from a registered plan and the evidence so far to one decision, with its reasons."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from trimtab.core.evidence.exposure import SplitCounts, log_e_split
from trimtab.core.guard import missing
from trimtab.core.guard.evidence import RolloutEvidence
from trimtab.core.guard.metrics import alpha_harm, canary_failures, log_e_harm, measure, step_shown
from trimtab.core.guard.verdicts import Assessment, GuardDecision, MetricEvidence, Reason, ReasonCode, Verdict
from trimtab.core.rollouts import Goal, GuardPlan, Metric

SPLIT_ALPHA = 0.01  # of the two alarms that hold a rollout but never end it


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """Where the rollout is when it is looked at."""

    step: int
    started_at: datetime
    step_since: datetime
    at: datetime

    @property
    def elapsed(self) -> timedelta:
        return self.at - self.started_at


def harm_reasons(plan: GuardPlan, evidence: RolloutEvidence) -> tuple[Reason, ...]:
    """Every guarded metric whose harm is shown right now: the check to run after every batch. Empty: no alarm.

    Each e-value is valid at every look, so running this after every single decision spends no more than the plan's α.
    Costs the same at any number of decisions.
    """
    found = []
    for metric in plan.metrics:
        log_e = log_e_harm(plan, evidence, metric)
        if log_e is not None and log_e >= math.log(1 / alpha_harm(plan, metric)):
            found.append(_harm_reason(plan, evidence, metric, log_e))
    return tuple(found)


def assess(
    plan: GuardPlan,
    evidence: RolloutEvidence,
    *,
    step: int,
    started_at: datetime,
    step_since: datetime,
    at: datetime,
    kill_switch: bool = False,
    paused: bool = False,
    maximum_since: datetime | None = None,
    intervals: bool = True,
) -> Assessment:
    """The guard's decision at `at`, for a rollout at `step` (0-based) since `step_since`.

    In this order: kill switch and shown harm roll back (also when paused); a rollout at its maximum without an answer
    is inconclusive once the plan's grace is over; alarms and a pause hold; then promotion, then the next step, else
    hold. A promotion needs every metric of the plan to pass, the dwell at the last step below 1.0, the label quota and
    the canary keys. `maximum_since` is when the maximum was first noticed (None: now); `intervals=False` skips the
    intervals.
    Raises InvalidPlanError for a step outside the plan.
    """
    plan.share(step)
    moment = _Moment(step=step, started_at=started_at, step_since=step_since, at=at)
    shown = {metric: measure(plan, evidence, metric, intervals=intervals) for metric in plan.metrics}

    def answer(decision: GuardDecision, *reasons: Reason, wait: str | None = None) -> Assessment:
        return Assessment(
            decision=decision,
            reasons=reasons,
            limiting_metric=_limiting(reasons, shown),
            missing=wait,
            estimates=shown,
            alpha_spent=_alpha_spent(plan),
        )

    if kill_switch:
        return answer(
            GuardDecision.ROLL_BACK, Reason(code=ReasonCode.KILL_SWITCH, text="the kill switch of this agent is on")
        )
    harm = harm_reasons(plan, evidence)
    if harm:
        return answer(GuardDecision.ROLL_BACK, *harm)

    alarms = _alarms(plan, evidence)
    blocked = alarms + ((Reason(code=ReasonCode.PAUSED, text="the loop is paused"),) if paused else ())
    lacking = _lacking(plan, evidence, shown, moment)
    ready = _last_step(plan, step) and not lacking and not blocked
    if ready:
        return answer(GuardDecision.PROMOTE, *_goal_reasons(plan, shown))

    maximum = _maximum(plan, evidence, moment)
    if maximum is not None:
        noticed = maximum_since or at
        if at - noticed >= plan.grace:
            return answer(GuardDecision.INCONCLUSIVE, maximum, *lacking)
        return answer(GuardDecision.HOLD, maximum, *blocked, *lacking, wait=_wait(plan, evidence, lacking, moment))
    if blocked:
        return answer(GuardDecision.HOLD, *blocked, wait=" and ".join(r.text for r in blocked))
    if not _last_step(plan, step):
        short = _step_lacking(plan, evidence, shown, moment)
        if not short:
            text = f"nothing harmful shown at {plan.share(step):.0%}, and the next share's margin is met"
            return answer(GuardDecision.ADVANCE, Reason(code=ReasonCode.STEP_SHOWN, text=text))
        return answer(GuardDecision.HOLD, *short, wait=_wait(plan, evidence, short, moment))
    return answer(GuardDecision.HOLD, *lacking, wait=_wait(plan, evidence, lacking, moment))


def _last_step(plan: GuardPlan, step: int) -> bool:
    # The step with share 1.0 is the promotion; a rollout that a person jumped there can still be promoted.
    return step >= len(plan.steps) - 2


def _harm_reason(plan: GuardPlan, evidence: RolloutEvidence, metric: Metric, log_e: float) -> Reason:
    e = f"e = {math.exp(min(log_e, 600)):,.0f}, needed {1 / alpha_harm(plan, metric):,.0f}"
    if metric is Metric.FAILURES:
        counts = canary_failures(evidence)
        text = f"{counts.failed} of {counts.n} canary outcomes failed, ceiling {plan.failure_ceiling:.1%} ({e})"
        return Reason(code=ReasonCode.FAILURE_CEILING, text=text, metric=metric)
    if metric is Metric.QUALITY:
        paired = evidence.paired
        text = (
            f"the challenger is worse: right on {paired.better}, wrong on {paired.worse} of {paired.labelled} labelled "
            f"discordant decisions ({e})"
        )
        α = alpha_harm(plan, metric)
        if paired.log_e_inferior(plan.quality_tolerance, α) >= math.log(1 / α):
            text += f"; the loss is beyond the tolerance of {plan.quality_tolerance:.1%}"
            return Reason(code=ReasonCode.HARM_BEYOND_TOLERANCE, text=text, metric=metric)
        return Reason(code=ReasonCode.HARM, text=text, metric=metric)
    words = {
        Metric.SCORE: "the canary's score is lower",
        Metric.LATENCY: f"the canary's latency grew beyond {plan.latency_tolerance:.0%}",
        Metric.COST: f"the canary's cost grew beyond {plan.cost_tolerance:.0%}",
    }
    return Reason(code=ReasonCode.HARM, text=f"{words[metric]} ({e})", metric=metric)


def _alarms(plan: GuardPlan, evidence: RolloutEvidence) -> tuple[Reason, ...]:
    def split(counts: list[SplitCounts]) -> float:
        return log_e_split([(c, plan.share(i)) for i, c in enumerate(counts) if i < len(plan.steps)])

    found = []
    limit = math.log(1 / SPLIT_ALPHA)
    mismatch = split([s.exposed for s in evidence.steps])
    if mismatch >= limit:
        text = "the arms are not as large as promised: keys do not arrive in the registered shares"
        found.append(Reason(code=ReasonCode.SAMPLE_RATIO_MISMATCH, text=text))
    if split([s.answered for s in evidence.steps]) >= limit and mismatch < limit:
        text = "outcomes do not come back alike from both arms"
        found.append(Reason(code=ReasonCode.MISSING_OUTCOMES, text=text))
    return tuple(found)


def _maximum(plan: GuardPlan, evidence: RolloutEvidence, moment: _Moment) -> Reason | None:
    if evidence.paired.compared >= plan.max_decisions:
        text = f"{evidence.paired.compared:,} decisions compared, the plan's maximum, without an answer"
    elif moment.elapsed >= plan.max_duration:
        text = f"{plan.max_duration.total_seconds() / 86_400:g} days, the plan's maximum, without an answer"
    else:
        return None
    return Reason(code=ReasonCode.MAXIMUM_REACHED, text=text)


def _dwell(plan: GuardPlan, moment: _Moment) -> tuple[Reason, ...]:
    left = plan.dwell - (moment.at - moment.step_since)
    if left <= timedelta(0):
        return ()
    hours = left.total_seconds() / 3600
    return (Reason(code=ReasonCode.DWELL, text=f"{hours:.1f} more hours at {plan.share(moment.step):.0%}"),)


def _unshown(shown: MetricEvidence) -> Reason:
    metric = shown.metric
    if shown.verdict is Verdict.NO_DATA:
        return Reason(code=ReasonCode.NO_DATA, text=f"{metric}: nothing measured yet", metric=metric)
    text = f"{metric}: measured {shown.n:,} times, not enough to tell"
    return Reason(code=ReasonCode.UNDECIDED, text=text, metric=metric)


def _lacking(
    plan: GuardPlan, evidence: RolloutEvidence, shown: dict[Metric, MetricEvidence], moment: _Moment
) -> tuple[Reason, ...]:
    """What a promotion still lacks, beside the right step."""
    reasons = [_unshown(e) for e in shown.values() if e.verdict is not Verdict.PASS]
    paired = evidence.paired
    if Metric.QUALITY in shown and paired.labelled < plan.min_labels and shown[Metric.QUALITY].log_e_goal != math.inf:
        text = f"{paired.labelled} of at least {plan.min_labels} discordant labels"
        reasons.append(Reason(code=ReasonCode.FEW_LABELS, text=text, metric=Metric.QUALITY))
    keys = sum(s.exposed.canary for s in evidence.steps)
    if keys < plan.min_keys:
        text = f"{keys} of at least {plan.min_keys} canary keys"
        reasons.append(Reason(code=ReasonCode.FEW_KEYS, text=text))
    return (*reasons, *_dwell(plan, moment))


def _step_lacking(
    plan: GuardPlan, evidence: RolloutEvidence, shown: dict[Metric, MetricEvidence], moment: _Moment
) -> tuple[Reason, ...]:
    """What the next share still lacks."""
    reasons = [
        _unshown(e)
        for metric, e in shown.items()
        if e.verdict is not Verdict.PASS and not step_shown(plan, evidence, metric, step=moment.step)
    ]
    return (*reasons, *_dwell(plan, moment))


def _goal_reasons(plan: GuardPlan, shown: dict[Metric, MetricEvidence]) -> tuple[Reason, ...]:
    word = "better" if plan.goal is Goal.BETTER else "not inferior"
    text = f"the challenger is shown to be {word}, and every guarded metric passes: {', '.join(shown)}"
    return (Reason(code=ReasonCode.GOAL_SHOWN, text=text),)


def _wait(plan: GuardPlan, evidence: RolloutEvidence, lacking: tuple[Reason, ...], moment: _Moment) -> str:
    parts = []
    for reason in lacking:
        if reason.metric is not None and reason.code in (ReasonCode.NO_DATA, ReasonCode.UNDECIDED):
            parts.append(f"{reason.metric}: {missing.describe(plan, evidence, reason.metric, elapsed=moment.elapsed)}")
        else:
            parts.append(reason.text)
    return "; ".join(dict.fromkeys(parts))


def _limiting(reasons: tuple[Reason, ...], shown: dict[Metric, MetricEvidence]) -> Metric | None:
    """The metric that decided; else, among those waited for, the one that has shown least."""
    named = [r.metric for r in reasons if r.metric is not None]
    if not named:
        return None
    return min(named, key=lambda m: (shown[m].verdict is not Verdict.FAIL, shown[m].progress))


def _alpha_spent(plan: GuardPlan) -> dict[str, float]:
    spent = {f"rollback.{m}": alpha_harm(plan, m) for m in plan.metrics}
    return {**spent, "rollback": sum(spent.values()), "promote": plan.alpha_promote, "alarms": 2 * SPLIT_ALPHA}

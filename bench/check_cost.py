"""What one check costs, and that it costs the same however many decisions there were."""

from __future__ import annotations

import math
import timeit
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import numpy as np

from bench import rivals
from bench.common import Report
from trimtab.core.evidence.exposure import SplitCounts
from trimtab.core.evidence.failures import FailureCounts
from trimtab.core.evidence.moments import Moments
from trimtab.core.evidence.outcomes import ArmSummary, StepSummary
from trimtab.core.evidence.paired import PairedSummary
from trimtab.core.guard import RolloutEvidence, assess, harm_reasons
from trimtab.core.rollouts import GuardPlan, Metric

SIZES = (10**3, 10**5, 10**7)


def evidence_of(decisions: int) -> RolloutEvidence:
    """Evidence of a harmless challenger after this many decisions, one step at 10 %."""
    canary, baseline = decisions // 10, decisions - decisions // 10
    discordant = decisions // 12
    better = math.ceil(discordant * 0.5)
    paired = PairedSummary().add_compared(decisions, discordant).add(x=1)
    cell = paired.labels[0][0]
    paired = PairedSummary(compared=decisions, discordant=discordant, labels=((cell, discordant - better, 0, better),))

    def arm(n: int) -> ArmSummary:
        good = round(0.85 * n)
        score = Moments(n=n, keys=n, total=good, squares=good, cross=good, sizes=n)
        return ArmSummary(keys=n, failures=FailureCounts(n=n, failed=n // 200), score=score)

    step = StepSummary(
        exposed=SplitCounts(canary=canary, baseline=baseline), canary=arm(canary), baseline=arm(baseline)
    )
    return RolloutEvidence(paired=paired, steps=(step,))


def microseconds(work: Callable[[], Any], quick: bool) -> float:
    """The least time of one call: what it costs when nothing else runs."""
    number = 100 if quick else 500
    return min(timeit.repeat(work, number=number, repeat=7)) / number * 1e6


def run(quick: bool) -> dict[str, Any]:
    """One check below 50 µs at every size."""
    report = Report("check-cost")
    start = datetime(2026, 1, 1, tzinfo=UTC)
    plan = GuardPlan()
    wide = GuardPlan(metrics=(Metric.QUALITY, Metric.FAILURES, Metric.SCORE))
    rows, checks = [], []
    one = np.array([[1.0]])
    for size in SIZES:
        evidence = evidence_of(size)

        def whole(plan: GuardPlan, evidence: RolloutEvidence, intervals: bool) -> Any:
            return assess(
                plan,
                evidence,
                step=0,
                started_at=start,
                step_since=start,
                at=start + timedelta(days=2),
                intervals=intervals,
            )

        check = microseconds(partial(harm_reasons, plan, evidence), quick)
        three = microseconds(partial(harm_reasons, wide, evidence), quick)
        full = microseconds(partial(whole, plan, evidence, False), quick)
        shown = microseconds(partial(whole, plan, evidence, True), quick)
        counts = (one * size / 10, one * size * 0.085, one * size * 0.9, one * size * 0.765)
        rival = microseconds(partial(rivals.gbstats_sequential, *counts), quick)
        checks.append(check)
        rows.append([f"{size:,}", round(check, 1), round(three, 1), round(full, 1), round(shown, 1), round(rival, 1)])
        report.at_most(f"one check at {size:,} decisions, µs", check, 50)
    report.at_most("a check at 10 million decisions against one at a thousand, times", checks[-1] / checks[0], 1.5)
    report.table(
        "Microseconds a call, least of seven rounds",
        [
            "decisions",
            "harm check: quality and failures",
            "harm check: and score",
            "whole assessment",
            "with every interval",
            "gbstats' formula, one metric",
        ],
        rows,
    )
    return report.result()

"""Judges and a few people together: how much narrower, and what happens when the judges flatter the canary."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bench.common import Report, percent
from bench.vector import paired_log_e
from trimtab.core.evidence.outcomes import ArmSummary, StepSummary
from trimtab.core.evidence.predictions import PredictionSums
from trimtab.core.guard.evidence import RolloutEvidence
from trimtab.core.guard.metrics import alpha_harm, log_e_goal, log_e_harm
from trimtab.core.rollouts import GuardPlan, Metric

PLAN = GuardPlan(metrics=(Metric.SCORE, Metric.FAILURES))


def sums(y: Any, f: Any, labelled: Any, inclusion: Any) -> PredictionSums:
    """`PredictionSums` of arrays at once (a test shows that it equals adding one by one)."""
    w = 1.0 / inclusion[labelled]
    a, b, v = y[labelled], f[labelled], w * w
    return PredictionSums(
        judged=len(f),
        f=float(f.sum()),
        ff=float((f * f).sum()),
        labels=int(labelled.sum()),
        w=float(w.sum()),
        wy=float((w * a).sum()),
        wf=float((w * b).sum()),
        ww=float(v.sum()),
        wwy=float((v * a).sum()),
        wwf=float((v * b).sum()),
        wwyy=float((v * a * a).sum()),
        wwyf=float((v * a * b).sum()),
        wwff=float((v * b * b).sum()),
    )


def width_cell(accuracy: float, runs: int, seed: int) -> dict[str, float]:
    """Width and coverage at 300 of 3,000 labelled, quality .85, a judge of this accuracy whatever the truth."""
    rng = np.random.default_rng(seed)
    widths: dict[str, list[float]] = {"alone": [], "plain": [], "tuned": []}
    covered = dict.fromkeys(widths, 0)
    for _ in range(runs):
        y = (rng.random(3000) < 0.85).astype(float)
        f = np.where(rng.random(3000) < accuracy, y, 1 - y)
        inclusion = np.full(3000, 0.1)
        found = sums(y, f, rng.random(3000) < inclusion, inclusion)
        for name, tuning in (("alone", 0.0), ("plain", 1.0), ("tuned", None)):
            mean = found.mean(tuning)
            if mean is None:
                continue
            half = 1.96 * math.sqrt(mean.variance)
            widths[name].append(half)
            covered[name] += abs(mean.estimate - 0.85) <= half
    return {
        **{name: float(np.mean(w)) for name, w in widths.items()},
        **{f"{name}_covers": covered[name] / max(1, len(widths[name])) for name in widths},
    }


def weighted_coverage(runs: int, seed: int) -> float:
    """Coverage of the tuned 95 % interval when labels are drawn where judges are unsure (inclusion .05 to .6)."""
    rng = np.random.default_rng(seed)
    covered = total = 0
    for _ in range(runs):
        unsure = rng.random(3000)
        y = (rng.random(3000) < 0.95 - 0.4 * unsure).astype(float)
        f = np.clip(0.97 - 0.45 * unsure + rng.normal(0, 0.05, 3000), 0, 1)
        inclusion = 0.05 + 0.55 * unsure
        mean = sums(y, f, rng.random(3000) < inclusion, inclusion).mean()
        if mean is not None:
            total += 1
            covered += abs(mean.estimate - y.mean()) <= 1.96 * math.sqrt(mean.variance)
    return covered / max(1, total)


def flatter_cell(runs: int, seed: int, *, honest: bool) -> dict[str, float]:
    """True −10 pt, a judge who finds the canary 10 points better seven times in ten; 1,000 labels an arm, a look every
    50 of them.

    `honest`: nothing changed and the judge is fair, for the false alarms.
    """
    rng = np.random.default_rng(seed)
    change = 0.0 if honest else -0.10
    back = forward = judge_only = judge_back = 0
    harm_at, goal_at = math.log(1 / alpha_harm(PLAN, Metric.SCORE)), math.log(1 / PLAN.alpha_promote)
    for _ in range(runs):
        arms = []
        for p, sees in ((0.85 + change, 0.85 if honest else 0.95), (0.85, 0.85)):
            y = (rng.random(4000) < p).astype(float)
            fair = np.where(rng.random(4000) < 0.85, y, 1 - y)
            taste = (rng.random(4000) < sees).astype(float)
            arms.append((y, fair if honest else np.where(rng.random(4000) < 0.3, fair, taste)))
        gap = arms[0][1].mean() - arms[1][1].mean()
        half = 1.96 * math.sqrt(sum(f.var() / 4000 for _, f in arms))
        judge_only, judge_back = judge_only + (gap > half), judge_back + (gap < -half)
        verdict = ""
        for labels in range(50, 1001, 50):
            seen = labels * 4
            chosen = np.arange(4000) % 4 == 0
            parts = [ArmSummary(judged=sums(y[:seen], f[:seen], chosen[:seen], np.full(seen, 0.25))) for y, f in arms]
            evidence = RolloutEvidence(steps=(StepSummary(canary=parts[0], baseline=parts[1]),))
            harm, goal = (e(PLAN, evidence, Metric.SCORE) for e in (log_e_harm, log_e_goal))
            if harm is not None and harm >= harm_at:
                verdict = "back"
            elif goal is not None and goal >= goal_at:
                verdict = "forward"
            if verdict:
                break
        back, forward = back + (verdict == "back"), forward + (verdict == "forward")
    return {
        "back": back / runs,
        "forward": forward / runs,
        "judge_only": judge_only / runs,
        "judge_back": judge_back / runs,
    }


def paired_hundred(runs: int, seed: int) -> tuple[float, float, float]:
    """True −10 pt (20 % discordant, three in four lost): rolled back and promoted within 100 labels in all, median
    labels."""
    rng = np.random.default_rng(seed)
    better = np.cumsum(rng.random((runs, 100)) < 0.25, axis=1)
    worse = np.arange(1, 101) - better
    harm_at = math.log(1 / alpha_harm(GuardPlan(), Metric.QUALITY))
    goal_at = math.log(1 / PLAN.alpha_promote)
    back, forward = paired_log_e(worse, better) >= harm_at, paired_log_e(better, worse) >= goal_at
    when = [np.where(a.any(axis=1), a.argmax(axis=1) + 1.0, np.inf) for a in (back, forward)]
    return float((when[0] < when[1]).mean()), float((when[1] < when[0]).mean()), float(np.median(when[0]))


def run(quick: bool) -> dict[str, Any]:
    """Every promise about judges as a help to few labels."""
    runs = 300 if quick else 2000
    covers = 0.91 if quick else 0.93  # a quick run's share of covered intervals is known to ±3 points only
    report = Report("ppi")
    rows = []
    for i, (accuracy, gain) in enumerate(((0.8, 0.0), (0.9, 0.2), (0.95, 0.35))):
        cell = width_cell(accuracy, runs, 60 + i)
        saved = 1 - cell["tuned"] / cell["alone"]
        report.at_least(f"judge accuracy {accuracy}: narrower than the labels alone by", saved, gain)
        report.at_least(f"judge accuracy {accuracy}: 95 % interval covers", cell["tuned_covers"], covers)
        rows.append(
            [
                f"{accuracy}",
                *(f"±{100 * cell[k]:.2f} pt" for k in ("alone", "plain", "tuned")),
                percent(cell["tuned_covers"]),
            ]
        )
    report.at_least("labels drawn where judges are unsure: 95 % interval covers", weighted_coverage(runs, 65), covers)
    trial = runs // 2 if quick else runs
    flattered, fair = flatter_cell(trial, 66, honest=False), flatter_cell(trial, 67, honest=True)
    report.at_most("true -10 pt, judge flatters: promoted", flattered["forward"], 0.02)
    report.at_least("true -10 pt, judge flatters: rolled back with 1,000 labels an arm", flattered["back"], 0.99)
    report.at_most("nothing changed, judged: false roll back", fair["back"], 0.035)
    report.at_most("nothing changed, judged: false promotion", fair["forward"], 0.025)
    back, forward, labels = paired_hundred(runs, 68)
    report.at_least("true -10 pt, paired, at most 100 labels in all: rolled back", back, 0.99)
    report.at_most("true -10 pt, paired, at most 100 labels in all: promoted", forward, 0.02)
    report.table(
        "300 of 3,000 labelled, quality .85: half width of the 95 % interval",
        ["judge accuracy", "labels alone", "plain PPI (λ = 1)", "tuned (PPI++)", "tuned covers"],
        rows,
    )
    report.table(
        "True -10 pt, the judge prefers the canary",
        ["rule", "rolled back", "promoted"],
        [
            ["judge alone, t test", percent(flattered["judge_back"]), percent(flattered["judge_only"])],
            ["PPI++ guard, 1,000 labels an arm", percent(flattered["back"]), percent(flattered["forward"])],
            [f"paired guard, median {labels:.0f} labels", percent(back), percent(forward)],
        ],
    )
    return report.result()

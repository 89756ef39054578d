"""The unpaired guard against its promises: false decisions under peeking, power, speed of the kill, latency."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bench import rivals
from bench.common import Report, in_chunks, percent
from bench.vector import ArmPath, Floats, first, first_scores_log_e, log_e_difference, step_difference, with_firsts
from trimtab.core.evidence.failures import FailureCounts, log_e_failures_not_inferior
from trimtab.core.evidence.moments import Moments
from trimtab.core.evidence.outcomes import ArmSummary, StepSummary
from trimtab.core.guard.comparisons import sharpest
from trimtab.core.guard.evidence import RolloutEvidence
from trimtab.core.guard.metrics import alpha_harm, log_e_harm
from trimtab.core.rollouts import Goal, GuardPlan, Metric

BETTER = GuardPlan(metrics=(Metric.SCORE, Metric.FAILURES))
NOT_INFERIOR = GuardPlan(metrics=(Metric.SCORE, Metric.FAILURES), goal=Goal.NON_INFERIOR, quality_margin=0.02)
LEAST = 30


def verdicts(plan: GuardPlan, canary: ArmPath, baseline: ArmPath, exact: Floats) -> tuple[Floats, Floats, Floats]:
    """The look at which the guard rolls back, and at which it would promote (inf: never), and canary n at the roll
    back.

    `exact`: the log e-value of harm from first scores (`harm_of_firsts`) at every look.
    """
    with np.errstate(all="ignore"):
        _, d, v = step_difference(canary, baseline)
        enough = (canary.keys >= LEAST) & (baseline.keys >= LEAST)
        margin = 0.0 if plan.goal is Goal.BETTER else plan.quality_margin
        harm = log_e_difference(-d, v, null=margin, rho=sharpest(plan.quality_tolerance))
        goal = log_e_difference(d, v, null=-margin, rho=sharpest(plan.quality_margin))
    back = first(with_firsts(harm, enough, exact) >= math.log(1 / alpha_harm(plan, Metric.SCORE)))
    forward = first(enough & (goal >= math.log(1 / plan.alpha_promote)))
    last = canary.n.shape[1] - 1
    n_at = canary.n[np.arange(len(back)), np.minimum(back, last).astype(int)]
    return back, forward, np.asarray(np.where(np.isfinite(back), n_at, np.inf))


def harm_of_firsts(plan: GuardPlan, served: Any, y: Floats, share: float, alone: Any = True) -> Floats:
    """The log e-value of harm from the first score of each key, at every decision of one step."""
    margin = 0.0 if plan.goal is Goal.BETTER else plan.quality_margin
    return first_scores_log_e(served, y, share, margin=margin, alone=alone)


def binary_cell(
    plan: GuardPlan, p: float, change: float, share: float, decisions: int, runs: int, seed: int
) -> dict[str, float]:
    """Our guard on independent binary outcomes, looked at after every decision."""

    def chunk(count: int, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
        served = rng.random((count, decisions)) < share
        y = (rng.random((count, decisions)) < np.where(served, p + change, p)).astype(float)
        arms = [ArmPath.of_single_keys(member, y) for member in (served, ~served)]
        return verdicts(plan, arms[0], arms[1], harm_of_firsts(plan, served, y, share))

    return summary(in_chunks(runs, max(1, 2_000_000 // decisions), chunk, seed))


def summary(chunks: list[tuple[Floats, Floats, Floats]]) -> dict[str, float]:
    """Shares of runs that ended in each verdict, and the median time to it over all runs."""
    back, forward, n = (np.concatenate(part) for part in zip(*chunks, strict=True))
    return {
        "rolled_back": float((back < forward).mean()),
        "promoted": float((forward < back).mean()),
        "ever_promotable": float(np.isfinite(forward).mean()),
        "median_n_c": float(np.median(np.where(back < forward, n, np.inf))),
        "median_promoted_at": float(np.median(np.where(forward < back, forward + 1, np.inf))),
    }


def keyed_cell(p: float, icc: float, keys: int, decisions: int, runs: int, seed: int) -> dict[str, float]:
    """A/A with sticky keys of about ten decisions whose outcomes are alike within a key (beta-binomial)."""

    def chunk(count: int, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
        key = rng.integers(0, keys, (count, decisions))
        size = 1 / icc - 1
        chance = rng.beta(p * size, (1 - p) * size, (count, keys))
        in_canary = rng.random((count, keys)) < 0.1
        y = (rng.random((count, decisions)) < np.take_along_axis(chance, key, axis=1)).astype(float)
        served = np.take_along_axis(in_canary, key, axis=1)
        n_before, s_before = running_key_sums(key, y)
        arms = [keyed_path(member, y, n_before, s_before) for member in (served, ~served)]
        return verdicts(BETTER, arms[0], arms[1], harm_of_firsts(BETTER, served, y, 0.1, n_before == 0))

    return summary(in_chunks(runs, max(1, 1_000_000 // decisions), chunk, seed))


def running_key_sums(key: Any, y: Floats) -> tuple[Floats, Floats]:
    """For each decision, how many outcomes its key had before it, and their sum."""
    n_before, s_before = np.empty_like(y), np.empty_like(y)
    for r in range(len(key)):
        order = np.argsort(key[r], kind="stable")
        k, v = key[r][order], y[r][order]
        starts = np.flatnonzero(np.r_[True, k[1:] != k[:-1]])
        lengths = np.diff(np.r_[starts, len(k)])
        total = np.cumsum(v) - v
        n_before[r][order] = np.arange(len(k)) - np.repeat(starts, lengths)
        s_before[r][order] = total - np.repeat(total[starts], lengths)
    return n_before, s_before


def keyed_path(member: Any, y: Floats, n_before: Floats, s_before: Floats) -> ArmPath:
    """Running `Moments` when keys repeat: each decision updates its key's sums."""

    def total(change: Floats) -> Floats:
        return np.cumsum(np.where(member, change, 0.0), axis=1)

    return ArmPath(
        n=total(np.ones_like(y)),
        total=total(y),
        squares=total(2 * s_before * y + y * y),
        cross=total(s_before + y * (n_before + 1)),
        sizes=total(2 * n_before + 1),
        keys=total((n_before == 0).astype(float)),
    )


def rival_cells(p: float, change: float, runs: int, seed: int) -> dict[str, tuple[float, float, float]]:
    """Every rival on the same kind of data: a look every 100 canary decisions, split 10/90, 20,000 decisions."""
    rng = np.random.default_rng(seed)
    looks = np.arange(1, 21)
    sc = np.cumsum(rng.binomial(100, p + change, (runs, 20)), axis=1).astype(float)
    sb = np.cumsum(rng.binomial(900, p, (runs, 20)), axis=1).astype(float)
    nc = np.broadcast_to(100.0 * looks, sc.shape)
    found = {}
    for name, rule in rivals.RULES.items():
        with np.errstate(all="ignore"):
            back, forward = (first(a) for a in rule(nc, sc, 9 * nc, sb))
        n = np.where(back < forward, 100 * (back + 1), np.inf)
        found[name] = (float((back < forward).mean()), float((forward < back).mean()), float(np.median(n)))
    return found


def kill_p95(rate: float, ceiling: float, runs: int, seed: int) -> float:
    """Decisions until the failure ceiling's alarm, 95th percentile, through the core's own counts."""
    rng = np.random.default_rng(seed)
    limit = math.log(1 / BETTER.failure_alpha)
    known: dict[tuple[int, int], bool] = {}
    found = []
    for row in rng.random((runs, 400)) < rate:
        failed = 0
        for n, hit in enumerate(row, start=1):
            failed += bool(hit)
            state = (n, failed)
            if state not in known:
                known[state] = FailureCounts(n=n, failed=failed).log_e_above(ceiling) >= limit
            if known[state]:
                found.append(n)
                break
        else:
            found.append(10**6)
    return float(np.percentile(found, 95))


def failures_cell(baseline: float, canary: float, runs: int, seed: int) -> tuple[float, float]:
    """Share of runs that show failures not inferior by 1 pt within 6,000 canary outcomes, and the median n."""
    rng = np.random.default_rng(seed)
    found = []
    limit = math.log(1 / BETTER.alpha_promote)
    for _ in range(runs):
        failed = [np.cumsum(rng.binomial(100, p, 60)) for p in (canary, baseline)]
        when = math.inf
        for look, (c, b) in enumerate(zip(*failed, strict=True), start=1):
            arms = FailureCounts(n=100 * look, failed=int(c)), FailureCounts(n=100 * look, failed=int(b))
            if log_e_failures_not_inferior([arms], BETTER.failure_margin, BETTER.alpha_promote) >= limit:
                when = 100.0 * look
                break
        found.append(when)
    return float(np.isfinite(found).mean()), float(np.median(found))


def cost_cell(growth: float, runs: int, seed: int) -> float:
    """Share rolled back for cost over 20,000 decisions at 50/50, log-normal with a heavy tail (σ = 1), 40 looks."""
    plan = GuardPlan(metrics=(Metric.COST, Metric.FAILURES), cost_p99_usd=math.exp(2.326))
    rng = np.random.default_rng(seed)
    back = 0
    for _ in range(runs):
        arms = []
        for shift in (math.log1p(growth), 0.0):
            value = np.minimum(rng.normal(shift - 2.326, 1.0, 10_000), 40.0)
            sums = []
            for y in (np.minimum(np.exp(value), 1.0), np.maximum(value, math.log(1e-3))):
                sums.append((np.cumsum(y)[249::250], np.cumsum(y * y)[249::250]))
            arms.append(sums)
        for look in range(40):
            n = 250 * (look + 1)
            parts = []
            for sums in arms:
                cost, log_cost = (
                    Moments(n=n, keys=n, total=float(t[look]), squares=float(q[look]), cross=float(t[look]), sizes=n)
                    for t, q in sums
                )
                parts.append(ArmSummary(keys=n, cost=cost, log_cost=log_cost))
            evidence = RolloutEvidence(steps=(StepSummary(canary=parts[0], baseline=parts[1]),))
            log_e = log_e_harm(plan, evidence, Metric.COST)
            if log_e is not None and log_e >= math.log(1 / alpha_harm(plan, Metric.COST)):
                back += 1
                break
    return back / runs


def latency_cell(growth: float, sigma: float, runs: int, seed: int) -> tuple[float, float]:
    """Share rolled back and median canary n when every latency grows: log-normal, thresholds frozen from 1,000
    outcomes."""
    plan = GuardPlan(metrics=(Metric.LATENCY, Metric.FAILURES))
    allowed, decisions = math.log1p(plan.latency_tolerance), 20_000

    def chunk(count: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        history = rng.normal(0, sigma, (count, 1000))
        served = rng.random((count, decisions)) < 0.1
        value = rng.normal(0, sigma, (count, decisions)) + np.where(served, math.log1p(growth), 0.0)
        enough, logs = np.zeros(served.shape, bool), []
        for q, effect in ((None, allowed), (50, 0.05), (95, 0.03)):
            if q is None:
                y, null = value, allowed
            else:
                threshold = np.percentile(history, q, axis=1)[:, None]
                y, null = (value > threshold - np.where(served, 0.0, allowed)).astype(float), 0.0
            canary, baseline = ArmPath.of_single_keys(served, y), ArmPath.of_single_keys(~served, y)
            with np.errstate(all="ignore"):
                _, d, v = step_difference(canary, baseline)
                logs.append(log_e_difference(d, v, null=null, rho=sharpest(effect)))
            enough = (canary.keys >= LEAST) & (baseline.keys >= LEAST)
        stacked = np.stack(logs) - math.log(3)
        top = stacked.max(axis=0)
        with np.errstate(all="ignore"):
            log_e = top + np.log(np.exp(stacked - top).sum(axis=0))
        back = first(enough & (log_e >= math.log(1 / alpha_harm(plan, Metric.LATENCY))))
        n = canary.n[np.arange(count), np.minimum(back, decisions - 1).astype(int)]
        return back, np.asarray(np.where(np.isfinite(back), n, np.inf))

    back, n = (np.concatenate(part) for part in zip(*in_chunks(runs, 50, chunk, seed), strict=True))
    return float(np.isfinite(back).mean()), float(np.median(n))


def run(quick: bool) -> dict[str, Any]:
    """Every unpaired row of the guard's promises."""
    runs = 180 if quick else 2000
    # A share of 0.02 has this much sampling error more in a quick run; the promises themselves are those of the full
    # run.
    slack = 0.012 if quick else 0.0
    report = Report("guard")
    rows = []
    for i, p in enumerate((0.5, 0.85, 0.95, 0.99)):
        cell = binary_cell(BETTER, p, 0.0, 0.1, 20_000, runs, 10 + i)
        report.at_most(f"A/A p={p}: false roll back", cell["rolled_back"], 0.035 + slack)
        report.at_most(f"A/A p={p}: false promotion", cell["ever_promotable"], 0.025 + slack)
        rows.append([f"A/A p={p}", percent(cell["rolled_back"]), percent(cell["ever_promotable"])])
    keyed = keyed_cell(0.85, 0.2, 2000, 20_000, runs, 20)
    report.at_most("A/A, intra-key correlation .2: false roll back", keyed["rolled_back"], 0.03 + slack)
    report.at_most("A/A, intra-key correlation .2: false promotion", keyed["ever_promotable"], 0.03 + slack)
    rows.append(["A/A, intra-key correlation .2", percent(keyed["rolled_back"]), percent(keyed["ever_promotable"])])
    report.table(
        "Nothing changed, a look after every decision from 30 canary keys", ["case", "false RB", "false PR"], rows
    )

    five = binary_cell(BETTER, 0.85, -0.05, 0.1, 20_000, runs, 30)
    ten = binary_cell(BETTER, 0.85, -0.10, 0.1, 20_000, runs, 31)
    two = binary_cell(BETTER, 0.85, 0.02, 0.1, 20_000, runs, 32)
    report.at_least("-5 pt, 10/90: rolled back", five["rolled_back"], 0.99 - slack)
    report.at_most("-5 pt, 10/90: median canary decisions", five["median_n_c"], 600)
    report.at_least("-10 pt: rolled back", ten["rolled_back"], 1.0 - slack)
    report.at_most("-10 pt: median canary decisions", ten["median_n_c"], 200)
    report.at_most("50 % hard failures, ceiling 2 %: killed within (p95)", kill_p95(0.5, 0.02, runs, 33), 12)

    worse = binary_cell(NOT_INFERIOR, 0.85, -0.02, 0.5, 40_000, runs, 34)
    report.at_most("-2 pt at a 2 pt margin, 40k decisions: promoted", worse["ever_promotable"], 0.05)
    same = binary_cell(NOT_INFERIOR, 0.85, 0.0, 0.5, 40_000, runs, 35)
    report.at_least("no change, 2 pt margin, 40k decisions at 50/50: promoted", same["promoted"], 0.95 - slack)
    report.at_most("no change, 2 pt margin: median decisions", same["median_promoted_at"], 11_000)

    slow, slow_n = latency_cell(0.20, 0.5, runs, 36)
    calm, _ = latency_cell(0.0, 0.5, runs, 37)
    at_limit, _ = latency_cell(0.10, 0.5, runs, 38)
    report.at_least("latency +20 % (p95 too): rolled back", slow, 0.95)
    report.at_most("latency +20 %: median canary decisions", slow_n, 800)
    report.at_most("latency unchanged: false roll back", calm, 0.04)
    report.at_most("latency exactly at the tolerance of 10 %: false roll back", at_limit, 0.04)

    report.at_most(
        "failures exactly 1 pt worse: shown not inferior", failures_cell(0.0, 0.01, runs, 39)[0], 0.025 + slack
    )
    none_fail, none_n = failures_cell(0.0, 0.0, max(50, runs // 10), 43)
    report.at_least("no failures at all: shown not inferior", none_fail, 0.99)
    report.at_most("no failures at all: canary outcomes needed", none_n, 600)
    dear, level = cost_cell(0.25, runs // 5, 44), cost_cell(0.10, runs // 2, 45)
    report.at_least("cost +25 %, heavy tail: rolled back", dear, 0.95)
    report.at_most("cost exactly at the tolerance of 10 %: false roll back", level, 0.035 + slack)

    table = [
        [
            "Trimtab score guard, every decision",
            percent(binary_cell(BETTER, 0.85, 0.0, 0.1, 20_000, runs, 11)["rolled_back"]),
            rows[1][2],
            percent(five["rolled_back"]),
            five["median_n_c"],
            percent(five["promoted"]),
            percent(two["promoted"]),
        ]
    ]
    nothing, drop, gain = (rival_cells(0.85, c, runs, 40 + i) for i, c in enumerate((0.0, -0.05, 0.02)))
    for name in rivals.RULES:
        table.append(
            [
                name,
                percent(nothing[name][0]),
                percent(nothing[name][1]),
                percent(drop[name][0]),
                drop[name][2],
                percent(drop[name][1]),
                percent(gain[name][1]),
            ]
        )
    report.table(
        f"Quality 0.85, 10/90, 20,000 decisions, {runs} runs a cell; rivals look every 100 canary decisions",
        ["rule", "A/A: RB", "A/A: PR", "-5 pt: RB", "median n_c", "-5 pt: PR", "+2 pt: PR"],
        table,
    )
    return report.result()

"""Rising shares while the baseline drifts: stratified by step against pooled, and exact splits under changed shares."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bench.common import Report, in_chunks, percent
from bench.guard import BETTER, LEAST, keyed_path, running_key_sums
from bench.vector import (
    ArmPath,
    Floats,
    first,
    first_scores_log_e,
    first_scores_logs,
    log_e_difference,
    step_difference,
    stratified,
    with_firsts,
)
from trimtab.core.assignment import bucket
from trimtab.core.evidence.exposure import SplitCounts, log_e_split
from trimtab.core.evidence.firsts import LOG_WEIGHTS
from trimtab.core.guard.comparisons import sharpest
from trimtab.core.guard.metrics import alpha_harm
from trimtab.core.rollouts import Metric

STAGES = ((0.1, 5_000), (0.5, 15_000))


def crossings(estimate: Floats, variance: Floats, enough: Any, exact: Floats | None) -> tuple[Any, Any]:
    """Looks at which harm and gain are first shown; `exact`: the log e-value of harm from first scores, if used."""
    with np.errstate(all="ignore"):
        harm = log_e_difference(-estimate, variance, null=0.0, rho=sharpest(BETTER.quality_tolerance))
        gain = log_e_difference(estimate, variance, null=0.0, rho=sharpest(BETTER.quality_margin))
    harm = np.where(enough, harm, -np.inf) if exact is None else with_firsts(harm, enough, exact)
    back = first(harm >= math.log(1 / alpha_harm(BETTER, Metric.SCORE)))
    return back, first(enough & (gain >= math.log(1 / BETTER.alpha_promote)))


def add_paths(a: ArmPath, b: ArmPath) -> ArmPath:
    """The end of `a` merged with every look of `b`."""
    return ArmPath(*(x[:, -1:] + y for x, y in zip(_parts(a), _parts(b), strict=True)))


def _parts(path: ArmPath) -> list[Any]:
    return [path.n, path.total, path.squares, path.cross, path.sizes, path.keys]


def ramp_cell(drift: float, change: float, runs: int, seed: int, *, icc: float | None = None) -> dict[str, float]:
    """Shares of roll backs and promotions over a 10 % → 50 % ramp, stratified and pooled.

    With `icc`, 1,500 sticky keys whose outcomes are alike within a key; raising the share moves keys between the arms.
    """

    def chunk(count: int, rng: np.random.Generator) -> tuple[Any, Any, Any, Any]:
        keys = 1500
        place = rng.random((count, keys))
        size = 1 / icc - 1 if icc else 1.0
        strength = rng.beta(0.85 * size, 0.15 * size, (count, keys)) if icc else None
        arms, firsts, earlier = [], [], np.zeros((count, len(LOG_WEIGHTS)))
        met = np.zeros((count, keys), bool)
        for number, (share, decisions) in enumerate(STAGES):
            shift = drift if number else 0.0
            if strength is None:
                served = rng.random((count, decisions)) < share
                p = np.where(served, 0.85 + change, 0.85) + shift
                y = (rng.random(served.shape) < p).astype(float)
                arms.append((ArmPath.of_single_keys(served, y), ArmPath.of_single_keys(~served, y)))
                firsts.append(first_scores_log_e(served, y, share, earlier=earlier))
                earlier = earlier + first_scores_logs(served, y, share)
                continue
            key = rng.integers(0, keys, (count, decisions))
            served = np.take_along_axis(place, key, axis=1) < share
            p = np.take_along_axis(strength, key, axis=1) + np.where(served, change, 0.0) + shift
            y = (rng.random(served.shape) < p).astype(float)
            n_before, s_before = running_key_sums(key, y)
            arms.append((keyed_path(served, y, n_before, s_before), keyed_path(~served, y, n_before, s_before)))
            alone = (n_before == 0) & ~np.take_along_axis(met, key, axis=1)
            firsts.append(first_scores_log_e(served, y, share, alone=alone, earlier=earlier))
            earlier = earlier + first_scores_logs(served, y, share, alone=alone)
            np.put_along_axis(met, key, True, axis=1)
        (c0, b0), (c1, b1) = arms
        with np.errstate(all="ignore"):
            one, two = step_difference(c0, b0), step_difference(c1, b1)
            end = tuple(part[:, -1:] for part in one)
            joined = stratified([end, two])
            alone = (one[1], one[2])
            pooled_c, pooled_b = add_paths(c0, c1), add_paths(b0, b1)
            mixed = step_difference(pooled_c, pooled_b)
        d, v = (np.hstack([a, b]) for a, b in zip(alone, joined, strict=True))
        enough = np.hstack([c0.keys >= LEAST, pooled_c.keys >= LEAST]) & np.isfinite(v)
        exact = np.hstack(firsts)
        back, forward = crossings(d, v, enough, exact)
        pd, pv = np.hstack([one[1], mixed[1]]), np.hstack([one[2], mixed[2]])
        p_back, p_forward = crossings(pd, pv, enough, None)
        return back, forward, p_back, p_forward

    parts = in_chunks(runs, 50, chunk, seed)
    back, forward, p_back, p_forward = (np.concatenate(p) for p in zip(*parts, strict=True))
    return {
        "back": float((back < forward).mean()),
        "forward": float((forward < back).mean()),
        "pooled_back": float((p_back < p_forward).mean()),
        "pooled_forward": float((p_forward < p_back).mean()),
    }


def split_cell(offset: float, runs: int, seed: int) -> float:
    """Share of runs in which the sample-ratio alarm ever rings over the ramp, looked at every 200 keys, α 1 %."""
    rng = np.random.default_rng(seed)
    limit = math.log(100)
    rung = 0
    for _ in range(runs):
        past: list[tuple[SplitCounts, float]] = []
        for share, decisions in STAGES:
            looks = decisions // 200
            canary = np.cumsum(rng.binomial(200, share + offset, looks))
            found = [
                log_e_split([*past, (SplitCounts(canary=int(c), baseline=200 * (i + 1) - int(c)), share)])
                for i, c in enumerate(canary)
            ]
            past.append((SplitCounts(canary=int(canary[-1]), baseline=decisions - int(canary[-1])), share))
            if max(found) >= limit:
                rung += 1
                break
    return rung / runs


def run(quick: bool) -> dict[str, Any]:
    """Every promise about a ramp."""
    runs = 300 if quick else 2000
    slack = 0.012 if quick else 0.0
    report = Report("ramp")
    drifted = ramp_cell(-0.05, 0.0, runs, 50)
    steady = ramp_cell(0.0, 0.0, runs, 51)
    harmed = ramp_cell(-0.05, -0.05, runs, 52)
    keyed = ramp_cell(0.0, 0.0, runs, 53, icc=0.2)
    report.at_most("A/A, baseline drifts -5 pt over the ramp: false roll back", drifted["back"], 0.02 + slack)
    report.at_most("A/A, baseline drifts -5 pt over the ramp: false promotion", drifted["forward"], 0.02 + slack)
    report.at_most("A/A over the ramp: false roll back", steady["back"], 0.035 + slack)
    report.at_most("A/A over the ramp, keys that stay and correlate .2: false roll back", keyed["back"], 0.03 + slack)
    report.at_most(
        "A/A over the ramp, keys that stay and correlate .2: false promotion", keyed["forward"], 0.03 + slack
    )
    report.at_least("-5 pt under the same drift: rolled back", harmed["back"], 0.99 - slack)
    quiet, loud = split_cell(0.0, runs, 54), split_cell(0.02, runs, 55)
    report.at_most("sample ratio as promised: false alarm", quiet, 0.01 + slack / 2)
    report.at_least("2 pt too many canary keys: alarm", loud, 0.95)
    apart = [bucket("rollout-a", f"k{i}") < 0.1 and bucket("rollout-b", f"k{i}") < 0.1 for i in range(50_000)]
    overlap = sum(apart) / (50_000 * 0.1)
    report.target("two 10 % canaries overlap as chance would have it", overlap, "0.09 to 0.11", 0.09 <= overlap <= 0.11)
    report.table(
        "10 % then 50 %, harmless challenger unless said",
        ["case", "stratified: RB", "stratified: PR", "pooled: RB", "pooled: PR"],
        [
            [name, *(percent(cell[k]) for k in ("back", "forward", "pooled_back", "pooled_forward"))]
            for name, cell in (
                ("nothing changed", steady),
                ("baseline drifts -5 pt", drifted),
                ("-5 pt, and the same drift", harmed),
                ("keys stay, correlation .2", keyed),
            )
        ],
    )
    return report.result()

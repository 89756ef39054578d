"""Consensus on the 22 panels, finding its errors, and the cost of weighing ten million verdicts."""

from __future__ import annotations

import multiprocessing
import resource
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import rivals_judges
from bench._panels import Panel, panels
from bench.common import Report
from trimtab.core.judges.consensus import MajorityVote, WeightedVote, choose_consensus, hits
from trimtab.core.judges.reliability import summarise
from trimtab.core.judges.verdicts import NO_LABEL, JudgeVersion, VerdictTable
from trimtab.core.judges.weights import judge_weights
from trimtab.core.uncertainty import normalised_entropy

SHARES = (0.1, 0.3)
CORRECTED = 0.2  # of the items without a human label, the most uncertain first


def run(quick: bool) -> dict[str, Any]:
    """Targets of the consensus and of the weights; accuracies are means over seeds on items without a human label."""
    report = Report("judges")
    every = panels()
    seeds = 1 if quick else 10
    for share, goal in zip(SHARES, (0.70, 0.72), strict=True):
        rows = [[panel.name, *_measure(panel, share, seeds)] for panel in every]
        figures = np.array([row[1:7] for row in rows], dtype=np.float64)
        report.at_least(
            f"consensus accuracy, mean of {len(every)} panels, {share:.0%} human labels", figures[:, 0].mean(), goal
        )
        worst = int(np.argmin(figures[:, 0] - figures[:, 1]))
        report.at_least(
            f"consensus minus majority vote on the worst panel ({every[worst].name}), {share:.0%} human labels",
            float(figures[worst, 0] - figures[worst, 1]),
            -0.03 if quick else -0.005,  # one seed: a panel of 100 items moves by a point or two
        )
        corrected = {row[0]: row[4] for row in rows}
        if share == SHARES[0] and "llmbar/all65" in corrected:
            report.at_least(
                "llmbar/all65 after people correct the 20 % most uncertain",
                corrected["llmbar/all65"],
                0.94 if quick else 0.95,
            )
        rows.append(["mean", *figures.mean(axis=0).tolist(), None])
        report.table(
            f"Consensus with {share:.0%} human labels, accuracy on the others, {seeds} seeds",
            (
                "panel",
                "consensus",
                "majority vote",
                "weighted vote",
                "after 20 % corrected",
                "after 20 % at random",
                "accuracy it expected",
                "judges (effective)",
            ),
            rows,
        )
    _crowd_kit(report, every, quick)
    seconds, megabytes = _cost()
    report.at_most("seconds for the weights of 10 M verdicts against 100 k human labels", seconds, 5.0)
    report.at_most("memory of that process, MB", megabytes, 2048.0)
    return report.result()


def _crowd_kit(report: Report, every: list[Panel], quick: bool) -> None:
    """crowd-kit's aggregators beside ours: they take no human labels, so one run on all items says it all."""
    names = rivals_judges.QUICK if quick else rivals_judges.NAMES
    found = [(panel.name, rivals_judges.aggregators(panel, names=names)) for panel in every]
    if all(value is None for _, values in found for value in values.values()):
        report.note("crowd-kit is not installed: its aggregators are not in this page.")
        return
    means = [np.mean([v[name] for _, v in found if v[name] is not None]) for name in names]
    report.table(
        "crowd-kit's aggregators, accuracy on all items, no human labels; empty: not applicable, or too slow",
        ("panel", *names),
        [[panel, *values.values()] for panel, values in found] + [["mean of those run", *means]],
    )


def _measure(panel: Panel, share: float, seeds: int) -> list[Any]:
    """Means over seeds; what the consensus expected of itself (cross-validated) stands beside what it reached."""
    found = []
    effective: list[float] = []
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        n = panel.table.n_items
        labelled = np.zeros(n, dtype=bool)
        labelled[rng.permutation(n)[: round(share * n)]] = True
        gold = np.where(labelled, panel.gold, NO_LABEL)
        choice = choose_consensus(panel.table, gold, rng)
        truth = panel.gold[~labelled]
        posterior = choice.posterior(panel.table)[~labelled]
        right = hits(posterior, truth)
        others = [
            hits(method.fit(panel.table, gold).posterior(panel.table)[~labelled], truth).mean()
            for method in (MajorityVote(), WeightedVote())
        ]
        expected = np.nan if choice.accuracy is None else choice.accuracy
        at_random = right.mean() + CORRECTED * (1 - right.mean())
        found.append([right.mean(), *others, _corrected(posterior, right), at_random, expected])
        if choice.judges.count is not None:
            effective.append(choice.judges.count)
    means = np.nanmean(np.array(found), axis=0).tolist()
    panel_size = f"{len(panel.table.judges)}" + (f" ({np.mean(effective):.1f})" if effective else "")
    return [*means, panel_size]


def _corrected(posterior: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """Accuracy after people answered the most uncertain fifth."""
    order = np.argsort(-normalised_entropy(posterior), kind="stable")
    fixed = right.copy()
    fixed[order[: int(CORRECTED * len(order))]] = 1.0
    return float(fixed.mean())


def _cost() -> tuple[float, float]:
    """(seconds, peak MB) in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        seconds, megabytes = pool.apply(weigh_ten_million)
    return float(seconds), float(megabytes)


def weigh_ten_million() -> tuple[float, float]:
    """Weights of 20 judges from 10 M verdicts on 1 M decisions of which 100 k have a human label."""
    rng = np.random.default_rng(0)
    verdicts, items, judges = 10_000_000, 1_000_000, 20
    truth = rng.integers(0, 4, items, dtype=np.int32)
    item = rng.integers(0, items, verdicts, dtype=np.int32)
    judge = rng.integers(0, judges, verdicts, dtype=np.int32)
    confidence = rng.random(verdicts, dtype=np.float32)
    label = np.where(rng.random(verdicts, dtype=np.float32) < confidence, truth[item], np.int32(0))
    age = rng.random(verdicts, dtype=np.float32) * 30
    gold = np.full(items, NO_LABEL, np.int32)
    known = rng.choice(items, 100_000, replace=False)
    gold[known] = truth[known]
    start = time.perf_counter()
    table = VerdictTable.from_columns(
        decisions=range(items),  # type: ignore[arg-type]  # the names are not read here
        judges=[JudgeVersion(judge=f"judge-{i:02d}", version="1") for i in range(judges)],
        labels=("a", "b", "c", "d"),
        item=item,
        judge=judge,
        label=label,
        confidence=confidence,
        age_days=age,
    )
    weights = judge_weights(summarise(table, gold))
    seconds = time.perf_counter() - start
    if len(weights) != judges or any(weight.unproven for weight in weights):
        raise AssertionError("every judge must have been weighed")
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

"""Recalibration of judges that state a confidence: Brier score against the constant map, calibration error."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench._panels import Panel, panels
from bench.common import Report
from trimtab.core.judges.calibration import CALIBRATION_BINS, fit_recalibration

SETS = ("llmbar/all65", "llmbar_casestudy/all30", "judgebench/6")
SHARES = (0.1, 0.3, 0.5)
Floats = NDArray[np.float64]


def run(quick: bool) -> dict[str, Any]:
    """Maps fitted on a share of each judge's items, tested on the rest; means over judges and seeds."""
    report = Report("calibration")
    seeds = 3 if quick else 20
    rows = []
    errors_at_30 = []
    for panel in (panel for panel in panels() if panel.name in SETS):
        for share in SHARES:
            figures = _measure(panel, share, seeds)
            rows.append([panel.name, f"{share:.0%}", *figures.tolist()])
            report.at_most(
                f"{panel.name}, {share:.0%} human labels: Brier of the map minus Brier of the constant",
                float(figures[0] - figures[1]),
                0.0,
            )
            if share == 0.3:
                errors_at_30.append(float(figures[3]))
                report.at_most(f"{panel.name}, 30% human labels: mean calibration error", float(figures[3]), 0.07)
    report.at_most("mean calibration error of the sets, 30% human labels", float(np.mean(errors_at_30)), 0.07)
    report.table(
        f"Held-out, mean over judges with confidences and {seeds} seeds; ECE in 10 bins of equal width",
        ("set", "labels", "Brier, map", "Brier, constant", "Brier, stated", "ECE, map", "ECE, constant", "ECE, stated"),
        rows,
    )
    return report.result()


def _measure(panel: Panel, share: float, seeds: int) -> Floats:
    """(6,): Brier of map, constant and stated confidence, then ECE of the three."""
    table, found = panel.table, []
    for judge in range(len(table.judges)):
        mine = (table.judge == judge) & np.isfinite(table.confidence)
        if not mine.any():
            continue
        stated = table.confidence[mine].astype(np.float64)
        hit = (table.label[mine] == panel.gold[table.item[mine]]).astype(np.float64)
        for seed in range(seeds):
            order = np.random.default_rng(seed).permutation(len(stated))
            known, rest = order[: round(share * len(order))], order[round(share * len(order)) :]
            fitted = fit_recalibration(stated[known], hit[known])
            maps = (fitted.apply(stated[rest]), np.full(len(rest), fitted.accuracy), stated[rest])
            found.append(
                [float(((p - hit[rest]) ** 2).mean()) for p in maps] + [calibration_error(p, hit[rest]) for p in maps]
            )
    result: Floats = np.array(found).mean(axis=0)[[0, 1, 2, 3, 4, 5]]
    return result


def calibration_error(p: Floats, hit: Floats) -> float:
    """ECE in bins of equal width, as rivals report it."""
    place = np.minimum((p * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)
    gap = np.bincount(place, p - hit, CALIBRATION_BINS)
    return float(np.abs(gap).sum() / len(p))

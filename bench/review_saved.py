"""Human review saved: how many labels an agent's quality costs with judges to help, against simple random labelling."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench._panels import Panel, panels
from bench.common import Report, percent
from bench.ppi import sums

HALF_WIDTH = 0.03  # of the 95 % interval for the agent's quality
POOL = 20_000  # judged decisions, drawn from a set's items with replacement; labels are drawn from these
GOOD_JUDGE = 0.85
SAVED = 0.6
_Z = 1.959963984540054
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One agent (a judge of the set whose verdicts are served) and what is said about its choices.

    `truth`: (n,) 1 where the served label is the human one; `predicted`: (n,) what a judge, or the vote of all others,
    expects of it, in [0, 1].
    """

    panel: str
    who: str
    accuracy: float
    agent: str
    truth: Floats
    predicted: Floats


def run(quick: bool) -> dict[str, Any]:
    """Labels for ±3 points of quality on every judge set, with the ratio to simple random labelling.

    The targets are about a middling agent. A judge says less about an agent that is as good as itself and errs on the
    same items: those rows stand in the table too.
    """
    widths, checks = (8, 200) if quick else (40, 2000)
    covers = 0.90 if quick else 0.93
    report = Report("review-saved")
    rows, good = [], []
    for seed, case in enumerate(cases([panel for panel in panels() if not panel.name.startswith("crowd/")])):
        alone, helped = (labels_needed(case, tuning, widths, seed) for tuning in (0.0, None))
        ratio = helped / alone
        covered = coverage(case, helped, checks, seed)
        if case.accuracy >= GOOD_JUDGE and case.agent == "median":
            good.append((ratio, covered, case))
        rows.append(
            [
                case.panel,
                case.who,
                percent(case.accuracy),
                f"{case.agent}, {percent(float(case.truth.mean()))} right",
                alone,
                helped,
                round(ratio, 3),
                percent(covered),
            ]
        )
    if good:
        worst, _, case = max(good, key=lambda one: one[0])
        report.at_most(
            f"labels against simple random labelling, judges from {GOOD_JUDGE:.0%} accuracy ({len(good)}), the worst: "
            f"{case.panel} {case.who}",
            worst,
            SAVED,
        )
        report.at_least(
            "95 % interval at that many labels covers, the worst of these", min(c for _, c, _ in good), covers
        )
    else:
        report.target("labels against simple random labelling where a judge is good", None, f"<= {SAVED:g}", False)
    report.table(
        f"Labels for a 95 % interval of ±{100 * HALF_WIDTH:g} points, {POOL:,} judged decisions",
        (
            "set",
            "predicted by",
            "its accuracy",
            "agent",
            "labels, simple random",
            "labels, PPI++",
            "ratio",
            "interval covers",
        ),
        rows,
    )
    return report.result()


def cases(every: list[Panel]) -> list[Case]:
    """Of each set: its best judge and every one from 85 %, and the plain vote, for a middling agent and a good one.

    The middling agent is the median of the other judges by accuracy, the good one the best of the others.
    """
    found = []
    for panel in every:
        said = np.full((panel.table.n_items, len(panel.table.judges)), -1)
        said[panel.table.item, panel.table.judge] = panel.table.label
        known = said >= 0
        accuracy = ((said == panel.gold[:, None]) & known).sum(axis=0) / known.sum(axis=0)
        order = np.argsort(accuracy, kind="stable")
        best = int(order[-1])
        middle = int(order[:-1][(len(order) - 1) // 2])
        for judge in sorted({best, *np.flatnonzero(accuracy >= GOOD_JUDGE).tolist()}, key=lambda j: -accuracy[j]):
            agent = middle if judge != middle else best
            found.append(_case(panel, said, agent, "median", judge, accuracy))
        if len(order) > 2:
            found.append(_case(panel, said, int(order[-2]), "best other", best, accuracy))
        found.append(_vote(panel, said, middle))
    return found


def _case(panel: Panel, said: NDArray[np.int_], agent: int, name: str, judge: int, accuracy: Floats) -> Case:
    served = said[:, agent] >= 0
    agrees = (said[:, judge] == said[:, agent]).astype(float)
    predicted = np.where(said[:, judge] >= 0, agrees, 0.5)
    return Case(
        panel=panel.name,
        who=panel.table.judges[judge].judge,
        accuracy=float(accuracy[judge]),
        agent=name,
        truth=(said[:, agent] == panel.gold)[served].astype(float),
        predicted=predicted[served],
    )


def _vote(panel: Panel, said: NDArray[np.int_], agent: int) -> Case:
    served = said[:, agent] >= 0
    others = np.delete(said, agent, axis=1)
    voters = np.maximum((others >= 0).sum(axis=1), 1)
    share = (others == said[:, [agent]]).sum(axis=1) / voters
    counts = np.stack([(others == label).sum(axis=1) for label in range(panel.table.n_labels)], axis=1)
    return Case(
        panel=panel.name,
        who="the share of all other judges",
        accuracy=float((counts.argmax(axis=1) == panel.gold).mean()),
        agent="median",
        truth=(said[:, agent] == panel.gold)[served].astype(float),
        predicted=share[served],
    )


def labels_needed(case: Case, tuning: float | None, runs: int, seed: int) -> int:
    """Fewest labels whose interval is ±3 points wide on average over `runs` draws, by bisection."""
    low, high = 30, POOL
    while high - low > max(1, low // 200):
        middle = (low + high) // 2
        low, high = (low, middle) if _width(case, middle, tuning, runs, seed) <= HALF_WIDTH else (middle, high)
    return high


def _width(case: Case, labels: int, tuning: float | None, runs: int, seed: int) -> float:
    rng = np.random.default_rng([seed, labels])
    found = [_draw(case, labels, tuning, rng) for _ in range(runs)]
    known = [half for _, half in found if half is not None]
    return float(np.mean(known)) if known else math.inf


def coverage(case: Case, labels: int, runs: int, seed: int) -> float:
    """Share of tuned intervals that hold the quality over the whole set."""
    rng = np.random.default_rng([seed, labels, 1])
    right = float(case.truth.mean())
    found = [_draw(case, labels, None, rng) for _ in range(runs)]
    return sum(half is not None and abs(estimate - right) <= half for estimate, half in found) / runs


def _draw(case: Case, labels: int, tuning: float | None, rng: np.random.Generator) -> tuple[float, float | None]:
    """(estimate, half width of its 95 % interval) from one pool of decisions and one simple random draw of labels."""
    rows = rng.integers(0, len(case.truth), POOL)
    labelled = np.arange(POOL) < labels  # the rows are in random order already
    mean = sums(case.truth[rows], case.predicted[rows], labelled, np.full(POOL, labels / POOL)).mean(tuning)
    return (math.nan, None) if mean is None else (mean.estimate, _Z * math.sqrt(mean.variance))

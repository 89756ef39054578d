"""Asking people: labels until a model is as good as on all data, honest probabilities, the cost of one query."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from bench import rivals_sampling
from bench.common import Report, load_features
from trimtab.core.sampling import SamplingPlan, draw_sample, lift_curve, spread_order
from trimtab.core.uncertainty import normalised_entropy

TARGETS = {"spambase": 150, "spamassassin": 120, "website_phishing_1353": None}
BATCH, FIRST, MOST = 10, 10, 400
Floats = NDArray[np.float64]
Pick = Callable[[Floats, Floats, np.random.Generator], NDArray[np.int64]]


def run(quick: bool) -> dict[str, Any]:
    """Learning curves of a logistic learner by who picks its labels; checks of the draw; its speed."""
    report = Report("sampling")
    seeds = 5 if quick else 20
    rows = []
    theirs: dict[str, Pick | str] = {}
    if rivals_sampling.installed() and not quick:
        theirs = {f"scikit-activeml {name} (5 seeds)": name for name in rivals_sampling.NAMES}
    for name, limit in TARGETS.items():
        x, y = load_features(name)
        for strategy, pick in (STRATEGIES | theirs).items():
            runs = [_labels_needed(x, y, pick, seed) for seed in range(min(seeds, 5) if strategy in theirs else seeds)]
            needed = np.array([r[0] for r in runs])
            quartiles = np.quantile(needed, (0.25, 0.5, 0.75), method="nearest")
            rows.append([name, strategy, *quartiles.tolist(), *np.mean([r[1:] for r in runs], axis=0).tolist()])
            if strategy == OURS and limit is not None:
                report.at_most(f"{name}: labels to 99 % of full-data accuracy, median", float(np.median(needed)), limit)
    report.table(
        f"Labels to 99 % of full-data accuracy (centred 3-point mean), {seeds} seeds; inf: not within {MOST}",
        ("data", "who picks", "lower quartile", "median", "upper quartile", "full-data accuracy", "accuracy at 100"),
        rows,
    )
    slowest = max(_one_query(budget) for budget in (50, 500, 50_000))
    report.at_most("seconds for one query over 1 M rows (slowest of budgets 50, 500, 50,000)", slowest, 2.0)
    bias, coverage = _honesty(400 if quick else 4_000)
    report.at_most("Horvitz–Thompson total: bias in standard errors of the simulation", bias, 3.5)
    report.at_most("largest gap between stated and realised inclusion, standard errors", coverage, 5.0)
    lift = _lift()
    report.at_least("errors found in the 20 % most uncertain, against random review (audit slice, spambase)", lift, 1.5)
    return report.result()


def _ours(score: Floats, features: Floats, rng: np.random.Generator) -> NDArray[np.int64]:
    plan = SamplingPlan(budget=BATCH)
    return draw_sample(score, plan, rng, spread=spread_order(features, score)).index


def _ours_without_order(score: Floats, features: Floats, rng: np.random.Generator) -> NDArray[np.int64]:
    del features
    return draw_sample(score, SamplingPlan(budget=BATCH), rng).index


def _most_uncertain(score: Floats, features: Floats, rng: np.random.Generator) -> NDArray[np.int64]:
    del features, rng
    return np.argsort(-score, kind="stable")[:BATCH]


def _random(score: Floats, features: Floats, rng: np.random.Generator) -> NDArray[np.int64]:
    del features
    return rng.choice(len(score), BATCH, replace=False)


OURS = "Trimtab: known probability, 10 % audit, spread"
STRATEGIES: dict[str, Pick] = {
    OURS: _ours,
    "Trimtab without the spread": _ours_without_order,
    "most uncertain (no probability)": _most_uncertain,
    "random": _random,
}


class _Learner:
    """Logistic regression on features standardised by the labelled rows and clipped at three deviations."""

    def __init__(self, x: Floats, y: NDArray[np.int64]) -> None:
        self.scale = StandardScaler().fit(x)
        self.model = LogisticRegression(max_iter=1000).fit(self.scaled(x), y)

    def scaled(self, x: Floats) -> Floats:
        clipped: Floats = np.clip(self.scale.transform(x), -3.0, 3.0)
        return clipped

    def accuracy(self, x: Floats, y: NDArray[np.int64]) -> float:
        return float(self.model.score(self.scaled(x), y))

    def posterior(self, x: Floats) -> Floats:
        p: Floats = self.model.predict_proba(self.scaled(x))
        return p


def _labels_needed(x: Floats, y: NDArray[np.int64], pick: Pick | str, seed: int) -> tuple[float, float, float]:
    """(labels, full-data accuracy, accuracy at 100 labels). The full-data model is a plain standardised logistic.

    `pick`: one of ours, or the name of one of scikit-activeml's.
    """
    pool, test = train_test_split(np.arange(len(y)), test_size=0.3, stratify=y, random_state=seed)
    rng = np.random.default_rng(seed)
    plain = StandardScaler().fit(x[pool])
    model = LogisticRegression(max_iter=3000).fit(plain.transform(x[pool]), y[pool])
    full = float(model.score(plain.transform(x[test]), y[test]))
    labelled = list(rng.choice(len(pool), FIRST, replace=False))
    while len(np.unique(y[pool][labelled])) < 2:
        labelled.append(int(rng.integers(len(pool))))
    accuracies, counts = [], []
    while len(labelled) <= MOST:
        learner = _Learner(x[pool][labelled], y[pool][labelled])
        accuracies.append(learner.accuracy(x[test], y[test]))
        counts.append(len(labelled))
        rest = np.setdiff1d(np.arange(len(pool)), labelled)
        if len(accuracies) >= 3 and float(np.mean(accuracies[-3:])) >= 0.99 * full and len(labelled) > 110:
            break
        if isinstance(pick, str):
            seen = learner.scaled(x[pool])
            labelled.extend(rivals_sampling.query(pick, seen, y[pool], labelled, batch=BATCH, rng=rng))
            continue
        score = normalised_entropy(learner.posterior(x[pool][rest]))
        labelled.extend(rest[pick(score, x[pool][rest], rng)].tolist())
    running = np.convolve(accuracies, np.ones(3) / 3, "valid")
    reached = np.flatnonzero(running >= 0.99 * full)
    at_100 = accuracies[int(np.argmin(np.abs(np.array(counts) - 100)))]
    return (float(counts[reached[0] + 1]) if len(reached) else float("inf")), full, at_100


def _one_query(budget: int) -> float:
    rng = np.random.default_rng(0)
    score = rng.random(1_000_000) ** 3
    start = time.perf_counter()
    draw_sample(score, SamplingPlan(budget=budget, discordant_quota=5), rng, discordant=rng.random(1_000_000) < 0.01)
    return time.perf_counter() - start


def _honesty(draws: int) -> tuple[float, float]:
    """(bias of an HT total, largest inclusion gap), both in standard errors, over the full design."""
    rng = np.random.default_rng(1)
    n = 300
    score = rng.random(n) ** 2
    value = score + rng.random(n)  # related to the uncertainty: a naive mean would be biased
    group = rng.integers(0, 220, n)
    discordant = rng.random(n) < 0.1
    plan = SamplingPlan(budget=30, discordant_quota=6)
    totals, seen = np.zeros(draws), np.zeros(n)
    inclusion = np.zeros(n)
    for i in range(draws):
        sample = draw_sample(score, plan, rng, discordant=discordant, group=group)
        totals[i] = float((value[sample.index] / sample.probability).sum())
        seen[sample.index] += 1
        inclusion = sample.inclusion
    bias = abs(totals.mean() - value.sum()) / (totals.std() / np.sqrt(draws))
    gap = np.abs(seen / draws - inclusion) / np.sqrt(inclusion * (1 - inclusion) / draws + 1e-12)
    return float(bias), float(gap[inclusion < 1].max())


def _lift() -> float:
    """Lift at 20 % of a model trained on 100 labels, from a uniform audit of the rest."""
    x, y = load_features("spambase")
    order = np.random.default_rng(0).permutation(len(y))
    learner = _Learner(x[order[:100]], y[order[:100]])
    audit = order[100:1100]
    posterior = learner.posterior(x[audit])
    lift = lift_curve(normalised_entropy(posterior), posterior.argmax(axis=1) != y[audit]).lift_at(0.2)
    return float("nan") if lift is None else lift

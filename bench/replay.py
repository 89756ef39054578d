"""Replay before approve: how many logged decisions a second, in how much memory, and that it chooses as agents do."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]  # ships no types

from bench.common import Report
from trimtab.core.agents import AgentSpec
from trimtab.core.batch import Floats, chosen_labels, posterior_matrix
from trimtab.core.bundles import Bundle
from trimtab.core.policy import compile_policy
from trimtab.core.replay import ReplaySummary, Slicing, replay_batch

BATCH = 100_000
NAMES = tuple(f"x{i}" for i in range(7))
LABELS = ("allow", "hold")
SPEC = AgentSpec.from_mapping(
    {"agent": "bench", "labels": list(LABELS), "features": [{"name": n, "kind": "number"} for n in NAMES]}
)


def bundle(weights: Floats) -> Bundle:
    """A logistic bundle of seven features."""
    policy = {
        "kind": "logistic",
        "intercept": [0.1],
        "coefficients": {name: [float(w)] for name, w in zip(NAMES, weights, strict=True)},
    }
    return Bundle.build(SPEC, policy, fills=dict.fromkeys(NAMES, 0.0))


def columns_of(matrix: Floats) -> dict[str, Floats]:
    """A (7, n) matrix as one array per feature."""
    return dict(zip(NAMES, matrix, strict=True))


def megabytes() -> float:
    """What this process holds now."""
    return float(psutil.Process().memory_info().rss) / 2**20


def stream(champion: Bundle, challenger: Bundle, batches: int, *, answered: float, sliced: bool) -> dict[str, float]:
    """Replays `batches` fresh batches; seconds are those of the replay alone, memory is looked at after each batch."""
    rng = np.random.default_rng(4)
    matrix = rng.normal(size=(len(NAMES), BATCH))
    columns = columns_of(matrix)
    slicing = Slicing.of(SPEC.features, columns) if sliced else None
    whole, seconds, held = ReplaySummary.empty(LABELS), [], []
    for _ in range(batches):
        rng.standard_normal(out=matrix)
        answers = np.where(rng.random(BATCH) < answered, rng.integers(0, 2, BATCH), -1) if answered else None
        start = time.perf_counter()
        part, _, _ = replay_batch(champion, challenger, columns, labels=LABELS, slicing=slicing, answers=answers)
        whole = whole.merge(part)
        seconds.append(time.perf_counter() - start)
        held.append(megabytes())
    if whole.compared != batches * BATCH:
        raise AssertionError("every decision must have been replayed")
    settled = held[len(held) // 10 :]  # the first batches fill the allocator's pools
    return {
        "rate": batches * BATCH / sum(seconds),
        "usual_rate": BATCH / float(np.median(seconds)),
        "growth": max(settled) - settled[0],
    }


def limit(weights: tuple[Floats, Floats], rounds: int) -> float:
    """What this machine does at most: both scores by one product of matrices and a comparison, nothing counted."""
    rng = np.random.default_rng(4)
    matrix = rng.normal(size=(BATCH, len(NAMES)))
    both = np.column_stack(weights)
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        chosen = matrix @ both > -0.1
        flips = int((chosen[:, 0] != chosen[:, 1]).sum())
        seconds.append(time.perf_counter() - start)
    if not flips:
        raise AssertionError("the two bundles must differ")
    return BATCH / float(np.median(seconds))


def one_by_one(challenger: Bundle, rows: int) -> tuple[int, float, float]:
    """Rows on which the batch and what agents run differ; the largest distance of confidences; decisions a second."""
    rng = np.random.default_rng(6)
    matrix = rng.normal(size=(rows, len(NAMES)))
    matrix[rng.random(matrix.shape) < 0.05] = np.nan  # unknown
    posterior = posterior_matrix(challenger, columns_of(np.ascontiguousarray(matrix.T)))
    chosen = chosen_labels(posterior)
    policy = compile_policy(challenger)
    values = [tuple(None if math.isnan(v) else v for v in row) for row in matrix.tolist()]
    start = time.perf_counter()
    choices = [policy.choose(row) for row in values]
    rate = rows / (time.perf_counter() - start)
    differing = sum(c.label != challenger.labels[int(i)] for c, i in zip(choices, chosen, strict=True))
    confidence = posterior.max(axis=1)
    return differing, max(abs(c.confidence - p) for c, p in zip(choices, confidence, strict=True)), rate


def run(quick: bool) -> dict[str, Any]:
    """Every promise about replay."""
    report = Report("replay")
    rng = np.random.default_rng(3)
    first = rng.normal(size=len(NAMES))
    second = first + rng.normal(scale=0.2, size=len(NAMES))
    champion, challenger = bundle(first), bundle(second)
    batches = 20 if quick else 100
    plain = stream(champion, challenger, batches, answered=0.0, sliced=False)
    full = stream(champion, challenger, batches // 4, answered=0.001, sliced=True)
    most = limit((first, second), 20 if quick else 200)
    differing, distance, alone = one_by_one(challenger, 5_000 if quick else 50_000)
    n = batches * BATCH
    report.at_least(f"champion and challenger over {n:,} decisions: decisions a second", plain["rate"], 1_000_000)
    report.at_most(f"memory gained while replaying {n:,} decisions in batches, MB", plain["growth"], 20.0)
    report.target("decisions on which the batch and what agents run differ", differing, "0", differing == 0)
    report.at_most("largest distance of a confidence from what agents compute", distance, 1e-12)
    report.table(
        f"Logistic bundles of 7 features, batches of {BATCH:,}, one core",
        ["what", "decisions a second", "share of the machine's limit"],
        [
            ["one product of matrices and a comparison, both bundles (limit)", most, 1.0],
            ["replay: both choices, escalations, flip matrix", plain["rate"], plain["rate"] / most],
            ["the same, usual batch", plain["usual_rate"], plain["usual_rate"] / most],
            ["with 35 slices and 1 in 1,000 answered", full["rate"], full["rate"] / most],
            ["one decision at a time, as an agent does (one bundle)", alone, alone / most],
        ],
    )
    return report.result()

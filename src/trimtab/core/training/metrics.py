"""Figures of a classifier on held-out rows. Arrays: `posterior` (n, k) rows summing to 1, `label` (n,) positions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from trimtab.core.batch import Floats, chosen_labels
from trimtab.errors import InvalidStatisticError

Labels = npt.NDArray[np.intp]
Interval = tuple[float, float]
ECE_BINS = 10
# A probability of 0 for what happened would be an infinite loss; it is charged as this one.
SMALLEST_PROBABILITY = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassFigures:
    """One label: rows that have it, rows that got it, and how the two agree (None where there is nothing to divide)."""

    label: str
    n: int
    chosen: int
    precision: float | None
    recall: float | None

    def to_mapping(self) -> dict[str, Any]:
        return {
            "label": self.label,
            "n": self.n,
            "chosen": self.chosen,
            "precision": _short(self.precision),
            "recall": _short(self.recall),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How good a policy is on n rows. Accuracies: more is better; log loss, Brier score and ECE: less is better.

    `weighted_accuracy` weighs rows by label confidence and inverse inclusion probability, so it speaks for all
    decisions when the labelled ones were chosen; None when all weights are equal.
    """

    n: int
    accuracy: float
    accuracy_interval: Interval
    weighted_accuracy: float | None
    balanced_accuracy: float
    log_loss: float
    brier: float
    ece: float
    classes: tuple[ClassFigures, ...]

    def to_mapping(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "accuracy": _short(self.accuracy),
            "accuracy_interval": [_short(end) for end in self.accuracy_interval],
            "weighted_accuracy": _short(self.weighted_accuracy),
            "balanced_accuracy": _short(self.balanced_accuracy),
            "log_loss": _short(self.log_loss),
            "brier": _short(self.brier),
            "ece": _short(self.ece),
            "ece_bins": f"{ECE_BINS} of equal mass",
            "classes": [one.to_mapping() for one in self.classes],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A policy against a rival on the same n rows: `wins` only it got right, `losses` only the rival."""

    rival: str
    n: int
    rival_accuracy: float
    difference: float
    interval: Interval
    wins: int
    losses: int

    def to_mapping(self) -> dict[str, Any]:
        return {
            "rival": self.rival,
            "n": self.n,
            "rival_accuracy": _short(self.rival_accuracy),
            "difference": _short(self.difference),
            "interval": [_short(end) for end in self.interval],
            "wins": self.wins,
            "losses": self.losses,
        }


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 6) + 0.0


def figures(posterior: Floats, label: Labels, weight: Floats, labels: Sequence[str]) -> Figures:
    """All figures at once. Raises InvalidStatisticError for no rows: nothing measured is not a figure."""
    n = len(label)
    if n == 0 or posterior.shape != (n, len(labels)):
        raise InvalidStatisticError(f"figures need at least one row and a ({n}, {len(labels)}) posterior")
    chosen = chosen_labels(posterior)
    right = chosen == label
    classes = []
    for index, name in enumerate(labels):
        has, got = label == index, chosen == index
        hits = int((has & got).sum())
        n_has, n_got = int(has.sum()), int(got.sum())
        classes.append(
            ClassFigures(
                label=name,
                n=n_has,
                chosen=n_got,
                precision=hits / n_got if n_got else None,
                recall=hits / n_has if n_has else None,
            )
        )
    recalls = [one.recall for one in classes if one.recall is not None]
    return Figures(
        n=n,
        accuracy=float(right.mean()),
        accuracy_interval=wilson_interval(int(right.sum()), n),
        weighted_accuracy=None if np.ptp(weight) < 1e-12 else float(np.average(right, weights=weight)),
        balanced_accuracy=sum(recalls) / len(recalls),
        log_loss=log_loss(posterior, label),
        brier=brier_score(posterior, label),
        ece=expected_calibration_error(posterior, label),
        classes=tuple(classes),
    )


def log_loss(posterior: Floats, label: Labels, weight: Floats | None = None) -> float:
    """Mean of -log P(the right label), in nats; >= 0, less is better. Probabilities below 1e-12 count as 1e-12."""
    losses = -np.log(np.maximum(posterior[np.arange(len(label)), label], SMALLEST_PROBABILITY))
    return float(np.average(losses, weights=weight))


def brier_score(posterior: Floats, label: Labels) -> float:
    """Half the mean squared distance between posterior and truth: in [0, 1], less is better.

    With two labels that is the familiar mean (p - y)^2; the half makes more labels comparable with it.
    Source: Brier 1950, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2.

    >>> brier_score(np.array([[0.2, 0.8]]), np.array([1]))
    0.04
    """
    truth = np.zeros_like(posterior)
    truth[np.arange(len(label)), label] = 1.0
    return round(float(((posterior - truth) ** 2).sum(axis=1).mean() / 2), 12)


def expected_calibration_error(posterior: Floats, label: Labels, bins: int = ECE_BINS) -> float:
    """Mean over `bins` bins of equal mass of |mean confidence - share right|, for the chosen label; in [0, 1].

    Rows are sorted by confidence and cut into bins of (nearly) equal numbers; fewer rows than bins: one row a bin.
    Biased upwards for few rows. Source: Nguyen & O'Connor 2015, doi:10.18653/v1/D15-1182.
    """
    confidence = posterior.max(axis=1)
    right = (chosen_labels(posterior) == label).astype(np.float64)
    # Ties are ordered by outcome-free position, so equal confidences may fall into two bins but never by their label.
    order = np.argsort(confidence, kind="stable")
    error = 0.0
    for rows in np.array_split(order, min(bins, len(order))):
        error += len(rows) * abs(float(confidence[rows].mean() - right[rows].mean()))
    return error / len(order)


def wilson_interval(successes: int, n: int, level: float = 0.95) -> Interval:
    """An interval for a proportion from `successes` of `n` independent trials; not valid under peeking.

    centre (p + z^2/2n) / (1 + z^2/n), half width z sqrt(p(1-p)/n + z^2/4n^2) / (1 + z^2/n). n = 0 gives (0, 1).
    Raises InvalidStatisticError outside 0 <= successes <= n. Source: Wilson 1927, doi:10.1080/01621459.1927.10502953.

    >>> [round(end, 4) for end in wilson_interval(90, 100)]
    [0.8256, 0.9448]
    """
    if not 0 <= successes <= n or not 0 < level < 1:
        raise InvalidStatisticError(f"needs 0 <= successes <= n and a level in (0, 1), found {successes}, {n}, {level}")
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + level) / 2)
    p, scale = successes / n, 1 + z * z / n
    centre = (p + z * z / (2 * n)) / scale
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / scale
    return max(0.0, centre - half), min(1.0, centre + half)


def paired_interval(both: int, only_first: int, only_second: int, neither: int, level: float = 0.95) -> Interval:
    """An interval for p1 - p2, two proportions measured on the same rows; not valid under peeking.

    Newcombe's hybrid score method: Wilson intervals of the two shares, joined by square-and-add with the correlation
    phi between them: lower = d - sqrt(a1^2 - 2 phi a1 b2 + b2^2). The four counts are >= 0; all zero gives (-1, 1).
    Raises InvalidStatisticError for a negative count.
    Source: Newcombe 1998, method 10, doi:10.1002/(SICI)1097-0258(19981130)17:22<2635::AID-SIM954>3.0.CO;2-C.

    >>> [round(end, 4) for end in paired_interval(36, 12, 2, 0)]
    [0.0569, 0.3404]
    """
    if min(both, only_first, only_second, neither) < 0:
        raise InvalidStatisticError("counts must be at least 0")
    n = both + only_first + only_second + neither
    if n == 0:
        return -1.0, 1.0
    first, second = both + only_first, both + only_second
    p1, p2 = first / n, second / n
    low1, high1 = wilson_interval(first, n, level)
    low2, high2 = wilson_interval(second, n, level)
    phi = _phi(both, only_first, only_second, neither)
    difference = (only_first - only_second) / n
    down1, up1, down2, up2 = p1 - low1, high1 - p1, p2 - low2, high2 - p2
    lower = difference - math.sqrt(max(0.0, down1**2 - 2 * phi * down1 * up2 + up2**2))
    upper = difference + math.sqrt(max(0.0, up1**2 - 2 * phi * up1 * down2 + down2**2))
    return max(-1.0, lower), min(1.0, upper)


def _phi(both: int, only_first: int, only_second: int, neither: int) -> float:
    n = both + only_first + only_second + neither
    margins = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    if margins == 0:
        return 0.0
    cross = both * neither - only_first * only_second
    # Newcombe's continuity correction, for positive association only.
    numerator = max(cross - n / 2, 0.0) if cross > 0 else float(cross)
    return numerator / math.sqrt(margins)


def compare(rival: str, chosen: Labels, rival_chosen: Labels, label: Labels) -> Comparison:
    """A policy's choices against a rival's on the same rows, with the 95 % interval of the accuracy difference."""
    right, rival_right = chosen == label, rival_chosen == label
    wins, losses = int((right & ~rival_right).sum()), int((~right & rival_right).sum())
    both, neither = int((right & rival_right).sum()), int((~right & ~rival_right).sum())
    n = len(label)
    return Comparison(
        rival=rival,
        n=n,
        rival_accuracy=float(rival_right.mean()),
        difference=(wins - losses) / n,
        interval=paired_interval(both, wins, losses, neither),
        wins=wins,
        losses=losses,
    )

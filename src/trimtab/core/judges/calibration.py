"""Is a judge as right as it says? Calibration error from sums, and the map from stated to honest confidence."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
import scipy  # its parts load when first used
from numpy.typing import ArrayLike

from trimtab.core.judges.reliability import JudgeSums
from trimtab.core.judges.verdicts import FloatArray
from trimtab.errors import InvalidStatisticError

CALIBRATION_BINS = 10
ISOTONIC_FROM = 200  # comparisons; below, a free-form monotone map fits noise
CURVE_FROM = 40  # comparisons; below, even a line's slope is mostly noise
_PRIOR_HITS = 1.0  # one imagined hit and one imagined miss: the smoothing of the constant map and of every other
_CLIP = 0.01  # stated 0 or 1 is read as .01 or .99: finite log-odds


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationBin:
    """One bar of a reliability diagram: decayed weight, mean stated confidence, share right."""

    weight: float
    confidence: float
    accuracy: float


def equal_mass_bins(sums: JudgeSums, *, bins: int = CALIBRATION_BINS) -> tuple[CalibrationBin, ...]:
    """The judge's verdicts in up to `bins` bins of equal decayed weight by stated confidence; () when none was stated.

    Fine bins are joined from the lowest confidence up and never split, so verdicts of one confidence share a bin: a
    judge that states two values has two bins. Raises InvalidStatisticError for bins < 1.
    """
    if bins < 1:
        raise InvalidStatisticError("a calibration table needs at least one bin")
    total = float(sums.confidence_weight.sum())
    if total <= 0:
        return ()
    filled = np.flatnonzero(sums.confidence_weight > 0)
    weight = sums.confidence_weight[filled]
    middle = (np.cumsum(weight) - weight / 2) / total
    place = np.minimum((middle * bins).astype(np.int64), bins - 1)
    joined = np.unique(place)
    return tuple(
        CalibrationBin(
            weight=float(weight[place == b].sum()),
            confidence=float(sums.confidence_sum[filled][place == b].sum() / weight[place == b].sum()),
            accuracy=float(sums.confidence_hits[filled][place == b].sum() / weight[place == b].sum()),
        )
        for b in joined
    )


def expected_calibration_error(bins: tuple[CalibrationBin, ...]) -> float | None:
    """ECE = Σ_b (weight_b / Σ weight) · |share right_b − mean confidence_b|, in [0, 1], lower is better.

    Estimated on the same verdicts that fill the bins, so it is biased upwards when they are few (about √(p(1−p)/n_b)
    per bin). None for no bins: no confidence was stated. Naeini, Cooper & Hauskrecht 2015, 10.1609/aaai.v29i1.9602.

    >>> expected_calibration_error((CalibrationBin(weight=2.0, confidence=0.75, accuracy=0.5),))
    0.25
    """
    total = sum(b.weight for b in bins)
    return sum(b.weight * abs(b.accuracy - b.confidence) for b in bins) / total if total > 0 else None


class MapKind(StrEnum):
    """How a stated confidence becomes an honest one."""

    CONSTANT = "constant"  # the stated confidence says nothing: every verdict gets the judge's smoothed accuracy
    TEMPERATURE = "temperature"  # the log-odds are divided by one number
    PLATT = "platt"  # a line through the log-odds
    ISOTONIC = "isotonic"  # any non-decreasing curve


@dataclass(frozen=True, slots=True, kw_only=True)
class RecalibrationMap:
    """From stated confidence to P(right), and what it is worth: cross-validated Brier beside the constant's."""

    kind: MapKind
    accuracy: float  # smoothed; what a verdict without confidence gets
    share: float  # in [0, 1]: how far the map moves from the accuracy to the curve
    intercept: float
    slope: float
    knots: tuple[tuple[float, float], ...]  # isotonic only: (stated, honest), increasing
    n: int
    brier: float | None
    constant_brier: float | None

    def apply(self, confidence: ArrayLike) -> FloatArray:
        """P(right) for each stated confidence, any shape, in (0, 1); nan (none stated) becomes the judge's accuracy.

        Raises InvalidStatisticError for a confidence outside [0, 1].
        """
        stated = np.asarray(confidence, dtype=np.float64)
        if np.isfinite(stated).any() and (np.nanmin(stated) < 0 or np.nanmax(stated) > 1):
            raise InvalidStatisticError("a stated confidence must be in [0, 1]")
        filled = np.where(np.isfinite(stated), stated, 0.5)
        if self.kind is MapKind.CONSTANT:
            honest: FloatArray = np.full(stated.shape, self.accuracy)
        elif self.kind is MapKind.ISOTONIC:
            honest = np.asarray(np.interp(filled, [x for x, _ in self.knots], [y for _, y in self.knots]))
        else:
            honest = np.asarray(scipy.special.expit(self.intercept + self.slope * _log_odds(filled)))
        return np.where(np.isfinite(stated), self.accuracy + self.share * (honest - self.accuracy), self.accuracy)


def fit_recalibration(
    confidence: ArrayLike, hit: ArrayLike, *, weight: ArrayLike | None = None, folds: int = 10
) -> RecalibrationMap:
    """The judge's map from stated confidence to P(right), chosen by cross-validated Brier score.

    `confidence`: (n,) in [0, 1]; `hit`: (n,) true where the verdict equals the human label; `weight`: (n,) ≥ 0 (decay).
    Candidates: the constant map, temperature and Platt below 200 comparisons; the constant, Platt and isotonic from
    there. Each is smoothed (one imagined hit and miss; a unit-normal prior on Platt's slope), and the map goes only a
    share of the way from the judge's smoothed accuracy to the curve: the share with the least out-of-fold squared error
    less one standard error, in [0, 1]. The out-of-fold Brier score is therefore never above the constant's; on new data
    that is an expectation, not a guarantee. Folds are stratified by outcome and confidence and need no chance: same
    verdicts, same map, in any order.

    n = 0 gives the constant 0.5 with brier None. Fewer than 40 comparisons or one outcome only: the constant.
    Raises InvalidStatisticError for values outside their domain or unequal lengths. Platt 1999; Guo et al. 2017, arXiv
    1706.04599; Zadrozny & Elkan 2002, 10.1145/775047.775151.

    >>> fit_recalibration([], []).kind.value
    'constant'
    """
    stated = np.asarray(confidence, dtype=np.float64).ravel()
    hits = np.asarray(hit, dtype=np.float64).ravel()
    counted = np.ones(len(stated)) if weight is None else np.asarray(weight, dtype=np.float64).ravel()
    if not (len(stated) == len(hits) == len(counted)):
        raise InvalidStatisticError("confidences, hits and weights must have the same length")
    if len(stated) and not (np.isfinite(stated).all() and stated.min() >= 0 and stated.max() <= 1):
        raise InvalidStatisticError("a stated confidence must be in [0, 1]")
    if len(stated) and not (np.isin(hits, (0.0, 1.0)).all() and np.isfinite(counted).all() and counted.min() >= 0):
        raise InvalidStatisticError("hits must be true or false, weights finite and 0 or more")
    n = len(stated)
    if n < max(CURVE_FROM, 2 * folds) or hits.min() == hits.max() or float(counted.sum()) <= 0:
        return _fit(MapKind.CONSTANT, stated, hits, counted)
    order = np.lexsort((counted, stated, hits))
    fold = np.empty(n, dtype=np.int64)
    fold[order] = np.arange(n) % folds
    last = MapKind.ISOTONIC if n >= ISOTONIC_FROM else MapKind.TEMPERATURE
    held_out = {kind: np.empty(n) for kind in (MapKind.CONSTANT, MapKind.PLATT, last)}
    for f in range(folds):
        out = fold == f
        for kind, values in held_out.items():
            values[out] = _fit(kind, stated[~out], hits[~out], counted[~out]).apply(stated[out])
    flat = held_out.pop(MapKind.CONSTANT)
    total = float(counted.sum())
    constant_brier = float(counted @ (flat - hits) ** 2) / total
    best, best_share, best_brier = MapKind.CONSTANT, 0.0, constant_brier
    for kind, curve in held_out.items():
        share = _share(curve - flat, hits - flat, counted)
        brier = float(counted @ (flat + share * (curve - flat) - hits) ** 2) / total
        if brier < best_brier:
            best, best_share, best_brier = kind, share, brier
    return replace(_fit(best, stated, hits, counted), share=best_share, brier=best_brier, constant_brier=constant_brier)


def _share(step: FloatArray, residual: FloatArray, weight: FloatArray) -> float:
    """How much of the step from the constant to the curve to take: least squares, one standard error deducted."""
    square = float(weight @ (step * step))
    if square < 1e-12:
        return 0.0
    share = float(weight @ (step * residual)) / square
    error = float(np.sqrt(weight**2 @ (step * (residual - share * step)) ** 2)) / square
    return min(max(share - error, 0.0), 1.0)


def _log_odds(confidence: FloatArray) -> FloatArray:
    result: FloatArray = scipy.special.logit(np.clip(confidence, _CLIP, 1 - _CLIP))
    return result


def _fit(kind: MapKind, stated: FloatArray, hits: FloatArray, weight: FloatArray) -> RecalibrationMap:
    accuracy = (float(weight @ hits) + _PRIOR_HITS) / (float(weight.sum()) + 2 * _PRIOR_HITS)
    intercept, slope = float(scipy.special.logit(accuracy)), 0.0
    knots: tuple[tuple[float, float], ...] = ()
    if kind is MapKind.TEMPERATURE:
        intercept, slope = 0.0, _fit_temperature(_log_odds(stated), hits, weight)
    elif kind is MapKind.PLATT:
        intercept, slope = _fit_platt(_log_odds(stated), hits, weight)
    elif kind is MapKind.ISOTONIC:
        knots = _fit_isotonic(stated, hits, weight, accuracy)
    return RecalibrationMap(
        kind=kind,
        accuracy=accuracy,
        share=1.0,
        intercept=intercept,
        slope=slope,
        knots=knots,
        n=len(stated),
        brier=None,
        constant_brier=None,
    )


def _fit_temperature(x: FloatArray, hits: FloatArray, weight: FloatArray) -> float:
    """The multiplier 1/T of the log-odds, in [0, 4], with a weak prior at 1."""

    def loss(inverse: float) -> float:
        z = inverse * x
        return float(weight @ (np.logaddexp(0, z) - hits * z)) + 0.5 * (inverse - 1) ** 2

    return float(scipy.optimize.minimize_scalar(loss, bounds=(0.0, 4.0), method="bounded").x)


def _fit_platt(x: FloatArray, hits: FloatArray, weight: FloatArray) -> tuple[float, float]:
    """(intercept, slope) by Newton's method; the slope's prior is unit normal on the standardised log-odds."""
    total = float(weight.sum())
    mean = float(weight @ x) / total if total > 0 else 0.0
    spread = float(np.sqrt(weight @ (x - mean) ** 2 / total)) if total > 0 else 0.0
    if spread < 1e-9:
        return float(scipy.special.logit((float(weight @ hits) + _PRIOR_HITS) / (total + 2 * _PRIOR_HITS))), 0.0
    design = np.stack([np.ones(len(x)), (x - mean) / spread], axis=1)
    design = np.vstack([design, [[1.0, 0.0], [1.0, 0.0]]])
    target = np.concatenate([hits, [1.0, 0.0]])
    mass = np.concatenate([weight, [_PRIOR_HITS, _PRIOR_HITS]])
    penalty = np.diag([0.0, 1.0])
    beta = np.zeros(2)
    for _ in range(50):
        p = scipy.special.expit(design @ beta)
        gradient = design.T @ (mass * (p - target)) + penalty @ beta
        hessian = (design * (mass * p * (1 - p))[:, None]).T @ design + penalty
        step = np.linalg.solve(hessian, gradient)
        beta -= np.clip(step, -2.0, 2.0)
        if float(np.abs(step).max()) < 1e-9:
            break
    slope = float(beta[1]) / spread
    return float(beta[0]) - slope * mean, slope


def _fit_isotonic(
    stated: FloatArray, hits: FloatArray, weight: FloatArray, accuracy: float
) -> tuple[tuple[float, float], ...]:
    """Knots of the non-decreasing least-squares curve, each block shrunk to the judge's accuracy like 2 verdicts."""
    values, place = np.unique(stated, return_inverse=True)
    mass = np.bincount(place, weight)
    kept = mass > 0
    share = np.bincount(place, weight * hits)[kept] / mass[kept]

    curve = scipy.optimize.isotonic_regression(share, weights=mass[kept])
    starts = np.asarray(curve.blocks, dtype=np.int64)
    block_mass = np.add.reduceat(mass[kept], starts[:-1])
    centre = np.add.reduceat(mass[kept] * values[kept], starts[:-1]) / block_mass
    height = (block_mass * curve.x[starts[:-1]] + 2 * _PRIOR_HITS * accuracy) / (block_mass + 2 * _PRIOR_HITS)
    height = scipy.optimize.isotonic_regression(height, weights=block_mass).x
    return tuple((float(x), float(y)) for x, y in zip(centre, height, strict=True))

"""Was asking worth it, and is it still? Lift against random review, and how many labels are left that pay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from trimtab.core.judges.agreement import wilson_interval
from trimtab.core.judges.calibration import fit_recalibration
from trimtab.core.judges.verdicts import FloatArray
from trimtab.errors import InvalidStatisticError

MIN_ANSWERED = 20  # audited answers below which nothing is said about what is left
_DEPTHS = tuple(round(0.05 * i, 2) for i in range(21))


@dataclass(frozen=True, slots=True, kw_only=True)
class LiftPoint:
    """Reviewing the `depth` most uncertain share finds the share `found` of all errors; random review finds `depth`."""

    depth: float
    found: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiftCurve:
    """How much sooner uncertainty finds errors than chance. `auroc` is None when all answers were alike."""

    points: tuple[LiftPoint, ...]
    n: int
    errors: int
    auroc: float | None

    def lift_at(self, depth: float) -> float | None:
        """Errors found at `depth` against random review of as many (1: no better); None without errors or at 0."""
        if not self.points or depth <= 0:
            return None
        found = np.interp(depth, [p.depth for p in self.points], [p.found for p in self.points])
        return float(found) / depth


def lift_curve(uncertainty: ArrayLike, wrong: ArrayLike) -> LiftCurve:
    """The lift of uncertainty over random review, from the **audit slice** alone.

    `uncertainty`: (m,) in [0, 1] as it was before the answer; `wrong`: (m,) true where the served label (or the
    consensus) differed from the person's. The audit slice is uniform, so the curve holds for all decisions; from chosen
    items it would not. found(d) = share of errors among the d·m most uncertain, ties counted as their mean. Each point
    has Wilson's 95 % interval for a share of the errors seen (one look, fixed n). AUROC = P(an error is more uncertain
    than a hit), ties ½: Hanley & McNeil 1982, 10.1148/radiology.143.1.7063747. No errors: no points. Raises
    InvalidStatisticError for unequal lengths or an uncertainty outside [0, 1].

    >>> lift_curve([0.9, 0.8, 0.2, 0.1], [True, False, False, False]).lift_at(0.25)
    4.0
    """
    score, missed = _columns(uncertainty, wrong)
    n, errors = len(score), int(missed.sum())
    if errors == 0:
        return LiftCurve(points=(), n=n, errors=0, auroc=None)
    levels, place = np.unique(-score, return_inverse=True)
    size = np.bincount(place, minlength=len(levels)).astype(np.float64)
    hit = np.bincount(place, missed.astype(np.float64), len(levels))
    depth = np.concatenate([[0.0], np.cumsum(size)]) / n
    found = np.concatenate([[0.0], np.cumsum(hit)]) / errors
    points = []
    for at in _DEPTHS:
        share = float(np.interp(at, depth, found))
        points.append(LiftPoint(depth=at, found=share, interval=wilson_interval(share * errors, errors)))
    right = size - hit
    below = right.sum() - np.cumsum(right)
    auroc = float(hit @ (below + 0.5 * right)) / (errors * (n - errors)) if errors < n else None
    return LiftCurve(points=tuple(points), n=n, errors=errors, auroc=auroc)


@dataclass(frozen=True, slots=True, kw_only=True)
class StopAdvice:
    """How many labels are still worth asking. None where too little was answered to say.

    worth_asking: open decisions whose chance of being wrong is at least `worth`. expected_errors: errors that asking
    them would find. error_rate, interval: share wrong among all open decisions, from the answers. remaining_error_rate:
    what would be left after asking. stop: nothing left that pays; None is not known.
    """

    worth_asking: int | None
    expected_errors: float | None
    error_rate: float | None
    interval: tuple[float, float] | None
    remaining_error_rate: float | None
    answered: int
    stop: bool | None
    reason: str


def labels_worth_asking(
    open_uncertainty: ArrayLike,
    answered_uncertainty: ArrayLike,
    wrong: ArrayLike,
    *,
    probability: ArrayLike | None = None,
    worth: float = 0.05,
) -> StopAdvice:
    """The stop rule: ask while a label has at least the chance `worth` of correcting something.

    `worth` = cost of a label / cost of a wrong decision left standing. P(wrong | uncertainty) is fitted on the answered
    items, (m,) uncertainty and (m,) wrong, weighted by 1/π with their inclusion `probability` (m,); None: uniform, as
    in the audit slice. The fit is `fit_recalibration` read for errors: constant, logistic or monotone by
    cross-validation; it is applied to the (n,) `open_uncertainty`. The error rate's interval is Wilson's at the
    effective sample size (Σw)²/Σw² (Kish 1965); it holds for one look, and the advice is an estimate, not a bound.

    Fewer than 20 answers: every figure None. No open decision: stop. Raises InvalidStatisticError for values outside
    their domain.
    """
    score, missed = _columns(answered_uncertainty, wrong)
    pool = np.asarray(open_uncertainty, dtype=np.float64)
    if pool.ndim != 1 or (len(pool) and not (np.isfinite(pool).all() and pool.min() >= 0 and pool.max() <= 1)):
        raise InvalidStatisticError("uncertainties must be a column of numbers in [0, 1]")
    if not 0 < worth < 1:
        raise InvalidStatisticError("the chance from which a label is worth asking must be inside (0, 1)")
    pi = np.ones(len(score)) if probability is None else np.asarray(probability, dtype=np.float64)
    if pi.shape != score.shape or (len(pi) and not (pi.min() > 0 and pi.max() <= 1)):
        raise InvalidStatisticError("inclusion probabilities must be in (0, 1], one per answer")
    m, n = len(score), len(pool)
    if n == 0 or m < MIN_ANSWERED:
        return StopAdvice(
            worth_asking=0 if n == 0 else None,
            expected_errors=0.0 if n == 0 else None,
            error_rate=None,
            interval=None,
            remaining_error_rate=None,
            answered=m,
            stop=True if n == 0 else None,
            reason="nothing is open" if n == 0 else f"{m} answers; {MIN_ANSWERED} are needed to tell",
        )
    weight = 1.0 / pi
    effective = float(weight.sum() ** 2 / (weight @ weight))
    weight *= effective / weight.sum()
    chance = fit_recalibration(score, missed, weight=weight).apply(pool)
    pays = chance >= worth
    rate = float(chance.mean())
    seen = float(weight @ missed) / effective
    low, high = wilson_interval(min(seen * effective, effective), effective)
    count = int(pays.sum())
    expected = float(chance[pays].sum())
    if count:
        reason = (
            f"{count} open decisions are wrong with a chance of at least {worth:.0%}, about {expected:.1f} of them are"
        )
    else:
        reason = f"no open decision is wrong with a chance of {worth:.0%} or more"
    return StopAdvice(
        worth_asking=count,
        expected_errors=expected,
        error_rate=rate,
        interval=(low, high),
        remaining_error_rate=float(chance[~pays].sum()) / n,
        answered=m,
        stop=count == 0,
        reason=reason,
    )


def _columns(uncertainty: ArrayLike, wrong: ArrayLike) -> tuple[FloatArray, FloatArray]:
    score = np.asarray(uncertainty, dtype=np.float64)
    missed = np.asarray(wrong, dtype=np.float64)
    if score.ndim != 1 or score.shape != missed.shape:
        raise InvalidStatisticError("uncertainties and outcomes must be two columns of the same length")
    if len(score) and not (np.isfinite(score).all() and score.min() >= 0 and score.max() <= 1):
        raise InvalidStatisticError("uncertainties must be a column of numbers in [0, 1]")
    if len(missed) and not np.isin(missed, (0.0, 1.0)).all():
        raise InvalidStatisticError("outcomes must be true (wrong) or false (right)")
    return score, missed

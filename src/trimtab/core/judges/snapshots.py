"""A dated snapshot of what a judge is worth, and of the consensus in use: everything measured, as plain JSON data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from trimtab.core.judges.agreement import drift
from trimtab.core.judges.calibration import RecalibrationMap, equal_mass_bins, fit_recalibration
from trimtab.core.judges.consensus import ConsensusChoice
from trimtab.core.judges.reliability import HALF_LIFE_DAYS, LOOK_BACK_DAYS, JudgeSums
from trimtab.core.judges.verdicts import JudgeVersion, VerdictTable
from trimtab.core.judges.weights import JudgeWeight


def judge_recalibration(
    table: VerdictTable,
    gold: ArrayLike,
    judge: JudgeVersion,
    *,
    half_life_days: float = HALF_LIFE_DAYS,
    look_back_days: float = LOOK_BACK_DAYS,
    survey_weight: ArrayLike | None = None,
) -> RecalibrationMap:
    """One judge version's map from stated confidence to P(right), from the verdicts that people's answers cover.

    `fit_recalibration` on the same verdicts, decay and survey weights as `summarise`; the weights are scaled to sum to
    their effective number (Σw)²/Σw², so that decayed or drawn answers do not pose as more than they are. A judge that
    is not in the table, states no confidence or was never compared gets the constant 0.5 with n = 0. Raises
    InvalidInputError for gold of another shape. O(verdicts log verdicts).

    >>> table = VerdictTable.from_columns(
    ...     decisions=["d1"], judges=[JudgeVersion(judge="a", version="1")], labels=("ok", "spam"),
    ...     item=[0], judge=[0], label=[1], confidence=[0.9])
    >>> judge_recalibration(table, [1], JudgeVersion(judge="a", version="1")).n
    1
    """
    answers = table.checked_gold(gold)
    index = table.judges.index(judge) if judge in table.judges else -1
    right = answers[table.item]
    used = (table.judge == index) & (right >= 0) & (table.age_days <= look_back_days) & np.isfinite(table.confidence)
    survey = np.ones(table.n_items) if survey_weight is None else np.asarray(survey_weight, dtype=np.float64)
    weight = np.exp2(-table.age_days[used].astype(np.float64) / half_life_days) * survey[table.item[used]]
    square = float(weight @ weight)
    if square > 0:
        weight *= float(weight.sum()) / square
    confidence = table.confidence[used].astype(np.float64)
    return fit_recalibration(confidence, table.label[used] == right[used], weight=weight)


def judge_snapshot(
    weight: JudgeWeight,
    sums: JudgeSums,
    recalibration: RecalibrationMap,
    *,
    labels: Sequence[str],
    earlier: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Everything measured of one judge version. What could not be measured is None, beside its n of 0.

    `earlier`: the newest snapshots of the judge's other versions, to show beside this one; each is cut down to what
    tells versions apart. A new version has no past of its own: it starts unproven.
    """
    moved = drift(sums)
    compared = sums.n > 0
    return {
        "judge": weight.judge,
        "version": weight.version,
        "weight": weight.weight,
        "agreement": weight.agreement,
        "interval": list(weight.interval) if weight.interval else None,
        "n": weight.n,
        "effective_n": weight.effective_n if compared else None,
        "ece": weight.ece,
        "brier": weight.brier,
        "kappa": weight.kappa,
        "unproven": weight.unproven,
        "reason": weight.reason,
        "confusion": {"labels": list(labels), "weight": sums.confusion.tolist()} if compared else None,
        "drift": {
            "recent": moved.recent,
            "recent_n": moved.recent_n,
            "older": moved.older,
            "older_n": moved.older_n,
            "change": moved.change,
            "interval": list(moved.interval) if moved.interval else None,
            "drifted": moved.drifted,
        },
        "recalibration": {
            "kind": recalibration.kind.value,
            "n": recalibration.n,
            "brier": recalibration.brier,
            "constant_brier": recalibration.constant_brier,
            "accuracy": recalibration.accuracy,
            "share": recalibration.share,
            "intercept": recalibration.intercept,
            "slope": recalibration.slope,
            "knots": [list(knot) for knot in recalibration.knots],
        }
        if recalibration.n
        else None,
        "reliability_bins": [[one.weight, one.confidence, one.accuracy] for one in equal_mass_bins(sums)],
        "earlier_versions": [
            {name: one.get(name) for name in ("version", "weight", "agreement", "n", "unproven")} for one in earlier
        ],
    }


def consensus_snapshot(choice: ConsensusChoice) -> dict[str, Any]:
    """The consensus in use, why, what majority vote reaches beside it, and how many judges the panel is worth."""
    return {
        "name": choice.name,
        "reason": choice.reason,
        "n": choice.n_labels,
        "accuracy": choice.accuracy,
        "interval": list(choice.interval) if choice.interval else None,
        "log_loss": choice.log_loss,
        "majority_accuracy": choice.majority_accuracy,
        "fell_back": choice.fell_back,
        "below_majority": choice.below_majority,
        "scores": [
            {
                "name": one.name,
                "accuracy": one.accuracy,
                "log_loss": one.log_loss,
                "temperature": one.temperature,
                "share": one.share,
            }
            for one in choice.scores
        ],
        "judges": choice.judges.judges,
        "effective_judges": choice.judges.count,
        "judges_compared": choice.judges.compared,
        "mean_error_correlation": choice.judges.mean_error_correlation,
    }

"""How unsure we are about a decision, and why, in words that a reviewer can read.

The score is the entropy of the posterior that decides, never of raw vote counts: where most judges are wrong together,
counts are most certain exactly where people are needed most.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trimtab.core.judges.verdicts import FloatArray, VerdictTable
from trimtab.errors import InvalidStatisticError


class Reason(StrEnum):
    """Why a decision is worth a person's time."""

    UNCERTAIN_CONSENSUS = "uncertain_consensus"  # the judges together leave more than one label open
    CLOSE_CALL = "close_call"  # two labels are almost equally likely
    JUDGES_DISAGREE = "judges_disagree"  # good judges say different things
    LOW_CONFIDENCE = "low_confidence"  # the judges themselves are not sure
    POLICY_CONFLICT = "policy_conflict"  # the served label is not what the judges say
    POLICY_UNSURE = "policy_unsure"  # no judge spoke; the policy's own posterior is flat
    EXPLORATION = "exploration"  # neither judges nor a posterior: nothing is known

    @property
    def text(self) -> str:
        """One sentence for the reviewer."""
        return _TEXTS[self]


_TEXTS = {
    Reason.UNCERTAIN_CONSENSUS: "The judges together leave more than one label open.",
    Reason.CLOSE_CALL: "Two labels are almost equally likely.",
    Reason.JUDGES_DISAGREE: "Judges that are usually right say different things here.",
    Reason.LOW_CONFIDENCE: "The judges themselves are not sure.",
    Reason.POLICY_CONFLICT: "The label that was served is not the one the judges favour.",
    Reason.POLICY_UNSURE: "No judge has spoken, and the policy is not sure of its choice.",
    Reason.EXPLORATION: "Nothing is known about this decision yet.",
}
_REASONS = tuple(Reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class UncertaintyRule:
    """From which values on a reason is named, all in [0, 1]; and how much a conflict with the policy adds.

    A conflict lifts the score s to s + conflict_lift · (1 − s) · p, with p the consensus' probability of its own label:
    the surer the judges are that the policy is wrong, the more a person's answer is worth.
    """

    entropy_from: float = 0.5
    margin_below: float = 0.2
    disagreement_from: float = 0.1
    confidence_below: float = 0.6
    conflict_lift: float = 0.5

    def __post_init__(self) -> None:
        values = (
            self.entropy_from,
            self.margin_below,
            self.disagreement_from,
            self.confidence_below,
            self.conflict_lift,
        )
        if not all(0 <= value <= 1 for value in values):
            raise InvalidStatisticError("every threshold of an uncertainty rule must be in [0, 1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncertainty:
    """One decision's uncertainty in [0, 1], higher is less sure, with the reasons named. Not measured is None."""

    score: float
    reasons: tuple[Reason, ...]
    entropy: float | None
    margin: float | None
    disagreement: float | None
    confidence: float | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Uncertainties:
    """The same for n decisions, in columns of shape (n,); nan where not measured. `named`: (n, len(Reason)) bool."""

    score: FloatArray
    named: NDArray[np.bool_]
    entropy: FloatArray
    margin: FloatArray
    disagreement: FloatArray
    confidence: FloatArray

    def __len__(self) -> int:
        return len(self.score)

    def __getitem__(self, i: int) -> Uncertainty:
        return Uncertainty(
            score=float(self.score[i]),
            reasons=tuple(reason for reason, on in zip(_REASONS, self.named[i], strict=True) if on),
            entropy=_known(self.entropy[i]),
            margin=_known(self.margin[i]),
            disagreement=_known(self.disagreement[i]),
            confidence=_known(self.confidence[i]),
        )


def normalised_entropy(posterior: ArrayLike) -> FloatArray:
    """Entropy of each row over all k possible labels, divided by log k: 0 is certain, 1 is uniform; nan rows stay nan.

    `posterior`: (n, k), k ≥ 2, rows of probabilities summing to 1 (or all nan: not known). Raises InvalidStatisticError
    otherwise. Shannon 1948, 10.1002/j.1538-7305.1948.tb01338.x.

    >>> normalised_entropy([[0.5, 0.5], [1.0, 0.0]]).tolist()
    [1.0, 0.0]
    """
    p = checked_posterior(posterior)
    logs = np.log(p, out=np.zeros_like(p), where=p > 0)
    entropy = np.where(np.isnan(p).any(axis=1), np.nan, (p * -logs).sum(axis=1) / np.log(p.shape[1]))
    result: FloatArray = np.clip(entropy, 0.0, 1.0)
    return result


def margin(posterior: ArrayLike) -> FloatArray:
    """Most likely minus second most likely label of each row, (n,) in [0, 1]; small is a close call; nan rows stay nan.

    >>> margin([[0.7, 0.2, 0.1]]).round(6).tolist()
    [0.5]
    """
    p = checked_posterior(posterior)
    top = np.partition(p, p.shape[1] - 2, axis=1)
    result: FloatArray = top[:, -1] - top[:, -2]
    return result


def judge_disagreement(table: VerdictTable, accuracy: ArrayLike, *, weight: ArrayLike | None = None) -> FloatArray:
    """How much knowing *which* judge one asks would tell: mutual information between judge and label, over log k.

    I = H(Σ w_j p_j) − Σ w_j H(p_j), p_j the distribution that judge j's verdict stands for: `accuracy`[j] on its label,
    the rest spread evenly. So two coin-tossers do not disagree, two good judges do. `accuracy`: (J,) in [0, 1];
    `weight`: (J,) ≥ 0, default equal. Shape (n_items,), in [0, 1]; nan for an item with fewer than two verdicts. Raises
    InvalidStatisticError for values outside their domain. Houlsby et al. 2011 (BALD), arXiv 1112.5745.
    """
    right = np.asarray(accuracy, dtype=np.float64)
    share = np.ones(len(table.judges)) if weight is None else np.asarray(weight, dtype=np.float64)
    if right.shape != (len(table.judges),) or share.shape != right.shape:
        raise InvalidStatisticError(f"accuracy and weight need one value per judge ({len(table.judges)})")
    if right.size and not (right.min() >= 0 and right.max() <= 1 and share.min() >= 0 and np.isfinite(share).all()):
        raise InvalidStatisticError("accuracies must be in [0, 1] and weights finite and 0 or more")
    n, k = table.n_items, table.n_labels
    w = share[table.judge]
    hit, rest = right[table.judge], (1 - right[table.judge]) / (k - 1)
    total = np.bincount(table.item, w, n)
    mass = np.bincount(table.item * np.int64(k) + table.label, w * (hit - rest), n * k).reshape(n, k)
    mass += np.bincount(table.item, w * rest, n)[:, None]
    own = -(_xlogx(hit) + (k - 1) * _xlogx(rest))
    safe = np.where(total > 0, total, 1.0)
    mean_own = np.bincount(table.item, w * own, n) / safe
    together = -_xlogx(mass / safe[:, None]).sum(axis=1)
    several = (np.bincount(table.item, minlength=n) >= 2) & (total > 0)
    result: FloatArray = np.where(several, np.clip((together - mean_own) / np.log(k), 0.0, 1.0), np.nan)
    return result


def mean_confidence(table: VerdictTable) -> FloatArray:
    """Mean stated confidence per item, (n_items,); nan where no judge stated one."""
    stated = np.isfinite(table.confidence)
    count = np.bincount(table.item[stated], minlength=table.n_items)
    total = np.bincount(table.item[stated], table.confidence[stated].astype(np.float64), table.n_items)
    result: FloatArray = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return result


def uncertainties(
    n: int,
    *,
    consensus: ArrayLike | None = None,
    policy: ArrayLike | None = None,
    served: ArrayLike | None = None,
    disagreement: ArrayLike | None = None,
    confidence: ArrayLike | None = None,
    rule: UncertaintyRule | None = None,
) -> Uncertainties:
    """The uncertainty of `n` decisions with its reasons; one pass over columns.

    `consensus`: (n, k) posterior of the judges, an all-nan row where none spoke. `policy`: (n, k) the policy's own
    posterior, an all-nan row where it has none: used where no judge spoke. `served`: (n,) index of the served label,
    −1 where unknown: for the conflict. `disagreement`, `confidence`: (n,), see `judge_disagreement`, `mean_confidence`;
    nan where not measured. Where neither posterior is known the score is 1 and the reason EXPLORATION: knowing nothing
    is the largest uncertainty. Every row names at least one reason when its score is above 0
    and something is open; a decision on which all is clear names none.

    Raises InvalidStatisticError for a wrong shape or a row that is not a distribution.
    """
    limits = UncertaintyRule() if rule is None else rule
    unknown = np.full((n, 2), np.nan)
    judged = unknown if consensus is None else checked_posterior(consensus)
    own = unknown if policy is None else checked_posterior(policy)
    split, sure = _column(disagreement, n), _column(confidence, n)
    label = np.full(n, -1) if served is None else np.asarray(served, dtype=np.int64)
    if len(judged) != n or len(own) != n or label.shape != (n,):
        raise InvalidStatisticError(f"every column must have {n} rows")
    by_judges = ~np.isnan(judged).any(axis=1)
    by_policy = ~by_judges & ~np.isnan(own).any(axis=1)
    neither = ~by_judges & ~by_policy
    entropy = np.where(by_judges, normalised_entropy(judged), normalised_entropy(own))
    gap = np.where(by_judges, margin(judged), margin(own))
    score = np.where(neither, 1.0, entropy)
    favoured = np.where(by_judges, np.nan_to_num(judged).argmax(axis=1), -1)
    conflict = by_judges & (label >= 0) & (label != favoured)
    belief = np.nan_to_num(judged).max(axis=1, initial=0.0)
    score = np.where(conflict, score + limits.conflict_lift * (1 - score) * belief, score)
    close = gap < limits.margin_below
    flat = entropy >= limits.entropy_from
    columns = {
        Reason.UNCERTAIN_CONSENSUS: by_judges & flat,
        Reason.CLOSE_CALL: by_judges & close,
        Reason.JUDGES_DISAGREE: by_judges & (split >= limits.disagreement_from),
        Reason.LOW_CONFIDENCE: by_judges & (sure < limits.confidence_below),
        Reason.POLICY_CONFLICT: conflict,
        Reason.POLICY_UNSURE: by_policy & (flat | close),
        Reason.EXPLORATION: neither,
    }
    return Uncertainties(
        score=score,
        named=np.stack([columns[reason] for reason in _REASONS], axis=1),
        entropy=entropy,
        margin=gap,
        disagreement=split,
        confidence=sure,
    )


def checked_posterior(posterior: ArrayLike) -> FloatArray:
    """`posterior` as floats of shape (n, k); InvalidStatisticError unless each row is a distribution or all nan."""
    p = np.asarray(posterior, dtype=np.float64)
    if p.ndim != 2 or p.shape[1] < 2:
        raise InvalidStatisticError(f"a posterior has shape (n, k) with k ≥ 2, got {p.shape}")
    missing = np.isnan(p)
    known = ~missing.any(axis=1)
    if (missing.any(axis=1) != missing.all(axis=1)).any():
        raise InvalidStatisticError("a posterior row is either complete or entirely missing")
    if known.any() and not ((p[known] >= 0).all() and (np.abs(p[known].sum(axis=1) - 1) < 1e-6).all()):
        raise InvalidStatisticError("a posterior row holds probabilities that sum to 1")
    return p


def _xlogx(p: FloatArray) -> FloatArray:
    return p * np.log(p, out=np.zeros_like(p), where=p > 0)


def _column(values: ArrayLike | None, n: int) -> FloatArray:
    column = np.full(n, np.nan) if values is None else np.asarray(values, dtype=np.float64)
    if column.shape != (n,):
        raise InvalidStatisticError(f"a column has shape {column.shape}, expected ({n},)")
    return column


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)

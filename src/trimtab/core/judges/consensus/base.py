"""What every way of joining verdicts shares: the protocol, the counts it learns from, two readable shapes of result.

A fitted consensus is a small table of numbers, not a program: either a weight per judge (votes), or the log-odds that
"judge j says c" adds to each label (log-linear). Both can be printed and checked with a pencil.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy  # its parts load when first used
from numpy.typing import ArrayLike

from trimtab.core.judges.verdicts import FloatArray, IntArray, JudgeVersion, VerdictTable
from trimtab.errors import InvalidInputError

SHRINKAGE = 4.0  # a judge's accuracy (or a row of its confusion) starts as this many verdicts of an average judge
_CERTAIN = 0.98  # no judge's verdict counts as more certain than this, nor less than 1 − this


class FittedConsensus(Protocol):
    """Joins verdicts into a posterior over labels."""

    @property
    def name(self) -> str:
        """The method's name, as shown to people."""
        ...

    def posterior(self, table: VerdictTable) -> FloatArray:
        """P(label) per item, shape (n_items, k), rows summing to 1. An item without verdicts gets the prior."""
        ...


class ConsensusMethod(Protocol):
    """A way of learning from human labels how to join verdicts.

    `gold` has shape (n_items,): the index of the human or gold label, NO_LABEL where there is none. Never pass labels
    that judges made: the judges would be weighed by their own opinion.
    """

    @property
    def name(self) -> str:
        """The method's name, as shown to people."""
        ...

    def fit(self, table: VerdictTable, gold: ArrayLike) -> FittedConsensus:
        """Learn from the items that have a human label (and, for some methods, from the verdicts on the others)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VoteShare:
    """Weighted shares of votes: P(c) = (Σ_j w_j 1[j says c] + 1/k) / (Σ_j w_j + 1).

    The one pseudo-vote spread over all k labels keeps two agreeing judges from being certain. A judge that was not
    there at fitting gets `newcomer_weight`.
    """

    name: str
    labels: tuple[str, ...]
    judges: tuple[JudgeVersion, ...]
    weight: FloatArray
    newcomer_weight: float

    def posterior(self, table: VerdictTable) -> FloatArray:
        """P(label) per item, (n_items, k); uniform for an item without verdicts."""
        check_labels(self.labels, table)
        known = dict(zip(self.judges, self.weight.tolist(), strict=True))
        weight = np.array([known.get(judge, self.newcomer_weight) for judge in table.judges], dtype=np.float64)
        n, k = table.n_items, table.n_labels
        cell = table.item.astype(np.int64) * k + table.label
        votes = np.bincount(cell, weight[table.judge], n * k).reshape(n, k)
        result: FloatArray = (votes + 1.0 / k) / (votes.sum(axis=1, keepdims=True) + 1.0)
        return result


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LogLinear:
    """log P(c) ∝ bias_c + share · (share of votes for c) + Σ_j (score[j, said, c] + 1[said = c] · slope_j · z).

    `score`: (J, k, k), what judge j's verdict `said` adds to each label; z: the log-odds of its stated confidence less
    the judge's usual ones (`centre`, (J,)), 0 where none is stated; `slope`: (J,). A judge that was not there at
    fitting adds nothing.
    """

    name: str
    labels: tuple[str, ...]
    judges: tuple[JudgeVersion, ...]
    score: FloatArray
    bias: FloatArray
    share: float = 0.0
    slope: FloatArray | None = None
    centre: FloatArray | None = None

    def posterior(self, table: VerdictTable) -> FloatArray:
        """P(label) per item, (n_items, k); the labels' base rate for an item without verdicts."""
        check_labels(self.labels, table)
        k = table.n_labels
        logits = self.bias + table.one_hot(self.judges) @ self.score.reshape(-1, k)
        if self.share:
            logits = logits + self.share * vote_shares(table)
        if self.slope is not None and self.centre is not None:
            columns = np.repeat(self.slope, k)[:, None] * np.tile(np.eye(k), (len(self.judges), 1))
            logits = logits + confidence_columns(table, self.judges, self.centre) @ columns
        result: FloatArray = scipy.special.softmax(logits, axis=1)
        return result


def check_labels(labels: tuple[str, ...], table: VerdictTable) -> None:
    """Raises InvalidInputError when the table speaks of other labels than the consensus was fitted on."""
    if labels != table.labels:
        raise InvalidInputError(
            f"the consensus was fitted on the labels {', '.join(labels)}; the table has {', '.join(table.labels)}"
        )


def vote_shares(table: VerdictTable) -> FloatArray:
    """Unweighted share of votes per item, (n_items, k); zeros for an item without verdicts."""
    n, k = table.n_items, table.n_labels
    votes = np.bincount(table.item.astype(np.int64) * k + table.label, minlength=n * k).reshape(n, k)
    result: FloatArray = votes / np.maximum(votes.sum(axis=1, keepdims=True), 1)
    return result


def confidence_log_odds(table: VerdictTable) -> FloatArray:
    """(n,) log-odds of each stated confidence, read as at least .01 and at most .99; nan where none was stated."""
    result: FloatArray = scipy.special.logit(np.clip(table.confidence.astype(np.float64), 0.01, 0.99))
    return result


def confidence_columns(
    table: VerdictTable, judges: tuple[JudgeVersion, ...], centre: FloatArray
) -> scipy.sparse.csr_matrix:
    """Like `VerdictTable.one_hot`, with the centred log-odds of the stated confidence in place of the ones."""
    known = {judge: i for i, judge in enumerate(judges)}
    place = np.array([known.get(judge, -1) for judge in table.judges], dtype=np.int64)
    column = place[table.judge] if len(table) else np.zeros(0, np.int64)
    stated = (column >= 0) & np.isfinite(table.confidence)
    k = table.n_labels
    value = confidence_log_odds(table)[stated] - centre[column[stated]]
    return scipy.sparse.csr_matrix(
        (value, (table.item[stated], column[stated] * k + table.label[stated])), shape=(table.n_items, len(judges) * k)
    )


def indicator(gold: IntArray, k: int) -> FloatArray:
    """(n_items, k): 1 at the human label, a row of zeros where there is none."""
    answered = gold >= 0
    rows = np.zeros((len(gold), k))
    rows[np.flatnonzero(answered), gold[answered]] = 1.0
    return rows


def base_rates(mass: FloatArray) -> FloatArray:
    """Smoothed share of each label from rows of label mass (n_items, k); uniform when there is none."""
    counts = mass.sum(axis=0) + 1.0
    result: FloatArray = counts / counts.sum()
    return result


def confusion_counts(one_hot: scipy.sparse.csr_matrix, mass: FloatArray) -> FloatArray:
    """(J, k, k): mass of (right label, judge's label) per judge."""
    k = mass.shape[1]
    return np.asarray(one_hot.T @ mass).reshape(-1, k, k).transpose(0, 2, 1)


def shrunk_accuracy(counts: FloatArray, strength: float = SHRINKAGE) -> FloatArray:
    """(J,) share right of each judge, shrunk towards the panel's with the weight of `strength` verdicts."""
    hits, n = np.trace(counts, axis1=1, axis2=2), counts.sum(axis=(1, 2))
    pooled = (hits.sum() + 1.0) / (n.sum() + 2.0)
    result: FloatArray = np.clip((hits + strength * pooled) / (n + strength), 1 - _CERTAIN, _CERTAIN)
    return result


def shrunk_confusion(counts: FloatArray, strength: float = SHRINKAGE) -> FloatArray:
    """(J, k, k) P(judge says | right label), each row shrunk towards the judge's one-coin model.

    The one-coin model has one parameter per judge (its shrunk accuracy) and spreads its errors evenly: two levels, so
    that a judge with few labelled items is an average judge, one with some is a good or bad judge, and only one with
    many has habits of its own.
    """
    k = counts.shape[1]
    accuracy = shrunk_accuracy(counts, strength)[:, None, None]
    one_coin = np.where(np.eye(k, dtype=bool), accuracy, (1 - accuracy) / (k - 1))
    result: FloatArray = (counts + strength * one_coin) / (counts.sum(axis=2, keepdims=True) + strength)
    return result


def confusion_scores(confusion: FloatArray) -> FloatArray:
    """(J, said, label): the log-likelihood that each verdict adds to each label."""
    result: FloatArray = np.log(confusion).transpose(0, 2, 1)
    return result

"""Log-odds, confusion naive Bayes and anchored Dawid–Skene: verdicts as independent evidence about the right label.

All three treat judges as independent given the right label, so correlated judges make the posterior overconfident; the
choice of a consensus therefore tempers it by held-out human labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy  # its parts load when first used
from numpy.typing import ArrayLike

from trimtab.core.judges.consensus.base import (
    SHRINKAGE,
    LogLinear,
    base_rates,
    confusion_counts,
    confusion_scores,
    indicator,
    shrunk_accuracy,
    shrunk_confusion,
)
from trimtab.core.judges.verdicts import VerdictTable


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOdds:
    """Every verdict adds its judge's log-odds log(a(k − 1)/(1 − a)), a its shrunk accuracy; below chance, against.

    The optimal vote for independent judges with evenly spread errors: Nitzan & Paroush 1982, 10.2307/2526438.
    """

    name: str = "log-odds vote"
    shrinkage: float = SHRINKAGE

    def fit(self, table: VerdictTable, gold: ArrayLike) -> LogLinear:
        """One accuracy per judge from human-labelled items; base rates of the labels as bias."""
        k = table.n_labels
        mass = indicator(table.checked_gold(gold), k)
        accuracy = shrunk_accuracy(confusion_counts(table.one_hot(), mass), self.shrinkage)
        odds = np.log(accuracy * (k - 1) / (1 - accuracy))
        return LogLinear(
            name=self.name,
            labels=table.labels,
            judges=table.judges,
            score=odds[:, None, None] * np.eye(k),
            bias=np.log(base_rates(mass)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfusionBayes:
    """Naive Bayes with each judge's confusion matrix, shrunk in two levels (see `shrunk_confusion`)."""

    name: str = "confusion naive Bayes"
    shrinkage: float = SHRINKAGE

    def fit(self, table: VerdictTable, gold: ArrayLike) -> LogLinear:
        """Confusions from human-labelled items; without any, all judges are one average judge."""
        mass = indicator(table.checked_gold(gold), table.n_labels)
        counts = confusion_counts(table.one_hot(), mass)
        return LogLinear(
            name=self.name,
            labels=table.labels,
            judges=table.judges,
            score=confusion_scores(shrunk_confusion(counts, self.shrinkage)),
            bias=np.log(base_rates(mass)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchoredDawidSkene:
    """Dawid–Skene by expectation–maximisation, human labels held fixed, started from confusion naive Bayes.

    Learns the judges' confusions from all items, labelled or not; an unlabelled item counts `unlabelled_weight`. Strong
    where judges err independently; where most err together it learns their error, which is why it has to win on
    held-out labels before it is used. Dawid & Skene 1979, 10.2307/2346806; weight of the unlabelled: Nigam et al. 2000,
    10.1023/A:1007692713085.
    """

    name: str = "Dawid–Skene, anchored"
    shrinkage: float = SHRINKAGE
    unlabelled_weight: float = 1.0
    max_rounds: int = 25
    tolerance: float = 1e-3

    def fit(self, table: VerdictTable, gold: ArrayLike) -> LogLinear:
        """At most `max_rounds` rounds, fewer when no posterior moves by more than `tolerance`."""
        answers = table.checked_gold(gold)
        k = table.n_labels
        known = indicator(answers, k)
        labelled = (answers >= 0)[:, None]
        one_hot = table.one_hot()
        spoken = np.asarray(one_hot.sum(axis=1)) > 0
        score = confusion_scores(shrunk_confusion(confusion_counts(one_hot, known), self.shrinkage))
        bias = np.log(base_rates(known))
        believed = scipy.special.softmax(bias + one_hot @ score.reshape(-1, k), axis=1)
        for _ in range(self.max_rounds):
            mass = np.where(labelled, known, self.unlabelled_weight * believed * spoken)
            score = confusion_scores(shrunk_confusion(confusion_counts(one_hot, mass), self.shrinkage))
            bias = np.log(base_rates(mass))
            before, believed = believed, scipy.special.softmax(bias + one_hot @ score.reshape(-1, k), axis=1)
            if float(np.abs(believed - before).max(initial=0.0)) < self.tolerance:
                break
        return LogLinear(name=self.name, labels=table.labels, judges=table.judges, score=score, bias=bias)

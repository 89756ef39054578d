"""The simple ways: everybody counts the same, everybody counts by documented weight, or one judge decides."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import scipy  # its parts load when first used
from numpy.typing import ArrayLike

from trimtab.core.judges.consensus.base import (
    SHRINKAGE,
    VoteShare,
    base_rates,
    check_labels,
    confusion_counts,
    confusion_scores,
    indicator,
    shrunk_accuracy,
    shrunk_confusion,
)
from trimtab.core.judges.reliability import HALF_LIFE_DAYS, LOOK_BACK_DAYS, summarise
from trimtab.core.judges.verdicts import FloatArray, JudgeVersion, VerdictTable
from trimtab.core.judges.weights import JudgeWeight, WeightRule, judge_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class MajorityVote:
    """Every verdict counts the same. Needs no human labels: the yardstick for all others."""

    name: str = "majority vote"

    def fit(self, table: VerdictTable, gold: ArrayLike) -> VoteShare:
        """Nothing is learned; `gold` is only checked."""
        table.checked_gold(gold)
        ones = np.ones(len(table.judges))
        return VoteShare(name=self.name, labels=table.labels, judges=table.judges, weight=ones, newcomer_weight=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedVote:
    """Every verdict counts by its judge's documented weight (see `WeightRule`)."""

    name: str = "weighted vote"
    rule: WeightRule = field(default_factory=WeightRule)
    half_life_days: float = HALF_LIFE_DAYS
    look_back_days: float = LOOK_BACK_DAYS

    def fit(self, table: VerdictTable, gold: ArrayLike) -> VoteShare:
        """Weights from the reliability on human-labelled items; unproven judges get the prior weight."""
        summary = summarise(table, gold, half_life_days=self.half_life_days, look_back_days=self.look_back_days)
        return vote_by_weight(table.labels, judge_weights(summary, self.rule), self.rule, name=self.name)


def vote_by_weight(
    labels: tuple[str, ...], weights: tuple[JudgeWeight, ...], rule: WeightRule, *, name: str = "weighted vote"
) -> VoteShare:
    """The weighted vote by weights that were computed before (a stored snapshot)."""
    return VoteShare(
        name=name,
        labels=labels,
        judges=tuple(JudgeVersion(judge=w.judge, version=w.version) for w in weights),
        weight=np.array([w.weight for w in weights], dtype=np.float64),
        newcomer_weight=rule.prior_weight,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OneJudge:
    """One judge decides, by its confusion; where it did not speak, `otherwise` does."""

    name: str
    labels: tuple[str, ...]
    judge: JudgeVersion
    score: FloatArray  # (said, label)
    bias: FloatArray
    otherwise: VoteShare

    def posterior(self, table: VerdictTable) -> FloatArray:
        """P(label) per item, (n_items, k)."""
        check_labels(self.labels, table)
        said = table.one_hot([self.judge])
        spoke = np.asarray(said.sum(axis=1)).ravel() > 0
        logits = self.bias + said @ self.score
        result: FloatArray = np.where(
            spoke[:, None], scipy.special.softmax(logits, axis=1), self.otherwise.posterior(table)
        )
        return result


@dataclass(frozen=True, slots=True, kw_only=True)
class BestJudge:
    """The one judge with the best shrunk accuracy, half a standard error deducted, if it speaks on most items."""

    name: str = "best judge"
    shrinkage: float = SHRINKAGE

    def fit(self, table: VerdictTable, gold: ArrayLike) -> OneJudge | VoteShare:
        """The judge's confusion on human-labelled items; a table without judges gives the majority vote."""
        answers = table.checked_gold(gold)
        if not table.judges:
            return MajorityVote().fit(table, answers)
        mass = indicator(answers, table.n_labels)
        counts = confusion_counts(table.one_hot(), mass)
        accuracy = shrunk_accuracy(counts, self.shrinkage)
        error = np.sqrt(accuracy * (1 - accuracy) / (counts.sum(axis=(1, 2)) + self.shrinkage + 1))
        coverage = np.bincount(table.judge, minlength=len(table.judges)) / max(1, table.n_items)
        best = int(np.argmax((accuracy - 0.5 * error) * np.minimum(1.0, coverage / 0.9)))
        return OneJudge(
            name=self.name,
            labels=table.labels,
            judge=table.judges[best],
            score=confusion_scores(shrunk_confusion(counts, self.shrinkage))[best],
            bias=np.log(base_rates(mass)),
            otherwise=WeightedVote().fit(table, answers),
        )

"""Which consensus an agent uses: decided by human labels that the methods did not see, with majority vote beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from trimtab.core.judges.agreement import EffectiveJudges, effective_judges, wilson_interval
from trimtab.core.judges.consensus.base import ConsensusMethod, FittedConsensus
from trimtab.core.judges.consensus.blend import Blend, BlendPart, best_temperature, pool_shares, tempered
from trimtab.core.judges.consensus.naive_bayes import AnchoredDawidSkene, ConfusionBayes, LogOdds
from trimtab.core.judges.consensus.stacking import Stacking
from trimtab.core.judges.consensus.votes import BestJudge, MajorityVote, WeightedVote
from trimtab.core.judges.verdicts import NO_LABEL, FloatArray, IntArray, VerdictTable
from trimtab.errors import InvalidStatisticError

MIN_LABELS = 10  # human labels below which nothing is compared and the documented weighted vote is used
_AS_GOOD = 0.01  # nats of log loss that a simpler method may lose
_DROPPED_BELOW = 0.05  # share of the blend that a method must reach to be worth reading


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodScore:
    """One method on human labels that were held out from it. `share` is its part of the blend (0: dropped)."""

    name: str
    accuracy: float
    log_loss: float
    temperature: float
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsensusChoice:
    """The consensus in use, why, and what majority vote would have reached on the same held-out human labels.

    accuracy, interval, log_loss, majority_accuracy are None when there were too few labels to measure anything.
    `fell_back`: the learned consensus lost to majority vote, so majority vote is used. `below_majority`: the used one
    is below majority vote on the held-out labels, by less than chance explains.
    """

    fitted: FittedConsensus
    name: str
    reason: str
    n_labels: int
    accuracy: float | None
    interval: tuple[float, float] | None
    log_loss: float | None
    majority_accuracy: float | None
    fell_back: bool
    below_majority: bool
    scores: tuple[MethodScore, ...]
    judges: EffectiveJudges

    def posterior(self, table: VerdictTable) -> FloatArray:
        """P(label) per item, (n_items, k)."""
        return self.fitted.posterior(table)


def standard_methods() -> tuple[ConsensusMethod, ...]:
    """The methods that compete, simplest first."""
    return (
        MajorityVote(),
        WeightedVote(),
        BestJudge(),
        LogOdds(),
        ConfusionBayes(),
        AnchoredDawidSkene(),
        Stacking(name="stacking, firm", penalty=30.0),
        Stacking(),
        Stacking(name="stacking, loose", penalty=3.0),
    )


def choose_consensus(
    table: VerdictTable,
    gold: ArrayLike,
    rng: np.random.Generator,
    *,
    methods: Sequence[ConsensusMethod] | None = None,
    folds: int = 5,
    survey_weight: ArrayLike | None = None,
    max_items: int = 20_000,
) -> ConsensusChoice:
    """The consensus for one agent, by cross-validation on human labels.

    `gold`: (n_items,), human and gold labels only, NO_LABEL elsewhere. Each method is fitted `folds` times without a
    stratified fold of the labels and scored on it; its posterior is tempered (one temperature per method); the shares
    of a linear pool maximise the held-out likelihood; methods below 5 % are dropped. The simplest single method that is
    shown to be as good (log loss plus two paired standard errors at most .01 above the pool's) is used instead of it.
    The result is compared with majority vote on the same held-out labels: when it is less accurate with the higher log
    loss, or less accurate by more than two paired standard errors, majority vote is used and the reason says so.

    `survey_weight`: (n_items,) > 0, 1/π of how the labelled items were chosen: scores then speak of all items. `rng`
    draws the folds and, above `max_items` items, which of them the fit learns from (labelled ones first); the posterior
    is for any number. Accuracy has Wilson's interval at the effective sample size and is that of the pool whose shares
    were learned on the other folds; only the temperatures (one number per method) have seen the labels they are scored
    on. For a fixed set of labels; nothing is promised for labels added until the answer pleases.

    Fewer than 10 human labels: the weighted vote, unmeasured. Raises InvalidStatisticError for folds < 2, no methods,
    or survey weights that are not positive. Linear pool: Stone 1961, 10.1214/aoms/1177704873; choice by
    cross-validation: van der Laan, Polley & Hubbard 2007 (super learner), 10.2202/1544-6115.1309.
    """
    rivals = standard_methods() if methods is None else tuple(methods)
    if folds < 2 or not rivals:
        raise InvalidStatisticError("a consensus is chosen from at least one method, with at least two folds")
    answers = table.checked_gold(gold)
    panel = effective_judges(table, answers)
    table, answers, kept = _manageable(table, answers, rng, max_items)
    labelled = np.flatnonzero(answers >= 0)
    n = len(labelled)
    if n < MIN_LABELS:
        fitted = WeightedVote().fit(table, answers)
        return ConsensusChoice(
            fitted=fitted,
            name=fitted.name,
            reason=f"{n} human labels; from {MIN_LABELS} on the methods are compared on held-out ones",
            n_labels=n,
            accuracy=None,
            interval=None,
            log_loss=None,
            majority_accuracy=None,
            fell_back=False,
            below_majority=False,
            scores=(),
            judges=panel,
        )
    weight = _weights(survey_weight, kept)[labelled]
    right = answers[labelled]
    fold = _folds(answers, labelled, folds, rng)
    held_out = np.stack([_held_out(method, table, answers, fold, folds)[labelled] for method in rivals])
    temperatures = [best_temperature(posterior, right, weight) for posterior in held_out]
    held_out = np.stack([tempered(p, t) for p, t in zip(held_out, temperatures, strict=True)])
    shares = _simplest(held_out, _shares(held_out, right, weight), right, weight)
    total = float(weight.sum())
    scores = tuple(
        MethodScore(
            name=method.name,
            accuracy=float(weight @ hits(posterior, right)) / total,
            log_loss=_log_loss(posterior, right, weight),
            temperature=temperature,
            share=float(share),
        )
        for method, posterior, temperature, share in zip(rivals, held_out, temperatures, shares, strict=True)
    )
    pooled = np.empty_like(held_out[0])  # each fold by shares that it had no part in, so that nothing is flattered
    for f in range(folds):
        out = fold[labelled] == f
        learned = shares if shares.max() == 1.0 else _shares(held_out[:, ~out], right[~out], weight[~out])
        pooled[out] = np.tensordot(learned, held_out[:, out], axes=1)
    majority_raw = _held_out(MajorityVote(), table, answers, fold, folds)[labelled]
    majority_temperature = best_temperature(majority_raw, right, weight)
    majority = tempered(majority_raw, majority_temperature)
    gain = hits(pooled, right) - hits(majority, right)
    mean_gain = float(weight @ gain) / total
    error = float(np.sqrt(weight**2 @ (gain - mean_gain) ** 2)) / total
    worse_loss = _log_loss(pooled, right, weight) > _log_loss(majority, right, weight) + 1e-9
    fell_back = mean_gain < -2 * error or (mean_gain < 0 and worse_loss)
    if fell_back:
        part = BlendPart(share=1.0, temperature=majority_temperature, fitted=MajorityVote().fit(table, answers))
        name, used = MajorityVote().name, majority
        parts: tuple[BlendPart, ...] = (part,)
        reason = f"the learned consensus was {-mean_gain:.1%} below majority vote on {n} held-out human labels"
    else:
        parts = tuple(
            BlendPart(share=float(share), temperature=temperature, fitted=method.fit(table, answers))
            for method, share, temperature in zip(rivals, shares, temperatures, strict=True)
            if share > 0
        )
        used = pooled
        names = [f"{part.fitted.name} {part.share:.0%}" for part in sorted(parts, key=lambda part: -part.share)]
        name = parts[0].fitted.name if len(parts) == 1 else "blend"
        reason = f"best on {n} held-out human labels: " + ", ".join(names) + f"; {mean_gain:+.1%} against majority vote"
        if mean_gain < 0:
            reason += " (below it, within chance)"
    accuracy = min(1.0, float(weight @ hits(used, right)) / total)  # rounding must not make it more than always
    effective = total**2 / float(weight @ weight)
    return ConsensusChoice(
        fitted=Blend(name=name, parts=parts),
        name=name,
        reason=reason,
        n_labels=n,
        accuracy=accuracy,
        interval=wilson_interval(min(accuracy * effective, effective), effective),
        log_loss=_log_loss(used, right, weight),
        majority_accuracy=float(weight @ hits(majority, right)) / total,
        fell_back=fell_back,
        below_majority=not fell_back and mean_gain < 0,
        scores=scores,
        judges=panel,
    )


def hits(posterior: FloatArray, answers: IntArray) -> FloatArray:
    """(n,) 1 where the most likely label is the answer; m labels tied for first count 1/m (what a coin would give)."""
    top = posterior >= posterior.max(axis=1, keepdims=True) - 1e-12
    result: FloatArray = top[np.arange(len(answers)), answers] / top.sum(axis=1)
    return result


def _shares(held_out: FloatArray, answers: IntArray, weight: FloatArray) -> FloatArray:
    """(c,) shares of the pool, those too small to be worth reading dropped."""
    shares = pool_shares(held_out[:, np.arange(len(answers)), answers], weight)
    kept = np.where(shares < min(_DROPPED_BELOW, float(shares.max())), 0.0, shares)
    result: FloatArray = kept / kept.sum()
    return result


def _simplest(held_out: FloatArray, shares: FloatArray, answers: IntArray, weight: FloatArray) -> FloatArray:
    """All of the shares to the first (simplest) method that is shown to be as good as the pool; else as they are."""
    losses = -np.log(np.maximum(held_out[:, np.arange(len(answers)), answers], 1e-6))
    pool = -np.log(np.maximum(np.tensordot(shares, held_out, axes=1)[np.arange(len(answers)), answers], 1e-6))
    total = float(weight.sum())
    for i, loss in enumerate(losses):
        excess = float(weight @ (loss - pool)) / total
        error = float(np.sqrt(weight**2 @ (loss - pool - excess) ** 2)) / total
        if excess + 2 * error <= _AS_GOOD:
            alone: FloatArray = np.eye(len(shares))[i]
            return alone
    return shares


def _log_loss(posterior: FloatArray, answers: IntArray, weight: FloatArray) -> float:
    p = np.maximum(posterior[np.arange(len(answers)), answers], 1e-6)
    return float(weight @ -np.log(p)) / float(weight.sum())


def _held_out(
    method: ConsensusMethod, table: VerdictTable, answers: IntArray, fold: IntArray, folds: int
) -> FloatArray:
    """(n_items, k): for each labelled item the posterior of a fit that did not see its label; zeros elsewhere."""
    result = np.zeros((table.n_items, table.n_labels))
    for f in range(folds):
        out = fold == f
        if out.any():
            result[out] = method.fit(table, np.where(out, NO_LABEL, answers)).posterior(table)[out]
    return result


def _folds(answers: IntArray, labelled: np.ndarray, folds: int, rng: np.random.Generator) -> IntArray:
    """(n_items,) fold of each labelled item, stratified by its label; −1 elsewhere."""
    shuffled = rng.permutation(labelled)
    ordered = shuffled[np.argsort(answers[shuffled], kind="stable")]
    fold = np.full(len(answers), -1, dtype=np.int32)
    fold[ordered] = np.arange(len(ordered)) % folds
    return fold


def _weights(survey_weight: ArrayLike | None, kept: np.ndarray) -> FloatArray:
    if survey_weight is None:
        return np.ones(len(kept))
    weight = np.asarray(survey_weight, dtype=np.float64)[kept]
    if not (np.isfinite(weight).all() and (weight > 0).all()):
        raise InvalidStatisticError("survey weights must be positive finite numbers, one per item")
    result: FloatArray = weight / weight.mean()
    return result


def _manageable(
    table: VerdictTable, answers: IntArray, rng: np.random.Generator, max_items: int
) -> tuple[VerdictTable, IntArray, np.ndarray]:
    """The table itself, or `max_items` of its items, drawn evenly: labelled ones first."""
    if table.n_items <= max_items:
        return table, answers, np.arange(table.n_items)
    labelled = np.flatnonzero(answers >= 0)
    others = np.flatnonzero(answers < 0)
    first = rng.choice(labelled, min(len(labelled), max_items), replace=False)
    kept = np.sort(np.concatenate([first, rng.choice(others, min(len(others), max_items - len(first)), replace=False)]))
    return table.of_items(kept), answers[kept], kept

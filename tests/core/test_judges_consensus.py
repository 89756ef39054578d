"""Consensus: every method is a posterior, gold is only human, the choice is measured and never hides a loss."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.core.judges.consensus import (
    MIN_LABELS,
    AnchoredDawidSkene,
    BestJudge,
    ConfusionBayes,
    ConsensusMethod,
    LogOdds,
    MajorityVote,
    Stacking,
    VoteShare,
    WeightedVote,
    choose_consensus,
    hits,
    standard_methods,
    vote_by_weight,
)
from trimtab.core.judges.reliability import summarise
from trimtab.core.judges.verdicts import NO_LABEL, JudgeVersion, VerdictTable
from trimtab.core.judges.weights import WeightRule, judge_weights
from trimtab.errors import InvalidInputError, InvalidStatisticError

METHODS = [pytest.param(method, id=method.name) for method in standard_methods()]


def panel(
    accuracy: list[float], *, n: int = 400, k: int = 3, seed: int = 0, missing: float = 0.0, copies: int = 1
) -> tuple[VerdictTable, np.ndarray]:
    """Independent judges of given accuracy with evenly spread errors, the last one repeated `copies` times."""
    rng = np.random.default_rng(seed)
    gold = rng.integers(0, k, n)
    said = np.stack([np.where(rng.random(n) < a, gold, (gold + rng.integers(1, k, n)) % k) for a in accuracy], axis=1)
    said = np.concatenate([said] + [said[:, -1:]] * (copies - 1), axis=1)
    spoke = rng.random(said.shape) >= missing
    item, judge = np.nonzero(spoke)
    table = VerdictTable.from_columns(
        decisions=[f"d{i}" for i in range(n)],
        judges=[JudgeVersion(judge=f"j{i}", version="1") for i in range(said.shape[1])],
        labels=[f"label-{i}" for i in range(k)],
        item=item,
        judge=judge,
        label=said[item, judge],
    )
    return table, gold


class Reversed:
    """Believes the opposite of what most judges say."""

    name = "contrarian"

    def posterior(self, table: VerdictTable) -> np.ndarray:
        votes = MajorityVote().fit(table, np.full(table.n_items, NO_LABEL)).posterior(table)
        turned: np.ndarray = (1 - votes) / (table.n_labels - 1)
        return turned


class Contrarian:
    name = "contrarian"

    def fit(self, table: VerdictTable, gold: object) -> Reversed:
        assert table.checked_gold(gold).shape == (table.n_items,)  # type: ignore[arg-type]
        return Reversed()


def some(gold: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    known = np.full(len(gold), NO_LABEL)
    index = np.random.default_rng(seed).permutation(len(gold))[:count]
    known[index] = gold[index]
    return known


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("labels", [0, 1, 30, 400])
def test_every_method_gives_a_posterior_whatever_it_learned_from(method: ConsensusMethod, labels: int) -> None:
    table, gold = panel([0.8, 0.6, 0.3], missing=0.4)
    posterior = method.fit(table, some(gold, labels)).posterior(table)
    assert posterior.shape == (400, 3)
    assert np.allclose(posterior.sum(axis=1), 1)
    assert (posterior > 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_every_method_survives_one_class_one_judge_and_a_judge_that_always_says_the_same(
    method: ConsensusMethod,
) -> None:
    table, gold = panel([0.8, 0.7], n=60)
    one_class = np.where(gold == 1, 1, NO_LABEL)
    stuck = VerdictTable.from_columns(
        decisions=table.decisions,
        judges=table.judges[:1],
        labels=table.labels,
        item=np.arange(60),
        judge=np.zeros(60),
        label=np.ones(60),
    )
    nobody = VerdictTable.from_columns(
        decisions=table.decisions, judges=[], labels=table.labels, item=[], judge=[], label=[]
    )
    for case, answers in ((table, one_class), (stuck, gold), (stuck, one_class), (nobody, gold)):
        posterior = method.fit(case, answers).posterior(case)
        assert np.isfinite(posterior).all()
        assert np.allclose(posterior.sum(axis=1), 1)


@pytest.mark.parametrize("method", METHODS)
def test_a_fitted_method_applies_to_other_items_and_ignores_judges_it_never_saw(method: ConsensusMethod) -> None:
    table, gold = panel([0.9, 0.8, 0.7])
    other, truth = panel([0.9, 0.8, 0.7, 0.34], seed=9)
    posterior = method.fit(table, gold).posterior(other)
    assert hits(posterior, truth).mean() > 0.8
    renamed = VerdictTable.from_columns(
        decisions=["d"], judges=table.judges, labels=["x", "y"], item=[0], judge=[0], label=[1]
    )
    with pytest.raises(InvalidInputError, match="fitted on"):
        method.fit(table, gold).posterior(renamed)


@given(seed=st.integers(0, 500))
@settings(max_examples=8, deadline=None)
def test_the_order_of_verdicts_does_not_change_a_posterior(seed: int) -> None:
    table, gold = panel([0.8, 0.6, 0.5], n=60, seed=seed, missing=0.3)
    order = np.random.default_rng(seed).permutation(len(table))
    shuffled = VerdictTable.from_columns(
        decisions=table.decisions,
        judges=table.judges,
        labels=table.labels,
        item=table.item[order],
        judge=table.judge[order],
        label=table.label[order],
    )
    for method in standard_methods():
        one, two = (method.fit(t, some(gold, 30)).posterior(t) for t in (table, shuffled))
        assert np.allclose(one, two, atol=1e-6)


def test_good_judges_outvote_bad_ones_once_their_weights_are_known() -> None:
    table, gold = panel([0.95, 0.35, 0.35, 0.35, 0.35], k=2, n=600)
    known = some(gold, 120)
    majority = hits(MajorityVote().fit(table, known).posterior(table), gold).mean()
    for method in (BestJudge(), LogOdds(), ConfusionBayes(), Stacking()):
        assert hits(method.fit(table, known).posterior(table), gold).mean() > max(0.9, majority + 0.2)


def test_a_judge_below_chance_counts_against_its_own_verdict_in_log_odds() -> None:
    table, gold = panel([0.1, 0.1, 0.1], k=2, n=400)
    assert hits(LogOdds().fit(table, some(gold, 100)).posterior(table), gold).mean() > 0.9


def test_stacking_listens_less_to_a_judge_that_says_it_is_unsure() -> None:
    rng = np.random.default_rng(0)
    n = 1_200
    gold = rng.integers(0, 2, n)
    sure = rng.random((n, 3)) < 0.5
    said = np.where(rng.random((n, 3)) < np.where(sure, 0.95, 0.5), gold[:, None], 1 - gold[:, None])

    def table(confidence: np.ndarray | None) -> VerdictTable:
        return VerdictTable.from_columns(
            decisions=[f"d{i}" for i in range(n)],
            judges=[JudgeVersion(judge=f"j{i}", version="1") for i in range(3)],
            labels=("no", "yes"),
            item=np.repeat(np.arange(n), 3),
            judge=np.tile(np.arange(3), n),
            label=said.ravel(),
            confidence=confidence,
        )

    stated = table(np.where(sure, 0.9, 0.6).ravel())
    silent = table(None)
    known = some(gold, 200)
    with_confidence, without = (
        hits(Stacking().fit(t, known).posterior(t), gold)[known < 0].mean() for t in (stated, silent)
    )
    assert with_confidence > without + 0.03


def test_a_simpler_method_is_used_alone_once_it_is_shown_to_be_as_good() -> None:
    table, gold = panel([0.7, 0.7, 0.7], n=3_000)
    choice = choose_consensus(table, gold, np.random.default_rng(0))
    assert choice.name == "log-odds vote"
    assert sum(score.share > 0 for score in choice.scores) == 1
    assert not choice.fell_back


def test_dawid_skene_learns_from_unlabelled_items_when_judges_are_independent() -> None:
    table, gold = panel([0.75] * 3 + [0.4] * 6, n=1_500, seed=3)
    known = some(gold, 15)
    with_all = hits(AnchoredDawidSkene().fit(table, known).posterior(table), gold).mean()
    labelled_only = hits(ConfusionBayes().fit(table, known).posterior(table), gold).mean()
    assert with_all > labelled_only + 0.01


def test_stored_weights_give_the_same_vote_as_fitting_them() -> None:
    table, gold = panel([0.9, 0.5, 0.4])
    known = some(gold, 100)
    stored = vote_by_weight(table.labels, judge_weights(summarise(table, known)), WeightRule())
    assert isinstance(stored, VoteShare)
    assert np.allclose(stored.posterior(table), WeightedVote().fit(table, known).posterior(table))


def test_an_unseen_judge_gets_the_prior_weight_in_the_weighted_vote() -> None:
    table, gold = panel([0.9])
    fitted = WeightedVote().fit(table, gold)
    newcomer = VerdictTable.from_columns(
        decisions=["d"],
        judges=[JudgeVersion(judge="new", version="1")],
        labels=table.labels,
        item=[0],
        judge=[0],
        label=[2],
    )
    assert fitted.posterior(newcomer)[0].tolist() == pytest.approx([1 / 3 / 1.5, 1 / 3 / 1.5, (0.5 + 1 / 3) / 1.5])


def test_with_too_few_human_labels_the_choice_is_the_weighted_vote_and_unmeasured() -> None:
    table, gold = panel([0.9, 0.5])
    choice = choose_consensus(table, some(gold, MIN_LABELS - 1), np.random.default_rng(0))
    assert choice.name == "weighted vote"
    assert (choice.accuracy, choice.interval, choice.majority_accuracy, choice.scores) == (None, None, None, ())
    assert f"{MIN_LABELS - 1} human labels" in choice.reason


def test_the_choice_reports_majority_vote_beside_it_and_expects_what_it_reaches() -> None:
    table, gold = panel([0.9, 0.4, 0.4, 0.4], n=2_000)
    known = some(gold, 400)
    choice = choose_consensus(table, known, np.random.default_rng(0))
    reached = hits(choice.posterior(table), gold)[known < 0].mean()
    majority = hits(MajorityVote().fit(table, known).posterior(table), gold)[known < 0].mean()
    assert choice.accuracy is not None
    assert choice.majority_accuracy is not None
    assert choice.interval is not None
    assert choice.interval[0] - 0.01 <= reached <= choice.interval[1] + 0.01
    assert abs(choice.majority_accuracy - majority) < 0.08
    assert reached > majority + 0.1
    assert not choice.fell_back
    assert sum(score.share for score in choice.scores) == pytest.approx(1.0)


def test_a_consensus_that_loses_to_majority_vote_is_not_used_and_says_so() -> None:
    table, gold = panel([0.8, 0.8, 0.8], k=2)
    choice = choose_consensus(table, some(gold, 100), np.random.default_rng(0), methods=[Contrarian()])
    assert choice.fell_back
    assert choice.name == "majority vote"
    assert "below majority vote" in choice.reason
    assert choice.accuracy == choice.majority_accuracy


def test_copies_of_one_judge_do_not_make_the_consensus_surer_than_it_is_right() -> None:
    table, gold = panel([0.7, 0.7], k=2, n=2_000, copies=12)
    known = some(gold, 300)
    choice = choose_consensus(table, known, np.random.default_rng(0))
    naive = ConfusionBayes().fit(table, known).posterior(table)[known < 0].max(axis=1).mean()
    posterior = choice.posterior(table)[known < 0]
    right = hits(posterior, gold[known < 0]).mean()
    assert abs(posterior.max(axis=1).mean() - right) < 0.05
    assert naive - right > 0.15
    assert choice.judges.count is not None
    assert choice.judges.count < 3


def test_the_choice_repeats_with_the_same_seed_and_copes_with_more_items_than_it_fits_on() -> None:
    table, gold = panel([0.9, 0.6, 0.6], n=900)
    known = some(gold, 60)
    one, two = (choose_consensus(table, known, np.random.default_rng(4), max_items=300) for _ in range(2))
    assert np.array_equal(one.posterior(table), two.posterior(table))
    assert one.posterior(table).shape == (900, 3)


def test_survey_weights_decide_by_all_items_and_not_by_the_hard_ones() -> None:
    rng = np.random.default_rng(0)
    n = 3_000
    gold = rng.integers(0, 2, n)
    hard = rng.random(n) < 0.2
    first = np.where(rng.random(n) < np.where(hard, 0.2, 0.99), gold, 1 - gold)
    second = np.where(rng.random(n) < np.where(hard, 0.8, 0.7), gold, 1 - gold)
    table = VerdictTable.from_columns(
        decisions=[f"d{i}" for i in range(n)],
        judges=[JudgeVersion(judge=name, version="1") for name in ("first", "second")],
        labels=("no", "yes"),
        item=np.tile(np.arange(n), 2),
        judge=np.repeat([0, 1], n),
        label=np.concatenate([first, second]),
    )
    pi = np.where(hard, 0.5, 0.05)
    known = np.where(rng.random(n) < pi, gold, NO_LABEL)
    plain = choose_consensus(table, known, np.random.default_rng(1))
    weighted = choose_consensus(table, known, np.random.default_rng(1), survey_weight=1 / pi)
    reached = hits(weighted.posterior(table), gold).mean()
    assert weighted.accuracy is not None
    assert plain.accuracy is not None
    assert abs(weighted.accuracy - reached) < abs(plain.accuracy - hits(plain.posterior(table), gold).mean())


def test_a_choice_from_nothing_or_with_impossible_arguments_is_refused() -> None:
    table, gold = panel([0.9], n=40)
    rng = np.random.default_rng(0)
    with pytest.raises(InvalidStatisticError):
        choose_consensus(table, gold, rng, folds=1)
    with pytest.raises(InvalidStatisticError):
        choose_consensus(table, gold, rng, methods=[])
    with pytest.raises(InvalidStatisticError):
        choose_consensus(table, gold, rng, survey_weight=np.zeros(40))
    with pytest.raises(InvalidInputError):
        choose_consensus(table, gold[:5], rng)

"""Paired evidence: exact bets on counts, weighted labels, margins, intervals, and stored forms."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.core.evidence.bets import BETS, LOG_WEIGHTS, cell_of, cell_range
from trimtab.core.evidence.paired import PairedSummary
from trimtab.errors import InvalidStatisticError

ENOUGH = math.log(40)

labels = st.lists(st.tuples(st.sampled_from([-1, 0, 1]), st.floats(0.02, 1.0)), max_size=25)


def summary_of(rows: list[tuple[int, float]], *, compared: int = 0) -> PairedSummary:
    summary = PairedSummary().add_compared(compared + len(rows), len(rows))
    for x, inclusion in rows:
        summary = summary.add(x=x, inclusion=inclusion)
    return summary


@given(labels, labels, labels)
def test_merging_is_associative_and_equals_the_whole(a: Any, b: Any, c: Any) -> None:
    one, two, three = summary_of(a), summary_of(b), summary_of(c)
    assert one.merge(two).merge(three) == one.merge(two.merge(three)) == summary_of(a + b + c)


@given(labels, st.randoms(use_true_random=False))
def test_the_order_of_labels_does_not_matter(rows: Any, random: Any) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert summary_of(rows) == summary_of(shuffled)
    assert summary_of(rows).log_e_above(0.1) == summary_of(shuffled).log_e_above(0.1)


@given(st.lists(st.sampled_from([-1, 0, 1]), max_size=60), st.floats(-0.9, 0.9))
def test_the_e_value_is_the_product_of_each_bets_factors_averaged(xs: list[int], mean: float) -> None:
    found = PairedSummary()
    for x in xs:
        found = found.add(x=x)
    wealths = [
        math.exp(w) * reduce(lambda wealth, x: wealth * (1 + κ / (1 + mean) * (x - mean)), xs, 1.0)
        for κ, w in zip(BETS, LOG_WEIGHTS, strict=True)
    ]
    assert found.log_e_above(mean) == pytest.approx(math.log(sum(wealths)), abs=1e-9)
    assert found.log_e_below(-mean) == pytest.approx(
        reduce(lambda s, x: s.add(x=-x), xs, PairedSummary()).log_e_above(mean), abs=1e-9
    )


@given(st.floats(0.001, 1.0))
def test_an_inclusion_probability_lies_in_its_cell(inclusion: float) -> None:
    low, high = cell_range(cell_of(inclusion))
    assert low <= inclusion <= high <= low * 1.1


@given(labels, st.floats(-0.8, 0.8))
def test_weighted_evidence_never_exceeds_the_one_with_exact_weights(rows: Any, mean: float) -> None:
    found = summary_of(rows)
    least = min((π for _, π in rows), default=1.0)
    wealths = []
    for κ, w in zip(BETS, LOG_WEIGHTS, strict=True):
        if κ > 0.995 * least:
            continue
        wealths.append(math.exp(w) * math.prod(1 + κ / (1 + mean) * (x - mean) / π for x, π in rows))
    assert found.log_e_above(mean) <= (math.log(sum(wealths)) if sum(wealths) > 0 else -math.inf) + 1e-9


@given(st.integers(0, 40), st.integers(0, 40), st.floats(-0.9, 0.85))
def test_evidence_against_a_mean_falls_as_the_mean_rises(better: int, worse: int, mean: float) -> None:
    summary = PairedSummary(labels=((cell_of(1.0), worse, 0, better),))
    assert summary.log_e_above(mean) >= summary.log_e_above(mean + 0.05) - 1e-9


def test_without_labels_nothing_is_shown() -> None:
    empty = PairedSummary()
    assert empty.log_e_above() == pytest.approx(0.0)
    assert empty.log_e_below() == pytest.approx(0.0)
    assert empty.mean() is None
    assert empty.difference() is None
    assert empty.mean_bounds(0.05) == (-1.0, 1.0)
    assert empty.difference_bounds(0.05) == (-1.0, 1.0)


def test_ties_alone_prove_neither_gain_nor_harm() -> None:
    ties = summary_of([(0, 1.0)] * 500)
    assert ties.log_e_above() == pytest.approx(0.0)
    assert ties.log_e_below() == pytest.approx(0.0)


def test_one_label_never_decides() -> None:
    assert summary_of([(1, 1.0)]).log_e_above() < ENOUGH
    assert summary_of([(1, 0.01)]).log_e_above() < ENOUGH


def test_a_clear_gain_is_shown_within_a_dozen_labels() -> None:
    summary = summary_of([(1, 1.0)] * 10)
    assert summary.log_e_above() >= ENOUGH
    assert summary.log_e_below() < 0


def test_equal_arms_are_rarely_told_apart_however_often_one_looks() -> None:
    rng = np.random.default_rng(7)
    false = 0
    for _ in range(400):
        summary = PairedSummary()
        for better in rng.random(150) < 0.5:
            summary = summary.add(x=1 if better else -1)
            if summary.log_e_above() >= ENOUGH:
                false += 1
                break
    assert false / 400 <= 0.025 + 3 * math.sqrt(0.025 * 0.975 / 400)


def test_labels_chosen_where_the_canary_does_well_do_not_fool_the_weighted_test() -> None:
    rng = np.random.default_rng(8)
    weighted = naive = 0
    for _ in range(60):
        favours = rng.random(300) < 0.5
        inclusion = np.where(favours, 0.9, 0.15)
        x = np.where(rng.random(300) < np.where(favours, 0.7, 0.3), 1, -1)
        drawn = rng.random(300) < inclusion
        rows = [(int(a), float(π)) for a, π in zip(x[drawn], inclusion[drawn], strict=True)]
        summary = replace(summary_of(rows), planned_inclusion=0.15)
        weighted += summary.log_e_above() >= ENOUGH
        naive += summary_of([(a, 1.0) for a, _ in rows]).log_e_above() >= ENOUGH
    assert weighted <= 4
    assert naive >= 20


def test_a_plan_for_few_labels_keeps_the_power_of_each_label() -> None:
    rows = [(1, 0.1)] * 20 + [(-1, 0.1)] * 4
    planned = PairedSummary(planned_inclusion=0.1)
    for x, inclusion in rows:
        planned = planned.add(x=x, inclusion=inclusion)
    certain = summary_of([(x, 1.0) for x, _ in rows])
    assert planned.log_e_above() == pytest.approx(certain.log_e_above(), abs=1e-9)


def test_a_smaller_probability_than_planned_takes_bets_away_and_never_gives_them_back() -> None:
    before = summary_of([(1, 1.0)] * 15)
    after = before.add_compared(1, 1, least_inclusion=0.05)
    assert after.log_e_above() < before.log_e_above()
    assert after.merge(PairedSummary()).least_inclusion == 0.05


def test_non_inferiority_needs_no_label_where_the_arms_hardly_differ() -> None:
    assert PairedSummary().add_compared(2_000, 4).log_e_not_inferior(0.03, 0.025) == math.inf
    assert PairedSummary().add_compared(50, 0).log_e_not_inferior(0.03, 0.025) < ENOUGH


def test_a_loss_beyond_the_margin_is_shown_only_once_enough_decisions_differ() -> None:
    few = summary_of([(-1, 1.0)] * 20, compared=100_000)
    many = summary_of([(-1, 1.0)] * 120, compared=480)
    assert few.log_e_inferior(0.05, 0.04) == -math.inf
    assert many.log_e_inferior(0.05, 0.04) >= math.log(25)


def test_the_interval_of_the_mean_ends_where_the_mixture_reaches_its_limit() -> None:
    summary = PairedSummary(labels=((cell_of(1.0), 9, 3, 28),))
    low, high = summary.mean_bounds(0.05)
    assert summary.log_e_above(low) == pytest.approx(math.log(40), abs=1e-4)
    assert summary.log_e_below(high) == pytest.approx(math.log(40), abs=1e-4)
    mean = summary.mean()
    assert mean is not None
    assert low < mean < high


def test_the_interval_of_the_difference_covers_it_at_every_look() -> None:
    rng = np.random.default_rng(9)
    missed = 0
    for _ in range(60):
        summary, inside = PairedSummary(), True
        for _ in range(5):
            discordant = int(rng.binomial(300, 0.1))
            better = int(rng.binomial(discordant, 0.7))
            summary = summary.add_compared(300, discordant).merge(
                PairedSummary(labels=((cell_of(1.0), discordant - better, 0, better),))
            )
            low, high = summary.difference_bounds(0.05)
            inside = inside and low <= 0.04 <= high
        missed += not inside
    assert missed <= 6


def test_a_fixed_bet_has_expectation_one_under_its_null() -> None:
    for κ in BETS:
        for mean in (-0.6, 0.0, 0.4):
            worse = (1 - mean) / 2
            expected = worse * (1 + κ / (1 + mean) * (-1 - mean)) + (1 - worse) * (1 + κ / (1 + mean) * (1 - mean))
            assert expected == pytest.approx(1.0)


@pytest.mark.parametrize("x", [2, -2, 0.5, True, None, "1", math.nan])
def test_a_label_other_than_minus_one_zero_or_one_is_refused(x: Any) -> None:
    with pytest.raises(InvalidStatisticError, match="x:"):
        PairedSummary().add(x=x)


@pytest.mark.parametrize("inclusion", [0.0, -0.1, 1.1, math.nan, math.inf, None, True])
def test_a_label_without_a_known_inclusion_probability_is_refused(inclusion: Any) -> None:
    with pytest.raises(InvalidStatisticError, match="inclusion"):
        PairedSummary().add(x=1, inclusion=inclusion)


def test_more_discordant_than_compared_is_refused() -> None:
    with pytest.raises(InvalidStatisticError, match="discordant"):
        PairedSummary().add_compared(3, 4)
    with pytest.raises(InvalidStatisticError, match="compared"):
        PairedSummary().add_compared(-3, 0)


def test_summaries_of_different_plans_do_not_merge() -> None:
    with pytest.raises(InvalidStatisticError, match="planned_inclusion"):
        PairedSummary().merge(PairedSummary(planned_inclusion=0.5))


@settings(max_examples=40)
@given(labels, st.floats(-1, 1))
def test_a_stored_summary_comes_back_equal(rows: Any, judged: float) -> None:
    summary = summary_of(rows).add_judged(judged)
    summary = summary.add(x=1, inclusion=0.5, judged=judged)
    assert PairedSummary.from_mapping(json.loads(json.dumps(summary.to_mapping()))) == summary


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"v": True},
        {"compared": -1},
        {"compared": 1.5},
        {"discordant": 5},
        {"labels": [[0, 1, 1]]},
        {"labels": [[3, 0, 0, 1], [3, 0, 0, 1]]},
        {"labels": [[10**9, 0, 0, 1]]},
        {"labels": [[0, -1, 0, 1]]},
        {"labels": "none"},
        {"least_inclusion": 0},
        {"planned_inclusion": "1"},
        {"judged": None},
        {"extra": 1},
    ],
)
def test_hostile_stored_values_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidStatisticError):
        PairedSummary.from_mapping({**PairedSummary().to_mapping(), **change})


def test_what_is_not_a_table_is_refused() -> None:
    with pytest.raises(InvalidStatisticError, match="table"):
        PairedSummary.from_mapping([1, 2])

"""Sampling: exact known probabilities, quotas and groups as promised, and advice that says when it does not know."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.core.sampling import (
    MIN_ANSWERED,
    AskedFor,
    SamplingPlan,
    draw_sample,
    labels_worth_asking,
    lift_curve,
    spread_order,
)
from trimtab.errors import InvalidStatisticError


@given(
    seed=st.integers(0, 10_000),
    n=st.integers(1, 80),
    budget=st.integers(1, 90),
    audit=st.floats(0.01, 1.0),
    breadth=st.floats(1.0, 20.0),
    zeros=st.floats(0.0, 1.0),
)
@settings(max_examples=60, deadline=None)
def test_probabilities_are_positive_sum_to_the_budget_and_rise_with_uncertainty(
    seed: int, n: int, budget: int, audit: float, breadth: float, zeros: float
) -> None:
    rng = np.random.default_rng(seed)
    score = np.where(rng.random(n) < zeros, 0.0, rng.random(n))
    sample = draw_sample(score, SamplingPlan(budget=budget, audit_share=audit, breadth=breadth), rng)
    assert len(sample) == min(n, budget)
    assert sample.inclusion.sum() == pytest.approx(min(n, budget))
    assert (sample.inclusion >= audit * min(n, budget) / n - 1e-9).all()
    assert (sample.inclusion <= 1).all()
    assert (np.diff(sample.inclusion[np.argsort(score, kind="stable")]) >= -1e-9).all()
    assert (sample.probability == sample.inclusion[sample.index]).all()
    assert len(np.unique(sample.index)) == len(sample)


@pytest.mark.parametrize("spread", [False, True], ids=["random order", "along a spread"])
@pytest.mark.parametrize("grouped", [False, True], ids=["single", "grouped"])
def test_horvitz_thompson_is_unbiased_and_stated_probabilities_are_realised(spread: bool, grouped: bool) -> None:
    rng = np.random.default_rng(7)
    n, draws = 60, 2_500
    score = rng.random(n) ** 2
    value = score + rng.random(n)
    group = rng.integers(0, 40, n) if grouped else None
    discordant = rng.random(n) < 0.2
    along = rng.random(n) if spread else None
    plan = SamplingPlan(budget=12, discordant_quota=4, audit_share=0.2)
    seen, totals = np.zeros(n), np.zeros(draws)
    for i in range(draws):
        sample = draw_sample(score, plan, rng, discordant=discordant, group=group, spread=along)
        seen[sample.index] += 1
        totals[i] = (value[sample.index] / sample.probability).sum()
    pi = sample.inclusion
    assert (np.abs(seen / draws - pi) < 4.5 * np.sqrt(pi * (1 - pi) / draws) + 1e-9).all()
    assert abs(totals.mean() - value.sum()) < 4 * totals.std() / np.sqrt(draws)


def test_the_audit_slice_is_uniform_although_the_draw_is_not() -> None:
    rng = np.random.default_rng(1)
    n, draws = 50, 2_500
    score = np.linspace(0, 1, n)
    audited = np.zeros(n)
    for _ in range(draws):
        sample = draw_sample(score, SamplingPlan(budget=10, audit_share=0.3), rng)
        audited[[i for i, why in zip(sample.index, sample.asked_for, strict=True) if why is AskedFor.AUDIT]] += 1
    expected = 0.3 * 10 / n
    assert (np.abs(audited / draws - expected) < 4.5 * np.sqrt(expected / draws)).all()


def test_the_discordant_quota_comes_first_with_its_own_probability() -> None:
    rng = np.random.default_rng(0)
    discordant = np.arange(200) < 40
    sample = draw_sample(rng.random(200), SamplingPlan(budget=20, discordant_quota=10), rng, discordant=discordant)
    why = np.array(sample.asked_for)
    assert (why == AskedFor.DISCORDANT).sum() == 10
    assert len(sample) == 20
    assert np.allclose(sample.inclusion[:40], 10 / 40)
    few = draw_sample(rng.random(200), SamplingPlan(budget=20, discordant_quota=10), rng, discordant=np.arange(200) < 3)
    assert np.allclose(few.inclusion[:3], 1.0)
    assert len(few) == 20


def test_without_a_quota_discordant_decisions_compete_like_all_others() -> None:
    rng = np.random.default_rng(0)
    sample = draw_sample(rng.random(30), SamplingPlan(budget=5), rng, discordant=np.ones(30, dtype=bool))
    assert len(sample) == 5
    assert AskedFor.DISCORDANT not in sample.asked_for


def test_of_near_duplicates_at_most_one_is_asked() -> None:
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(30), 4)
    for _ in range(50):
        sample = draw_sample(rng.random(120), SamplingPlan(budget=15), rng, group=group)
        assert len(np.unique(group[sample.index])) == len(sample) == 15


def test_a_narrow_plan_asks_about_the_most_uncertain_and_a_broad_one_asks_everywhere() -> None:
    rng = np.random.default_rng(0)
    score = rng.random(2_000)
    narrow = draw_sample(score, SamplingPlan(budget=20, audit_share=0.05, breadth=1), rng)
    broad = draw_sample(score, SamplingPlan(budget=20, audit_share=0.05, breadth=100), rng)
    assert np.median(score[narrow.index]) > 0.97
    assert np.median(score[broad.index]) < 0.95
    assert narrow.inclusion.max() > broad.inclusion.max()


def test_equal_uncertainty_means_equal_probability_and_no_uncertainty_still_asks() -> None:
    rng = np.random.default_rng(0)
    for level in (0.0, 0.4, 1.0):
        sample = draw_sample(np.full(40, level), SamplingPlan(budget=8), rng)
        assert np.allclose(sample.inclusion, 0.2)
        assert len(sample) == 8


def test_nothing_to_ask_or_no_budget_is_an_empty_sample() -> None:
    rng = np.random.default_rng(0)
    assert len(draw_sample([], SamplingPlan(budget=5), rng)) == 0
    assert len(draw_sample([0.5, 0.1], SamplingPlan(budget=0), rng)) == 0


def test_the_same_seed_draws_the_same_sample() -> None:
    score = np.random.default_rng(0).random(100)
    one, two = (draw_sample(score, SamplingPlan(budget=9), np.random.default_rng(3)) for _ in range(2))
    assert one.index.tolist() == two.index.tolist()
    assert one.asked_for == two.asked_for


def test_a_draw_along_a_spread_covers_it_more_evenly_than_chance() -> None:
    rng = np.random.default_rng(0)
    cluster = np.repeat(np.arange(10), 20)
    x = np.column_stack([cluster + rng.normal(0, 0.01, 200), np.zeros(200)])
    score = np.full(200, 0.9)
    along = spread_order(x, score)
    reached = [
        len(set(cluster[draw_sample(score, SamplingPlan(budget=10), rng, spread=s).index]))
        for s in (along, None)
        for _ in range(20)
    ]
    assert min(reached[:20]) == 10
    assert np.mean(reached[20:]) < 9


def test_a_spread_of_nothing_is_no_order() -> None:
    assert spread_order(np.ones((5, 3)), np.full(5, 0.5)).tolist() == [0.0] * 5
    assert spread_order(np.random.default_rng(0).random((5, 3)), np.zeros(5)).tolist() == [0.0] * 5
    with pytest.raises(InvalidStatisticError):
        spread_order([[np.nan]], [0.5])
    with pytest.raises(InvalidStatisticError):
        spread_order([[1.0]], [0.5, 0.5])


@pytest.mark.parametrize(
    "plan",
    [
        {"budget": -1},
        {"budget": 5, "audit_share": 0.0},
        {"budget": 5, "breadth": 0.5},
        {"budget": 5, "discordant_quota": 6},
    ],
)
def test_an_impossible_plan_is_refused(plan: dict[str, float]) -> None:
    with pytest.raises(InvalidStatisticError):
        SamplingPlan(**plan)  # type: ignore[arg-type]


def test_uncertainties_outside_their_domain_are_refused() -> None:
    rng = np.random.default_rng(0)
    for bad in ([1.2], [np.nan], [[0.5]]):
        with pytest.raises(InvalidStatisticError):
            draw_sample(bad, SamplingPlan(budget=1), rng)
    for column in ({"group": [1]}, {"discordant": [True]}, {"spread": [0.1]}):
        with pytest.raises(InvalidStatisticError):
            draw_sample([0.5, 0.5], SamplingPlan(budget=1), rng, **column)  # type: ignore[arg-type]


def test_lift_is_high_when_errors_are_uncertain_and_one_when_uncertainty_is_noise() -> None:
    rng = np.random.default_rng(0)
    score = rng.random(4_000)
    informed = lift_curve(score, rng.random(4_000) < score**3)
    noise = lift_curve(score, rng.random(4_000) < 0.25)
    assert (informed.lift_at(0.2) or 0) > 2
    assert noise.lift_at(0.2) == pytest.approx(1.0, abs=0.15)
    assert (informed.auroc or 0) > 0.75
    assert noise.auroc == pytest.approx(0.5, abs=0.04)
    assert informed.points[0].found == 0.0
    assert informed.points[-1].found == pytest.approx(1.0)


def test_ties_and_missing_errors_do_not_invent_a_lift() -> None:
    flat = lift_curve(np.full(100, 0.5), np.arange(100) < 10)
    assert flat.lift_at(0.3) == pytest.approx(1.0)
    assert flat.auroc == pytest.approx(0.5)
    none = lift_curve([0.2, 0.9], [False, False])
    assert (none.errors, none.points, none.auroc, none.lift_at(0.5)) == (0, (), None, None)
    assert lift_curve([], []).n == 0
    assert lift_curve([0.2, 0.9], [True, True]).auroc is None


def test_the_stop_rule_counts_what_is_still_worth_asking() -> None:
    rng = np.random.default_rng(0)
    answered = rng.random(800)
    wrong = rng.random(800) < answered**4
    pool = rng.random(2_000)
    advice = labels_worth_asking(pool, answered, wrong, worth=0.2)
    truly = int((pool**4 >= 0.2).sum())
    assert advice.worth_asking is not None
    assert abs(advice.worth_asking - truly) < 0.25 * truly
    assert advice.expected_errors == pytest.approx(float((pool[pool**4 >= 0.2] ** 4).sum()), rel=0.2)
    assert advice.interval is not None
    assert advice.interval[0] < 0.2 < advice.interval[1] + 0.02
    assert advice.stop is False
    settled = labels_worth_asking(pool * 0.05, answered, wrong, worth=0.2)
    assert (settled.worth_asking, settled.stop) == (0, True)


def test_chosen_answers_are_weighted_back_to_all_decisions() -> None:
    rng = np.random.default_rng(2)
    pool = rng.random(6_000)
    wrong = rng.random(6_000) < pool**4
    pi = np.clip(pool**4, 0.05, 1.0) * 0.5
    asked = rng.random(6_000) < pi
    advice = labels_worth_asking(pool, pool[asked], wrong[asked], probability=pi[asked])
    assert advice.error_rate == pytest.approx(wrong.mean(), abs=0.03)
    assert advice.interval is not None
    assert advice.interval[0] < wrong.mean() < advice.interval[1]


def test_too_few_answers_give_no_advice_and_an_empty_pool_says_stop() -> None:
    few = labels_worth_asking([0.5] * 9, [0.5] * (MIN_ANSWERED - 1), [False] * (MIN_ANSWERED - 1))
    assert (few.worth_asking, few.stop, few.error_rate) == (None, None, None)
    assert labels_worth_asking([], [0.5], [True]).stop is True


def test_advice_outside_its_domain_is_refused() -> None:
    good = ([0.5], [0.5], [True])
    for changes in ({"worth": 0.0}, {"worth": 1.0}, {"probability": [0.0]}, {"probability": [0.5, 0.5]}):
        with pytest.raises(InvalidStatisticError):
            labels_worth_asking(*good, **changes)  # type: ignore[arg-type]
    with pytest.raises(InvalidStatisticError):
        labels_worth_asking([1.5], [0.5], [True])
    with pytest.raises(InvalidStatisticError):
        lift_curve([0.5], [True, False])
    with pytest.raises(InvalidStatisticError):
        lift_curve([0.5], [2])

"""Recalibration: no worse than the constant on what it saw, better where a stated confidence means something."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.core.judges.calibration import CURVE_FROM, MapKind, fit_recalibration
from trimtab.errors import InvalidStatisticError


def judged(n: int, seed: int, *, truth: str) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    stated = rng.uniform(0.5, 1.0, n)
    chance = {"overconfident": 0.5 + (stated - 0.5) * 0.6, "meaningless": np.full(n, 0.7), "honest": stated}[truth]
    return stated, rng.random(n) < chance


def test_without_any_comparison_the_map_is_the_constant_one_half() -> None:
    found = fit_recalibration([], [])
    assert (found.kind, found.accuracy, found.n, found.brier) == (MapKind.CONSTANT, 0.5, 0, None)
    assert found.apply([0.9, np.nan]).tolist() == [0.5, 0.5]


def test_few_comparisons_or_one_outcome_give_the_smoothed_accuracy() -> None:
    stated, hit = judged(CURVE_FROM - 1, 0, truth="honest")
    assert fit_recalibration(stated, hit).kind is MapKind.CONSTANT
    always = fit_recalibration(np.linspace(0.5, 1, 300), np.ones(300))
    assert always.kind is MapKind.CONSTANT
    assert always.accuracy == pytest.approx(301 / 302)


def test_one_stated_confidence_for_everything_gives_the_accuracy() -> None:
    found = fit_recalibration(np.full(300, 0.97), np.arange(300) % 4 != 0)
    assert found.apply([0.97])[0] == pytest.approx(226 / 302, abs=0.01)


@pytest.mark.parametrize("n", [60, 400])
def test_meaningful_confidence_beats_the_constant_on_new_verdicts(n: int) -> None:
    gains = []
    for seed in range(12):
        found = fit_recalibration(*judged(n, seed, truth="overconfident"))
        stated, hit = judged(4_000, 100 + seed, truth="overconfident")
        gains.append(((found.accuracy - hit) ** 2).mean() - ((found.apply(stated) - hit) ** 2).mean())
    assert np.mean(gains) > 0


@pytest.mark.parametrize("n", [60, 400])
def test_meaningless_confidence_costs_next_to_nothing(n: int) -> None:
    losses = []
    for seed in range(20):
        found = fit_recalibration(*judged(n, seed, truth="meaningless"))
        stated, hit = judged(4_000, 100 + seed, truth="meaningless")
        losses.append(((found.apply(stated) - hit) ** 2).mean() - ((found.accuracy - hit) ** 2).mean())
    assert np.mean(losses) < 0.002


@given(
    seed=st.integers(0, 10_000),
    n=st.integers(0, 260),
    truth=st.sampled_from(["overconfident", "meaningless", "honest"]),
)
@settings(max_examples=25, deadline=None)
def test_a_map_is_a_probability_and_out_of_fold_never_worse_than_the_constant(seed: int, n: int, truth: str) -> None:
    found = fit_recalibration(*judged(n, seed, truth=truth))
    honest = found.apply(np.linspace(0, 1, 50))
    assert ((honest > 0) & (honest < 1)).all()
    if found.brier is not None:
        assert found.constant_brier is not None
        assert found.brier <= found.constant_brier


@given(seed=st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_the_order_of_verdicts_does_not_change_the_map(seed: int) -> None:
    stated, hit = judged(120, seed, truth="overconfident")
    order = np.random.default_rng(seed).permutation(120)
    at = np.linspace(0.5, 1, 20)
    first = fit_recalibration(stated, hit).apply(at)
    assert np.allclose(first, fit_recalibration(stated[order], hit[order]).apply(at), atol=1e-6)


def test_many_comparisons_allow_a_monotone_curve() -> None:
    rng = np.random.default_rng(0)
    stated = rng.random(3_000)
    hit = rng.random(3_000) < np.where(stated > 0.8, 0.95, 0.4)  # a step, which no line through log-odds follows
    found = fit_recalibration(stated, hit)
    assert found.kind is MapKind.ISOTONIC
    values = found.apply(np.linspace(0, 1, 40))
    assert (np.diff(values) >= -1e-12).all()
    assert values[0] == pytest.approx(0.4, abs=0.08)
    assert values[-1] == pytest.approx(0.95, abs=0.05)


@pytest.mark.parametrize(
    ("confidence", "hit", "weight"),
    [
        ([0.5], [True, False], None),
        ([1.5], [True], None),
        ([np.nan], [True], None),
        ([0.5], [2], None),
        ([0.5], [1], [-1.0]),
    ],
)
def test_values_outside_their_domain_are_refused(
    confidence: list[float], hit: list[bool], weight: list[float] | None
) -> None:
    with pytest.raises(InvalidStatisticError):
        fit_recalibration(confidence, hit, weight=weight)
    with pytest.raises(InvalidStatisticError):
        fit_recalibration([], []).apply([1.01])

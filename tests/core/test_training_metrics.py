from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.core.batch import chosen_labels
from trimtab.core.training.calibration import fit_temperature, heated
from trimtab.core.training.metrics import (
    brier_score,
    expected_calibration_error,
    figures,
    log_loss,
    paired_interval,
    wilson_interval,
)
from trimtab.errors import InvalidStatisticError


def test_temperature_calms_an_overconfident_posterior_and_never_changes_a_choice() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(4000, 3))
    honest = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    label = np.array([rng.choice(3, p=row) for row in honest])
    loud = heated(honest, 0.4)
    temperature = fit_temperature(loud, label, np.ones(len(label)))
    assert temperature == pytest.approx(2.5, rel=0.1)
    calm = heated(loud, temperature)
    assert (chosen_labels(calm) == chosen_labels(loud)).all()
    assert log_loss(calm, label) < log_loss(loud, label)
    assert expected_calibration_error(calm, label) < 0.03 < expected_calibration_error(loud, label)
    assert fit_temperature(honest[:0], label[:0], np.ones(0)) == 1.0


def test_wilson_and_newcombe_equal_published_values() -> None:
    # Newcombe 1998: 81 of 263; and the paired table 36, 12, 2, 0 of 50, method 10.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert paired_interval(36, 12, 2, 0) == pytest.approx((0.0569, 0.3404), abs=5e-5)
    assert paired_interval(0, 0, 0, 0) == (-1.0, 1.0)
    assert wilson_interval(0, 0) == (0.0, 1.0)
    for wrong in ((-1, 5), (6, 5)):
        with pytest.raises(InvalidStatisticError):
            wilson_interval(*wrong)
    with pytest.raises(InvalidStatisticError):
        paired_interval(1, -1, 0, 0)


def test_the_paired_interval_covers_the_true_difference() -> None:
    rng = np.random.default_rng(11)
    shares = np.array([0.75, 0.12, 0.06, 0.07])
    tables = rng.multinomial(120, shares, size=2000)
    hits = [low <= 0.06 <= high for low, high in (paired_interval(*map(int, table)) for table in tables)]
    assert 0.93 <= np.mean(hits) <= 0.98


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_the_paired_interval_holds_the_difference_and_mirrors(a: int, b: int, c: int, d: int) -> None:
    low, high = paired_interval(a, b, c, d)
    n = a + b + c + d
    assert -1 <= low <= high <= 1
    if n:
        assert low - 1e-9 <= (b - c) / n <= high + 1e-9
    assert paired_interval(a, c, b, d) == pytest.approx((-high, -low), abs=1e-12)


def test_figures_of_a_perfect_a_constant_and_an_empty_case() -> None:
    label = np.array([0, 0, 1, 2])
    sure = np.eye(3)[label]
    perfect = figures(sure, label, np.ones(4), ["a", "b", "c"])
    assert (perfect.accuracy, perfect.brier, perfect.ece) == (1.0, 0.0, 0.0)
    assert perfect.log_loss == pytest.approx(0, abs=1e-11)
    constant = figures(np.tile([1.0, 0, 0], (4, 1)), label, np.array([1.0, 1, 1, 3]), ["a", "b", "c"])
    assert constant.accuracy == 0.5
    assert constant.weighted_accuracy == pytest.approx(2 / 6)
    assert constant.balanced_accuracy == pytest.approx(1 / 3)
    assert constant.classes[1].precision is None
    assert constant.classes[1].recall == 0
    assert constant.log_loss < 100
    with pytest.raises(InvalidStatisticError, match="at least one row"):
        figures(np.empty((0, 3)), label[:0], np.empty(0), ["a", "b", "c"])


def test_a_calibrated_coin_has_no_calibration_error_and_a_boaster_has() -> None:
    rng = np.random.default_rng(3)
    confidence = rng.uniform(0.5, 1, 20_000)
    posterior = np.stack([confidence, 1 - confidence], axis=1)
    label = (rng.random(20_000) > confidence).astype(np.intp)
    assert expected_calibration_error(posterior, label) < 0.015
    assert expected_calibration_error(np.tile([0.99, 0.01], (20_000, 1)), label) > 0.2
    assert brier_score(posterior, label) == pytest.approx(np.mean(confidence * (1 - confidence)), abs=0.01)

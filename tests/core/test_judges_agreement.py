"""Agreement beyond a percentage, against hand-made cases and its limits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.core.judges.agreement import cohen_kappa, effective_judges, krippendorff_alpha, wilson_interval
from trimtab.core.judges.verdicts import JudgeVersion, VerdictTable
from trimtab.errors import InvalidStatisticError


def full_table(labels: np.ndarray) -> VerdictTable:
    """(items, judges) label indices of two classes as a table."""
    items, judges = labels.shape
    return VerdictTable.from_columns(
        decisions=[f"d{i}" for i in range(items)],
        judges=[JudgeVersion(judge=f"j{i}", version="1") for i in range(judges)],
        labels=("no", "yes"),
        item=np.repeat(np.arange(items), judges),
        judge=np.tile(np.arange(judges), items),
        label=labels.ravel(),
    )


def test_kappa_is_one_for_perfect_and_zero_for_independent_answers() -> None:
    assert cohen_kappa(np.diag([5, 7, 2])) == pytest.approx(1.0)
    assert cohen_kappa(np.outer([3, 7], [4, 6])) == pytest.approx(0.0)
    assert cohen_kappa([[0, 5], [5, 0]]) == pytest.approx(-1.0)


def test_kappa_of_nothing_or_of_one_label_only_is_not_known() -> None:
    assert cohen_kappa(np.zeros((3, 3))) is None
    assert cohen_kappa([[9, 0], [0, 0]]) is None


@pytest.mark.parametrize("bad", [[[1, 2, 3]], [[1, -1], [0, 1]], [[np.nan, 0], [0, 1]]])
def test_kappa_refuses_what_is_not_a_confusion_table(bad: list[list[float]]) -> None:
    with pytest.raises(InvalidStatisticError):
        cohen_kappa(bad)


def test_alpha_equals_the_published_example_with_missing_answers() -> None:
    missing = -1
    answers = np.array(
        [
            [1, 2, 3, 3, 2, 1, 4, 1, 2, missing, missing, missing],
            [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, missing, 3],
            [missing, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, missing],
            [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, missing],
        ]
    )
    coder, item = np.nonzero(answers != missing)
    assert krippendorff_alpha(item, answers[coder, item] - 1, n_labels=5) == pytest.approx(0.743, abs=0.001)


def test_alpha_of_too_little_is_not_known() -> None:
    assert krippendorff_alpha([], [], n_labels=2) is None
    assert krippendorff_alpha([0, 1], [0, 1], n_labels=2) is None
    assert krippendorff_alpha([0, 0, 1, 1], [1, 1, 1, 1], n_labels=2) is None
    with pytest.raises(InvalidStatisticError):
        krippendorff_alpha([0, 0], [0, 2], n_labels=2)
    with pytest.raises(InvalidStatisticError):
        krippendorff_alpha([0], [0, 1], n_labels=2)


@given(seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_alpha_does_not_depend_on_order_or_on_the_items_names(seed: int) -> None:
    rng = np.random.default_rng(seed)
    item, label = rng.integers(0, 8, 30), rng.integers(0, 3, 30)
    order = rng.permutation(30)
    first = krippendorff_alpha(item, label, n_labels=3)
    again = krippendorff_alpha(item[order] * 100 + 7, label[order], n_labels=3)
    assert first == pytest.approx(again)


def test_copies_of_a_judge_do_not_add_to_the_effective_number() -> None:
    rng = np.random.default_rng(0)
    gold = rng.integers(0, 2, 3_000)
    wrong = rng.random((3_000, 3)) < 0.3
    independent = np.where(wrong, 1 - gold[:, None], gold[:, None])
    copied = np.concatenate([independent, independent[:, :1], independent[:, :1]], axis=1)
    three = effective_judges(full_table(independent), gold)
    five = effective_judges(full_table(copied), gold)
    assert three.count == pytest.approx(3.0, abs=0.05)
    assert five.judges == 5
    assert five.count is not None
    assert 2.2 < five.count < 3.0
    assert five.mean_error_correlation is not None
    assert five.mean_error_correlation > 0.2


def test_the_effective_number_is_not_known_without_varied_errors() -> None:
    gold = np.ones(50, dtype=int)
    always_right = full_table(np.ones((50, 3), dtype=int))
    assert effective_judges(always_right, gold).count is None
    assert effective_judges(always_right, np.full(50, -1)).count is None
    assert effective_judges(always_right, np.full(50, -1)).compared == 0


def test_a_wilson_interval_covers_as_often_as_it_says_and_refuses_nonsense() -> None:
    rng = np.random.default_rng(2)
    for p in (0.05, 0.5, 0.9):
        bounds = [wilson_interval(float(h), 60) for h in rng.binomial(60, p, 2_000)]
        assert np.mean([low <= p <= high for low, high in bounds]) > 0.92
    for hits, n in ((1, 0), (3, 2), (-1, 5)):
        with pytest.raises(InvalidStatisticError):
            wilson_interval(hits, n)

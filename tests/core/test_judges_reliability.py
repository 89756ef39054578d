"""Reliability: summaries add up, agreement is honest about its size, weights follow the documented rule."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.core.judges.agreement import drift
from trimtab.core.judges.calibration import equal_mass_bins, expected_calibration_error
from trimtab.core.judges.reliability import JudgeSums, ReliabilitySummary, summarise
from trimtab.core.judges.verdicts import NO_LABEL, JudgeVersion, Verdict, VerdictTable
from trimtab.core.judges.weights import JudgeWeight, WeightRule, agreement_interval, judge_weights
from trimtab.errors import InvalidInputError, InvalidStatisticError

LABELS = ("archive", "reply", "escalate")
AT = datetime(2026, 3, 1, tzinfo=UTC)


def random_table(seed: int, n: int, *, judges: int = 3, items: int = 12) -> tuple[VerdictTable, np.ndarray]:
    rng = np.random.default_rng(seed)
    cells = rng.permutation(items * judges)[: min(n, items * judges)]
    confidence = rng.random(len(cells))
    confidence[rng.random(len(cells)) < 0.3] = np.nan
    table = VerdictTable.from_columns(
        decisions=[f"d{i}" for i in range(items)],
        judges=[JudgeVersion(judge=f"j{i}", version="1") for i in range(judges)],
        labels=LABELS,
        item=cells // judges,
        judge=cells % judges,
        label=rng.integers(0, 3, len(cells)),
        confidence=confidence,
        age_days=rng.random(len(cells)) * 40,
    )
    return table, rng.integers(-1, 3, items)


def same(a: ReliabilitySummary, b: ReliabilitySummary) -> bool:
    return list(a.judges) == list(b.judges) and all(same_sums(a.judges[j], b.judges[j]) for j in a.judges)


def same_sums(a: JudgeSums, b: JudgeSums) -> bool:
    return all(np.allclose(getattr(a, name), getattr(b, name), atol=1e-9) for name in JudgeSums.__slots__)


def one_judge(hits: int, n: int, *, confidence: float | None = None, age: float = 0.0) -> JudgeWeight:
    table = VerdictTable.from_columns(
        decisions=[f"d{i}" for i in range(max(n, 1))],
        judges=[JudgeVersion(judge="a", version="1")],
        labels=("no", "yes"),
        item=np.arange(n),
        judge=np.zeros(n),
        label=[1] * hits + [0] * (n - hits),
        confidence=None if confidence is None else np.full(n, confidence),
        age_days=np.full(n, age),
    )
    return judge_weights(summarise(table, np.ones(max(n, 1))))[0]


@given(seed=st.integers(0, 10_000), n=st.integers(0, 36), cuts=st.lists(st.integers(0, 36), min_size=2, max_size=2))
@settings(max_examples=40, deadline=None)
def test_a_summary_of_the_whole_is_the_merge_of_its_parts_in_any_order(seed: int, n: int, cuts: list[int]) -> None:
    table, gold = random_table(seed, n)
    rows = np.random.default_rng(seed).permutation(len(table))
    low, high = sorted(cuts)
    place = np.empty(len(table), dtype=int)
    place[rows] = np.arange(len(table))
    a, b, c = (
        summarise(table.only(part), gold) for part in (place < low, (place >= low) & (place < high), place >= high)
    )
    whole = summarise(table, gold)
    assert same(a.merge(b).merge(c), whole)
    assert same(c.merge(a.merge(b)), whole)
    assert same(ReliabilitySummary.merged([b, c, a]), whole)


def test_summaries_of_different_decay_do_not_merge() -> None:
    table, gold = random_table(1, 20)
    with pytest.raises(InvalidStatisticError, match="cannot be merged"):
        summarise(table, gold).merge(summarise(table, gold, half_life_days=3.0))
    with pytest.raises(InvalidStatisticError, match="no reliability summary"):
        ReliabilitySummary.merged([])


def test_a_judge_with_nothing_to_compare_has_no_agreement_and_the_prior_weight() -> None:
    weight = one_judge(0, 0)
    assert (weight.agreement, weight.interval, weight.ece, weight.brier, weight.kappa) == (None,) * 5
    assert (weight.n, weight.weight, weight.unproven) == (0, 0.5, True)
    assert "nothing to compare" in weight.reason


def test_below_five_comparisons_a_judge_is_unproven_however_good_it_looks() -> None:
    assert one_judge(4, 4).weight == 0.5
    assert one_judge(4, 4).unproven
    assert "4 of 5" in one_judge(4, 4).reason
    assert not one_judge(5, 5).unproven
    assert one_judge(5, 5).weight == pytest.approx(6 / 7)


def test_the_weight_is_agreement_minus_half_the_calibration_error() -> None:
    weight = one_judge(60, 100, confidence=0.9)
    assert weight.ece == pytest.approx(0.3, abs=1e-6)
    assert weight.brier == pytest.approx(0.6 * 0.01 + 0.4 * 0.81, abs=1e-6)
    assert weight.agreement == pytest.approx(61 / 102)
    assert weight.weight == pytest.approx(61 / 102 - 0.15, abs=1e-6)


def test_a_judge_without_confidences_has_no_calibration_term() -> None:
    weight = one_judge(60, 100)
    assert (weight.ece, weight.brier) == (None, None)
    assert weight.weight == weight.agreement
    assert "states no confidence" in weight.reason


def test_a_weight_stays_between_its_bounds_and_says_when_it_was_moved() -> None:
    assert one_judge(0, 500, confidence=1.0).weight == 0.1
    assert "raised" in one_judge(0, 500, confidence=1.0).reason
    assert one_judge(500, 500).weight <= 1.0


def test_agreement_halves_its_say_every_half_life_and_ends_at_the_look_back() -> None:
    assert one_judge(10, 10, age=7.0).effective_n == pytest.approx(5.0)
    assert one_judge(10, 10, age=14.0).effective_n == pytest.approx(2.5)
    assert one_judge(10, 10, age=7.0).n == 10
    assert one_judge(10, 10, age=30.5).n == 0


def test_old_agreement_is_shrunk_towards_the_prior() -> None:
    fresh, old = one_judge(20, 20), one_judge(20, 20, age=28.0)
    assert fresh.agreement is not None
    assert old.agreement is not None
    assert 0.5 < old.agreement < fresh.agreement


def test_survey_weights_make_agreement_speak_of_all_decisions() -> None:
    rng = np.random.default_rng(3)
    n = 20_000
    hard = rng.random(n) < 0.2
    right = np.where(hard, rng.random(n) < 0.5, rng.random(n) < 0.95)
    pi = np.where(hard, 0.5, 0.02)
    asked = rng.random(n) < pi
    table = VerdictTable.from_columns(
        decisions=range(n),  # type: ignore[arg-type]
        judges=[JudgeVersion(judge="a", version="1")],
        labels=("no", "yes"),
        item=np.arange(n),
        judge=np.zeros(n),
        label=right.astype(int),
    )
    gold = np.where(asked, 1, NO_LABEL)
    plain, weighted = (next(iter(summarise(table, gold, survey_weight=w).judges.values())) for w in (None, 1 / pi))
    assert plain.hit_rate is not None
    assert weighted.hit_rate is not None
    assert abs(weighted.hit_rate - right.mean()) < 0.03
    assert abs(plain.hit_rate - right.mean()) > 0.15
    assert weighted.effective_n < plain.effective_n


def test_the_agreement_interval_covers_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    for n in (10, 40, 200):
        p = rng.random(3_000)
        bounds = [agreement_interval(float(h), float(n))[1] for h in rng.binomial(n, p)]
        covered = np.mean([low <= q <= high for (low, high), q in zip(bounds, p, strict=True)])
        assert abs(covered - 0.95) < 0.015


def test_agreement_outside_its_domain_is_refused() -> None:
    with pytest.raises(InvalidStatisticError):
        agreement_interval(3, 2)
    with pytest.raises(InvalidStatisticError):
        WeightRule(lowest=0.6, prior_weight=0.5)
    with pytest.raises(InvalidStatisticError):
        WeightRule(min_overlap=0)


def test_equal_mass_bins_hold_equal_weight_and_keep_one_confidence_together() -> None:
    rng = np.random.default_rng(0)
    n = 4_000
    confidence = rng.random(n)
    table = VerdictTable.from_columns(
        decisions=range(n),  # type: ignore[arg-type]
        judges=[JudgeVersion(judge="a", version="1")],
        labels=("no", "yes"),
        item=np.arange(n),
        judge=np.zeros(n),
        label=(rng.random(n) < confidence).astype(int),
        confidence=confidence,
    )
    sums = next(iter(summarise(table, np.ones(n)).judges.values()))
    bins = equal_mass_bins(sums)
    assert len(bins) == 10
    assert max(b.weight for b in bins) < 1.2 * n / 10
    ece = expected_calibration_error(bins)
    assert ece is not None
    assert ece < 0.03
    assert len(equal_mass_bins(next(iter(summarise(table.only(confidence < -1), np.ones(n)).judges.values())))) == 0
    with pytest.raises(InvalidStatisticError):
        equal_mass_bins(sums, bins=0)


def test_drift_is_named_only_when_its_interval_excludes_no_change() -> None:
    n = 400
    age = np.where(np.arange(n) < n // 2, 1.0, 20.0)
    for recent_right, expected in ((0.9, False), (0.5, True)):
        right = np.where(np.arange(n) < n // 2, np.arange(n) % 100 < recent_right * 100, np.arange(n) % 10 != 0)
        table = VerdictTable.from_columns(
            decisions=range(n),  # type: ignore[arg-type]
            judges=[JudgeVersion(judge="a", version="1")],
            labels=("no", "yes"),
            item=np.arange(n),
            judge=np.zeros(n),
            label=right.astype(int),
            age_days=age,
        )
        found = drift(next(iter(summarise(table, np.ones(n)).judges.values())))
        assert found.drifted is expected
        assert found.recent_n == found.older_n == n // 2
    empty = drift(next(iter(summarise(table, np.full(n, NO_LABEL)).judges.values())))
    assert (empty.change, empty.interval, empty.drifted) == (None, None, False)


def verdict(**changes: object) -> Verdict:
    fields: dict[str, object] = {
        "decision_id": "d1",
        "judge": "a",
        "version": "1",
        "label": "reply",
        "confidence": 0.8,
        "at": AT,
    }
    return Verdict(**{**fields, **changes})  # type: ignore[arg-type]


def test_of_several_verdicts_of_one_judge_on_one_decision_the_latest_counts() -> None:
    later = verdict(label="archive", at=AT + timedelta(hours=1))
    for verdicts in ([verdict(), later], [later, verdict()]):
        table = VerdictTable.from_verdicts(verdicts, labels=LABELS, at=AT + timedelta(days=1))
        assert len(table) == 1
        assert table.labels[table.label[0]] == "archive"


def test_another_version_of_a_judge_starts_without_a_past() -> None:
    table = VerdictTable.from_verdicts([verdict(), verdict(version="2", label="archive")], labels=LABELS, at=AT)
    summary = summarise(table, table.gold_of({"d1": "reply"}))
    assert [weight.n for weight in judge_weights(summary)] == [1, 1]
    assert [str(j) for j in summary.judges] == ["a@1", "a@2"]


def test_a_verdict_from_a_clock_ahead_of_ours_has_age_zero() -> None:
    table = VerdictTable.from_verdicts([verdict(at=AT + timedelta(days=2))], labels=LABELS, at=AT)
    assert table.age_days.tolist() == [0.0]


@pytest.mark.parametrize("bad", [{"label": "delete"}, {"confidence": 1.2}, {"confidence": -0.1}])
def test_a_verdict_outside_its_domain_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError):
        VerdictTable.from_verdicts([verdict(**bad)], labels=LABELS, at=AT)


def test_human_labels_outside_the_agents_labels_are_refused() -> None:
    table = VerdictTable.from_verdicts([verdict()], labels=LABELS, at=AT)
    with pytest.raises(InvalidInputError, match="delete"):
        table.gold_of({"d1": "delete"})
    with pytest.raises(InvalidInputError, match="shape"):
        summarise(table, [1, 2])
    with pytest.raises(InvalidInputError):
        summarise(table, [7])
    with pytest.raises(InvalidInputError, match="survey"):
        summarise(table, [1], survey_weight=[0.0])
    with pytest.raises(InvalidStatisticError):
        summarise(table, [1], half_life_days=0.0)


def test_columns_that_do_not_fit_together_are_refused() -> None:
    judges = [JudgeVersion(judge="a", version="1")]

    def build(**changes: object) -> VerdictTable:
        columns: dict[str, object] = {
            "decisions": ["d"],
            "judges": judges,
            "labels": LABELS,
            "item": [0],
            "judge": [0],
            "label": [0],
        }
        return VerdictTable.from_columns(**{**columns, **changes})  # type: ignore[arg-type]

    for change in (
        {"item": [1]},
        {"label": [-1]},
        {"judge": [0, 0]},
        {"labels": ("one",)},
        {"judges": judges * 2},
        {"age_days": [-1.0]},
        {"age_days": [np.nan]},
        {"confidence": [0.1, 0.2]},
    ):
        with pytest.raises(InvalidInputError):
            build(**change)
    assert len(build().only(np.array([False]))) == 0

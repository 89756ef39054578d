from __future__ import annotations

import json

import numpy as np
import pytest

from trimtab.core.judges.agreement import drift
from trimtab.core.judges.calibration import MapKind
from trimtab.core.judges.consensus import choose_consensus
from trimtab.core.judges.reliability import summarise
from trimtab.core.judges.snapshots import consensus_snapshot, judge_recalibration, judge_snapshot
from trimtab.core.judges.verdicts import NO_LABEL, JudgeVersion, VerdictTable
from trimtab.core.judges.weights import judge_weights
from trimtab.errors import InvalidInputError

GOOD, SILENT = JudgeVersion(judge="good", version="2"), JudgeVersion(judge="silent", version="1")


def panel(
    n: int = 400, *, old: float = 0.9, fresh: float = 0.9, overconfident: bool = False
) -> tuple[VerdictTable, np.ndarray]:
    """One judge on `n` decisions, the first half a fortnight old, right with the given chances; another only silent."""
    rng = np.random.default_rng(3)
    gold = rng.integers(0, 2, n)
    aged = np.arange(n) < n // 2
    stated = rng.uniform(0.5, 1.0, n)
    chance = 0.5 + (stated - 0.5) * 0.4 if overconfident else np.where(aged, old, fresh)
    right = rng.random(n) < chance
    table = VerdictTable.from_columns(
        decisions=[f"d{i}" for i in range(n)],
        judges=[GOOD, SILENT],
        labels=("ham", "spam"),
        item=np.arange(n),
        judge=np.zeros(n),
        label=np.where(right, gold, 1 - gold),
        confidence=stated,
        age_days=np.where(aged, 14.0, 1.0),
    )
    return table, gold


def snapshot(table: VerdictTable, gold: np.ndarray, judge: JudgeVersion) -> dict[str, object]:
    summary = summarise(table, gold)
    weight = next(one for one in judge_weights(summary) if (one.judge, one.version) == (judge.judge, judge.version))
    recalibration = judge_recalibration(table, gold, judge)
    return judge_snapshot(weight, summary.judges[judge], recalibration, labels=table.labels)


def test_a_snapshot_says_everything_that_was_measured_as_plain_json() -> None:
    found = json.loads(json.dumps(snapshot(*panel(), GOOD), allow_nan=False))
    assert found["n"] == 400
    assert found["interval"][0] < found["agreement"] < found["interval"][1]
    assert found["confusion"]["labels"] == ["ham", "spam"]
    assert np.trace(found["confusion"]["weight"]) / np.sum(found["confusion"]["weight"]) == pytest.approx(0.9, abs=0.05)
    assert 0.6 < found["kappa"] < 1
    assert {"ece", "brier", "effective_n", "drift", "recalibration", "reliability_bins"} <= found.keys()


def test_what_was_compared_with_nothing_is_unknown_and_never_zero() -> None:
    found = snapshot(*panel(), SILENT)
    assert (found["n"], found["unproven"]) == (0, True)
    unknown = ("agreement", "interval", "effective_n", "ece", "brier", "kappa", "confusion", "recalibration")
    assert [found[name] for name in unknown] == [None] * len(unknown)
    assert found["drift"]["change"] is None  # type: ignore[index]
    assert found["drift"]["drifted"] is False  # type: ignore[index]


@pytest.mark.parametrize(("fresh", "drifted"), [(0.9, False), (0.6, True)])
def test_a_judge_that_got_worse_is_flagged(fresh: float, drifted: bool) -> None:
    found = snapshot(*panel(fresh=fresh), GOOD)["drift"]
    assert found["drifted"] is drifted  # type: ignore[index]
    assert (found["recent_n"], found["older_n"]) == (200, 200)  # type: ignore[index]


def test_another_way_of_choosing_questions_is_no_drift() -> None:
    """A judge fails on every fifth decision; lately only those, and as many others at a quarter of the chance, were
    asked about."""
    n = 1200
    fails = np.arange(n) % 5 == 0
    recent = np.arange(n) >= n // 2
    asked = ~recent | fails | (np.arange(n) % 5 == 1)
    weight = np.where(recent & ~fails, 4.0, 1.0)
    table = VerdictTable.from_columns(
        decisions=[f"d{i}" for i in range(n)],
        judges=[GOOD],
        labels=("ham", "spam"),
        item=np.arange(n),
        judge=np.zeros(n),
        label=fails.astype(int),
        age_days=np.where(recent, 1.0, 14.0),
    )
    gold = np.where(asked, 0, NO_LABEL)
    blind = drift(summarise(table, gold).judges[GOOD])
    told = drift(summarise(table, gold, survey_weight=weight).judges[GOOD])
    assert blind.drifted
    assert not told.drifted
    assert told.recent == pytest.approx(0.8)
    assert told.older == pytest.approx(0.8)
    assert (told.recent_n, told.older_n) == (240, 600)


def test_an_overconfident_judge_gets_a_map_that_beats_one_constant() -> None:
    table, gold = panel(overconfident=True)
    found = judge_recalibration(table, gold, GOOD)
    assert found.n == 400
    assert found.kind is not MapKind.CONSTANT
    assert found.brier is not None
    assert found.constant_brier is not None
    assert found.brier < found.constant_brier
    assert float(found.apply(1.0)) < 0.85  # it was right in 70 % of such cases


def test_a_map_is_fitted_only_on_what_people_answered_within_the_look_back() -> None:
    table, gold = panel()
    half = np.where(np.arange(400) % 2, gold, NO_LABEL)
    assert judge_recalibration(table, half, GOOD).n == 200
    assert judge_recalibration(table, gold, GOOD, look_back_days=7).n == 200
    assert judge_recalibration(table, gold, JudgeVersion(judge="nobody", version="1")).n == 0
    with pytest.raises(InvalidInputError):
        judge_recalibration(table, gold[:5], GOOD)


def test_survey_weights_on_every_answer_alike_change_nothing() -> None:
    table, gold = panel(overconfident=True)
    alike = judge_recalibration(table, gold, GOOD, survey_weight=np.full(400, 7.0))
    assert alike == judge_recalibration(table, gold, GOOD)


def test_earlier_versions_stand_beside_the_new_one() -> None:
    table, gold = panel()
    summary = summarise(table, gold)
    (weight, _) = judge_weights(summary)
    past = {"version": "1", "weight": 0.4, "agreement": 0.6, "n": 30, "unproven": False, "ece": 0.1}
    made = judge_snapshot(
        weight, summary.judges[GOOD], judge_recalibration(table, gold, GOOD), labels=table.labels, earlier=[past]
    )
    assert made["earlier_versions"] == [{"version": "1", "weight": 0.4, "agreement": 0.6, "n": 30, "unproven": False}]


def test_a_consensus_snapshot_names_the_choice_its_rivals_and_what_majority_vote_reaches() -> None:
    table, gold = panel()
    found = json.loads(json.dumps(consensus_snapshot(choose_consensus(table, gold, np.random.default_rng(1)))))
    assert found["n"] == 400
    assert found["name"]
    assert found["reason"]
    assert found["majority_accuracy"] == pytest.approx(0.9, abs=0.05)
    assert found["interval"][0] < found["accuracy"] < found["interval"][1]
    assert sum(one["share"] for one in found["scores"]) == pytest.approx(1.0)
    assert (found["judges"], found["effective_judges"]) == (2, None)


def test_a_consensus_without_answers_claims_no_accuracy() -> None:
    table, gold = panel()
    found = consensus_snapshot(choose_consensus(table, np.full_like(gold, NO_LABEL), np.random.default_rng(1)))
    assert (found["n"], found["accuracy"], found["interval"], found["majority_accuracy"]) == (0, None, None, None)
    assert found["scores"] == []

"""Uncertainty: from the posterior that decides, over all possible labels, with reasons a person can read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.core.judges.verdicts import JudgeVersion, VerdictTable
from trimtab.core.uncertainty import (
    Reason,
    UncertaintyRule,
    judge_disagreement,
    margin,
    mean_confidence,
    normalised_entropy,
    uncertainties,
)
from trimtab.errors import InvalidStatisticError


def posteriors(seed: int, n: int = 20, k: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(k, 0.5), n)


@given(seed=st.integers(0, 10_000), k=st.integers(2, 6))
@settings(max_examples=30, deadline=None)
def test_entropy_is_between_certain_and_uniform_whatever_the_number_of_labels(seed: int, k: int) -> None:
    p = posteriors(seed, k=k)
    entropy = normalised_entropy(p)
    assert ((entropy >= 0) & (entropy <= 1)).all()
    assert normalised_entropy(np.full((1, k), 1 / k))[0] == pytest.approx(1.0)
    assert normalised_entropy(np.eye(k))[0] == 0.0
    assert np.allclose(entropy, normalised_entropy(np.random.default_rng(seed).permuted(p, axis=1)))


def test_unvoted_labels_still_count_as_possible() -> None:
    assert normalised_entropy([[0.5, 0.5, 0.0, 0.0]])[0] == pytest.approx(0.5)


def test_a_clear_decision_names_no_reason_and_an_open_one_says_why() -> None:
    found = uncertainties(2, consensus=[[0.99, 0.01], [0.52, 0.48]])
    assert found[0].reasons == ()
    assert found[1].reasons == (Reason.UNCERTAIN_CONSENSUS, Reason.CLOSE_CALL)
    assert found[0].score < 0.1 < 0.9 < found[1].score
    assert found[0].disagreement is None
    assert len(found) == 2


def test_every_reason_has_a_sentence_for_the_reviewer() -> None:
    assert all(reason.text.endswith(".") and len(reason.text) > 20 for reason in Reason)


def test_a_conflict_with_the_policy_lifts_the_score_more_the_surer_the_judges_are() -> None:
    p = [[0.95, 0.05], [0.6, 0.4]]
    agree = uncertainties(2, consensus=p, served=[0, 0])
    conflict = uncertainties(2, consensus=p, served=[1, 1])
    assert (conflict.score > agree.score).all()
    assert (conflict.score <= 1).all()
    assert conflict[0].score - agree[0].score > conflict[1].score - agree[1].score
    assert conflict[0].reasons == (Reason.POLICY_CONFLICT,)
    assert uncertainties(2, consensus=p, served=[-1, -1]).score.tolist() == agree.score.tolist()


def test_without_judges_the_policy_speaks_and_without_either_we_explore() -> None:
    nothing = [np.nan, np.nan]
    found = uncertainties(3, consensus=[[0.9, 0.1], nothing, nothing], policy=[[0.5, 0.5], [0.55, 0.45], nothing])
    assert found[0].reasons == ()
    assert found[1].reasons == (Reason.POLICY_UNSURE,)
    assert (found[2].reasons, found[2].score, found[2].entropy) == ((Reason.EXPLORATION,), 1.0, None)
    assert uncertainties(4).score.tolist() == [1.0] * 4
    assert len(uncertainties(0)) == 0


def test_low_confidence_and_disagreement_are_named_when_measured() -> None:
    p = [[0.9, 0.1]]
    found = uncertainties(1, consensus=p, confidence=[0.4], disagreement=[0.3])
    assert found[0].reasons == (Reason.JUDGES_DISAGREE, Reason.LOW_CONFIDENCE)
    assert uncertainties(1, consensus=p, confidence=[np.nan], disagreement=[np.nan])[0].reasons == ()
    strict = UncertaintyRule(confidence_below=0.3, disagreement_from=0.5)
    assert uncertainties(1, consensus=p, confidence=[0.4], disagreement=[0.3], rule=strict)[0].reasons == ()


def verdicts() -> VerdictTable:
    return VerdictTable.from_columns(
        decisions=["agree", "split", "single", "silent"],
        judges=[JudgeVersion(judge=name, version="1") for name in ("a", "b")],
        labels=("no", "yes"),
        item=[0, 0, 1, 1, 2],
        judge=[0, 1, 0, 1, 0],
        label=[1, 1, 0, 1, 1],
        confidence=[0.9, 0.7, 0.6, np.nan, np.nan],
    )


def test_good_judges_that_split_disagree_and_coin_tossers_do_not() -> None:
    good = judge_disagreement(verdicts(), [0.95, 0.95])
    assert good[0] == pytest.approx(0.0, abs=1e-9)
    assert good[1] > 0.7
    assert np.isnan(good[2:]).all()
    assert judge_disagreement(verdicts(), [0.5, 0.5])[1] == pytest.approx(0.0, abs=1e-9)
    assert judge_disagreement(verdicts(), [0.95, 0.95], weight=[1.0, 0.0])[1] == pytest.approx(0.0, abs=1e-9)


def test_mean_confidence_is_of_those_who_state_one() -> None:
    found = mean_confidence(verdicts())
    assert found[:2].tolist() == pytest.approx([0.8, 0.6])
    assert np.isnan(found[2:]).all()


@pytest.mark.parametrize(
    "bad",
    [[[0.5, 0.6]], [[1.0]], [[np.nan, 1.0]], [[-0.1, 1.1]], [0.5, 0.5]],
    ids=["sum", "one", "half", "sign", "flat"],
)
def test_what_is_not_a_distribution_is_refused(bad: list[list[float]]) -> None:
    with pytest.raises(InvalidStatisticError):
        normalised_entropy(bad)
    with pytest.raises(InvalidStatisticError):
        margin(bad)


def test_columns_of_another_length_and_thresholds_outside_their_domain_are_refused() -> None:
    for wrong in ({"served": [0]}, {"confidence": [0.5]}, {"consensus": [[0.5, 0.5]]}, {"policy": [[0.5, 0.5]]}):
        with pytest.raises(InvalidStatisticError):
            uncertainties(2, **wrong)  # type: ignore[arg-type]
    with pytest.raises(InvalidStatisticError):
        UncertaintyRule(margin_below=1.5)
    with pytest.raises(InvalidStatisticError):
        judge_disagreement(verdicts(), [0.9])
    with pytest.raises(InvalidStatisticError):
        judge_disagreement(verdicts(), [0.9, 1.2])

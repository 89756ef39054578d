from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trimtab.core.reviews import Standing, final_label, reviewers_for, standing

LABELS = st.lists(st.sampled_from(["ham", "spam", "eggs"]), max_size=5)
KEYS = [f"key-{i}" for i in range(20_000)]


@given(LABELS, st.integers(1, 5))
def test_answers_wait_agree_or_are_disputed_whatever_their_order(labels: list[str], wanted: int) -> None:
    found = standing(labels, wanted)
    assert found is standing(labels[::-1], wanted)
    if len(labels) < wanted:
        assert found is Standing.WAITING
    else:
        assert (found is Standing.AGREED) == (len(set(labels)) == 1)


def test_no_answer_is_never_an_agreement() -> None:
    assert standing([], 0) is Standing.WAITING


@given(LABELS)
def test_one_answer_of_each_reviewer_stands_only_when_all_are_alike(labels: list[str]) -> None:
    assert final_label(labels) == (labels[0] if len(set(labels)) == 1 else None)


@given(LABELS)
def test_gold_stands_above_the_adjudicator_and_the_adjudicator_above_reviewers(labels: list[str]) -> None:
    assert final_label(labels, adjudicated="ham", gold="spam") == "spam"
    assert final_label(labels, adjudicated="ham") == "ham"


def test_the_asked_share_of_keys_gets_a_second_reviewer() -> None:
    twice = sum(reviewers_for("mail", key, wanted=1, double_share=0.1) == 2 for key in KEYS)
    assert abs(twice / len(KEYS) - 0.1) < 0.01
    assert {reviewers_for("mail", key, wanted=1, double_share=0.0) for key in KEYS[:100]} == {1}
    assert {reviewers_for("mail", key, wanted=1, double_share=1.0) for key in KEYS[:100]} == {2}
    assert {reviewers_for("mail", key, wanted=3, double_share=0.5) for key in KEYS[:100]} == {3}


def test_who_gets_a_second_reviewer_depends_on_agent_and_key_alone_and_grows_with_the_share() -> None:
    def chosen(agent: str, share: float) -> set[str]:
        return {key for key in KEYS[:2000] if reviewers_for(agent, key, wanted=1, double_share=share) == 2}

    assert chosen("mail", 0.1) == chosen("mail", 0.1) <= chosen("mail", 0.3)
    assert chosen("mail", 0.1) != chosen("other", 0.1)

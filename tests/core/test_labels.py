from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.core.labels import (
    INDEPENDENT_SOURCES,
    PRIOR_RELIABILITY,
    Label,
    MergedLabel,
    Polarity,
    Source,
    merge_labels,
    source_reliability,
)

AT = datetime(2025, 3, 3, tzinfo=UTC)
TWO, THREE = ("ham", "spam"), ("ham", "news", "spam")


def label(source: Source, name: str, **more: Any) -> Label:
    values: dict[str, Any] = {"key": "k", "polarity": Polarity.POSITIVE, "source_id": f"{source}/1", "confidence": 1.0}
    return Label(label=name, source=source, **{**values, "at": AT, **more})


def no(source: Source, name: str, **more: Any) -> Label:
    return label(source, name, polarity=Polarity.NEGATIVE, **more)


def merged(*labels: Label, possible: tuple[str, ...] = TWO) -> MergedLabel:
    (one,) = merge_labels(labels, possible=possible).values()
    return one


@st.composite
def labels_of_keys(draw: st.DrawFn) -> list[Label]:
    drawn = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["a", "b"]),
                st.sampled_from(THREE),
                st.sampled_from(Source),
                st.sampled_from(Polarity),
                st.floats(0.01, 1.0),
                st.integers(0, 5),
                st.none() | st.floats(0.01, 1.0),
                st.none() | st.sampled_from(["d1", "d2"]),
            ),
            max_size=9,
        )
    )
    return [
        Label(
            key=key,
            label=name,
            source=source,
            polarity=polarity,
            source_id=f"{i}",
            confidence=confidence,
            at=AT + timedelta(hours=hours),
            inclusion=inclusion,
            decision_id=decision,
        )
        for i, (key, name, source, polarity, confidence, hours, inclusion, decision) in enumerate(drawn)
    ]


@settings(max_examples=150, deadline=None)
@given(labels=labels_of_keys(), data=st.data())
def test_the_order_in_which_labels_came_does_not_matter(labels: list[Label], data: st.DataObject) -> None:
    shuffled = data.draw(st.permutations(labels))
    assert merge_labels(shuffled, possible=THREE) == merge_labels(labels, possible=THREE)


@settings(max_examples=150, deadline=None)
@given(labels=labels_of_keys(), possible=st.sampled_from([TWO, THREE]))
def test_an_answer_is_possible_named_and_within_its_bounds(labels: list[Label], possible: tuple[str, ...]) -> None:
    for key, one in merge_labels(labels, possible=possible).items():
        own = [it for it in labels if it.key == key]
        assert one.label in possible
        assert 0 < one.confidence <= 1
        assert 0 < one.inclusion <= 1
        assert set(one.sources) == {it.source for it in own}
        assert one.at == max(it.at for it in own)
        assert one.decision_id in {None, *(it.decision_id for it in own)}


@settings(max_examples=100, deadline=None)
@given(labels=labels_of_keys())
def test_keys_do_not_hear_each_other(labels: list[Label]) -> None:
    together = merge_labels(labels, possible=THREE)
    for key in ("a", "b"):
        alone = merge_labels([one for one in labels if one.key == key], possible=THREE)
        assert alone.get(key) == together.get(key)


@settings(max_examples=100, deadline=None)
@given(labels=labels_of_keys(), name=st.sampled_from(THREE))
def test_gold_wins_whatever_the_others_say(labels: list[Label], name: str) -> None:
    others = [replace(one, key="k") for one in labels if one.source is not Source.GOLD]
    found = merged(*others, label(Source.GOLD, name, source_id="gold"), possible=THREE)
    assert (found.label, found.confidence) == (name, 1.0)


def test_nothing_said_is_no_answer() -> None:
    assert merge_labels([], possible=TWO) == {}


def test_among_two_a_denial_is_the_other_label() -> None:
    assert merged(no(Source.FEEDBACK, "spam")).label == "ham"


def test_among_many_a_denial_alone_is_no_answer_and_beside_an_answer_it_weakens_it() -> None:
    denial = no(Source.REVIEW, "spam")
    assert merge_labels([denial], possible=THREE) == {}
    claim, weak = label(Source.JUDGES, "spam"), label(Source.SYNTHETIC, "news")
    assert merged(claim, weak, possible=THREE).label == "spam"
    assert merged(claim, weak, denial, possible=THREE).label == "news"


def test_the_stronger_say_wins_and_disagreement_is_a_conflict() -> None:
    found = merged(label(Source.APPROVAL, "spam"), label(Source.FEEDBACK, "ham"))
    assert (found.label, found.conflict) == ("spam", True)
    assert found.confidence == pytest.approx(0.80 / 1.55 * 0.80)
    assert not merged(label(Source.APPROVAL, "spam"), label(Source.FEEDBACK, "spam")).conflict


def test_two_weak_sources_outvote_a_strong_one() -> None:
    weak = [label(Source.FEEDBACK, "ham", source_id=str(i)) for i in range(2)]
    assert merged(label(Source.REVIEW, "spam"), *weak).label == "ham"


def test_a_tie_goes_to_the_first_of_the_agents_labels() -> None:
    tie = [label(Source.FEEDBACK, "spam"), label(Source.FEEDBACK, "ham", source_id="2")]
    assert merged(*tie).label == "ham"
    assert merged(*tie, possible=("spam", "ham")).label == "spam"


def test_a_denied_winner_is_a_conflict() -> None:
    found = merged(label(Source.REVIEW, "spam"), no(Source.FEEDBACK, "spam"), possible=THREE)
    assert (found.label, found.conflict) == ("spam", True)


def test_a_drawn_answer_keeps_its_probability_unless_somebody_answered_anyway() -> None:
    drawn = label(Source.REVIEW, "spam", inclusion=0.2)
    assert merged(drawn).inclusion == 0.2
    assert merged(drawn, label(Source.REVIEW, "spam", source_id="2", inclusion=0.1)).inclusion == 0.1
    assert merged(drawn, label(Source.FEEDBACK, "spam")).inclusion == 1.0


def test_a_label_that_the_agent_no_longer_has_cannot_win() -> None:
    assert merge_labels([label(Source.REVIEW, "parcel")], possible=TWO) == {}
    assert merged(label(Source.REVIEW, "parcel"), label(Source.SYNTHETIC, "ham")).label == "ham"


def test_a_source_that_was_compared_with_nothing_is_worth_its_prior() -> None:
    measured = source_reliability([label(Source.FEEDBACK, "spam")], possible=TWO)
    assert measured == {source: (prior, 0) for source, prior in PRIOR_RELIABILITY.items()}


def test_a_source_is_measured_against_independent_answers_only() -> None:
    labels = []
    for i in range(40):
        labels += [
            label(Source.FEEDBACK, "spam" if i < 10 else "ham", key=f"k{i}"),
            no(Source.APPROVAL, "ham", key=f"k{i}"),
            label(Source.GOLD if i % 2 else Source.REVIEW, "spam", key=f"k{i}", source_id="truth"),
        ]
    labels += [label(Source.FEEDBACK, "ham", key="lonely"), label(Source.APPROVAL, "spam", key="lonely")]
    measured = source_reliability(labels, possible=TWO)
    assert measured[Source.FEEDBACK] == (pytest.approx((10 + 0.75 * 20) / 60), 40)
    assert measured[Source.APPROVAL] == (pytest.approx((40 + 0.80 * 20) / 60), 40)
    assert measured[Source.GOLD] == (1.0, 0)


@settings(max_examples=80, deadline=None)
@given(labels=labels_of_keys())
def test_reliability_is_a_share_for_every_source(labels: list[Label]) -> None:
    measured = source_reliability(labels, possible=THREE)
    assert set(measured) == set(Source)
    assert all(0 < value <= 1 and n >= 0 for value, n in measured.values())
    assert all(measured[source][1] == 0 for source in INDEPENDENT_SOURCES)

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.core.agents import AgentSpec
from trimtab.core.batch import chosen_labels, posterior_matrix
from trimtab.core.bundles import Bundle, TreePolicy, TreeSplit
from trimtab.core.features import Value
from trimtab.core.policy import compile_policy
from trimtab.core.training import Dataset, Example, Method, SplitKind, TrainingResult, train
from trimtab.core.training.calibration import heated
from trimtab.core.training.logistic import fit_logistic
from trimtab.core.training.splits import split_held_out, stratified_folds
from trimtab.core.training.tree import fit_tree, readable_threshold
from trimtab.errors import InsufficientDataError, InvalidInputError

START = datetime(2026, 1, 1, tzinfo=UTC)
METHODS = list(Method)


def spec_for(labels: Sequence[str]) -> AgentSpec:
    return AgentSpec.from_mapping(
        {
            "agent": "made_up",
            "labels": list(labels),
            "features": [
                {"name": "age", "kind": "number"},
                {"name": "links", "kind": "count"},
                {"name": "html", "kind": "flag"},
                {"name": "origin", "kind": "category", "categories": ["inside", "partner", "outside"]},
                {"name": "noise", "kind": "number"},
            ],
        }
    )


TWO, THREE = spec_for(["ham", "spam"]), spec_for(["inbox", "archive", "quarantine"])


def made_up(
    spec: AgentSpec, n: int, *, seed: int = 7, unknown: float = 0.0, days: bool = True, noise: float = 1.0
) -> list[Example]:
    """Examples whose label follows a score of their features, in raw units of very different size."""
    rng = np.random.default_rng(seed)
    k = len(spec.labels)
    examples = []
    for i in range(n):
        age, links, html = rng.normal(5000, 2000), float(rng.poisson(3)), float(rng.random() < 0.4)
        origin = str(rng.choice(["inside", "partner", "outside"]))
        pull = {"inside": -2.0, "partner": 0.0, "outside": 1.0}[origin]
        score = 0.8 * (links - 3) + 1.5 * (html - 0.4) + pull - (age - 5000) / 2000 + noise * rng.logistic()
        label = spec.labels[min(k - 1, max(0, int(np.floor((score + 3) / 6 * k))))]
        row: list[Value] = [round(age, 2), links, html, origin, round(rng.normal(), 3)]
        row = [None if rng.random() < unknown else value for value in row]
        at = START + timedelta(hours=i) if days else START
        examples.append(Example(key=f"k{i}", values=tuple(row), label=label, at=at))
    return examples


def trained(spec: AgentSpec, examples: list[Example], method: Method, **changes: Any) -> TrainingResult:
    return train(spec, examples, **{"method": method, "seed": 3, "champion": None, "code_version": "test", **changes})


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("spec", [TWO, THREE], ids=["two", "three"])
def test_a_bundle_learns_and_reports_on_rows_it_did_not_see(spec: AgentSpec, method: Method) -> None:
    result = trained(spec, made_up(spec, 500), method)
    report = result.report
    assert report.n_train + report.n_held_out == report.n_examples == 500
    assert report.n_held_out == 100
    assert report.split is SplitKind.NEWEST
    assert report.held_out.accuracy > report.majority.rival_accuracy + 0.05
    assert report.majority.difference == pytest.approx(report.held_out.accuracy - report.majority.rival_accuracy)
    # What the report says holds for new rows of the same kind.
    fresh = Dataset.from_examples(spec, made_up(spec, 2000, seed=99))
    right = chosen_labels(posterior_matrix(result.bundle, fresh.columns)) == fresh.label
    low, high = report.held_out.accuracy_interval
    assert low - 0.05 < right.mean() < high + 0.05
    assert result.bundle.report["held_out"]["accuracy"] == pytest.approx(report.held_out.accuracy, abs=1e-6)
    assert result.bundle.lineage.n_examples == 500
    assert any("accuracy" in line for line in report.lines())
    assert Bundle.from_json(result.bundle.to_json(), expect_sha256=result.bundle.sha256, spec=spec) == result.bundle


@pytest.mark.parametrize("method", METHODS)
def test_the_same_examples_in_any_order_give_the_same_bundle(method: Method) -> None:
    examples = made_up(THREE, 200, unknown=0.05)
    first = trained(THREE, examples, method).bundle
    shuffled = list(examples)
    random.Random(1).shuffle(shuffled)
    assert trained(THREE, shuffled, method).bundle.sha256 == first.sha256
    assert trained(THREE, examples, method, seed=4).bundle.sha256 != first.sha256


@pytest.mark.parametrize("spec", [TWO, THREE], ids=["two", "three"])
@pytest.mark.parametrize("unknown", [0.0, 0.1])
def test_a_logistic_bundle_decides_every_row_as_the_fitted_model(spec: AgentSpec, unknown: float) -> None:
    examples = made_up(spec, 400, unknown=unknown)
    dataset = Dataset.from_examples(spec, examples)
    fitted = fit_logistic(dataset, spec.features, labels=len(spec.labels), strength=1.0)
    fills = {f.name: fill for f, fill in zip(spec.features, fitted.design.fills, strict=True)}
    expected = fitted.posterior(dataset)
    for temperature in (1.0, 1.7):
        bundle = Bundle.build(spec, fitted.policy(temperature), fills=fills)
        posterior = posterior_matrix(bundle, dataset.columns)
        assert np.abs(posterior - heated(expected, temperature)).max() < 1e-7
        assert (chosen_labels(posterior) == chosen_labels(expected)).all()
    # And so does the plain evaluation that agents run.
    bundle = Bundle.build(spec, fitted.policy(1.0), fills=fills)
    choose = compile_policy(bundle).choose
    assert sorted(choose(example.values).label for example in examples) == sorted(
        spec.labels[label] for label in chosen_labels(expected)
    )


@pytest.mark.parametrize("spec", [TWO, THREE], ids=["two", "three"])
def test_a_tree_bundle_decides_every_row_as_the_fitted_model(spec: AgentSpec) -> None:
    examples = made_up(spec, 600, noise=2.0)
    # Values that scikit-learn's single precision cannot tell apart must not part ways either.
    values = (1e9 + 1.0, 3.0, 1.0, "inside", 0.5)
    examples += [Example(key=f"big{i}", values=(values[0] + i, *values[1:]), label="x", at=START) for i in range(9)]
    examples = [
        e if e.label != "x" else Example(key=e.key, values=e.values, label=spec.labels[0], at=START) for e in examples
    ]
    dataset = Dataset.from_examples(spec, examples)
    for depth, leaf in ((3, 20), (8, 5), (12, 1)):
        fitted = fit_tree(dataset, spec.features, labels=len(spec.labels), depth=depth, leaf=leaf, seed=1)
        for temperature in (1.0, 2.5):
            bundle = Bundle.build(spec, fitted.policy(temperature))
            posterior = posterior_matrix(bundle, dataset.columns)
            assert (chosen_labels(posterior) == fitted.sklearn_choice(dataset)).all()


def test_a_tree_that_meets_an_unknown_value_is_less_sure() -> None:
    bundle = trained(TWO, made_up(TWO, 600), Method.TREE).bundle
    policy = compile_policy(bundle)
    assert isinstance(bundle.policy, TreePolicy)
    for example in made_up(TWO, 50, seed=5):
        known = policy.choose(example.values).confidence
        blind = policy.choose((None,) * 5).confidence
        assert blind <= max(known, 0.75)
    shares = [node.share_left for node in bundle.policy.nodes if isinstance(node, TreeSplit)]
    assert all(0 < share < 1 for share in shares)


def test_unknown_values_get_their_own_coefficient_when_training_had_them() -> None:
    examples = []
    for i, example in enumerate(made_up(TWO, 300)):
        # Whoever hides the age is a spammer.
        values = (None, *example.values[1:]) if example.label == "spam" and i % 2 else example.values
        examples.append(Example(key=example.key, values=values, label=example.label, at=example.at))
    document = trained(TWO, examples, Method.LOGISTIC).bundle.document
    assert document["policy"]["coefficients"]["age__missing"][0] > 1
    assert "links__missing" not in document["policy"]["coefficients"]


def test_coefficients_are_in_raw_units() -> None:
    coefficients = trained(TWO, made_up(TWO, 2000), Method.LOGISTIC).bundle.document["policy"]["coefficients"]
    assert coefficients["links"][0] == pytest.approx(0.8, rel=0.3)
    assert coefficients["age"][0] == pytest.approx(-1 / 2000, rel=0.3)


def test_a_flip_point_is_where_the_choice_flips() -> None:
    for method in METHODS:
        bundle = trained(TWO, made_up(TWO, 400, noise=0.2), method).bundle
        policy = compile_policy(bundle)
        found = 0
        for point in bundle.flip_points:
            index = [feature.name for feature in bundle.features].index(point["feature"])
            if point["value"] is None:
                assert point["reason"]
                continue
            found += 1
            step = 1e-6 * max(1.0, abs(point["value"]))
            below, above = list(bundle.fills), list(bundle.fills)
            below[index], above[index] = point["value"] - step, point["value"] + step
            assert policy.choose(below).label == point["below"]
            assert policy.choose(above).label == point["above"]
        assert found >= 1
    assert {point["feature"] for point in bundle.flip_points} == {"age", "links", "html", "noise"}


def test_a_linear_flip_point_solves_the_equation() -> None:
    bundle = trained(TWO, made_up(TWO, 800), Method.LOGISTIC).bundle
    point = next(point for point in bundle.flip_points if point["feature"] == "links")
    values = list(bundle.fills)
    values[1] = point["value"]
    assert compile_policy(bundle).choose(values).confidence == pytest.approx(0.5, abs=1e-8)


def test_copies_and_repeated_keys_never_straddle_a_split() -> None:
    examples = made_up(TWO, 120)
    examples += [Example(key=f"copy{i}", values=e.values, label=e.label, at=e.at) for i, e in enumerate(examples[::2])]
    examples += [Example(key=e.key, values=(1.0, *e.values[1:]), label=e.label, at=START) for e in examples[:30]]
    dataset = Dataset.from_examples(TWO, examples)
    split = split_held_out(dataset, labels=2, seed=0)
    assert set(dataset.group[split.train]).isdisjoint(dataset.group[split.held_out])
    assert sorted([*split.train, *split.held_out]) == list(range(dataset.n))
    fold = stratified_folds(dataset, folds=5, seed=1)
    for group in np.unique(dataset.group):
        assert len(np.unique(fold[dataset.group == group])) == 1
    counts = np.bincount(fold, minlength=5)
    assert counts.max() - counts.min() <= 8


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=40))
def test_groups_are_the_connected_parts_of_keys_and_values(pairs: list[tuple[int, int]]) -> None:
    examples = [
        Example(key=f"k{key}", values=(float(value), None, None, None, None), label="ham", at=START)
        for key, value in pairs
    ]
    dataset = Dataset.from_examples(TWO, examples)
    parts: list[tuple[set[int], set[int]]] = []
    for key, value in pairs:
        touching = [part for part in parts if key in part[0] or value in part[1]]
        parts = [part for part in parts if part not in touching]
        parts.append(({key}.union(*(p[0] for p in touching)), {value}.union(*(p[1] for p in touching))))
    assert len(np.unique(dataset.group)) == len(parts)
    for _, values in parts:
        inside = np.isin(dataset.columns["age"], list(values))
        assert len(np.unique(dataset.group[inside])) == 1


def test_the_newest_groups_are_held_out_when_times_vary() -> None:
    dataset = Dataset.from_examples(TWO, made_up(TWO, 200))
    split = split_held_out(dataset, labels=2, seed=0)
    assert split.kind is SplitKind.NEWEST
    assert dataset.at_us[split.held_out].min() > dataset.at_us[split.train].max()
    same_time = Dataset.from_examples(TWO, made_up(TWO, 200, days=False))
    split = split_held_out(same_time, labels=2, seed=0)
    assert split.kind is SplitKind.STRATIFIED
    assert "different times" in split.reason
    assert 30 <= len(split.held_out) <= 50


def test_a_label_that_came_late_is_still_taught() -> None:
    examples = sorted(made_up(TWO, 200), key=lambda example: example.label)
    examples = [
        Example(key=e.key, values=e.values, label=e.label, at=START + timedelta(hours=i))
        for i, e in enumerate(examples[:150] + [e for e in examples if e.label == "spam"][-8:])
        if e.label == "ham" or i >= 150
    ]
    split = split_held_out(Dataset.from_examples(TWO, examples), labels=2, seed=0)
    assert split.kind is SplitKind.STRATIFIED
    assert split.reason == "the older rows alone would lack a label"


def test_a_challenger_is_compared_with_the_champion_on_the_same_rows() -> None:
    rules = {
        "kind": "rules",
        "rules": [{"when": [{"feature": "links", "op": ">", "value": 4}], "label": "spam", "confidence": 0.8}],
        "default": {"label": "ham", "confidence": 0.7},
    }
    champion = Bundle.build(TWO, rules)
    result = trained(TWO, made_up(TWO, 600), Method.LOGISTIC, champion=champion)
    comparison = result.report.champion
    assert comparison is not None
    assert comparison.n == result.report.n_held_out
    assert comparison.difference == pytest.approx((comparison.wins - comparison.losses) / comparison.n)
    assert comparison.interval[0] < comparison.difference < comparison.interval[1]
    assert comparison.difference > 0
    assert result.bundle.lineage.parent == champion.sha256


def test_a_champion_of_an_older_spec_can_be_compared() -> None:
    features = [*(feature.to_mapping() for feature in TWO.features), {"name": "gone", "kind": "number"}]
    features[3] = {**features[3], "categories": ["outside", "inside"]}
    older = AgentSpec.from_mapping({"agent": "made_up", "labels": ["spam", "ham"], "features": features})
    policy = {
        "kind": "logistic",
        "intercept": [0.0],
        "coefficients": {"gone": [1], "links": [-0.8], "origin=inside": [2.0]},
    }
    champion = Bundle.build(older, policy, fills={"gone": 0.0, "links": 3.0, "origin": "outside"})
    result = trained(TWO, made_up(TWO, 400), Method.LOGISTIC, champion=champion)
    assert result.report.champion is not None
    assert result.report.champion.rival_accuracy > 0.6
    assert any("'gone' is not in the spec any more" in note for note in result.report.notes)


def test_training_on_the_champions_examples_again_changes_nothing_but_the_lineage() -> None:
    examples = made_up(TWO, 200)
    first = trained(TWO, examples, Method.LOGISTIC).bundle
    again = trained(TWO, examples, Method.LOGISTIC, champion=first)
    assert again.bundle.policy == first.policy
    assert again.report.champion is not None
    assert again.report.champion.losses <= again.report.champion.n


@pytest.mark.parametrize(
    ("examples", "words"),
    [
        ([], "there are 0: 50 more"),
        (made_up(THREE, 49), "50 labelled examples are needed, there are 49: 1 more"),
        ([e for e in made_up(THREE, 300) if e.label != "archive"], "label 'archive' has 0 of 5 needed: 5 more"),
        (
            [e for e in made_up(THREE, 300) if e.label != "inbox"]
            + [e for e in made_up(THREE, 300) if e.label == "inbox"][:3],
            "label 'inbox' has 3 of 5 needed: 2 more",
        ),
        (
            [e for e in made_up(THREE, 300) if e.label != "inbox"]
            + [Example(key="k", values=(1.0,) * 3 + ("inside", 1.0), label="inbox", at=START)] * 9,
            "label 'inbox' are copies of 1",
        ),
        (
            [Example(key=e.key, values=(None,) * 5, label=e.label, at=e.at) for e in made_up(THREE, 300)],
            "are copies of 1",
        ),
    ],
    ids=["none", "49", "no archive", "few inbox", "copies", "all unknown"],
)
def test_too_little_is_refused_saying_what_is_missing(examples: list[Example], words: str) -> None:
    with pytest.raises(InsufficientDataError, match=words):
        trained(THREE, examples, Method.LOGISTIC)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"label": "virus"}, "has no label 'virus'"),
        ({"weight": -1.0}, "weight must be finite"),
        ({"weight": float("nan")}, "weight must be finite"),
        ({"inclusion": 0.0}, r"inclusion in \(0, 1\]"),
        ({"inclusion": 1.5}, r"inclusion in \(0, 1\]"),
        ({"values": (1.0,)}, "has 1 values"),
        ({"values": (1.0, "x", 1.0, "inside", 1.0)}, "'links' is a count, found 'x'"),
        ({"at": datetime(2026, 1, 1)}, "time zone"),  # noqa: DTZ001 the missing zone is the point
    ],
)
def test_an_unusable_example_is_refused_by_name(change: dict[str, Any], words: str) -> None:
    good: dict[str, Any] = {"key": "k", "values": (1.0, 1.0, 1.0, "inside", 1.0), "label": "ham", "at": START}
    with pytest.raises(InvalidInputError, match=words):
        Dataset.from_examples(TWO, [Example(**{**good, **change})])


def test_weights_count_and_inverse_inclusion_is_truncated() -> None:
    base = {"values": (1.0, 1.0, 1.0, "inside", 1.0), "label": "ham", "at": START}
    rows = [Example(key=f"k{i}", weight=1.0, inclusion=1.0, **base) for i in range(9)]
    rows += [Example(key="rare", weight=1.0, inclusion=1e-6, **base), Example(key="none", weight=0.0, **base)]
    dataset = Dataset.from_examples(TWO, rows)
    assert dataset.n == 10
    assert dataset.weight.mean() == pytest.approx(1)
    assert dataset.weight.max() / dataset.weight.min() == pytest.approx(10)


@pytest.mark.parametrize("method", METHODS)
def test_a_heavy_row_moves_the_bundle_as_much_as_copies_would(method: Method) -> None:
    examples = made_up(TWO, 150, days=False)
    heavy = [
        Example(key=e.key, values=e.values, label="spam", at=e.at, weight=50.0) if i % 5 == 0 else e
        for i, e in enumerate(examples)
    ]
    light = [
        Example(key=e.key, values=e.values, label=e.label, at=e.at, weight=0.01 if e.weight == 50 else 1.0)
        for e in heavy
    ]
    share = {}
    for name, rows in (("heavy", heavy), ("light", light)):
        posterior = posterior_matrix(trained(TWO, rows, method).bundle, Dataset.from_examples(TWO, examples).columns)
        share[name] = posterior[:, 1].mean()
    assert share["heavy"] > share["light"] + 0.1


def test_a_heavy_tail_is_cut_and_the_cut_is_in_the_bundle() -> None:
    examples = []
    for i, example in enumerate(made_up(TWO, 300)):
        links = 5000.0 if i == 7 else example.values[1]
        values = (example.values[0], links, *example.values[2:])
        examples.append(Example(key=example.key, values=values, label=example.label, at=example.at))
    bundle = trained(TWO, examples, Method.LOGISTIC).bundle
    low, high = bundle.document["policy"]["clamps"]["links"]
    assert low is None
    assert high < 20
    choose = compile_policy(bundle).choose
    assert choose((5000.0, 5000.0, 1.0, "outside", 0.0)) == choose((5000.0, high, 1.0, "outside", 0.0))


@settings(max_examples=200)
@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e6))
def test_a_readable_threshold_keeps_both_sides_apart(low: float, gap: float) -> None:
    high = low + gap
    if high > low:
        threshold = readable_threshold(low, high)
        assert low <= threshold < high

from __future__ import annotations

import json
import math
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.core.strategies import NUMBERS, bundles, numeric_logistics, spec_with, values

from trimtab.core.agents import AgentSpec
from trimtab.core.batch import chosen_labels, columns_from_values, posterior_matrix
from trimtab.core.bundles import Bundle
from trimtab.core.policy import compile_policy, explain
from trimtab.errors import InvalidInputError, InvalidPayloadError

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "policy.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: case["name"])
def test_decisions_equal_the_shared_vectors(case: dict[str, Any]) -> None:
    bundle = Bundle.from_document(case["bundle"])
    assert bundle.sha256 == case["sha256"]
    policy, at = compile_policy(bundle), datetime.fromisoformat(VECTORS["at"])
    for decision in case["decisions"]:
        assert policy.extract(decision["payload"], at).values == tuple(decision["values"])
        choice = policy.decide(decision["payload"], at)
        assert choice.label == decision["label"]
        assert choice.posterior == pytest.approx(decision["posterior"], abs=VECTORS["tolerance"])
        assert choice.escalate is decision["escalate"]


def test_the_shared_vectors_are_up_to_date() -> None:
    script = Path(__file__).parents[2] / "scripts" / "make_vectors.py"
    done = subprocess.run([sys.executable, str(script), "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(bundles() | numeric_logistics(), st.lists(values, min_size=1, max_size=8))
def test_a_batch_decides_exactly_as_single_rows_do(bundle: Bundle, rows: list[tuple[Any, ...]]) -> None:
    policy = compile_policy(bundle)
    rows = [row[: len(bundle.features)] for row in rows]
    matrix = posterior_matrix(bundle, columns_from_values(bundle.features, rows))
    for row, posterior, label in zip(rows, matrix, chosen_labels(matrix), strict=True):
        choice = policy.choose(row)
        assert math.isclose(sum(choice.posterior), 1, abs_tol=1e-6)
        assert choice.posterior == pytest.approx(tuple(posterior), abs=1e-12)
        assert choice.confidence == max(choice.posterior)
        assert choice.escalate is (choice.confidence < bundle.escalate_below)
        runner_up = sorted(choice.posterior)[-2]
        if choice.confidence - runner_up > 1e-12:
            assert choice.label == bundle.labels[label]


def with_ranges(bundle: Bundle) -> Bundle:
    """The bundle, knowing that its numbers were seen from -20 to 20."""
    seen = [{"feature": name, "value": None, "seen": [-20, 20]} for name in NUMBERS]
    return Bundle.from_document({**bundle.document, "flip_points": seen})


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(bundles().map(with_ranges), values)
def test_every_choice_can_be_explained_and_its_flips_are_true(bundle: Bundle, row: tuple[Any, ...]) -> None:
    payload = {feature.name: value for feature, value in zip(bundle.features, row, strict=True)}
    explanation = explain(bundle, payload)
    assert explanation.choice == compile_policy(bundle).choose(row)
    assert explanation.lines()
    json.dumps(explanation.to_mapping(), allow_nan=False)
    names = [feature.name for feature in bundle.features]
    for flip in explanation.flips:
        assert flip.value is not None
        step = 1e-7 * max(1.0, abs(flip.value))
        for value, label in ((flip.value - step, flip.below), (flip.value + step, flip.above)):
            moved = list(row)
            moved[names.index(flip.feature)] = value
            posterior = compile_policy(bundle).posterior(moved)
            # Where two labels are as good as equal on both sides, either may be named.
            assert posterior[bundle.labels.index(str(label))] >= max(posterior) - 1e-5


def test_an_unknown_category_text_counts_as_unknown() -> None:
    bundle = Bundle.build(
        spec_with(2),
        {"kind": "logistic", "intercept": [0], "coefficients": {"color=red": [2], "color__missing": [-1]}},
        fills={"color": "red"},
    )
    unknown = compile_policy(bundle).choose((0.0, 0.0, 0.0, 0.0, None))
    assert unknown.posterior[1] == pytest.approx(1 / (1 + math.exp(-1)))
    columns = {"color": np.array(["red", None, "pink"], dtype=object)}
    matrix = posterior_matrix(bundle, columns)
    assert matrix[1, 1] == matrix[2, 1] == unknown.posterior[1]


def test_an_unknown_value_lowers_the_confidence_of_a_tree() -> None:
    tree = {
        "kind": "tree",
        "nodes": [
            {"feature": "x0", "threshold": 1, "left": 1, "right": 2, "share_left": 0.5},
            {"posterior": [0.95, 0.05]},
            {"posterior": [0.05, 0.95]},
        ],
    }
    policy = compile_policy(Bundle.build(spec_with(2), tree))
    assert policy.choose((1.0, None, None, None, None)).confidence == 0.95
    for unknown in (None, float("nan")):
        choice = policy.choose((unknown, None, None, None, None))
        assert choice.confidence == pytest.approx(0.5)
        assert choice.escalate


def test_values_that_never_passed_extraction_still_give_a_posterior() -> None:
    policy = {"kind": "logistic", "intercept": [0], "coefficients": {"x0": [1e12], "x1": [-1e12], "x2": [1]}}
    fills = {"x0": 0.0, "x1": 0.0, "x2": 0.0}
    numeric = spec_with(2).to_mapping()
    numeric["features"] = numeric["features"][:4]
    for spec in (spec_with(2), AgentSpec.from_mapping(numeric)):
        choose = compile_policy(Bundle.build(spec, policy, fills=fills)).choose
        for bad in (float("nan"), float("inf"), -float("inf"), 1e308):
            posterior = choose((bad, bad, 1e15, 0.0, None)[: len(spec.features)]).posterior
            assert sum(posterior) == pytest.approx(1)


def test_a_vector_of_the_wrong_length_is_refused() -> None:
    bundle = Bundle.build(spec_with(3), {"kind": "rules", "rules": [], "default": {"label": "two", "confidence": 0.5}})
    with pytest.raises(InvalidPayloadError, match="2 values, the bundle wants 5"):
        compile_policy(bundle).choose((1.0, 2.0))
    with pytest.raises(InvalidInputError, match="row 0"):
        columns_from_values(bundle.features, [(1.0,)])


def test_a_batch_without_a_needed_column_is_refused() -> None:
    policy = {"kind": "logistic", "intercept": [0], "coefficients": {"x0": [1]}}
    bundle = Bundle.build(spec_with(2), policy, fills={"x0": 0.0})
    with pytest.raises(InvalidInputError, match="needs the columns x0"):
        posterior_matrix(bundle, {"x1": np.zeros(2)})
    with pytest.raises(InvalidInputError, match="one length"):
        posterior_matrix(bundle, {"x0": np.zeros(2), "x1": np.zeros(3)})
    assert posterior_matrix(bundle, {"x0": np.zeros(0)}).shape == (0, 2)


def test_a_logistic_explanation_names_terms_unknowns_problems_and_flips() -> None:
    bundle = Bundle.from_document(VECTORS["cases"][0]["bundle"])
    payload = {"body": {"links": 30, "html": True}, "caps": "loud", "origin": "outside", "subject": "Hi"}
    text = "\n".join(explain(bundle, payload, datetime.fromisoformat(VECTORS["at"])).lines())
    assert text.startswith("spam with probability 0.9")
    assert "links = 30 (usually 2), counts as 12: 2.5 towards spam" in text
    assert "caps is unknown, taken as 0.1: 0.75 towards spam" in text
    assert "unknown: caps, age" in text
    assert "problem: caps (at caps): must be a number, found 'loud'; treated as unknown" in text


def test_contributions_sum_to_the_log_odds_of_the_choice() -> None:
    bundle = Bundle.from_document(VECTORS["cases"][0]["bundle"])
    at = datetime.fromisoformat(VECTORS["at"])
    for decision in VECTORS["cases"][0]["decisions"]:
        explanation = explain(bundle, decision["payload"], at)
        total = sum(reason.weight for reason in explanation.reasons if reason.weight is not None)
        confidence = explanation.choice.confidence
        assert total == pytest.approx(math.log(confidence / (1 - confidence)), abs=1e-9)


def test_a_tree_explanation_walks_the_path_and_a_rule_explanation_names_the_rule() -> None:
    tree = Bundle.from_document(VECTORS["cases"][2]["bundle"])
    lines = explain(tree, {"body": {"links": 9}}).lines()
    assert "  links = 9: above 3.5" in lines
    assert "  origin is unknown: both ways, 40% as if one of inside, partner" in lines
    rules = Bundle.from_document(VECTORS["cases"][3]["bundle"])
    assert "  rule 1 fired: origin == inside: ham (0.95)" in explain(rules, {"origin": "inside"}).lines()
    assert "  none of 3 rules fired: otherwise: ham (0.65)" in explain(rules, {"caps": 0.5}).lines()


def test_explaining_names_the_value_that_would_flip_the_choice() -> None:
    policy = {"kind": "logistic", "intercept": [-3], "coefficients": {"x0": [0.5], "x1": [1]}}
    document = dict(Bundle.build(spec_with(2), policy, fills={"x0": 0.0, "x1": 0.0}).document)
    document["flip_points"] = [{"feature": "x0", "value": 6.0, "below": "one", "above": "two", "seen": [0, 20]}]
    bundle = Bundle.from_document(document)
    (flip,) = explain(bundle, {"x0": 1, "x1": 1}).flips
    assert flip.value == pytest.approx(4.0)
    assert (flip.below, flip.above) == ("one", "two")


def test_a_rule_that_wants_one_whole_number_flips_beside_it() -> None:
    count = {"name": "links", "kind": "count", "minimum": 0, "maximum": 9}
    spec = AgentSpec.from_mapping({"agent": "a", "labels": ["no", "yes"], "features": [count]})
    rule = {"when": [{"feature": "links", "op": "==", "value": 3}], "label": "yes", "confidence": 0.9}
    policy = {"kind": "rules", "rules": [rule], "default": {"label": "no", "confidence": 0.9}}
    (flip,) = explain(Bundle.build(spec, policy), {"links": 1}).flips
    assert (flip.value, flip.below, flip.above) == (2.5, "no", "yes")
    (flip,) = explain(Bundle.build(spec, policy), {"links": 8}).flips
    assert (flip.value, flip.below, flip.above) == (3.5, "yes", "no")


def test_what_agents_import_loads_no_numpy() -> None:
    code = "import sys, trimtab.core.policy, trimtab.core.assignment; print([m for m in sys.modules if m in "
    code += "('numpy', 'scipy', 'sklearn', 'sqlalchemy')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

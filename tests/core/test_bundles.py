from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.core.strategies import bundles, spec_with

from trimtab.core.agents import AgentSpec
from trimtab.core.bundles import Bundle, diff, round_significant
from trimtab.core.canonical import canonical_json, sha256_of
from trimtab.core.policy import compile_policy
from trimtab.errors import InvalidBundleError

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "policy.json").read_text(encoding="utf-8"))
DOCUMENTS = {case["name"]: case["bundle"] for case in VECTORS["cases"]}


def edited(name: str, *path: Any, value: Any) -> dict[str, Any]:
    """A copy of a good document with one value replaced."""
    document: dict[str, Any] = copy.deepcopy(DOCUMENTS[name])
    place: Any = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return document


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(bundles())
def test_a_bundle_survives_its_json_with_its_name(bundle: Bundle) -> None:
    text = bundle.to_json()
    again = Bundle.from_json(text, expect_sha256=bundle.sha256)
    assert again == bundle
    assert again.to_json() == text
    assert sha256_of(bundle.document) == bundle.sha256
    assert hash(again) == hash(bundle)


def test_the_spelling_of_numbers_and_the_order_of_keys_do_not_change_the_name() -> None:
    document = DOCUMENTS["logistic"]
    reordered = json.loads(json.dumps(document), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    whole = edited("logistic", "policy", "intercept", value=[-2])
    decimal = edited("logistic", "policy", "intercept", value=[-2.0])
    assert Bundle.from_document(reordered) == Bundle.from_document(document)
    assert Bundle.from_document(whole) == Bundle.from_document(decimal)


def test_an_edited_file_is_refused_by_its_hash() -> None:
    bundle = Bundle.from_document(DOCUMENTS["logistic"])
    text = bundle.to_json().replace("-1.5", "-1.4")
    with pytest.raises(InvalidBundleError, match="was edited"):
        Bundle.from_json(text, expect_sha256=bundle.sha256)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "no valid JSON"),
        (b"\xff\xfe", "no valid JSON"),
        (b"[1, 2", "no valid JSON"),
        (b"null", "must be an object"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"schema": NaN}', "must be finite"),
        (b'{"schema": -Infinity}', "must be finite"),
        (b'{"a": 1, "a": 2}', "repeats a key"),
        (b'{"a": ' + b"9" * 5000 + b"}", "no valid JSON"),
        (b'{"a": "' + b"x" * 3_000_000 + b'"}', "at most 2000000"),
        (b"{}", "lacks 'agent', 'escalate_below'"),
    ],
)
def test_a_hostile_text_is_refused(text: bytes, words: str) -> None:
    with pytest.raises(InvalidBundleError, match=words):
        Bundle.from_json(text)


TREE_NODES = DOCUMENTS["tree"]["policy"]["nodes"]
LEAF = {"posterior": [0.5, 0.5]}


@pytest.mark.parametrize(
    ("document", "place"),
    [
        (edited("logistic", "schema", value="trimtab.bundle/2"), "schema"),
        (edited("logistic", "agent", value="../../etc"), "agent"),
        (edited("logistic", "labels", value=["ham", "ham"]), "labels[1]"),
        (edited("logistic", "surprise", value=1), "document"),
        (edited("logistic", "escalate_below", value=2), "escalate_below"),
        (edited("logistic", "features", 0, "fill", value="many"), "features[0].fill"),
        (edited("logistic", "features", 3, "fill", value="pink"), "features[3].fill"),
        (edited("logistic", "features", 0, "fill", value=None), "features[0].fill"),
        (edited("logistic", "policy", "kind", value="python"), "policy.kind"),
        (edited("logistic", "policy", "kind", value=None), "policy.kind"),
        (edited("logistic", "policy", value={}), "policy"),
        (edited("logistic", "policy", "code", value="import os"), "policy"),
        (edited("logistic", "policy", "intercept", value=[1, 2]), "policy.intercept"),
        (edited("logistic", "policy", "intercept", value=[float("inf")]), "policy.intercept[0]"),
        (edited("logistic", "policy", "intercept", value=[1e13]), "policy.intercept[0]"),
        (edited("logistic", "policy", "intercept", value=["1"]), "policy.intercept[0]"),
        (edited("logistic", "policy", "coefficients", "nope", value=[1]), "policy.coefficients.nope"),
        (edited("logistic", "policy", "coefficients", "origin", value=[1]), "policy.coefficients.origin"),
        (edited("logistic", "policy", "coefficients", "origin=mars", value=[1]), "policy.coefficients.origin=mars"),
        (edited("logistic", "policy", "coefficients", "links=1", value=[1]), "policy.coefficients.links=1"),
        (edited("logistic", "policy", "clamps", "links", value=[3, 2]), "policy.clamps.links"),
        (edited("logistic", "policy", "clamps", "origin=inside", value=[3, 4]), "policy.clamps.origin=inside"),
        (edited("tree", "policy", "nodes", value=[]), "policy.nodes"),
        (edited("tree", "policy", "nodes", 0, "left", value=0), "policy.nodes[0].left"),
        (edited("tree", "policy", "nodes", 0, "left", value=2), "policy.nodes[0]"),
        (edited("tree", "policy", "nodes", 2, "left", value=1), "policy.nodes[2].left"),
        (edited("tree", "policy", "nodes", 2, "right", value=9), "policy.nodes[2].right"),
        (edited("tree", "policy", "nodes", 0, "feature", value="origin"), "policy.nodes[0].threshold"),
        (edited("tree", "policy", "nodes", 0, "feature", value="nope"), "policy.nodes[0].feature"),
        (edited("tree", "policy", "nodes", 0, "share_left", value=1.5), "policy.nodes[0].share_left"),
        (edited("tree", "policy", "nodes", 2, "categories", value=["mars"]), "policy.nodes[2].categories[0]"),
        (edited("tree", "policy", "nodes", 1, "posterior", value=[0.9, 0.3]), "policy.nodes[1].posterior"),
        (edited("tree", "policy", "nodes", 1, "posterior", value=[1.0]), "policy.nodes[1].posterior"),
        (edited("tree", "policy", "nodes", value=[*TREE_NODES, LEAF]), "policy.nodes[5]"),
        (edited("rules", "policy", "default", "label", value="virus"), "policy.default.label"),
        (edited("rules", "policy", "default", "confidence", value=0.5), "policy.default.confidence"),
        (edited("rules", "policy", "rules", 0, "when", value=[]), "policy.rules[0].when"),
        (edited("rules", "policy", "rules", 0, "when", 0, "op", value="=~"), "policy.rules[0].when[0].op"),
        (edited("rules", "policy", "rules", 0, "when", 0, "op", value="<"), "policy.rules[0].when[0].op"),
        (edited("rules", "policy", "rules", 1, "when", 0, "op", value="in"), "policy.rules[1].when[0].op"),
        (edited("rules", "policy", "rules", 1, "when", 0, "value", value=[5]), "policy.rules[1].when[0].value"),
        (edited("ensemble", "policy", "members", 0, "weight", value=0.9), "policy"),
        (
            edited("ensemble", "policy", "members", 0, "policy", value=DOCUMENTS["ensemble"]["policy"]),
            "policy.members[0].policy",
        ),
        (edited("logistic", "flip_points", value=[{"feature": "nope", "value": 1}]), "flip_points[0].feature"),
        (edited("logistic", "flip_points", value=[{"feature": "links", "value": "x"}]), "flip_points[0].value"),
        (edited("logistic", "lineage", value={"seed": -1}), "lineage.seed"),
        (edited("logistic", "report", value={"x": float("nan")}), "report.x"),
        (edited("logistic", "report", value={"x": object()}), "report.x"),
        (edited("logistic", "calibration", value=[]), "calibration"),
    ],
)
def test_a_hostile_document_is_refused_at_its_place(document: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidBundleError) as caught:
        Bundle.from_document(document)
    assert str(caught.value).startswith(f"{place}:")
    assert len(str(caught.value)) < 1_000


def test_a_coefficient_without_a_stand_in_for_unknown_values_is_refused() -> None:
    features = [dict(feature) for feature in DOCUMENTS["logistic"]["features"]]
    del features[1]["fill"]
    with pytest.raises(InvalidBundleError, match=r"features\[1\]: 'html' has a coefficient and so needs a 'fill'"):
        Bundle.from_document(edited("logistic", "features", value=features))


def test_a_report_nested_too_deep_is_refused() -> None:
    report: dict[str, Any] = {}
    for _ in range(100):
        report = {"x": report}
    with pytest.raises(InvalidBundleError, match="nested deeper"):
        Bundle.from_document(edited("logistic", "report", value=report))


def test_a_tree_too_deep_is_refused() -> None:
    nodes: list[dict[str, Any]] = []
    for index in range(100):
        split = {"feature": "links", "threshold": 1, "share_left": 0.5}
        nodes += [{**split, "left": 2 * index + 1, "right": 2 * index + 2}, LEAF]
    with pytest.raises(InvalidBundleError, match="deeper than 64"):
        Bundle.from_document(edited("tree", "policy", "nodes", value=[*nodes, LEAF]))


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(sorted(DOCUMENTS)), st.data())
def test_any_single_edit_gives_a_working_bundle_or_a_named_refusal(name: str, data: st.DataObject) -> None:
    document: Any = copy.deepcopy(DOCUMENTS[name])
    place, key = document, None
    while isinstance(place, (dict, list)) and place and (key is None or data.draw(st.booleans())):
        parent, key = place, data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        place = parent[key]
    parent[key] = data.draw(st.none() | st.integers() | st.floats() | st.text(max_size=3) | st.just([]) | st.just({}))
    try:
        bundle = Bundle.from_document(document)
    except InvalidBundleError:
        return
    choice = compile_policy(bundle).decide({"body": {"links": 3}})
    assert choice.label in bundle.labels
    assert sum(choice.posterior) == pytest.approx(1, abs=1e-5)


def test_a_bundle_is_checked_against_its_agents_spec() -> None:
    bundle = Bundle.from_document(DOCUMENTS["tree"])
    features = [feature.to_mapping() for feature in bundle.features]
    good = {"agent": "mail", "labels": ["spam", "ham"], "features": features}
    assert Bundle.from_document(DOCUMENTS["tree"], spec=AgentSpec.from_mapping(good)) == bundle
    for change, words in (
        ({"agent": "other"}, "is for 'mail', not for 'other'"),
        ({"labels": ["ham", "virus"]}, "labels: the bundle has ham, spam"),
        ({"features": features[1:]}, r"features\[0\]: mail has no feature 'links'"),
        ({"features": [{**features[0], "path": "n"}, *features[1:]]}, r"features\[0\]: 'links' is a count at"),
    ):
        with pytest.raises(InvalidBundleError, match=words):
            Bundle.from_document(DOCUMENTS["tree"], spec=AgentSpec.from_mapping({**good, **change}))


def test_a_bundle_cannot_be_changed() -> None:
    bundle = Bundle.from_document(DOCUMENTS["tree"])
    with pytest.raises(dataclasses.FrozenInstanceError):
        bundle.agent = "other"  # type: ignore[misc]


def test_a_diff_says_what_changes_in_words() -> None:
    old = Bundle.from_document(DOCUMENTS["logistic"])
    document = edited("logistic", "policy", "coefficients", "links", value=[0.5])
    document["escalate_below"] = 0.8
    document["policy"]["coefficients"]["html__missing"] = [0.1]
    del document["policy"]["coefficients"]["subject"]
    document["flip_points"] = [{"feature": "links", "value": 6.25, "below": "ham", "above": "spam"}]
    lines = diff(old, Bundle.from_document(document)).lines()
    assert lines[0].endswith("5 changes")
    assert set(lines[1:]) == {
        "~ escalate_below confidence: 0.7 -> 0.8",
        "+ flip point links: 6.25 (ham up to it, spam above)",
        "~ coefficient links: +0.25, counted up to 12 -> +0.5, counted up to 12",
        "- coefficient subject: -0.01",
        "+ coefficient html__missing: +0.1",
    }


def test_a_diff_between_kinds_and_from_nothing_is_readable() -> None:
    tree, rules = Bundle.from_document(DOCUMENTS["tree"]), Bundle.from_document(DOCUMENTS["rules"])
    text = "\n".join(diff(rules, tree).lines())
    assert "rules (3 and a default) -> tree (3 leaves, depth 2, first asks links <= 3.5, uses links, origin)" in text
    assert "- rule 1: origin == inside: ham (0.95)" in text
    assert "- rule default: otherwise: ham (0.65)" in text
    first = diff(None, Bundle.from_document(DOCUMENTS["ensemble"]))
    assert first.lines()[0].startswith("no champion -> ")
    assert "+ coefficient member 1 links: +0.25, counted up to 12" in first.lines()
    assert first.to_mapping()["champion"] is None


def test_a_diff_with_itself_changes_nothing() -> None:
    bundle = Bundle.from_document(DOCUMENTS["softmax"])
    assert diff(bundle, bundle).changes == ()
    assert "nothing changes" in diff(bundle, bundle).lines()[0]


def test_a_hand_written_bundle_is_built_around_a_policy() -> None:
    rules = {"kind": "rules", "rules": [], "default": {"label": "one", "confidence": 0.8}}
    bundle = Bundle.build(spec_with(2), rules)
    assert json.loads(canonical_json(bundle.document))["policy"]["default"] == {"label": "one", "confidence": 0.8}
    assert bundle.lineage.method is None
    assert bundle.fill_of("x0") is None


@given(st.floats(-1e12, 1e12, allow_nan=False))
def test_rounding_hides_noise_and_is_stable(value: float) -> None:
    rounded = round_significant(value)
    assert rounded == pytest.approx(value, rel=1e-9)
    assert round_significant(rounded) == rounded

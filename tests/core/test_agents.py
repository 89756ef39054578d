from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.agents import builtin_specs
from trimtab.core.agents import AgentSpec, FeatureKind, parse_toml, render_toml
from trimtab.core.inference import infer_spec, payload_from_cells
from trimtab.errors import InvalidSpecError

FEATURE = {"name": "score", "kind": "number", "minimum": 0, "maximum": 10}
SPEC: dict[str, Any] = {"agent": "triage", "labels": ["no", "yes"], "features": [FEATURE]}


def test_built_in_specs_have_the_promised_features() -> None:
    specs = builtin_specs()
    counts = {name: len(spec.features) for name, spec in specs.items()}
    assert counts == {"inbox_triage": 7, "insights_writer": 5, "knowledge_update": 4, "mail_triage": 27}
    assert specs["mail_triage"].labels == ("ham", "spam")


def test_mail_triage_leaves_out_what_only_betrays_the_mailing_list() -> None:
    names = {feature.name for feature in builtin_specs()["mail_triage"].features}
    assert names.isdisjoint({"has_list_header", "precedence_bulk", "n_headers", "n_received"})


def test_a_spec_survives_mapping_and_toml() -> None:
    for spec in builtin_specs().values():
        assert AgentSpec.from_mapping(spec.to_mapping()) == spec
        again = parse_toml(render_toml(spec))
        assert again == spec
        assert again.sha256 == spec.sha256


def test_a_spec_with_all_its_parts_survives_mapping_and_toml() -> None:
    spec = AgentSpec.from_mapping(
        {
            **SPEC,
            "description": 'quotes " and \\ and é',
            "features": [FEATURE, {"name": "c", "kind": "category", "categories": ["a b", 'x"y'], "missing": "a b"}],
            "budgets": {"latency_ms": 10},
            "guard": {"min_labels": 20},
            "notes": ["one", "two"],
        }
    )
    assert parse_toml(render_toml(spec)) == spec
    assert AgentSpec.from_mapping(spec.to_mapping()).sha256 == spec.sha256


def test_whole_and_decimal_numbers_spell_the_same_spec() -> None:
    other = {**SPEC, "features": [{**FEATURE, "minimum": 0.0, "maximum": 10.0, "path": "score"}]}
    assert AgentSpec.from_mapping(SPEC).sha256 == AgentSpec.from_mapping(other).sha256


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"agent": "Not A Slug"}, "agent"),
        ({"agent": "x\n"}, "agent"),
        ({"labels": ["only"]}, "labels"),
        ({"labels": ["a", "a"]}, "labels[1]"),
        ({"labels": ["a", " b"]}, "labels[1]"),
        ({"labels": "ab"}, "labels"),
        ({"features": []}, "features"),
        ({"features": [FEATURE, FEATURE]}, "features[1]"),
        ({"features": [{"name": "x", "kind": "colour"}]}, "features[0].kind"),
        ({"features": [{"name": "x", "kind": ["number"]}]}, "features[0].kind"),
        ({"features": [{"name": "1x", "kind": "number"}]}, "features[0].name"),
        ({"features": [{"name": "x__missing", "kind": "number"}]}, "features[0].name"),
        ({"features": [{"name": "x", "kind": "number", "path": "a..b"}]}, "features[0].path"),
        ({"features": [{"name": "x", "kind": "category"}]}, "features[0]"),
        ({"features": [{"name": "x", "kind": "category", "categories": ["a"], "missing": "b"}]}, "features[0].missing"),
        ({"features": [{**FEATURE, "maximum": -1}]}, "features[0].maximum"),
        ({"features": [{**FEATURE, "missing": 11}]}, "features[0].missing"),
        ({"features": [{**FEATURE, "minimum": float("nan")}]}, "features[0].minimum"),
        ({"features": [{**FEATURE, "maximum": 10**400}]}, "features[0].maximum"),
        ({"features": [{**FEATURE, "maximum": True}]}, "features[0].maximum"),
        ({"features": [{**FEATURE, "weight": 1}]}, "features[0]"),
        ({"escalate_below": 1.5}, "escalate_below"),
        ({"budgets": {"latency ms": 1}}, "budgets.latency ms"),
        ({"guard": {"no such plan": 1}}, "guard"),
        ({"guard": []}, "guard"),
        ({"extra": 1}, "document"),
        ({"notes": [1]}, "notes[0]"),
    ],
)
def test_a_wrong_spec_is_refused_at_its_place(change: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidSpecError) as caught:
        AgentSpec.from_mapping({**SPEC, **change})
    assert str(caught.value).startswith(f"{place}:")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60)
@given(
    st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("agent", "labels", "features", "escalate_below", "budgets", "notes"), json_values)
    )
    | json_values
)
def test_any_document_is_read_or_refused_by_name(document: object) -> None:
    try:
        spec = AgentSpec.from_mapping(document)
    except InvalidSpecError:
        return
    assert AgentSpec.from_mapping(spec.to_mapping()) == spec


def test_broken_toml_is_refused_with_its_line() -> None:
    with pytest.raises(InvalidSpecError, match=r"no valid TOML: .* line 2"):
        parse_toml("agent = 'a'\nlabels = [,]\nx = 1")


def test_an_unknown_label_is_named_with_the_known_ones() -> None:
    with pytest.raises(InvalidSpecError, match="no label 'maybe'; its labels are no, yes"):
        AgentSpec.from_mapping(SPEC).label_index("maybe")


def test_inference_finds_kinds_paths_ranges_and_categories() -> None:
    samples = [
        {
            "id": 1000 + i,
            "mail": {"links": i % 7, "html": i % 2 == 0, "caps": (i % 10) / 10},
            "origin": ("inside", "outside")[i % 2],
            "body": f"text number {i} of several words",
            "sent_at": f"2026-01-01T00:00:{i % 60:02d}Z",
            "delta": i - 20.5,
            "attachments": ["a"] * (i % 3),
            "fixed": "same",
            "label": ("ham", "spam")[i % 3 == 0],
            **({"age": i} if i % 4 else {}),
        }
        for i in range(40)
    ]
    spec = infer_spec("mail", samples, label_field="label")
    kinds = {feature.path: feature.kind for feature in spec.features}
    assert kinds == {
        "mail.links": FeatureKind.COUNT,
        "mail.html": FeatureKind.FLAG,
        "mail.caps": FeatureKind.NUMBER,
        "origin": FeatureKind.CATEGORY,
        "body": FeatureKind.TEXT_LENGTH,
        "sent_at": FeatureKind.ELAPSED,
        "delta": FeatureKind.NUMBER,
        "attachments": FeatureKind.COUNT,
        "age": FeatureKind.COUNT,
    }
    by_path = {feature.path: feature for feature in spec.features}
    assert by_path["origin"].categories == ("inside", "outside")
    assert (by_path["mail.caps"].minimum, by_path["mail.caps"].maximum) == (0.0, 1.0)
    assert spec.labels == ("ham", "spam")
    notes = "\n".join(spec.notes)
    assert "id: left out, looks like an identifier" in notes
    assert "fixed: left out, always 'same'" in notes
    assert "age: missing in 10 of 40 samples" in notes


@pytest.mark.parametrize(
    ("samples", "label_field", "message"),
    [
        ([], "label", "no sample"),
        ([{"x": 1}, {"x": 2}], None, "labels are unknown"),
        ([{"x": 1}, {"x": 2}], "label", "no sample has the label field 'label'"),
        ([{"x": 1, "label": "a"}, {"x": 2, "label": "a"}], "label", "1 different labels"),
        ([{"x": 1, "label": "a"}, {"x": 1, "label": "b"}], "label", "no field of the samples can be a feature"),
        ([3], "label", "sample 1: must be an object"),
    ],
)
def test_inference_refuses_with_the_reason(samples: list[Any], label_field: str | None, message: str) -> None:
    with pytest.raises(InvalidSpecError, match=message):
        infer_spec("a", samples, label_field=label_field)


@settings(max_examples=60)
@given(st.lists(st.dictionaries(st.text(max_size=10), json_values, max_size=4), max_size=6))
def test_inference_proposes_a_valid_spec_or_refuses_for_any_samples(samples: list[dict[str, Any]]) -> None:
    try:
        spec = infer_spec("a", samples, labels=("no", "yes"))
    except InvalidSpecError:
        return
    assert AgentSpec.from_mapping(spec.to_mapping()) == spec


CELLS = {"3": 3, "-2.50": -2.5, ".5": 0.5, "1e3": 1000.0, "TRUE": True, "x": "x", "+": "+"}
CELLS |= {text: text for text in ("007", "nan", "1_000", "1e999", "00.5", "0x1f", "1.2.3")}


@pytest.mark.parametrize(("text", "value"), CELLS.items())
def test_a_cell_is_read_as_what_it_says(text: str, value: object) -> None:
    assert payload_from_cells({"a.b": text, "empty": " ", "none": None}) == {"a": {"b": value}}


def test_cells_that_contradict_each_other_keep_the_first() -> None:
    assert payload_from_cells({"a": "1", "a.b": "2"}) == {"a": 1}
    assert payload_from_cells({"a.b": "2", "a": "1"}) == {"a": {"b": 2}}

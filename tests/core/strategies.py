"""Random specs, bundles and feature vectors for properties."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from trimtab.core.agents import AgentSpec
from trimtab.core.bundles import Bundle

CATEGORIES = ("red", "green", "blue")
NUMBERS = [f"x{i}" for i in range(4)]
LABELS = ("one", "two", "three", "four")


def spec_with(labels: int) -> AgentSpec:
    """Four numbers and a category."""
    features: list[dict[str, Any]] = [{"name": name, "kind": "number"} for name in NUMBERS]
    features.append({"name": "color", "kind": "category", "categories": list(CATEGORIES)})
    return AgentSpec.from_mapping(
        {"agent": "random", "labels": list(LABELS[:labels]), "features": features, "escalate_below": 0.6}
    )


small = st.floats(-20, 20, allow_nan=False).map(lambda x: round(x, 3))
values = st.tuples(*[st.none() | small | st.just(1e15) for _ in NUMBERS], st.none() | st.sampled_from(CATEGORIES))


@st.composite
def posteriors(draw: st.DrawFn, labels: int) -> list[float]:
    masses = draw(st.lists(st.integers(1, 50), min_size=labels, max_size=labels))
    return [mass / sum(masses) for mass in masses]


@st.composite
def logistics(draw: st.DrawFn, labels: int) -> dict[str, Any]:
    rows = 1 if labels == 2 else labels
    row = st.lists(small, min_size=rows, max_size=rows)
    terms = [*NUMBERS, *(f"color={c}" for c in CATEGORIES), *(f"{n}__missing" for n in (*NUMBERS, "color"))]
    coefficients = draw(st.dictionaries(st.sampled_from(terms), row))
    policy: dict[str, Any] = {"kind": "logistic", "intercept": draw(row), "coefficients": coefficients}
    clampable = [name for name in NUMBERS if name in coefficients]
    if clampable:
        limits = st.tuples(st.none() | st.floats(-10, 0), st.none() | st.floats(0.5, 10)).map(list)
        policy["clamps"] = draw(st.dictionaries(st.sampled_from(clampable), limits))
    return policy


@st.composite
def trees(draw: st.DrawFn, labels: int) -> dict[str, Any]:
    nodes: list[dict[str, Any]] = []

    def grow(depth: int) -> int:
        index = len(nodes)
        nodes.append({})
        if depth == 0 or draw(st.booleans()):
            nodes[index] = {"posterior": draw(posteriors(labels)), "n": 1.0}
            return index
        if draw(st.booleans()):
            test: dict[str, Any] = {"feature": draw(st.sampled_from(NUMBERS)), "threshold": draw(small)}
        else:
            names = draw(st.lists(st.sampled_from(CATEGORIES), min_size=1, max_size=2, unique=True))
            test = {"feature": "color", "categories": names}
        left, right = grow(depth - 1), grow(depth - 1)
        nodes[index] = {**test, "left": left, "right": right, "share_left": draw(st.floats(0, 1))}
        return index

    grow(3)
    return {"kind": "tree", "nodes": nodes}


@st.composite
def rule_lists(draw: st.DrawFn, labels: int) -> dict[str, Any]:
    numeric = st.fixed_dictionaries(
        {
            "feature": st.sampled_from(NUMBERS),
            "op": st.sampled_from(["<=", "<", ">=", ">", "==", "!="]),
            "value": st.integers(-3, 3),
        }
    )
    category = st.fixed_dictionaries(
        {"feature": st.just("color"), "op": st.sampled_from(["==", "!="]), "value": st.sampled_from(CATEGORIES)}
    )
    one_of = st.fixed_dictionaries(
        {"feature": st.just("color"), "op": st.just("in"), "value": st.just(["red", "blue"])}
    )
    missing = st.fixed_dictionaries(
        {"feature": st.sampled_from([*NUMBERS, "color"]), "op": st.just("missing"), "value": st.booleans()}
    )
    verdict = {"label": st.sampled_from(LABELS[:labels]), "confidence": st.floats(1 / labels + 0.01, 1)}
    when = st.lists(st.one_of(numeric, category, one_of, missing), min_size=1, max_size=3)
    rules = draw(st.lists(st.fixed_dictionaries({"when": when, **verdict}), max_size=4))
    return {"kind": "rules", "rules": rules, "default": draw(st.fixed_dictionaries(verdict))}


@st.composite
def bundles(draw: st.DrawFn) -> Bundle:
    """A valid bundle of any kind, for two to four labels."""
    labels = draw(st.integers(2, 4))
    single = st.one_of(logistics(labels), trees(labels), rule_lists(labels))
    policy = draw(single)
    if draw(st.booleans()):
        policy = {
            "kind": "ensemble",
            "members": [{"weight": 0.25, "policy": policy}, {"weight": 0.75, "policy": draw(single)}],
        }
    fills = {name: draw(small) for name in NUMBERS} | {"color": draw(st.sampled_from(CATEGORIES))}
    return Bundle.build(spec_with(labels), policy, fills=fills)


@st.composite
def numeric_logistics(draw: st.DrawFn) -> Bundle:
    """A logistic bundle without categories, as most are: the path that agents run most."""
    labels = draw(st.integers(2, 3))
    row = st.lists(small, min_size=1 if labels == 2 else labels, max_size=1 if labels == 2 else labels)
    coefficients = draw(st.dictionaries(st.sampled_from(NUMBERS), row, min_size=1))
    limits = st.tuples(st.none() | st.floats(-10, 0), st.none() | st.floats(0.5, 10)).map(list)
    policy = {
        "kind": "logistic",
        "intercept": draw(row),
        "coefficients": coefficients,
        "clamps": draw(st.dictionaries(st.sampled_from(sorted(coefficients)), limits)),
    }
    features = [{"name": name, "kind": "number"} for name in NUMBERS]
    spec = AgentSpec.from_mapping({"agent": "random", "labels": list(LABELS[:labels]), "features": features})
    return Bundle.build(spec, policy, fills={name: draw(small) for name in NUMBERS})

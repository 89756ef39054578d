"""Policies from untrusted documents: every number finite, every name known, every tree a tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from trimtab.core.agents import MAX_CATEGORIES, MAX_FEATURES, MAX_MAGNITUDE, MISSING_SUFFIX, Feature
from trimtab.core.bundles.policies import (
    Condition,
    EnsemblePolicy,
    LogisticPolicy,
    Member,
    Operator,
    PolicyDocument,
    PolicyKind,
    Rule,
    RulesPolicy,
    SinglePolicy,
    TreeLeaf,
    TreeNode,
    TreePolicy,
    TreeSplit,
)
from trimtab.core.documents import Place

# With values within 1e15, coefficients within 1e12 keep every sum of products finite.
MAX_COEFFICIENT = 1e12
MAX_NODES = 10_000
MAX_TREE_DEPTH = 64
MAX_RULES = 1_000
MAX_CONDITIONS = 50
MAX_MEMBERS = 20
_SUM_TOLERANCE = 1e-6

Features = Mapping[str, Feature]
_NUMERIC_ONLY = {Operator.AT_MOST, Operator.BELOW, Operator.AT_LEAST, Operator.ABOVE}


def read_policy(place: Place, labels: Sequence[str], features: Features) -> PolicyDocument:
    """The policy that an untrusted document describes; refuses with the error and place of `place`."""
    kind = _kind(place)
    if kind is PolicyKind.ENSEMBLE:
        return _read_ensemble(place, labels, features)
    return _read_single(place, kind, labels, features)


def _kind(place: Place) -> PolicyKind:
    members = place.members()
    if "kind" not in members:
        place.fail("lacks 'kind'")
    return members["kind"].one_of(PolicyKind)


def _read_single(place: Place, kind: PolicyKind, labels: Sequence[str], features: Features) -> SinglePolicy:
    if kind is PolicyKind.LOGISTIC:
        return _read_logistic(place, labels, features)
    if kind is PolicyKind.TREE:
        return _read_tree(place, labels, features)
    return _read_rules(place, labels, features)


def _read_ensemble(place: Place, labels: Sequence[str], features: Features) -> EnsemblePolicy:
    members: list[Member] = []
    for item in place.mapping(("kind", "members"))["members"].items(least=1, most=MAX_MEMBERS):
        fields = item.mapping(("weight", "policy"))
        kind = _kind(fields["policy"])
        if kind is PolicyKind.ENSEMBLE:
            fields["policy"].fail("an ensemble may not hold another ensemble")
        weight = fields["weight"].number(least=0, most=1)
        members.append(Member(weight=weight, policy=_read_single(fields["policy"], kind, labels, features)))
    total = sum(member.weight for member in members)
    if abs(total - 1) > _SUM_TOLERANCE:
        place.fail(f"the members' weights must sum to 1, they sum to {total:.9g}")
    return EnsemblePolicy(members=tuple(members))


def _read_logistic(place: Place, labels: Sequence[str], features: Features) -> LogisticPolicy:
    fields = place.mapping(("kind", "intercept", "coefficients"), ("clamps",))
    rows = 1 if len(labels) == 2 else len(labels)
    intercept = _row(fields["intercept"], rows)
    coefficients: dict[str, tuple[float, ...]] = {}
    # Sorted, so that equal documents give equal policies whatever order their keys came in.
    for name, item in sorted(fields["coefficients"].members(MAX_FEATURES * MAX_CATEGORIES).items()):
        _check_term(item, name, features)
        coefficients[name] = _row(item, rows)
    clamps: dict[str, tuple[float | None, float | None]] = {}
    for name, item in sorted(fields["clamps"].members(MAX_FEATURES).items()) if "clamps" in fields else ():
        if name not in coefficients or "=" in name or name.endswith(MISSING_SUFFIX):
            item.fail("only a number that has a coefficient can be clamped")
        low, high = (
            None if limit.value is None else limit.number(least=-MAX_MAGNITUDE, most=MAX_MAGNITUDE)
            for limit in item.items(least=2, most=2)
        )
        if low is not None and high is not None and low >= high:
            item.wrong("a lower limit below the upper one")
        clamps[name] = (low, high)
    return LogisticPolicy(intercept=intercept, coefficients=coefficients, clamps=clamps)


def _row(place: Place, rows: int) -> tuple[float, ...]:
    return tuple(
        item.number(least=-MAX_COEFFICIENT, most=MAX_COEFFICIENT) for item in place.items(least=rows, most=rows)
    )


def _check_term(place: Place, name: str, features: Features) -> None:
    head, equals, category = name.partition("=")
    if equals:
        feature = _known(place, head, features)
        if feature.is_numeric or category not in feature.categories:
            place.fail(f"{head!r} has no category {category[:100]!r}")
        return
    if name.endswith(MISSING_SUFFIX):
        _known(place, name.removesuffix(MISSING_SUFFIX), features)
        return
    if not _known(place, name, features).is_numeric:
        place.fail(f"a category needs one coefficient per category, named '{name}=…'")


def _known(place: Place, name: str, features: Features) -> Feature:
    if name not in features:
        place.fail(f"names the feature {name[:64]!r}, which the bundle does not declare")
    return features[name]


def _posterior(place: Place, labels: Sequence[str]) -> tuple[float, ...]:
    posterior = tuple(item.number(least=0, most=1) for item in place.items(least=len(labels), most=len(labels)))
    total = sum(posterior)
    if abs(total - 1) > _SUM_TOLERANCE:
        place.fail(f"must sum to 1, sums to {total:.9g}")
    return posterior


def _read_tree(place: Place, labels: Sequence[str], features: Features) -> TreePolicy:
    items = list(place.mapping(("kind", "nodes"))["nodes"].items(least=1, most=MAX_NODES))
    nodes: list[TreeNode] = []
    depth = [-1] * len(items)
    depth[0] = 0
    for index, item in enumerate(items):
        if depth[index] < 0:
            item.fail("no earlier node leads here")
        node = _read_node(item, index, len(items), labels, features)
        nodes.append(node)
        if isinstance(node, TreeSplit):
            for side, child in (("left", node.left), ("right", node.right)):
                if depth[child] >= 0:
                    item.fail(f"{side}: node {child} already has a parent")
                depth[child] = depth[index] + 1
                if depth[child] > MAX_TREE_DEPTH:
                    item.fail(f"the tree is deeper than {MAX_TREE_DEPTH}")
    return TreePolicy(nodes=tuple(nodes))


def _read_node(place: Place, index: int, count: int, labels: Sequence[str], features: Features) -> TreeNode:
    members = place.members()
    if "posterior" in members:
        fields = place.mapping(("posterior",), ("n",))
        n = fields["n"].number(least=0, most=MAX_MAGNITUDE) if "n" in fields else None
        return TreeLeaf(posterior=_posterior(fields["posterior"], labels), n=n)
    test = "categories" if "categories" in members else "threshold"
    fields = place.mapping(("feature", test, "left", "right", "share_left"))
    feature = _known(fields["feature"], fields["feature"].text(most=63), features)
    if feature.is_numeric != (test == "threshold"):
        fields[test].fail(f"{feature.name!r} is a {feature.kind.value}: wants the other kind of test")
    threshold: float | None = None
    categories: tuple[str, ...] = ()
    if test == "threshold":
        threshold = fields["threshold"].number(least=-MAX_MAGNITUDE, most=MAX_MAGNITUDE)
    else:
        categories = _categories(fields["categories"], feature)
    # Children after their parent: a document cannot describe a cycle.
    return TreeSplit(
        feature=feature.name,
        threshold=threshold,
        categories=categories,
        left=fields["left"].integer(least=index + 1, most=count - 1),
        right=fields["right"].integer(least=index + 1, most=count - 1),
        share_left=fields["share_left"].number(least=0, most=1),
    )


def _categories(place: Place, feature: Feature) -> tuple[str, ...]:
    categories: list[str] = []
    for item in place.items(least=1, most=MAX_CATEGORIES):
        category = item.text(most=100)
        if category not in feature.categories:
            item.fail(f"{feature.name!r} has no category {category!r}")
        if category in categories:
            item.fail(f"repeats {category!r}")
        categories.append(category)
    return tuple(categories)


def _read_rules(place: Place, labels: Sequence[str], features: Features) -> RulesPolicy:
    fields = place.mapping(("kind", "rules", "default"))
    rules: list[Rule] = []
    for item in fields["rules"].items(most=MAX_RULES):
        parts = item.mapping(("when", "label", "confidence"))
        conditions = [_read_condition(part, features) for part in parts["when"].items(least=1, most=MAX_CONDITIONS)]
        rules.append(_read_rule(parts, tuple(conditions), labels))
    default = _read_rule(fields["default"].mapping(("label", "confidence")), (), labels)
    return RulesPolicy(rules=tuple(rules), default=default)


def _read_rule(parts: Mapping[str, Place], when: tuple[Condition, ...], labels: Sequence[str]) -> Rule:
    label = parts["label"].text(most=64)
    if label not in labels:
        parts["label"].wrong("one of the labels " + ", ".join(labels))
    confidence = parts["confidence"].number(least=0, most=1)
    if confidence * len(labels) <= 1 + 1e-9:
        parts["confidence"].wrong(f"above 1/{len(labels)}, or the rule would not choose its own label")
    return Rule(when=when, label=label, confidence=confidence)


def _read_condition(place: Place, features: Features) -> Condition:
    fields = place.mapping(("feature", "op", "value"))
    feature = _known(fields["feature"], fields["feature"].text(most=63), features)
    op, value = fields["op"].one_of(Operator), fields["value"]
    if op is Operator.MISSING:
        if not isinstance(value.value, bool):
            value.wrong("true or false")
        return Condition(feature=feature.name, op=op, value=value.value)
    if feature.is_numeric:
        if op is Operator.IN:
            fields["op"].fail(f"'in' is for categories, {feature.name!r} is a {feature.kind.value}")
        # Flags are 1.0 and 0.0; a rule may say true or false.
        number = (
            float(value.value)
            if isinstance(value.value, bool)
            else value.number(least=-MAX_MAGNITUDE, most=MAX_MAGNITUDE)
        )
        return Condition(feature=feature.name, op=op, value=number)
    if op in _NUMERIC_ONLY:
        fields["op"].fail(f"{feature.name!r} is a category and has no order; use ==, != or in")
    if op is Operator.IN:
        return Condition(feature=feature.name, op=op, value=_categories(value, feature))
    category = value.text(most=100)
    if category not in feature.categories:
        value.fail(f"{feature.name!r} has no category {category!r}")
    return Condition(feature=feature.name, op=op, value=category)

"""Why a bundle chose what it chose: the terms of the sum, the path through the tree, or the rule that fired."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trimtab.core.agents import MISSING_SUFFIX, Feature
from trimtab.core.bundles import (
    Bundle,
    EnsemblePolicy,
    LogisticPolicy,
    PolicyDocument,
    PolicyKind,
    RulesPolicy,
    TreePolicy,
    TreeSplit,
    format_value,
    used_features,
)
from trimtab.core.features import FeatureProblem, Value
from trimtab.core.policy.compiled import Choice, answer, compile_condition, compile_policy, compile_posterior
from trimtab.core.policy.flips import FlipPoint, flip_point


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One step of the explanation.

    `weight` is a logistic policy's contribution in log-odds towards the chosen label and against the runner-up,
    compared with the feature's usual value; None for a tree's questions and for rules.
    """

    feature: str | None
    value: Value
    weight: float | None
    text: str

    def to_mapping(self) -> dict[str, Any]:
        return {"feature": self.feature, "value": self.value, "weight": self.weight, "text": self.text}


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A choice with its reasons, what was unknown, what was wrong with the payload, and what would flip it."""

    choice: Choice
    kind: PolicyKind
    escalate_below: float
    reasons: tuple[Reason, ...]
    unknown: tuple[str, ...]
    problems: tuple[FeatureProblem, ...]
    flips: tuple[FlipPoint, ...]

    def lines(self) -> list[str]:
        """The explanation for people."""
        lines = [f"{self.choice.label} with probability {self.choice.confidence:.3f} ({self.kind.value})"]
        if self.choice.escalate:
            lines.append(f"below {self.escalate_below:g}: a person should look")
        lines += [f"  {reason.text}" for reason in self.reasons]
        if self.unknown:
            lines.append(f"unknown: {', '.join(self.unknown)}")
        lines += [f"problem: {problem}" for problem in self.problems]
        lines += [
            f"would change at {flip.feature} = {format_value(flip.value)}: {flip.below} up to it, {flip.above} above"
            for flip in self.flips
        ]
        return lines

    def to_mapping(self) -> dict[str, Any]:
        return {
            "label": self.choice.label,
            "confidence": self.choice.confidence,
            "posterior": list(self.choice.posterior),
            "escalate": self.choice.escalate,
            "kind": self.kind.value,
            "reasons": [reason.to_mapping() for reason in self.reasons],
            "unknown": list(self.unknown),
            "problems": [str(problem) for problem in self.problems],
            "flips": [flip.to_mapping() for flip in self.flips],
        }


def explain(bundle: Bundle, payload: object, at: datetime | None = None) -> Explanation:
    """Why `bundle` chooses what it chooses for `payload` at the (aware) time `at`."""
    policy = compile_policy(bundle)
    vector = policy.extract(payload, at)
    choice = policy.choose(vector.values)
    used = used_features(bundle.policy)
    return Explanation(
        choice=choice,
        kind=bundle.policy.kind,
        escalate_below=bundle.escalate_below,
        reasons=tuple(_reasons(bundle, bundle.policy, vector.values, choice)),
        unknown=tuple(
            feature.name
            for feature, value in zip(bundle.features, vector.values, strict=True)
            if value is None and feature.name in used
        ),
        problems=vector.problems,
        flips=_flips(bundle, vector.values, used),
    )


def _reasons(bundle: Bundle, policy: PolicyDocument, values: Sequence[Value], choice: Choice) -> list[Reason]:
    if isinstance(policy, LogisticPolicy):
        return _logistic_reasons(bundle, policy, values, choice)
    if isinstance(policy, TreePolicy):
        return _tree_reasons(policy, bundle.features, values)
    if isinstance(policy, RulesPolicy):
        return _rule_reasons(policy, bundle.features, values)
    return _ensemble_reasons(bundle, policy, values, choice)


def _logistic_reasons(bundle: Bundle, policy: LogisticPolicy, values: Sequence[Value], choice: Choice) -> list[Reason]:
    ranked = sorted(range(len(bundle.labels)), key=lambda label: -choice.posterior[label])
    chosen = bundle.labels.index(choice.label)
    rival = next(label for label in ranked if label != chosen)

    def against(row: tuple[float, ...]) -> float:
        """The part of a term that speaks for the chosen label and against its rival."""
        if len(row) == 1:
            return row[0] if chosen == 1 else -row[0]
        return row[chosen] - row[rival]

    zero = (0.0,) * len(policy.intercept)

    def term(feature: Feature, value: Value) -> float:
        if value is None:
            return 0.0
        if isinstance(value, str):
            return against(policy.coefficients.get(f"{feature.name}={value}", zero))
        return against(policy.coefficients.get(feature.name, zero)) * policy.clamped(feature.name, value)

    start = against(policy.intercept)
    reasons = []
    for feature, value, fill in zip(bundle.features, values, bundle.fills, strict=True):
        usual = term(feature, fill)
        start += usual
        if value is None:
            weight = against(policy.coefficients.get(feature.name + MISSING_SUFFIX, zero))
            text = f"{feature.name} is unknown, taken as {format_value(fill)}"
        else:
            weight = term(feature, value) - usual
            text = f"{feature.name} = {format_value(value)} (usually {format_value(fill)})"
            if isinstance(value, (int, float)) and policy.clamped(feature.name, value) != value:
                text += f", counts as {format_value(policy.clamped(feature.name, value))}"
        if weight:
            side = bundle.labels[chosen if weight > 0 else rival]
            text += f": {abs(weight):.3g} towards {side}"
            reasons.append(Reason(feature=feature.name, value=value, weight=weight, text=text))
    reasons.sort(key=lambda reason: -abs(reason.weight or 0.0))
    side = bundle.labels[chosen if start >= 0 else rival]
    text = f"with every feature at its usual value: {abs(start):.3g} towards {side} (log-odds)"
    return [Reason(feature=None, value=None, weight=start, text=text), *reasons]


def _tree_reasons(policy: TreePolicy, features: Sequence[Feature], values: Sequence[Value]) -> list[Reason]:
    known = {feature.name: value for feature, value in zip(features, values, strict=True)}
    reasons: list[Reason] = []

    def walk(index: int, share: float, indent: str) -> None:
        node = policy.nodes[index]
        if not isinstance(node, TreeSplit):
            n = "" if node.n is None else f", from {node.n:,.0f} examples"
            weight = "" if share == 1.0 else f" (weight {share:.2f})"
            reasons.append(Reason(feature=None, value=None, weight=None, text=f"{indent}leaf {index}{n}{weight}"))
            return
        value = known[node.feature]
        yes, no = f"at most {format_value(node.threshold)}", f"above {format_value(node.threshold)}"
        if node.threshold is None:
            names = ", ".join(node.categories)
            yes, no = f"one of {names}", f"none of {names}"
        goes_left = answer(value, node.threshold, frozenset(node.categories))
        if goes_left is None:
            text = f"{indent}{node.feature} is unknown: both ways, {node.share_left:.0%} as if {yes}"
            reasons.append(Reason(feature=node.feature, value=None, weight=None, text=text))
            walk(node.left, share * node.share_left, indent + "  ")
            walk(node.right, share * (1 - node.share_left), indent + "  ")
            return
        text = f"{indent}{node.feature} = {format_value(value)}: {yes if goes_left else no}"
        reasons.append(Reason(feature=node.feature, value=value, weight=None, text=text))
        walk(node.left if goes_left else node.right, share, indent)

    walk(0, 1.0, "")
    return reasons


def _rule_reasons(policy: RulesPolicy, features: Sequence[Feature], values: Sequence[Value]) -> list[Reason]:
    known = {feature.name: value for feature, value in zip(features, values, strict=True)}
    for number, rule in enumerate(policy.rules, start=1):
        if all(compile_condition(condition)(known[condition.feature]) for condition in rule.when):
            reasons = [Reason(feature=None, value=None, weight=None, text=f"rule {number} fired: {rule}")]
            for condition in rule.when:
                value = known[condition.feature]
                text = f"{condition.feature} = {format_value(value)}"
                reasons.append(Reason(feature=condition.feature, value=value, weight=None, text=text))
            return reasons
    text = f"none of {len(policy.rules)} rules fired: {policy.default}"
    return [Reason(feature=None, value=None, weight=None, text=text)]


def _ensemble_reasons(bundle: Bundle, policy: EnsemblePolicy, values: Sequence[Value], choice: Choice) -> list[Reason]:
    reasons: list[Reason] = []
    for number, member in enumerate(policy.members, start=1):
        posterior = compile_posterior(member.policy, bundle.labels, bundle.features, bundle.fills)(values)
        probability = posterior[bundle.labels.index(choice.label)]
        head = f"member {number} ({member.policy.kind.value}, weight {member.weight:.3g})"
        text = f"{head}: {choice.label} {probability:.3f}"
        reasons.append(Reason(feature=None, value=None, weight=None, text=text))
        reasons += _reasons(bundle, member.policy, values, choice)
    return reasons


def _flips(bundle: Bundle, values: Sequence[Value], used: set[str]) -> tuple[FlipPoint, ...]:
    """Per numeric feature that counts, the value that would change the choice, the others staying as they are."""
    evaluate = compile_posterior(bundle.policy, bundle.labels, bundle.features, bundle.fills)
    seen = {str(point["feature"]): point.get("seen") for point in bundle.flip_points}
    flips = []
    for index, feature in enumerate(bundle.features):
        if feature.name not in used or not feature.is_numeric:
            continue
        searched = _range(seen.get(feature.name), feature, values[index])
        if searched is not None:
            flip = flip_point(evaluate, bundle.policy, bundle.labels, bundle.features, values, index, searched)
            if flip.value is not None:
                flips.append(flip)
    return tuple(flips)


def _range(seen: object, feature: Feature, value: Value) -> tuple[float, float] | None:
    """Where to search: the values seen in training, else the declared range; the present value belongs to it."""
    match seen:
        case [int() | float() as low, int() | float() as high]:
            pass
        case _ if feature.minimum is not None and feature.maximum is not None:
            low, high = feature.minimum, feature.maximum
        case _:
            return None
    if isinstance(value, (int, float)):
        low, high = min(low, value), max(high, value)
    return float(low), float(high)

"""What a challenger would change, in words: the page that an approver reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trimtab.core.bundles.bundle import Bundle
from trimtab.core.bundles.policies import (
    EnsemblePolicy,
    LogisticPolicy,
    PolicyDocument,
    RulesPolicy,
    TreeLeaf,
    TreePolicy,
    TreeSplit,
    format_value,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that differs. `before` or `after` is None where the thing does not exist."""

    what: str  # label | feature | coefficient | flip point | escalate_below | policy | tree | rule
    name: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        if self.before is None:
            return f"+ {self.what} {self.name}: {self.after}"
        if self.after is None:
            return f"- {self.what} {self.name}: {self.before}"
        return f"~ {self.what} {self.name}: {self.before} -> {self.after}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleDiff:
    """All changes from the champion to the challenger, the weightiest kinds first."""

    champion: str | None
    challenger: str
    changes: tuple[Change, ...]

    def lines(self) -> list[str]:
        """The diff for people, a line per change."""
        before = "no champion" if self.champion is None else self.champion[:12]
        if self.champion == self.challenger:
            return [f"{before}: the same bundle, nothing changes"]
        head = f"{before} -> {self.challenger[:12]}: {len(self.changes)} changes"
        return [head, *(str(change) for change in self.changes)]

    def to_mapping(self) -> dict[str, Any]:
        return {
            "champion": self.champion,
            "challenger": self.challenger,
            "changes": [
                {"what": change.what, "name": change.name, "before": change.before, "after": change.after}
                for change in self.changes
            ],
        }


def diff(champion: Bundle | None, challenger: Bundle) -> BundleDiff:
    """What changes when `challenger` takes over from `champion` (None: there is none yet)."""
    changes: list[Change] = []
    if champion is not None and champion.agent != challenger.agent:
        changes.append(Change(what="agent", name="name", before=champion.agent, after=challenger.agent))
    changes += _changes("label", _labels(champion), _labels(challenger))
    changes += _changes("policy", _summary(champion), _summary(challenger))
    changes += _changes("escalate_below", _escalation(champion), _escalation(challenger))
    changes += _changes("feature", _features(champion), _features(challenger))
    changes += _changes("flip point", _flip_points(champion), _flip_points(challenger))
    changes += _changes("coefficient", _coefficients(champion), _coefficients(challenger))
    changes += _changes("rule", _rules(champion), _rules(challenger))
    return BundleDiff(
        champion=None if champion is None else champion.sha256, challenger=challenger.sha256, changes=tuple(changes)
    )


def _changes(what: str, before: Mapping[str, str], after: Mapping[str, str]) -> list[Change]:
    names = [*before, *(name for name in after if name not in before)]
    return [
        Change(what=what, name=name, before=before.get(name), after=after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    ]


def _labels(bundle: Bundle | None) -> dict[str, str]:
    return {} if bundle is None else dict.fromkeys(bundle.labels, "can be chosen")


def _features(bundle: Bundle | None) -> dict[str, str]:
    if bundle is None:
        return {}
    described = {}
    for feature in bundle.features:
        text = f"{feature.kind.value} at {feature.path}"
        if feature.minimum is not None or feature.maximum is not None:
            low = "any" if feature.minimum is None else format_value(feature.minimum)
            high = "any" if feature.maximum is None else format_value(feature.maximum)
            text += f", {low} to {high}"
        if feature.categories:
            text += f", {len(feature.categories)} categories"
        if feature.missing is not None:
            text += f", {format_value(feature.missing)} when missing"
        described[feature.name] = text
    return described


def _escalation(bundle: Bundle | None) -> dict[str, str]:
    return {} if bundle is None else {"confidence": format_value(bundle.escalate_below)}


def _flip_points(bundle: Bundle | None) -> dict[str, str]:
    if bundle is None:
        return {}
    described = {}
    for point in bundle.flip_points:
        # Only flips that exist: why there is none differs from bundle to bundle and changes nothing.
        if point["value"] is not None:
            sides = f" ({point.get('below')} up to it, {point.get('above')} above)" if "below" in point else ""
            described[str(point["feature"])] = f"{format_value(point['value'])}{sides}"
    return described


def _prefixed(policy: PolicyDocument, prefix: str = "") -> list[tuple[str, PolicyDocument]]:
    if isinstance(policy, EnsemblePolicy):
        return [(f"member {i + 1} ", member.policy) for i, member in enumerate(policy.members)]
    return [(prefix, policy)]


def _summary(bundle: Bundle | None) -> dict[str, str]:
    if bundle is None:
        return {}
    return {"kind": _describe(bundle.policy)}


def _describe(policy: PolicyDocument) -> str:
    if isinstance(policy, EnsemblePolicy):
        return "ensemble of " + ", ".join(
            f"{member.weight:.3g} {_describe(member.policy)}" for member in policy.members
        )
    if isinstance(policy, TreePolicy):
        return describe_tree(policy)
    if isinstance(policy, RulesPolicy):
        return f"rules ({len(policy.rules)} and a default)"
    return f"logistic ({len(policy.coefficients)} coefficients)"


def describe_tree(policy: TreePolicy) -> str:
    """A tree's size and the questions it asks, most asked first."""
    splits = [node for node in policy.nodes if isinstance(node, TreeSplit)]
    leaves = sum(isinstance(node, TreeLeaf) for node in policy.nodes)
    depth = [0] * len(policy.nodes)
    asked: dict[str, int] = {}
    for index, node in enumerate(policy.nodes):
        if isinstance(node, TreeSplit):
            depth[node.left] = depth[node.right] = depth[index] + 1
            asked[node.feature] = asked.get(node.feature, 0) + 1
    names = sorted(asked, key=lambda name: (-asked[name], name))
    root = f", first asks {_question(splits[0])}" if splits else ""
    used = f", uses {', '.join(names)}" if names else ""
    return f"tree ({leaves} leaves, depth {max(depth)}{root}{used})"


def _question(split: TreeSplit) -> str:
    if split.threshold is None:
        return f"{split.feature} in {', '.join(split.categories)}"
    return f"{split.feature} <= {format_value(split.threshold)}"


def _coefficients(bundle: Bundle | None) -> dict[str, str]:
    described: dict[str, str] = {}
    for prefix, policy in [] if bundle is None else _prefixed(bundle.policy):
        if isinstance(policy, LogisticPolicy):
            described[f"{prefix}intercept"] = _row(policy.intercept)
            for name, row in policy.coefficients.items():
                low, high = policy.clamps.get(name, (None, None))
                cut = "" if low is None else f", counted from {format_value(low)}"
                cut += "" if high is None else f", counted up to {format_value(high)}"
                described[f"{prefix}{name}"] = _row(row) + cut
    return described


def _row(row: tuple[float, ...]) -> str:
    return ", ".join(f"{value:+.4g}" for value in row)


def _rules(bundle: Bundle | None) -> dict[str, str]:
    described: dict[str, str] = {}
    for prefix, policy in [] if bundle is None else _prefixed(bundle.policy):
        if isinstance(policy, RulesPolicy):
            described |= {f"{prefix}{index + 1}": str(rule) for index, rule in enumerate(policy.rules)}
            described[f"{prefix}default"] = str(policy.default)
    return described

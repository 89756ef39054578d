"""The kinds of policy a bundle can hold: plain numbers in raw units that a person can check with a pencil.

Every kind turns a feature vector into a posterior over the labels; the label with the largest posterior is chosen, the
first of the agent's labels when there is a tie. How each kind is evaluated stands in `trimtab.core.policy`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from trimtab.core.agents import MISSING_SUFFIX


class PolicyKind(StrEnum):
    """What kind of policy a bundle holds."""

    LOGISTIC = "logistic"  # weighted sum of the features, through a sigmoid or softmax
    TREE = "tree"  # one question per node, a posterior per leaf
    RULES = "rules"  # an ordered list of hand-written rules, the first that fires decides
    ENSEMBLE = "ensemble"  # the weighted average of policies of the other kinds


class Operator(StrEnum):
    """How a rule compares a feature with its value."""

    AT_MOST = "<="  # number
    BELOW = "<"  # number
    AT_LEAST = ">="  # number
    ABOVE = ">"  # number
    EQUAL = "=="  # number or category
    NOT_EQUAL = "!="  # number or category
    IN = "in"  # a list of categories
    MISSING = "missing"  # true: the value is unknown; false: it is known


@dataclass(frozen=True, slots=True, kw_only=True)
class LogisticPolicy:
    """score = intercept + sum of coefficient x value, per row; then sigmoid (one row) or softmax (a row per label).

    With two labels there is one row and it speaks for the second label. The keys of `coefficients` are a numeric
    feature's name, `feature=category` for one category, and `feature__missing` for "the value is unknown".
    `clamps` holds (low, high) per heavy-tailed feature: a value beyond them counts as the limit (None: no limit).
    """

    kind: ClassVar[PolicyKind] = PolicyKind.LOGISTIC
    intercept: tuple[float, ...]
    coefficients: Mapping[str, tuple[float, ...]]
    clamps: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)

    def to_mapping(self) -> dict[str, Any]:
        mapping: dict[str, Any] = {
            "kind": self.kind.value,
            "intercept": list(self.intercept),
            "coefficients": {name: list(row) for name, row in self.coefficients.items()},
        }
        if self.clamps:
            mapping["clamps"] = {name: list(limits) for name, limits in self.clamps.items()}
        return mapping

    def clamped(self, feature: str, value: float) -> float:
        """`value` pulled back to the feature's limits."""
        low, high = self.clamps.get(feature, (None, None))
        if low is not None and value < low:
            return low
        return high if high is not None and value > high else value


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeSplit:
    """A question. Left: value <= threshold, or the category is one of `categories`; otherwise right.

    An unknown value goes both ways: `share_left` of it to the left, the rest to the right.
    """

    feature: str
    threshold: float | None
    categories: tuple[str, ...]
    left: int
    right: int
    share_left: float

    def to_mapping(self) -> dict[str, Any]:
        test: dict[str, Any] = (
            {"categories": list(self.categories)} if self.threshold is None else {"threshold": self.threshold}
        )
        return {
            "feature": self.feature,
            **test,
            "left": self.left,
            "right": self.right,
            "share_left": self.share_left,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeLeaf:
    """An answer: the posterior over the labels, and the number of training rows behind it (None: not counted)."""

    posterior: tuple[float, ...]
    n: float | None

    def to_mapping(self) -> dict[str, Any]:
        mapping: dict[str, Any] = {"posterior": list(self.posterior)}
        if self.n is not None:
            mapping["n"] = self.n
        return mapping


TreeNode = TreeSplit | TreeLeaf


@dataclass(frozen=True, slots=True, kw_only=True)
class TreePolicy:
    """Nodes in one list: the first is the root, children always stand after their parent."""

    kind: ClassVar[PolicyKind] = PolicyKind.TREE
    nodes: tuple[TreeNode, ...]

    def to_mapping(self) -> dict[str, Any]:
        return {"kind": self.kind.value, "nodes": [node.to_mapping() for node in self.nodes]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One comparison of a rule. A comparison with an unknown value is never true; only `missing` sees it."""

    feature: str
    op: Operator
    value: float | str | bool | tuple[str, ...]

    def to_mapping(self) -> dict[str, Any]:
        value = list(self.value) if isinstance(self.value, tuple) else self.value
        return {"feature": self.feature, "op": self.op.value, "value": value}

    def __str__(self) -> str:
        if self.op is Operator.MISSING:
            return f"{self.feature} is {'unknown' if self.value else 'known'}"
        value = ", ".join(self.value) if isinstance(self.value, tuple) else format_value(self.value)
        return f"{self.feature} {self.op.value} {value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When all conditions hold: this label, with this confidence; the other labels share the rest equally."""

    when: tuple[Condition, ...]
    label: str
    confidence: float

    def to_mapping(self) -> dict[str, Any]:
        return {
            "when": [condition.to_mapping() for condition in self.when],
            "label": self.label,
            "confidence": self.confidence,
        }

    def __str__(self) -> str:
        return f"{' and '.join(map(str, self.when)) or 'otherwise'}: {self.label} ({self.confidence:.3g})"


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesPolicy:
    """Rules in order: the first that fires decides, the default (a rule without conditions) when none does."""

    kind: ClassVar[PolicyKind] = PolicyKind.RULES
    rules: tuple[Rule, ...]
    default: Rule

    def to_mapping(self) -> dict[str, Any]:
        return {
            "kind": self.kind.value,
            "rules": [rule.to_mapping() for rule in self.rules],
            "default": {"label": self.default.label, "confidence": self.default.confidence},
        }


SinglePolicy = LogisticPolicy | TreePolicy | RulesPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A policy of an ensemble and its share of the average."""

    weight: float
    policy: SinglePolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsemblePolicy:
    """posterior = sum of weight x member's posterior; the weights sum to one."""

    kind: ClassVar[PolicyKind] = PolicyKind.ENSEMBLE
    members: tuple[Member, ...]

    def to_mapping(self) -> dict[str, Any]:
        return {
            "kind": self.kind.value,
            "members": [{"weight": member.weight, "policy": member.policy.to_mapping()} for member in self.members],
        }


PolicyDocument = LogisticPolicy | TreePolicy | RulesPolicy | EnsemblePolicy


def single_policies(policy: PolicyDocument) -> Iterator[SinglePolicy]:
    """The policy itself, or an ensemble's members."""
    if isinstance(policy, EnsemblePolicy):
        for member in policy.members:
            yield member.policy
    else:
        yield policy


def used_features(policy: PolicyDocument) -> set[str]:
    """The names of the features that can change the policy's posterior."""
    names: set[str] = set()
    for single in single_policies(policy):
        if isinstance(single, LogisticPolicy):
            names |= {name.partition("=")[0].removesuffix(MISSING_SUFFIX) for name in single.coefficients}
        elif isinstance(single, TreePolicy):
            names |= {node.feature for node in single.nodes if isinstance(node, TreeSplit)}
        else:
            names |= {condition.feature for rule in single.rules for condition in rule.when}
    return names


def format_value(value: object) -> str:
    """A feature's value for people: numbers short and with thousands separators, unknown as a word."""
    if value is None:
        return "unknown"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"

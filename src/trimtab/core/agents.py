"""AgentSpec: what an agent decides and from what. Data, never code per agent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from trimtab.core.canonical import sha256_of
from trimtab.core.documents import Place
from trimtab.errors import InvalidPlanError, InvalidSpecError

AGENT_PATTERN = re.compile(r"[a-z][a-z0-9_]{0,62}")
FEATURE_PATTERN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
# A bundle writes the coefficient of "this feature is unknown" under the feature's name and this ending.
MISSING_SUFFIX = "__missing"

MAX_LABELS = 50
MAX_FEATURES = 500
MAX_CATEGORIES = 200
MAX_PATH = 300
# Beyond this a number is no measurement any more; within it no sum of products can overflow.
MAX_MAGNITUDE = 1e15
DEFAULT_ESCALATE_BELOW = 0.6


class FeatureKind(StrEnum):
    """How a payload's value becomes a feature."""

    NUMBER = "number"  # a finite number
    FLAG = "flag"  # true/false or 1/0, as 1.0 or 0.0
    COUNT = "count"  # a whole number >= 0, or a list or object whose length counts
    CATEGORY = "category"  # one of the declared texts
    TEXT_LENGTH = "text-length"  # a text; the feature is its number of characters
    ELAPSED = "elapsed"  # an ISO 8601 time with zone; the feature is the seconds from it until the decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One declared input of a decision.

    `path` leads to the value in the payload, keys joined by dots. `missing` is the value that stands in when the
    payload has none (or an unusable one); None keeps it explicitly unknown. Numbers outside [minimum, maximum] are
    clamped and reported.
    """

    name: str
    path: str
    kind: FeatureKind
    missing: float | str | None = None
    minimum: float | None = None
    maximum: float | None = None
    categories: tuple[str, ...] = ()

    @property
    def is_numeric(self) -> bool:
        return self.kind is not FeatureKind.CATEGORY

    @classmethod
    def read(cls, place: Place, *, extra: tuple[str, ...] = ()) -> Feature:
        """A feature from an untrusted document; `extra` names keys that the caller reads itself."""
        members = place.mapping(("name", "kind"), ("path", "missing", "minimum", "maximum", "categories", *extra))
        name = members["name"].text(most=63)
        if not FEATURE_PATTERN.fullmatch(name):
            members["name"].wrong("letters, digits and underscores, starting with no digit, at most 63")
        if name.endswith(MISSING_SUFFIX):
            members["name"].fail(f"may not end in {MISSING_SUFFIX!r}, bundles use that ending for unknown values")
        path = members["path"].text(least=1, most=MAX_PATH) if "path" in members else name
        if "" in path.split("."):
            members["path"].wrong("keys joined by single dots")
        kind = members["kind"].one_of(FeatureKind)
        if kind is FeatureKind.CATEGORY:
            return cls(name=name, path=path, kind=kind, **_category_fields(place, members))
        return cls(name=name, path=path, kind=kind, **_number_fields(members, kind))

    def to_mapping(self) -> dict[str, Any]:
        """The feature as a document; what is not declared is left out."""
        mapping: dict[str, Any] = {"name": self.name, "path": self.path, "kind": self.kind.value}
        for key in ("missing", "minimum", "maximum"):
            value = getattr(self, key)
            if value is not None:
                mapping[key] = value
        if self.categories:
            mapping["categories"] = list(self.categories)
        return mapping


def _category_fields(place: Place, members: dict[str, Place]) -> dict[str, Any]:
    for key in ("minimum", "maximum"):
        if key in members:
            members[key].fail("a category has no range")
    if "categories" not in members:
        place.fail("a category must list its 'categories'")
    categories = [item.name(most=100) for item in members["categories"].items(least=1, most=MAX_CATEGORIES)]
    _refuse_repeats(members["categories"], categories)
    missing = members["missing"].name(most=100) if "missing" in members else None
    if missing is not None and missing not in categories:
        members["missing"].wrong("one of the categories")
    return {"categories": tuple(categories), "missing": missing}


def _number_fields(members: dict[str, Place], kind: FeatureKind) -> dict[str, Any]:
    if "categories" in members:
        members["categories"].fail(f"only a category has categories, this feature is a {kind.value}")
    fields: dict[str, Any] = {}
    for key in ("minimum", "maximum", "missing"):
        if key in members:
            fields[key] = members[key].number(least=-MAX_MAGNITUDE, most=MAX_MAGNITUDE)
    minimum, maximum, missing = fields.get("minimum"), fields.get("maximum"), fields.get("missing")
    if minimum is not None and maximum is not None and minimum >= maximum:
        members["maximum"].wrong(f"above the minimum {minimum:g}")
    if missing is not None and not (
        (minimum is None or minimum <= missing) and (maximum is None or missing <= maximum)
    ):
        members["missing"].wrong("inside the feature's own range")
    return fields


def _refuse_repeats(place: Place, names: list[str]) -> None:
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            Place(name, f"{place.path}[{index}]", place.error).fail(f"repeats {name!r}")
        seen.add(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSpec:
    """What an agent decides (labels), from what (features), and under which limits.

    Made by `from_mapping` or `parse_toml`, which validate. `guard` is the plan of its rollouts as plain data (empty:
    the defaults), `budgets` are limits per decision, `notes` are remarks for readers and change nothing.
    """

    agent: str
    description: str
    labels: tuple[str, ...]
    features: tuple[Feature, ...]
    escalate_below: float = DEFAULT_ESCALATE_BELOW
    guard: Mapping[str, Any] = field(default_factory=dict)
    budgets: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @classmethod
    def from_mapping(cls, document: object) -> AgentSpec:
        """The spec that an untrusted document describes. Raises InvalidSpecError naming the place."""
        place = Place(document, "", InvalidSpecError)
        members = place.mapping(
            ("agent", "labels", "features"), ("description", "escalate_below", "guard", "budgets", "notes")
        )
        agent = read_agent(members["agent"])
        labels = read_labels(members["labels"])
        features = [Feature.read(item) for item in members["features"].items(least=1, most=MAX_FEATURES)]
        _refuse_repeats(members["features"], [feature.name for feature in features])
        escalate_below = members["escalate_below"].number(least=0, most=1) if "escalate_below" in members else None
        budgets = {}
        for name, budget in members["budgets"].members(50).items() if "budgets" in members else ():
            if not AGENT_PATTERN.fullmatch(name):
                budget.fail("a budget's name has lower-case letters, digits and underscores")
            budgets[name] = budget.number(least=0, most=MAX_MAGNITUDE)
        notes = [item.text(most=500) for item in members["notes"].items(most=200)] if "notes" in members else []
        return cls(
            agent=agent,
            description=members["description"].text() if "description" in members else "",
            labels=labels,
            features=tuple(features),
            escalate_below=DEFAULT_ESCALATE_BELOW if escalate_below is None else escalate_below,
            guard=_read_guard(members["guard"]) if "guard" in members else {},
            budgets=budgets,
            notes=tuple(notes),
        )

    def to_mapping(self) -> dict[str, Any]:
        """The spec as a document that `from_mapping` reads back to an equal spec."""
        mapping: dict[str, Any] = {
            "agent": self.agent,
            "description": self.description,
            "labels": list(self.labels),
            "features": [feature.to_mapping() for feature in self.features],
            "escalate_below": self.escalate_below,
            "guard": Place(self.guard, "guard", InvalidSpecError).plain(),
            "budgets": dict(self.budgets),
        }
        if self.notes:
            mapping["notes"] = list(self.notes)
        return mapping

    @property
    def sha256(self) -> str:
        """The hash that names this version of the spec."""
        return sha256_of(self.to_mapping())

    def label_index(self, label: str) -> int:
        """The position of `label`. Raises InvalidSpecError naming the labels there are."""
        try:
            return self.labels.index(label)
        except ValueError:
            raise InvalidSpecError(
                f"agent {self.agent} has no label {label!r}; its labels are {', '.join(self.labels)}"
            ) from None


def read_agent(place: Place) -> str:
    """An agent's slug from an untrusted document."""
    agent = place.text(most=63)
    if not AGENT_PATTERN.fullmatch(agent):
        place.wrong("a slug: a lower-case letter, then lower-case letters, digits and underscores, at most 63")
    return agent


def read_labels(place: Place) -> tuple[str, ...]:
    """At least two different labels from an untrusted document."""
    labels = [item.name() for item in place.items(least=2, most=MAX_LABELS)]
    _refuse_repeats(place, labels)
    return tuple(labels)


def _read_guard(place: Place) -> dict[str, Any]:
    place.members()
    guard: dict[str, Any] = place.plain()
    if guard:
        # Imported when needed: agents import this module and never see a rollout's plan.
        from trimtab.core.rollouts import GuardPlan

        try:
            GuardPlan.from_mapping(guard)
        except InvalidPlanError as error:
            raise InvalidSpecError(f"{place.path}: {error}") from error
    return guard


def parse_toml(text: str) -> AgentSpec:
    """The spec that a TOML text describes. Raises InvalidSpecError with the line when it is no TOML."""
    import tomllib  # only people and tools read TOML, so agents need not load its parser

    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidSpecError(f"the spec is no valid TOML: {error}") from error
    return AgentSpec.from_mapping(document)


def render_toml(spec: AgentSpec) -> str:
    """The spec as TOML for people to edit; `parse_toml` reads it back to an equal spec."""
    lines = [f"agent = {_toml(spec.agent)}", f"description = {_toml(spec.description)}"]
    lines += [f"labels = {_toml(list(spec.labels))}", f"escalate_below = {_toml(spec.escalate_below)}"]
    if spec.notes:
        lines += ["notes = [", *(f"  {_toml(note)}," for note in spec.notes), "]"]
    if spec.budgets:
        lines.append(f"budgets = {_toml(dict(spec.budgets))}")
    if spec.guard:
        lines.append(f"guard = {_toml(dict(spec.guard))}")
    for feature in spec.features:
        lines += ["", "[[features]]"]
        lines += [f"{key} = {_toml(value)}" for key, value in feature.to_mapping().items()]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, str):
        from trimtab.core.canonical import canonical_json

        # A JSON string is a TOML basic string but for DEL, which TOML wants escaped.
        return canonical_json(value).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_toml(key)} = {_toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return repr(value)

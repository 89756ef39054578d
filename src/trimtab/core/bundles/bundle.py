"""Bundle: an immutable, content-addressed, readable policy that an agent runs.

The document is canonical JSON and the bundle's name is its SHA-256, so nothing in the file says who it is and an edit
makes another bundle. Documents are read as hostile input; nothing in them is ever executed.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NoReturn

from trimtab.core.agents import MAX_FEATURES, MAX_MAGNITUDE, AgentSpec, Feature, read_agent, read_labels
from trimtab.core.bundles.parse import read_policy
from trimtab.core.bundles.policies import LogisticPolicy, PolicyDocument, single_policies
from trimtab.core.canonical import canonical_json
from trimtab.core.documents import Place, show
from trimtab.core.features import Value
from trimtab.errors import InvalidBundleError

SCHEMA = "trimtab.bundle/1"
MAX_BYTES = 2_000_000
_REQUIRED = ("schema", "agent", "labels", "features", "policy", "escalate_below")
_OPTIONAL = ("calibration", "flip_points", "lineage", "report")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """Where a bundle comes from: enough to train it again. All None for a hand-written one."""

    examples_sha256: str | None = None
    code_version: str | None = None
    seed: int | None = None
    parent: str | None = None  # the champion's hash when it was trained
    method: str | None = None
    n_examples: int | None = None

    def to_mapping(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in sorted(_LINEAGE) if getattr(self, name) is not None}


_LINEAGE = frozenset(("examples_sha256", "code_version", "seed", "parent", "method", "n_examples"))


# No slots: the document and its hash are computed once, when first asked for.
@dataclass(frozen=True, kw_only=True, eq=False)
class Bundle:
    """A policy with all that is needed to run it, check it by hand, and train it again.

    Made by `from_document`, `from_json` or `build`, which validate. `fills` holds, per feature, the value that a
    logistic policy uses for an unknown one (the median or most frequent category of training), or None.
    """

    agent: str
    labels: tuple[str, ...]
    features: tuple[Feature, ...]
    fills: tuple[Value, ...]
    policy: PolicyDocument
    escalate_below: float
    calibration: Mapping[str, Any] | None = None
    flip_points: tuple[Mapping[str, Any], ...] = ()
    lineage: Lineage = field(default_factory=Lineage)
    report: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def build(
        cls,
        spec: AgentSpec,
        policy: Mapping[str, Any],
        *,
        fills: Mapping[str, Value] | None = None,
        lineage: Lineage | None = None,
    ) -> Bundle:
        """A bundle for `spec` around a policy given as a document: the way to write a champion by hand."""
        features = []
        for feature in spec.features:
            fill = (fills or {}).get(feature.name)
            features.append(feature.to_mapping() | ({} if fill is None else {"fill": fill}))
        document = {
            "schema": SCHEMA,
            "agent": spec.agent,
            "labels": list(spec.labels),
            "features": features,
            "policy": policy,
            "escalate_below": spec.escalate_below,
            "lineage": (lineage or Lineage()).to_mapping(),
        }
        return cls.from_document(document, spec=spec)

    @classmethod
    def from_document(cls, document: object, *, spec: AgentSpec | None = None) -> Bundle:
        """The bundle that an untrusted document describes, checked against `spec` when given.

        Raises InvalidBundleError naming the place of the first thing that is wrong.
        """
        fields = Place(document, "", InvalidBundleError).mapping(_REQUIRED, _OPTIONAL)
        if fields["schema"].value != SCHEMA:
            fields["schema"].wrong(f"{SCHEMA!r}; other versions need another version of Trimtab")
        agent = read_agent(fields["agent"])
        labels = read_labels(fields["labels"])
        features, fills = _read_features(fields["features"])
        named = {feature.name: feature for feature in features}
        policy = read_policy(fields["policy"], labels, named)
        _check_fills(fields["features"], policy, features, fills)
        bundle = cls(
            agent=agent,
            labels=labels,
            features=features,
            fills=fills,
            policy=policy,
            escalate_below=fields["escalate_below"].number(least=0, most=1),
            calibration=_object(fields["calibration"]) if "calibration" in fields else None,
            flip_points=_read_flip_points(fields["flip_points"], named) if "flip_points" in fields else (),
            lineage=_read_lineage(fields["lineage"]) if "lineage" in fields else Lineage(),
            report=_object(fields["report"]) if "report" in fields else {},
        )
        if spec is not None:
            check_fits(bundle, spec)
        return bundle

    @classmethod
    def from_json(
        cls,
        text: bytes | str,
        *,
        expect_sha256: str | None = None,
        spec: AgentSpec | None = None,
        max_bytes: int = MAX_BYTES,
    ) -> Bundle:
        """The bundle in a file's content. Raises InvalidBundleError, also when its hash is not `expect_sha256`."""
        raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else bytes(text)
        if len(raw) > max_bytes:
            raise InvalidBundleError(f"the bundle has {len(raw)} bytes, at most {max_bytes} are allowed")
        bundle = cls.from_document(_parse(raw), spec=spec)
        if expect_sha256 is not None and bundle.sha256 != expect_sha256:
            raise InvalidBundleError(
                f"the bundle was edited: its content has the hash {bundle.sha256}, expected {show(expect_sha256)}"
            )
        return bundle

    @cached_property
    def document(self) -> dict[str, Any]:
        """The bundle as a document; to be read, never changed."""
        features = []
        for feature, fill in zip(self.features, self.fills, strict=True):
            features.append(feature.to_mapping() | ({} if fill is None else {"fill": fill}))
        return {
            "schema": SCHEMA,
            "agent": self.agent,
            "labels": list(self.labels),
            "features": features,
            "policy": self.policy.to_mapping(),
            "escalate_below": self.escalate_below,
            "calibration": self.calibration,
            "flip_points": [dict(point) for point in self.flip_points],
            "lineage": self.lineage.to_mapping(),
            "report": self.report,
        }

    def to_json(self) -> str:
        """The canonical JSON text: the content of the file that the hash names."""
        return canonical_json(self.document)

    @cached_property
    def sha256(self) -> str:
        """The bundle's name: the hex SHA-256 of its canonical JSON."""
        return hashlib.sha256(self.to_json().encode("utf-8")).hexdigest()

    def fill_of(self, feature: str) -> Value:
        """The stand-in of `feature` for unknown values; None when it has none."""
        for declared, fill in zip(self.features, self.fills, strict=True):
            if declared.name == feature:
                return fill
        return None

    def __eq__(self, other: object) -> bool:
        return self.sha256 == other.sha256 if isinstance(other, Bundle) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.sha256)


def _parse(raw: bytes) -> Any:
    def refuse_constant(name: str) -> NoReturn:
        raise InvalidBundleError(f"the bundle holds {name}, every number must be finite")

    def refuse_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            raise InvalidBundleError(f"the bundle repeats a key in the object with {show(pairs[0][0])}")
        return members

    try:
        return json.loads(raw.decode("utf-8"), parse_constant=refuse_constant, object_pairs_hook=refuse_repeats)
    except RecursionError:
        raise InvalidBundleError("the bundle is nested too deeply") from None
    except ValueError as error:
        # Broken UTF-8, broken JSON, and integers with more digits than Python reads.
        raise InvalidBundleError(f"the bundle is no valid JSON: {error}") from None


def _object(place: Place) -> Any:
    if place.value is None:
        return None if place.path == "calibration" else {}
    place.members()
    return place.plain()


def _read_features(place: Place) -> tuple[tuple[Feature, ...], tuple[Value, ...]]:
    features: list[Feature] = []
    fills: list[Value] = []
    names: set[str] = set()
    for item in place.items(least=1, most=MAX_FEATURES):
        feature = Feature.read(item, extra=("fill",))
        if feature.name in names:
            item.fail(f"repeats the feature {feature.name!r}")
        names.add(feature.name)
        features.append(feature)
        fill = item.members().get("fill")
        if fill is None:
            fills.append(None)
        elif feature.is_numeric:
            fills.append(fill.number(least=-MAX_MAGNITUDE, most=MAX_MAGNITUDE))
        elif fill.value in feature.categories:
            fills.append(fill.value)
        else:
            fill.wrong("one of the feature's categories")
    return tuple(features), tuple(fills)


def _check_fills(place: Place, policy: PolicyDocument, features: tuple[Feature, ...], fills: tuple[Value, ...]) -> None:
    used: set[str] = set()
    for single in single_policies(policy):
        if isinstance(single, LogisticPolicy):
            used |= {name.partition("=")[0] for name in single.coefficients}
    for index, feature in enumerate(features):
        if feature.name in used and fills[index] is None:
            item = Place(None, f"{place.path}[{index}]", place.error)
            item.fail(f"{feature.name!r} has a coefficient and so needs a 'fill' for unknown values")


def _read_flip_points(place: Place, features: Mapping[str, Feature]) -> tuple[Mapping[str, Any], ...]:
    points: list[Mapping[str, Any]] = []
    for item in place.items(most=MAX_FEATURES):
        fields = item.mapping(("feature", "value"), ("below", "above", "at", "seen", "reason"))
        if fields["feature"].value not in features:
            fields["feature"].fail(f"unknown feature {show(fields['feature'].value)}")
        if fields["value"].value is not None:
            fields["value"].number()
        points.append(item.plain())
    return tuple(points)


def _read_lineage(place: Place) -> Lineage:
    fields = place.mapping((), tuple(_LINEAGE))
    values: dict[str, Any] = {}
    for name, item in fields.items():
        if item.value is None:
            continue
        if name in ("seed", "n_examples"):
            values[name] = item.integer(least=0, most=2**53)
        else:
            values[name] = item.text(most=200)
    return Lineage(**values)


def check_fits(bundle: Bundle, spec: AgentSpec) -> None:
    """Raise InvalidBundleError unless `bundle` can serve the agent: same name, same labels, known features."""
    if bundle.agent != spec.agent:
        raise InvalidBundleError(f"agent: the bundle is for {bundle.agent!r}, not for {spec.agent!r}")
    if set(bundle.labels) != set(spec.labels):
        raise InvalidBundleError(
            f"labels: the bundle has {', '.join(bundle.labels)}; {spec.agent} has {', '.join(spec.labels)}"
        )
    declared = {feature.name: feature for feature in spec.features}
    for index, feature in enumerate(bundle.features):
        known = declared.get(feature.name)
        if known is None:
            raise InvalidBundleError(f"features[{index}]: {spec.agent} has no feature {feature.name!r}")
        if known.kind is not feature.kind or known.path != feature.path:
            raise InvalidBundleError(
                f"features[{index}]: {feature.name!r} is a {feature.kind.value} at {feature.path!r} in the bundle, "
                f"a {known.kind.value} at {known.path!r} in the spec"
            )


def round_significant(value: float, digits: int = 10) -> float:
    """`value` with `digits` significant digits: noise of the last bits must not make another bundle.

    >>> round_significant(0.12345678901234)
    0.123456789
    """
    if not math.isfinite(value):
        raise InvalidBundleError(f"a bundle cannot hold the number {value!r}")
    return float(f"{value:.{digits}g}") + 0.0

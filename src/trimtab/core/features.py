"""From a payload to a feature vector: declared kinds, missing values, and every surprise named.

`extract` never raises on a value: what cannot be used is treated as missing and named in the problems.
`extract_strict` raises instead; it is for the edges where a person can still correct the input.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from trimtab.core.agents import MAX_MAGNITUDE, Feature, FeatureKind
from trimtab.core.documents import show
from trimtab.errors import InvalidPayloadError

Value = float | str | None
"""A feature's value: a finite number, a category, or None for "unknown"."""

MAX_PAYLOAD_DEPTH = 64
MAX_PAYLOAD_VALUES = 100_000
MAX_TEXT = 10_000_000

_ABSENT = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureProblem:
    """A value that could not be taken as it was, and what happened instead."""

    feature: str
    path: str
    found: str
    problem: str
    effect: str

    def __str__(self) -> str:
        return f"{self.feature} (at {self.path}): {self.problem}, found {self.found}; {self.effect}"


@dataclass(frozen=True, slots=True)
class FeatureVector:
    """The features' values in the spec's order, and what was wrong with the payload."""

    values: tuple[Value, ...]
    problems: tuple[FeatureProblem, ...] = ()


Extractor = Callable[[object, datetime | None], FeatureVector]


class _UnusableError(Exception):
    """Inside this module: a value that its kind cannot take; the text says what was wanted."""


def extract(features: Sequence[Feature], payload: object, *, at: datetime | None = None) -> FeatureVector:
    """The feature vector of `payload`; never raises on a value.

    `at` is the time of the decision (aware); features of the kind `elapsed` are unknown without it.
    """
    return compile_extractor(features)(payload, at)


def compile_extractor(features: Sequence[Feature]) -> Extractor:
    """A function that does what `extract` does, prepared once for many payloads."""
    steps = tuple(
        (feature, tuple(feature.path.split(".")), feature.missing, _plain_range(feature)) for feature in features
    )

    def run(payload: object, at: datetime | None) -> FeatureVector:
        if not isinstance(payload, Mapping):
            return _no_payload(features, payload)
        values: list[Value] = []
        problems: list[FeatureProblem] = []
        for feature, keys, missing, plain in steps:
            raw: Any = payload
            for key in keys:
                if not isinstance(raw, Mapping):
                    raw = _ABSENT
                    break
                raw = raw.get(key, _ABSENT)
            # The common case first: a finite number inside its range.
            if plain is not None and type(raw) is float and plain[0] <= raw <= plain[1]:
                values.append(raw)
            elif raw is _ABSENT or raw is None:
                values.append(missing)
            else:
                values.append(_convert(feature, raw, at, problems))
        return FeatureVector(tuple(values), tuple(problems))

    return run


def extract_strict(features: Sequence[Feature], payload: object, *, at: datetime | None = None) -> FeatureVector:
    """Like `extract`, but raises InvalidPayloadError that names every problem (the first ten in full)."""
    check_payload(payload)
    vector = extract(features, payload, at=at)
    if vector.problems:
        shown = "; ".join(str(problem) for problem in vector.problems[:10])
        rest = len(vector.problems) - 10
        raise InvalidPayloadError(shown + (f"; and {rest} more problems" if rest > 0 else ""))
    return vector


def check_payload(payload: object) -> None:
    """Raise InvalidPayloadError for a payload that is no object, too deep, or too large to keep."""
    if not isinstance(payload, Mapping):
        raise InvalidPayloadError(f"the payload must be an object, found {show(payload)}")
    # A stack, not recursion: a payload nested 100,000 levels deep must end in a refusal.
    stack: list[tuple[Any, int]] = [(payload, 1)]
    count = 0
    while stack:
        value, depth = stack.pop()
        count += 1
        if count > MAX_PAYLOAD_VALUES:
            raise InvalidPayloadError(f"the payload has more than {MAX_PAYLOAD_VALUES} values")
        children = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
        if children and depth >= MAX_PAYLOAD_DEPTH:
            raise InvalidPayloadError(f"the payload is nested deeper than {MAX_PAYLOAD_DEPTH} levels")
        if count + len(stack) + len(children) > MAX_PAYLOAD_VALUES:
            raise InvalidPayloadError(f"the payload has more than {MAX_PAYLOAD_VALUES} values")
        if isinstance(value, str) and len(value) > MAX_TEXT:
            raise InvalidPayloadError(f"the payload has a text of {len(value)} characters, at most {MAX_TEXT}")
        stack.extend((child, depth + 1) for child in children)


def _plain_range(feature: Feature) -> tuple[float, float] | None:
    """The range in which a float needs no further look; None for kinds that need one."""
    if feature.kind is not FeatureKind.NUMBER:
        return None
    low = -MAX_MAGNITUDE if feature.minimum is None else feature.minimum
    return low, MAX_MAGNITUDE if feature.maximum is None else feature.maximum


def _no_payload(features: Sequence[Feature], payload: object) -> FeatureVector:
    problems = tuple(
        FeatureProblem(
            feature=feature.name,
            path=feature.path,
            found=show(payload),
            problem="the payload must be an object",
            effect=_as_missing(feature),
        )
        for feature in features
    )
    return FeatureVector(tuple(feature.missing for feature in features), problems)


def _convert(feature: Feature, raw: Any, at: datetime | None, problems: list[FeatureProblem]) -> Value:
    def note(problem: str, effect: str) -> None:
        problems.append(
            FeatureProblem(feature=feature.name, path=feature.path, found=show(raw), problem=problem, effect=effect)
        )

    try:
        if feature.kind is FeatureKind.CATEGORY:
            return _category(feature, raw)
        value = _NUMERIC[feature.kind](raw, at)
        if not abs(value) <= MAX_MAGNITUDE:
            raise _UnusableError(f"must lie within ±{MAX_MAGNITUDE:g}")
    except _UnusableError as unusable:
        note(str(unusable), _as_missing(feature))
        return feature.missing
    if feature.minimum is not None and value < feature.minimum:
        note(f"must be at least {feature.minimum:g}", f"clamped to {feature.minimum:g}")
        return feature.minimum
    if feature.maximum is not None and value > feature.maximum:
        note(f"must be at most {feature.maximum:g}", f"clamped to {feature.maximum:g}")
        return feature.maximum
    return value


def _as_missing(feature: Feature) -> str:
    return "treated as unknown" if feature.missing is None else f"treated as missing, {show(feature.missing)} used"


def _number(raw: Any, _at: datetime | None) -> float:
    # Number covers numpy's scalars and Decimal; a truth value is no measurement.
    if isinstance(raw, bool) or not isinstance(raw, numbers.Number):
        raise _UnusableError("must be a number")
    try:
        value = float(raw)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        raise _UnusableError("must be a finite real number") from None
    if not math.isfinite(value):
        raise _UnusableError("must be a finite number")
    return value


def _flag(raw: Any, at: datetime | None) -> float:
    if isinstance(raw, bool):
        return 1.0 if raw else 0.0
    try:
        value = _number(raw, at)
    except _UnusableError:
        raise _UnusableError("must be true, false, 1 or 0") from None
    if value not in (0.0, 1.0):
        raise _UnusableError("must be true, false, 1 or 0")
    return value


def _count(raw: Any, at: datetime | None) -> float:
    if isinstance(raw, (list, tuple, set, frozenset, Mapping)):
        return float(len(raw))
    try:
        value = _number(raw, at)
    except _UnusableError:
        raise _UnusableError("must be a whole number of at least 0, or a list") from None
    if value < 0 or not value.is_integer():
        raise _UnusableError("must be a whole number of at least 0")
    return value


def _text_length(raw: Any, _at: datetime | None) -> float:
    if not isinstance(raw, str):
        raise _UnusableError("must be a text")
    return float(len(raw))


def _elapsed(raw: Any, at: datetime | None) -> float:
    if at is None:
        raise _UnusableError("needs the time of the decision")
    if isinstance(raw, str) and len(raw) <= 64:
        try:
            raw = datetime.fromisoformat(raw)
        except ValueError:
            raise _UnusableError("must be an ISO 8601 time") from None
    if not isinstance(raw, datetime):
        raise _UnusableError("must be an ISO 8601 time")
    if raw.tzinfo is None or at.tzinfo is None:
        raise _UnusableError("must name its time zone")
    return (at - raw).total_seconds()


def _category(feature: Feature, raw: Any) -> str:
    if isinstance(raw, bool):
        raw = "true" if raw else "false"
    elif isinstance(raw, int) and abs(raw) < 10**30:
        raw = str(raw)
    if not isinstance(raw, str):
        raise _UnusableError("must be a text")
    if raw not in feature.categories:
        shown = ", ".join(feature.categories[:8]) + (", …" if len(feature.categories) > 8 else "")
        raise _UnusableError(f"must be one of {shown}")
    return raw


_NUMERIC: dict[FeatureKind, Callable[[Any, datetime | None], float]] = {
    FeatureKind.NUMBER: _number,
    FeatureKind.FLAG: _flag,
    FeatureKind.COUNT: _count,
    FeatureKind.TEXT_LENGTH: _text_length,
    FeatureKind.ELAPSED: _elapsed,
}

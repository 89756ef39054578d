"""A proposed spec from sample payloads: kinds, ranges, categories, and notes on everything a person should check."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from trimtab.core.agents import (
    DEFAULT_ESCALATE_BELOW,
    FEATURE_PATTERN,
    MAX_FEATURES,
    MAX_LABELS,
    AgentSpec,
    FeatureKind,
)
from trimtab.core.documents import is_name, is_number, show
from trimtab.errors import InvalidSpecError

MAX_SAMPLES = 10_000
MAX_DEPTH = 8
MAX_CATEGORIES = 20
# A text is a category when its values repeat: this many rows per value on average.
ROWS_PER_CATEGORY = 3
_IDENTIFIER = re.compile(r"(^|_)(id|uuid|guid|key)$")


def infer_spec(
    agent: str,
    samples: Iterable[Mapping[str, Any]],
    *,
    label_field: str | None = None,
    labels: Sequence[str] = (),
) -> AgentSpec:
    """A spec proposed from payloads (the first 10,000 are read); its `notes` say what was guessed and left out.

    Nested objects become dotted paths. Labels come from `label_field` (a path; it is then no feature) or `labels`.
    Nothing is assumed about missing values: they stay unknown. Raises InvalidSpecError when there is no sample, no
    usable field, or fewer than two labels.
    """
    found: dict[str, list[Any]] = {}
    answers: Counter[str] = Counter()
    count = 0
    for sample in samples:
        if not isinstance(sample, Mapping):
            raise InvalidSpecError(f"sample {count + 1}: must be an object, found {show(sample)}")
        count += 1
        for path, value in _flatten(sample).items():
            if path == label_field:
                answers[str(value)] += 1
            else:
                found.setdefault(path, []).append(value)
        if count >= MAX_SAMPLES:
            break
    if count == 0:
        raise InvalidSpecError("there is no sample to infer a spec from")
    notes: list[str] = []
    features: list[dict[str, Any]] = []
    names: set[str] = set()
    for path, values in found.items():
        feature = _propose(path, values, count, notes)
        if feature is not None and len(features) < MAX_FEATURES:
            feature["name"] = _name(path, names)
            features.append(feature)
    if not features:
        raise InvalidSpecError("no field of the samples can be a feature: " + ("; ".join(notes) or "they are empty"))
    return AgentSpec.from_mapping(
        {
            "agent": agent,
            "description": f"Inferred from {count} samples; check the notes before use.",
            "labels": _labels(label_field, answers, labels, count, notes),
            "features": features,
            "escalate_below": DEFAULT_ESCALATE_BELOW,
            "notes": [note[:480] for note in notes[:200]],
        }
    )


def payload_from_cells(cells: Mapping[str, str | None]) -> dict[str, Any]:
    """A table's row as a payload: numbers and true/false read as such, empty cells left out, dotted names nested.

    >>> payload_from_cells({"mail.links": "3", "mail.html": "true", "subject": "Hi", "age": ""})
    {'mail': {'links': 3, 'html': True}, 'subject': 'Hi'}
    """
    payload: dict[str, Any] = {}
    for name, text in cells.items():
        if text is None or not text.strip():
            continue
        *parents, last = name.split(".")
        place: dict[str, Any] = payload
        for parent in parents:
            inner = place.setdefault(parent, {})
            if not isinstance(inner, dict):
                break
            place = inner
        else:
            if not isinstance(place.get(last), dict):
                place[last] = _cell(text.strip())
    return payload


def _cell(text: str) -> Any:
    lower = text.lower()
    if lower in ("true", "false"):
        return lower == "true"
    # Only plain decimals: "nan", "1_000", "0x1f" and identifiers with leading zeros stay texts.
    if re.fullmatch(r"[+-]?(0|[1-9]\d{0,14})", text):
        return int(text)
    if re.fullmatch(r"[+-]?(0|[1-9]\d*)?\.?\d*(e[+-]?\d{1,3})?", lower) and any(c.isdigit() for c in text):
        if re.fullmatch(r"[+-]?0\d+", text):
            return text
        try:
            number = float(text)
        except ValueError:
            return text
        return number if math.isfinite(number) else text
    return text


def _flatten(sample: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    stack: list[tuple[str, Any, int]] = [("", sample, 0)]
    while stack:
        path, value, depth = stack.pop()
        if isinstance(value, Mapping) and depth < MAX_DEPTH:
            for key in reversed(list(value)):
                if isinstance(key, str) and key and "." not in key:
                    stack.append((f"{path}.{key}" if path else key, value[key], depth + 1))
        elif path and value is not None and len(flat) < 4 * MAX_FEATURES:
            flat[path] = value
    return flat


def _name(path: str, taken: set[str]) -> str:
    name = re.sub(r"[^A-Za-z0-9_]+", "_", path).strip("_") or "feature"
    name = ("_" + name if name[0].isdigit() else name)[:55]
    base, number = name, 2
    while name in taken or not FEATURE_PATTERN.fullmatch(name) or name.endswith("__missing"):
        name, number = f"{base}_{number}", number + 1
    taken.add(name)
    return name


def _propose(path: str, values: list[Any], count: int, notes: list[str]) -> dict[str, Any] | None:
    """The feature for one path, without its name; None, with a note, when it can be none."""
    if len(path) > 300:
        notes.append(f"{path[:40]}…: left out, the path is too long")
        return None
    if all(value == values[0] for value in values) and len(values) == count > 1:
        notes.append(f"{path}: left out, always {show(values[0])}")
        return None
    kind = _kind(path, values, notes)
    if kind is None:
        return None
    feature: dict[str, Any] = {"path": path, "kind": kind.value}
    if len(values) < count:
        notes.append(f"{path}: missing in {count - len(values)} of {count} samples, stays unknown there")
    if kind is FeatureKind.CATEGORY:
        feature["categories"] = sorted({value for value in values if isinstance(value, str)})
    numbers = [float(value) for value in values if is_number(value)]
    if kind is FeatureKind.NUMBER and numbers and min(numbers) >= 0:
        feature["minimum"] = 0.0
        if max(numbers) <= 1:
            feature["maximum"] = 1.0
        notes.append(f"{path}: range proposed from {min(numbers):g} to {max(numbers):g} seen; check it")
    return feature


def _kind(path: str, values: list[Any], notes: list[str]) -> FeatureKind | None:
    types = Counter(_type(value) for value in values)
    main, times = types.most_common(1)[0]
    if times < len(values):
        notes.append(f"{path}: {len(values) - times} of {len(values)} values are no {main} and would be unknown")
    usable = [value for value in values if _type(value) == main]
    if main == "flag":
        return FeatureKind.FLAG
    if main == "list":
        return FeatureKind.COUNT
    if main == "number":
        return _number_kind(path, usable, notes)
    if main == "text":
        return _text_kind(path, usable, notes)
    notes.append(f"{path}: left out, {show(values[0])} is no value a feature can have")
    return None


def _number_kind(path: str, values: list[Any], notes: list[str]) -> FeatureKind | None:
    whole = all(float(value).is_integer() for value in values)
    if whole and _IDENTIFIER.search(path.lower()):
        notes.append(f"{path}: left out, looks like an identifier")
        return None
    if whole and {float(value) for value in values} <= {0.0, 1.0}:
        return FeatureKind.FLAG
    return FeatureKind.COUNT if whole and min(values) >= 0 else FeatureKind.NUMBER


def _text_kind(path: str, values: list[str], notes: list[str]) -> FeatureKind | None:
    if all(_is_time(value) for value in values):
        return FeatureKind.ELAPSED
    different = set(values)
    if (
        len(different) <= MAX_CATEGORIES
        and len(values) >= ROWS_PER_CATEGORY * len(different)
        and all(is_name(value) and len(value) <= 100 for value in different)
    ):
        return FeatureKind.CATEGORY
    if len(different) == len(values) and all(len(value) <= 64 and " " not in value.strip() for value in different):
        notes.append(f"{path}: left out, looks like an identifier")
        return None
    notes.append(f"{path}: {len(different)} different texts, only their length is used")
    return FeatureKind.TEXT_LENGTH


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "flag"
    if is_number(value):
        return "number"
    if isinstance(value, str):
        return "text"
    return "list" if isinstance(value, (list, tuple)) else "other"


def _is_time(text: str) -> bool:
    if not 10 < len(text) <= 64:
        return False
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _labels(
    label_field: str | None, answers: Counter[str], labels: Sequence[str], count: int, notes: list[str]
) -> list[str]:
    if labels:
        return list(labels)
    if label_field is None:
        raise InvalidSpecError("the labels are unknown: name the field that holds them, or list them")
    if not answers:
        raise InvalidSpecError(f"no sample has the label field {label_field!r}")
    if not 2 <= len(answers) <= MAX_LABELS:
        shown = ", ".join(show(label) for label, _ in answers.most_common(5))
        raise InvalidSpecError(
            f"{label_field!r} has {len(answers)} different labels ({shown}), there must be 2 to {MAX_LABELS}"
        )
    if answers.total() < count:
        notes.append(f"{label_field}: {count - answers.total()} of {count} samples have no label")
    rare = [label for label, times in answers.items() if times < 5]
    if rare:
        notes.append(f"{label_field}: seen fewer than 5 times: {', '.join(sorted(rare))}; training needs 5 of each")
    return sorted(answers)

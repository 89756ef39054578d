"""What the demo needs of a data set, whichever it is: items with a true label, a split, judges and a first champion.

Two data sets satisfy `DemoData`: the packaged mail (`mail.py`) and a user's own table (`table.py`). Everything random
here is a hash of the seed and an item's id: the same on every machine, and unmoved by items that come or go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol

from trimtab.core.canonical import sha256_of

MAILS_PER_DAY = 200
"""The mean of a full day; a short demo leaves items unused rather than make longer days."""

WEEKEND = 0.7
"""A weekend day's share of a working day."""


class CodeJudge(Protocol):
    """A judge that is code: the same input and the same version give the same verdict."""

    @property
    def name(self) -> str:
        """The judge's slug."""

    @property
    def version(self) -> str:
        """Twelve hex digits over its rules or its learned model: another model is another version."""

    def describe(self) -> str:
        """One sentence on what it looks at and how it is known to err."""

    def judge(self, payload: Mapping[str, Any], served_label: str, /) -> tuple[str, float]:
        """Its label for a decision and its stated probability of being right. It never sees the true label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartingRules:
    """A first champion as a person would write it down: the first rule that fits decides, else the default."""

    description: str
    rules: tuple[Mapping[str, Any], ...]
    default: Mapping[str, Any]

    def choose(self, payload: Mapping[str, Any]) -> tuple[str, float]:
        """The label and confidence for a payload; a condition on a missing value does not hold."""
        for rule in self.rules:
            if all(_holds(condition, payload.get(condition["feature"])) for condition in rule["when"]):
                return str(rule["label"]), float(rule["confidence"])
        return str(self.default["label"]), float(self.default["confidence"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Three disjoint parts of the items, by index; items of one key are always in the same part."""

    history: tuple[int, ...]
    stream: tuple[int, ...]
    kept_aside: tuple[int, ...]


class DemoData(Protocol):
    """A labelled data set that the demo can live on."""

    @property
    def name(self) -> str:
        """What the data set is called on screens."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The possible labels, sorted."""

    @property
    def items(self) -> Sequence[str]:
        """The id of every item; the other methods take a position in this list."""

    @property
    def features(self) -> tuple[str, ...]:
        """The feature names that a payload has at its top level."""

    @property
    def split(self) -> Split:
        """Which items the judges learned from, which are decided on in which order, which are never touched."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know about how the data were read; one sentence each."""

    def payload(self, i: int) -> dict[str, Any]:
        """What the agent and the judges see of item `i`; a missing value is None."""

    def label(self, i: int) -> str:
        """The true label of item `i`."""

    def key(self, i: int) -> str:
        """The unit that item `i` belongs to; exact duplicates share it."""

    def text(self, i: int) -> str:
        """Item `i` as a reviewer reads it."""

    def judges(self) -> tuple[CodeJudge, ...]:
        """Five judges of different skill, the same objects at every call."""

    def starting_rules(self) -> StartingRules:
        """The first champion."""

    def days(self, count: int, first_weekday: int = 0) -> tuple[tuple[int, ...], ...]:
        """The stream dealt to `count` days (0 = Monday); see `deal_days`."""


def version_of(model: Any) -> str:
    """A judge's version: the first 12 hex digits of the SHA-256 of its rules or model as canonical JSON."""
    return sha256_of(model)[:12]


def chance(seed: int, *parts: str) -> float:
    """A number in [0, 1) that looks random and is fixed by its arguments."""
    digest = sha256("\x1f".join((str(seed), *parts)).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:7], "big") / 2.0**56


def split_by_key(
    items: Sequence[str], keys: Sequence[str], labels: Sequence[str], *, seed: int, history: int, kept_aside: int
) -> Split:
    """Deal whole keys to history, kept aside and stream, with about the same share of each label in each part.

    Keys are taken in hashed order within the label that most of their items have; one that no longer fits into history
    or kept aside goes to the stream. The stream's order is hashed too: it is not a calendar.
    """
    members: dict[str, list[int]] = {}
    for index, key in enumerate(keys):
        members.setdefault(key, []).append(index)
    by_label: dict[str, list[str]] = {}
    for key, indices in members.items():
        counts = Counter(labels[index] for index in indices)
        by_label.setdefault(min(counts, key=lambda label: (-counts[label], label)), []).append(key)
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for label_keys in by_label.values():
        share = sum(len(members[key]) for key in label_keys) / len(items)
        room = [round(history * share), round(kept_aside * share)]
        for key in sorted(label_keys, key=lambda key: chance(seed, "split", key)):
            size = len(members[key])
            part = next((p for p in (0, 1) if size <= room[p]), 2)
            if part < 2:
                room[part] -= size
            parts[part].extend(members[key])
    order = [sorted(part, key=lambda index: chance(seed, "order", items[index])) for part in parts]
    return Split(history=tuple(order[0]), kept_aside=tuple(order[1]), stream=tuple(order[2]))


def deal_days(stream: Sequence[int], count: int, *, seed: int, first_weekday: int = 0) -> tuple[tuple[int, ...], ...]:
    """Deal the stream to days in order: no item twice, days of uneven size, weekends quieter, 200 a day at most on
    average. With fewer items than days, the last days are empty."""
    weights = [
        (WEEKEND if (first_weekday + day) % 7 >= 5 else 1.0) * (0.9 + 0.2 * chance(seed, "day", str(day)))
        for day in range(count)
    ]
    total = min(len(stream), MAILS_PER_DAY * count)
    dealt: list[tuple[int, ...]] = []
    start, weight = 0, 0.0
    for day in range(count):
        weight += weights[day]
        end = round(total * weight / sum(weights))
        dealt.append(tuple(stream[start:end]))
        start = end
    return tuple(dealt)


def _holds(condition: Mapping[str, Any], value: Any) -> bool:
    if value is None:
        return False
    wanted = condition["value"]
    match condition["op"]:
        case "<=":
            return bool(value <= wanted)
        case ">":
            return bool(value > wanted)
        case _:
            return bool(value == wanted)

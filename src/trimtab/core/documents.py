"""Reading documents that somebody else wrote: every refusal names the exact place and the way out.

A `Place` is a value together with where it was found. Specs, bundles and plans are read through it, so a hostile or
mistyped document ends in one error that says `features[3].kind: …` and never in a KeyError.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NoReturn, TypeVar

from trimtab.errors import InvalidInputError

E = TypeVar("E", bound=StrEnum)

MAX_DEPTH = 32
MAX_NODES = 200_000

_shortener = reprlib.Repr()
_shortener.maxlevel = 2
_shortener.maxstring = _shortener.maxother = 60
_shortener.maxlong = 30
_shortener.maxdict = _shortener.maxlist = _shortener.maxtuple = _shortener.maxset = 4


def show(value: object) -> str:
    """`value` for an error text: one line, at most 80 characters, safe for any depth and size."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**30:
        # Python refuses to print integers of more than 4,300 digits.
        return f"an integer of {value.bit_length()} bits"
    text = _shortener.repr(value).replace("\n", " ")
    return text if len(text) <= 80 else text[:77] + "..."


def is_number(value: object) -> bool:
    """Whether `value` is a finite number and not a truth value."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def is_name(text: str) -> bool:
    """Whether `text` is fit to be shown as a label or category: printable, no space at either end."""
    return bool(text) and text.isprintable() and text == text.strip()


@dataclass(frozen=True, slots=True)
class Place:
    """A value in an untrusted document, the path that leads to it, and the error to raise when it is wrong."""

    value: Any
    path: str
    error: type[InvalidInputError]

    def fail(self, problem: str) -> NoReturn:
        raise self.error(f"{self.path or 'document'}: {problem}")

    def wrong(self, wanted: str) -> NoReturn:
        self.fail(f"must be {wanted}, found {show(self.value)}")

    def mapping(self, required: Collection[str], optional: Collection[str] = ()) -> dict[str, Place]:
        """The members of an object that has all the required keys and no unknown one."""
        members = self.members()
        missing = sorted(set(required) - members.keys())
        if missing:
            self.fail(f"lacks {', '.join(map(repr, missing))}")
        unknown = sorted(members.keys() - set(required) - set(optional))
        if unknown:
            allowed = ", ".join(sorted({*required, *optional}))
            self.fail(f"has unknown key {show(unknown[0])}; allowed are {allowed}")
        return members

    def members(self, most: int = MAX_NODES) -> dict[str, Place]:
        """The members of an object with free keys."""
        if not isinstance(self.value, Mapping):
            self.wrong("an object")
        if len(self.value) > most:
            self.fail(f"has {len(self.value)} keys, at most {most} are allowed")
        members = {}
        for key, value in self.value.items():
            if not isinstance(key, str):
                self.fail(f"has the key {show(key)}, keys must be text")
            path = f"{self.path}.{key[:64]}" if self.path else key[:64]
            members[key] = Place(value, path, self.error)
        return members

    def items(self, *, least: int = 0, most: int = MAX_NODES) -> Iterator[Place]:
        """The elements of an array whose length lies in [least, most]."""
        if not isinstance(self.value, (list, tuple)):
            self.wrong("an array")
        if not least <= len(self.value) <= most:
            self.fail(f"must have {least} to {most} elements, has {len(self.value)}")
        for index, value in enumerate(self.value):
            yield Place(value, f"{self.path}[{index}]", self.error)

    def text(self, *, most: int = 2_000, least: int = 0) -> str:
        if not isinstance(self.value, str):
            self.wrong("text")
        if not least <= len(self.value) <= most:
            self.fail(f"must have {least} to {most} characters, has {len(self.value)}")
        return str(self.value)

    def name(self, *, most: int = 64) -> str:
        """A label or category: printable text of 1 to `most` characters without a space at either end."""
        text = self.text(least=1, most=most)
        if not is_name(text):
            self.wrong("printable text without spaces at its ends")
        return text

    def number(self, *, least: float = -math.inf, most: float = math.inf) -> float:
        if not is_number(self.value):
            self.wrong("a finite number")
        if not least <= self.value <= most:
            self.wrong(f"a number from {least:g} to {most:g}")
        # + 0.0 makes a negative zero positive: the two are equal but would be two spellings, so two hashes.
        return float(self.value) + 0.0

    def integer(self, *, least: int, most: int) -> int:
        if isinstance(self.value, bool) or not isinstance(self.value, int) or not least <= self.value <= most:
            self.wrong(f"a whole number from {least} to {most}")
        return self.value

    def one_of(self, kind: type[E]) -> E:
        try:
            return kind(self.value)
        except ValueError:
            self.wrong("one of " + ", ".join(member.value for member in kind))

    def plain(self) -> Any:
        """A copy of the value made of JSON's own types only, bounded in depth and size."""
        budget = [MAX_NODES]
        return self._plain(MAX_DEPTH, budget)

    def _plain(self, depth: int, budget: list[int]) -> Any:
        budget[0] -= 1
        if budget[0] < 0:
            self.fail(f"the document has more than {MAX_NODES} values")
        if depth < 0:
            self.fail(f"is nested deeper than {MAX_DEPTH} levels")
        value = self.value
        if value is None or isinstance(value, (bool, str)):
            return value
        if isinstance(value, (int, float)):
            if not is_number(value) or abs(value) > 2**53:
                self.wrong("a finite number within ±2^53")
            return value
        if isinstance(value, Mapping):
            return {key: member._plain(depth - 1, budget) for key, member in self.members().items()}
        if isinstance(value, (list, tuple)):
            return [item._plain(depth - 1, budget) for item in self.items()]
        self.wrong("made of objects, arrays, text, numbers, true, false and null")

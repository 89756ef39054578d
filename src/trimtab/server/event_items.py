"""Events out of a request's body, each on its own: what one of them spoils is that one."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import msgspec

from trimtab.core.events import AnyEvent
from trimtab.errors import InvalidInputError, TooLargeError

MAX_EVENTS = 10_000
MOST_COMMAS = 50 * MAX_EVENTS  # far more than good events have: millions of tiny items must not become objects at once

# Strings (also one that never ends, so that nothing is scanned twice) and what gives JSON its structure.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+\\?(?:"|\Z)|[\[\]{},]', re.DOTALL)
_EVENT = msgspec.json.Decoder(AnyEvent)
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])


class _Named(msgspec.Struct):
    id: str


_NAMED = msgspec.json.Decoder(_Named)


@dataclass(frozen=True, slots=True, kw_only=True)
class BadItem:
    """An item that is no event. `id` where one could be read nevertheless."""

    id: str | None
    reason: str


def read_events(body: bytes) -> list[AnyEvent | BadItem]:
    """The events of a JSON array, or of NDJSON: an event never begins with a bracket, so they cannot be confused.

    Raises InvalidInputError where the body is neither, TooLargeError beyond 10,000 events.
    """
    text = body.strip()
    is_array = text.startswith(b"[")
    items: Sequence[bytes | msgspec.Raw] = _of_array(text) if is_array else text.split(b"\n", MAX_EVENTS)
    if len(items) > MAX_EVENTS:
        raise TooLargeError(f"events: more than {MAX_EVENTS} at once; send them in parts")
    # An empty line is no event; an empty place between two commas is a bad one, and counts.
    return [_event(item) for item in items if is_array or bytes(item).strip()]


def _event(item: bytes | msgspec.Raw) -> AnyEvent | BadItem:
    try:
        event: AnyEvent = _EVENT.decode(item)
        return event
    except RecursionError:
        return BadItem(id=None, reason="nested too deeply")
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return BadItem(id=_id_of(item), reason=str(error))


def _id_of(item: bytes | msgspec.Raw) -> str | None:
    try:
        return _NAMED.decode(item).id[:64]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _of_array(text: bytes) -> Sequence[bytes | msgspec.Raw]:
    if text.count(b",") <= MOST_COMMAS:
        try:
            return _ITEMS.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass  # one item is broken, or nested too deeply for the decoder: see where the others begin and end
    return list(islice(_between_commas(text), MAX_EVENTS + 1))


def _between_commas(text: bytes) -> Iterator[bytes]:
    depth, start = 0, 1
    for found in _TOKEN.finditer(text):
        token = found.group()
        if token in (b"[", b"{"):
            depth += 1
        elif token in (b"]", b"}"):
            depth -= 1
            if depth == 0:
                if found.end() != len(text):
                    break
                yield text[start : found.start()]
                return
        elif token == b"," and depth == 1:
            yield text[start : found.start()]
            start = found.end()
    raise InvalidInputError("events: the array is not whole; send a JSON array, or one JSON object a line (NDJSON)")

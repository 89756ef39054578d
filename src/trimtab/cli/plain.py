"""What commands return, as JSON and as text that is safe to show."""

from __future__ import annotations

import json
import re
import unicodedata
from datetime import UTC, datetime
from typing import Any

from trimtab.core.plain import plain
from trimtab.errors import InvalidInputError

# Escape sequences that a terminal would obey: CSI, OSC (titles, links), and the short ones.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\|$)|[ -/]*[0-~])|\x9b[0-?]*[@-~]")


def to_json(value: Any, *, indent: int | None = 2) -> str:
    """`value` as JSON text in ASCII: any terminal and any pipe can carry it."""
    return json.dumps(plain(value), indent=indent, allow_nan=False)


def clean(text: object, *, lines: bool = False) -> str:
    """`text` without anything that a terminal would obey; with `lines`, line breaks and tabs stay."""
    bare = _ESCAPES.sub("", str(text))
    return "".join(_visible(character, lines) for character in bare)


def _visible(character: str, lines: bool) -> str:
    if character.isprintable() or (lines and character in "\n\t"):
        return character
    if character in "\n\r\t":
        return " "
    if unicodedata.category(character) in ("Cc", "Cs", "Co", "Cn"):
        return "\N{REPLACEMENT CHARACTER}"
    return ""  # what changes the direction of writing, and what has no width


def when(at: datetime | str | None) -> str:
    """A moment for people, in UTC; a dash where there is none."""
    if at is None:
        return "–"
    moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def moment(text: str, what: str) -> datetime:
    """A moment that a person wrote in ISO 8601; UTC where no zone is said. Raises InvalidInputError naming `what`."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInputError(f"{what}: {text!r:.60} is no ISO 8601 time, such as 2026-01-31T02:00") from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def number(value: float | None, digits: int = 3) -> str:
    """A figure for people; a dash where nothing was measured, which is not zero."""
    if value is None:
        return "–"
    if isinstance(value, int) or float(value).is_integer():
        return f"{int(value):,}" if abs(value) < 1e15 else f"{value:.3g}"
    return f"{value:,.{digits}f}" if 10**-digits <= abs(value) < 1e6 else f"{value:.3g}"


def percent(value: float | None) -> str:
    """A share for people."""
    return "–" if value is None else f"{100 * value:.3g} %"


def between(interval: Any, digits: int = 3) -> str:
    """An interval for people."""
    return "–" if interval is None else f"{number(interval[0], digits)} to {number(interval[1], digits)}"


def short(sha256: str | None) -> str:
    """The beginning of a hash: enough to name it."""
    return "–" if sha256 is None else sha256[:12]

"""Names that people shorten: the beginning of an id is enough where only one begins so."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from trimtab.core.ids import UUID_PATTERN
from trimtab.errors import ConflictError, InvalidInputError, NotFoundError

LEAST = 8  # characters


def full_id(given: str, listing: Callable[[], Iterable[Any]], what: str, where: str) -> str:
    """The id that `given` is, or the only one of `listing()` that begins so.

    Raises InvalidInputError for fewer than 8 characters, NotFoundError for none and ConflictError for several.
    """
    wanted = given.strip().lower()
    if UUID_PATTERN.match(wanted):
        return wanted
    if len(wanted) < LEAST:
        raise InvalidInputError(f"{what} {given!r:.80}: give at least {LEAST} characters of its id; see: {where}")
    found = sorted({one.id for one in listing() if one.id.startswith(wanted)})
    if not found:
        raise NotFoundError(f"{what} {given!r:.80} does not exist; see: {where}")
    if len(found) > 1:
        raise ConflictError(
            f"{what} {given!r:.80} is ambiguous: {len(found)} begin so, such as {found[0]} and {found[1]}"
        )
    return str(found[0])

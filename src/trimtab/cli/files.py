"""Files that people bring and take: rows to labels and payloads, names, and writing without overwriting."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trimtab.errors import ConflictError, InvalidInputError, InvalidPayloadError
from trimtab.plugins.importers import KEY_COLUMNS, BadRow, KeyedRow, Row, keyed_rows, read_rows

if TYPE_CHECKING:
    from trimtab.services.labels import ImportRow

MOST_SAMPLES = 10_000
_RANGE = re.compile(r"\s*(\d{0,15})\s*:\s*(\d{0,15})\s*")


def part_of(rows: Iterable[Row | BadRow], wanted: str | None) -> Iterator[Row | BadRow]:
    """The rows of a part written as FIRST:LAST, counted from 1, both included; either may be left out.

    Raises InvalidInputError for what is no part, and for a part that begins behind the last row.
    """
    if wanted is None:
        yield from rows
        return
    match = _RANGE.fullmatch(wanted)
    first, last = (int(one) if one else None for one in match.groups()) if match else (0, None)
    if first == 0 or last == 0 or (first is not None and last is not None and last < first):
        raise InvalidInputError(f"rows: write FIRST:LAST, such as 1:150 or 151: for all from there, got {wanted!r:.60}")
    empty = True
    for row in islice(rows, (first or 1) - 1, last):
        empty = False
        yield row
    if empty:
        raise InvalidInputError(f"rows: the file has fewer than {first or 1:,} rows, so {wanted} is empty")


def labelled_rows(
    path: Path,
    *,
    name: str,
    key: str | None,
    label: str,
    confidence: str | None = None,
    ignore: Iterable[str] = (),
    part: str | None = None,
) -> Iterator[KeyedRow | BadRow]:
    """The labelled rows of a file, or of a part of it."""
    texts = [label, *KEY_COLUMNS, *([key] if key is not None else [])]
    rows = read_rows(path, text_columns=texts)
    yield from keyed_rows(
        part_of(rows, part),
        name=name,
        key_column=key,
        label_column=label,
        confidence_column=confidence,
        ignore=tuple(ignore),
    )


def to_import(rows: Iterable[KeyedRow | BadRow], *, refused: list[str] | None) -> Iterator[ImportRow]:
    """Rows as the labelled store takes them. A bad row goes to `refused`, or ends the import where that is None."""
    from trimtab.services.labels import ImportRow

    for row in rows:
        if isinstance(row, BadRow):
            if refused is None:
                raise InvalidInputError(f"{row}. Nothing was imported; mend the row, or use --skip-bad")
            refused.append(str(row))
            continue
        yield ImportRow(
            place=row.place, key=row.key, label=row.label or "", payload=row.payload, confidence=row.confidence
        )


def payloads_for_inference(path: Path, *, label: str | None, key: str | None) -> list[dict[str, Any]]:
    """The first rows of a file as sample payloads, with the label if one is named. Raises for a bad row."""
    samples: list[dict[str, Any]] = []
    texts = [*KEY_COLUMNS, *(one for one in (label, key) if one is not None)]
    for row in keyed_rows(
        read_rows(path, text_columns=texts), name=path.stem, key_column=key, label_column=label, confidence_column=None
    ):
        if isinstance(row, BadRow):
            raise InvalidInputError(f"{path.name}, {row}")
        samples.append(row.payload if label is None else {**row.payload, label: row.label})
        if len(samples) == MOST_SAMPLES:
            break
    return samples


def payload_of(text: str) -> dict[str, Any]:
    """A payload from the command line, or from a file named as @FILE. Raises InvalidPayloadError."""
    if text.startswith("@"):
        path = Path(text[1:])
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidPayloadError(f"payload: {path} cannot be read: {error}") from None
    try:
        value = json.loads(text)
    except RecursionError:
        raise InvalidPayloadError("payload: nested too deeply") from None
    except ValueError as error:
        raise InvalidPayloadError(f"payload: no JSON ({error}); write it as '{{\"name\": 1}}', or @FILE") from None
    if not isinstance(value, dict):
        raise InvalidPayloadError("payload: an object is needed, such as '{\"name\": 1}'")
    return value


def safe_name(path: Path) -> str:
    """An agent's name made of a file's."""
    name = re.sub(r"[^a-z0-9]+", "_", path.stem.lower()).strip("_")[:60]
    return name if name[:1].isalpha() else f"agent_{name}".rstrip("_")


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet. Raises ConflictError for one that is."""
    try:
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise ConflictError(f"{path} exists already; remove it, or name another file") from None
    except OSError as error:
        raise InvalidInputError(f"{path}: cannot be written: {error.strerror}") from None

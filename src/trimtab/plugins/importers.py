"""Reading tables that people bring: CSV, JSON lines and Parquet, row by row; every bad row is named.

A reader yields `Row` for what it can use and `BadRow` for what it cannot; the caller decides whether a bad row ends the
import. What is wrong with the file as a whole raises InvalidInputError.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

from trimtab.core.inference import payload_from_cells
from trimtab.errors import InvalidInputError

KEY_COLUMNS = ("key", "item_id", "id")  # taken as the key when nobody names one
MAX_LINE = 10_000_000
_NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row: `place` names it for people ("line 17" of a text file, "row 17" of a Parquet file)."""

    place: str
    values: dict[str, Any]
    columns: tuple[str, ...]  # the file's columns; of JSON lines, the row's own


@dataclass(frozen=True, slots=True, kw_only=True)
class BadRow:
    """A row that cannot be read, and why."""

    place: str
    problem: str

    def __str__(self) -> str:
        return f"{self.place}: {self.problem}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedRow:
    """A row divided into what it is about, its answer (None where nobody asked for one), and all the rest."""

    place: str
    key: str
    label: str | None
    confidence: float
    payload: dict[str, Any]


def read_rows(path: Path, *, text_columns: Collection[str] = ()) -> Iterator[Row | BadRow]:
    """The rows of a .csv, .tsv, .jsonl, .ndjson or .parquet file.

    In CSV a cell that is written as a number becomes one (not in `text_columns`), true and false become truth values,
    an empty cell is left out, and a column named `a.b` becomes a nested value, as agents' paths read it.
    Raises InvalidInputError where the file as a whole cannot be used.
    """
    readers: dict[str, Callable[[Path], Iterator[Row | BadRow]]] = {
        ".csv": lambda where: _csv_rows(where, frozenset(text_columns)),
        ".tsv": lambda where: _csv_rows(where, frozenset(text_columns)),
        ".jsonl": _json_rows,
        ".ndjson": _json_rows,
        ".parquet": _parquet_rows,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InvalidInputError(f"{path.name}: the kind of file is told by its ending; use {', '.join(readers)}")
    if not path.is_file():
        raise InvalidInputError(f"{path}: there is no such file")
    empty = True
    try:
        for row in reader(path):
            empty = False
            yield row
    except OSError as error:
        raise InvalidInputError(f"{path}: cannot be read: {error.strerror or error}") from None
    if empty:
        raise InvalidInputError(f"{path.name} has no rows")


def keyed_rows(
    rows: Iterable[Row | BadRow],
    *,
    name: str,
    key_column: str | None = None,
    label_column: str | None = None,
    confidence_column: str | None = None,
    ignore: Collection[str] = (),
) -> Iterator[KeyedRow | BadRow]:
    """Divide rows into key, label, confidence and payload: the other columns, or the object in a column `payload`.

    Without `key_column` the key is a column named key, item_id or id where the first row has one, otherwise
    `<name>/line-17`. A column that the first row lacks raises InvalidInputError naming the columns it has.
    """
    first = True
    for row in rows:
        if isinstance(row, BadRow):
            yield row
            continue
        if first:
            first = False
            wanted = [one for one in (key_column, label_column, confidence_column) if one is not None]
            _check_columns(row, wanted)
            key_column = key_column or next((one for one in KEY_COLUMNS if one in row.columns), None)
        yield _keyed(row, name, key_column, label_column, confidence_column, ignore)


def _check_columns(row: Row, wanted: Sequence[str]) -> None:
    for column in wanted:
        if column not in row.columns:
            names = row.columns
            shown = ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")
            raise InvalidInputError(f"there is no column {column!r} in {row.place}; it has: {shown}")


def _keyed(
    row: Row,
    name: str,
    key_column: str | None,
    label_column: str | None,
    confidence_column: str | None,
    ignore: Collection[str],
) -> KeyedRow | BadRow:
    own = {key_column, label_column, confidence_column, *ignore}
    payload = {column: value for column, value in row.values.items() if column not in own}
    if set(payload) == {"payload"} and isinstance(payload["payload"], dict):
        payload = payload["payload"]
    try:
        key = f"{name}/{row.place.replace(' ', '-')}" if key_column is None else _text(row, key_column, "key")
        label = None if label_column is None else _text(row, label_column, "label")
        confidence = 1.0 if confidence_column is None else _share(row, confidence_column)
    except InvalidInputError as error:
        return BadRow(place=row.place, problem=str(error))
    return KeyedRow(place=row.place, key=key, label=label, confidence=confidence, payload=payload)


def _text(row: Row, column: str, what: str) -> str:
    value = row.values.get(column)
    if value is None or value == "":
        raise InvalidInputError(f"the {what} in column {column!r} is missing")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, str | int | float):
        return str(value)
    raise InvalidInputError(f"the {what} in column {column!r} is no text: {_shown(value)}")


def _share(row: Row, column: str) -> float:
    value = row.values.get(column)
    if value is None:
        return 1.0
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInputError(f"the confidence in column {column!r} is no number: {_shown(value)}")
    return float(value)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


# ---- CSV ----


def _csv_rows(path: Path, text_columns: frozenset[str]) -> Iterator[Row | BadRow]:
    # Bytes that are no UTF-8 become surrogates, so that the row that has them can be named.
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        first = file.readline(MAX_LINE)
        if not first.strip():
            raise InvalidInputError(f"{path.name} is empty: a line with the columns' names is needed")
        delimiter = (
            "\t" if path.suffix.lower() == ".tsv" else max(",;\t|", key=lambda one: (first.count(one), one == ","))
        )
        file.seek(0)
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        header = _header(path, reader)
        while True:
            place = f"line {reader.line_num + 1}"
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield BadRow(place=place, problem=f"is no CSV ({error})")
                continue
            if not cells:
                continue
            if len(cells) != len(header):
                yield BadRow(place=place, problem=f"has {len(cells)} cells where the header has {len(header)} columns")
                continue
            yield _csv_row(place, header, cells, text_columns)


def _header(path: Path, reader: Iterator[list[str]]) -> tuple[str, ...]:
    try:
        header = tuple(name.strip() for name in next(reader))
    except csv.Error as error:
        raise InvalidInputError(f"{path.name}: line 1 is no CSV ({error})") from None
    if any(_SURROGATE.search(name) for name in header):
        raise InvalidInputError(f"{path.name}: line 1 is not UTF-8; save the file as UTF-8")
    if "" in header:
        raise InvalidInputError(f"{path.name}: column {header.index('') + 1} has no name")
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise InvalidInputError(f"{path.name} has two columns named {twice[0]!r}; rename one")
    for name in header:
        parts = name.split(".")
        if "" in parts:
            raise InvalidInputError(f"{path.name}: the column {name!r} begins, ends or repeats a dot; rename it")
        above = next((".".join(parts[:n]) for n in range(1, len(parts)) if ".".join(parts[:n]) in header), None)
        if above is not None:
            raise InvalidInputError(f"{path.name}: {name!r} would be a part of the column {above!r}; rename one")
    return header


def _csv_row(place: str, header: tuple[str, ...], cells: Sequence[str], text_columns: frozenset[str]) -> Row | BadRow:
    texts: dict[str, Any] = {}
    others: dict[str, str | None] = {}
    for name, cell in zip(header, cells, strict=True):
        if _SURROGATE.search(cell):
            return BadRow(place=place, problem=f"column {name!r} is not UTF-8; save the file as UTF-8")
        if name in text_columns:
            texts[name] = cell.strip() or None
        elif _NOT_FINITE.fullmatch(cell.strip()):
            problem = f"column {name!r} says {cell.strip()!r}; leave the cell empty where the value is unknown"
            return BadRow(place=place, problem=problem)
        else:
            others[name] = cell
    return Row(place=place, values=texts | payload_from_cells(others), columns=header)


# ---- JSON lines ----


def _json_rows(path: Path) -> Iterator[Row | BadRow]:
    with path.open("rb") as file:
        number = 0
        while raw := file.readline(MAX_LINE + 1):
            number += 1
            if number == 1:
                raw = raw.removeprefix(b"\xef\xbb\xbf")
            place = f"line {number}"
            if len(raw) > MAX_LINE:
                raise InvalidInputError(f"{path.name}: {place} has more than {MAX_LINE:,} bytes; is this JSON lines?")
            if raw.strip():
                yield _json_row(place, raw)


def _json_row(place: str, raw: bytes) -> Row | BadRow:
    def refuse(name: str) -> NoReturn:
        raise ValueError(f"it holds {name}; leave the value out, or write null, where it is unknown")

    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=refuse)
    except UnicodeDecodeError:
        return BadRow(place=place, problem="is not UTF-8; save the file as UTF-8")
    except RecursionError:
        return BadRow(place=place, problem="is nested too deeply")
    except json.JSONDecodeError as error:
        return BadRow(place=place, problem=f"is no JSON ({error.msg} at column {error.colno})")
    except ValueError as error:
        return BadRow(place=place, problem=f"cannot be used: {error}")
    if not isinstance(value, dict):
        return BadRow(place=place, problem=f"must be a JSON object, found {_shown(value)}")
    return Row(place=place, values=value, columns=tuple(value))


# ---- Parquet ----


def _parquet_rows(path: Path) -> Iterator[Row | BadRow]:
    # Imported when needed: it takes a third of a second, and most commands read no Parquet.
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = file.schema_arrow.names
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise InvalidInputError(f"{path.name} has two columns named {twice[0]!r}; rename one")
            number = 0
            for batch in file.iter_batches(batch_size=1_000):
                for values in batch.to_pylist():
                    number += 1
                    yield _parquet_row(f"row {number}", values)
    except pa.ArrowException as error:
        raise InvalidInputError(f"{path.name} is no Parquet file that can be read: {str(error)[:200]}") from None


def _parquet_row(place: str, values: Mapping[str, Any]) -> Row | BadRow:
    try:
        known = {name: _json_value(value, name) for name, value in values.items()}
        return Row(place=place, values=known, columns=tuple(known))
    except InvalidInputError as error:
        return BadRow(place=place, problem=str(error))


def _json_value(value: Any, column: str) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float | Decimal):
        if not math.isfinite(value):
            raise InvalidInputError(f"column {column!r} holds {value}; write null where the value is unknown")
        return float(value)
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [_json_value(item, column) for item in value]
    if isinstance(value, dict):
        return {str(name): _json_value(item, column) for name, item in value.items()}
    raise InvalidInputError(f"column {column!r} holds a {type(value).__name__}, which has no JSON form")

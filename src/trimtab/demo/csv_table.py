"""A user's CSV as checked columns: what is wrong is named by row, what is left out is noted, nothing is guessed."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TextIO

from trimtab.demo.data_source import chance
from trimtab.errors import InvalidInputError

LEAST_ROWS = 300
LEAST_OF_A_LABEL = 10
MOST_LABELS = 10
MOST_CATEGORIES = 20
MOST_FEATURES = 250
MOST_ROWS = 50_000
LONGEST_LABEL = 64
LONGEST_CATEGORY = 100
# Beyond this a number is no measurement any more.
LARGEST = 1e15
# A column with at least this share of numbers is meant to be numeric; its other cells are mistakes.
NUMERIC_SHARE = 0.95

_MISSING = frozenset(("", "na", "n/a", "nan", "null", "none", "?", "-"))
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_ID_NAME = re.compile(r"(.*_)?(id|uuid|guid|key)|index|unnamed: 0|row", re.IGNORECASE)
_UNSAFE = re.compile(r"[^A-Za-z0-9_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One usable column: numbers, or one of a few texts (`categories`); None is missing."""

    name: str
    values: Sequence[float | int | str | None]
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvTable:
    """The rows that can be used, as columns."""

    items: tuple[str, ...]
    labels: tuple[str, ...]
    columns: tuple[Column, ...]
    texts: tuple[Column, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    line: int
    cells: list[str]

    def __str__(self) -> str:
        return f"row {self.number} (line {self.line})"


def read_csv(path: Path, *, label: str, seed: int, skip_bad_rows: bool) -> CsvTable:
    """Read and check a table. Raises InvalidInputError naming the thing and the way out.

    Row 1 is the first one after the header. Bad rows are refused by number, or left out and noted.
    """
    notes: list[str] = []
    header, rows, bad, total = _rows(path, seed)
    if total > len(rows) + len(bad):
        notes.append(f"{path.name} has {total:,} rows; a sample of {len(rows):,} is used.")
    answer = _label_position(path, header, label)
    for row in list(rows):
        problem = _label_problem(row.cells[answer], header[answer])
        if problem:
            bad.append((row, problem))
    rows = _without(rows, bad)
    numeric: set[int] = set()
    for position, name in enumerate(header):
        if position != answer and _is_numeric([row.cells[position] for row in rows]):
            numeric.add(position)
            bad += [
                (row, f"column {name!r} has {row.cells[position].strip()[:30]!r}, which is not a finite number")
                for row in rows
                if _number(row.cells[position]) is None and not _is_missing(row.cells[position])
            ]
    rows = _without(rows, bad)
    if bad:
        if not skip_bad_rows:
            _refuse(_bad_rows(path, bad) + " Mend them, or leave them out with --skip-bad-rows.")
        notes.append(_bad_rows(path, bad) + " They are left out.")
    labels = tuple(row.cells[answer].strip() for row in rows)
    _check_labels(path, header[answer], labels)
    items, columns, texts = _columns(header, rows, answer, numeric, notes)
    if not columns:
        _refuse(
            f"{path.name} has no column that a policy could use beside {header[answer]!r}: it takes numbers, or texts "
            f"with at most {MOST_CATEGORIES} different values. " + " ".join(notes)
        )
    return CsvTable(items=items, labels=labels, columns=columns, texts=texts, notes=tuple(notes))


def _rows(path: Path, seed: int) -> tuple[list[str], list[_Row], list[tuple[_Row, str]], int]:
    """Header, rows of the right width (a fair sample of at most MOST_ROWS), the others, and how many there are."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _read(path, file, seed)
    except UnicodeDecodeError:
        _refuse(f"{path} is not UTF-8 text: save it as CSV in UTF-8.")
    except OSError as error:
        _refuse(f"{path} cannot be read ({error.strerror}): name a CSV file.")


def _read(path: Path, file: TextIO, seed: int) -> tuple[list[str], list[_Row], list[tuple[_Row, str]], int]:
    # The header decides the delimiter; a file without line ends is not read whole to find that out.
    first = file.readline(1_000_000)
    file.seek(0)
    reader = csv.reader(file, delimiter=max(",;\t|", key=first.count), strict=True)
    rows: list[_Row] = []
    bad: list[tuple[_Row, str]] = []
    number = 0
    header: list[str] = []
    for cells in _parsed(path, reader):
        if not header:
            header = _header(path, cells)
            continue
        number += 1
        if len(cells) != len(header):
            bad.append((_Row(number, reader.line_num, []), f"has {len(cells)} fields, the header has {len(header)}"))
        elif len(rows) < MOST_ROWS:
            rows.append(_Row(number, reader.line_num, cells))
        else:
            # Reservoir sampling: every row ends up in the sample with the same chance.
            place = int(chance(seed, "reservoir", str(number)) * number)
            if place < MOST_ROWS:
                rows[place] = _Row(number, reader.line_num, cells)
    if not header:
        _refuse(f"{path} is empty: it needs a header line and at least {LEAST_ROWS} rows.")
    return header, rows, bad, number


def _parsed(path: Path, reader: Iterator[list[str]]) -> Iterator[list[str]]:
    """The rows that are not blank; a row that is no CSV stops the reading, because what follows it is unsure."""
    number = -1
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                number += 1
                yield row
    except csv.Error as error:
        where = "the header" if number < 0 else f"row {number + 1}"
        _refuse(f"{where} of {path.name} is not valid CSV ({error}): mend its quotes.")


def _header(path: Path, cells: list[str]) -> list[str]:
    header = [cell.strip() or f"column_{position + 1}" for position, cell in enumerate(cells)]
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        _refuse(f"{path.name} has two columns named {twice[0]!r}: rename one.")
    return header


def _label_position(path: Path, header: list[str], label: str) -> int:
    if label in header:
        return header.index(label)
    alike = [position for position, name in enumerate(header) if name.casefold() == label.casefold()]
    if len(alike) == 1:
        return alike[0]
    shown = ", ".join(header[:20]) + (f" and {len(header) - 20} more" if len(header) > 20 else "")
    _refuse(
        f"{path.name} has no column {label!r}. Its columns are: {shown}. "
        "Name the one that holds the right answer with --label NAME."
    )


def _label_problem(cell: str, name: str) -> str | None:
    text = cell.strip()
    if _is_missing(text):
        return f"has no label in column {name!r}"
    if len(text) > LONGEST_LABEL or not text.isprintable():
        return f"has a label that is no short printable text: {text[:30]!r}"
    return None


def _check_labels(path: Path, name: str, labels: Sequence[str]) -> None:
    if len(labels) < LEAST_ROWS:
        _refuse(
            f"{path.name} has {len(labels)} usable rows; the demo needs at least {LEAST_ROWS}, so that a part can be "
            "kept aside and the rest lasts for the days."
        )
    counts = Counter(labels)
    if len(counts) == 1:
        _refuse(f"every row of {path.name} has the label {labels[0]!r} in {name!r}: there is nothing to decide.")
    if len(counts) > MOST_LABELS:
        _refuse(
            f"column {name!r} of {path.name} has {len(counts):,} different values; the demo takes 2 to {MOST_LABELS} "
            "labels. Choose another column with --label NAME, or group its values."
        )
    rare = min(counts, key=lambda value: (counts[value], value))
    if counts[rare] < LEAST_OF_A_LABEL:
        _refuse(
            f"label {rare!r} has {counts[rare]} rows; each label needs at least {LEAST_OF_A_LABEL}. "
            "Add rows of it, merge it with another label, or leave it out."
        )


def _columns(
    header: list[str], rows: list[_Row], answer: int, numeric: set[int], notes: list[str]
) -> tuple[tuple[str, ...], tuple[Column, ...], tuple[Column, ...]]:
    """Item ids, usable columns and the texts that only reviewers see; adds what was left out to `notes`."""
    items = tuple(f"row-{row.number}" for row in rows)
    columns: list[Column] = []
    texts: list[Column] = []
    names: set[str] = set()
    found_id = False
    for position, title in enumerate(header):
        if position == answer:
            continue
        cells = [row.cells[position].strip() for row in rows]
        present = [cell for cell in cells if not _is_missing(cell)]
        different = set(present)
        if len(different) < 2:
            notes.append(f"Column {title!r} is ignored: it never changes.")
        elif _ID_NAME.fullmatch(title) or (position not in numeric and len(different) == len(rows)):
            if len(different) == len(rows) and not found_id:
                items, found_id = tuple(cells), True
                notes.append(f"Column {title!r} is taken as the item's id.")
            else:
                notes.append(f"Column {title!r} is ignored: it looks like an identifier.")
                texts.append(Column(name=title, values=cells))
        elif len(columns) == MOST_FEATURES:
            notes.append(f"Column {title!r} is ignored: the demo takes {MOST_FEATURES} columns.")
        elif position in numeric:
            columns.append(Column(name=_safe(title, names, notes), values=_numbers(cells)))
        elif len(different) > MOST_CATEGORIES or max(map(len, different)) > LONGEST_CATEGORY:
            notes.append(
                f"Column {title!r} is ignored by policies and shown to reviewers: it is text with {len(different):,} "
                f"different values (at most {MOST_CATEGORIES} of {LONGEST_CATEGORY} characters make categories)."
            )
            texts.append(Column(name=title, values=cells))
        else:
            columns.append(
                Column(
                    name=_safe(title, names, notes),
                    values=[None if _is_missing(cell) else " ".join(cell.split()) for cell in cells],
                    categories=tuple(sorted({" ".join(cell.split()) for cell in different})),
                )
            )
    return items, tuple(columns), tuple(texts)


def _safe(title: str, names: set[str], notes: list[str]) -> str:
    """A name of letters, digits and underscores, as features have; a change is noted."""
    base = _UNSAFE.sub("_", title).strip("_")[:50] or "column"
    base = f"_{base}" if base[0].isdigit() else base
    # Bundles use that ending for the coefficient of an unknown value.
    base = f"{base}_" if base.endswith("__missing") else base
    name, copy = base, 1
    while name in names:
        copy += 1
        name = f"{base}_{copy}"
    names.add(name)
    if name != title:
        notes.append(f"Column {title!r} is called {name!r} here.")
    return name


def _numbers(cells: Sequence[str]) -> list[float | int | None]:
    values = [_number(cell) for cell in cells]
    if all(value is None or value.is_integer() for value in values):
        return [None if value is None else int(value) for value in values]
    return list(values)


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    # A NaN fails both comparisons; Python alone reads "1_000" as a number.
    return value if -LARGEST <= value <= LARGEST and "_" not in cell else None


def _is_missing(cell: str) -> bool:
    return cell.strip().casefold() in _MISSING


def _is_numeric(cells: Sequence[str]) -> bool:
    present = [cell for cell in cells if not _is_missing(cell)]
    # An infinite cell was meant as a number: it makes its row bad, not its column text.
    numbers = sum(_number(cell) is not None or _INFINITE.fullmatch(cell.strip()) is not None for cell in present)
    return numbers > 0 and numbers >= NUMERIC_SHARE * len(present)


def _without(rows: list[_Row], bad: Sequence[tuple[_Row, str]]) -> list[_Row]:
    numbers = {row.number for row, _ in bad}
    return [row for row in rows if row.number not in numbers]


def _bad_rows(path: Path, bad: Sequence[tuple[_Row, str]]) -> str:
    first: dict[int, str] = {}
    for row, problem in sorted(bad, key=lambda entry: entry[0].number):
        first.setdefault(row.number, f"{row} {problem}")
    shown = "; ".join(list(first.values())[:5])
    more = f"; and {len(first) - 5:,} more" if len(first) > 5 else ""
    return f"{len(first):,} bad row{'s' if len(first) > 1 else ''} in {path.name}: {shown}{more}."


def _refuse(message: str) -> NoReturn:
    raise InvalidInputError(message)

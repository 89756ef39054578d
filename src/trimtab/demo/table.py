"""A user's own table as demo data: `trimtab demo --data FILE.csv`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from trimtab.demo.csv_table import Column, CsvTable, read_csv
from trimtab.demo.data_source import CodeJudge, Split, StartingRules, deal_days, split_by_key
from trimtab.demo.stumps import Kind, Stump, stump_rules, stumps
from trimtab.demo.table_judges import table_judges
from trimtab.errors import InvalidInputError

HISTORY = 400
HISTORY_SHARE = 0.15
KEPT_ASIDE = 1000
KEPT_ASIDE_SHARE = 0.2
_SHOWN_COLUMNS = 40
_SHOWN_TEXT = 300


@dataclass(frozen=True, kw_only=True)
class TableData:
    """The usable rows of a CSV, split by a seed; satisfies `DemoData`."""

    name: str
    labels: tuple[str, ...]
    notes: tuple[str, ...] = field(repr=False)
    table: CsvTable = field(repr=False)
    seed: int
    split: Split = field(repr=False)
    keys: tuple[str, ...] = field(repr=False)
    ranked: tuple[Stump, ...] = field(repr=False)

    @property
    def items(self) -> Sequence[str]:
        """The id of every row: its id column, or `row-N`."""
        return self.table.items

    @cached_property
    def features(self) -> tuple[str, ...]:
        """The names of the usable columns."""
        return tuple(column.name for column in self.table.columns)

    def payload(self, i: int) -> dict[str, Any]:
        """The usable columns of row `i`; a missing cell is None."""
        return {column.name: column.values[i] for column in self.table.columns}

    def label(self, i: int) -> str:
        """The row's label."""
        return self.table.labels[i]

    def key(self, i: int) -> str:
        """Rows with equal features share a key."""
        return self.keys[i]

    def text(self, i: int) -> str:
        """The row as `column: value` lines, texts first."""

        def line(column: Column) -> str:
            value = column.values[i]
            return f"{column.name}: {'(missing)' if value is None else str(value)[:_SHOWN_TEXT]}"

        columns = (*self.table.texts, *self.table.columns)
        lines = [line(column) for column in columns[:_SHOWN_COLUMNS]]
        if len(columns) > _SHOWN_COLUMNS:
            lines.append(f"… and {len(columns) - _SHOWN_COLUMNS} more columns")
        return "\n".join(lines)

    def judges(self) -> tuple[CodeJudge, ...]:
        """The five generic judges, having learned from the history only."""
        return self._judges

    @cached_property
    def _judges(self) -> tuple[CodeJudge, ...]:
        payloads, truth = _history(self.table, self.split)
        return table_judges(_kinds(self.table), self.ranked, payloads, truth)

    def starting_rules(self) -> StartingRules:
        """The best rule on one feature of the history, as the champion to beat."""
        return stump_rules(self.ranked[0], len(self.split.history))

    def days(self, count: int, first_weekday: int = 0) -> tuple[tuple[int, ...], ...]:
        """The stream dealt to days."""
        return deal_days(self.split.stream, count, seed=self.seed, first_weekday=first_weekday)

    def spec_mapping(self) -> dict[str, Any]:
        """An agent spec for this table, as the document that `AgentSpec.from_mapping` takes."""
        slug = re.sub(r"[^a-z0-9]+", "_", self.name.lower()).strip("_")[:50]
        return {
            "agent": slug if slug[:1].isalpha() else f"table_{slug}".rstrip("_"),
            "description": f"Decides the label of a row of {self.name}.",
            "labels": list(self.labels),
            "features": [
                {"name": c.name, "path": c.name, "kind": "category", "categories": list(c.categories)}
                if c.categories
                else {"name": c.name, "path": c.name, "kind": "number"}
                for c in self.table.columns
            ],
        }


def load_table(path: Path | str, *, label: str = "label", seed: int = 0, skip_bad_rows: bool = False) -> TableData:
    """Read a CSV with a header and a column of right answers.

    Numbers and texts of at most 20 values become features, a column of unique ids names the items, the rest is ignored
    and noted. About 15 % of the rows (at most 400) become history, 20 % (at most 1,000) are kept aside.

    Raises InvalidInputError, naming the thing and the way out: no such file or column, fewer than 300 rows, one label
    or more than 10, fewer than 10 rows of a label, bad rows (by number, unless `skip_bad_rows`), nothing to learn from.
    """
    path = Path(path)
    table = read_csv(path, label=label, seed=seed, skip_bad_rows=skip_bad_rows)
    size = len(table.items)
    first: dict[tuple[Any, ...], str] = {}
    keys = tuple(
        first.setdefault(row, f"rows-{item}")
        for item, row in zip(table.items, zip(*(c.values for c in table.columns), strict=True), strict=True)
    )
    split = split_by_key(
        table.items,
        keys,
        table.labels,
        seed=seed,
        history=min(HISTORY, round(HISTORY_SHARE * size)),
        kept_aside=min(KEPT_ASIDE, round(KEPT_ASIDE_SHARE * size)),
    )
    payloads, truth = _history(table, split)
    ranked = tuple(stumps(_kinds(table), payloads, truth))
    if len(set(truth)) < 2 or not ranked:
        raise InvalidInputError(
            f"the {len(truth)} rows of {path.name} that the judges would learn from show no difference between labels: "
            "nearly all rows are equal. Give columns that tell rows apart."
        )
    notes = list(table.notes)
    if len(first) < size:
        notes.append(f"{size - len(first):,} rows repeat another row's values; equal rows are never split up.")
    if ranked[0].accuracy >= 0.995:
        notes.append(
            f"{ranked[0].condition()!r} alone gives the label on {ranked[0].accuracy:.1%} of the history: "
            f"is {ranked[0].feature!r} the answer in disguise?"
        )
    return TableData(
        name=path.stem,
        labels=tuple(sorted(set(table.labels))),
        notes=tuple(notes),
        table=table,
        seed=seed,
        split=split,
        keys=keys,
        ranked=ranked,
    )


def _kinds(table: CsvTable) -> list[Kind]:
    return [Kind(name=column.name, categories=column.categories) for column in table.columns]


def _history(table: CsvTable, split: Split) -> tuple[list[dict[str, Any]], list[str]]:
    payloads = [{column.name: column.values[i] for column in table.columns} for i in split.history]
    return payloads, [table.labels[i] for i in split.history]

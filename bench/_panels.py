"""The 22 panels of judges and crowds: who said what about which item, and the human answer."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.common import data_folder
from trimtab.core.judges.verdicts import JudgeVersion, VerdictTable

Row = dict[str, str]
CROWDS = ("bluebird", "dog", "face_sentiment", "music_genre", "product", "sentiment_polarity")


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A verdict table with the human label of every item, (n_items,)."""

    name: str
    table: VerdictTable
    gold: NDArray[np.int32]


def panels() -> list[Panel]:
    """All panels, in a fixed order; a set that is not in the data folder is left out."""
    found: list[Panel] = []
    found += _split(
        "judges/llmbar",
        {
            "llmbar/all65": _every,
            "llmbar/nonrating": lambda row: "Rating" not in row["judge"],
            "llmbar/vanilla6": lambda row: row["judge"].endswith("/Vanilla"),
        },
    )
    found += _split("judges/llmbar_casestudy", {"llmbar_casestudy/all30": _every})
    found += _split("judges/judgebench_gpt4o", {"judgebench/6": _every})
    found += _split("judges/pandalm", {"pandalm/2": _every})
    tasks = sorted({row["task"] for row in _read("judges/css_zero_shot/humans.csv")})
    found += _split("judges/css_zero_shot", {f"css/{task}": _of_task(task) for task in tasks})
    for crowd in CROWDS:
        found += _split(f"crowd/{crowd}", {f"crowd/{crowd}": _every})
    return found


def _every(row: Row) -> bool:
    return bool(row)


def _of_task(task: str) -> Callable[[Row], bool]:
    return lambda row: row["task"] == task


def _read(path: str) -> list[Row]:
    file = data_folder() / path
    if not file.exists():
        return []
    with file.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def _split(folder: str, parts: dict[str, Callable[[Row], bool]]) -> list[Panel]:
    verdicts, humans = _read(f"{folder}/judges.csv"), _answers(_read(f"{folder}/humans.csv"))
    verdicts = [row for row in verdicts if row["verdict"] and row["item_id"] in humans]
    return [_panel(name, [row for row in verdicts if keep(row)], humans) for name, keep in parts.items() if verdicts]


def _answers(rows: list[Row]) -> dict[str, str]:
    """One answer per item: the majority of its annotators; without one, "tie" if said, else the first in order."""
    said: dict[str, Counter[str]] = {}
    for row in rows:
        said.setdefault(row["item_id"], Counter())[row["label"]] += 1
    answers = {}
    for item, counts in said.items():
        top = max(counts.values())
        first = sorted(label for label, n in counts.items() if n == top)
        answers[item] = "tie" if len(first) > 1 and "tie" in counts else first[0]
    return answers


def _panel(name: str, rows: list[Row], humans: dict[str, str]) -> Panel:
    items = sorted({row["item_id"] for row in rows})
    judges = sorted({row["judge"] for row in rows})
    labels = sorted({row["verdict"] for row in rows} | {humans[item] for item in items})
    item_at, judge_at, label_at = ({value: i for i, value in enumerate(values)} for values in (items, judges, labels))
    table = VerdictTable.from_columns(
        decisions=items,
        judges=[JudgeVersion(judge=judge, version="1") for judge in judges],
        labels=labels,
        item=[item_at[row["item_id"]] for row in rows],
        judge=[judge_at[row["judge"]] for row in rows],
        label=[label_at[row["verdict"]] for row in rows],
        confidence=[float(row["confidence"]) if row.get("confidence") else np.nan for row in rows],
    )
    return Panel(name=name, table=table, gold=table.gold_of(humans))

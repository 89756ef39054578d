"""What every benchmark shares: where the data are, how a target is written, how tables look."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent


def data_folder() -> Path:
    """The real data sets: TRIMTAB_DATA, else ../shared/data beside the project. Raises FileNotFoundError saying so."""
    folder = Path(os.environ.get("TRIMTAB_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder}: no data sets there; set TRIMTAB_DATA to the folder with judges/ and triage/"
        )
    return folder


def load_features(name: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Features (rows, columns) and labels (rows,) of triage/<name>/features.csv; labels are numbered in sorted
    order."""
    with (data_folder() / "triage" / name / "features.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    columns = [c for c in rows[0] if c not in ("item_id", "label")]
    x = np.array([[float(r[c] or 0.0) for c in columns] for r in rows])
    labels = sorted({r["label"] for r in rows})
    return x, np.array([labels.index(r["label"]) for r in rows])


@dataclass
class Report:
    """One benchmark's figures, collected in the order in which they are stated."""

    name: str
    targets: list[dict[str, Any]] = field(default_factory=list)
    tables: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def target(self, name: str, value: float | None, target: str, ok: bool) -> None:
        """State one figure and whether it meets its target; one not measured (None, not finite) never does."""
        known = value is not None and math.isfinite(value)
        rounded = float(f"{float(value):.6g}") if value is not None and known else None
        self.targets.append({"name": name, "value": rounded, "target": target, "ok": bool(ok and known)})

    def at_most(self, name: str, value: float, limit: float) -> None:
        """State a figure that must not exceed `limit`."""
        self.target(name, value, f"<= {limit:g}", value <= limit)

    def at_least(self, name: str, value: float, limit: float) -> None:
        """State a figure that must reach `limit`."""
        self.target(name, value, f">= {limit:g}", value >= limit)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Add a table; cells are numbers or text."""
        self.tables.append({"title": title, "columns": list(columns), "rows": [[_cell(v) for v in r] for r in rows]})

    def note(self, text: str) -> None:
        """Say what a reader of the figures must know, such as why a target is not met."""
        self.notes.append(text)

    def result(self) -> dict[str, Any]:
        """The benchmark's answer: one JSON object."""
        return {
            "name": self.name,
            "targets": self.targets,
            "ok": bool(self.targets) and all(t["ok"] for t in self.targets),
            "tables": self.tables,
            "notes": self.notes,
        }


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, str | bool | int):
        return value
    number = float(value)
    if not abs(number) < 1e15:
        return "never"
    return round(number, 4) if number == 0 or abs(number) >= 1e-3 else float(f"{number:.2g}")


def in_chunks(replications: int, size: int, run: Callable[[int, np.random.Generator], Any], seed: int) -> list[Any]:
    """`run(count, rng)` for chunks that add up to `replications`, each with its own seeded generator: flat memory."""
    found = []
    for i, start in enumerate(range(0, replications, size)):
        found.append(run(min(size, replications - start), np.random.default_rng([seed, i])))
    return found


def percent(share: float) -> str:
    """A share in words for a table."""
    return f"{100 * share:.1f} %"

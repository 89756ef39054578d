"""Plots of the benchmarks' tables, as small SVG files that read on light and on dark pages."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

INK = "#808080"  # mid-grey: enough contrast on white and on black
COLOURS = ("#3b8bd0", "#e0862e", "#4aa56a", "#b565a7")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """Which columns of which table become grouped bars: one group a row, one bar a value column."""

    bench: str
    table: str  # how the table's title begins
    names: tuple[str, ...]  # columns that together name a row
    values: tuple[str, ...]
    title: str
    axis: str
    logarithmic: bool = False


PLOTS = (
    Plot(
        bench="guard",
        table="Quality 0.85",
        names=("rule",),
        values=("A/A: RB", "A/A: PR", "-5 pt: PR"),
        title="Wrong decisions: nothing changed, and 5 points lost",
        axis="share of rollouts, %",
    ),
    Plot(
        bench="ramp",
        table="10 % then 50 %",
        names=("case",),
        values=("stratified: RB", "pooled: RB"),
        title="Rolled back over a ramp, stratified by step or pooled",
        axis="share of rollouts, %",
    ),
    Plot(
        bench="paired",
        table="Real tasks",
        names=("task", "rule"),
        values=("decisions", "labels"),
        title="To the verdict on real tasks, median",
        axis="count, logarithmic",
        logarithmic=True,
    ),
    Plot(
        bench="judges",
        table="Consensus with 10%",
        names=("panel",),
        values=("consensus", "majority vote"),
        title="Accuracy with 10 % human labels, by panel",
        axis="accuracy on the other items",
    ),
    Plot(
        bench="calibration",
        table="Held-out",
        names=("set", "labels"),
        values=("ECE, map", "ECE, constant", "ECE, stated"),
        title="Calibration error of judges' confidences",
        axis="expected calibration error",
    ),
    Plot(
        bench="sampling",
        table="Labels to 99 %",
        names=("data", "who picks"),
        values=("median",),
        title="Labels to 99 % of full-data accuracy, median",
        axis="labels (no bar: never within 400)",
    ),
    Plot(
        bench="training",
        table="Real tables",
        names=("data", "who"),
        values=("log loss",),
        title="Log loss of rows that the model did not see",
        axis="nats, logarithmic; less is better",
        logarithmic=True,
    ),
    Plot(
        bench="replay",
        table="Logistic bundles",
        names=("what",),
        values=("decisions a second",),
        title="Replay of logged decisions, one core",
        axis="decisions a second, logarithmic",
        logarithmic=True,
    ),
)


def number(cell: Any) -> float | None:
    """A cell as a number: "1.8 %" is 1.8; words and blanks are None, which draws no bar."""
    if isinstance(cell, bool) or cell is None:
        return None
    if isinstance(cell, int | float):
        return float(cell)
    try:
        return float(str(cell).removesuffix("%").strip())
    except ValueError:
        return None


def draw(results: list[dict[str, Any]], folder: Path) -> dict[str, str] | None:
    """Writes `<bench>.svg` for each benchmark that has a plot; gives their titles, None without matplotlib."""
    if not find_spec("matplotlib"):
        return None
    folder.mkdir(parents=True, exist_ok=True)
    by_name = {r["name"]: r for r in results}
    drawn = {}
    for plot in PLOTS:
        tables = by_name.get(plot.bench, {}).get("tables", [])
        table = next((t for t in tables if t["title"].startswith(plot.table)), None)
        if table is not None and {*plot.names, *plot.values} <= set(table["columns"]):
            _bars(plot, table, folder / f"{plot.bench}.svg")
            drawn[plot.bench] = plot.title
    return drawn


def _bars(plot: Plot, table: dict[str, Any], path: Path) -> None:
    matplotlib = import_module("matplotlib")
    matplotlib.use("svg")
    style = {
        "svg.fonttype": "none",  # text stays text: small, and searchable
        "svg.hashsalt": plot.bench,  # the same figures give the same file
        "font.size": 9,
        "text.color": INK,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
    }
    places = [table["columns"].index(name) for name in plot.names]
    names = [", ".join(str(row[i]) for i in places) for row in table["rows"]]
    with matplotlib.rc_context(style):
        figure, axes = import_module("matplotlib.pyplot").subplots(figsize=(7.5, 0.9 + 0.3 * len(names)))
        height, drawn = 0.8 / len(plot.values), []
        for i, column in enumerate(plot.values):
            cells = [number(row[table["columns"].index(column)]) for row in table["rows"]]
            drawn += [c for c in cells if c is not None and c > 0]
            at = [row - 0.4 + (i + 0.5) * height for row, cell in enumerate(cells) if cell is not None]
            bars = axes.barh(at, [c for c in cells if c is not None], height, color=COLOURS[i], label=column)
            axes.bar_label(bars, fmt="{:.4g}", padding=2, fontsize=7, color=INK)
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set_xlabel(plot.axis)
        axes.margins(x=0.08)
        axes.set_title(plot.title, fontsize=10, loc="left")
        if plot.logarithmic:
            axes.set_xscale("log")
            axes.set_xlim(left=10 ** math.floor(math.log10(min(drawn)) - 0.01) if drawn else None)
        if len(plot.values) > 1:
            axes.legend(frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(1.0, 0.0))
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        figure.savefig(path, transparent=True, bbox_inches="tight", metadata={"Date": None})
        import_module("matplotlib.pyplot").close(figure)

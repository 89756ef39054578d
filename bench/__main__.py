"""`python -m bench NAME [--quick] [--json]`, `python -m bench all --markdown docs/benchmarks.md`.

A benchmark is a module of this package with `run(quick: bool) -> dict`; its name is the module's, with dashes. Results
go to stdout, progress to stderr.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import pkgutil
import platform
import sys
import time
from datetime import UTC, date, datetime
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import bench
from bench import _gbstats, _plots

_SHARED = frozenset({"__main__", "common", "vector", "rivals"})
RIVALS = {  # what the page lacks without them
    "matplotlib": "no plots",
    "crowdkit": "no crowd aggregators beside the consensus",
    "skactiveml": "no active learning library beside the sampling",
    "ppi_py": "PPI++ is not compared with its authors' code",
    "gbstats": "its test is restated only, not compared with its own code",
}


def names() -> list[str]:
    """Every benchmark, by name."""
    found = [
        m.name for m in pkgutil.iter_modules(bench.__path__) if m.name not in _SHARED and not m.name.startswith("_")
    ]
    return sorted(
        n.replace("_", "-")
        for n in found
        if "def run(" in Path(bench.__path__[0], f"{n}.py").read_text(encoding="utf-8")
    )


def run(name: str, *, quick: bool) -> dict[str, Any]:
    """Run one benchmark; adds how long it took."""
    module = importlib.import_module(f"bench.{name.replace('-', '_')}")
    start = time.perf_counter()
    found: dict[str, Any] = module.run(quick)
    return {**found, "quick": quick, "seconds": round(time.perf_counter() - start, 1)}


def text(result: dict[str, Any], picture: str | None = None) -> str:
    """One benchmark as Markdown; `picture` is the Markdown of its plot."""
    lines = [f"## {result['name']}", ""]
    lines += ["| target | measured | asked | met |", "|---|---|---|---|"]
    for t in result["targets"]:
        value = "not measured" if t["value"] is None else f"{t['value']:g}"
        lines.append(f"| {t['name']} | {value} | {t['target']} | {'yes' if t['ok'] else '**no**'} |")
    for note in result.get("notes", []):
        lines += ["", note]
    if picture:
        lines += ["", picture]
    for table in result.get("tables", []):
        lines += ["", f"**{table['title']}**", "", "| " + " | ".join(map(str, table["columns"])) + " |"]
        lines.append("|" + "---|" * len(table["columns"]))
        lines += ["| " + " | ".join("" if v is None else str(v) for v in row) + " |" for row in table["rows"]]
    return "\n".join([*lines, "", f"{result.get('seconds', '?')} s{', quick' if result.get('quick') else ''}", ""])


def machine() -> str:
    """What the figures were measured on."""
    info = Path("/proc/cpuinfo")
    models = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    cpu = (models[0] if models else platform.processor()) if info.exists() else platform.processor()
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "scipy", "scikit-learn"))
    return f"{os.cpu_count()} cores, {cpu or platform.machine()}; Python {platform.python_version()}, {packages}"


def document(results: list[dict[str, Any]], pictures: dict[str, str] | None, day: date) -> str:
    """All benchmarks as one page; `pictures`: titles of the plots by benchmark, None without matplotlib."""
    met = sum(t["ok"] for r in results for t in r["targets"])
    total = sum(len(r["targets"]) for r in results)
    missed = [
        f"- {r['name']}: {t['name']}: {t['value']} ({t['target']})"
        for r in results
        for t in r["targets"]
        if not t["ok"]
    ]
    quick = any(r.get("quick") for r in results)
    absent = [f"{package} is not installed here: {what}." for package, what in RIVALS.items() if not _present(package)]
    head = [
        "# Benchmarks",
        "",
        "Every figure below comes from one run of `make bench`, which writes this page. One benchmark alone:",
        "`.venv/bin/python -m bench NAME`; `--quick` answers roughly within a minute, `--json` is for programs.",
        f"The names are {', '.join(r['name'] for r in results)}.",
        "",
        "Real data sets are read from `TRIMTAB_DATA`. Rivals run beside ours on the same data: with their own code",
        "where it is installed (`pip install -e '.[bench]'`; gbstats needs an older numpy and gets an environment of",
        "its own, `bench/.venv-rivals`), otherwise re-stated from their papers or documentation.",
        *absent,
        "",
        f"{day.isoformat()}, {machine()}{', quick run' if quick else ''}. **{met} of {total} targets met.**",
        "",
        *(["Not met:", "", *missed, ""] if missed else []),
    ]
    shown = pictures or {}
    parts = [
        text(r, f"![{shown[r['name']]}](benchmarks/{r['name']}.svg)" if r["name"] in shown else None) for r in results
    ]
    return "\n".join(head) + "\n" + "\n".join(parts)


def _present(package: str) -> bool:
    return find_spec(package) is not None or (package == "gbstats" and _gbstats.OWN.exists())


def as_json(result: dict[str, Any]) -> str:
    """One benchmark for programs: its targets and nothing else."""
    return json.dumps({name: result[name] for name in ("name", "targets", "ok")})


def main() -> int:
    """Exit code 0 when every target is met, 1 when one is not, 2 for an unknown benchmark."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Every speed and statistical claim, runnable.")
    parser.add_argument("name", help=f"one of: all, {', '.join(names())}")
    parser.add_argument("--quick", action="store_true", help="end within about a minute, with wider error")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line and benchmark, nothing else")
    parser.add_argument("--markdown", type=Path, help="write the page here, and its plots into a folder of that name")
    given = parser.parse_args()
    if given.name != "all" and given.name not in names():
        print(f"no benchmark {given.name!r}; there are: all, {', '.join(names())}", file=sys.stderr)
        return 2
    results = []
    for name in names() if given.name == "all" else [given.name]:
        print(f"{name} …", file=sys.stderr, flush=True)
        result = run(name, quick=given.quick)
        met = sum(t["ok"] for t in result["targets"])
        print(f"{name}: {met} of {len(result['targets'])}, {result['seconds']} s", file=sys.stderr, flush=True)
        results.append(result)
        print(as_json(result) if given.json else text(result), flush=True)
    if given.markdown:
        pictures = _plots.draw(results, given.markdown.with_suffix(""))
        today = datetime.now(tz=UTC).date()
        given.markdown.write_text(document(results, pictures, today), encoding="utf-8")
    return 0 if all(r["ok"] for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())

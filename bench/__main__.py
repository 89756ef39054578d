"""`python -m bench NAME [--quick] [--json]`, `python -m bench all --markdown docs/benchmarks.md`.

A benchmark is a module of this package with `run(quick: bool) -> dict`; its name is the module's, with dashes.
"""

from __future__ import annotations

import argparse
import importlib
import json
import pkgutil
import platform
import sys
import time
from pathlib import Path
from typing import Any

import bench

_SHARED = frozenset({"__main__", "common", "vector", "rivals"})


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


def text(result: dict[str, Any]) -> str:
    """One benchmark as Markdown."""
    lines = [f"## {result['name']}", ""]
    lines += ["| target | measured | asked | met |", "|---|---|---|---|"]
    for t in result["targets"]:
        value = "not measured" if t["value"] is None else f"{t['value']:g}"
        lines.append(f"| {t['name']} | {value} | {t['target']} | {'yes' if t['ok'] else '**no**'} |")
    for table in result.get("tables", []):
        lines += ["", f"**{table['title']}**", "", "| " + " | ".join(map(str, table["columns"])) + " |"]
        lines.append("|" + "---|" * len(table["columns"]))
        lines += ["| " + " | ".join("" if v is None else str(v) for v in row) + " |" for row in table["rows"]]
    return "\n".join([*lines, "", f"{result.get('seconds', '?')} s{', quick' if result.get('quick') else ''}", ""])


def document(results: list[dict[str, Any]]) -> str:
    """All benchmarks as one page."""
    met = sum(t["ok"] for r in results for t in r["targets"])
    total = sum(len(r["targets"]) for r in results)
    missed = [
        f"- {r['name']}: {t['name']}: {t['value']} ({t['target']})"
        for r in results
        for t in r["targets"]
        if not t["ok"]
    ]
    head = [
        "# Benchmarks",
        "",
        "Written by `python -m bench all --markdown docs/benchmarks.md`; every figure below comes from that run.",
        "Rivals are re-stated from their papers or documentation and run on the same data in the same process.",
        "",
        f"Python {platform.python_version()}, {platform.machine()}. **{met} of {total} targets met.**",
        "",
        *(["Not met:", "", *missed, ""] if missed else []),
    ]
    return "\n".join(head) + "\n" + "\n".join(text(r) for r in results)


def main() -> int:
    """Exit code 0 when every target is met, 1 when one is not, 2 for an unknown benchmark."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Every speed and statistical claim, runnable.")
    parser.add_argument("name", help=f"one of: all, {', '.join(names())}")
    parser.add_argument("--quick", action="store_true", help="end within about a minute, with wider error")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--markdown", type=Path, help="write the page here")
    given = parser.parse_args()
    if given.name != "all" and given.name not in names():
        print(f"no benchmark {given.name!r}; there are: all, {', '.join(names())}", file=sys.stderr)
        return 2
    results = []
    for name in names() if given.name == "all" else [given.name]:
        result = run(name, quick=given.quick)
        results.append(result)
        if not given.json:
            print(text(result), flush=True)
    ok = all(r["ok"] for r in results)
    if given.json:
        print(json.dumps(results[0] if given.name != "all" else {"name": "all", "ok": ok, "benchmarks": results}))
    if given.markdown:
        given.markdown.write_text(document(results), encoding="utf-8")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())

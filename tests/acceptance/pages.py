"""The documentation's fenced blocks, taken from the page itself, and comparing what it shows with what really comes."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from trimtab.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
DATA = Path(os.environ.get("TRIMTAB_DATA") or ROOT.parent / "shared" / "data")

_FENCE = re.compile(r"^(?:<!-- (?P<mark>.+?) -->\n)?```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_ID = re.compile(r"\b(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{64}|[0-9a-f]{12})\b")
_DATE = re.compile(r"\b\d{4}-\d\d-\d\d( \d\d:\d\d)?\b")
_NUMBER = re.compile(r"(?<![\w.])[+-]?\d[\d,]*(?:\.\d+)?(?![\w])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """One fenced block: the comment right above it, the language behind the backticks, the text."""

    mark: str
    kind: str
    text: str

    @property
    def lines(self) -> list[str]:
        return [line for line in self.text.splitlines() if line.strip()]


def fences(page: str, *, kind: str | None = None, mark: str | None = None) -> list[Fence]:
    """A page's fenced blocks, those of one language or with one comment only where that is asked for."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = [Fence(mark=m["mark"] or "", kind=m["kind"], text=m["text"]) for m in _FENCE.finditer(text)]
    return [one for one in found if (kind is None or one.kind == kind) and (mark is None or one.mark == mark)]


def data_set(path: str) -> Path:
    """A public data set's file; the test is skipped, and says so, where it is not at hand."""
    if not (DATA / path).is_file():
        pytest.skip(f"the data set {path} is not at hand; name the folder that has it with TRIMTAB_DATA")
    return DATA / path


def run(line: str) -> Result:
    """Run one command line as it stands on a page."""
    program, *arguments = shlex.split(line)
    assert program == "trimtab", line
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "400"})


def shown(result: Result) -> str:
    """What a person sees of a command: its output and its error line."""
    return result.stdout + result.stderr


def missing_lines(page: str, real: str) -> list[str]:
    """The page's lines that the real output does not have.

    Ids and times are others in each run. Figures may differ a little, as another processor's arithmetic does: by 0.03,
    or by a tenth. A line that ends in an ellipsis is compared up to it.
    """
    there = [_pattern(line) for line in real.splitlines()]
    return [line for line in page.splitlines() if line.strip() and not _found(line, there)]


def _found(line: str, there: list[tuple[str, list[float]]]) -> bool:
    text, numbers = _pattern(line.removesuffix("…"))
    cut = line.endswith("…")
    return any(
        (other.startswith(text) if cut else other == text)
        and all(_near(a, b) for a, b in zip(numbers, others, strict=not cut))
        for other, others in there
    )


def _pattern(line: str) -> tuple[str, list[float]]:
    text = " ".join(_DATE.sub("DATE", _ID.sub("ID", line)).split())
    return _NUMBER.sub("#", text), [float(one.replace(",", "")) for one in _NUMBER.findall(text)]


def _near(a: float, b: float) -> bool:
    return abs(a - b) <= max(0.03, 0.1 * max(abs(a), abs(b)))

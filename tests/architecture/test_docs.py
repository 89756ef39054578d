from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), *sorted(ROOT.glob("*.md"))]
LAYERS = [
    "cli", "demo", "server", "jobs", "embedded", "bootstrap", "services", "store", "analytics", "plugins",
    "core", "sdk", "clock", "settings", "errors",
]  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_to_a_file_finds_it(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_architecture_page_says_which_layers_are_not_built_yet() -> None:
    source = ROOT / "src" / "trimtab"
    # A package that holds nothing but its docstring is a plan, not a layer.
    missing = [
        layer
        for layer in LAYERS
        if not any(
            len(ast.parse(path.read_text(encoding="utf-8")).body) > 1
            for path in [*source.glob(f"{layer}.py"), *source.glob(f"{layer}/**/*.py")]
        )
    ]
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    said = re.search(r"^Not built yet: (.*)\.$", page, re.MULTILINE)
    assert said is not None
    assert said.group(1) == (", ".join(missing) or "nothing"), "docs/architecture.md: correct the line 'Not built yet'"


def test_every_make_target_that_the_guide_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)\b(?= {2,}|`)", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")))
    assert named - targets == set()
    assert named

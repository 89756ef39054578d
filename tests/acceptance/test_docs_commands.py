from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from tests.acceptance.pages import DOCS, ROOT

from trimtab.cli.app import app
from trimtab.core.guard import ReasonCode
from trimtab.settings import documented

# Written by people; the reference pages are written from the code, and decisions tell of their own time.
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md")), *sorted((DOCS / "howto").glob("*.md"))]
_INLINE = re.compile(r"`(trimtab [^`\n]+)`")
_LINE = re.compile(r"^(?:\$ )?(trimtab .+)$", re.MULTILINE)
# Variables that are no setting of the loop: the SDK's own, and those of the tests.
OTHERS = {"TRIMTAB_URL", "TRIMTAB_API_KEY", "TRIMTAB_DATA", "TRIMTAB_TEST_POSTGRES_URL", "TRIMTAB_REQUIRE_ALL"}


def _named(page: Path) -> Iterator[str]:
    text = page.read_text(encoding="utf-8")
    yield from _INLINE.findall(text)
    yield from (line.partition("  #")[0] for line in _LINE.findall(text))


def _problem(line: str) -> str | None:
    """What is wrong with a command of a page; words in capitals stand for something, and end the comparison."""
    found: Any = typer.main.get_command(app)
    for word in shlex.split(line.replace("…", "X"))[1:]:
        if word.startswith("--"):
            options = {name for one in found.params for name in one.opts} | {"--help"}
            if word.partition("=")[0] not in options:
                return f"{line}: no option {word}"
        elif hasattr(found, "get_command"):
            if word.isupper():
                return None
            inner = found.get_command(None, word)
            if inner is None:
                return f"{line}: no command {word}"
            found = inner
    return None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_and_option_that_a_page_names_exists(page: Path) -> None:
    assert [problem for line in _named(page) if (problem := _problem(line))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_setting_that_a_page_names_exists(page: Path) -> None:
    named = set(re.findall(r"\bTRIMTAB_[A-Z_]+\b", page.read_text(encoding="utf-8")))
    assert named - {name for name, *_ in documented()} - OTHERS == set()


def test_the_runbook_explains_every_reason_of_the_guard() -> None:
    named = set(re.findall(r"^\|(.+?)\|", (DOCS / "runbook.md").read_text(encoding="utf-8"), re.MULTILINE))
    explained = {code for cell in named for code in re.findall(r"`(\w+)`", cell)}
    assert {code.value for code in ReasonCode} - explained == set()

"""Writes docs/reference/errors.md from the error tree, so that the page cannot say something else than the code."""

from __future__ import annotations

import inspect
from pathlib import Path

from trimtab.errors import TrimtabError

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "errors.md"

_EXIT_CODES = {
    0: "done",
    1: "a gate said no, or something failed that no other code names",
    2: "the input or the command line is wrong",
    3: "not found, or in conflict with the present state",
    4: "not permitted",
    5: "the storage cannot be used",
}

_HEAD = """# Errors

Everything that Trimtab refuses or cannot do is one of these. A program reads the `code`: it does not change. A person
reads the text, which names the thing and the way out. Over HTTP an error has the status below; a command ends with the
exit code below. A name that is indented is a kind of the one above it: catching the upper one catches both.

This page is written by `make docs` from `src/trimtab/errors.py`.

| error | code | HTTP status | exit code | meaning |
|---|---|---|---|---|
"""


def error_classes(root: type[TrimtabError] = TrimtabError) -> list[tuple[int, type[TrimtabError]]]:
    """Every error class with its depth in the tree, parents first, in the order of the source."""
    found = [(0, root)]
    for child in root.__subclasses__():
        found += [(depth + 1, error) for depth, error in error_classes(child)]
    return found


def render() -> str:
    """The whole page."""
    rows = [_row(depth, error) for depth, error in error_classes()]
    codes = [f"| {code} | {words} |" for code, words in _EXIT_CODES.items()]
    return _HEAD + "\n".join(
        [*rows, "", "## Exit codes of the command line", "", "| code | when |", "|---|---|", *codes, ""]
    )


def _row(depth: int, error: type[TrimtabError]) -> str:
    name = "&emsp;" * depth + f"`{error.__name__}`"
    return f"| {name} | `{error.code}` | {error.status} | {error.exit_code} | {_meaning(error)} |"


def _meaning(error: type[TrimtabError]) -> str:
    return " ".join((inspect.getdoc(error) or "").split())


def main() -> None:
    """Write the page."""
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(render(), encoding="utf-8")
    print(f"wrote {PAGE.name}: {len(error_classes())} errors")


if __name__ == "__main__":
    main()

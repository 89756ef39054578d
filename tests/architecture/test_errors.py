from __future__ import annotations

import ast
from pathlib import Path

import pytest
from scripts.errors_reference import PAGE, error_classes, render

from trimtab.errors import TrimtabError

SOURCE = Path(__file__).resolve().parents[2] / "src" / "trimtab"
ERRORS = [error for _, error in error_classes() if error.__module__ == "trimtab.errors"]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_an_error_has_a_code_a_status_an_exit_code_and_a_meaning(error: type[TrimtabError]) -> None:
    assert "code" in vars(error), "a code of its own: programs tell errors apart by it"
    assert error.code.replace("_", "").isalpha()
    assert error.code.islower()
    assert 400 <= error.status <= 599
    assert 1 <= error.exit_code <= 5
    assert vars(error).get("__doc__"), "a docstring of its own: it is the reference page's text"


def test_no_two_errors_share_a_code() -> None:
    codes = [error.code for error in ERRORS]
    assert sorted(codes) == sorted(set(codes))


def test_every_error_class_lives_in_the_tree() -> None:
    # Read, not imported: a class in a module that no test imports counts too.
    names = {error.__name__ for error in ERRORS} | {"Exception", "BaseException", "ValueError", "RuntimeError"}
    strays = [
        f"{path.relative_to(SOURCE)}: {node.name}"
        for path in SOURCE.rglob("*.py")
        if path.name != "errors.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")  # what never leaves its module
        for base in node.bases
        if ast.unparse(base).split(".")[-1] in names
    ]
    assert strays == [], "declare errors in trimtab/errors.py"


def test_the_reference_page_lists_every_error() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "run: make docs"

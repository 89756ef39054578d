from __future__ import annotations

import pytest
from tests.acceptance.pages import missing_lines

REAL = "bundle 803afae7ff9e\naccuracy 0.930 of 1,000  rows\nnote: all is well\n"


@pytest.mark.parametrize(
    "line",
    [
        "accuracy 0.930 of 1,000 rows",
        "accuracy 0.925 of 1,010 rows",  # what another processor's arithmetic may give
        "bundle 000000000000",
        "note: all …",
    ],
)
def test_a_line_of_a_page_that_a_run_gives_is_found(line: str) -> None:
    assert missing_lines(line, REAL) == []


@pytest.mark.parametrize(
    "line",
    ["accuracy 0.830 of 1,000 rows", "accuracy 0.930 of 2,000 rows", "accuracy 0.930", "note: all", "note: ill …"],
)
def test_a_line_of_a_page_that_no_run_gives_is_named(line: str) -> None:
    assert missing_lines(f"\nbundle 803afae7ff9e\n{line}\n", REAL) == [line]

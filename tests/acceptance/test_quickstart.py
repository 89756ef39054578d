from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.acceptance.pages import fences, missing_lines, run, shown

PAGE = "quickstart.md"


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """A folder of its own, and the names that the page's Python shares from block to block."""
    monkeypatch.chdir(tmp_path)
    for name in ("TRIMTAB_URL", "TRIMTAB_DATABASE_URL", "TRIMTAB_ACTOR", "TRIMTAB_ROLE"):
        monkeypatch.delenv(name, raising=False)
    shared: dict[str, Any] = {"__name__": "quickstart"}
    yield shared
    if "tt" in shared:
        shared["tt"].close()


def _python(text: str, names: dict[str, Any]) -> str:
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(text, PAGE, "exec"), names)  # the page's own code, as its reader would run it
    return said.getvalue()


def _shell(lines: list[str]) -> str:
    output = ""
    for line in lines:
        result = run(line)
        assert result.exit_code == 0, f"{line}\n{shown(result)}"
        output += shown(result)
    return output


def test_every_block_of_the_quickstart_is_either_run_or_what_a_run_shows() -> None:
    assert {(one.mark, one.kind) for one in fences(PAGE)} == {("run", "sh"), ("run", "python"), ("shows", "text")}


def test_the_quickstart_works_from_the_first_block_to_the_last(names: dict[str, Any]) -> None:
    output = ""
    for block in fences(PAGE):
        if block.mark == "shows":
            assert missing_lines(block.text, output) == []
        else:
            output = _python(block.text, names) if block.kind == "python" else _shell(block.lines)
    assert names["d"].bundle is not None
    assert names["tt"].state["dropped"] == names["tt"].state["rejected"] == 0


def test_the_readme_s_snippet_runs(names: dict[str, Any]) -> None:
    (block,) = fences("../README.md", kind="python")
    _shell(["trimtab agents add --builtin mail_triage"])
    chosen: list[str] = []
    names |= {"thread_id": "thread-1", "payload": {"links": 3}, "act_on": chosen.append}
    _python(block.text, names)
    assert chosen == ["ham"]
    assert names["tt"].flush()
    assert (names["tt"].state["sent"], names["tt"].state["refused"]) == (3, 0)

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from tests.acceptance.pages import data_set, fences, missing_lines, run, shown

PAGE = "howto/own-data.md"
SETS = ("spambase", "website_phishing_1353")
COMMANDS = fences(PAGE, kind="sh", mark="commands")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("TRIMTAB_DATABASE_URL", "TRIMTAB_ACTOR", "TRIMTAB_ROLE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def _typed(lines: list[str]) -> str:
    output = ""
    for line in lines:
        result = run(line)
        assert result.exit_code == 0, f"{line}\n{shown(result)}"
        output += shown(result)
    return output


def test_the_page_has_exactly_ten_commands_before_the_look_at_the_rollout() -> None:
    assert [len(block.lines) for block in COMMANDS] == [10, 1]


@pytest.mark.parametrize("name", SETS)
def test_the_ten_commands_of_the_page_take_a_table_to_an_approved_rollout(folder: Path, name: str) -> None:
    shutil.copyfile(data_set(f"triage/{name}/features.csv"), folder / "my.csv")
    output = _typed([line for block in COMMANDS for line in block.lines])

    pages = fences(PAGE, mark=f"output: {name}")
    assert pages
    for block in pages:
        assert missing_lines(block.text, output) == []

    live = json.loads(run("trimtab rollouts list mine --live --json").stdout)["rollouts"]
    assert [(one["state"], one["share"]) for one in live] == [("running", 0.1)]
    proposal = json.loads(run("trimtab proposals list mine --json").stdout)["proposals"][0]
    assert (proposal["proposer"], proposal["decided_by"]) == ("ann", "ben")
    replay = proposal["evidence"]["replay"]
    assert replay["challenger"] == live[0]["challenger"]
    assert replay["labelled_flips"] > 0
    assert replay["interval"][0] < replay["difference"] < replay["interval"][1]
    assert run("trimtab verify").exit_code == 0


def test_what_the_page_says_about_a_table_that_is_not_clean_is_what_happens(folder: Path) -> None:
    source = data_set("triage/website_phishing_1353/features.csv")
    shutil.copyfile(source, folder / "my.csv")
    with source.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[:13]
    rows[6][10] = "maybe"
    rows[8][1] = "nan"
    rows[11].append("1")
    with (folder / "bad.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    _typed(COMMANDS[0].lines[:4])
    (block,) = fences(PAGE, mark="refused: bad.csv")
    typed = [line.removeprefix("$ ") for line in block.lines if line.startswith("$ ")]
    assert len(typed) == 5
    for line, part in zip(typed, block.text.split("$ ")[1:], strict=True):
        result = run(line)
        assert result.exit_code == (0 if "--skip-bad" in line else 2)
        assert missing_lines(part.partition("\n")[2], shown(result)) == []
    assert json.loads(run("trimtab labels stats --agent mine --json").stdout)["total"] == 159


def test_a_plan_with_one_metric_is_applied_as_the_page_says(folder: Path) -> None:
    shutil.copyfile(data_set("triage/website_phishing_1353/features.csv"), folder / "my.csv")
    _typed([*COMMANDS[0].lines[:4], "trimtab bundles train mine --propose --as ann"])
    (folder / "plan.toml").write_text('metrics = ["quality"]\n')
    _typed(["trimtab proposals approve mine --as ben", "trimtab proposals apply mine --plan plan.toml"])
    (live,) = json.loads(run("trimtab rollouts list mine --live --json").stdout)["rollouts"]
    assert live["plan"]["metrics"] == ["quality"]

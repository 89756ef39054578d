from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from scripts.make_cli_reference import CLI_PAGE, SETTINGS_PAGE, commands, render_cli, render_settings
from tests.cli.steps import Cli

import trimtab
from trimtab.cli.command import EXIT_UNEXPECTED, guarded
from trimtab.errors import ConflictError, ForbiddenError, InvalidInputError, StorageError, TrimtabError

SOURCE = Path(trimtab.__file__).parent
LEAVES = [(path, command) for path, command in commands() if not hasattr(command, "list_commands")]


@pytest.mark.parametrize(("path", "command"), LEAVES, ids=lambda value: value if isinstance(value, str) else "")
def test_every_command_has_help_and_takes_the_options_of_all(path: str, command: Any) -> None:
    assert (command.help or "").strip(), f"{path} has no help"
    assert {"--db", "--as", "--role", "--json", "--debug"} <= {name for one in command.params for name in one.opts}
    unexplained = [one.name for one in command.params if not getattr(one, "help", None) and one.name != "help"]
    assert unexplained == [], f"{path}: say what these are"


def test_the_commands_of_the_loop_are_all_there() -> None:
    paths = {path.removeprefix("trimtab ") for path, _ in commands()}
    groups = {
        "agents": "add list show infer kill revive",
        "decisions": "list show explain daily",
        "labels": "load import gold stats conflicts",
        "judges": "weights update history agreement",
        "reviews": "sample queue claim answer skip reopen stats work",
        "bundles": "train list show diff upload export rollback replay",
        "proposals": "create list show propose approve reject withdraw apply",
        "rollouts": "list show tick advance promote rollback hold resume abort packet",
        "jobs": "list run due history",
        "db": "migrate check",
        "signing": "keys rotate",
    }
    wanted = {f"{group} {verb}" for group, verbs in groups.items() for verb in verbs.split()}
    assert wanted | {"status", "decide", "pause", "resume", "audit", "verify", "settings"} <= paths


def test_every_command_that_a_text_of_the_program_names_exists() -> None:
    paths = {path for path, _ in commands()}
    groups = {path for path, command in commands() if hasattr(command, "list_commands")}
    wrong = []
    for source in sorted(SOURCE.rglob("*.py")):
        text = source.read_text(encoding="utf-8")
        for top, verb in re.findall(r"\b(trimtab [a-z]+)(?: ([a-z]+))?", text):
            if top in groups and verb and f"{top} {verb}" not in paths:
                wrong.append(f"{source.name}: {top} {verb}")
        for top in re.findall(r"(?:with|run|see|next|now|one|again|it|undo): (trimtab [a-z]+)", text):
            if top not in paths:
                wrong.append(f"{source.name}: {top}")
    assert wrong == []


def test_the_reference_pages_say_what_the_commands_and_settings_say() -> None:
    assert CLI_PAGE.read_text(encoding="utf-8") == render_cli(), "run: python -m scripts.make_cli_reference"
    assert SETTINGS_PAGE.read_text(encoding="utf-8") == render_settings(), "run: python -m scripts.make_cli_reference"


def test_help_fits_a_narrow_terminal(cli: Cli) -> None:
    shown = cli.run("decide", "--help", COLUMNS="60", TERMINAL_WIDTH="60").stdout
    assert "--payload" in shown
    assert all(ord(character) != 27 for character in shown)


def test_no_command_at_all_shows_the_help(cli: Cli) -> None:
    assert "proposals" in cli.run().stdout
    assert "approve" in cli.run("proposals", code=2).output


def test_a_mistyped_command_is_told_what_was_meant(cli: Cli) -> None:
    assert "'agents'" in cli.run("agnts", code=2).stderr
    assert "'list'" in cli.run("agents", "lst", code=2).stderr


def test_a_usage_error_is_one_line_and_exit_code_2(cli: Cli) -> None:
    result = cli.run("agents", "show", code=2)
    assert result.stderr.startswith("error: Missing argument 'AGENT'")
    assert result.stderr.count("\n") == 1
    assert cli.error("agents", "list", "--nonsense", code=2)["code"] == "usage"


def test_shared_options_may_stand_before_the_command_too(trained: Cli) -> None:
    before = trained.run("--json", "--db", trained.url, "status", TRIMTAB_DATABASE_URL="sqlite:///nowhere.db")
    assert json.loads(before.stdout) == trained.json("status")


def test_a_database_that_is_not_there_is_not_made_by_looking(cli: Cli) -> None:
    error = cli.error("status", "--db", "sqlite:///mistyped.db", code=5)
    assert error["code"] == "storage_unavailable"
    assert "mistyped.db" in error["message"]
    assert not (cli.folder / "mistyped.db").exists()


def test_a_role_that_does_not_exist_and_one_that_may_not_are_refused(trained: Cli) -> None:
    assert "viewer" in trained.error("status", "--role", "king", code=2)["message"]
    refused = trained.error("bundles", "train", "triage", "--role", "viewer", code=4)
    assert refused["code"] == "forbidden"
    assert "operator" in refused["message"]


@pytest.mark.parametrize(
    ("error", "code"),
    [(InvalidInputError, 2), (ConflictError, 3), (ForbiddenError, 4), (StorageError, 5), (TrimtabError, 1)],
)
def test_an_error_ends_with_its_own_exit_code_and_one_line(
    error: type[TrimtabError], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error("what went wrong \x1b[31mand more")

    assert guarded(fail, []) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"error: what went wrong and more [{error.code}]\n"


def test_what_nobody_foresaw_is_a_sentence_and_a_traceback_only_with_debug(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail() -> None:
        raise ZeroDivisionError("by nought")

    assert guarded(fail, []) == EXIT_UNEXPECTED
    assert "Traceback" not in (said := capsys.readouterr().err)
    assert "ZeroDivisionError: by nought" in said
    assert "--debug" in said
    assert guarded(fail, ["--debug"]) == EXIT_UNEXPECTED
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    assert guarded(interrupt, []) == 130
    assert capsys.readouterr().err == ""


def test_settings_say_their_value_and_where_it_comes_from_without_passwords(cli: Cli) -> None:
    secret = "postgresql://ann:verysecret@db.example/loop"
    result = cli.run("settings", "--json", "--db", secret, TRIMTAB_REVIEW_BUDGET="7")
    assert "verysecret" not in result.output
    found = {one["name"]: one for one in json.loads(result.stdout)["settings"]}
    assert found["TRIMTAB_DATABASE_URL"]["from"] == "option"
    assert (found["TRIMTAB_REVIEW_BUDGET"]["value"], found["TRIMTAB_REVIEW_BUDGET"]["from"]) == (7, "environment")
    assert found["TRIMTAB_JOB_ATTEMPTS"]["from"] == "default"
    assert "whole number" in cli.run("settings", code=2, TRIMTAB_REVIEW_BUDGET="many").stderr


@pytest.mark.parametrize("arguments", [["status"], ["agents", "list"], ["audit"], ["proposals", "list"]])
def test_tables_fit_a_window_of_60_columns(trained: Cli, arguments: list[str]) -> None:
    shown = trained.run(*arguments, COLUMNS="60").stdout
    assert max(cell_len(line) for line in shown.splitlines()) <= 60
    assert "…" not in shown
    assert "\x1b" not in shown


def _process(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, **options)


def test_python_m_trimtab_is_the_same_command_line() -> None:
    done = _process("-m", "trimtab", "--version")
    assert done.returncode == 0
    assert done.stdout.startswith("trimtab ")


def test_starting_imports_neither_the_database_nor_the_mathematics() -> None:
    code = "import sys; from trimtab.cli.app import app; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = set(_process("-c", code).stdout.split())
    assert loaded & {"numpy", "scipy", "sklearn", "sqlalchemy", "alembic", "pyarrow"} == set()


def test_without_the_server_extra_the_way_to_get_it_is_told() -> None:
    code = "import sys; sys.modules['typer'] = None; from trimtab.__main__ import main; main()"
    done = _process("-c", code)
    assert done.returncode == 2
    assert done.stderr == "the command line needs typer: pip install 'trimtab[server]'\n"


def test_a_reader_that_leaves_ends_the_command_quietly() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "trimtab", "settings"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    complaint = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), complaint) == (141, b"")

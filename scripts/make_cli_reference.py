"""Writes docs/reference/cli.md and settings.md from the commands and the settings themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from trimtab.cli.app import app
from trimtab.cli.command import SHARED
from trimtab.settings import documented

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "reference"
CLI_PAGE = FOLDER / "cli.md"
SETTINGS_PAGE = FOLDER / "settings.md"

_CLI_HEAD = """# The command line

`pip install 'trimtab[server]'` brings `trimtab`. This page is written by `make docs` from the commands themselves.

Every command takes these options, before or after its name:

| option | meaning |
|---|---|
"""

_CLI_CODES = """
With `--json` stdout carries one JSON document (`trimtab decide --file`: one a line) and nothing else. An error is one
line on stderr, `error: TEXT [CODE]`, or `{"error": {"code": …, "message": …}}` with `--json`; the codes are in
[errors](errors.md). `NO_COLOR` and `COLUMNS` are respected.

| exit code | when |
|---|---|
| 0 | done |
| 1 | a gate said no: not enough data, a broken chain, a failed job |
| 2 | the input or the command line is wrong |
| 3 | not found, or in conflict with the present state |
| 4 | not permitted |
| 5 | the storage cannot be used |
| 70 | something unexpected; `--debug` shows where |
| 130 | interrupted (Ctrl-C) |
| 141 | the reader of the output left (a closed pipe) |

Where an id is asked for, at least 8 characters of it are enough when no other begins so.
"""

_SETTINGS_HEAD = """# Settings

Read once, when a process starts, from the environment. On the command line `--db` wins over `TRIMTAB_DATABASE_URL`,
`--as` over `TRIMTAB_ACTOR` and `--role` over `TRIMTAB_ROLE`. `trimtab settings` shows the values and where they come
from. This page is written by `make docs` from `src/trimtab/settings.py`.

| setting | type | default | meaning |
|---|---|---|---|
"""


def commands(command: Any = None, path: str = "trimtab") -> Iterator[tuple[str, Any]]:
    """Every command and group of the command line with its full name, in order."""
    found: Any = typer.main.get_command(app) if command is None else command
    yield path, found
    if hasattr(found, "list_commands"):
        for name in found.list_commands(None):
            yield from commands(found.get_command(None, name), f"{path} {name}")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _options(command: Any, *, shared: bool) -> Iterator[str]:
    for param in command.params:
        if (param.name in SHARED) != shared or param.name in ("help", "version"):
            continue
        if param.param_type_name == "argument":
            name = f"`{param.metavar or param.name.upper()}`"
        else:
            name = ", ".join(f"`{one}`" for one in param.opts) + (f" {param.metavar}" if param.metavar else "")
        wanted = " (needed)" if param.required and param.param_type_name == "option" else ""
        known = param.default not in (None, False, [], "") and not callable(param.default) and not param.required
        default = f" Default: {param.default}." if known else ""
        yield f"| {_cell(name)}{wanted} | {_cell((param.help or '') + default)} |"


def _arguments(command: Any) -> str:
    shown = []
    for param in command.params:
        if param.param_type_name == "argument":
            name = param.metavar or param.name.upper()
            shown.append(name if param.required or name.startswith("[") else f"[{name}]")
    return "".join(f" {one}" for one in shown)


def render_cli() -> str:
    """The page of all commands."""
    found = list(commands())
    lines = [_CLI_HEAD + "\n".join(_options(found[0][1], shared=True)), _CLI_CODES]
    for path, command in found[1:]:
        level = "##" if path.count(" ") == 1 else "###"
        lines.append(f"{level} {path}{_arguments(command)}\n\n{(command.help or '').strip()}\n")
        options = list(_options(command, shared=False))
        if options:
            lines.append("\n".join(["| option | meaning |", "|---|---|", *options]) + "\n")
    return "\n".join(lines)


def render_settings() -> str:
    """The page of all settings."""
    rows = [
        f"| `{name}` | {kind} | {f'`{default}`' if default != '' else 'none'} | {_cell(text)} |"
        for name, kind, default, text in documented()
    ]
    return _SETTINGS_HEAD + "\n".join(rows) + "\n"


def main() -> None:
    """Write the pages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for page, text in ((CLI_PAGE, render_cli()), (SETTINGS_PAGE, render_settings())):
        page.write_text(text, encoding="utf-8")
        print(f"wrote {page.name}")


if __name__ == "__main__":
    main()

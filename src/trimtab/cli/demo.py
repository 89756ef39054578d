"""trimtab demo: the whole loop on real mail, or on the user's own table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from trimtab.cli.session import Session
from trimtab.errors import InvalidInputError


def demo(
    session: Session,
    days: Annotated[int, typer.Option("--days", metavar="N", help="Simulated days, 1 to 365.")] = 30,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Another seed, another course of events.")] = 0,
    data: Annotated[
        Path | None, typer.Option("--data", metavar="FILE.csv", help="Your own table instead of the packaged mail.")
    ] = None,
    label: Annotated[
        str, typer.Option("--label", metavar="COLUMN", help="The column of --data that holds the right answer.")
    ] = "label",
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip-bad-rows", help="Leave bad rows of --data out instead of refusing the file.")
    ] = False,
    keep: Annotated[
        Path | None,
        typer.Option("--keep", metavar="DIR", help="Leave the database in DIR; an interrupted demo there goes on."),
    ] = None,
    html: Annotated[Path, typer.Option("--html", metavar="FILE", help="Where the report is written.")] = Path(
        "trimtab-demo.html"
    ),
) -> None:
    """Watch an agent get better in about a minute: thirty simulated days on real mail, on this machine alone."""
    if session.db is not None or session.actor is not None or session.role is not None:
        raise InvalidInputError("demo: brings its own database and people; name a folder for it with --keep DIR")
    from trimtab.demo.command import run_demo

    code = run_demo(
        days=days,
        seed=seed,
        data=data,
        label=label,
        skip_bad_rows=skip_bad_rows,
        keep=keep,
        html=html,
        as_json=session.json,
    )
    if code:
        raise typer.Exit(code)

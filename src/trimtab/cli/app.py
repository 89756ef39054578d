"""The command line: all groups together, and the options that may stand before a command's name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import typer

from trimtab.cli.command import As, Db, Debug, InRole, Json, LazyGroup
from trimtab.cli.session import merged


class Commands(LazyGroup):
    """Every command in the order in which the loop turns."""

    sources: ClassVar[Mapping[str, str]] = {
        "demo": "trimtab.cli.demo:demo",
        "serve": "trimtab.cli.serve:serve",
        "status": "trimtab.cli.loop:status",
        "agents": "trimtab.cli.agents:agents",
        "decide": "trimtab.cli.decide:decide",
        "decisions": "trimtab.cli.decisions:decisions",
        "labels": "trimtab.cli.labels:labels",
        "judges": "trimtab.cli.judges:judges",
        "reviews": "trimtab.cli.reviews:reviews",
        "bundles": "trimtab.cli.bundles:bundles",
        "proposals": "trimtab.cli.proposals:proposals",
        "rollouts": "trimtab.cli.rollouts:rollouts",
        "jobs": "trimtab.cli.jobs:jobs",
        "worker": "trimtab.cli.serve:worker",
        "pause": "trimtab.cli.loop:pause",
        "resume": "trimtab.cli.loop:resume",
        "audit": "trimtab.cli.history:audit",
        "verify": "trimtab.cli.history:verify",
        "signing": "trimtab.cli.signing:signing",
        "keys": "trimtab.cli.keys:keys",
        "settings": "trimtab.cli.settings:settings",
        "db": "trimtab.cli.database:database",
    }


app = typer.Typer(
    cls=Commands,
    name="trimtab",
    help="The learning loop that steers LLM agents: decide, label, weigh judges, ask people, train, approve, roll out.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"trimtab {version('trimtab')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def everywhere(
    ctx: typer.Context,
    db: Db = None,
    actor: As = None,
    role: InRole = None,
    json: Json = False,
    debug: Debug = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    del version  # its callback has answered before anything else is read
    given: dict[str, Any] = {"db": db, "actor": actor, "role": role, "json": json, "debug": debug}
    ctx.obj = merged(None, given)
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


def run() -> None:
    """Run on the process's arguments; ends the process."""
    app()

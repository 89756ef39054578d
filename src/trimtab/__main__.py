"""`trimtab` and `python -m trimtab`: the command line, or how to get it."""

from __future__ import annotations

import sys

# What the command line needs and the base installation, made for agents' processes, does not bring.
_NEEDED = ("typer", "rich", "sqlalchemy", "alembic", "numpy", "scipy", "sklearn")


def main() -> None:
    """Run the command line on the process's arguments; ends the process with its exit code."""
    try:
        from trimtab.cli.app import run
    except ModuleNotFoundError as error:
        _explain(error)
    run()


def _explain(error: ModuleNotFoundError) -> None:
    missing = (error.name or "").partition(".")[0]
    if missing not in _NEEDED:
        raise error
    sys.stderr.write(f"the command line needs {missing}, which is not installed: pip install 'trimtab[server]'\n")
    sys.exit(2)


if __name__ == "__main__":
    main()

"""`trimtab` and `python -m trimtab`: the command line, or how to get it."""

from __future__ import annotations

import sys
from importlib.util import find_spec

# What the command line needs and the base installation, made for agents' processes, does not bring.
_NEEDED = ("typer", "rich", "sqlalchemy", "alembic", "numpy", "scipy", "sklearn", "pyarrow")


def main() -> None:
    """Run the command line on the process's arguments; ends the process with its exit code."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        sys.stderr.write(f"the command line needs {', '.join(missing)}: pip install 'trimtab[server]'\n")
        sys.exit(2)
    from trimtab.cli.app import run

    run()


if __name__ == "__main__":
    main()

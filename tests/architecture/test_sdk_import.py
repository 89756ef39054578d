from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "trimtab"
ABOVE = {"services", "store", "server", "cli", "jobs", "bootstrap", "embedded", "analytics", "plugins"}
HEAVY = {"numpy", "scipy", "sqlalchemy", "sklearn", "fastapi", "starlette", "pydantic", "typer", "rich", "pyarrow"}


def _imported_by(module: str) -> set[str]:
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["trimtab", "trimtab.sdk", "trimtab.core.assignment", "trimtab.core.policy"])
def test_what_an_agent_imports_brings_nothing_heavy(module: str) -> None:
    assert _imported_by(module) & HEAVY == set()


def test_what_an_agent_imports_brings_nothing_of_the_server() -> None:
    code = "import sys, trimtab; print(*(name for name in sys.modules if name.startswith('trimtab.')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    layers = {name.split(".")[1] for name in done.stdout.split()}
    assert layers & ABOVE == set()

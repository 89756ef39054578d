from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_imports_go_downwards_only_and_the_core_stays_pure() -> None:
    # A process of its own: the linter changes sys.path and prints its own report.
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    report = [line for line in (done.stdout + done.stderr).splitlines() if re.match(r"\s*[\w\[(-]", line)]
    assert done.returncode == 0, "\n".join(report)

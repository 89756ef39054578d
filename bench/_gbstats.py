"""GrowthBook's own sequential test, here or in an environment of its own: its pins (numpy below 2) fit no other part.

`python bench/_gbstats.py` reads a JSON list of [n, sum, n, sum] (canary, baseline; binary outcomes) and writes the
intervals of canary minus baseline. It needs nothing but gbstats, so it also runs in `bench/.venv-rivals`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

Counts = list[tuple[float, float, float, float]]
OWN = Path(__file__).resolve().parent / ".venv-rivals" / "bin" / "python"


def intervals(counts: Counts) -> list[list[float]] | None:
    """gbstats' intervals, (low, high) each; None where gbstats is not installed.

    Install it with `python -m venv bench/.venv-rivals && bench/.venv-rivals/bin/pip install gbstats`.
    """
    if find_spec("gbstats"):
        return compute(counts)
    if not OWN.exists():
        return None
    done = subprocess.run(
        [OWN, __file__], input=json.dumps(counts), capture_output=True, text=True, check=True, timeout=120
    )
    found: list[list[float]] = json.loads(done.stdout)
    return found


def compute(counts: Counts) -> list[list[float]]:
    """The intervals, by gbstats in this process."""
    tests, statistics = import_module("gbstats.frequentist.tests"), import_module("gbstats.models.statistics")
    found = []
    for nc, sc, nb, sb in counts:
        canary, baseline = (
            statistics.SampleMeanStatistic(n=int(n), sum=s, sum_squares=s) for n, s in ((nc, sc), (nb, sb))
        )
        settings = tests.SequentialConfig(difference_type="absolute", alpha=0.05)
        low, high = tests.SequentialTwoSidedTTest(baseline, canary, settings).confidence_interval
        found.append([float(low), float(high)])
    return found


if __name__ == "__main__":
    json.dump(compute(json.load(sys.stdin)), sys.stdout)

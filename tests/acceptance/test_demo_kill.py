from __future__ import annotations

import json
import multiprocessing
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.acceptance.demo_runs import SUMMARY, run_and_summarise, write_table

from trimtab.bootstrap import build
from trimtab.demo.run import PROGRESS
from trimtab.demo.team import JONAS
from trimtab.settings import Settings

LOADED_WHEN_USED = (
    "trimtab.demo.tell",
    "trimtab.demo.table",
    "alembic.command",
    "alembic.ddl.sqlite",
    "sqlalchemy.dialects.sqlite",
    "sklearn.linear_model",
    "scipy.optimize",
    "scipy.stats",
)
KILLS = 50
DAYS = 10
LONGEST_LIFE_S = 0.25  # after the first step of a start


@contextmanager
def _started(folder: Path, table: Path) -> Iterator[ForkServerProcess]:
    # A server that has everything imported forks each start: a real process, without seconds of imports.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.acceptance.demo_runs", *LOADED_WHEN_USED])
    process = context.Process(target=run_and_summarise, args=(folder, table, DAYS))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def _steps_done(folder: Path) -> int:
    try:
        return int(json.loads((folder / PROGRESS).read_text())["done"])
    except FileNotFoundError:
        return 0


def _killed(folder: Path, table: Path, life_s: float) -> bool:
    """Start the demo and kill it `life_s` after its first step; False when it came to its end before."""
    before = _steps_done(folder)
    with _started(folder, table) as process:
        while process.is_alive() and _steps_done(folder) == before:
            time.sleep(0.001)
        process.join(life_s)
        if not process.is_alive():
            assert process.exitcode == 0
            return False
    return True


def test_a_demo_killed_at_fifty_random_moments_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    table = write_table(tmp_path / "table.csv")
    (reference := tmp_path / "reference").mkdir()
    with _started(reference, table) as process:
        process.join()
        assert process.exitcode == 0
    expected = json.loads((reference / SUMMARY).read_text())
    assert [one["poisoned"] for one in expected["rollouts"]].count(True) == 1

    chance = random.Random(11)
    kills, round_ = 0, 0
    while kills < KILLS:
        (folder := tmp_path / f"round-{round_}").mkdir()
        while kills < KILLS and _killed(folder, table, chance.uniform(0, LONGEST_LIFE_S)):
            kills += 1
        with _started(folder, table) as process:
            process.join()
            assert process.exitcode == 0
        assert json.loads((folder / SUMMARY).read_text()) == expected
        trimtab = build(Settings(database_url=f"sqlite:///{folder / 'trimtab.db'}"))
        assert trimtab.history.verify(JONAS).holds
        trimtab.close()
        round_ += 1

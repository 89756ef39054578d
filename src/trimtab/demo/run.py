"""Running the demo: where its database lives, how far it got, and who is told of each step."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trimtab.agents import builtin_specs
from trimtab.bootstrap import build
from trimtab.clock import SimulatedClock
from trimtab.core.agents import AgentSpec
from trimtab.demo.data_source import DemoData
from trimtab.demo.mail import load_mail
from trimtab.demo.simulation import START, Simulation, Step
from trimtab.demo.story import Story, tell
from trimtab.demo.table import load_table
from trimtab.errors import ConflictError, InvalidInputError
from trimtab.settings import Settings

PROGRESS = "demo-progress.json"
DATABASE = "trimtab.db"
Listener = Callable[[Step, int, int, list[str]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the user asked for."""

    days: int = 30
    seed: int = 0
    data: Path | None = None
    label: str = "label"
    skip_bad_rows: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.days <= 365:
            raise InvalidInputError(f"days: from 1 to 365, got {self.days}")
        if not 0 <= self.seed < 2**31:
            raise InvalidInputError(f"seed: a whole number from 0 to 2^31 - 1, got {self.seed}")

    def to_mapping(self) -> dict[str, Any]:
        return {
            "days": self.days,
            "seed": self.seed,
            "data": str(self.data.resolve()) if self.data else None,
            "label": self.label,
            "skip_bad_rows": self.skip_bad_rows,
        }


def load(options: Options) -> tuple[DemoData, AgentSpec]:
    """The data set and the agent that decides on it."""
    if options.data is None:
        return load_mail(options.seed), builtin_specs()["mail_triage"]
    table = load_table(options.data, label=options.label, seed=options.seed, skip_bad_rows=options.skip_bad_rows)
    return table, AgentSpec.from_mapping(table.spec_mapping())


def run(options: Options, folder: Path, listener: Listener) -> Story:
    """Run the demo in `folder`, or go on where it was interrupted there. Raises ConflictError for a foreign folder.

    `listener` is told of every step: (step, number, of how many, what happened).
    """
    data, spec = load(options)
    progress = _Progress.open(folder / PROGRESS, options)
    clock = SimulatedClock(START)
    trimtab = build(Settings(database_url=f"sqlite:///{folder / DATABASE}"), clock=clock)
    try:
        simulation = Simulation(trimtab, clock, data, spec, days=options.days, seed=options.seed)
        steps = list(simulation.steps())
        for number, step in enumerate(steps):
            if number < progress.done:
                continue
            happened = simulation.run_step(step)
            progress.note(number + 1, step.day, happened)
            listener(step, number + 1, len(steps), happened)
        simulation.close()
        return tell(trimtab, data, spec, days=options.days, seed=options.seed, log=progress.log)
    finally:
        trimtab.close()


class _Progress:
    """How far the demo got, on disk after every step, so that a killed one goes on. The database holds all else."""

    def __init__(self, path: Path, options: dict[str, Any], done: int, log: list[tuple[int, str]]) -> None:
        self._path, self._options = path, options
        self.done, self.log = done, log

    @classmethod
    def open(cls, path: Path, options: Options) -> _Progress:
        given = options.to_mapping()
        if not path.exists():
            if (path.parent / DATABASE).exists():
                raise ConflictError(f"{path.parent}: holds a database that is not this demo's; choose another folder")
            progress = cls(path, given, 0, [])
            progress._write()
            return progress
        try:
            known = json.loads(path.read_text())
            done, log = int(known["done"]), [(int(day), str(text)) for day, text in known["log"]]
        except (ValueError, KeyError, TypeError):
            raise ConflictError(f"{path}: is damaged; delete the folder {path.parent} and start again") from None
        if known.get("options") != given:
            raise ConflictError(
                f"{path.parent}: holds a demo with other options ({known.get('options')}); "
                "repeat those, or choose another folder"
            )
        return cls(path, given, done, log)

    def note(self, done: int, day: int, happened: list[str]) -> None:
        self.done = done
        self.log.extend((day, text) for text in happened)
        self._write()

    def _write(self) -> None:
        draft = self._path.with_suffix(".new")
        with draft.open("w") as file:
            json.dump({"options": self._options, "done": self.done, "log": self.log}, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)

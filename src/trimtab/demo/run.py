"""Running the demo: where its database lives, how far it got, and who is told of each step."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import Engine, event

from trimtab.agents import builtin_specs
from trimtab.bootstrap import Trimtab, build
from trimtab.clock import SimulatedClock
from trimtab.core.agents import AgentSpec
from trimtab.demo.data_source import DemoData
from trimtab.demo.happenings import Chronicler, Happening, gathered
from trimtab.demo.people import START
from trimtab.demo.simulation import Simulation, Step
from trimtab.demo.team import SeededBytes
from trimtab.errors import ConflictError, InvalidInputError
from trimtab.settings import Settings

if TYPE_CHECKING:
    from trimtab.demo.story import Story

PROGRESS = "demo-progress.json"
DATABASE = "trimtab.db"
LOCK = "demo.lock"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a listener may look at while the days go by."""

    options: Options
    data: DemoData
    spec: AgentSpec
    trimtab: Trimtab
    simulation: Simulation
    steps: int
    done: int  # steps that an earlier start did
    day: int  # the day on which this start begins


class Listener(Protocol):
    """Somebody who is told how the demo goes."""

    def began(self, scene: Scene) -> None:
        """Everything is loaded; the first step follows."""

    def stepped(self, step: Step, number: int, happened: list[Happening]) -> None:
        """Step `number` (from 1) is done, and is remembered as done."""

    def counting(self) -> None:
        """The last step is done; the story is read back."""


def load(options: Options) -> tuple[DemoData, AgentSpec]:
    """The data set and the agent that decides on it."""
    if options.data is None:
        from trimtab.demo.mail import load_mail

        return load_mail(options.seed), builtin_specs()["mail_triage"]
    from trimtab.demo.table import load_table

    table = load_table(options.data, label=options.label, seed=options.seed, skip_bad_rows=options.skip_bad_rows)
    return table, AgentSpec.from_mapping(table.spec_mapping())


def run(options: Options, folder: Path, listener: Listener, *, passing: bool = False) -> Story:
    """Run the demo in `folder`, or go on where it was interrupted there.

    `passing`: nobody keeps the folder, so its files need not survive a power cut (a killed process they always do).
    Raises ConflictError for a folder with something else in it, or in which a demo runs now.
    """
    data, spec = load(options)
    with _alone_in(folder):
        progress = _Progress.open(folder / PROGRESS, options)
        clock = SimulatedClock(START)
        ids = SeededBytes(options.seed, progress.start())
        trimtab = build(Settings(database_url=f"sqlite:///{folder / DATABASE}"), clock=clock, randomness=ids)
        try:
            if passing:
                _need_not_sync(trimtab.engine)
            simulation = Simulation(trimtab, clock, data, spec, ids, days=options.days, seed=options.seed)
            steps = list(simulation.steps())
            rest = steps[progress.done :]
            scene = Scene(
                options=options,
                data=data,
                spec=spec,
                trimtab=trimtab,
                simulation=simulation,
                steps=len(steps),
                done=progress.done,
                day=rest[0].day if rest else options.days,
            )
            chronicler = Chronicler(trimtab, spec.agent)
            if progress.done:
                simulation.recall(rest[0].at if rest else steps[-1].at)
                chronicler.news()
            listener.began(scene)
            for step in rest:
                simulation.run_step(step)
                progress.note(progress.done + 1)
                listener.stepped(step, progress.done, gathered(chronicler.news() if step.name != "mail" else []))
            simulation.close()
            clock.set(steps[-1].at)  # also where an earlier start did all of them
            listener.counting()
            from trimtab.demo.tell import tell

            return tell(trimtab, data, spec, days=options.days, seed=options.seed)
        finally:
            trimtab.close()


def _need_not_sync(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _entry: Any) -> None:
        connection.execute("PRAGMA synchronous = OFF")

    engine.dispose()  # what is open already was told otherwise


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold the folder until the end; the lock goes with the process, however it ends. Raises ConflictError."""
    try:
        import fcntl
    except ImportError:  # not a POSIX system: there the folder is the user's own care
        yield
        return
    with (folder / LOCK).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConflictError(
                f"{folder}: a demo runs in it now; wait for its end, or choose another folder"
            ) from None
        yield


class _Progress:
    """How far the demo got, on disk after every step, so that a killed one goes on. The database holds all else."""

    def __init__(self, path: Path, options: dict[str, Any], *, done: int, starts: int) -> None:
        self._path, self._options, self._starts = path, options, starts
        self.done = done

    @classmethod
    def open(cls, path: Path, options: Options) -> _Progress:
        given = options.to_mapping()
        if not path.exists():
            if (path.parent / DATABASE).exists():
                raise ConflictError(f"{path.parent}: holds a database that is not this demo's; choose another folder")
            return cls(path, given, done=0, starts=0)
        try:
            known = json.loads(path.read_text())
            done, starts, before = int(known["done"]), int(known["starts"]), dict(known["options"])
        except (ValueError, KeyError, TypeError):
            raise ConflictError(f"{path}: is damaged; delete the folder {path.parent} and start again") from None
        if before != given:
            differing = [
                f"{n} {before.get(n)!r}, not {value!r}" for n, value in given.items() if before.get(n) != value
            ]
            raise ConflictError(
                f"{path.parent}: holds a demo with other options ({'; '.join(differing)}); "
                "repeat those, or choose another folder"
            )
        return cls(path, given, done=done, starts=starts)

    def start(self) -> int:
        """Count this start, before anything happens; returns how many there were before."""
        before, self._starts = self._starts, self._starts + 1
        self._write()
        return before

    def note(self, done: int) -> None:
        self.done = done
        self._write()

    def _write(self) -> None:
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps({"options": self._options, "done": self.done, "starts": self._starts}))
        os.replace(draft, self._path)

"""The demo on a terminal while it runs: a live view where a person watches, plain lines where nobody does."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from trimtab.demo.happenings import Happening, Tone
from trimtab.demo.people import HOURS
from trimtab.demo.run import Scene
from trimtab.demo.simulation import Step
from trimtab.demo.team import JONAS
from trimtab.demo.words import NOT_MEASURED, clean, count, date, percent, sparkline

STYLES = {Tone.ROUTINE: "dim", Tone.STEP: "", Tone.GOOD: "bold green", Tone.BAD: "bold red"}
LAST_LINES = 6
REDRAW_S = 0.1
METER_WIDTH = 24


class PlainLines:
    """One line a day, without control characters: for logs."""

    def __init__(self, write: Callable[[str], None], *, each_step: bool = False) -> None:
        self._write, self._each_step = write, each_step
        self._scene: Scene | None = None
        self._lines: list[str] = []

    def began(self, scene: Scene) -> None:
        self._scene = scene
        self._write(f"{scene.options.days} days of {clean(scene.data.name)}, {len(scene.data.items):,} items")
        if scene.done:
            self._write(continuing(scene))

    def stepped(self, step: Step, number: int, happened: list[Happening]) -> None:
        scene = self._scene
        assert scene is not None
        if self._each_step:
            self._write(f"step {number} of {scene.steps}")
        self._lines += [clean(line.text) for line in happened]
        if step.name == "guard_tick" and step.at.hour == HOURS[-1]:
            tally = scene.simulation.served[step.day]
            right = percent(tally.right / tally.mails) if tally.mails else NOT_MEASURED
            told = "; ".join(self._lines) or "nothing but mail"
            self._write(f"day {step.day + 1:>3}  {count(tally.mails, 'decision')}, {right} right  {told}")
            self._lines = []

    def counting(self) -> None:
        for line in self._lines:  # of the last night, which has no day after it
            self._write(line)
        self._write("reading the story back …")


class LiveView:
    """The running demo on a terminal. Use as a context manager: it gives the screen back whatever happens."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._recent: deque[tuple[int, Happening]] = deque(maxlen=LAST_LINES)
        self._scene: Scene | None = None
        self._day, self._done, self._drawn = 0, 0, 0.0
        self._status: Any = None
        self._began = time.monotonic()
        self._closing = False

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def began(self, scene: Scene) -> None:
        self._scene, self._done, self._day = scene, scene.done, scene.day
        if scene.done:
            self._console.print(Text(continuing(scene), style="bold"))
            self._look(scene)
        self._draw()

    def stepped(self, step: Step, number: int, happened: list[Happening]) -> None:
        scene = self._scene
        assert scene is not None
        self._day, self._done = min(step.day, scene.options.days - 1), number
        self._recent.extend((step.day, line) for line in happened)
        if step.name != "mail":
            self._look(scene)
        if time.monotonic() - self._drawn >= REDRAW_S:
            self._draw()

    def counting(self) -> None:
        self._closing = True
        self._draw()

    def _look(self, scene: Scene) -> None:
        status = scene.trimtab.loop.status(JONAS)
        self._status = next((one for one in status.agents if one.agent == scene.spec.agent), None)

    def _draw(self) -> None:
        self._drawn = time.monotonic()
        self._live.update(self._picture(), refresh=True)

    def _picture(self) -> RenderableType:
        scene = self._scene
        if scene is None:
            return Text("loading …", style="dim")
        width = min(self._console.width, 100)
        seconds = int(time.monotonic() - self._began)
        title = Table.grid(expand=False)
        title.add_column(width=width - 34, no_wrap=True, overflow="ellipsis")
        title.add_column(width=34, justify="right", no_wrap=True)
        title.add_row(
            Text.assemble(("Trimtab demo", "bold"), f"  {clean(scene.data.name)}, agent {clean(scene.spec.agent)}"),
            Text(
                f"day {self._day + 1} of {scene.options.days} · {date(self._day)} · {seconds // 60}:{seconds % 60:02}"
            ),
        )
        bar = ProgressBar(total=scene.steps, completed=self._done, width=width)
        parts: list[RenderableType] = [title, bar, Text(), self._figures(scene), Text(), *self._news()]
        if self._closing:
            parts.append(Text("reading the story back: measuring champions on what was kept aside …", style="dim"))
        return Group(*parts)

    def _figures(self, scene: Scene) -> RenderableType:
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(style="dim", no_wrap=True, width=12)
        grid.add_column(overflow="fold")
        days = scene.simulation.served[: self._day + 1]
        shares = [one.right / one.mails if one.mails else None for one in days]
        today = days[-1]
        served = Text(sparkline(shares[-40:]), style="cyan")
        told = f"today {percent(shares[-1])} of {today.mails}" if today.mails else "nothing yet today"
        served.append(f"  {told}", style="default")
        grid.add_row("served right", served)
        status = self._status
        if status is None:
            return grid
        grid.add_row("labels", f"{status.labels:,}   ·   questions waiting {status.open_questions:,}")
        grid.add_row("champion", (status.champion or "none yet")[:8])
        grid.add_row("rollout", _rollout(status))
        for name, value in meters((status.rollout or {}).get("assessment")):
            grid.add_row(f"  {name}", _meter(name, value))
        return grid

    def _news(self) -> list[Text]:
        lines = [
            Text(f"day {day + 1:>3}  {clean(line.text)}", style=STYLES[line.tone], no_wrap=True, overflow="ellipsis")
            for day, line in self._recent
        ]
        return lines + [Text()] * (LAST_LINES - len(lines))


def continuing(scene: Scene) -> str:
    """That an interrupted demo goes on, and where."""
    return f"continuing on day {scene.day + 1} (step {scene.done + 1:,} of {scene.steps:,})"


def meters(assessment: dict[str, Any] | None) -> Sequence[tuple[str, float | None]]:
    """Evidence for gain and harm of quality as shares of what decides; None where nothing was measured."""
    quality = ((assessment or {}).get("estimates") or {}).get("quality")
    if quality is None:
        return [("gain", None), ("harm", None)]
    return [
        (name, _share(quality["e_values"][key], quality["thresholds"][key]))
        for name, key in (("gain", "goal"), ("harm", "harm"))
    ]


def _share(e: float | None, threshold: float) -> float | None:
    return None if e is None else max(0.0, math.log(max(e, 1e-300)) / math.log(threshold))


def _rollout(status: Any) -> str:
    live = status.rollout
    if live is None:
        return "none"
    return f"{(status.challenger or '')[:8]} at {100 * live['share']:.0f} % (step {live['step'] + 1})"


def _meter(name: str, value: float | None) -> Text:
    if value is None:
        return Text(NOT_MEASURED, style="dim")
    full = min(METER_WIDTH, round(METER_WIDTH * value))
    style = "green" if name == "gain" else "red"
    what = "promote" if name == "gain" else "roll back"
    return Text.assemble(
        ("█" * full, style),
        ("░" * (METER_WIDTH - full), "dim"),
        f" {min(value, 9.99):.2f}",
        (f" of 1 to {what}", "dim"),
    )

"""Figures and texts as the demo's screen and report spell them. What was not measured says so."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from trimtab.core.rollouts import RolloutState
from trimtab.demo.people import START
from trimtab.demo.story import Day, RolloutStory

NOT_MEASURED = "not measured"
_BARS = "▁▂▃▄▅▆▇█"
_ASCII_BARS = "_.-=*#%@"

VERDICTS = {
    RolloutState.PLANNED: "planned",
    RolloutState.RUNNING: "running",
    RolloutState.HELD: "held",
    RolloutState.PROMOTED: "promoted",
    RolloutState.ROLLED_BACK: "rolled back",
    RolloutState.INCONCLUSIVE: "inconclusive",
    RolloutState.ABORTED: "ended",
}


def clean(text: object) -> str:
    """`text` on one line, without anything that a terminal would obey."""
    return "".join(
        one if one.isprintable() else " " if one.isspace() else "\N{REPLACEMENT CHARACTER}" for one in str(text)
    )


def percent(value: float | None, digits: int = 1) -> str:
    """A share in [0, 1] for people."""
    return NOT_MEASURED if value is None else f"{100 * value:.{digits}f} %"


def percents(interval: tuple[float, float] | None) -> str:
    """An interval of shares."""
    return NOT_MEASURED if interval is None else f"{100 * interval[0]:.1f} to {100 * interval[1]:.1f} %"


def points(value: float | None) -> str:
    """A difference of two shares, in percentage points with its sign."""
    return NOT_MEASURED if value is None else f"{100 * value:+.1f}".replace("-", "−")


def points_between(interval: tuple[float, float] | None) -> str:
    """An interval of differences."""
    return NOT_MEASURED if interval is None else f"{points(interval[0])} to {points(interval[1])}"


def figure(value: float | None, digits: int = 2) -> str:
    """A plain number."""
    return NOT_MEASURED if value is None else f"{value:.{digits}f}"


def count(n: int, noun: str) -> str:
    """ "1 label", "2,000 labels"."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def date(day: int) -> str:
    """A simulated day's date, such as "Mon 5 Jan"."""
    at = START + timedelta(days=day)
    return f"{at:%a} {at.day} {at:%b}"


def sparkline(values: Sequence[float | None], *, ascii_only: bool = False) -> str:
    """One character a value, scaled from the least to the greatest; a blank where nothing was measured."""
    bars = _ASCII_BARS if ascii_only else _BARS
    known = [value for value in values if value is not None]
    if not known:
        return NOT_MEASURED
    low, span = min(known), max(known) - min(known)

    def bar(value: float) -> str:
        return bars[min(len(bars) - 1, int((value - low) / span * len(bars)))] if span else bars[len(bars) // 2]

    return "".join(" " if value is None else bar(value) for value in values)


def verdict_day(one: RolloutStory) -> int | None:
    """The simulated day of a rollout's end; None while it runs."""
    return None if one.rollout.ended_at is None else (one.rollout.ended_at - START).days


def eventful(days: Sequence[Day]) -> list[Day]:
    """The days on which more than routine happened."""
    return [day for day in days if any(line.n is None for line in day.happenings)]

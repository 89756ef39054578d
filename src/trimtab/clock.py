"""The only read of the wall clock. Everything else takes the time as an argument."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Something that knows the time."""

    def now(self) -> datetime:
        """The present moment as an aware UTC time."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.fromtimestamp(time.time_ns() // 1_000 / 1e6, tz=UTC)


class SimulatedClock:
    """A clock that is set by hand: for replaying days in seconds. It never runs backwards."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def set(self, at: datetime) -> None:
        """Move to `at`; an earlier time is ignored, so that history stays in order."""
        self._now = max(self._now, at)

    def advance(self, by: timedelta) -> None:
        """Move forward by `by`."""
        self.set(self._now + by)

"""Who reacts to which decision, when and how: partial, late and biased, as people are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum

from trimtab.core.ids import named_uuid7
from trimtab.demo.data_source import DemoData, chance

START = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
HOURS = range(8, 20)

# Of those who look at a decision: how many wave a mistake through, and how many correct one that they blame.
WAVED_THROUGH = 0.4
CORRECTED = 0.5


class SignalKind(StrEnum):
    APPROVAL = "approval"  # yes or no to the action that the decision led to
    THUMB = "thumb"  # a thumb, sometimes with the right answer


_LONGEST_HOURS = {SignalKind.APPROVAL: 48, SignalKind.THUMB: 72}
_LOOKS_AT_RIGHT = {SignalKind.APPROVAL: 0.10, SignalKind.THUMB: 0.02}
_LOOKS_AT_WRONG = {SignalKind.APPROVAL: 0.10, SignalKind.THUMB: 0.15}  # people blame more than they praise


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One person's possible reaction: it comes about only where `looks` falls below the share of those who look."""

    at: datetime
    kind: SignalKind
    item: int
    decision_id: str
    decided_at: datetime
    looks: float
    notices: float

    def comes(self, *, right: bool) -> bool:
        """Whether anybody reacts, given whether the decision was right."""
        return self.looks < (_LOOKS_AT_RIGHT if right else _LOOKS_AT_WRONG)[self.kind]


def moment(day: int, at: time) -> datetime:
    """The time `at` of a simulated day."""
    return datetime.combine((START + timedelta(days=day)).date(), at, tzinfo=UTC)


def arrivals(day: int, items: Sequence[int]) -> list[tuple[int, datetime]]:
    """(item, time) of a day, spread evenly over the working hours."""
    span, first = timedelta(hours=len(HOURS)), moment(day, time(HOURS[0]))
    return [(i, first + span * (n + 0.5) / len(items)) for n, i in enumerate(items)]


def decision_id(seed: int, item: str, at: datetime) -> str:
    """The same item of the same demo always gives the same decision: deciding it again changes nothing."""
    return named_uuid7(at, "decision", str(seed), item)


def signals(data: DemoData, days: Sequence[Sequence[int]], *, seed: int) -> dict[tuple[int, int], list[Signal]]:
    """(day, hour) -> who may react then, in the order of time. What would fall into the night is never given."""
    found: dict[tuple[int, int], list[Signal]] = {}
    for day, items in enumerate(days):
        for i, decided_at in arrivals(day, items):
            item = data.items[i]
            for kind, longest in _LONGEST_HOURS.items():
                looks = chance(seed, kind.value, "looks", item)
                if looks >= max(_LOOKS_AT_RIGHT[kind], _LOOKS_AT_WRONG[kind]):
                    continue
                hours = 0.5 + (longest - 0.5) * chance(seed, kind.value, "delay", item)
                at = decided_at + timedelta(hours=hours)
                if at.hour in HOURS:
                    signal = Signal(
                        at=at,
                        kind=kind,
                        item=i,
                        decision_id=decision_id(seed, item, decided_at),
                        decided_at=decided_at,
                        looks=looks,
                        notices=chance(seed, kind.value, "notices", item),
                    )
                    found.setdefault(((at - START).days, at.hour), []).append(signal)
    for one in found.values():
        one.sort(key=lambda signal: (signal.at, signal.decision_id, signal.kind))
    return found

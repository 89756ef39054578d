"""What happened, in words: the audit log of a demo as lines that a person can follow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from trimtab.bootstrap import Trimtab
from trimtab.core.rights import SYSTEM
from trimtab.demo.team import JONAS, SAM


class Tone(StrEnum):
    ROUTINE = "routine"  # every day
    STEP = "step"  # the loop moves on
    GOOD = "good"  # an improvement serves everybody
    BAD = "bad"  # something was stopped, or should not have been let in


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """One line of history. Routine comes with a number, so that a day's routine can be summed up."""

    at: datetime
    words: str
    tone: Tone = Tone.ROUTINE
    n: int | None = None

    @property
    def text(self) -> str:
        return self.words if self.n is None else f"{self.n} {self.words}"


class Chronicler:
    """Turns audit events into lines, in order; knows which bundle a rollout is about and who brought it."""

    def __init__(self, trimtab: Trimtab, agent: str) -> None:
        self._trimtab, self._agent = trimtab, agent
        self._challengers: dict[str, str] = {}
        self._poisoned: set[str] = set()
        self._seen = 0

    def news(self) -> list[Happening]:
        """What happened since the last call; the first time, all there is."""
        limit = 16
        while True:
            events = self._trimtab.history.audit(JONAS, limit=limit, subject=self._agent)
            if len(events) < limit or events[-1]["seq"] <= self._seen:
                break
            limit *= 8
        fresh = [event for event in reversed(events) if event["seq"] > self._seen]
        if fresh:
            self._seen = fresh[-1]["seq"]
        return self.tell(fresh)

    def tell(self, events: Iterable[Mapping[str, Any]]) -> list[Happening]:
        """A line for each audit event that is worth one, in the given order, which must be that of time."""
        return [line for line in (self._line(event) for event in events) if line is not None]

    def _line(self, event: Mapping[str, Any]) -> Happening | None:
        details, at, who = event["details"], datetime.fromisoformat(event["at"]), event["actor"]
        match event["action"]:
            case "labels.load" if details["added"]:
                return Happening(at=at, words="labels loaded", n=details["added"])
            case "reviews.sample" if details["queued"]:
                return Happening(at=at, words="questions queued", n=details["queued"])
            case "review.answer":
                return Happening(at=at, words="questions answered", n=1)
            case "bundle.train":
                return Happening(at=at, words=f"{who} trained {details['bundle'][:8]}", tone=Tone.STEP)
            case "proposal.create" if who == SAM.name:
                self._poisoned.add(details["bundle"])
                words = f"{who} proposed {details['bundle'][:8]}, trained on POISONED labels"
                return Happening(at=at, words=words, tone=Tone.BAD)
            case "proposal.approve":
                if details["bundle"] in self._poisoned:
                    words = f"{who} approved {details['bundle'][:8]} by mistake"
                    return Happening(at=at, words=words, tone=Tone.BAD)
                return Happening(at=at, words=f"{who} approved {details['bundle'][:8]}", tone=Tone.STEP)
            case "proposal.apply" if details["without_canary"]:
                words = f"{details['bundle'][:8]} is the first champion"
                return Happening(at=at, words=words, tone=Tone.STEP)
            case action if action.startswith("rollout."):
                return self._rollout_line(action.removeprefix("rollout."), details, at, who)
        return None

    def _rollout_line(self, action: str, details: Mapping[str, Any], at: datetime, who: str) -> Happening:
        name = self._challenger(details["rollout"])[:8]
        who = "the guard" if who == SYSTEM.name else who
        share = f"{100 * details['share']:.0f} %"
        words, tone = {
            "start": (f"{name} starts with {share} of the traffic", Tone.STEP),
            "advance": (f"{who} lets {name} have {share}", Tone.STEP),
            "promote": (f"{who} promoted {name}", Tone.GOOD),
            "roll_back": (f"{who} rolled {name} back", Tone.BAD),
            "conclude": (f"{who} ended {name} as inconclusive", Tone.STEP),
            "abort": (f"{who} ended the rollout of {name}: {details['reason']}", Tone.STEP),
        }.get(action, (f"{who}: {action.replace('_', ' ')} {name}", Tone.STEP))
        return Happening(at=at, words=words, tone=tone)

    def _challenger(self, rollout_id: str) -> str:
        if rollout_id not in self._challengers:
            self._challengers[rollout_id] = self._trimtab.rollouts.get(JONAS, rollout_id).challenger
        return self._challengers[rollout_id]


def gathered(lines: Sequence[Happening]) -> list[Happening]:
    """The lines with each kind of routine told once, with its sum: "60 questions answered"."""
    sums: dict[str, int] = {}
    for line in lines:
        if line.n is not None:
            sums[line.words] = sums.get(line.words, 0) + line.n
    kept = []
    for line in lines:
        if line.n is None:
            kept.append(line)
        elif line.words in sums:
            kept.append(replace(line, n=sums.pop(line.words)))
    return kept

"""Everything a rollout has shown: the paired summary and one summary per step."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from trimtab.core.evidence import wire
from trimtab.core.evidence.outcomes import StepSummary
from trimtab.core.evidence.paired import PairedSummary
from trimtab.errors import InvalidStatisticError

_MOST_STEPS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutEvidence:
    """What the guard looks at; constant in size, mergeable, the same at ten decisions and at ten million."""

    paired: PairedSummary = field(default_factory=PairedSummary)
    steps: tuple[StepSummary, ...] = ()  # by step number; a step without outcomes is empty

    def at_step(self, step: int) -> StepSummary:
        """The summary of one step; empty when nothing was seen in it."""
        return self.steps[step] if 0 <= step < len(self.steps) else StepSummary()

    def with_step(self, step: int, summary: StepSummary) -> RolloutEvidence:
        """This evidence with one step's summary replaced. Raises InvalidStatisticError for a step outside 0 to 99."""
        if not 0 <= step < _MOST_STEPS:
            raise InvalidStatisticError(f"step: must be from 0 to {_MOST_STEPS - 1}, got {step}")
        steps = list(self.steps) + [StepSummary()] * (step + 1 - len(self.steps))
        steps[step] = summary
        return replace(self, steps=tuple(steps))

    def with_paired(self, paired: PairedSummary) -> RolloutEvidence:
        """This evidence with the paired summary replaced."""
        return replace(self, paired=paired)

    def merge(self, other: RolloutEvidence) -> RolloutEvidence:
        """Both as one; their keys are different ones."""
        longest = max(len(self.steps), len(other.steps))
        return RolloutEvidence(
            paired=self.paired.merge(other.paired),
            steps=tuple(self.at_step(i).merge(other.at_step(i)) for i in range(longest)),
        )

    def to_mapping(self) -> dict[str, Any]:
        """The evidence as plain JSON data; `from_mapping` of it gives equal evidence."""
        return {"v": 1, "paired": self.paired.to_mapping(), "steps": [s.to_mapping() for s in self.steps]}

    @classmethod
    def from_mapping(cls, given: Any) -> RolloutEvidence:
        """Evidence from stored JSON. Raises InvalidStatisticError naming what is wrong."""
        known = wire.table(given, "evidence", frozenset({"paired", "steps"}))
        steps = known["steps"]
        if not isinstance(steps, list) or len(steps) > _MOST_STEPS:
            raise InvalidStatisticError(f"evidence.steps: must be a list of at most {_MOST_STEPS} steps")
        return cls(
            paired=PairedSummary.from_mapping(known["paired"]),
            steps=tuple(StepSummary.from_mapping(s) for s in steps),
        )

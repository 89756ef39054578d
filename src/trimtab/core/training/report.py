"""TrainingReport: what a candidate bundle has shown on rows it never saw, and what the report cannot say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trimtab.core.training.metrics import Comparison, Figures
from trimtab.core.training.splits import SplitKind


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingReport:
    """The held-out figures of one training.

    All figures come from a fit on the training side of the split, measured on the held-out side; the bundle itself is
    then fitted once more on all rows with the same settings, so it has seen a fifth more than its report.
    """

    method: str
    n_examples: int
    n_train: int
    n_held_out: int
    n_groups: int
    effective_n: float
    per_label: Mapping[str, int]
    split: SplitKind
    split_reason: str
    settings: Mapping[str, float | int]
    temperature: float
    held_out: Figures
    uncalibrated_log_loss: float
    uncalibrated_ece: float
    uncalibrated_brier: float
    majority: Comparison
    champion: Comparison | None
    notes: tuple[str, ...]

    def to_mapping(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "n_examples": self.n_examples,
            "n_train": self.n_train,
            "n_held_out": self.n_held_out,
            "n_groups": self.n_groups,
            "effective_n": round(self.effective_n, 1),
            "per_label": dict(self.per_label),
            "split": self.split.value,
            "split_reason": self.split_reason,
            "settings": dict(self.settings),
            "held_out": self.held_out.to_mapping(),
            "majority": self.majority.to_mapping(),
            "champion": None if self.champion is None else self.champion.to_mapping(),
            "notes": list(self.notes),
        }

    def calibration(self) -> dict[str, Any]:
        """The calibration's part of a bundle: the method, and the held-out figures before and after it."""
        return {
            "method": "temperature, by cross-validated log loss; folded into the policy",
            "temperature": self.temperature,
            "held_out": {
                "n": self.held_out.n,
                "before": {
                    "log_loss": round(self.uncalibrated_log_loss, 6),
                    "ece": round(self.uncalibrated_ece, 6),
                    "brier": round(self.uncalibrated_brier, 6),
                },
                "after": {
                    "log_loss": round(self.held_out.log_loss, 6),
                    "ece": round(self.held_out.ece, 6),
                    "brier": round(self.held_out.brier, 6),
                },
            },
        }

    def lines(self) -> list[str]:
        """The report for people."""
        held = self.held_out
        low, high = held.accuracy_interval
        settings = ", ".join(f"{name} {value:g}" for name, value in self.settings.items())
        lines = [
            f"{self.method} ({settings}) from {self.n_examples:,} examples in {self.n_groups:,} groups",
            f"held out: {self.n_held_out:,} rows ({self.split.value}: {self.split_reason})",
            f"accuracy {held.accuracy:.3f} [{low:.3f}, {high:.3f}], balanced {held.balanced_accuracy:.3f}, "
            f"log loss {held.log_loss:.3f}, Brier {held.brier:.3f}, ECE {held.ece:.3f} (10 bins of equal mass)",
        ]
        if held.weighted_accuracy is not None:
            lines.append(
                f"accuracy weighted by confidence and inverse inclusion probability: {held.weighted_accuracy:.3f}"
            )
        for rival in (self.majority, self.champion):
            if rival is not None:
                low, high = rival.interval
                lines.append(
                    f"against {rival.rival} ({rival.rival_accuracy:.3f}) on the same rows: {rival.difference:+.3f} "
                    f"[{low:+.3f}, {high:+.3f}], {rival.wins} won, {rival.losses} lost"
                )
        for one in held.classes:
            precision = "none chosen" if one.precision is None else f"precision {one.precision:.3f}"
            recall = "none held out" if one.recall is None else f"recall {one.recall:.3f}"
            lines.append(f"{one.label}: {one.n} rows, {precision}, {recall}")
        return [*lines, *(f"note: {note}" for note in self.notes)]

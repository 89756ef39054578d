"""What the guard says: a decision, the reasons for it, and what every metric has shown."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from trimtab.core.evidence.wealth import e_value
from trimtab.core.rollouts import Metric


class GuardDecision(StrEnum):
    PROMOTE = "promote"  # the challenger becomes champion
    ADVANCE = "advance"  # the next share
    HOLD = "hold"  # stay at this share; the reasons say what is missing
    ROLL_BACK = "roll_back"  # the champion serves everything
    INCONCLUSIVE = "inconclusive"  # the maximum is reached without an answer; the champion serves


class Verdict(StrEnum):
    """What one metric has shown."""

    PASS = "pass"  # what the plan asks of it before a promotion is shown
    FAIL = "fail"  # harm is shown
    UNDECIDED = "undecided"  # measured, neither is shown
    NO_DATA = "no_data"  # nothing was measured, which is neither good nor bad


class ReasonCode(StrEnum):
    KILL_SWITCH = "kill_switch"
    FAILURE_CEILING = "failure_ceiling"
    HARM = "harm"
    HARM_BEYOND_TOLERANCE = "harm_beyond_tolerance"
    SAMPLE_RATIO_MISMATCH = "sample_ratio_mismatch"
    MISSING_OUTCOMES = "missing_outcomes"
    PAUSED = "paused"
    NO_DATA = "no_data"
    UNDECIDED = "undecided"
    DWELL = "dwell"
    FEW_LABELS = "few_labels"
    FEW_KEYS = "few_keys"
    MAXIMUM_REACHED = "maximum_reached"
    GOAL_SHOWN = "goal_shown"
    STEP_SHOWN = "step_shown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One named reason, in words for a person, and the metric it is about (None: the rollout as a whole)."""

    code: ReasonCode
    text: str
    metric: Metric | None = None

    def to_mapping(self) -> dict[str, Any]:
        """The reason as plain JSON data."""
        return {"code": self.code.value, "text": self.text, "metric": self.metric.value if self.metric else None}


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricEvidence:
    """What one metric has shown so far. Estimates and e-values are None where nothing was measured."""

    metric: Metric
    verdict: Verdict
    n: int  # labelled discordant keys for quality, canary outcomes otherwise
    what: str  # what `estimate` is, in words
    estimate: float | None = None
    interval: tuple[float, float] | None = None  # anytime-valid at the plan's promotion α on each side
    log_e_harm: float | None = None
    log_e_goal: float | None = None
    alpha_harm: float
    alpha_goal: float
    details: dict[str, float | int | str | None] = field(default_factory=dict)

    def to_mapping(self) -> dict[str, Any]:
        """The evidence as plain JSON data; e-values are capped at 1e300."""
        return {
            "verdict": self.verdict.value,
            "n": self.n,
            "what": self.what,
            "estimate": self.estimate,
            "interval": list(self.interval) if self.interval else None,
            "e_values": {
                "harm": None if self.log_e_harm is None else e_value(self.log_e_harm),
                "goal": None if self.log_e_goal is None else e_value(self.log_e_goal),
            },
            "thresholds": {"harm": 1 / self.alpha_harm, "goal": 1 / self.alpha_goal},
            "details": dict(self.details),
        }

    @property
    def progress(self) -> float:
        """How far the goal is shown, from 0 (nothing) to 1 (shown), on the scale of log e."""
        if self.log_e_goal is None:
            return 0.0
        return min(1.0, max(0.0, self.log_e_goal / math.log(1 / self.alpha_goal)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """The guard's answer at one moment, with everything it rests on."""

    decision: GuardDecision
    reasons: tuple[Reason, ...]
    limiting_metric: Metric | None  # what decided, or what the rollout waits for
    missing: str | None  # what would end the wait; None when nothing is waited for
    estimates: dict[Metric, MetricEvidence]
    alpha_spent: dict[str, float]

    def to_mapping(self) -> dict[str, Any]:
        """The assessment as plain JSON data, for packets and pages."""
        return {
            "v": 1,
            "decision": self.decision.value,
            "reasons": [r.to_mapping() for r in self.reasons],
            "limiting_metric": self.limiting_metric.value if self.limiting_metric else None,
            "missing": self.missing,
            "estimates": {m.value: e.to_mapping() for m, e in self.estimates.items()},
            "alpha_spent": dict(self.alpha_spent),
        }

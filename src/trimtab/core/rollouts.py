"""A rollout: the registered plan, and the one table of what may follow what."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Any

from trimtab.core.canonical import sha256_of
from trimtab.errors import IllegalTransitionError, InvalidPlanError


class RolloutState(StrEnum):
    PLANNED = "planned"  # registered, nobody sees the challenger yet
    RUNNING = "running"  # the challenger serves its step's share
    HELD = "held"  # the share is frozen by a person or an alarm; evidence still arrives
    PROMOTED = "promoted"  # the challenger became champion
    ROLLED_BACK = "rolled_back"  # the champion serves everything again
    INCONCLUSIVE = "inconclusive"  # the maximum was reached without an answer; the champion serves
    ABORTED = "aborted"  # a person ended it without a verdict


class RolloutAction(StrEnum):
    START = "start"
    ADVANCE = "advance"
    JUMP = "jump"
    HOLD = "hold"
    RESUME = "resume"
    PROMOTE = "promote"
    ROLL_BACK = "roll_back"
    CONCLUDE = "conclude"
    ABORT = "abort"


MAX_STEPS = 100
LIVE_STATES = frozenset({RolloutState.PLANNED, RolloutState.RUNNING, RolloutState.HELD})
EXPOSED_STATES = frozenset({RolloutState.RUNNING, RolloutState.HELD})

_S, _A = RolloutState, RolloutAction

TRANSITIONS: Mapping[tuple[RolloutState, RolloutAction], RolloutState] = {
    (_S.PLANNED, _A.START): _S.RUNNING,
    (_S.PLANNED, _A.ABORT): _S.ABORTED,
    (_S.RUNNING, _A.ADVANCE): _S.RUNNING,
    (_S.RUNNING, _A.JUMP): _S.RUNNING,
    (_S.RUNNING, _A.HOLD): _S.HELD,
    (_S.RUNNING, _A.PROMOTE): _S.PROMOTED,
    (_S.RUNNING, _A.ROLL_BACK): _S.ROLLED_BACK,
    (_S.RUNNING, _A.CONCLUDE): _S.INCONCLUSIVE,
    (_S.RUNNING, _A.ABORT): _S.ABORTED,
    (_S.HELD, _A.RESUME): _S.RUNNING,
    (_S.HELD, _A.PROMOTE): _S.PROMOTED,
    (_S.HELD, _A.ROLL_BACK): _S.ROLLED_BACK,
    (_S.HELD, _A.CONCLUDE): _S.INCONCLUSIVE,
    (_S.HELD, _A.ABORT): _S.ABORTED,
}


def next_state(state: RolloutState, action: RolloutAction) -> RolloutState:
    """The state after `action`. Raises IllegalTransitionError, naming what is possible from `state`."""
    after = TRANSITIONS.get((state, action))
    if after is None:
        possible = sorted(a.value for s, a in TRANSITIONS if s is state)
        way_out = f"possible now: {', '.join(possible)}" if possible else "it is over; start a new rollout"
        raise IllegalTransitionError(f"a rollout that is {state} cannot {action}: {way_out}")
    return after


class Goal(StrEnum):
    BETTER = "better"  # promote only when the challenger is shown to be better
    NON_INFERIOR = "non_inferior"  # promote when it is shown not to be worse by more than the margin


class ScoreSource(StrEnum):
    """Where the score of a served decision comes from."""

    OUTCOMES = "outcomes"  # reported with the outcome
    JUDGES = "judges"  # what judges believe of the served label, corrected by people's drawn answers (PPI++)


class Metric(StrEnum):
    """What a plan can guard. Each states its direction."""

    QUALITY = "quality"  # paired label quality on discordant decisions; higher is better
    FAILURES = "failures"  # hard failures of served decisions; lower is better
    SCORE = "score"  # outcome score in [0, 1] of served decisions; higher is better
    LATENCY = "latency"  # outcome latency in ms; lower is better
    COST = "cost"  # outcome cost in USD; lower is better


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardPlan:
    """What is promised before the first canary decision. Changing any of it starts a new rollout.

    Shares, margins, tolerances and α are in [0, 1]; the last step is always 1.0, which is the promotion itself.
    """

    steps: tuple[float, ...] = (0.10, 0.50, 1.0)
    dwell: timedelta = timedelta(hours=24)  # least time at a step before the next
    goal: Goal = Goal.BETTER
    metrics: tuple[Metric, ...] = (Metric.QUALITY, Metric.FAILURES)  # every one must be measured before a promotion
    alpha_rollback: float = 0.05  # in all, split over the guarded metrics
    alpha_promote: float = 0.025  # for each metric: promotion needs all of them, so no correction
    quality_margin: float = 0.03  # non-inferiority margin of quality and score
    quality_tolerance: float = 0.05  # harm beyond this is the hard ceiling
    failure_ceiling: float = 0.02  # share of hard failures that the canary must stay below
    failure_alpha: float = 0.01
    failure_margin: float = 0.01  # non-inferiority of hard failures at promotion
    latency_tolerance: float = 0.10  # relative growth
    cost_tolerance: float = 0.10  # relative growth
    latency_p50_ms: float | None = None  # frozen from at least 1,000 baseline outcomes before the start
    latency_p95_ms: float | None = None  # the same; without them only the mean of log latency is guarded
    cost_p99_usd: float | None = None  # the same; without it cost is not measured
    score_source: ScoreSource = ScoreSource.OUTCOMES
    label_inclusion: float = 1.0  # chance of a discordant key to be labelled, as planned: the bets are sized for it
    min_labels: int = 12  # labelled discordant keys before a promotion
    min_keys: int = 100  # canary keys before a promotion
    max_decisions: int = 100_000  # decisions compared in shadow, then inconclusive
    max_duration: timedelta = timedelta(days=21)
    grace: timedelta = timedelta(0)  # between reaching the maximum and reverting with the word inconclusive

    def __post_init__(self) -> None:
        self._check()

    def _check(self) -> None:
        steps = self.steps
        if not steps or steps[-1] != 1.0:
            raise InvalidPlanError(f"steps: the last step must be 1.0 (that is the promotion), got {list(steps)}")
        if any(not 0 < s <= 1 for s in steps) or any(a >= b for a, b in pairwise(steps)):
            raise InvalidPlanError(f"steps: shares must rise within (0, 1], got {list(steps)}")
        if len(steps) < 2:
            raise InvalidPlanError("steps: at least one share below 1.0 is needed, for example [0.1, 0.5, 1.0]")
        if len(steps) > MAX_STEPS:
            raise InvalidPlanError(f"steps: at most {MAX_STEPS} shares, got {len(steps)}")
        for name in ("alpha_rollback", "alpha_promote", "failure_alpha"):
            value = getattr(self, name)
            if not 0 < value < 0.5:
                raise InvalidPlanError(f"{name}: must lie in (0, 0.5), got {value}")
        if self.failure_alpha >= self.alpha_rollback:
            raise InvalidPlanError("failure_alpha: must be smaller than alpha_rollback, of which it is a part")
        for name in (
            "quality_margin",
            "quality_tolerance",
            "failure_ceiling",
            "failure_margin",
            "latency_tolerance",
            "cost_tolerance",
        ):
            value = getattr(self, name)
            if not 0 < value < 1:
                raise InvalidPlanError(f"{name}: must lie in (0, 1), got {value}")
        if not 0 < self.label_inclusion <= 1:
            raise InvalidPlanError(f"label_inclusion: must lie in (0, 1], got {self.label_inclusion}")
        for name in _OPTIONAL:
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise InvalidPlanError(f"{name}: must be above 0 and finite, or absent, got {value}")
        for name in ("min_labels", "min_keys", "max_decisions"):
            if getattr(self, name) < 1:
                raise InvalidPlanError(f"{name}: must be at least 1, got {getattr(self, name)}")
        if self.dwell < timedelta(0) or self.grace < timedelta(0):
            raise InvalidPlanError("dwell, grace: must not be negative")
        if self.max_duration <= self.dwell:
            raise InvalidPlanError("max_duration: must be longer than the dwell of one step")
        if not self.metrics or len(set(self.metrics)) != len(self.metrics):
            raise InvalidPlanError(f"metrics: name each once, at least one of {', '.join(Metric)}")

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any]) -> GuardPlan:
        """A plan from outside data (TOML, JSON). Durations are in seconds under `<name>_s`; absent ones are defaults.

        Raises InvalidPlanError naming the field.
        """
        if not isinstance(given, Mapping):
            raise InvalidPlanError(f"plan: must be a table, got {type(given).__name__}")
        known = {_wire_name(f.name): f.name for f in fields(cls)}
        values: dict[str, Any] = {}
        for wire, value in given.items():
            if wire not in known:
                raise InvalidPlanError(f"plan.{wire}: unknown; known are {', '.join(sorted(known))}")
            values[known[wire]] = _from_wire(known[wire], value)
        return cls(**values)

    def to_mapping(self) -> dict[str, Any]:
        """The plan as plain JSON data; `from_mapping` of it gives an equal plan."""
        return {_wire_name(f.name): _to_wire(getattr(self, f.name)) for f in fields(self)}

    @property
    def sha256(self) -> str:
        """The name under which the plan is registered."""
        return sha256_of(self.to_mapping())

    def share(self, step: int) -> float:
        """The canary's share of keys at `step` (0-based). Raises InvalidPlanError outside the plan."""
        if not 0 <= step < len(self.steps):
            raise InvalidPlanError(f"step {step}: the plan has steps 0 to {len(self.steps) - 1}")
        return self.steps[step]


_DURATIONS = frozenset({"dwell", "max_duration", "grace"})
_COUNTS = frozenset({"min_labels", "min_keys", "max_decisions"})
_OPTIONAL = frozenset({"latency_p50_ms", "latency_p95_ms", "cost_p99_usd"})


def _wire_name(name: str) -> str:
    return f"{name}_s" if name in _DURATIONS else name


def _to_wire(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, tuple):
        return [_to_wire(v) for v in value]
    return value.value if isinstance(value, StrEnum) else value


def _number(name: str, value: Any) -> float:
    # A whole number too large for a float is refused like infinity.
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:
        raise InvalidPlanError(f"plan.{name}: must be a finite number, got {value!r:.60}")
    return float(value)


def _from_wire(name: str, value: Any) -> Any:
    if name in _OPTIONAL and value is None:
        return None
    if name in _DURATIONS:
        seconds = _number(f"{name}_s", value)
        if not 0 <= seconds <= 10 * 366 * 86_400:
            raise InvalidPlanError(f"plan.{name}_s: must lie between 0 and ten years of seconds, got {seconds}")
        return timedelta(seconds=seconds)
    if name in _COUNTS:
        number = _number(name, value)
        if number != int(number):
            raise InvalidPlanError(f"plan.{name}: must be a whole number, got {number}")
        return int(number)
    if name in ("goal", "score_source", "metrics", "steps"):
        return _choice_or_list(name, value)
    return _number(name, value)


def _choice_or_list(name: str, value: Any) -> Any:
    if name == "goal":
        try:
            return Goal(value)
        except ValueError:
            raise InvalidPlanError(f"plan.goal: must be one of {', '.join(Goal)}, got {value!r:.60}") from None
    if name == "score_source":
        try:
            return ScoreSource(value)
        except ValueError:
            known = ", ".join(ScoreSource)
            raise InvalidPlanError(f"plan.score_source: must be one of {known}, got {value!r:.60}") from None
    if not isinstance(value, list | tuple):
        raise InvalidPlanError(f"plan.{name}: must be a list, got {value!r:.60}")
    if name == "steps":
        return tuple(_number(f"steps[{i}]", v) for i, v in enumerate(value))
    try:
        return tuple(Metric(v) for v in value)
    except ValueError:
        raise InvalidPlanError(f"plan.metrics: must be among {', '.join(Metric)}, got {value!r:.80}") from None

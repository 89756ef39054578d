"""What a served decision turned out to be, and the summary of one arm of one step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from trimtab.core.assignment import Arm
from trimtab.core.evidence import wire
from trimtab.core.evidence.exposure import SplitCounts
from trimtab.core.evidence.failures import FailureCounts
from trimtab.core.evidence.firsts import FirstScores
from trimtab.core.evidence.moments import KeySum, Moments
from trimtab.core.evidence.predictions import PredictionSums
from trimtab.core.rollouts import GuardPlan
from trimtab.errors import InvalidStatisticError

_LEAST_LATENCY_MS = 1e-3
_LEAST_COST_PART = 1e-3  # of the frozen p99: a free decision still has a logarithm
QUANTITIES = ("score", "over_p50", "over_p95", "log_latency", "log_cost", "cost")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came back for one served decision; None means that this part was not reported, which is not 0."""

    failed: bool | None = None  # hard failure: the action could not be carried out, timed out, broke
    score: float | None = None  # feedback or a person's judgement in [0, 1], higher is better
    latency_ms: float | None = None
    cost_usd: float | None = None

    def __post_init__(self) -> None:
        if self.score is not None:
            wire.number(self.score, "score", low=0.0, high=1.0)
        if self.latency_ms is not None:
            wire.number(self.latency_ms, "latency_ms", low=0.0)
        if self.cost_usd is not None:
            wire.number(self.cost_usd, "cost_usd", low=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySums:
    """One key's running sums in one arm of one step: kept by the store, handed in and out of `ArmSummary.add`."""

    score: KeySum = field(default_factory=KeySum)
    over_p50: KeySum = field(default_factory=KeySum)
    over_p95: KeySum = field(default_factory=KeySum)
    log_latency: KeySum = field(default_factory=KeySum)
    log_cost: KeySum = field(default_factory=KeySum)
    cost: KeySum = field(default_factory=KeySum)
    outcomes: int = 0

    def to_mapping(self) -> dict[str, Any]:
        """The sums as plain JSON data."""
        sums = {name: [getattr(self, name).n, getattr(self, name).total] for name in QUANTITIES}
        return {"v": 1, "outcomes": self.outcomes, **sums}

    @classmethod
    def from_mapping(cls, given: Any) -> KeySums:
        """Sums from stored JSON. Raises InvalidStatisticError naming what is wrong."""
        known = wire.table(given, "key sums", frozenset({"outcomes", *QUANTITIES}))
        sums: dict[str, Any] = {}
        for name in QUANTITIES:
            pair = known[name]
            if not isinstance(pair, list) or len(pair) != 2:
                raise InvalidStatisticError(f"key sums.{name}: must be [n, total], got {pair!r:.60}")
            sums[name] = KeySum(n=wire.count(pair[0], name), total=wire.number(pair[1], name))
        return cls(outcomes=wire.count(known["outcomes"], "key sums.outcomes"), **sums)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSummary:
    """The outcomes of one arm in one step: mergeable over disjoint sets of keys, constant in size."""

    keys: int = 0  # keys with at least one outcome
    failures: FailureCounts = field(default_factory=FailureCounts)
    score: Moments = field(default_factory=Moments)
    first_scores: FirstScores = field(default_factory=FirstScores)  # of keys new to the rollout: exact evidence
    judged: PredictionSums = field(default_factory=PredictionSums)  # judges' scores, and people's on some of the same
    over_p50: Moments = field(default_factory=Moments)  # exceeds the frozen baseline p50
    over_p95: Moments = field(default_factory=Moments)
    log_latency: Moments = field(default_factory=Moments)
    log_cost: Moments = field(default_factory=Moments)
    cost: Moments = field(default_factory=Moments)  # winsorised at the frozen baseline p99

    def add(
        self, outcome: Outcome, *, key: KeySums, plan: GuardPlan, arm: Arm, new_key: bool = False
    ) -> tuple[ArmSummary, KeySums]:
        """Count one outcome of a key whose sums so far are `key`; gives the new summary and the key's new sums.

        `new_key`: the key had no outcome yet anywhere in this rollout, in either arm. Only such scores are counted
        among the first ones; leaving it out is safe and gives up that evidence.

        Latency counts as exceeding when it is above the plan's frozen threshold in the canary, and above the threshold
        divided by 1 + tolerance in the baseline: equal shares mean a canary exactly at the tolerance. Without frozen
        thresholds in the plan, exceedance and cost are not measured.
        """
        values = _quantities(outcome, plan, arm)
        sums = {name: getattr(key, name).add(value) for name, value in values.items()}
        moments = {name: getattr(self, name).update(getattr(key, name), after) for name, after in sums.items()}
        failures = self.failures if outcome.failed is None else self.failures.add(outcome.failed)
        first = self.first_scores if outcome.score is None or not new_key else self.first_scores.add(outcome.score)
        keys = self.keys + int(key.outcomes == 0)
        summary = replace(self, keys=keys, failures=failures, first_scores=first, **moments)
        return summary, replace(key, outcomes=key.outcomes + 1, **sums)

    def add_judged(self, predicted: float) -> ArmSummary:
        """Count the judges' score in [0, 1] of one more served decision (one per key)."""
        return replace(self, judged=self.judged.add_prediction(wire.number(predicted, "judged score", low=0, high=1)))

    def add_judged_label(self, truth: float, predicted: float, *, inclusion: float) -> ArmSummary:
        """Count a person's score for a judged decision that was drawn with probability `inclusion`."""
        wire.number(truth, "score", low=0, high=1)
        return replace(self, judged=self.judged.add_label(truth, predicted, inclusion=inclusion))

    def merge(self, other: ArmSummary) -> ArmSummary:
        """Both summaries as one; their keys are different ones."""
        parts = {n: getattr(self, n).merge(getattr(other, n)) for n in _PARTS}
        return ArmSummary(keys=self.keys + other.keys, **parts)

    def to_mapping(self) -> dict[str, Any]:
        """The summary as plain JSON data."""
        return {"v": 1, "keys": self.keys, **{n: getattr(self, n).to_mapping() for n in _PARTS}}

    @classmethod
    def from_mapping(cls, given: Any) -> ArmSummary:
        """A summary from stored JSON. Raises InvalidStatisticError naming what is wrong."""
        known = wire.table(given, "arm", frozenset({"keys", *_PARTS}))
        parts: dict[str, Any] = {n: reader.from_mapping(known[n]) for n, reader in _PARTS.items()}
        return cls(keys=wire.count(known["keys"], "arm.keys"), **parts)


_PARTS: Mapping[str, Any] = {
    "failures": FailureCounts,
    "first_scores": FirstScores,
    "judged": PredictionSums,
    **dict.fromkeys(QUANTITIES, Moments),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSummary:
    """Both arms of one step, and the keys that arrived in each."""

    exposed: SplitCounts = field(default_factory=SplitCounts)
    canary: ArmSummary = field(default_factory=ArmSummary)
    baseline: ArmSummary = field(default_factory=ArmSummary)

    def arm(self, arm: Arm) -> ArmSummary:
        """The summary of one arm."""
        return self.canary if arm is Arm.CANARY else self.baseline

    def with_arm(self, arm: Arm, summary: ArmSummary) -> StepSummary:
        """This step with one arm's summary replaced."""
        return replace(self, canary=summary) if arm is Arm.CANARY else replace(self, baseline=summary)

    @property
    def answered(self) -> SplitCounts:
        """Keys with at least one outcome in each arm."""
        return SplitCounts(canary=self.canary.keys, baseline=self.baseline.keys)

    def merge(self, other: StepSummary) -> StepSummary:
        """Both summaries as one."""
        return StepSummary(**{f.name: getattr(self, f.name).merge(getattr(other, f.name)) for f in fields(self)})

    def to_mapping(self) -> dict[str, Any]:
        """The summary as plain JSON data."""
        return {"v": 1, **{f.name: getattr(self, f.name).to_mapping() for f in fields(self)}}

    @classmethod
    def from_mapping(cls, given: Any) -> StepSummary:
        """A summary from stored JSON. Raises InvalidStatisticError naming what is wrong."""
        known = wire.table(given, "step", frozenset({"exposed", "canary", "baseline"}))
        return cls(
            exposed=SplitCounts.from_mapping(known["exposed"]),
            canary=ArmSummary.from_mapping(known["canary"]),
            baseline=ArmSummary.from_mapping(known["baseline"]),
        )


def _quantities(outcome: Outcome, plan: GuardPlan, arm: Arm) -> dict[str, float]:
    values: dict[str, float] = {}
    if outcome.score is not None:
        values["score"] = outcome.score
    if outcome.latency_ms is not None:
        values["log_latency"] = math.log(max(outcome.latency_ms, _LEAST_LATENCY_MS))
        allowance = 1.0 if arm is Arm.CANARY else 1.0 + plan.latency_tolerance
        for name, threshold in (("over_p50", plan.latency_p50_ms), ("over_p95", plan.latency_p95_ms)):
            if threshold is not None:
                values[name] = float(outcome.latency_ms > threshold / allowance)
    if outcome.cost_usd is not None and plan.cost_p99_usd is not None:
        # Both arms lose the same far tail; the scale is that of the frozen p99, so sums stay near 1.
        values["cost"] = min(outcome.cost_usd / plan.cost_p99_usd, 1.0)
        values["log_cost"] = math.log(max(outcome.cost_usd / plan.cost_p99_usd, _LEAST_COST_PART))
    return values

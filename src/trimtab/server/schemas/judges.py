"""Judges' weights over HTTP."""

from __future__ import annotations

from pydantic import Field

from trimtab.server.schemas.common import AgentName, Document, Given, Moment, Shown


class WeightSnapshot(Shown):
    """What a judge version was worth when it was last measured."""

    agent: str
    judge: str
    version: str
    at: Moment
    weight: float
    unproven: bool = Field(description="Too few answers of people to compare with.")
    n: int = Field(description="Answers it was compared with.")
    snapshot: Document = Field(description="All that the weight follows from: agreement, interval, ECE, Brier, bins.")


class WeightsOfAll(Shown):
    weights: dict[str, list[WeightSnapshot]] = Field(description="By agent.")


class WeightsOfOne(Shown):
    weights: list[WeightSnapshot]


class WeightsToUpdate(Given):
    """Whose judges to measure; those of all agents where nothing is said."""

    agent: AgentName | None = None


class JudgeWeight(Shown):
    """A fresh measurement. What was not measured is null, never 0."""

    judge: str
    version: str
    weight: float
    agreement: float | None
    interval: tuple[float, float] | None
    ece: float | None
    brier: float | None
    kappa: float | None
    n: int
    effective_n: float
    unproven: bool
    reason: str


class UpdatedWeights(Shown):
    weights: dict[str, list[JudgeWeight]] = Field(description="By agent.")

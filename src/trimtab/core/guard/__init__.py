"""The guard: from evidence to promote, advance, hold, roll back or inconclusive, with reasons."""

from __future__ import annotations

from trimtab.core.guard.evidence import RolloutEvidence
from trimtab.core.guard.rules import assess, harm_reasons
from trimtab.core.guard.verdicts import Assessment, GuardDecision, MetricEvidence, Reason, ReasonCode, Verdict

__all__ = [
    "Assessment",
    "GuardDecision",
    "MetricEvidence",
    "Reason",
    "ReasonCode",
    "RolloutEvidence",
    "Verdict",
    "assess",
    "harm_reasons",
]

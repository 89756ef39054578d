"""Evaluating and explaining bundles; standard library only, shared with the agents' SDK."""

from __future__ import annotations

from trimtab.core.policy.compiled import Choice, Policy, compile_policy, compile_posterior
from trimtab.core.policy.explain import Explanation, Reason, explain
from trimtab.core.policy.flips import FlipPoint, flip_point

__all__ = [
    "Choice",
    "Explanation",
    "FlipPoint",
    "Policy",
    "Reason",
    "compile_policy",
    "compile_posterior",
    "explain",
    "flip_point",
]

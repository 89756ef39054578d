"""Evaluating and explaining bundles; standard library only, shared with the agents' SDK."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from trimtab.core.policy.compiled import Choice, Policy, compile_policy, compile_posterior

if TYPE_CHECKING:
    from trimtab.core.policy.explanation import Explanation, Reason, explain
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

# Deciding does not need them, and agents pay for every import at their start.
_LATER = {"Explanation": "explanation", "Reason": "explanation", "explain": "explanation"}
_LATER |= {"FlipPoint": "flips", "flip_point": "flips"}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)

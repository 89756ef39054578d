"""Bundles: immutable, content-addressed, readable policies."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from trimtab.core.bundles.bundle import MAX_BYTES, SCHEMA, Bundle, Lineage, check_fits, round_significant
from trimtab.core.bundles.policies import (
    Condition,
    EnsemblePolicy,
    LogisticPolicy,
    Member,
    Operator,
    PolicyDocument,
    PolicyKind,
    Rule,
    RulesPolicy,
    SinglePolicy,
    TreeLeaf,
    TreePolicy,
    TreeSplit,
    format_value,
    single_policies,
    used_features,
)

if TYPE_CHECKING:
    from trimtab.core.bundles.differences import BundleDiff, Change, diff

__all__ = [
    "MAX_BYTES",
    "SCHEMA",
    "Bundle",
    "BundleDiff",
    "Change",
    "Condition",
    "EnsemblePolicy",
    "Lineage",
    "LogisticPolicy",
    "Member",
    "Operator",
    "PolicyDocument",
    "PolicyKind",
    "Rule",
    "RulesPolicy",
    "SinglePolicy",
    "TreeLeaf",
    "TreePolicy",
    "TreeSplit",
    "check_fits",
    "diff",
    "format_value",
    "round_significant",
    "single_policies",
    "used_features",
]

# Agents never compare bundles, and they pay for every import at their start.
_LATER = frozenset(("BundleDiff", "Change", "diff"))


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.differences"), name)

"""Bundles: immutable, content-addressed, readable policies."""

from __future__ import annotations

from trimtab.core.bundles.bundle import MAX_BYTES, SCHEMA, Bundle, Lineage, check_fits, round_significant
from trimtab.core.bundles.diff import BundleDiff, Change, diff
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

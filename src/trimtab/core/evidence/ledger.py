"""The α ledger: what an agent's rollouts have spent on being allowed to be wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """One rollout's registered error probabilities."""

    rollout: str
    alpha_promote: float  # chance that a challenger that does not deserve it is promoted
    alpha_rollback: float  # chance that a harmless challenger is rolled back


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerTotal:
    """What is expected, at most, over all rollouts together, whatever their dependence."""

    rollouts: int
    false_promotions: float  # expected number, at most
    false_rollbacks: float
    any_false_promotion: float  # probability of at least one, at most (union bound, capped at 1)

    def to_mapping(self) -> dict[str, Any]:
        """The totals as plain JSON data."""
        return {
            "rollouts": self.rollouts,
            "false_promotions": self.false_promotions,
            "false_rollbacks": self.false_rollbacks,
            "any_false_promotion": self.any_false_promotion,
        }


def ledger_total(entries: Iterable[LedgerEntry]) -> LedgerTotal:
    """Sum the α of many challengers: trying twenty of them at 2.5 % each may be expected to promote half a bad one.

    By linearity of expectation the sums bound the expected number of errors, under any dependence. No entries: zeros.

    >>> ledger_total([LedgerEntry(rollout=str(i), alpha_promote=0.025, alpha_rollback=0.05) for i in range(20)])
    LedgerTotal(rollouts=20, false_promotions=0.5, false_rollbacks=1.0, any_false_promotion=0.5)
    """
    rows = list(entries)
    promotions = sum(e.alpha_promote for e in rows)
    return LedgerTotal(
        rollouts=len(rows),
        false_promotions=round(promotions, 12),
        false_rollbacks=round(sum(e.alpha_rollback for e in rows), 12),
        any_false_promotion=min(1.0, round(promotions, 12)),
    )

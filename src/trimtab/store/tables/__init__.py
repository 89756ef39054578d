"""Every table, in the order of the loop."""

from __future__ import annotations

from trimtab.store.tables.columns import metadata
from trimtab.store.tables.events import (
    action_approvals,
    agents,
    bundles,
    decisions,
    feedback,
    outcomes,
    pointers,
    verdicts,
)
from trimtab.store.tables.labels import (
    adjudications,
    consensus_snapshots,
    gold_tasks,
    labels,
    reliability,
    review_items,
    reviews,
)
from trimtab.store.tables.proposals import (
    packets,
    proposals,
    rollout_events,
    rollout_keys,
    rollout_summaries,
    rollouts,
    signing_keys,
)
from trimtab.store.tables.records import api_keys, audit, job_runs, metrics_daily, runtime_settings

__all__ = [
    "action_approvals",
    "adjudications",
    "agents",
    "api_keys",
    "audit",
    "bundles",
    "consensus_snapshots",
    "decisions",
    "feedback",
    "gold_tasks",
    "job_runs",
    "labels",
    "metadata",
    "metrics_daily",
    "outcomes",
    "packets",
    "pointers",
    "proposals",
    "reliability",
    "review_items",
    "reviews",
    "rollout_events",
    "rollout_keys",
    "rollout_summaries",
    "rollouts",
    "runtime_settings",
    "signing_keys",
    "verdicts",
]

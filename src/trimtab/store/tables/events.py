"""What agents are, decide and hear back. Event tables carry as few indexes as their questions allow."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, Index, Integer, Table, Text, text

from trimtab.store.tables.columns import HASH, NAME, SLUG, STATE, metadata
from trimtab.store.types import Document, Id, UtcTime

agents = Table(
    "agents",
    metadata,
    Column("agent", SLUG, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("spec", Document, nullable=False),
    Column("sha256", HASH, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("created_by", NAME, nullable=False),
)

# One row per agent: what serves now. Changing it is a compare-and-swap on `version`.
pointers = Table(
    "pointers",
    metadata,
    Column("agent", SLUG, primary_key=True),
    Column("champion", HASH),
    Column("previous", Document, nullable=False),  # earlier champions, newest last
    Column("challenger", HASH),
    Column("rollout_id", Id),
    Column("step", Integer),
    Column("share", Float, nullable=False),
    Column("salt", NAME, nullable=False),
    Column("kill_switch", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
)

bundles = Table(
    "bundles",
    metadata,
    Column("sha256", HASH, primary_key=True),
    Column("agent", SLUG, nullable=False),
    Column("document", Text, nullable=False),  # canonical JSON, exactly the bytes that the hash names
    Column("method", STATE, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("created_by", NAME, nullable=False),
    Index("ix_bundles_agent_created_at", "agent", "created_at"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("agent", SLUG, nullable=False),
    Column("key", NAME, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("payload", Document, nullable=False),
    Column("label", NAME),  # null when no bundle could serve and no fallback was given
    Column("confidence", Float),
    Column("escalate", Boolean, nullable=False),
    Column("reason", STATE, nullable=False),
    Column("bundle", HASH),
    Column("arm", STATE, nullable=False),
    Column("shadow_label", NAME),
    Column("discordant", Boolean, nullable=False),
    Column("rollout_id", Id),
    Column("step", Integer),
    Index("ix_decisions_agent_at", "agent", "at"),
    Index(
        "ix_decisions_rollout_discordant",
        "rollout_id",
        sqlite_where=text("discordant"),
        postgresql_where=text("discordant"),
    ),
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("id", Id, primary_key=True),
    Column("decision_id", Id, nullable=False, index=True),
    Column("agent", SLUG, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("score", Float),
    Column("latency_ms", Float),
    Column("cost_usd", Float),
    Column("failed", Boolean),
    Column("counted", Boolean, nullable=False),  # false while it waits for its decision
    Index("ix_outcomes_agent_at", "agent", "at"),
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("decision_id", Id, nullable=False, index=True),
    Column("agent", SLUG, nullable=False),
    Column("judge", NAME, nullable=False),
    Column("version", NAME, nullable=False),
    Column("label", NAME, nullable=False),
    Column("confidence", Float),
    Column("at", UtcTime, nullable=False),
    Index("ix_verdicts_agent_at", "agent", "at"),
)

feedback = Table(
    "feedback",
    metadata,
    Column("id", Id, primary_key=True),
    Column("decision_id", Id, nullable=False),
    Column("agent", SLUG, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("correct", Boolean),
    Column("label", NAME),
    Column("by", NAME),
    Column("loaded", Boolean, nullable=False),
    Index("ix_feedback_unloaded", "agent", sqlite_where=text("NOT loaded"), postgresql_where=text("NOT loaded")),
)

action_approvals = Table(
    "action_approvals",
    metadata,
    Column("id", Id, primary_key=True),
    Column("decision_id", Id, nullable=False),
    Column("agent", SLUG, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("approved", Boolean, nullable=False),
    Column("by", NAME),
    Column("loaded", Boolean, nullable=False),
    Index(
        "ix_action_approvals_unloaded", "agent", sqlite_where=text("NOT loaded"), postgresql_where=text("NOT loaded")
    ),
)

"""Every table, in the order of the loop. Event tables carry as few indexes as their questions allow."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from trimtab.store.types import Document, Id, UtcTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_SLUG = String(63)
_NAME = String(200)
_HASH = String(64)
_STATE = String(16)

agents = Table(
    "agents",
    metadata,
    Column("agent", _SLUG, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("spec", Document, nullable=False),
    Column("sha256", _HASH, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("created_by", _NAME, nullable=False),
)

# One row per agent: what serves now. Changing it is a compare-and-swap on `version`.
pointers = Table(
    "pointers",
    metadata,
    Column("agent", _SLUG, primary_key=True),
    Column("champion", _HASH),
    Column("previous", Document, nullable=False),  # earlier champions, newest last
    Column("challenger", _HASH),
    Column("rollout_id", Id),
    Column("step", Integer),
    Column("share", Float, nullable=False),
    Column("salt", _NAME, nullable=False),
    Column("kill_switch", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
)

bundles = Table(
    "bundles",
    metadata,
    Column("sha256", _HASH, primary_key=True),
    Column("agent", _SLUG, nullable=False),
    Column("document", Text, nullable=False),  # canonical JSON, exactly the bytes that the hash names
    Column("method", _STATE, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("created_by", _NAME, nullable=False),
    Index("ix_bundles_agent_created_at", "agent", "created_at"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("agent", _SLUG, nullable=False),
    Column("key", _NAME, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("payload", Document, nullable=False),
    Column("label", _NAME),  # null when no bundle could serve and no fallback was given
    Column("confidence", Float),
    Column("escalate", Boolean, nullable=False),
    Column("reason", _STATE, nullable=False),
    Column("bundle", _HASH),
    Column("arm", _STATE, nullable=False),
    Column("shadow_label", _NAME),
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
    Column("agent", _SLUG, nullable=False),
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
    Column("agent", _SLUG, nullable=False),
    Column("judge", _NAME, nullable=False),
    Column("version", _NAME, nullable=False),
    Column("label", _NAME, nullable=False),
    Column("confidence", Float),
    Column("at", UtcTime, nullable=False),
    Index("ix_verdicts_agent_at", "agent", "at"),
)

feedback = Table(
    "feedback",
    metadata,
    Column("id", Id, primary_key=True),
    Column("decision_id", Id, nullable=False),
    Column("agent", _SLUG, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("correct", Boolean),
    Column("label", _NAME),
    Column("by", _NAME),
    Column("loaded", Boolean, nullable=False),
    Index("ix_feedback_unloaded", "agent", sqlite_where=text("NOT loaded"), postgresql_where=text("NOT loaded")),
)

action_approvals = Table(
    "action_approvals",
    metadata,
    Column("id", Id, primary_key=True),
    Column("decision_id", Id, nullable=False),
    Column("agent", _SLUG, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("approved", Boolean, nullable=False),
    Column("by", _NAME),
    Column("loaded", Boolean, nullable=False),
    Index(
        "ix_action_approvals_unloaded", "agent", sqlite_where=text("NOT loaded"), postgresql_where=text("NOT loaded")
    ),
)

gold_tasks = Table(
    "gold_tasks",
    metadata,
    Column("id", Id, primary_key=True),
    Column("agent", _SLUG, nullable=False),
    Column("key", _NAME, nullable=False),
    Column("payload", Document, nullable=False),
    Column("label", _NAME, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("by", _NAME, nullable=False),
    Column("loaded", Boolean, nullable=False),
    UniqueConstraint("agent", "key"),
)

# The labelled store.
labels = Table(
    "labels",
    metadata,
    Column("id", Id, primary_key=True),
    Column("agent", _SLUG, nullable=False),
    Column("key", _NAME, nullable=False),
    Column("decision_id", Id),
    Column("payload", Document),  # what the answer is about, where no decision carries it
    Column("label", _NAME, nullable=False),
    Column("polarity", _STATE, nullable=False),
    Column("source", _STATE, nullable=False),
    Column("source_id", String(300), nullable=False),
    Column("confidence", Float, nullable=False),
    Column("inclusion", Float),
    Column("by", _NAME),
    Column("at", UtcTime, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    UniqueConstraint("source", "source_id"),
    Index("ix_labels_agent_key", "agent", "key"),
    Index("ix_labels_agent_label", "agent", "label"),
    Index("ix_labels_agent_source", "agent", "source"),
    Index("ix_labels_agent_created_at", "agent", "created_at"),
)

# Dated snapshots: what each judge was worth, and why.
reliability = Table(
    "reliability",
    metadata,
    Column("agent", _SLUG, primary_key=True),
    Column("judge", _NAME, primary_key=True),
    Column("version", _NAME, primary_key=True),
    Column("at", UtcTime, primary_key=True),
    Column("weight", Float, nullable=False),
    Column("unproven", Boolean, nullable=False),
    Column("n", Integer, nullable=False),
    Column("snapshot", Document, nullable=False),
)

review_items = Table(
    "review_items",
    metadata,
    Column("id", Id, primary_key=True),
    Column("agent", _SLUG, nullable=False),
    Column("decision_id", Id, nullable=False),
    Column("key", _NAME, nullable=False),
    Column("state", _STATE, nullable=False),
    Column("stratum", _STATE, nullable=False),
    Column("reasons", Document, nullable=False),
    Column("uncertainty", Float, nullable=False),
    Column("inclusion", Float, nullable=False),
    Column("priority", Float, nullable=False),  # larger is asked first
    Column("rollout_id", Id),
    Column("reviewers_wanted", Integer, nullable=False),
    Column("claimed_by", _NAME),
    Column("lease_until", UtcTime),
    Column("version", Integer, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    UniqueConstraint("agent", "key"),  # a key is asked once; a skipped one is opened again, never queued twice
    Index("ix_review_items_queue", "agent", "state", "priority"),
)

reviews = Table(
    "reviews",
    metadata,
    Column("id", Id, primary_key=True),
    Column("item_id", Id, ForeignKey("review_items.id"), nullable=False),
    Column("reviewer", _NAME, nullable=False),
    Column("label", _NAME, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("note", Text),
    Column("at", UtcTime, nullable=False),
    UniqueConstraint("item_id", "reviewer"),
)

proposals = Table(
    "proposals",
    metadata,
    Column("id", Id, primary_key=True),
    Column("agent", _SLUG, nullable=False),
    Column("bundle", _HASH, nullable=False),
    Column("champion", _HASH),
    Column("state", _STATE, nullable=False),
    Column("proposer", _NAME, nullable=False),
    Column("note", Text),
    Column("evidence", Document, nullable=False),  # diff, held-out report, replay: as it was when proposed
    Column("decided_by", _NAME),
    Column("decided_at", UtcTime),
    Column("reason", Text),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("version", Integer, nullable=False),
    Index("ix_proposals_agent_created_at", "agent", "created_at"),
    Index(
        "uq_proposals_open_bundle",
        "agent",
        "bundle",
        unique=True,
        sqlite_where=text("state IN ('draft','pending','approved')"),
        postgresql_where=text("state IN ('draft','pending','approved')"),
    ),
)

rollouts = Table(
    "rollouts",
    metadata,
    Column("id", Id, primary_key=True),
    Column("agent", _SLUG, nullable=False),
    Column("proposal_id", Id),
    Column("champion", _HASH, nullable=False),
    Column("challenger", _HASH, nullable=False),
    Column("plan", Document, nullable=False),
    Column("plan_sha256", _HASH, nullable=False),
    Column("state", _STATE, nullable=False),
    Column("step", Integer, nullable=False),
    Column("share", Float, nullable=False),
    Column("started_at", UtcTime),
    Column("step_since", UtcTime),
    Column("ended_at", UtcTime),
    Column("assessment", Document),  # the guard's latest word
    Column("assessed_at", UtcTime),
    Column("version", Integer, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("created_by", _NAME, nullable=False),
    Index("ix_rollouts_agent_created_at", "agent", "created_at"),
    Index(
        "uq_rollouts_live_agent",
        "agent",
        unique=True,
        sqlite_where=text("state IN ('planned','running','held')"),
        postgresql_where=text("state IN ('planned','running','held')"),
    ),
)

rollout_events = Table(
    "rollout_events",
    metadata,
    Column("rollout_id", Id, ForeignKey("rollouts.id"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("at", UtcTime, nullable=False),
    Column("actor", _NAME, nullable=False),
    Column("action", _STATE, nullable=False),
    Column("from_state", _STATE),
    Column("to_state", _STATE, nullable=False),
    Column("step", Integer, nullable=False),
    Column("share", Float, nullable=False),
    Column("details", Document, nullable=False),
    Column("packet", _HASH),
)

# Evidence as mergeable summaries: "paired" and one part per step ("step/0", …), never a rescan.
rollout_summaries = Table(
    "rollout_summaries",
    metadata,
    Column("rollout_id", Id, primary_key=True),
    Column("part", _STATE, primary_key=True),
    Column("summary", Document, nullable=False),
)

# One row per key of a rollout: what both arms chose first, its single paired number, its running sums by step and arm.
rollout_keys = Table(
    "rollout_keys",
    metadata,
    Column("rollout_id", Id, primary_key=True),
    Column("key", _NAME, primary_key=True),
    Column("met_at", UtcTime, nullable=False),
    Column("canary_label", _NAME),
    Column("baseline_label", _NAME),
    Column("paired_at", UtcTime),
    Column("paired", Integer),  # -1, 0, +1; null until an independent label arrives for a discordant key
    Column("inclusion", Float),
    Column("judged", Float),  # what the judges expect of the paired number, in [-1, 1]
    Column("sums", Document, nullable=False),
)

# Signed, chained evidence: the body is the exact text that was hashed.
packets = Table(
    "packets",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("sha256", _HASH, nullable=False, unique=True),
    Column("previous", _HASH, nullable=False, unique=True),
    Column("agent", _SLUG, nullable=False),
    Column("rollout_id", Id),
    Column("at", UtcTime, nullable=False),
    Column("body", Text, nullable=False),
    Column("key_id", _HASH),
    Column("signature", Text),
    Index("ix_packets_rollout_id", "rollout_id"),
)

# Public halves of the keys that packets were signed with; the private ones are files, never rows.
signing_keys = Table(
    "signing_keys",
    metadata,
    Column("key_id", _HASH, primary_key=True),
    Column("public_key", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("by", _NAME, nullable=False),
)

metrics_daily = Table(
    "metrics_daily",
    metadata,
    Column("agent", _SLUG, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("bundle", _HASH, primary_key=True),
    Column("decisions", Integer, nullable=False),
    Column("canary", Integer, nullable=False),
    Column("discordant", Integer, nullable=False),
    Column("escalated", Integer, nullable=False),
    Column("outcomes", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("score_sum", Float, nullable=False),
    Column("score_n", Integer, nullable=False),
    Column("latency_ms_sum", Float, nullable=False),
    Column("latency_n", Integer, nullable=False),
    Column("cost_usd_sum", Float, nullable=False),
    Column("cost_n", Integer, nullable=False),
)

job_runs = Table(
    "job_runs",
    metadata,
    Column("name", _SLUG, primary_key=True),
    Column("due_at", UtcTime, primary_key=True),
    Column("state", _STATE, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("worker", _NAME),
    Column("lease_until", UtcTime),
    Column("started_at", UtcTime),
    Column("finished_at", UtcTime),
    Column("result", Document),
    Column("error", Text),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("sha256", _HASH, nullable=False, unique=True),
    Column("previous", _HASH, nullable=False, unique=True),  # unique: the chain cannot fork
    Column("at", UtcTime, nullable=False),
    Column("actor", _NAME, nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", String(300), nullable=False),
    Column("body", Text, nullable=False),  # the exact canonical JSON that was hashed
    Index("ix_audit_subject", "subject"),
)

# Operator switches, such as the pause of the whole loop.
runtime_settings = Table(
    "runtime_settings",
    metadata,
    Column("name", _NAME, primary_key=True),
    Column("value", Document, nullable=False),
    Column("version", Integer, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("updated_by", _NAME, nullable=False),
)

"""Challengers put forward, their rollouts, and the evidence."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Integer, Table, Text, text

from trimtab.store.tables.columns import HASH, NAME, SLUG, STATE, metadata
from trimtab.store.types import Document, Id, UtcTime

proposals = Table(
    "proposals",
    metadata,
    Column("id", Id, primary_key=True),
    Column("agent", SLUG, nullable=False),
    Column("bundle", HASH, nullable=False),
    Column("champion", HASH),
    Column("state", STATE, nullable=False),
    Column("proposer", NAME, nullable=False),
    Column("note", Text),
    Column("evidence", Document, nullable=False),  # diff, held-out report, replay: as it was when proposed
    Column("decided_by", NAME),
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
    Column("agent", SLUG, nullable=False),
    Column("proposal_id", Id),
    Column("champion", HASH, nullable=False),
    Column("challenger", HASH, nullable=False),
    Column("plan", Document, nullable=False),
    Column("plan_sha256", HASH, nullable=False),
    Column("state", STATE, nullable=False),
    Column("step", Integer, nullable=False),
    Column("share", Float, nullable=False),
    Column("started_at", UtcTime),
    Column("step_since", UtcTime),
    Column("ended_at", UtcTime),
    Column("assessment", Document),  # the guard's latest word
    Column("assessed_at", UtcTime),
    Column("version", Integer, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("created_by", NAME, nullable=False),
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
    Column("actor", NAME, nullable=False),
    Column("action", STATE, nullable=False),
    Column("from_state", STATE),
    Column("to_state", STATE, nullable=False),
    Column("step", Integer, nullable=False),
    Column("share", Float, nullable=False),
    Column("details", Document, nullable=False),
    Column("packet", HASH),
)

# Evidence as mergeable summaries: "paired" and one part per step ("step/0", …), never a rescan.
rollout_summaries = Table(
    "rollout_summaries",
    metadata,
    Column("rollout_id", Id, primary_key=True),
    Column("part", STATE, primary_key=True),
    Column("summary", Document, nullable=False),
)

# One row per key of a rollout: what both arms chose first, its single paired number, its running sums by step and arm.
rollout_keys = Table(
    "rollout_keys",
    metadata,
    Column("rollout_id", Id, primary_key=True),
    Column("key", NAME, primary_key=True),
    Column("met_at", UtcTime, nullable=False),
    Column("canary_label", NAME),
    Column("baseline_label", NAME),
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
    Column("sha256", HASH, nullable=False, unique=True),
    Column("previous", HASH, nullable=False, unique=True),
    Column("agent", SLUG, nullable=False),
    Column("rollout_id", Id),
    Column("at", UtcTime, nullable=False),
    Column("body", Text, nullable=False),
    Column("key_id", HASH),
    Column("signature", Text),
    Index("ix_packets_rollout_id", "rollout_id"),
)

# Public halves of the keys that packets were signed with; the private ones are files, never rows.
signing_keys = Table(
    "signing_keys",
    metadata,
    Column("key_id", HASH, primary_key=True),
    Column("public_key", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("by", NAME, nullable=False),
)

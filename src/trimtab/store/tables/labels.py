"""The labelled store, what judges are worth, and the questions that people are asked."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from trimtab.store.tables.columns import NAME, SLUG, STATE, metadata
from trimtab.store.types import Document, Id, UtcTime

gold_tasks = Table(
    "gold_tasks",
    metadata,
    Column("id", Id, primary_key=True),
    Column("agent", SLUG, nullable=False),
    Column("key", NAME, nullable=False),
    Column("payload", Document, nullable=False),
    Column("label", NAME, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("by", NAME, nullable=False),
    Column("loaded", Boolean, nullable=False),
    UniqueConstraint("agent", "key"),
)

# The labelled store.
labels = Table(
    "labels",
    metadata,
    Column("id", Id, primary_key=True),
    Column("agent", SLUG, nullable=False),
    Column("key", NAME, nullable=False),
    Column("decision_id", Id),
    Column("payload", Document),  # what the answer is about, where no decision carries it
    Column("label", NAME, nullable=False),
    Column("polarity", STATE, nullable=False),
    Column("source", STATE, nullable=False),
    Column("source_id", String(300), nullable=False),
    Column("confidence", Float, nullable=False),
    Column("inclusion", Float),
    Column("by", NAME),
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
    Column("agent", SLUG, primary_key=True),
    Column("judge", NAME, primary_key=True),
    Column("version", NAME, primary_key=True),
    Column("at", UtcTime, primary_key=True),
    Column("weight", Float, nullable=False),
    Column("unproven", Boolean, nullable=False),
    Column("n", Integer, nullable=False),
    Column("snapshot", Document, nullable=False),
)

# Dated snapshots: which consensus an agent used, why, and what majority vote would have reached beside it.
consensus_snapshots = Table(
    "consensus_snapshots",
    metadata,
    Column("agent", SLUG, primary_key=True),
    Column("at", UtcTime, primary_key=True),
    Column("name", NAME, nullable=False),
    Column("n", Integer, nullable=False),  # human labels that it was chosen by
    Column("accuracy", Float),  # held-out; null where nothing could be compared
    Column("snapshot", Document, nullable=False),
)

review_items = Table(
    "review_items",
    metadata,
    Column("id", Id, primary_key=True),
    Column("agent", SLUG, nullable=False),
    Column("decision_id", Id, nullable=False),
    Column("key", NAME, nullable=False),
    Column("state", STATE, nullable=False),
    Column("stratum", STATE, nullable=False),
    Column("reasons", Document, nullable=False),
    Column("uncertainty", Float, nullable=False),
    Column("inclusion", Float, nullable=False),
    Column("priority", Float, nullable=False),  # larger is asked first
    Column("rollout_id", Id),
    Column("favoured", NAME),  # the label believed most when it was drawn; no reviewer sees it
    Column("reviewers_wanted", Integer, nullable=False),
    Column("claimed_by", NAME),
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
    Column("reviewer", NAME, nullable=False),
    Column("label", NAME, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("note", Text),
    Column("at", UtcTime, nullable=False),
    UniqueConstraint("item_id", "reviewer"),
)

# Where reviewers disagreed: who decided, and why. Their own answers stay as they were.
adjudications = Table(
    "adjudications",
    metadata,
    Column("item_id", Id, ForeignKey("review_items.id"), primary_key=True),
    Column("label", NAME, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", NAME, nullable=False),
    Column("at", UtcTime, nullable=False),
)

"""What runs the loop and what proves it: daily figures, jobs, the audit log, switches, keys."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Date, Float, Index, Integer, String, Table, Text

from trimtab.store.tables.columns import HASH, NAME, SLUG, STATE, metadata
from trimtab.store.types import Document, Id, UtcTime

metrics_daily = Table(
    "metrics_daily",
    metadata,
    Column("agent", SLUG, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("bundle", HASH, primary_key=True),
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
    Column("name", SLUG, primary_key=True),
    Column("due_at", UtcTime, primary_key=True),
    Column("state", STATE, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("worker", NAME),
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
    Column("sha256", HASH, nullable=False, unique=True),
    Column("previous", HASH, nullable=False, unique=True),  # unique: the chain cannot fork
    Column("at", UtcTime, nullable=False),
    Column("actor", NAME, nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", String(300), nullable=False),
    Column("body", Text, nullable=False),  # the exact canonical JSON that was hashed
    Index("ix_audit_subject", "subject"),
)

# Operator switches, such as the pause of the whole loop.
runtime_settings = Table(
    "runtime_settings",
    metadata,
    Column("name", NAME, primary_key=True),
    Column("value", Document, nullable=False),
    Column("version", Integer, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("updated_by", NAME, nullable=False),
)

# Who may call the API. The secret itself is never stored.
api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", NAME, nullable=False),  # the actor that the key stands for; several keys may, while one is replaced
    Column("prefix", String(8), nullable=False, unique=True),
    Column("sha256", HASH, nullable=False),
    Column("role", STATE, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("created_by", NAME, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("revoked_at", UtcTime),
    Column("last_used_at", UtcTime),
)

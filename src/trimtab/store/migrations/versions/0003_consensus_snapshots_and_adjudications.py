"""Consensus snapshots and adjudications"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from trimtab.store.types import Document, Id, UtcTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "consensus_snapshots",
        sa.Column("agent", sa.String(length=63), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("accuracy", sa.Float(), nullable=True),
        sa.Column("snapshot", Document, nullable=False),
        sa.PrimaryKeyConstraint("agent", "at", name=op.f("pk_consensus_snapshots")),
    )
    op.create_table(
        "adjudications",
        sa.Column("item_id", Id, nullable=False),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["review_items.id"], name=op.f("fk_adjudications_item_id")),
        sa.PrimaryKeyConstraint("item_id", name=op.f("pk_adjudications")),
    )
    op.add_column("review_items", sa.Column("favoured", sa.String(length=200), nullable=True))

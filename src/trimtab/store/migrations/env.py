"""Alembic's entry: runs on the connection that `upgrade` hands over."""

from __future__ import annotations

from alembic import context

from trimtab.store.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    render_item=context.config.attributes.get("render_item"),
    transaction_per_migration=False,
)
context.run_migrations()

"""Rows for the store's tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

AT = datetime(2025, 3, 3, 9, 0, 0, 123_456, tzinfo=UTC)


def agent_row(**change: Any) -> dict[str, Any]:
    row = {"agent": "mail", "version": 1, "spec": {}, "sha256": "0" * 64, "created_at": AT, "created_by": "ada"}
    return {**row, **change}

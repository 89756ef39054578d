"""Receipts of events over HTTP."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from trimtab.server.schemas.common import Shown


class EventReceipt(Shown):
    """What became of one event."""

    index: int = Field(description="Its place in what was sent, from 0.")
    id: str | None = Field(description="Its id, where one could be read.")
    status: Literal["accepted", "duplicate", "rejected"]
    reason: str | None = Field(description="Why it was rejected.")


class EventReceipts(Shown):
    accepted: int
    duplicate: int = Field(description="Stored before under the same id; nothing changed.")
    rejected: int
    receipts: list[EventReceipt] = Field(description="One per event, in the order in which they were sent.")

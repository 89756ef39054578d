"""Events: what agents send. Many at once, each with its own receipt."""

from __future__ import annotations

from collections import Counter
from typing import Any

from fastapi import APIRouter

from trimtab.core.rights import Right
from trimtab.server.dependencies import RawBody, Services, Who, needs
from trimtab.server.event_items import MAX_EVENTS, BadItem, read_events
from trimtab.server.schemas.events import EventReceipts
from trimtab.services.decisions import ReceiptStatus

router = APIRouter(tags=["events"])

_EXAMPLE = {
    "type": "outcome",
    "id": "0198c0de-0000-7000-8000-000000000001",
    "agent": "mail_triage",
    "at": "2025-03-03T09:00:00Z",
    "decision_id": "0198c0de-0000-7000-8000-000000000000",
    "score": 1.0,
}
_EVENT = {
    "type": "object",
    "description": "A decision, outcome, feedback, verdict or approval, told apart by `type`; it carries its own id.",
    "required": ["type", "id", "agent", "at"],
    "properties": {
        "type": {"enum": ["decision", "outcome", "feedback", "verdict", "approval"]},
        "id": {"type": "string", "format": "uuid"},
        "agent": {"type": "string"},
        "at": {"type": "string", "format": "date-time"},
    },
    "examples": [_EXAMPLE],
}
_BODY = {
    "required": True,
    "description": "A JSON array, or one JSON object a line; `Content-Encoding: gzip` is welcome.",
    "content": {
        "application/json": {"schema": {"type": "array", "maxItems": MAX_EVENTS, "items": _EVENT}},
        "application/x-ndjson": {"schema": _EVENT},
    },
}


@router.post("/events", response_model=EventReceipts, openapi_extra={**needs(Right.INGEST), "requestBody": _BODY})
def ingest(services: Services, who: Who, body: RawBody) -> Any:
    """Store events: durable when this answers, and sending them again is harmless. A bad one never loses the others."""
    who.require(Right.INGEST)  # before anything is decoded for somebody who may not send
    items = read_events(body)
    events = [one for one in items if not isinstance(one, BadItem)]
    stored = iter(services.decisions.ingest(who, events))
    receipts = []
    for index, item in enumerate(items):
        if isinstance(item, BadItem):
            values = {"id": item.id, "status": ReceiptStatus.REJECTED.value, "reason": item.reason}
        else:
            one = next(stored)
            values = {"id": one.id, "status": one.status.value, "reason": one.reason}
        receipts.append({"index": index, **values})
    counts = Counter(one["status"] for one in receipts)
    return {**{status.value: counts[status.value] for status in ReceiptStatus}, "receipts": receipts}

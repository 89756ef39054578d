"""The labelled store: its figures, and loading its feeds."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from trimtab.core.plain import plain
from trimtab.core.rights import Right
from trimtab.server.dependencies import OfAgent, Services, Who, needs
from trimtab.server.schemas.labels import FeedReports, FeedsToLoad, LabelStats

router = APIRouter(tags=["labels"])


@router.get("/active/stats/labeled", response_model=LabelStats, openapi_extra=needs(Right.READ))
def label_stats(services: Services, who: Who, agent: OfAgent = None) -> Any:
    """The labelled store in figures: by agent, source and label, and how it grew."""
    return plain(services.labels.stats(who, agent=agent))


@router.post("/active/feeds/load", response_model=FeedReports, openapi_extra=needs(Right.LABEL))
def load_feeds(services: Services, who: Who, body: FeedsToLoad | None = None) -> Any:
    """Bring feedback, approvals and gold tasks into the store. Loading twice changes nothing."""
    asked = body or FeedsToLoad()
    return {"feeds": plain(services.labels.load(who, agent=asked.agent, feed=asked.feed))}

"""Questions for people: the queue and its figures."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from trimtab.core.plain import plain
from trimtab.core.rights import Right
from trimtab.server.dependencies import Limit, OfAgent, Services, Who, needs
from trimtab.server.schemas.reviews import ReviewQueue, ReviewStats

router = APIRouter(tags=["reviews"])


@router.get("/active/review/queue", response_model=ReviewQueue, openapi_extra=needs(Right.READ))
def queue(services: Services, who: Who, agent: OfAgent = None, limit: Limit = 50) -> Any:
    """Open and claimed questions, the most pressing first."""
    return {"items": plain(services.reviews.queue(who, agent=agent, limit=limit))}


@router.get("/active/review/stats", response_model=ReviewStats, openapi_extra=needs(Right.READ))
def review_stats(services: Services, who: Who, agent: OfAgent = None) -> Any:
    """How many questions are in which state, and how far reviewers agree."""
    found = services.reviews.stats(who, agent=agent)
    stats = [{"state": state, "stratum": stratum, "n": n} for state, stratum, n in found]
    return {"stats": stats, "agreement": plain(services.reviews.agreement(who, agent=agent))}

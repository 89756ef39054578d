"""Questions for people over HTTP."""

from __future__ import annotations

from pydantic import Field

from trimtab.server.schemas.common import Document, Moment, Shown


class ReviewItem(Shown):
    """A question queued for people. The served choice and the judges stay hidden."""

    id: str
    agent: str
    decision_id: str
    key: str
    state: str
    stratum: str = Field(description="What it was asked for.")
    reasons: list[str]
    uncertainty: float
    inclusion: float = Field(description="The probability in (0, 1] with which it was drawn.")
    priority: float
    rollout_id: str | None
    reviewers_wanted: int
    claimed_by: str | None
    lease_until: Moment | None
    version: int
    created_at: Moment
    updated_at: Moment


class ReviewQueue(Shown):
    items: list[ReviewItem]


class ReviewCount(Shown):
    state: str
    stratum: str
    n: int


class ReviewStats(Shown):
    stats: list[ReviewCount]
    agreement: list[Document] = Field(description="By agent: how far reviewers agree with each other, and its n.")

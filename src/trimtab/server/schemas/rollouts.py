"""Rollouts over HTTP."""

from __future__ import annotations

from pydantic import Field

from trimtab.server.schemas.common import Document, Moment, Sha256, Share, Shown


class Rollout(Shown):
    """The process that exposes a challenger."""

    id: str
    agent: str
    proposal_id: str | None
    champion: Sha256
    challenger: Sha256
    plan: Document = Field(description="What was promised before the first canary decision.")
    plan_sha256: Sha256
    state: str
    step: int
    share: Share
    started_at: Moment | None
    step_since: Moment | None
    ended_at: Moment | None
    assessment: Document | None = Field(description="The guard's last word.")
    assessed_at: Moment | None
    version: int
    created_at: Moment
    created_by: str


class RolloutList(Shown):
    rollouts: list[Rollout]


class RolloutEvent(Shown):
    rollout_id: str
    seq: int
    at: Moment
    actor: str
    action: str
    from_state: str | None
    to_state: str
    step: int
    share: Share
    details: Document
    packet: str | None = Field(description="The evidence packet's hash.")


class RolloutShown(Shown):
    """A rollout with what the guard says now, what happened, its packets, and its part in the agent's ledger."""

    rollout: Rollout
    assessment: Document | None
    events: list[RolloutEvent]
    packets: list[Sha256]
    ledger: Document = Field(description="The chances of a wrong verdict that all rollouts of the agent add up to.")

"""Proposals: a challenger put forward, and somebody else's decision on it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from trimtab.core.approvals import ProposalState
from trimtab.core.plain import plain
from trimtab.core.rights import Right
from trimtab.core.rollouts import GuardPlan
from trimtab.errors import InvalidPlanError
from trimtab.server.dependencies import Limit, OfAgent, Services, Who, needs
from trimtab.server.schemas.common import Reason
from trimtab.server.schemas.proposals import (
    Application,
    Applied,
    Approval,
    BundleToPropose,
    Proposal,
    ProposalList,
)

router = APIRouter(tags=["proposals"])

MOST_OPEN = 10_000


@router.post("/active/bundles/propose", status_code=201, response_model=Proposal, openapi_extra=needs(Right.PROPOSE))
def propose(services: Services, who: Who, body: BundleToPropose) -> Any:
    """Put a bundle forward with its evidence as of now: what changes, the held-out report, the replay."""
    return plain(services.proposals.create(who, body.agent, body.bundle, note=body.note, draft=body.draft))


@router.get("/active/approvals/pending", response_model=ProposalList, openapi_extra=needs(Right.READ))
def pending(services: Services, who: Who, agent: OfAgent = None, limit: Limit = 50) -> Any:
    """The proposals that wait for somebody's decision, the newest first."""
    found = services.proposals.listing(who, agent=agent, only_open=True, limit=MOST_OPEN)
    return {"proposals": plain([one for one in found if one.state is ProposalState.PENDING][:limit])}


@router.post("/active/approvals/{proposal_id}/approve", response_model=Proposal, openapi_extra=needs(Right.APPROVE))
def approve(services: Services, who: Who, proposal_id: str, body: Approval | None = None) -> Any:
    """Say yes to somebody else's proposal."""
    return plain(services.proposals.approve(who, proposal_id, reason=body.reason if body else None))


@router.post("/active/approvals/{proposal_id}/reject", response_model=Proposal, openapi_extra=needs(Right.APPROVE))
def reject(services: Services, who: Who, proposal_id: str, body: Reason) -> Any:
    """Say no to somebody else's proposal, and why."""
    return plain(services.proposals.reject(who, proposal_id, reason=body.reason))


@router.post("/active/approvals/{proposal_id}/apply", response_model=Applied, openapi_extra=needs(Right.ROLL_OUT))
def apply(services: Services, who: Who, proposal_id: str, body: Application | None = None) -> Any:
    """Start the approved challenger's rollout; an agent without a champion is served by it at once."""
    asked = body or Application()
    if asked.plan is not None and asked.without_canary:
        raise InvalidPlanError("plan and without_canary exclude each other: without a canary nothing is guarded")
    plan = GuardPlan.from_mapping(asked.plan) if asked.plan is not None else None
    found = services.proposals.apply(who, proposal_id, without_canary=asked.without_canary, plan=plan)
    live = next(iter(services.rollouts.listing(who, agent=found.agent, only_live=True)), None)
    return plain({"proposal": found, "rollout_id": live.id if live is not None else None})

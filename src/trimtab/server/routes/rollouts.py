"""Rollouts: a challenger on its way to champion, the guard's evidence, and a person's hand."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from trimtab.bootstrap import Trimtab
from trimtab.core.plain import plain
from trimtab.core.rights import Actor, Right
from trimtab.errors import NotFoundError
from trimtab.server.dependencies import Limit, OfAgent, Services, Who, needs
from trimtab.server.schemas.common import Reason
from trimtab.server.schemas.rollouts import Rollout, RolloutList, RolloutShown
from trimtab.store.rollouts import Rollout as StoredRollout

router = APIRouter(tags=["rollouts"])

MOST_LIVE = 10_000


@router.get("/rollouts", response_model=RolloutList, openapi_extra=needs(Right.READ))
def list_rollouts(
    services: Services,
    who: Who,
    agent: OfAgent = None,
    live: Annotated[bool, Query(description="Only those that are not over.")] = False,
    limit: Limit = 50,
) -> Any:
    """The newest rollouts first."""
    return {"rollouts": plain(services.rollouts.listing(who, agent=agent, only_live=live, limit=limit))}


@router.get("/rollouts/{rollout_id}", response_model=RolloutShown, openapi_extra=needs(Right.READ))
def show_rollout(services: Services, who: Who, rollout_id: str) -> Any:
    """A rollout: where it is, what the guard says now, what happened, and its evidence packets."""
    return _shown(services, who, services.rollouts.get(who, rollout_id))


@router.get("/active/canaries/active", response_model=RolloutList, openapi_extra=needs(Right.READ))
def live_rollouts(services: Services, who: Who) -> Any:
    """Every rollout that is not over."""
    return {"rollouts": plain(services.rollouts.listing(who, only_live=True, limit=MOST_LIVE))}


@router.get("/active/canaries/{agent}/performance", response_model=RolloutShown, openapi_extra=needs(Right.READ))
def performance(services: Services, who: Who, agent: str) -> Any:
    """An agent's live rollout, or else its newest one, with the evidence."""
    newest = services.rollouts.listing(who, agent=agent, limit=1)
    if not newest:
        raise NotFoundError(f"{agent} has no rollout; apply an approved proposal to start one")
    return _shown(services, who, newest[0])


@router.post("/active/canaries/{agent}/promote", response_model=Rollout, openapi_extra=needs(Right.ROLL_OUT))
def promote(services: Services, who: Who, agent: str, body: Reason) -> Any:
    """Make the challenger champion by a person's decision; the packet says that a person decided."""
    return plain(services.rollouts.promote(who, agent, reason=body.reason))


@router.post("/active/canaries/{agent}/rollback", response_model=Rollout, openapi_extra=needs(Right.ROLL_OUT))
def rollback(services: Services, who: Who, agent: str, body: Reason) -> Any:
    """Let the champion serve everything again."""
    return plain(services.rollouts.roll_back(who, agent, reason=body.reason))


def _shown(services: Trimtab, who: Actor, rollout: StoredRollout) -> Any:
    exposed = rollout.live and rollout.started_at is not None
    found = services.rollouts.assess(who, rollout.id) if exposed else rollout.assessment
    events = services.rollouts.events(who, rollout.id)
    packets = [packet["sha256"] for packet in services.history.packets(who, rollout.id)]
    ledger = services.rollouts.ledger(who, rollout.agent).total
    shown = {"rollout": rollout, "assessment": found, "events": events, "packets": packets, "ledger": ledger}
    return plain(shown)

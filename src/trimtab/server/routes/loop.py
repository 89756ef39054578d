"""The loop as a whole: status, pause, resume."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from trimtab.core.plain import plain
from trimtab.core.rights import Right
from trimtab.server.dependencies import Services, Who, needs
from trimtab.server.schemas.common import Reason
from trimtab.server.schemas.loop import LoopStatus, Paused

router = APIRouter(tags=["loop"])


@router.get("/active/status", response_model=LoopStatus, openapi_extra=needs(Right.READ))
def status(services: Services, who: Who) -> Any:
    """Where the loop stands: every agent at a glance."""
    return plain(services.loop.status(who))


@router.post("/active/pause", response_model=Paused, openapi_extra=needs(Right.ROLL_OUT))
def pause(services: Services, who: Who, body: Reason) -> Any:
    """Stop jobs, advances and promotions. Decisions are served, and the guard may still roll back."""
    services.loop.pause(who, reason=body.reason)
    return {"paused": True}


@router.post("/active/resume", response_model=Paused, openapi_extra=needs(Right.ROLL_OUT))
def resume(services: Services, who: Who, body: Reason) -> Any:
    """Let the loop turn again."""
    services.loop.resume(who, reason=body.reason)
    return {"paused": False}

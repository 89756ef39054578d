"""Judges: what their verdicts are worth."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from trimtab.core.plain import plain
from trimtab.core.rights import Right
from trimtab.server.dependencies import Services, Who, needs
from trimtab.server.schemas.judges import UpdatedWeights, WeightsOfAll, WeightsOfOne, WeightsToUpdate

router = APIRouter(tags=["judges"])


@router.get("/active/weights", response_model=WeightsOfAll, openapi_extra=needs(Right.READ))
def all_weights(services: Services, who: Who) -> Any:
    """Each judge version's newest measurement, by agent."""
    agents = [spec.agent for spec, _, _ in services.agents.listing(who)]
    return {"weights": {agent: plain(services.judges.weights(who, agent)) for agent in agents}}


@router.get("/active/weights/{agent}", response_model=WeightsOfOne, openapi_extra=needs(Right.READ))
def weights(services: Services, who: Who, agent: str) -> Any:
    """Each judge version's newest measurement for one agent."""
    return {"weights": plain(services.judges.weights(who, agent))}


@router.post("/active/weights/update", response_model=UpdatedWeights, openapi_extra=needs(Right.RUN_JOBS))
def update_weights(services: Services, who: Who, body: WeightsToUpdate | None = None) -> Any:
    """Measure every judge against people's answers and keep a dated snapshot."""
    asked = body or WeightsToUpdate()
    return {"weights": plain(services.judges.update_weights(who, agent=asked.agent))}

"""Bundles: trained here, brought along, and what serves."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from trimtab.core.rights import Right
from trimtab.core.training import Method
from trimtab.server.dependencies import RawBody, Services, Who, needs
from trimtab.server.schemas.bundles import BundleShown, BundleToTrain, TrainedBundle, UploadedBundle

router = APIRouter(tags=["bundles"])

_FILE = {
    "required": True,
    "description": "The file that `trimtab bundles export` writes, byte for byte.",
    "content": {"application/json": {"schema": {"type": "object"}}},
}


@router.post("/active/bundles/create", status_code=201, response_model=TrainedBundle, openapi_extra=needs(Right.TRAIN))
def train(services: Services, who: Who, body: BundleToTrain) -> Any:
    """Train a candidate on the labelled store, with a held-out report. It serves nobody yet."""
    bundle = services.bundles.train(who, body.agent, method=Method(body.method), seed=body.seed).bundle
    return {"sha256": bundle.sha256, "agent": body.agent, "report": bundle.document["report"]}


@router.get("/active/bundles/{agent}/active", response_model=BundleShown, openapi_extra=needs(Right.READ))
def champion(services: Services, who: Who, agent: str) -> Any:
    """The bundle that serves an agent now: readable, named by its hash. 409 while none does."""
    bundle = services.bundles.get(who, "champion", agent=agent)
    return {"sha256": bundle.sha256, "bundle": bundle.document}


@router.post(
    "/active/bundles/upload",
    status_code=201,
    response_model=UploadedBundle,
    responses={200: {"description": "The same content was there already.", "model": UploadedBundle}},
    openapi_extra={**needs(Right.TRAIN), "requestBody": _FILE},
)
def upload(
    services: Services,
    who: Who,
    response: Response,
    body: RawBody,
    agent: Annotated[str, Query(max_length=63, description="The agent that it is for.")],
    sha256: Annotated[str | None, Query(max_length=64, description="What it must be.")] = None,
) -> Any:
    """Keep a bundle from outside. It is checked as hostile input; nothing in it is ever executed."""
    stored = services.bundles.upload(who, agent, body, expect_sha256=sha256)
    if not stored.new:
        response.status_code = 200
    return {"sha256": stored.bundle.sha256, "agent": agent, "new": stored.new, "verified": sha256 is not None}

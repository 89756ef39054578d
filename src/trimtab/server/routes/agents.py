"""Agents: their specs, and what each of them serves."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Response

from trimtab.core.plain import plain
from trimtab.core.rights import Right
from trimtab.server.dependencies import Services, Who, needs
from trimtab.server.schemas.agents import AgentList, AgentShown, Serving

router = APIRouter(tags=["agents"])


@router.get("/agents", response_model=AgentList, openapi_extra=needs(Right.READ))
def list_agents(services: Services, who: Who) -> Any:
    """Every agent with what it serves."""
    found = services.agents.listing(who)
    return {
        "agents": [
            {
                "agent": spec.agent,
                "version": version,
                "description": spec.description,
                "labels": plain(spec.labels),
                "features": len(spec.features),
                "champion": pointer.champion,
                "challenger": pointer.challenger,
                "share": pointer.share,
                "kill_switch": pointer.kill_switch,
            }
            for spec, version, pointer in found
        ]
    }


@router.get("/agents/{agent}", response_model=AgentShown, openapi_extra=needs(Right.READ))
def show_agent(services: Services, who: Who, agent: str) -> Any:
    """An agent's spec and what it serves, with its earlier champions."""
    spec = services.agents.get(who, agent)
    version, pointer = next((v, p) for s, v, p in services.agents.listing(who) if s.agent == spec.agent)
    return plain({"spec": spec, "version": version, "serving": pointer})


@router.get(
    "/serving/{agent}",
    response_model=Serving,
    responses={304: {"description": "It is still what `If-None-Match` names."}},
    openapi_extra=needs(Right.READ, Right.INGEST),
)
def serving(
    services: Services,
    who: Who,
    agent: str,
    response: Response,
    if_none_match: Annotated[str | None, Header(description="The ETag that is known already.")] = None,
) -> Any:
    """The one small document that an agent's process needs. Poll it with `If-None-Match`."""
    document = services.agents.serving(who, agent)
    # A cache may keep it and must ask each time: the kill switch is in it.
    headers = {"ETag": f'"{document["etag"]}"', "Cache-Control": "private, no-cache"}
    if _names(if_none_match, document["etag"]):
        return Response(status_code=304, headers=headers)
    response.headers.update(headers)
    return document


def _names(if_none_match: str | None, etag: str) -> bool:
    if if_none_match is None:
        return False
    known = [one.strip().removeprefix("W/").strip('"') for one in if_none_match.split(",")]
    return etag in known or known == ["*"]

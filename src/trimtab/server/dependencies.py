"""What routes ask for: the services, who acts, and how much to list."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Query, Request

from trimtab.bootstrap import Trimtab
from trimtab.core.rights import Actor, Right


async def _services(request: Request) -> Trimtab:
    services: Trimtab = request.app.state.trimtab
    return services


async def _who(request: Request) -> Actor:
    actor: Actor = request.state.actor
    return actor


async def _body(request: Request) -> bytes:
    return await request.body()


Services = Annotated[Trimtab, Depends(_services)]
Who = Annotated[Actor, Depends(_who)]
RawBody = Annotated[bytes, Depends(_body)]
Limit = Annotated[int, Query(ge=1, le=1000, description="At most so many.")]
OfAgent = Annotated[str | None, Query(max_length=63, description="Of this agent only.")]


def needs(*rights: Right) -> dict[str, Any]:
    """For the documentation: which right (or one of which) a route asks for. The service is what checks it."""
    return {"x-rights": [right.value for right in rights]}

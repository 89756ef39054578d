"""The application: routes over the services of one process, and what stands around all of them."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio.to_thread
from fastapi import APIRouter, FastAPI, Request
from fastapi.routing import APIRoute
from starlette.middleware import Middleware

from trimtab.bootstrap import Trimtab
from trimtab.errors import StorageError, TrimtabError
from trimtab.server import openapi, problems
from trimtab.server.auth import Authentication
from trimtab.server.bodies import Bodies
from trimtab.server.dependencies import Services
from trimtab.server.requests import Requests
from trimtab.server.routes import ROUTERS
from trimtab.server.schemas.loop import Alive, Ready

log = logging.getLogger(__name__)

# Each of these threads holds at most one connection at a time, and both databases' pools have some more of them:
# requests wait for a thread, which is fair, and never for a connection, which ends in a time-out.
WORKERS = 12

_health = APIRouter(tags=["health"])


@_health.get("/healthz", response_model=Alive, openapi_extra={"security": []})
async def alive() -> Any:
    """The process is up."""
    return {"status": "ok"}


@_health.get("/readyz", response_model=Ready, openapi_extra={"security": []})
def ready(services: Services) -> Any:
    """The database answers, and its schema is this version's. Why it is not ready is in the log alone."""
    try:
        services.health.check()
    except TrimtabError as error:
        log.warning("ready=no reason=%r", str(error))
        raise StorageError("not ready; the server's log says why") from None
    return {"ready": True}


_own = APIRouter()


@_own.get("/api/openapi.json", include_in_schema=False)
def openapi_document(request: Request) -> dict[str, Any]:
    """This document."""
    return openapi.document(request.app)


def create_app(trimtab: Trimtab, *, worker: str = "api") -> FastAPI:
    """The application over services that the caller built and will close. `worker` names this process in job runs."""
    app = FastAPI(
        title="Trimtab",
        version=trimtab.context.code_version,
        # FastAPI's own pages load scripts from elsewhere, and its document asks for no key: it has a route here.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
        lifespan=_lifespan,
        middleware=[
            Middleware(Requests, trimtab=trimtab),
            Middleware(Authentication, trimtab=trimtab),
            Middleware(Bodies),
        ],
    )
    app.state.trimtab = trimtab
    app.state.worker = worker
    problems.register(app)
    app.include_router(_health)
    app.include_router(_own)
    for router in ROUTERS:
        app.include_router(router, prefix="/api")
    return app


@asynccontextmanager
async def _lifespan(_app: FastAPI) -> AsyncIterator[None]:
    anyio.to_thread.current_default_thread_limiter().total_tokens = WORKERS
    yield


def _operation_id(route: APIRoute) -> str:
    return f"{route.tags[0]}.{route.name}" if route.tags else route.name

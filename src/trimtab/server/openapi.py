"""The OpenAPI document: what FastAPI knows, and what holds for every route."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from trimtab.core.rights import RIGHTS
from trimtab.server.problems import MEDIA_TYPE
from trimtab.server.schemas.common import Problem

_DESCRIPTION = """The learning loop of LLM agents: decide, label, weigh judges, ask people, train, approve, roll out.

Every path but the health checks needs an API key (`Authorization: Bearer tt_…`); the actor is the key's name, and its
role says what it may do. Probabilities, rates and shares are numbers in [0, 1]; times are UTC. What was not measured is
null, never 0. Every refusal is a problem (RFC 9457) with a stable `code`."""

_TAGS = {
    "loop": "The loop as a whole.",
    "agents": "Agents as data, and what each serves.",
    "events": "What agents send.",
    "labels": "The labelled store.",
    "judges": "What raters are worth, measured against people.",
    "reviews": "The questions that people are asked.",
    "bundles": "Readable policies.",
    "proposals": "Challengers put forward, and somebody else's decision.",
    "rollouts": "Challengers on their way to champion.",
    "jobs": "The regular work.",
    "history": "The audit log and the evidence.",
    "health": "For load balancers; no key is needed.",
}
_REFUSALS = {
    "401": "No key, or one that is unknown, revoked or expired.",
    "403": "The key's role may not do this, or four eyes are needed.",
    "404": "The named thing does not exist.",
    "409": "It does not fit the present state, or there is not enough evidence yet.",
    "413": "More than 8 MiB, also unpacked, or more than 10,000 events.",
    "415": "An encoding that is not understood.",
    "422": "Something in the request is not what it must be; nothing was stored.",
    "500": "Something unexpected; the log has it under the id in X-Request-Id.",
    "503": "The database cannot be used now; try again.",
}
_OF_BODIES = {"413", "415"}


def document(app: FastAPI) -> dict[str, Any]:
    """The whole document; made once and kept, as FastAPI does."""
    if app.openapi_schema:
        return app.openapi_schema
    made = get_openapi(
        title=app.title,
        version=app.version,
        description=_DESCRIPTION,
        routes=app.routes,
        tags=[{"name": name, "description": text} for name, text in _TAGS.items()],
    )
    components = made.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    schemas["Problem"] = Problem.model_json_schema()
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    components["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "An API key: `tt_<prefix>_<secret>`."}
    }
    made["security"] = [{"key": []}]
    for methods in made["paths"].values():
        for method, operation in methods.items():
            _complete(method, operation)
    app.openapi_schema = made
    return made


def _complete(method: str, operation: dict[str, Any]) -> None:
    is_open = operation.get("security") == []
    for status, text in _REFUSALS.items():
        if (is_open and status != "503") or (method == "get" and status in _OF_BODIES):
            continue
        content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
        operation["responses"][status] = {"description": text, "content": content}
    if is_open:
        operation["responses"].pop("422", None)
    rights = operation.get("x-rights", [])
    if rights:
        operation["x-roles"] = [role.value for role, held in RIGHTS.items() if not held.isdisjoint(rights)]

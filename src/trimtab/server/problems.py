"""Errors over HTTP: every one is `application/problem+json` (RFC 9457) with the stable code of the error tree."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from trimtab.errors import (
    InvalidInputError,
    NotFoundError,
    StorageError,
    TrimtabError,
    UnauthenticatedError,
)

MEDIA_TYPE = "application/problem+json"
UNEXPECTED = "unexpected"
METHOD_NOT_ALLOWED = "method_not_allowed"
MOST_PLACES = 20
RETRY_AFTER_S = 1


def problem(
    *, status: int, code: str, title: str, detail: str, headers: Mapping[str, str] | None = None, **more: Any
) -> Response:
    """The one shape of an error. `type` names the code, so that a client can switch on either."""
    body = {"type": f"urn:trimtab:error:{code}", "title": title, "status": status, "code": code, "detail": detail}
    text = json.dumps({**body, **more})  # ASCII: a detail may quote anything that was sent
    return Response(text, status_code=status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def problem_of(error: TrimtabError) -> Response:
    """The problem of an error from the tree."""
    headers: dict[str, str] = {}
    if isinstance(error, UnauthenticatedError):
        headers["WWW-Authenticate"] = 'Bearer realm="trimtab"'
    elif isinstance(error, StorageError):
        headers["Retry-After"] = str(RETRY_AFTER_S)
    return problem(
        status=error.status, code=error.code, title=title_of(type(error)), detail=str(error), headers=headers
    )


def unexpected(request_id: str) -> Response:
    """What a client is told of a bug: where to find it, and nothing from inside."""
    return problem(
        status=500,
        code=UNEXPECTED,
        title="Something unexpected happened",
        detail=f"something unexpected happened; the server's log tells more under request {request_id}",
    )


def title_of(error: type[TrimtabError]) -> str:
    """An error class in words: the first sentence of its docstring."""
    first = " ".join((error.__doc__ or error.code).split()).partition(". ")[0]
    return first.rstrip(".")


def register(app: FastAPI) -> None:
    """Answer every refusal in that one shape."""

    async def refused(_request: Request, error: Exception) -> Response:
        assert isinstance(error, TrimtabError)
        return problem_of(error)

    async def invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return _invalid(error.errors())

    async def of_http(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _of_http(error)

    async def crowded(_request: Request, _error: Exception) -> Response:
        return problem_of(StorageError("database: every connection is in use; try again"))

    app.add_exception_handler(TrimtabError, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(PoolTimeoutError, crowded)


def _invalid(found: Sequence[Any]) -> Response:
    # Where and why, never what: an input may hold what nobody else should read.
    places = [
        {"at": ".".join(str(part) for part in one["loc"]), "problem": str(one["msg"])} for one in found[:MOST_PLACES]
    ]
    detail = "; ".join(f"{one['at']}: {one['problem']}" for one in places)
    if len(found) > MOST_PLACES:
        detail += f"; and {len(found) - MOST_PLACES} more"
    error = InvalidInputError
    return problem(status=error.status, code=error.code, title=title_of(error), detail=detail, errors=places)


def _of_http(error: HTTPException) -> Response:
    if error.status_code == NotFoundError.status:
        return problem_of(NotFoundError("there is nothing at this path; the paths are in /api/openapi.json"))
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another one")
        return problem(
            status=405,
            code=METHOD_NOT_ALLOWED,
            title="This path does not take this method",
            detail=f"this path does not take this method; it takes {allowed}",
            headers=error.headers,
        )
    invalid = InvalidInputError
    detail = str(error.detail)
    return problem(
        status=error.status_code, code=invalid.code, title=title_of(invalid), detail=detail, headers=error.headers
    )

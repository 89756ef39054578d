"""Who asks: the bearer of an API key. Everything but the health checks is closed, also what does not exist."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from trimtab.bootstrap import Trimtab
from trimtab.core.rights import Actor
from trimtab.errors import TrimtabError, UnauthenticatedError
from trimtab.server.problems import problem_of

# Load balancers carry no keys. Both paths say yes or no and nothing else.
OPEN_PATHS = frozenset({"/healthz", "/readyz"})


class Authentication:
    """Lets a request in when its key stands for somebody, and says for whom in `request.state.actor`.

    It stands before the router and before the body is read: whoever is nobody can neither look around nor send much.
    """

    def __init__(self, app: ASGIApp, *, trimtab: Trimtab) -> None:
        self._app = app
        self._trimtab = trimtab

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or (scope["type"] == "http" and scope["path"] in OPEN_PATHS):
            await self._app(scope, receive, send)
            return
        try:
            scope.setdefault("state", {})["actor"] = await run_in_threadpool(self._actor, Headers(scope=scope))
        except TrimtabError as error:
            await problem_of(error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _actor(self, headers: Headers) -> Actor:
        given = headers.getlist("authorization")
        if not given:
            raise UnauthenticatedError("no key was given; send the header Authorization: Bearer tt_…")
        scheme, _, key = given[0].partition(" ")
        if len(given) > 1 or scheme.lower() != "bearer":
            raise UnauthenticatedError("one header Authorization: Bearer tt_… is needed, and no other")
        return self._trimtab.api_keys.authenticate(key.strip())

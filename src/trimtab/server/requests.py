"""Around every request: an id, a line in the log, safe headers, and an answer also when something breaks."""

from __future__ import annotations

import logging
import time

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trimtab.bootstrap import Trimtab
from trimtab.server.problems import unexpected

log = logging.getLogger(__name__)

# Nothing here is a page: no browser may run, frame, sniff or keep any of it. And no CORS: other origins get nothing.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Requests:
    """The outermost layer. Keys are in headers and bodies are data, so neither is ever logged."""

    def __init__(self, app: ASGIApp, *, trimtab: Trimtab) -> None:
        self._app = app
        self._trimtab = trimtab

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        request_id = state["request_id"] = self._trimtab.context.new_id()
        began = time.perf_counter()
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
                headers["X-Request-Id"] = request_id
            await send(message)

        try:
            await self._app(scope, receive, answer)
        except Exception:
            log.exception(
                "request=%s method=%s path=%r failed=unexpectedly", request_id, scope["method"], scope["path"]
            )
            if status:
                raise  # half an answer is out: only closing the connection can tell that it is not whole
            await unexpected(request_id)(scope, receive, answer)
        finally:
            actor = state.get("actor")
            log.info(
                "request=%s method=%s path=%r status=%s ms=%.1f actor=%r",
                request_id,
                scope["method"],
                scope["path"],
                status or "none",
                1000 * (time.perf_counter() - began),
                actor.name if actor is not None else None,
            )

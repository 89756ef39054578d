"""Bodies: read at once within a limit, unpacked within the same limit."""

from __future__ import annotations

import zlib

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trimtab.errors import InvalidInputError, TooLargeError, TrimtabError, UnsupportedMediaError
from trimtab.server.problems import problem_of

MAX_BODY = 8 * 1024 * 1024
_GZIP = 31  # zlib's word for: a gzip header is needed, and nothing else


class Bodies:
    """Hands each route its whole body, unpacked, or refuses it before anything looks at it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            body = await _whole(headers, receive)
            if body is None:
                return  # the client has left: nobody waits for an answer
            coding = headers.get("content-encoding", "identity").strip().lower()
            if coding == "gzip":
                body = await run_in_threadpool(gunzip, body)
            elif coding != "identity":
                raise UnsupportedMediaError(f"content-encoding: {coding[:40]!r} is not understood; use gzip or none")
        except TrimtabError as error:
            await problem_of(error)(scope, receive, send)
            return
        if coding == "gzip":
            scope = {**scope, "headers": list(scope["headers"])}
            changed = MutableHeaders(scope=scope)
            del changed["content-encoding"]
            changed["content-length"] = str(len(body))
        await self._app(scope, _again(body, receive), send)


async def _whole(headers: Headers, receive: Receive) -> bytes | None:
    """The body; None when the client left half-way. Raises TooLargeError as soon as that is known."""
    said = headers.get("content-length", "")
    if said.isdecimal() and int(said) > MAX_BODY:
        raise _too_large()
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY:
            raise _too_large()
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()  # nothing but the news that the client left
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def gunzip(packed: bytes) -> bytes:
    """`packed` unpacked, if that stays within the limit: a bomb is refused when it begins to swell.

    Raises TooLargeError, or InvalidInputError for what is not one whole gzip member.
    """
    unpacker = zlib.decompressobj(wbits=_GZIP)
    try:
        body = unpacker.decompress(packed, MAX_BODY + 1)
    except zlib.error as error:
        raise InvalidInputError(f"body: is no gzip ({error})") from None
    if len(body) > MAX_BODY:
        raise _too_large()
    if not unpacker.eof or unpacker.unused_data:
        raise InvalidInputError("body: one whole gzip member is needed, and nothing behind it")
    return body


def _too_large() -> TooLargeError:
    return TooLargeError(f"body: at most {MAX_BODY} bytes, also unpacked; send it in parts")

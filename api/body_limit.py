"""No request is read beyond a size that any honest one stays under, nor for longer than an honest one takes.

Blobs, which go to the disk, may be larger, and take as long as pieces of them come.
"""

from __future__ import annotations

import math
import time
from typing import Final

import anyio
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import answer, problem
from api.roles import SIGNED_PATHS

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
MAX_SIGNED_BYTES: Final = 64 * 1024
"""Of what anybody may send, until its signature is looked at."""
BLOBS: Final = "/api/v1/uploads/blobs/"
PIECE_S: Final = 20.0
"""Between two pieces of a body."""
BODY_S: Final = 300.0
"""For all of it."""
_LENGTH_DIGITS: Final = 20


class BodyLimit:
    """Answers 413 at once if the announced size is too large, and stops reading a body that grows too large or old.

    While the body is read, that is an HTTPException of status 413 or 408 to whoever reads it.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_bytes: int = MAX_BODY_BYTES,
        max_blob_bytes: int = MAX_BODY_BYTES,
        piece_s: float = PIECE_S,
        body_s: float = BODY_S,
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._max_blob_bytes = max_blob_bytes
        self._piece_s = piece_s
        self._body_s = body_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_blob = scope["path"].startswith(BLOBS)
        max_bytes, body_s = (self._max_blob_bytes, math.inf) if is_blob else (self._max_bytes, self._body_s)
        if scope["path"].startswith(SIGNED_PATHS):
            max_bytes = min(max_bytes, MAX_SIGNED_BYTES)
        remedy = f"send at most {max_bytes} bytes; " + ("leave the file out" if is_blob else "split a batch")
        if _announced(scope) > max_bytes:
            detail = f"the body has {_announced(scope)} bytes"
            await answer(problem(413, "body_too_large", detail, remedy=remedy))(scope, receive, send)
            return
        await self._app(scope, self._counting(receive, max_bytes, body_s, remedy), send)

    def _counting(self, receive: Receive, max_bytes: int, body_s: float, remedy: str) -> Receive:
        seen_bytes, is_ended = 0, False
        ends_s = time.monotonic() + body_s

        async def counted() -> Message:
            nonlocal seen_bytes, is_ended
            if is_ended:  # what comes now is that the asker has gone, whenever that is
                return await receive()
            message = await self._in_time(receive, ends_s)
            is_ended = not message.get("more_body", False)
            seen_bytes += len(message.get("body", b""))
            if seen_bytes > max_bytes:
                raise HTTPException(413, f"the body is too large; {remedy}")
            return message

        return counted

    async def _in_time(self, receive: Receive, ends_s: float) -> Message:
        try:
            with anyio.fail_after(max(0.0, min(self._piece_s, ends_s - time.monotonic()))):
                return await receive()
        except TimeoutError as error:
            detail = "the body does not arrive; send it without pauses, or in smaller requests"
            raise HTTPException(408, detail, headers={"Connection": "close"}) from error


def _announced(scope: Scope) -> int:
    """Bytes by the Content-Length header, 0 without one (a server refuses one that is no number)."""
    text = Headers(scope=scope).get("content-length", "0")
    return int(text[:_LENGTH_DIGITS]) if text.isdecimal() else 0

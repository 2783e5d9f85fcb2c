"""No request is read beyond a size that any honest one stays under. Blobs, which go to the disk, may be larger."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import answer, problem

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
BLOBS: Final = "/api/v1/uploads/blobs/"


class BodyLimit:
    """Answers 413 at once if the announced size is too large, and stops reading a body that grows too large."""

    def __init__(
        self, app: ASGIApp, *, max_bytes: int = MAX_BODY_BYTES, max_blob_bytes: int = MAX_BODY_BYTES
    ) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._max_blob_bytes = max_blob_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        is_blob = scope["path"].startswith(BLOBS)
        max_bytes = self._max_blob_bytes if is_blob else self._max_bytes
        remedy = f"send at most {max_bytes} bytes; " + ("leave the file out" if is_blob else "split a batch")
        if _announced(scope) > max_bytes:
            detail = f"the body has {_announced(scope)} bytes"
            await answer(problem(413, "body_too_large", detail, remedy=remedy))(scope, receive, send)
            return
        await self._app(scope, _counting(receive, max_bytes, remedy), send)


def _counting(receive: Receive, max_bytes: int, remedy: str) -> Receive:
    seen_bytes = 0

    async def counted() -> Message:
        nonlocal seen_bytes
        message = await receive()
        seen_bytes += len(message.get("body", b""))
        if seen_bytes > max_bytes:
            raise HTTPException(413, f"the body is too large; {remedy}")
        return message

    return counted


def _announced(scope: Scope) -> int:
    """Bytes by the Content-Length header, 0 without one (a server refuses one that is no number)."""
    text = Headers(scope=scope).get("content-length", "0")
    return int(text) if text.isdecimal() else 0

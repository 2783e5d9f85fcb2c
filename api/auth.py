"""Who asks: a bearer token, known to the site only by its SHA-256. Decided before anything of a request is read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

from anyio.to_thread import run_sync
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.problems import store_unavailable, unauthorized
from scheduler.errors import StoreError

OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})
"""Served to everybody, for they say nothing of the site's work."""
MAX_TOKEN: Final = 512

TokenHolder = Callable[[str], str | None]
"""From a token's SHA-256 (hex) to the name it was given, None if the site does not know it. May block."""


class Authentication:
    """Lets requests with a known token through, and puts its name into `scope["state"]["person"]`."""

    def __init__(self, app: ASGIApp, *, holder: TokenHolder) -> None:
        self._app = app
        self._holder = holder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or answer 401."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS:
            await self._app(scope, receive, send)
            return
        token = bearer_token(Headers(scope=scope))
        try:
            person = await run_sync(self._holder, token_hash(token)) if token else None
        except StoreError as error:
            await store_unavailable(error)(scope, receive, send)
            return
        if person is None:
            detail = "this site does not know the token" if token else "the request carries no bearer token"
            await unauthorized(detail)(scope, receive, send)
            return
        scope.setdefault("state", {})["person"] = person
        await self._app(scope, receive, send)


def token_hash(token: str) -> str:
    """What the site keeps of a token: its SHA-256 in hex."""
    return hashlib.sha256(token.encode()).hexdigest()


def bearer_token(headers: Headers) -> str | None:
    """The token of the one Authorization header, None if there is not exactly one that makes sense."""
    given = headers.getlist("authorization")
    if len(given) != 1:
        return None
    scheme, _, token = given[0].partition(" ")
    token = token.strip()
    return token if scheme.lower() == "bearer" and 0 < len(token) <= MAX_TOKEN else None

"""Who asks: a bearer token, sent as a header or in a browser's cookie, known to the site only by its SHA-256.

Decided before anything of a request is read.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from anyio.to_thread import run_sync
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.problems import store_unavailable, unauthorized
from api.session import is_open, session_token, to_login
from scheduler.errors import StoreError
from scheduler.store.desk import Desk
from scheduler.store.views import TokenView

OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})
"""Served to everybody, for they say nothing of the site's work."""
SITE_TOKEN: Final = "site"  # noqa: S105 - a name
"""What the token that a site makes for itself is called."""
_MAX_CHARACTERS: Final = 512

TokenFinder = Callable[[str], TokenView | None]
"""Whose token a text is, None if the site does not know it. May block."""


class Authentication:
    """Lets requests with a known token through, and puts its name and role into `scope["state"]`."""

    def __init__(self, app: ASGIApp, *, find: TokenFinder, cookie: str) -> None:
        self._app = app
        self._find = find
        self._cookie = cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or answer 401."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS or is_open(scope):
            await self._app(scope, receive, send)
            return
        text = bearer_token(Headers(scope=scope)) or session_token(scope, self._cookie)
        try:
            token = await run_sync(self._find, text) if text else None
        except StoreError as error:
            await store_unavailable(error)(scope, receive, send)
            return
        if token is None:
            detail = "this site does not know the token" if text else "the request carries no bearer token"
            await (to_login(scope) or unauthorized(detail))(scope, receive, send)
            return
        scope.setdefault("state", {}).update(person=token.name, role=token.role)
        await self._app(scope, receive, send)


def bearer_token(headers: Headers) -> str | None:
    """The token of the one Authorization header, None if there is not exactly one that makes sense."""
    given = headers.getlist("authorization")
    if len(given) != 1:
        return None
    scheme, _, text = given[0].partition(" ")
    text = text.strip()
    return text if scheme.lower() == "bearer" and 0 < len(text) <= _MAX_CHARACTERS else None


def ensure_site_token(desk: Desk, file: Path) -> None:
    """Leave a token that the site knows in `file` (mode 0600): the one that is there, else a new one.

    Raises `StoreError`, and OSError if the file cannot be written.
    """
    if file.exists() and desk.find_token(file.read_text("utf-8").strip()) is not None:
        return
    desk.revoke_token(SITE_TOKEN)
    text = desk.create_token(SITE_TOKEN, "admin")
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    with open(temporary, "w", encoding="utf-8", opener=_private) as stream:
        stream.write(f"{text}\n")
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(file)


def _private(path: str, flags: int) -> int:
    """Open for the owner only, even if a file of that name was left there for others to read."""
    descriptor = os.open(path, flags | os.O_NOFOLLOW, 0o600)
    os.fchmod(descriptor, 0o600)
    return descriptor

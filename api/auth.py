"""Who asks: a bearer token, sent as a header or in a browser's cookie, known to the site only by its SHA-256.

Decided before anything of a request is read.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from anyio.to_thread import run_sync
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.problems import store_unavailable, unauthorized
from api.roles import OPEN_PATHS, Caller, is_for_all
from api.session import session_token, to_login
from barq.roles import Role
from scheduler.errors import StoreError
from scheduler.store.desk import Desk
from scheduler.store.views import TokenView

__all__ = ["OPEN_PATHS", "Authentication", "Unknown", "authenticate", "ensure_site_token"]

SITE_TOKEN: Final = "site"  # noqa: S105 - a name
"""What the token that a site makes for itself is called."""
_MAX_CHARACTERS: Final = 512
_SEND: Final = (
    "send `Authorization: Bearer TOKEN`: `barq login` keeps the one that an operator made for you, "
    "`barq up` prints where the site's own is"
)
_RENEW: Final = "ask an operator for a new one (`barq token create`), then `barq login`"

TokenFinder = Callable[[str], TokenView | None]
"""Whose token a text is or was, None if the site never knew it. May block."""


class Unknown(Exception):
    """A token that opens nothing. The message says why, `remedy` what to do."""

    def __init__(self, why: str, remedy: str = _SEND) -> None:
        super().__init__(why)
        self.remedy = remedy


def authenticate(find: TokenFinder, text: str | None) -> TokenView:
    """The token that `text` is, if it opens the door now. May block. Raises `Unknown`, `StoreError`."""
    if not text:
        raise Unknown("the request carries no bearer token")
    token = find(text)
    if token is None or token.role not in list(Role):
        raise Unknown("this site does not know the token")
    if token.revoked_at is not None:
        raise Unknown(
            f"the token {token.name} of {token.user} was revoked at {_shown(token.revoked_at)}", _RENEW
        )
    if token.expires_at is not None and token.expires_at <= datetime.now(UTC):
        raise Unknown(f"the token {token.name} of {token.user} expired at {_shown(token.expires_at)}", _RENEW)
    return token


class Authentication:
    """Lets requests with a good token through, and puts who it is into `scope["state"]`: person, role, token."""

    def __init__(self, app: ASGIApp, *, find: TokenFinder, cookie: str) -> None:
        self._app = app
        self._find = find
        self._cookie = cookie

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or answer 401."""
        if scope["type"] != "http" or is_for_all(scope):
            await self._app(scope, receive, send)
            return
        text = bearer_token(Headers(scope=scope)) or session_token(scope, self._cookie)
        try:
            token = await run_sync(authenticate, self._find, text)
        except StoreError as error:
            await store_unavailable(error)(scope, receive, send)
            return
        except Unknown as error:
            await (to_login(scope) or unauthorized(str(error), error.remedy))(scope, receive, send)
            return
        introduce(scope, token)
        await self._app(scope, receive, send)


def introduce(scope: Scope, token: TokenView) -> None:
    """Have all that serve the request know who asks."""
    caller = Caller(person=token.user, role=Role(token.role))
    known = {"person": caller.person, "role": caller.role, "caller": caller, "token": token}
    scope.setdefault("state", {}).update(known)


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


def _shown(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds")

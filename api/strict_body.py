"""What a request says of its body must make sense, and JSON must be plain JSON: checked before any route looks at it.

Python's reader takes the last of two equal names, NaN and UTF-16 for JSON. Here these are refused: what a person wrote
twice must not silently lose its first meaning.
"""

from __future__ import annotations

import re
from collections import Counter
from email.message import Message as HeaderValue
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import Problem, answer, http_error, problem
from api.roles import SIGNED_PATHS
from barq.documents import DocumentError, read_json
from barq.refusal import dotted, shown

MAX_VALUES: Final = 500_000
"""Values in one body, lists and mappings counted: what bounds the memory that reading it takes."""
MAX_NAMES: Final = 1000
"""Names in one mapping."""
_ONCE: Final = ("content-type", "content-length", "content-encoding", "transfer-encoding", "authorization")
_TEXTS: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_CLOSE: Final = {"Connection": "close"}


class StrictBody:
    """Answers what has a doubtful frame, an encoding or a charset that is not ours, or JSON that is not plain."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refused = _frame(headers) or _encoding(headers)
        is_signed = scope["path"].startswith(SIGNED_PATHS)  # its route looks at the signature first
        if refused is None and _is_json(headers) and not is_signed:
            try:
                body, ended = await _whole(receive)
            except HTTPException as error:  # too large, or too slow
                refused = http_error(Request(scope), error)
            else:
                refused = _content(body)
                receive = _again(body, receive, ended=ended)
        await (refused or self._app)(scope, receive, send)


def _frame(headers: Headers) -> Response | None:
    """Whoever sits between could read the end of the body elsewhere than we do: the connection ends with this."""
    counts = Counter(headers.keys())
    if twice := next((name for name in _ONCE if counts[name] > 1), None):
        detail, remedy = f"the header {twice} is given {counts[twice]} times", f"send one {twice}"
        return answer(problem(400, "bad_request", detail, field=twice, remedy=remedy), _CLOSE)
    if "transfer-encoding" in headers and "content-length" in headers:
        detail, remedy = "the request gives its length in two ways", "send Content-Length or chunks, not both"
        length = headers["content-length"]
        return answer(
            problem(400, "bad_request", detail, field="content-length", value=shown(length), remedy=remedy),
            _CLOSE,
        )
    return None


def _encoding(headers: Headers) -> Response | None:
    """Nothing is unpacked: a small body that becomes a huge one is never opened."""
    packed = headers.get("content-encoding", "identity").strip()
    if packed.lower() not in ("", "identity"):
        return _unsupported("content-encoding", packed, "send the body as it is, not packed")
    charset = HeaderValue()
    charset["content-type"] = headers.get("content-type", "")
    named = charset.get_param("charset", "utf-8") if _is_json(headers) else "utf-8"
    if str(named).lower() not in ("utf-8", "utf8", "us-ascii"):
        return _unsupported("content-type", headers["content-type"], "send JSON as UTF-8")
    return None


def _unsupported(field: str, value: str, remedy: str) -> Response:
    detail = f"{field}: {shown(value)} is refused; {remedy}"
    return answer(
        problem(415, "unsupported_encoding", detail, field=field, value=shown(value), remedy=remedy)
    )


def _is_json(headers: Headers) -> bool:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


async def _whole(receive: Receive) -> tuple[bytes, bool]:
    """The body, and whether it came to its end: the asker may go before."""
    pieces: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b"".join(pieces), False
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(pieces), True


def _again(body: bytes, receive: Receive, *, ended: bool) -> Receive:
    """Give the route the body as if nobody had read it yet."""
    told = False

    async def replayed() -> Message:
        nonlocal told
        if told:
            return await receive() if ended else {"type": "http.disconnect"}
        told = True
        return {"type": "http.request", "body": body, "more_body": not ended}

    return replayed


def _content(body: bytes) -> Response | None:
    found = complaint(body)
    return None if found is None else answer(found)


def complaint(body: bytes) -> Problem | None:
    """Why a body is no plain JSON; None if it is, or empty."""
    if not body.strip():
        return None  # the route knows whether it needs one
    try:
        plain_json(body)
    except UnicodeDecodeError as error:
        value = f"byte {error.start} is 0x{body[error.start]:02x}"
        return _not_json("body", "is not UTF-8", "send JSON as UTF-8", value=value)
    except DocumentError as error:
        field = dotted(error.path) if error.path else "body"
        return _not_json(field, error.problem, error.remedy, value=None)
    return None


def plain_json(body: bytes) -> object:
    """What the body says. Raises `DocumentError` if it is no plain JSON, `UnicodeDecodeError`."""
    _check_size(body)
    return read_json(body.decode(), max_names=MAX_NAMES).value


def _not_json(field: str, what: str, remedy: str, *, value: str | None) -> Problem:
    return problem(422, "invalid_json", f"{field} {what}; {remedy}", field=field, value=value, remedy=remedy)


def _check_size(body: bytes) -> None:
    """Count what separates values, outside of texts only if need be: a text may hold any number of commas."""
    if _separators(body) > MAX_VALUES and _separators(_TEXTS.sub(b"", body)) > MAX_VALUES:
        raise DocumentError(f"has more than {MAX_VALUES} values", remedy="split it")


def _separators(body: bytes) -> int:
    return sum(body.count(mark) for mark in (b",", b"[", b"{"))

"""The short way through the API for what comes by the hundred: one job submitted, one job shown.

It does what the long way does, with the same parts, but in one change of thread and without the framework's routing.
Whatever is unusual about a request (no good token, a body that is late, large, in pieces or no plain JSON, a field
that is refused) is left untouched to the long way, which says what is wrong with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from anyio.to_thread import run_sync
from pydantic import ValidationError
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.auth import Unknown, authenticate, bearer_token
from api.context import Context, is_job_id
from api.problems import Refused, told
from api.roles import JOB, LEAST_ROLE, Caller
from api.routes.jobs import show, submit_one
from api.strict_body import plain_json
from api.wire.jobs import JobView, SubmittedJob
from barq.documents import DocumentError
from barq.roles import Role
from scheduler.errors import StoreError
from scheduler.store import refusals as store

JOBS: Final = "/api/v1/jobs"
SOON_S: Final = 0.05
"""A body that was sent with its head is there by then."""
MAX_BYTES: Final = 256 * 1024
_DOUBTFUL: Final = ("transfer-encoding", "content-encoding", "expect")
_ONCE: Final = ("authorization", "content-type", "content-length")

Work = Callable[[Caller], JobView]


class Unusual(Exception):
    """A request for the long way. Nothing was done for it yet."""


class Express:
    """Serves the usual ones of two routes, and leaves all else to `app`."""

    def __init__(self, app: ASGIApp, *, here: Context) -> None:
        self._app = app
        self._here = here

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, by one way or the other."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if _is_submission(scope, headers):
            heard: list[Message] = []
            body = await _soon(receive, heard)
            response = None if body is None else await self._submitted(scope, headers, body)
            receive = _again(heard, receive)
        elif _is_look(scope, headers):
            response = await self._shown(scope, headers)
        else:
            response = None
        await (response or self._app)(scope, receive, send)

    async def _submitted(self, scope: Scope, headers: Headers, body: bytes) -> Response | None:
        return await self._answered(
            scope,
            headers,
            least=LEAST_ROLE["POST", JOBS],
            status=201,
            work=lambda caller: submit_one(_job_in(body), self._here, caller),
        )

    async def _shown(self, scope: Scope, headers: Headers) -> Response | None:
        job_id = scope["path"].removeprefix(f"{JOBS}/")
        if not is_job_id(job_id):
            return None
        least = LEAST_ROLE["GET", JOB]
        return await self._answered(
            scope, headers, least=least, status=200, work=lambda caller: show(job_id, self._here, caller)
        )

    async def _answered(
        self, scope: Scope, headers: Headers, *, least: Role, status: int, work: Work
    ) -> Response | None:
        """The answer, None for a request that the long way is to look at."""
        text = bearer_token(headers)
        if text is None:
            return None
        try:
            content = await run_sync(self._work, text, least, work)
        except Unusual:
            return None
        except (Refused, store.Refused, StoreError) as error:
            return await told(Request(scope), error)
        return Response(content, status_code=status, media_type="application/json")

    def _work(self, text: str, least: Role, work: Work) -> bytes:
        """All that may block. Raises `Unusual`, and what `work` raises."""
        try:
            token = authenticate(self._here.desk.look_up_token, text)
        except Unknown as error:
            raise Unusual from error
        caller = Caller(person=token.user, role=Role(token.role))
        if not caller.role.includes(least):
            raise Unusual
        return work(caller).model_dump_json().encode()


def _job_in(body: bytes) -> SubmittedJob:
    """The job that a body asks for. Raises `Unusual` if it asks for none in plain words."""
    try:
        return SubmittedJob.model_validate(plain_json(body))
    except (UnicodeDecodeError, DocumentError, ValidationError) as error:
        raise Unusual from error


def _is_submission(scope: Scope, headers: Headers) -> bool:
    if (scope["method"], scope["path"]) != ("POST", JOBS):
        return False
    is_plain = not scope["query_string"] and not any(name in headers for name in _DOUBTFUL)
    if not is_plain or any(len(headers.getlist(name)) != 1 for name in _ONCE):
        return False
    length = headers["content-length"]
    is_small = length.isdecimal() and len(length) < len(str(MAX_BYTES)) + 1 and 0 < int(length) <= MAX_BYTES
    return is_small and headers["content-type"] == "application/json"


def _is_look(scope: Scope, headers: Headers) -> bool:
    has_body = any(name in headers for name in (*_DOUBTFUL, "content-type", "content-length"))
    if scope["method"] != "GET" or scope["query_string"] or has_body:
        return False
    before, _, job_id = scope["path"].rpartition("/")
    return before == JOBS and bool(job_id)


async def _soon(receive: Receive, heard: list[Message]) -> bytes | None:
    """The body, if it is here: who sends it is not known yet, and nobody waits for him. Notes what was `heard`."""
    body = bytearray()
    try:
        async with asyncio.timeout(SOON_S):
            while len(body) <= MAX_BYTES:
                heard.append(message := await receive())
                if message["type"] != "http.request":
                    return None
                body += message.get("body", b"")
                if not message.get("more_body", False):
                    return bytes(body)
    except TimeoutError:
        pass
    return None


def _again(heard: list[Message], receive: Receive) -> Receive:
    """Have the long way hear what was heard here."""
    left = iter(heard)

    async def replayed() -> Message:
        return next(left, None) or await receive()

    return replayed

"""A client of a VTN: token, pages of what it shows, objects of ours, and what time it thinks it is.

The PyPI library `openadr3` 0.5.0 was looked at first: it blocks, knows no deadline and no paging, fetches one token
and never another. What is left is thin over httpx.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import quote

import httpx

from scheduler.connections.http import is_safe
from scheduler.errors import SignalError

PAGE: Final = 50  #: the most that OpenADR lets a client ask for
MOST_OBJECTS: Final = 2000  #: programs or events of one answer
MOST_BYTES: Final = 4_000_000  #: of one page
LONGEST_WAIT_S: Final = 300.0  #: a VTN that asks for more patience is asked again after this
LONGEST_LIFE_S: Final = 86_400.0  #: of a token
EARLY_S: Final = 30.0  #: a token is renewed this long before it ends, or at half of a shorter life
_DONE: Final = frozenset({200, 201})
_UNAUTHORIZED, _NOT_FOUND, _CONFLICT = 401, 404, 409
_BUSY: Final = frozenset({429, 503})
_ATTEMPTS: Final = 3


class Busy(SignalError):
    """The VTN asks to be left alone until `retry_s` have passed."""

    def __init__(self, text: str, retry_s: float) -> None:
        super().__init__(text)
        self.retry_s = retry_s


class Missing(SignalError):
    """The VTN knows no such object."""


class Conflict(SignalError):
    """The VTN has an object of that name."""


class _Changed(Exception):
    """The list changed between two of its pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where the VTN is and how it knows us. `secret` is asked whenever a token is: it may have been renewed."""

    url: str
    token_url: str | None
    client_id: str | None
    scope: str
    secret: Callable[[], str]
    allow_http: bool


class Vtn:
    """One VTN. Every method raises `SignalError`; none of their texts holds what the VTN or the site keep secret."""

    def __init__(self, access: Access, http: httpx.AsyncClient) -> None:
        self._access = access
        self._http = http
        self._token: str | None = None
        self._renew_at_s = math.inf
        #: The VTN's time less ours, s: the least and the most that it can be.
        self.offset_s: tuple[float, float] = (0.0, 0.0)

    async def programs(self) -> list[Any]:
        """All programs that it shows us."""
        return await self._all("programs", {})

    async def events(self, program_id: str | None = None) -> list[Any]:
        """All events that it shows us, of one program or of all, past ones included."""
        return await self._all("events", {"programID": program_id} if program_id else {})

    async def found(self, what: str, query: Mapping[str, str]) -> list[Any]:
        """All objects of a kind (reports, vens, resources) that it shows us and that the query lets through."""
        return await self._all(what, query)

    async def create(self, what: str, document: Mapping[str, Any]) -> str:
        """A new object; its id. Raises `Conflict` where there is one of its name."""
        return self._id_of(await self._ask("POST", what, {}, document), f"POST /{what}")

    async def replace(self, what: str, object_id: str, document: Mapping[str, Any]) -> None:
        """Put another version in the object's place. Raises `Missing` where it is gone."""
        await self._ask("PUT", f"{what}/{quote(object_id, safe='')}", {}, document)

    @staticmethod
    def _id_of(answer: object, where: str) -> str:
        object_id = answer.get("id") if isinstance(answer, dict) else None
        if not isinstance(object_id, str) or not object_id:
            raise SignalError(f"the VTN answered {where} with no id; is vtn_url the base of OpenADR 3?")
        return object_id

    # -- pages -----------------------------------------------------------------------------------------------------

    async def _all(self, what: str, query: Mapping[str, str]) -> list[Any]:
        for _ in range(_ATTEMPTS):
            try:
                return await self._pages(what, query)
            except _Changed:
                continue
        raise SignalError(f"the VTN's {what} changed each time while they were read in pages; is it stable?")

    async def _pages(self, what: str, query: Mapping[str, str]) -> list[Any]:
        """Page by page until nothing new comes: a VTN may give fewer than it was asked for.

        Each page begins with the last object of the one before it: if it does not, something was added or removed
        meanwhile, and an event may have slipped between the pages.
        """
        found = await self._page(what, query, skip=0)
        widest = new = len(found)
        while new:
            shared = 1 if widest > 1 else 0  # a VTN that gives them one by one can share none
            page = await self._page(what, query, skip=len(found) - shared)
            if page == found:
                break  # it does not page: this is all, again
            if page[:shared] != found[len(found) - shared :]:
                raise _Changed
            new = len(page) - shared
            found += page[shared:]
            if len(found) > MOST_OBJECTS:
                raise SignalError(f"the VTN has more than {MOST_OBJECTS} {what} for us; name programs")
        return found

    async def _page(self, what: str, query: Mapping[str, str], *, skip: int) -> list[Any]:
        answer = await self._ask("GET", what, {**query, "skip": str(skip), "limit": str(PAGE)})
        if not isinstance(answer, list):
            raise SignalError(f"the VTN answered GET /{what} with no list; is vtn_url the base of OpenADR 3?")
        return answer

    # -- one request -----------------------------------------------------------------------------------------------

    async def _ask(self, method: str, path: str, query: Mapping[str, str], body: object = None) -> Any:  # noqa: ANN401 - JSON is anything
        """Refused for its token, once with a new one."""
        response = await self._authorized(method, path, query, body)
        if response.status_code == _UNAUTHORIZED and self._access.client_id is not None:
            self._token = None
            response = await self._authorized(method, path, query, body)
        _check(response, f"{method} /{path}")
        return _parsed(response, f"{method} /{path}")

    async def _authorized(
        self, method: str, path: str, query: Mapping[str, str], body: object
    ) -> httpx.Response:
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if self._access.client_id is not None:
            headers["Authorization"] = f"Bearer {await self._valid_token(self._access.client_id)}"
        url = f"{self._access.url.rstrip('/')}/{path}"
        sent: dict[str, Any] = {} if body is None else {"json": body}
        return await self._send(
            self._http.build_request(method, url, params=dict(query), headers=headers, **sent)
        )

    async def _send(self, request: httpx.Request) -> httpx.Response:
        """The whole answer, unless it is too long. Notes the VTN's clock."""
        where = f"{request.method} {request.url.path}"
        before = datetime.now(UTC)
        try:
            response = await self._http.send(request, stream=True)
            try:
                content = await _content(response, where)
            finally:
                await response.aclose()
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise SignalError(f"the VTN cannot be reached: {where}: {type(error).__name__}") from error
        self._note_clock(response, before, datetime.now(UTC))
        return httpx.Response(response.status_code, headers=_plain(response.headers), content=content)

    def _note_clock(self, response: httpx.Response, before: datetime, after: datetime) -> None:
        """Its Date header, which names the second that it was in when it answered."""
        told = _date(response.headers.get("Date", ""))
        if told is not None:
            least_s, most_s = (told - after).total_seconds(), (told - before).total_seconds()
            self.offset_s = (least_s, most_s + 1.0)

    # -- tokens ----------------------------------------------------------------------------------------------------

    async def _valid_token(self, client_id: str) -> str:
        if self._token is None or time.monotonic() >= self._renew_at_s:
            self._token = await self._new_token(client_id)
        return self._token

    async def _new_token(self, client_id: str) -> str:
        form = {"grant_type": "client_credentials", "client_id": client_id}
        form["client_secret"] = self._access.secret()
        if self._access.scope:
            form["scope"] = self._access.scope
        asked_s = time.monotonic()
        response = await self._send(self._http.build_request("POST", await self._token_url(), data=form))
        _check(response, "POST for a token", denied="check client_id and the secret")
        answer = _parsed(response, "POST for a token")
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
            raise SignalError("the VTN's token server answered without an access_token; is token_url right?")
        self._renew_at_s = asked_s + _lasts_s(answer.get("expires_in"))
        return token

    async def _token_url(self) -> str:
        if self._access.token_url is not None:
            return self._access.token_url
        request = self._http.build_request("GET", f"{self._access.url.rstrip('/')}/auth/server")
        response = await self._send(request)
        _check(response, "GET /auth/server")
        answer = _parsed(response, "GET /auth/server")
        url = answer.get("tokenURL") if isinstance(answer, dict) else None
        if not isinstance(url, str) or not is_safe(url, allow_http=self._access.allow_http):
            raise SignalError("GET /auth/server names no https tokenURL to send a secret to; set token_url")
        return url


async def _content(response: httpx.Response, where: str) -> bytes:
    content = b""
    async for piece in response.aiter_bytes():
        content += piece
        if len(content) > MOST_BYTES:
            raise SignalError(f"the VTN answered {where} with more than {MOST_BYTES} bytes; name programs")
    return content


def _plain(headers: httpx.Headers) -> dict[str, str]:
    """What is still true of a body that was unpacked."""
    return {key: headers[key] for key in ("Content-Type", "Retry-After") if key in headers}


def _check(response: httpx.Response, where: str, *, denied: str = "check its rights at the VTN") -> None:
    status = response.status_code
    if status in _DONE:
        return
    if status == _CONFLICT:
        raise Conflict(f"the VTN answered {where} with 409: it has one of that name that it does not show us")
    if status == _NOT_FOUND and not where.startswith("GET"):
        raise Missing(f"the VTN answered {where} with 404; is vtn_url the base of OpenADR 3?")
    if status in _BUSY:
        wait_s = _retry_s(response.headers.get("Retry-After", ""))
        raise Busy(f"the VTN is busy: {where}: {status}; asked again when it said, or within minutes", wait_s)
    remedy = f"; {denied}" if status in (400, _UNAUTHORIZED, 403) else ""
    raise SignalError(f"the VTN answered {where} with {status}{remedy}")


def _parsed(response: httpx.Response, where: str) -> Any:  # noqa: ANN401 - JSON is anything
    try:
        return json.loads(response.content, parse_constant=str)  # NaN differs from itself; its name does not
    except (ValueError, RecursionError) as error:
        raise SignalError(f"the VTN answered {where} with what is no JSON; is vtn_url right?") from error


def _retry_s(told: str) -> float:
    """Seconds or a date; 0 if it says neither."""
    date = _date(told)
    if told.strip().isdigit():
        wait_s = float(told)
    else:
        wait_s = (date - datetime.now(UTC)).total_seconds() if date is not None else 0.0
    return min(max(0.0, wait_s), LONGEST_WAIT_S)


def _date(told: str) -> datetime | None:
    """A date as HTTP writes it."""
    try:
        at = parsedate_to_datetime(told)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _lasts_s(told: object) -> float:
    """Until it is better renewed; without a word that makes sense, until the VTN refuses it."""
    if isinstance(told, bool) or not isinstance(told, int | float) or not told > 0:
        return math.inf
    life_s = float(min(told, LONGEST_LIFE_S))
    return max(life_s - EARLY_S, life_s / 2)

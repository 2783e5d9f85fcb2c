"""One machine's controller (BMC), asked over Redfish: HTTPS, one session, in a bounded time and size.

What the site says to show who it is never shows in an error. A controller that fails is left alone for a while that
doubles, up to `LONGEST_PAUSE_S`; one that denied a name and password is not asked with the same again for
`DENIED_PAUSE_S`, for many lock an account after a few.

The PyPI libraries were looked at first. sushy 5.14.0 and redfish 3.4.2 block; their timeouts are for one read of a
socket, not for an answer; they try again by themselves, also what is not safe to repeat; a thread of theirs that hangs
cannot be called off; neither reads EnvironmentMetrics. What is left is thin over httpx.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import httpx

from scheduler.connections.bmc_options import BmcOptions
from scheduler.connections.credentials import read_secret
from scheduler.connections.messages import Refused, read_json
from scheduler.connections.redfish_documents import Document, link
from scheduler.errors import HostError, HostRefused, SignalError

ROOT: Final = "/redfish/v1/"
MOST_BYTES: Final = 1_000_000
FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 30.0
DENIED_PAUSE_S: Final = 300.0
CLOSE_S: Final = 2.0
_OK: Final = frozenset({200, 201, 202, 204})
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_CHANGED: Final = 412
_DECLINED: Final = frozenset({400, 405, 406, 409, 415, 422, 428, 501})
_REDIRECTS: Final = range(300, 400)

logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs each address


class Gone(HostError):
    """There is no such document any more."""


class Changed(HostRefused):
    """The document is not as it was got any more; on some controllers each new reading of a sensor makes it so."""


class Bmc:
    """Its documents. Every method raises `HostError`, within the time that the answers may take."""

    def __init__(
        self,
        name: str,
        options: BmcOptions,
        *,
        base: Path,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name, self._options, self._base, self._monotonic_s = name, options, base, monotonic_s
        self._http: httpx.AsyncClient | None = None
        self._token: str | None = None
        self._session: str | None = None  #: path of ours, to end it
        self._knows_sessions = True
        self._tags: dict[str, str] = {}
        self._lock = asyncio.Lock()
        self._pause_s = 0.0
        self._asked_again_s = 0.0
        self._why = ""
        self._denied: tuple[tuple[str, str], float] | None = None  #: which name and password, and until when

    async def get(self, path: str) -> Document:
        """The document there."""
        response = await self._ask("GET", path)
        try:
            document = read_json(response.content, most_bytes=MOST_BYTES)
        except Refused as error:
            raise HostRefused(f"{self.name}: GET {path}: {error}") from error
        if not isinstance(document, Mapping):
            raise HostRefused(f"{self.name}: GET {path}: it is no object; is this a Redfish service?")
        self._tags[path] = response.headers.get("ETag", "")
        return document

    async def post(self, path: str, body: Mapping[str, Any]) -> None:
        """Have something done, once: it is never said twice by itself."""
        await self._ask("POST", path, body)

    async def patch(self, path: str, body: Mapping[str, Any]) -> None:
        """Change the document there as it was last got. Raises `Changed` where it is another since."""
        tag = self._tags.get(path, "")
        await self._ask("PATCH", path, body, {"If-Match": tag} if tag else {})

    async def close(self) -> None:
        """End the session and the connection: controllers have room for few."""
        http, self._http = self._http, None
        if http is None:
            return
        if self._session is not None and self._token is not None:
            with suppress(httpx.HTTPError, TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await http.delete(self._session, headers={"X-Auth-Token": self._token})
        self._token = self._session = None
        await http.aclose()

    # -- one question ----------------------------------------------------------------------------------------------

    async def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """One question at a time: a controller has little to spare."""
        async with self._lock:
            self._check_pause()
            try:
                response = await self._authorized(method, path, body, headers or {})
            except HostRefused:
                raise
            except HostError as error:
                self._fail(error)
                raise
            checked = self._checked(method, path, response)
            self._pause_s = 0.0
            return checked

    def _check_pause(self) -> None:
        left_s = self._asked_again_s - self._monotonic_s()
        if left_s > 0 and self._pause_s > 0:
            raise HostError(f"{self._why}; asked again in {left_s:.1f} s")

    def _fail(self, error: HostError) -> None:
        self._pause_s = min(LONGEST_PAUSE_S, 2 * self._pause_s or FIRST_PAUSE_S)
        self._asked_again_s = self._monotonic_s() + self._pause_s
        self._why = str(error)

    async def _authorized(
        self, method: str, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]
    ) -> httpx.Response:
        """Refused for its session, once with a new one. Nothing was done by what was refused."""
        response = await self._send(method, path, body, {**headers, **await self._credentials()})
        if response.status_code == _UNAUTHORIZED and self._token is not None:
            self._token = self._session = None
            response = await self._send(method, path, body, {**headers, **await self._credentials()})
        return response

    async def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]
    ) -> httpx.Response:
        """The whole answer, unless it is too long or too late."""
        where, timeout_s = f"{self.name}: {method} {path}", self._options.timeout_s
        content = None if body is None else json.dumps(body).encode()
        told = {**headers, **({} if body is None else {"Content-Type": "application/json"})}
        try:
            async with asyncio.timeout(timeout_s):
                request = self._opened().build_request(method, path, content=content, headers=told)
                response = await self._opened().send(request, stream=True)
                try:
                    return await self._whole(response, where)
                finally:
                    await response.aclose()
        except TimeoutError:
            raise HostError(f"{where}: no answer within {timeout_s:g} s; is the controller busy?") from None
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise HostError(f"{where}: {type(error).__name__}{_of_certificate(error)}") from error

    async def _whole(self, response: httpx.Response, where: str) -> httpx.Response:
        content = b""
        async for piece in response.aiter_bytes():
            content += piece
            if len(content) > MOST_BYTES:
                raise HostRefused(f"{where}: more than {MOST_BYTES} bytes; is this a Redfish service?")
        kept = {key: response.headers[key] for key in _KEPT if key in response.headers}
        return httpx.Response(response.status_code, headers=kept, content=content)

    def _checked(self, method: str, path: str, response: httpx.Response) -> httpx.Response:
        status, where = response.status_code, f"{self.name}: {method} {path}"
        if status in _OK:
            return response
        if status == _UNAUTHORIZED:
            self._deny()
        if status in (_UNAUTHORIZED, _FORBIDDEN):
            raise HostRefused(
                f"{where}: denied ({status}); check name, password and rights of the site's user"
            )
        if status == _NOT_FOUND:
            raise Gone(f"{where}: there is no such document ({status})")
        if status == _CHANGED:
            raise Changed(f"{where}: it was changed meanwhile, again and again ({status}); who else sets it?")
        if status in _REDIRECTS:
            raise HostRefused(f"{where}: it leads elsewhere ({status}), and is not followed; correct url")
        if status in _DECLINED:
            raise HostRefused(f"{where}: declined ({status}); see what its user may do, and its own log")
        error = HostError(f"{where}: the controller answered {status}")
        self._fail(error)
        raise error

    def _opened(self) -> httpx.AsyncClient:
        if self._http is None:
            self._http = httpx.AsyncClient(
                base_url=self._options.url.rstrip("/"),
                verify=self._authorities(),
                headers={"Accept": "application/json", "OData-Version": "4.0"},
                timeout=self._options.timeout_s,
                limits=httpx.Limits(max_connections=1),
                trust_env=False,
                follow_redirects=False,
            )
        return self._http

    # -- who we are, and who it is ---------------------------------------------------------------------------------

    async def _credentials(self) -> Mapping[str, str]:
        """A session's token; name and password each time where it knows no sessions."""
        if not self._options.has("username"):
            return {}
        if self._token is None and self._knows_sessions:
            await self._log_in()
        if self._token is not None:
            return {"X-Auth-Token": self._token}
        user = await asyncio.to_thread(self._user)
        self._check_denied(user)
        return {"Authorization": f"Basic {base64.b64encode(':'.join(user).encode()).decode()}"}

    async def _log_in(self) -> None:
        path = await self._sessions()
        if path is None:
            self._knows_sessions = False
            return
        user = await asyncio.to_thread(self._user)
        self._check_denied(user)
        body = {"UserName": user[0], "Password": user[1]}
        response = await self._send("POST", path, body, {})
        if response.status_code in (404, 405, 501):
            self._knows_sessions = False
            return
        token = response.headers.get("X-Auth-Token", "")
        if response.status_code in (400, _UNAUTHORIZED, _FORBIDDEN):
            self._denied = (user, self._monotonic_s() + DENIED_PAUSE_S)
        if response.status_code not in _OK or not token:
            raise HostRefused(
                f"{self.name}: no session ({response.status_code}); check name, password and rights of the "
                "site's user, and whether the controller has a session to spare"
            )
        self._token, self._session = token, _own_path(response.headers.get("Location", ""))

    async def _sessions(self) -> str | None:
        """Where sessions are opened, by the root document, which everybody may read."""
        response = await self._send("GET", ROOT, None, {})
        if response.status_code not in _OK:
            raise HostError(f"{self.name}: GET {ROOT}: the controller answered {response.status_code}")
        try:
            document = read_json(response.content, most_bytes=MOST_BYTES)
            return link(document, "Links", "Sessions") if isinstance(document, Mapping) else None
        except Refused as error:
            raise HostRefused(f"{self.name}: GET {ROOT}: {error}") from error

    def _deny(self) -> None:
        """These credentials are wrong."""
        with suppress(HostError):
            self._denied = (self._user(), self._monotonic_s() + DENIED_PAUSE_S)

    def _check_denied(self, user: tuple[str, str]) -> None:
        if self._denied is not None and self._denied[0] == user and self._monotonic_s() < self._denied[1]:
            raise HostRefused(
                f"{self.name}: denied before with this name and password, and not tried again for minutes, so that "
                "no account is locked; write the right ones"
            )

    def _user(self) -> tuple[str, str]:
        """Name and password as they are now. Reads files."""
        options, found = self._options, []
        for what in ("username", "password"):
            file, env = getattr(options, f"{what}_file"), getattr(options, f"{what}_env")
            try:
                found.append(read_secret(what, file=file, env=env, base=self._base) or "")
            except SignalError as error:
                raise HostRefused(f"{self.name}: {error}") from error
        return found[0], found[1]

    def _authorities(self) -> ssl.SSLContext | bool:
        """Who may vouch for the controller."""
        file = self._options.pinned_file or self._options.ca_file
        if file is None:
            return self._options.url.lower().startswith("https:")  # nobody vouches for plain http
        try:
            context = ssl.create_default_context(cafile=self._base / file)
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise HostRefused(f"{self.name}: {file}: {why}; put a certificate in PEM there") from error
        if self._options.pinned_file is not None:  # that very certificate, so its name adds nothing
            context.check_hostname = False
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context


_KEPT: Final = ("ETag", "X-Auth-Token", "Location")


def _own_path(location: str) -> str | None:
    """The path of our session: some give a whole address. Only a path of this service is ever followed."""
    path = location[location.find("/redfish/") :] if "/redfish/" in location else ""
    try:
        return link({"@odata.id": path})
    except Refused:
        return None


def _of_certificate(error: Exception) -> str:
    """A remedy for the one failure that waiting does not mend."""
    is_doubted = "CERTIFICATE_VERIFY_FAILED" in str(error)
    return (
        " (its certificate is not vouched for: check ca_file or pinned_file, and the name in url)"
        if is_doubted
        else ""
    )

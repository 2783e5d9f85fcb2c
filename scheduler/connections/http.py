"""A document behind a URL, asked for again and again: over HTTPS, in a bounded time and size, only if it changed.

What is asked, and how the site shows who it is, never shows in an error: people put secrets into addresses.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

import httpx
from pydantic import BaseModel, ConfigDict, Field

from scheduler.connections.credentials import check_one_place, read_secret
from scheduler.errors import SettingsError, SignalError

_OK: Final = 200
_NOT_MODIFIED: Final = 304
_DENIED: Final = frozenset({401, 403})
_REDIRECTS: Final = range(300, 400)
_MOST_TAG_CHARACTERS: Final = 1000

logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs each address


class HttpOptions(BaseModel):
    """Where the document is, and who the site is to its server: keys of a source that asks there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    token_file: Path | None = None  #: a bearer token
    token_env: str | None = None
    username_file: Path | None = None  #: or name and password (basic authentication)
    username_env: str | None = None
    password_file: Path | None = None
    password_env: str | None = None
    ca_file: Path | None = None  #: who vouches for the server; None = whom the machine trusts
    allow_http: bool = False  #: also beyond this machine
    timeout_s: float = Field(default=3.0, gt=0, le=60)  #: for one whole answer

    def url_shown(self) -> str:
        """The server, without what may be secret."""
        return httpx.URL(self.url).host


def is_safe(url: str, *, allow_http: bool) -> bool:
    """Whether what is said to this address can be read by nobody between: HTTPS, or this machine itself."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    if parsed.userinfo or not parsed.host:
        return False
    return parsed.scheme == "https" or (parsed.scheme == "http" and (allow_http or _is_loopback(parsed.host)))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_http(name: str, options: HttpOptions, *, part: str = "signals") -> None:
    """Raises `SettingsError` where keys of the source `name` do not go together. Shows no address."""
    if not is_safe(options.url, allow_http=options.allow_http):
        raise SettingsError(
            f"{part}: {name}: url is not https without a user in it; http goes to this machine only, "
            "or with allow_http"
        )
    check_one_place(name, "token", file=options.token_file, env=options.token_env, part=part)
    check_one_place(name, "username", file=options.username_file, env=options.username_env, part=part)
    check_one_place(name, "password", file=options.password_file, env=options.password_env, part=part)
    has_token = (options.token_file or options.token_env) is not None
    has_username = (options.username_file or options.username_env) is not None
    has_password = (options.password_file or options.password_env) is not None
    if has_username != has_password:
        raise SettingsError(f"{part}: {name}: a username goes with a password; give both or neither")
    if has_token and has_username:
        raise SettingsError(f"{part}: {name}: give a token, or a username and a password, not both")
    if options.ca_file is not None and not options.url.lower().startswith("https:"):
        raise SettingsError(f"{part}: {name}: ca_file is for https, and url is http; remove one of them")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tag:
    """What the server calls the version of the document that was taken last."""

    text: str


class Page:
    """The document. It is opened when first asked for, and open until `close`."""

    def __init__(self, options: HttpOptions, *, base: Path, most_bytes: int) -> None:
        self._options, self._base, self._most_bytes = options, base, most_bytes
        self._http: httpx.AsyncClient | None = None
        self._tag: _Tag | None = None
        self._offered: _Tag | None = None
        self._host = options.url_shown()

    async def get(self) -> bytes | None:
        """The document as it is now, None if it is the one that was `taken`. Raises `SignalError`."""
        try:
            async with asyncio.timeout(self._options.timeout_s):
                return await self._get()
        except TimeoutError:
            raise SignalError(
                f"{self._host} gave no whole answer within {self._options.timeout_s:g} s; it is asked again"
            ) from None
        except (httpx.HTTPError, httpx.StreamError) as error:
            why = f"{type(error).__name__}{_of_certificate(error)}"
            raise SignalError(f"{self._host} cannot be reached: {why}; it is asked again") from error

    def taken(self) -> None:
        """Note that the last document made sense, so that it need not be sent again."""
        self._tag = self._offered

    async def close(self) -> None:
        """End the connection."""
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def _get(self) -> bytes | None:
        if self._http is None:
            self._http = httpx.AsyncClient(
                verify=await asyncio.to_thread(self._authorities),
                timeout=self._options.timeout_s,
                trust_env=False,
                follow_redirects=False,
            )
        headers = await asyncio.to_thread(self._headers)
        async with self._http.stream("GET", self._options.url, headers=headers) as response:
            if response.status_code == _NOT_MODIFIED and self._tag is not None:
                self._offered = self._tag  # what was offered since, and not taken, is gone again
                return None
            self._check(response)
            tag = response.headers.get("ETag", "")
            self._offered = _Tag(text=tag) if 0 < len(tag) <= _MOST_TAG_CHARACTERS and tag.isascii() else None
            return await self._content(response)

    def _check(self, response: httpx.Response) -> None:
        status = response.status_code
        if status in _REDIRECTS:
            raise SignalError(
                f"{self._host} answered {status}: no redirect is followed; set url to where the document is"
            )
        if status in _DENIED:
            raise SignalError(
                f"{self._host} answered {status}; check what token_file, or username_file and password_file hold"
            )
        if status != _OK:
            raise SignalError(f"{self._host} answered {status}; check url, or ask whoever runs the server")
        if response.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise SignalError(f"{self._host} sent a packed answer unasked; have it sent as it is")

    async def _content(self, response: httpx.Response) -> bytes:
        content = b""
        async for piece in response.aiter_raw():
            content += piece
            if len(content) > self._most_bytes:
                raise SignalError(f"{self._host} sent more than {self._most_bytes} bytes; set url to less")
        return content

    def _headers(self) -> Mapping[str, str]:
        """With the credentials as they are now. Reads files."""
        headers = {"Accept": "application/json", "Accept-Encoding": "identity", "Cache-Control": "no-cache"}
        if self._tag is not None:
            headers["If-None-Match"] = self._tag.text
        if (authorization := self._authorization()) is not None:
            headers["Authorization"] = authorization
        return headers

    def _authorization(self) -> str | None:
        token = self._secret("token", self._options.token_file, self._options.token_env)
        if token is not None:
            if not (token.isascii() and token.isprintable()):
                raise SignalError("token: it has characters that no header can hold; write it anew")
            return f"Bearer {token}"
        username = self._secret("username", self._options.username_file, self._options.username_env)
        if username is None:
            return None
        password = self._secret("password", self._options.password_file, self._options.password_env)
        return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"

    def _secret(self, what: str, file: Path | None, env: str | None) -> str | None:
        return read_secret(what, file=file, env=env, base=self._base)

    def _authorities(self) -> ssl.SSLContext | bool:
        ca_file = self._options.ca_file
        if ca_file is None:
            return True
        try:
            return ssl.create_default_context(cafile=self._base / ca_file)
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise SignalError(f"ca_file: {ca_file}: {why}; put the CA's certificate in PEM there") from error


def _of_certificate(error: Exception) -> str:
    """A remedy for the one failure that waiting does not mend."""
    is_doubted = "CERTIFICATE_VERIFY_FAILED" in str(error)
    return " (its certificate is not vouched for: check ca_file, and the name in url)" if is_doubted else ""

"""One request and its answer, for programs that wait and for those that await: retries while a site restarts.

A refused connection means that nothing was sent, so any request is tried again for about three seconds,
the time in which a site brings its API back. An answer lost half-way is asked for again only by a GET.
"""

from __future__ import annotations

import asyncio
import io
import ipaddress
import time
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final
from urllib.parse import urlsplit

import httpx

from barq.answers import DROPPED, is_asked_again, json_of, raise_for_refusal, unreachable
from barq.errors import InvalidInput, Unauthorized

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

    from barq.calls import Call

    Missing = Callable[[int], None] | None

RETRY_DELAYS_S: Final = (0.1, 0.2, 0.4, 0.8, 1.6)
_PIECE_BYTES: Final = 1 << 20
_SHOWN_CHARACTERS: Final = 80


class Transport:
    """Sends requests to one site, and waits. Raises InvalidInput (url) if the address is none."""

    def __init__(
        self,
        url: str,
        token: str | None,
        timeout_s: float,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url
        self._sleep = sleep
        options = _options(url, token, timeout_s)
        self._straight = transport or _way_to(options)
        self._http = httpx.Client(**options, transport=self._straight)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, call: Call[Any]) -> Any:  # noqa: ANN401
        """Return the JSON of the answer. Raises the error that the site's refusal means, or Unreachable."""
        return json_of(self._open(lambda: _request(self._http, call), stream=False))

    def put(self, path: str, content: bytes | Path) -> None:
        """Send bytes, or a file, as they are. A PUT may be repeated, so a lost answer is asked for again.

        Raises as `send`, and OSError if the file cannot be read.
        """
        with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as file:

            def again() -> httpx.Request:
                file.seek(0)
                return self._http.build_request("PUT", path, content=file)

            raise_for_refusal(self._open(again, stream=False))

    @contextmanager
    def stream(self, call: Call[Any], missing: Missing = None) -> Iterator[Iterator[str]]:
        """Give the text of a GET as it comes, without a time limit between pieces. Raises as `send`.

        `missing` hears before how many bytes of its start are gone, if any are.
        """
        request = _endless(_request(self._http, call))
        response = self._open(lambda: request, stream=True)
        try:
            if not response.is_success:
                response.read()
            raise_for_refusal(response)
            _tell_missing(response, missing)
            yield response.iter_text()
        except httpx.TransportError as error:
            raise unreachable(self.url, request, error) from error
        finally:
            response.close()

    def _open(self, build: Callable[[], httpx.Request], *, stream: bool) -> httpx.Response:
        for delay_s in (*RETRY_DELAYS_S, None):
            request = build()
            try:
                return self._send(request, stream=stream)
            except httpx.TransportError as error:
                if delay_s is None or not is_asked_again(request, error):
                    raise unreachable(self.url, request, error) from error
                self._sleep(delay_s)
        raise AssertionError  # the last turn returned or raised

    def _send(self, request: httpx.Request, *, stream: bool) -> httpx.Response:
        """Past what a client does for browsing (cookies, redirections, logins), where nothing stands between."""
        if stream or self._straight is None:
            return self._http.send(request, stream=stream)
        response = self._straight.handle_request(request)
        response.request = request
        response.read()
        return response


class AsyncTransport:
    """As `Transport`, and awaits."""

    def __init__(
        self,
        url: str,
        token: str | None,
        timeout_s: float,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.url = url
        self._sleep = sleep
        self._http = httpx.AsyncClient(**_options(url, token, timeout_s), transport=transport)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(self, call: Call[Any]) -> Any:  # noqa: ANN401
        """Return the JSON of the answer. Raises the error that the site's refusal means, or Unreachable."""
        return json_of(await self._open(lambda: _request(self._http, call), stream=False))

    async def put(self, path: str, content: bytes | Path) -> None:
        """As that of `Transport`."""
        with io.BytesIO(content) if isinstance(content, bytes) else content.open("rb") as file:
            size = {"Content-Length": str(file.seek(0, io.SEEK_END))}

            def again() -> httpx.Request:
                file.seek(0)
                return self._http.build_request("PUT", path, content=_pieces(file), headers=size)

            raise_for_refusal(await self._open(again, stream=False))

    @asynccontextmanager
    async def stream(self, call: Call[Any], missing: Missing = None) -> AsyncIterator[AsyncIterator[str]]:
        """Give the text of a GET as it comes, without a time limit between pieces. Raises as `send`."""
        request = _endless(_request(self._http, call))
        response = await self._open(lambda: request, stream=True)
        try:
            if not response.is_success:
                await response.aread()
            raise_for_refusal(response)
            _tell_missing(response, missing)
            yield response.aiter_text()
        except httpx.TransportError as error:
            raise unreachable(self.url, request, error) from error
        finally:
            await response.aclose()

    async def _open(self, build: Callable[[], httpx.Request], *, stream: bool) -> httpx.Response:
        for delay_s in (*RETRY_DELAYS_S, None):
            request = build()
            try:
                return await self._http.send(request, stream=stream)
            except httpx.TransportError as error:
                if delay_s is None or not is_asked_again(request, error):
                    raise unreachable(self.url, request, error) from error
                await self._sleep(delay_s)
        raise AssertionError  # the last turn returned or raised


class FromThreads:
    """A transport that awaits, for threads that cannot: what they send runs in its event loop."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()

    def send(self, call: Call[Any]) -> Any:  # noqa: ANN401
        """As that of `Transport`."""
        return asyncio.run_coroutine_threadsafe(self._transport.send(call), self._loop).result()

    def put(self, path: str, content: bytes | Path) -> None:
        """As that of `Transport`."""
        asyncio.run_coroutine_threadsafe(self._transport.put(path, content), self._loop).result()


def is_here(host: str) -> bool:
    """Tell whether `host` is this very machine, so that nothing sent to it travels."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse_address(url: str) -> httpx.URL:
    """Return the address of a site. Raises InvalidInput (url) if it is none."""
    try:
        parts = urlsplit(url)
        is_plain = url.isprintable() and " " not in url
        is_web = parts.scheme in {"http", "https"} and parts.hostname
        if is_plain and is_web and (parts.port is None or parts.port):
            return httpx.URL(url)
    except (ValueError, httpx.InvalidURL) as error:
        raise _no_address(url) from error
    raise _no_address(url)


def _options(url: str, token: str | None, timeout_s: float) -> dict[str, Any]:
    """What both of httpx's clients are made with. They verify certificates and follow no redirection."""
    address = parse_address(url)
    return {
        "base_url": address,
        "headers": {"Authorization": f"Bearer {_checked(token)}"} if token else {},
        "timeout": timeout_s,
        "trust_env": not is_here(address.host),  # a proxy cannot reach a site on this machine
        "verify": httpx.create_ssl_context() if address.scheme == "https" else True,  # minds SSL_CERT_FILE
    }


def _way_to(options: Mapping[str, Any]) -> httpx.HTTPTransport | None:
    """The connections to a site on this very machine; None where a proxy may stand between."""
    return None if options["trust_env"] else httpx.HTTPTransport(verify=options["verify"], trust_env=False)


def _checked(token: str) -> str:
    """The token if it can be sent at all; it is never shown."""
    if token.isascii() and token.isprintable():
        return token
    message = "the token has a character that no token has"
    raise Unauthorized(message, field="token", remedy="copy it again, as one line, and set BARQ_TOKEN")


def _request(http: httpx.Client | httpx.AsyncClient, call: Call[Any]) -> httpx.Request:
    params = {name: value for name, value in call.params.items() if value is not None}
    try:
        return http.build_request(call.method, call.path, params=params or None, json=call.body)
    except (httpx.InvalidURL, UnicodeEncodeError) as error:
        raise _unsendable(
            call, error, "write ids and texts in plain characters, and not at length"
        ) from error
    except (TypeError, ValueError) as error:  # what JSON cannot hold
        raise _unsendable(call, error, "give text, finite numbers, lists and dictionaries only") from error


def _unsendable(call: Call[Any], error: Exception, remedy: str) -> InvalidInput:
    what = ascii(call.path)[1:-1][:_SHOWN_CHARACTERS]
    message = f"{call.method} {what} cannot be sent: {error}"
    return InvalidInput(message, code="cannot_be_sent", remedy=remedy)


def _tell_missing(response: httpx.Response, missing: Missing) -> None:
    dropped = response.headers.get(DROPPED, "")
    if missing is not None and dropped.isdecimal():
        missing(int(dropped))


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
        yield piece


def _endless(request: httpx.Request) -> httpx.Request:
    request.extensions["timeout"] = {**request.extensions["timeout"], "read": None}
    return request


def _no_address(url: str) -> InvalidInput:
    return InvalidInput(
        f"url: {url!r} is no address", field="url", value=url, remedy="write http://HOST:PORT"
    )

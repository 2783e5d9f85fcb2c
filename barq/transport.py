"""One request and its answer, for programs that wait and for those that await: retries while a site restarts.

A refused connection means that nothing was sent, so any request is tried again for about three seconds,
the time in which a site brings its API back. An answer lost half-way is asked for again only by a GET.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import httpx

from barq.answers import is_asked_again, json_of, raise_for_refusal, unreachable
from barq.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from barq.calls import Call

RETRY_DELAYS_S: Final = (0.1, 0.2, 0.4, 0.8, 1.6)


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
        self._http = httpx.Client(**_options(url, token, timeout_s), transport=transport)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, call: Call[Any]) -> Any:  # noqa: ANN401
        """Return the JSON of the answer. Raises the error that the site's refusal means, or Unreachable."""
        return json_of(self._open(_request(self._http, call), stream=False))

    @contextmanager
    def stream(self, call: Call[Any]) -> Iterator[Iterator[str]]:
        """Give the text of a GET as it comes, without a time limit between pieces. Raises as `send`."""
        request = _endless(_request(self._http, call))
        response = self._open(request, stream=True)
        try:
            if not response.is_success:
                response.read()
            raise_for_refusal(response)
            yield response.iter_text()
        except httpx.TransportError as error:
            raise unreachable(self.url, request, error) from error
        finally:
            response.close()

    def _open(self, request: httpx.Request, *, stream: bool) -> httpx.Response:
        for delay_s in (*RETRY_DELAYS_S, None):
            try:
                return self._http.send(request, stream=stream)
            except httpx.TransportError as error:
                if delay_s is None or not is_asked_again(request, error):
                    raise unreachable(self.url, request, error) from error
                self._sleep(delay_s)
        raise AssertionError  # the last turn returned or raised


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
        return json_of(await self._open(_request(self._http, call), stream=False))

    @asynccontextmanager
    async def stream(self, call: Call[Any]) -> AsyncIterator[AsyncIterator[str]]:
        """Give the text of a GET as it comes, without a time limit between pieces. Raises as `send`."""
        request = _endless(_request(self._http, call))
        response = await self._open(request, stream=True)
        try:
            if not response.is_success:
                await response.aread()
            raise_for_refusal(response)
            yield response.aiter_text()
        except httpx.TransportError as error:
            raise unreachable(self.url, request, error) from error
        finally:
            await response.aclose()

    async def _open(self, request: httpx.Request, *, stream: bool) -> httpx.Response:
        for delay_s in (*RETRY_DELAYS_S, None):
            try:
                return await self._http.send(request, stream=stream)
            except httpx.TransportError as error:
                if delay_s is None or not is_asked_again(request, error):
                    raise unreachable(self.url, request, error) from error
                await self._sleep(delay_s)
        raise AssertionError  # the last turn returned or raised


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
        if parts.scheme in {"http", "https"} and parts.hostname and (parts.port is None or parts.port):
            return httpx.URL(url)
    except (ValueError, httpx.InvalidURL) as error:
        raise _no_address(url) from error
    raise _no_address(url)


def _options(url: str, token: str | None, timeout_s: float) -> dict[str, Any]:
    """What both of httpx's clients are made with. They verify certificates and follow no redirection."""
    address = parse_address(url)
    return {
        "base_url": address,
        "headers": {"Authorization": f"Bearer {token}"} if token else {},
        "timeout": timeout_s,
        "trust_env": not is_here(address.host),  # a proxy cannot reach a site on this machine
        "verify": httpx.create_ssl_context() if address.scheme == "https" else True,  # minds SSL_CERT_FILE
    }


def _request(http: httpx.Client | httpx.AsyncClient, call: Call[Any]) -> httpx.Request:
    params = {name: value for name, value in call.params.items() if value is not None}
    return http.build_request(call.method, call.path, params=params, json=call.body)


def _endless(request: httpx.Request) -> httpx.Request:
    request.extensions["timeout"] = {**request.extensions["timeout"], "read": None}
    return request


def _no_address(url: str) -> InvalidInput:
    return InvalidInput(
        f"url: {url!r} is no address", field="url", value=url, remedy="write http://HOST:PORT"
    )

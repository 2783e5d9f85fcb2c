"""HTTP to a machine on the LAN, as thin as it can be: JSON there, JSON back, connections kept while the machine does.

No redirects, proxies or cookies: a machine has none of them, and a thousand machines share two cores. TLS only where a
context for it is given.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import h11

from workers.miners.port import NotUnderstood, Unreachable, Wrong

_MAX_BYTES: Final = 1 << 20
_READ_BYTES: Final = 1 << 16
_SHOWN: Final = 80
_HTTP: Final = b"HTTP/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back for one request."""

    status: int
    body: bytes
    is_json: bool  #: by its content type
    challenge: str = ""  #: WWW-Authenticate

    @property
    def text(self) -> str:
        """The beginning of the body, for an error."""
        return self.body[:_SHOWN].decode("utf-8", "replace").strip()

    def object(self, address: str) -> dict[str, Any]:
        """The JSON object in it. Raises NotUnderstood if it is broken, Wrong if it was never meant to be JSON."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError) as error:  # the latter: nested without end
            if self.is_json:
                raise NotUnderstood(f"{address}: answers with broken JSON: {self.text!r}") from error
            raise Wrong(f"{address}: answers with what is no JSON; is it another web server?") from error
        if not isinstance(value, dict):
            raise NotUnderstood(f"{address}: answers with JSON that is no object: {self.text!r}")
        return value


class HttpLine:
    """Requests to one machine. Those at the same time go over connections of their own: none waits for another."""

    def __init__(self, host: str, port: int, *, tls: ssl.SSLContext | None = None) -> None:
        self._host = host
        self._tls = tls
        self._port = port
        self._address = f"{host}:{port}"
        self._idle: list[_Connection] = []

    async def ask(
        self, method: str, path: str, *, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """One exchange. Raises MinerError and OSError; the caller sets the deadline.

        A kept connection may have been closed by the machine meanwhile: then it is asked again on a new one. Ask only
        what may be asked twice.
        """
        request = self._request(method, path, body, headers or {})
        while self._idle:
            kept = self._idle.pop()
            try:
                return await self._over(kept, *request)
            except (OSError, Unreachable):
                continue
        reader, writer = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
        return await self._over(_Connection(reader, writer, self._address), *request)

    async def close(self) -> None:
        """Close what is kept."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    async def _over(self, connection: _Connection, request: h11.Request, body: bytes) -> Reply:
        done = False
        try:
            reply = await connection.exchange(request, body)
            done = connection.is_reusable()
        finally:
            if not done:
                connection.close()
        if done:
            self._idle.append(connection)
        return reply

    def _request(
        self, method: str, path: str, body: object, headers: Mapping[str, str]
    ) -> tuple[h11.Request, bytes]:
        data = b"" if body is None else json.dumps(body).encode()
        told = {"Host": self._host, "Accept": "application/json", **headers}
        if body is not None:
            told["Content-Type"] = "application/json"
        if method != "GET":
            told["Content-Length"] = str(len(data))
        return h11.Request(method=method, target=path, headers=list(told.items())), data


class _Connection:
    """One connection, and where its HTTP stands."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str) -> None:
        self._reader = reader
        self._writer = writer
        self._address = address
        self._state = h11.Connection(h11.CLIENT)
        self._is_over = False
        self._has_begun = False

    async def exchange(self, request: h11.Request, body: bytes) -> Reply:
        """Send a request, read its response. Raises MinerError, OSError."""
        self._writer.write(
            (self._state.send(request) or b"")
            + (self._state.send(h11.Data(data=body)) or b"")
            + (self._state.send(h11.EndOfMessage()) or b"")
        )
        await self._writer.drain()
        head = await self._head()
        headers = {name.lower(): value.decode("latin-1") for name, value in head.headers}
        return Reply(
            status=head.status_code,
            body=await self._body(),
            is_json="json" in headers.get(b"content-type", ""),
            challenge=headers.get(b"www-authenticate", ""),
        )

    def is_reusable(self) -> bool:
        """Whether another exchange can follow; if so it is made ready for it."""
        if self._state.our_state is not h11.DONE or self._state.their_state is not h11.DONE:
            return False
        self._state.start_next_cycle()
        return True

    def close(self) -> None:
        """Close it without waiting."""
        self._writer.close()

    async def _head(self) -> h11.Response:
        while True:
            event = await self._next()
            if isinstance(event, h11.Response):
                return event
            if not isinstance(event, h11.InformationalResponse):
                raise Unreachable(f"{self._address}: closed the connection without an answer; ask again")

    async def _body(self) -> bytes:
        body = bytearray()
        while isinstance(event := await self._next(), h11.Data):
            body += event.data
            if len(body) > _MAX_BYTES:
                raise Wrong(f"{self._address}: answers with more than {_MAX_BYTES} bytes; no miner does")
        return bytes(body)

    async def _next(self) -> object:
        """The next event; None = closed before anything came."""
        while True:
            try:
                event = self._state.next_event()
            except h11.RemoteProtocolError as error:
                if self._is_over:
                    raise Unreachable(f"{self._address}: broke off in its answer; ask again") from error
                raise Wrong(f"{self._address}: does not speak HTTP ({error}); look at the port") from error
            if event is not h11.NEED_DATA:
                return None if isinstance(event, h11.ConnectionClosed) else event
            data = await self._reader.read(_READ_BYTES)
            self._is_over = not data
            self._check(data)
            self._state.receive_data(data)

    def _check(self, data: bytes) -> None:
        """Who does not begin as HTTP does is known by it: one that waits for us to speak would never end."""
        if data and not self._has_begun and not _HTTP.startswith(data[: len(_HTTP)]):
            raise Wrong(f"{self._address}: does not speak HTTP ({data[:_SHOWN]!r}); look at the port")
        self._has_begun = self._has_begun or bool(data)

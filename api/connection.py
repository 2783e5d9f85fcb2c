"""One connection to the API: what is no HTTP gets a problem for an answer, and nobody holds a connection for nothing.

uvicorn's own protocol answers in plain text, waits for ever for the rest of a request's head, and takes any number of
connections until the process has no descriptors left for its database.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from api.problems import PROBLEM_JSON, problem

HEAD_S: Final = 20.0
"""For the head of a request, and for what is left of a body that nobody reads."""
MAX_CONNECTIONS: Final = 512
MAX_HEAD_BYTES: Final = 64 * 1024
_NO_HTTP: Final = problem(
    400,
    "bad_request",
    "this is no HTTP request",
    remedy=f"send HTTP/1.1 with a head of at most {MAX_HEAD_BYTES} bytes and one length of the body",
)
_TOO_SLOW: Final = problem(
    408, "head_too_slow", "the head of the request does not arrive", remedy="send it at once"
)


class Connection(H11Protocol):
    """uvicorn's HTTP/1.1, with limits."""

    head_s: float = HEAD_S
    max_connections: int = MAX_CONNECTIONS
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, or end at once if there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            self.logger.warning("%d connections are open; one more is refused", self.max_connections)
            transport.abort()
            return
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take in a piece."""
        super().data_received(data)
        if self._is_answering():
            self._stop_waiting()
        else:
            self._expect_head()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words are not ours
        """Answer what is no HTTP, and close."""
        self._refuse(_NO_HTTP.model_dump_json(exclude_none=True).encode(), 400)

    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None until the first request
        return cycle is not None and not cycle.response_complete

    def _expect_head(self) -> None:
        """Wait for it from the first sign of a request on, however many pieces it comes in."""
        if self._timer is None:
            self._timer = self.loop.call_later(self.head_s, self._give_up)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if self._is_answering() or self.transport.is_closing():
            return
        if self.conn.trailing_data[0] and self.conn.our_state is h11.IDLE:
            self._refuse(_TOO_SLOW.model_dump_json(exclude_none=True).encode(), 408)
        else:
            self.transport.close()

    def _refuse(self, body: bytes, status: int) -> None:
        """Write the answer by hand: there is no request to answer to. Then close."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            headers = [
                ("content-type", PROBLEM_JSON),
                ("content-length", str(len(body))),
                ("connection", "close"),
            ]
            head = h11.Response(
                status_code=status, headers=headers, reason=HTTPStatus(status).phrase.encode()
            )
            for event in (head, h11.Data(data=body)):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

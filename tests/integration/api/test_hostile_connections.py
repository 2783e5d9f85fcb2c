"""The API's process under what no client sends: no HTTP, endless bodies, two lengths, silence."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from api.body_limit import MAX_BODY_BYTES, BodyLimit
from api.connection import Connection
from api.strict_body import StrictBody
from tests.api_server import Process, make_state
from tests.raw_http import HOST, JSON, MEBI, RawClient, gigabyte, is_closed, read_answer
from tests.stored import everything
from tests.waiting import wait_for

MANY_MIB = 64
"""What the process may need above what it has; a body that is kept whole would take sixteen times that."""


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One process of the API for all of this file: whatever it was sent before, it must go on."""
    made = Process(make_state(tmp_path_factory.mktemp("api")))
    yield made
    code, output = made.stop()
    assert code == 0, output
    assert "Traceback" not in output


@pytest.fixture
def raw(process: Process) -> Iterator[RawClient]:
    """Bytes to and from the API's process, which must be up afterwards, with nothing stored."""
    state, where = process.state, process.address()
    before = everything(state / "barq.db")
    yield RawClient(where["host"], where["port"], (state / "token").read_text("utf-8").strip())
    assert httpx.get(f"{where['api_url']}/healthz", timeout=60).json()["status"] == "ok"
    assert everything(state / "barq.db") == before


def peak_mib(process: Process) -> int:
    """The most memory that the process has had so far."""
    lines = Path(f"/proc/{process.process.pid}/status").read_text("utf-8").splitlines()
    [line] = [line for line in lines if line.startswith("VmHWM:")]
    return int(line.split()[1]) // 1024


def test_what_is_no_http_is_a_problem_too(raw: RawClient) -> None:
    """Noise, wrong lengths, an endless head, no host, an unknown framing: 400, then the connection ends."""
    post, auth = b"POST /api/v1/jobs HTTP/1.1\r\n", raw.auth
    for request in (
        b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
        b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: \x00\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 200_000,
        b"GET /" + b"a" * 200_000,
        post + HOST + auth + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n123456",
        post + HOST + auth + b"Content-Length: -5\r\n\r\n",
        post + HOST + auth + b"Content-Length: " + b"9" * 400 + b"\r\n\r\n",
        post + HOST + auth + b"Content-Length: 1e9\r\n\r\n",
        post + HOST + auth + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        post + HOST + auth + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        post + HOST + auth + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    ):
        status, problem = raw.ask(request)
        assert (status, problem["code"]) == (400, "bad_request"), request[:200]
        assert problem["remedy"]


def test_a_length_in_two_ways_smuggles_nothing(raw: RawClient) -> None:
    """The request is refused and the connection ends: what follows is never taken for a request."""
    smuggled = b"POST /api/v1/power/release HTTP/1.1\r\n" + HOST + raw.auth + b"\r\n"
    for lines in (
        b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 60\r\n",
    ):
        with closing(raw.connect()) as stream:
            head = b"POST /api/v1/jobs HTTP/1.1\r\n" + HOST + raw.auth + JSON + lines
            stream.sendall(head + b"\r\n0\r\n\r\n" + smuggled)
            status, problem = read_answer(stream)
            assert (status, problem["field"]) == (400, "content-length")
            assert is_closed(stream)


def test_headers_that_are_given_twice_are_refused(raw: RawClient) -> None:
    """Nobody knows which one somebody in between has looked at."""
    status, problem = raw.post("/api/v1/jobs", JSON, JSON, b"Content-Length: 2\r\n", body=b"{}")
    assert (status, problem["field"]) == (400, "content-type")
    status, problem = raw.post("/api/v1/jobs", JSON, raw.auth, b"Content-Length: 2\r\n", body=b"{}")
    assert (status, problem["code"]) == (401, "unauthorized")


def test_other_methods_are_refused_by_name(raw: RawClient) -> None:
    """Known to HTTP or not."""
    for method in (b"DELETE", b"TRACE", b"BREW"):
        status, problem = raw.ask(method + b" /api/v1/jobs HTTP/1.1\r\n" + HOST + raw.auth + b"\r\n")
        assert (status, problem["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize("path", ["/api/v1/jobs:batch", "/api/v1/jobs/t-1/cancel"])
def test_a_gigabyte_is_never_kept(raw: RawClient, process: Process, path: str) -> None:
    """Announced, or in chunks without end, to who reads it and to who does not."""
    before_mib = peak_mib(process)
    announced = raw.post(
        path, JSON, b"Content-Length: %d\r\n" % (1024 * MEBI), pieces=gigabyte(chunked=False)
    )
    chunked = raw.post(path, JSON, b"Transfer-Encoding: chunked\r\n", pieces=gigabyte(chunked=True))

    assert announced[0] == chunked[0] == 413
    assert str(MAX_BODY_BYTES) in announced[1]["remedy"]
    assert str(MAX_BODY_BYTES) in chunked[1]["detail"]
    assert peak_mib(process) - before_mib < MANY_MIB


def test_a_hundred_thousand_jobs_are_refused_in_little_memory(raw: RawClient, process: Process) -> None:
    """Good ones, bad ones, and ones with as many mistakes as fit."""
    before_mib = peak_mib(process)
    mistakes = b"{" + b",".join(b'"k%d":1' % i for i in range(900)) + b"}"
    for one, count in ((b'{"entrypoint":"x"}', 100_000), (b'{"gpus":-1}', 100_000), (mistakes, 500)):
        body = b'{"jobs":[' + b",".join([one] * count) + b"]}"
        status, problem = raw.post(
            "/api/v1/jobs:batch", JSON, b"Content-Length: %d\r\n" % len(body), body=body
        )
        assert status == 422
        assert problem["field"].startswith("jobs")
    assert peak_mib(process) - before_mib < 2 * MANY_MIB


def test_who_never_ends_a_head_is_let_go(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a head is answered in the end, silence is not; one that came in pieces is served."""
    raw = RawClient("127.0.0.1", int(url.rpartition(":")[2]))
    with closing(raw.connect()) as slow:
        slow.sendall(b"GET /api/v1/jobs HTTP/1.1\r\n")
        slow.sendall(HOST + b"\r\n")
        assert read_answer(slow)[0] == 401
        # Only now, and its next request begins with its first bytes: nobody is let go before they are on their way.
        monkeypatch.setattr(Connection, "head_s", 0.3)
        slow.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
        status, problem = read_answer(slow)
        assert (status, problem["code"]) == (408, "head_too_slow")
        assert is_closed(slow)
    with closing(raw.connect()) as silent:
        assert is_closed(silent)


def test_who_drips_after_the_answer_is_let_go(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that nobody wants does not keep the connection."""
    raw = RawClient("127.0.0.1", int(url.rpartition(":")[2]))
    with closing(raw.connect()) as stream:
        stream.sendall(b"POST /api/v1/jobs HTTP/1.1\r\n" + HOST + b"Content-Length: 1000000\r\n\r\n")
        assert read_answer(stream)[0] == 401
        monkeypatch.setattr(Connection, "head_s", 0.3)  # for what comes from here on

        def is_let_go() -> bool:
            try:
                stream.sendall(b" ")
            except OSError:
                return True
            return False

        wait_for(is_let_go, timeout_s=60, what="the connection ends")


def test_more_connections_than_there_are_places_are_refused(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are open go on, and when they end there is room again."""
    monkeypatch.setattr(Connection, "max_connections", 3)
    raw = RawClient("127.0.0.1", int(url.rpartition(":")[2]))
    ask = b"GET /api/v1/jobs HTTP/1.1\r\n" + HOST + b"\r\n"
    with ExitStack() as stack:
        opened = [stack.enter_context(closing(raw.connect())) for _ in range(3)]
        for stream in opened:
            stream.sendall(ask)
            assert read_answer(stream)[0] == 401
        assert is_closed(stack.enter_context(closing(raw.connect())))
        opened[0].sendall(ask)
        assert read_answer(opened[0])[0] == 401

    def is_served() -> bool:
        try:
            return raw.ask(ask)[0] == 401
        except (OSError, AssertionError):
            return False

    wait_for(is_served, timeout_s=60, what="there is room again")


async def _answers(piece_s: float, body_s: float, receive: Receive) -> list[Message]:
    """What a route that reads the body makes of it."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def route(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("the body never came")

    app = BodyLimit(StrictBody(route), piece_s=piece_s, body_s=body_s)
    headers = [(b"content-type", b"application/json")]
    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/x", "headers": headers}
    await app(scope, receive, send)
    return sent


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    """Neither one that stops nor one that drips."""

    async def stops() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def drips() -> Message:
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b" ", "more_body": True}

    for sent in (await _answers(0.05, 60.0, stops), await _answers(60.0, 0.05, drips)):
        assert sent[0]["status"] == 408
        assert b"body_too_slow" in sent[1]["body"]


def test_a_connection_that_ends_in_the_middle_stores_nothing(raw: RawClient) -> None:
    """Half a job is none."""
    for _ in range(20):
        with closing(raw.connect()) as stream:
            body = b'{"entrypoint": "x"'
            stream.sendall(
                b"POST /api/v1/jobs HTTP/1.1\r\n"
                + HOST
                + raw.auth
                + JSON
                + b"Content-Length: 19\r\n\r\n"
                + body
            )
            stream.shutdown(socket.SHUT_WR)
    assert raw.ask(b"GET /api/v1/nothing HTTP/1.1\r\n" + HOST + raw.auth + b"\r\n")[0] == 404

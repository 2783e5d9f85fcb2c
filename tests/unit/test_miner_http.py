"""HTTP to machines: what comes back whole, and what is no machine's answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from workers.miners.http import HttpLine
from workers.miners.port import MinerError, NotUnderstood, Unreachable, Wrong


@asynccontextmanager
async def serving(*answers: bytes, keeps_open: bool = False) -> AsyncIterator[tuple[HttpLine, list[bytes]]]:
    """A line to a server that gives these answers, one for each request, and what it was asked; b"" = a new peer."""
    asked: list[bytes] = []
    left = list(answers)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(b"")
        while left and (data := await reader.read(65_536)):
            asked.append(data)
            writer.write(left.pop(0))
            await writer.drain()
            if not keeps_open:
                break
        writer.close()

    server = await asyncio.start_server(talk, "127.77.254.1", 0)
    line = HttpLine("127.77.254.1", server.sockets[0].getsockname()[1])
    try:
        yield line, asked
    finally:
        await line.close()
        server.close()


def answer(body: bytes, *, kind: bytes = b"application/json", status: bytes = b"200 OK") -> bytes:
    """An HTTP response with its length."""
    return b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s" % (
        status,
        kind,
        len(body),
        body,
    )


CHUNKED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'4\r\n{"x"\r\n3\r\n:1}\r\n0\r\n\r\n'
)
TO_THE_END = b'HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n{"x":1}'
EARLY = b"HTTP/1.1 100 Continue\r\n\r\n" + answer(b'{"x":1}')


@pytest.mark.parametrize(
    "whole", [answer(b'{"x":1}'), CHUNKED, TO_THE_END, EARLY], ids=["length", "chunks", "end", "continue"]
)
async def test_an_answer_is_read_whole(whole: bytes) -> None:
    """By its length, in chunks, to the end of the connection, after a first word."""
    async with serving(whole) as (line, asked):
        reply = await line.ask("PUT", "/x", body={"watt": 1}, headers={"Authorization": "secret"})

    assert reply.object("here") == {"x": 1}
    assert b"PUT /x HTTP/1.1" in asked[1]
    assert b"Authorization: secret" in asked[1]
    assert asked[1].endswith(b'{"watt": 1}')


@pytest.mark.parametrize("keeps_open, peers", [(True, 1), (False, 2)])
async def test_a_connection_is_kept_while_the_machine_keeps_it(keeps_open: bool, peers: int) -> None:
    """Two questions over one; over a new one when it was closed meanwhile."""
    async with serving(answer(b"{}"), answer(b"{}"), keeps_open=keeps_open) as (line, asked):
        for _ in range(2):
            assert (await line.ask("GET", "/x")).status == 200

    assert asked.count(b"") == peers


@pytest.mark.parametrize(
    "whole, kind",
    [
        (answer(b'{"x":'), NotUnderstood),
        (answer(b"[1]"), NotUnderstood),
        (answer(b"<html>", kind=b"text/html"), Wrong),
        (b"SSH-2.0-x\r\n", Wrong),
        (b"HTTP/1.1 what\r\n\r\n", Wrong),
        (answer(b"x" * ((1 << 20) + 1)), Wrong),
        (b"", Unreachable),
        (b"HTTP/1.1 200 OK\r\nContent-Le", Unreachable),
        (answer(b'{"x":1}')[:-2], Unreachable),
    ],
    ids=["broken", "list", "page", "ssh", "no status", "endless", "nothing", "half a head", "half a body"],
)
async def test_what_is_no_machines_answer_is_named(whole: bytes, kind: type[MinerError]) -> None:
    """Each with the error of what it is, and the address."""
    async with serving(whole) as (line, _):
        with pytest.raises(kind, match=r"here|127\.77\.254\.1"):
            (await line.ask("GET", "/x")).object("here")

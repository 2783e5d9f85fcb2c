"""The guard's socket and the bridge under noise: what makes no sense changes nothing, and the next is served."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scheduler.bridge import GuardSilent, _next_report, read_request
from scheduler.core.estop import EmergencyStop
from scheduler.core.inventory import Inventory
from scheduler.core.lease import Refusal
from scheduler.core.orders import GuardReport, Order
from tests.stub_guard import StubGuard
from workers import guard_socket
from workers.guard_socket import MAX_CLIENTS, serve
from workers.sockets import connect

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Untouched:
    """A guard that reports, and is never told anything."""

    report = StubGuard(Path("node-1")).report()
    inventory = Inventory(group_id="node-1", version=0, boottime_s=0.0)

    def deliver(self, order: Order) -> Refusal | None:
        raise AssertionError("an order came through")

    def engage(self, stop: EmergencyStop) -> None:
        raise AssertionError("an emergency stop came through")

    async def report_after(self, version: int, *, timeout_s: float) -> GuardReport:
        return self.report

    async def stop(self, grace_s: float) -> None:
        raise AssertionError("a stop came through")


@pytest.fixture
async def path(tmp_path: Path) -> AsyncIterator[Path]:
    """Where such a guard listens."""
    async with serve(Untouched(), tmp_path / "guard.sock", asyncio.Event()):
        yield tmp_path / "guard.sock"


Talk = Callable[[Path], Awaitable[Client]]


@pytest.fixture
async def talk() -> AsyncIterator[Talk]:
    """Makes connections, which end with the test."""
    made: list[Client] = []

    async def connected(path: Path) -> Client:
        made.append(await asyncio.open_unix_connection(sock=connect(path)))
        return made[-1]

    yield connected
    for _, writer in made:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def ask(client: Client, line: bytes) -> dict[str, Any]:
    """The answer to one line."""
    reader, writer = client
    writer.write(line + b"\n")
    await writer.drain()
    answer: dict[str, Any] = json.loads(await reader.readline())
    return answer


NOISE = [
    b"",
    b"\xff\x00",
    b"{",
    b"null",
    b"[" * 100_000,
    b'{"op":"dance"}',
    b'{"op":"report","timeout_s":NaN,"after_version":1}',
    b'{"op":"report","timeout_s":1e999,"after_version":1}',
    b'{"op":"report","timeout_s":-1,"after_version":1}',
    b'{"op":"report","after_version":1e30}',
    b'{"op":"report","after_version":"1"}',
    b'{"op":"report","surprise":1}',
    b'{"op":"stop"}',
    b'{"op":"stop","grace_s":Infinity}',
    b'{"op":"stop","grace_s":-5}',
    b'{"op":"deliver"}',
    b'{"op":"deliver","order":{}}',
    b'{"op":"deliver","order":' + b"9" * 10_000 + b"}",
    b'{"op":"report"},"request":{"op":"stop","grace_s":1.0}',
    b'{"op":"report"}}{"request":{"op":"stop","grace_s":1.0}',
]


async def test_noise_is_answered_and_changes_nothing(path: Path, talk: Talk) -> None:
    """On one connection, line after line; then a question is answered."""
    client = await talk(path)
    for line in NOISE:
        answer = await ask(client, line)
        assert list(answer) == ["error"], line[:80]
        assert len(answer["error"]) < 1000
    assert "report" in await ask(client, b'{"op":"report"}')


async def test_a_line_without_end_ends_its_connection(
    tmp_path: Path, talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no other."""
    monkeypatch.setattr(guard_socket, "LONGEST_LINE_BYTES", 1000)
    async with serve(Untouched(), tmp_path / "guard.sock", asyncio.Event()):
        other, (reader, writer) = await talk(tmp_path / "guard.sock"), await talk(tmp_path / "guard.sock")
        writer.write(b"x" * 100_000)
        assert await _is_ended(reader)
        assert "report" in await ask(other, b'{"op":"report"}')


async def test_half_a_line_is_no_line(path: Path, talk: Talk) -> None:
    """A client that goes in the middle asked for nothing."""
    for _ in range(20):
        _, writer = await talk(path)
        writer.write(b'{"op":"stop","grace_s":1.0')
        writer.close()
    client = await talk(path)
    assert "report" in await ask(client, b'{"op":"report"}')


async def test_a_crowd_does_not_keep_the_agent_out(path: Path, talk: Talk) -> None:
    """One more than there are places ends whoever was silent longest; who asks stays."""
    agent = await talk(path)
    crowd: list[Client] = []
    for _ in range(3 * MAX_CLIENTS):
        crowd.append(await talk(path))
        assert "report" in await ask(agent, b'{"op":"report"}')
    assert await _is_ended(crowd[0][0])


async def _is_ended(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read(1) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"[" * 100_000,
        b'{"id":1,"op":"dance"}',
        b'{"id":"1","op":"deliver","group_id":"g","order":"{}","timeout_s":1}',
        b'{"id":1,"op":"deliver","group_id":"g","order":{},"timeout_s":1}',
    ],
    ids=range(8),
)
def test_the_bridge_drops_a_line_that_is_no_delivery(line: bytes) -> None:
    """With a word that can be logged."""
    with pytest.raises(ValueError, match=r".") as caught:
        read_request(line)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"{}",
        b"{",
        b"[" * 100_000,
        b'{"report":1}',
        b'{"report":{"version":"x"}}',
        b'{"error":"no"}',
    ],
    ids=range(8),
)
async def test_a_guard_that_talks_nonsense_is_silent(answer: bytes) -> None:
    """The bridge asks it again; it does not stop asking."""

    async def remote(after: int, timeout_s: float) -> bytes:
        return answer

    agent = SimpleNamespace(report=SimpleNamespace(remote=remote))
    with pytest.raises(GuardSilent):
        await _next_report(agent, -1)

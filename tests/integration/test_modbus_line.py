"""A Modbus TCP line to a real server: what it reads, and how it fares with devices that fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from pymodbus.constants import ExcCodes

from scheduler.connections.messages import Refused
from scheduler.connections.modbus import Line, Silent
from scheduler.connections.registers import ModbusOptions
from tests.modbus_peer import LENGTHS, Peer, peer, sunspec, words


@pytest.fixture
async def device() -> AsyncIterator[Peer]:
    """A meter that shows 1000 W."""
    async with peer() as made:
        yield made


class Wrist:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@contextmanager
def line(device: Peer, *, clock: Wrist | None = None, **changes: Any) -> Iterator[Line]:
    """A line to it, closed at the end."""
    made = Line(ModbusOptions.model_validate(device.options(**changes)), monotonic_s=clock or Wrist())
    yield made
    made.close()


@pytest.mark.parametrize("base", [0, 40_000, 50_000])
async def test_a_sunspec_meter_is_found_wherever_it_may_be(device: Peer, base: int) -> None:
    """Its power counts with its scale factor, which may change from one reading to the next."""
    device.holds_203(12_340.0, scale=1, base=base)
    with line(device) as one:
        assert await one.power_w() == 12_340.0
        device.shows(9_000_000.0, scale=3)
        assert await one.power_w() == 9_000_000.0


async def test_a_float_model_needs_no_scale(device: Peer) -> None:
    """Model 213."""
    device.holds_213(1234.5)
    with line(device) as one:
        assert await one.power_w() == 1234.5


async def test_of_several_meters_the_one_asked_for_is_read(device: Peer) -> None:
    """And none where it has fewer."""
    device.registers = sunspec(0, 1, 203, 213)
    device.puts(2 + 2 + LENGTHS[1] + 2 + LENGTHS[203] + 28, words("f", 77.0))
    with line(device, instance=2) as second, line(device, instance=3) as third:
        assert await second.power_w() == 77.0
        with pytest.raises(Refused, match=r"no 3\. SunSpec meter .*its models: 1, 203, 213"):
            await third.power_w()


@pytest.mark.parametrize("table", ["holding", "input"])
async def test_a_register_by_hand_is_read_as_described(device: Peer, table: str) -> None:
    """Type, word order, scale and sign."""
    device.registers = {}
    device.puts(7, list(reversed(words("i", -123_456))))
    register = {"address": 7, "type": "int32", "word_order": "little", "scale": 0.1, "table": table}
    with line(device, map="registers", register=register, import_is="negative") as one:
        assert await one.power_w() == pytest.approx(12_345.6)


async def test_what_is_not_implemented_is_no_reading(device: Peer) -> None:
    """0x8000 is not -32768 W, and the line goes on once there is a reading."""
    with line(device) as one:
        device.lacks_power()
        with pytest.raises(Refused, match="0x8000 is the end of int16: the device has no reading"):
            await one.power_w()
        device.shows(5.0)
        assert await one.power_w() == 5.0


async def test_a_wrong_scale_is_refused_where_it_passes_what_can_be(device: Peer) -> None:
    """A scale factor of 4 where there was 0 makes megawatts."""
    device.shows(1e7, scale=4)
    why = r"it shows 1e\+07 W, and max_w is 50000; check the scale"
    with line(device, max_w=50_000) as one, pytest.raises(Refused, match=why):
        await one.power_w()


@pytest.mark.parametrize(
    "code", [ExcCodes.DEVICE_FAILURE, ExcCodes.DEVICE_BUSY, ExcCodes.GATEWAY_NO_RESPONSE]
)
async def test_an_exception_is_told_and_the_line_stays(device: Peer, code: ExcCodes) -> None:
    """The device is there: nothing is connected anew."""
    with line(device) as one:
        await one.power_w()
        device.declines = code
        with pytest.raises(Refused, match=rf"it declines register .*\(exception {code}\)"):
            await one.power_w()
        device.declines = None
        assert await one.power_w() == 1000.0


async def test_a_device_without_sunspec_says_what_to_check(device: Peer) -> None:
    """It declines all three places."""
    device.registers = {}
    why = "no SunSpec mark at 40000, 50000 or 0; check unit_id"
    with line(device) as one, pytest.raises(Refused, match=why):
        await one.power_w()


async def test_a_model_that_moved_is_found_again(device: Peer) -> None:
    """New firmware behind a gateway, which keeps its connection."""
    with line(device) as one:
        await one.power_w()
        device.registers = sunspec(40_000, 1, 1, 203)
        at = 40_002 + 2 * (2 + LENGTHS[1])
        device.puts(at + 18, words("h", 42))
        device.puts(at + 22, [0])
        with pytest.raises(Refused, match="model 203 is no longer at 40070"):
            await one.power_w()
        assert await one.power_w() == 42.0


async def test_a_device_that_hangs_is_given_up_in_time(device: Peer) -> None:
    """And asked again on a new connection, not before a while."""
    clock = Wrist()
    with line(device, timeout_s=1, clock=clock) as one:
        device.hangs()
        with pytest.raises(Silent, match=r"127\.0\.0\.1:\d+ unit 1: no valid answer within 1 s; check"):
            await one.power_w()
        asked = device.asked
        with pytest.raises(Silent, match="no valid answer"):
            await one.power_w()
        assert device.asked == asked
    device.hangs(False)


@pytest.mark.parametrize("fault", ["dropped", "restarted"])
async def test_a_lost_line_is_made_again(device: Peer, fault: str) -> None:
    """After the first wait."""
    clock = Wrist()
    with line(device, clock=clock) as one:
        await one.power_w()
        if fault == "restarted":
            await device.stop()
            with pytest.raises(Silent, match="there is no connection"):
                await one.power_w()
            await device.start()
        else:
            device.drop()
            with pytest.raises(Silent):
                await one.power_w()
        clock.now_s += 0.25
        assert await one.power_w() == 1000.0


async def test_waits_grow_to_their_end_and_begin_anew(device: Peer) -> None:
    """0.25 s, doubled up to 5 s; one answer and it begins at 0.25 s again."""
    clock = Wrist()
    with line(device, clock=clock) as one:
        await device.stop()
        for wait_s in (0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0):
            with pytest.raises(Silent):
                await one.power_w()
            assert one._not_before_s - clock.now_s == wait_s
            clock.now_s += wait_s
        await device.start()
        assert await one.power_w() == 1000.0
        assert one._wait_s == 0.25


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x00\x01\x00\x00\x00\x05\x01\x03\x04\x00",  # a count of bytes that are not there
        b"\x00\x01\x00\x00\x00\x03\x01\x03\x01",
        b"\x00\x63\x00\x00\x00\x07\x01\x03\x04\x53\x75\x6e\x53",  # the answer to another question
        b"\xff" * 300,
    ],
)
async def test_what_is_no_modbus_is_no_reading(answer: bytes) -> None:
    """Whoever listens there: the meter is silent, and nothing else breaks."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while await reader.read(100):
                writer.write(answer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        ended.set()

    ended = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    options = {"host": "127.0.0.1", "port": port, "map": "sunspec", "timeout_s": 0.2}
    one = Line(ModbusOptions.model_validate(options))
    with pytest.raises((Silent, Refused)):
        await one.power_w()
    one.close()
    await asyncio.wait_for(ended.wait(), 60)
    server.close()
    await server.wait_closed()

"""A meter on Modbus TCP for tests: pymodbus's own server, with registers that a test sets, and faults."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

MARK = (0x5375, 0x6E53)
NOT_THERE = 0x8000  #: "not implemented", of a signed register
LENGTHS = {1: 66, 203: 105, 213: 124}


def words(format_: str, value: float) -> list[int]:
    """A value as registers, the high one first."""
    data = struct.pack(f">{format_}", value)
    return list(struct.unpack(f">{len(data) // 2}H", data))


def sunspec(base: int, *models: int) -> dict[int, int]:
    """The registers of a device with these models, nothing implemented in them."""
    held = list(MARK)
    for model in models:
        held += [model, LENGTHS[model], *[NOT_THERE] * LENGTHS[model]]
    held += [0xFFFF, 0]
    return {base + i: register for i, register in enumerate(held)}


class Peer:
    """Serves `registers`; what is not among them it declines, as devices do."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self.registers: dict[int, int] = {}
        self.declines: ExcCodes | None = None  #: with which exception it answers everything
        self.asked = 0
        self._goes = asyncio.Event()
        self._goes.set()
        self._server: ModbusTcpServer | None = None
        self._at: int | None = None

    def holds_203(self, power_w: float, *, scale: int = 0, base: int = 40_000) -> None:
        """Models 1 and 203 (wye, whole numbers)."""
        self.registers = sunspec(base, 1, 203)
        self._at = base + 2 + 2 + LENGTHS[1]
        self.shows(power_w, scale=scale)

    def holds_213(self, power_w: float, *, base: int = 40_000) -> None:
        """Models 1 and 213 (wye, floats)."""
        self.registers = sunspec(base, 1, 213)
        at = base + 2 + 2 + LENGTHS[1]
        self.puts(at + 28, words("f", power_w))

    def shows(self, power_w: float, *, scale: int = 0) -> None:
        """Another power, of model 203."""
        assert self._at is not None
        self.puts(self._at + 18, words("h", round(power_w / 10**scale)))
        self.puts(self._at + 22, words("h", scale))

    def puts(self, address: int, values: list[int]) -> None:
        """Registers from an address on."""
        self.registers.update({address + i: value for i, value in enumerate(values)})

    def lacks_power(self) -> None:
        """Its model 203 has no power."""
        assert self._at is not None
        self.puts(self._at + 18, [NOT_THERE])

    def hangs(self, hangs: bool = True) -> None:
        """It takes what it is asked, and does not answer."""
        (self._goes.clear if hangs else self._goes.set)()

    def drop(self) -> None:
        """It ends its connections, and accepts new ones."""
        assert self._server is not None
        for connection in list(self._server.active_connections.values()):
            connection.close()

    async def start(self) -> None:
        """Returns when it listens."""
        device = SimDevice(
            id=1,
            simdata=[SimData(0, count=0x10000, values=0, datatype=DataType.REGISTERS)],
            action=self._answer,
        )
        self._server = ModbusTcpServer(device, address=("127.0.0.1", self.port))
        await self._server.serve_forever(background=True)

    async def stop(self) -> None:
        """Nobody listens any more."""
        self._goes.set()
        if self._server is not None:
            await self._server.shutdown()
            self._server = None
        await asyncio.sleep(0)

    def options(self, **changes: Any) -> dict[str, Any]:
        """How the site file describes it."""
        return {"host": "127.0.0.1", "port": self.port, "map": "sunspec", "timeout_s": 30.0} | changes

    async def _answer(
        self, function: int, start: int, address: int, count: int, held: list[int], given: Any
    ) -> ExcCodes | None:
        self.asked += 1
        await self._goes.wait()
        if self.declines is not None:
            return self.declines
        addresses = range(address, address + count)
        if not all(a in self.registers for a in addresses):
            return ExcCodes.ILLEGAL_ADDRESS
        held[address - start : address - start + count] = [self.registers[a] for a in addresses]
        return None


@asynccontextmanager
async def peer() -> AsyncIterator[Peer]:
    """A meter that shows 1000 W, gone at the end."""
    made = Peer()
    made.holds_203(1000.0)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


@contextmanager
def served_peer() -> Iterator[Peer]:
    """The same on a thread of its own, for tests without a loop. What it holds is set before it is asked."""
    made, ready, ended = Peer(), threading.Event(), threading.Event()
    made.holds_203(1000.0)

    async def serve() -> None:
        await made.start()
        ready.set()
        await asyncio.to_thread(ended.wait)
        await made.stop()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(60)
        yield made
    finally:
        ended.set()
        thread.join()

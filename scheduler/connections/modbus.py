"""A line to a Modbus TCP device that measures power: asked one thing at a time, made anew after trouble.

Modbus TCP has neither encryption nor passwords: whoever reaches the device may read it, and pose as it. It belongs on a
network of its own.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ConnectionException, ModbusException
from pymodbus.pdu import ModbusPDU

from scheduler.connections.messages import Refused
from scheduler.connections.registers import Declined, ModbusOptions, Place, Register, find_meter, sunspec_w
from scheduler.errors import BarqError

logging.getLogger("pymodbus").setLevel(
    logging.CRITICAL
)  # the line tells; else each late answer is a page of frames

_FIRST_WAIT_S: Final = 0.25  #: before a lost line is made again; doubled each time it fails
_LONGEST_WAIT_S: Final = 5.0
_MEANINGS: Final = {
    1: "it does not know this function",
    2: "it has no such register",
    3: "it does not take this count",
    4: "it has failed",
    6: "it is busy",
    10: "its gateway has no path to this unit",
    11: "its gateway hears nothing of this unit",
}


class Silent(BarqError):
    """The device cannot be reached, or does not answer."""


class Line:
    """Asks one device for its power. Nothing is tried until it is read, and after trouble not before a while."""

    def __init__(self, options: ModbusOptions, *, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self.address = f"{options.host}:{options.port} unit {options.unit_id}"
        self._options, self._monotonic_s = options, monotonic_s
        self._client: AsyncModbusTcpClient | None = None
        self._place: Place | None = None  #: of its SunSpec meter; looked for anew on each connection
        self._wait_s, self._not_before_s, self._why = _FIRST_WAIT_S, float("-inf"), ""
        self._gone = asyncio.Event()  #: the connection ended
        self._turn = asyncio.Lock()  #: many devices answer only one question at a time

    async def power_w(self) -> float:
        """Watts drawn from the grid now, below 0 where power is given back.

        Raises `Silent` where there is no answer, and `Refused` where the answer cannot be.
        """
        async with self._turn:
            if self._client is None and self._monotonic_s() < self._not_before_s:
                raise Silent(self._why)
            try:
                power_w = await self._ask()
            except (ModbusException, OSError, TimeoutError) as error:
                self._lose(error)
                raise Silent(self._why) from error
            self._wait_s = _FIRST_WAIT_S
            return self._options.drawn_w(power_w)

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._client is not None:
            self._client.close()
        self._client = self._place = None

    async def _ask(self) -> float:
        client, register = await self._connected(), self._options.register_
        if register is not None:
            return register.power_w(await self._read(client, register))
        if self._place is None:
            self._place = await find_meter(lambda a, n: self._holding(client, a, n), self._options.instance)
        place = self._place
        registers = await self._holding(client, place.address, place.count)
        if registers[0] != place.model:
            self._place = None
        return sunspec_w(registers, place)

    async def _connected(self) -> AsyncModbusTcpClient:
        if self._client is not None:
            return self._client
        options = self._options
        # Neither repeats nor reconnects by itself: a late answer must not be taken for a new one, and the one that
        # reads has to know. An answer has `timeout_s`, as the connection has.
        client = AsyncModbusTcpClient(
            options.host,
            port=options.port,
            timeout=options.timeout_s,
            retries=0,
            reconnect_delay=0,
            trace_connect=self._note,
        )
        if not await client.connect():
            client.close()
            raise ConnectionError("no connection")
        self._client = client
        return client

    async def _read(self, client: AsyncModbusTcpClient, register: Register) -> Sequence[int]:
        if register.table == "holding":
            return await self._holding(client, register.address, register.count)
        address, count, unit_id = register.address, register.count, self._options.unit_id
        answer = await self._answered(client.read_input_registers(address, count=count, device_id=unit_id))
        return _registers(answer, address, count)

    async def _holding(self, client: AsyncModbusTcpClient, address: int, count: int) -> Sequence[int]:
        unit_id = self._options.unit_id
        answer = await self._answered(client.read_holding_registers(address, count=count, device_id=unit_id))
        return _registers(answer, address, count)

    async def _answered(self, asked: Awaitable[ModbusPDU]) -> ModbusPDU:
        """The answer. Who hangs up is not waited for, which pymodbus would do."""
        answer, gone = asyncio.ensure_future(asked), asyncio.ensure_future(self._gone.wait())
        try:
            await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            raise ConnectionResetError("the device ended the connection")
        finally:
            answer.cancel()
            gone.cancel()

    def _note(self, connected: bool) -> None:  # noqa: FBT001 - pymodbus's callback
        (self._gone.clear if connected else self._gone.set)()

    def _lose(self, error: Exception) -> None:
        self.close()
        self._why = (
            f"{self.address}: {_reason(error, self._options.timeout_s)}; check the device and the network"
        )
        self._not_before_s = self._monotonic_s() + self._wait_s
        self._wait_s = min(_LONGEST_WAIT_S, 2 * self._wait_s)


def _reason(error: Exception, timeout_s: float) -> str:
    if isinstance(error, OSError | ConnectionException) and not isinstance(error, TimeoutError):
        return "there is no connection"
    return f"no valid answer within {timeout_s:g} s"


def _registers(answer: ModbusPDU, address: int, count: int) -> Sequence[int]:
    """What an answer holds. Raises `Declined` for an exception, `Refused` for another count than was asked for."""
    if answer.isError():
        code = answer.exception_code
        raise Declined(
            f"it declines register {address}: {_MEANINGS.get(code, 'it says so')} (exception {code})"
        )
    if len(answer.registers) != count:
        raise Refused(f"{count} registers were asked for at {address}, and {len(answer.registers)} came")
    return answer.registers

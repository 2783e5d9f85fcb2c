"""The site's real meter, over Modbus TCP.

In the site file (`configs/sites/modbus.yaml` holds it with all keys):

    meter:
      type: modbus
      name: main-incomer
      host: 10.0.0.7
      unit_id: 1
      map: sunspec                  # it says itself where its power is: models 201-204 and 211-214
      import_is: positive           # what it calls power that the site draws; some call that negative

A meter without SunSpec: its manual names the register.

      map: registers
      register: {address: 1000, type: int32, word_order: big, scale: 100, table: holding}

What cannot be the draw of a site is refused: no reading, NaN, below 0 W, above `max_w`. docs/metering.md says what
counts then.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from scheduler.connections.messages import Refused
from scheduler.connections.modbus import Line, Silent
from scheduler.connections.registers import ModbusOptions
from scheduler.core.snapshot import MeterReading
from scheduler.errors import MeterError, MeterRefused


class ModbusMeter:
    """Asks the meter at each reading."""

    def __init__(
        self,
        name: str,
        options: ModbusOptions,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._name, self._now = name, now
        self._line = Line(options)

    async def read(self) -> MeterReading:
        """The draw of this instant. Raises `MeterError`, within the time that the answer may take."""
        try:
            draw_w = await self._line.power_w()
        except Silent as error:
            raise MeterError(f"meter {self._name}: {error}") from error
        except Refused as error:
            raise MeterRefused(f"meter {self._name} at {self._line.address}: {error}") from error
        if draw_w < 0:
            raise MeterRefused(
                f"meter {self._name} at {self._line.address}: it shows a draw of {draw_w:.0f} W, and no site draws "
                "less than nothing; correct import_is, or the meter is at the grid connection, beside a generator"
            )
        return MeterReading(draw_w=draw_w, measured_at=self._now(), source=self._name)

    async def close(self) -> None:
        """End the connection."""
        self._line.close()

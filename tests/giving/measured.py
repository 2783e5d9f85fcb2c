"""Two meters at registers within the process: what the sun leaves over, and what the site draws."""

from __future__ import annotations

from typing import Any

from pymodbus.exceptions import ConnectionException
from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.pdu.register_message import ReadHoldingRegistersResponse

from scheduler.connections.modbus import Line
from scheduler.ports import LimitSource
from scheduler.signals.surplus import open_source
from tests.giving.giver import REACTION_S, Fetched
from tests.giving.plan import Trouble
from tests.giving.truth import level_w
from tests.modbus_peer import LENGTHS, NOT_THERE, sunspec, words

BASE = 40_000
POWER_AT = BASE + 2 + 2 + LENGTHS[1] + 18
SCALE_AT = POWER_AT + 4
ILLEGAL_ADDRESS, BUSY = 2, 6


class Meters(Fetched):
    """`surplus`: each reading is a message. Whole steps are surprises: the sun announces nothing."""

    name = "surplus"
    stale_after_s = 10.0
    renewed_s = 30.0
    troubles = (Trouble.SILENT, Trouble.ERROR, Trouble.NAN, Trouble.NEGATIVE, Trouble.ABSURD)

    def begin(self) -> None:
        super().begin()
        for step in self.plan.steps:
            if not step.is_surprise:
                self.at(step.at_us, self._publish)

    def _publish(self, _: object) -> None:
        super()._publish(None)
        self.doc = self.doc[:1]

    def meant(self, doc: Any) -> Any:
        return doc[:1]

    def open(self) -> LimitSource:
        meter = {"host": "meter", "map": "sunspec", "max_w": 1e5}
        options = {
            "grid": meter,
            "site": meter,
            "rise_w_per_s": 1000,
            "floor_w": self.scene.firm_w,
            "stale_after_s": self.stale_after_s,
        }
        source = open_source(self.name, options, base=self.scene.base, reaction_s=REACTION_S)
        for line, is_site in ((source._grid, False), (source._site, True)):
            self._wire(line, is_site)
        return source

    def _wire(self, line: Line, is_site: bool) -> None:
        client: Any = _Client(self, is_site)

        async def connected() -> Any:
            line._client = client
            return client

        line._monotonic_s = self.scene.timeline.monotonic_s
        setattr(line, "_connected", connected)  # noqa: B010 - in the place of a method

    def registers(self, *, is_site: bool) -> dict[int, int]:
        """What a meter holds now."""
        own_w = round(self.scene.site_w())
        surplus_w = level_w(self.doc, self.now_us) or 0.0
        power_w = own_w if is_site else own_w - round(surplus_w)
        held = sunspec(BASE, 1, 203)
        held[POWER_AT], held[SCALE_AT] = words("h", power_w)[0], 0
        if self.trouble is Trouble.NAN:
            held[POWER_AT] = NOT_THERE
        elif self.trouble is Trouble.NEGATIVE and is_site:
            held[POWER_AT] = words("h", -power_w)[0]
        elif self.trouble is Trouble.ABSURD and not is_site:
            held[SCALE_AT] = 4
        return held


class _Client:
    """Answers as a device would; nothing travels."""

    def __init__(self, meters: Meters, is_site: bool) -> None:
        self._meters, self._is_site = meters, is_site

    async def read_holding_registers(self, address: int, *, count: int, device_id: int) -> ModbusPDU:
        meters = self._meters
        if meters.trouble is Trouble.SILENT:
            raise ConnectionException("gone")
        meters.messages += 1
        if meters.trouble is Trouble.ERROR:
            return ExceptionResponse(3, BUSY)
        held = meters.registers(is_site=self._is_site)
        wanted = range(address, address + count)
        if not all(a in held for a in wanted):
            return ExceptionResponse(3, ILLEGAL_ADDRESS)
        return ReadHoldingRegistersResponse(registers=[held[a] for a in wanted])

    def close(self) -> None:
        """Nothing is open."""

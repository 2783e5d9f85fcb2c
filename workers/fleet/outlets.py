"""The outlets of machines that did not obey: switched, and read for as long as that matters."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from typing import Any, Final

from scheduler.core.escalation import Step
from scheduler.core.obedience import OutletSaid
from workers.clock import boottime_s
from workers.fleet.roster import Roster
from workers.fleet.unit import Unit
from workers.outlets.port import Outlet, OutletError

READ_S: Final = 1.0  #: of a machine in doubt
CUT_S: Final = 10.0  #: of one that is off
AUDIT_S: Final = 60.0  #: of one that is not, where its outlet did not answer
AUDITS: Final = 4  #: at once

log = logging.getLogger("barq.fleet")


class Outlets:
    """What goes on at the outlets of one roster."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._read_at_s: dict[str, float] = {}
        self._switches = 0  #: going on: nobody reads meanwhile
        self._audits = 0
        self.is_calm = False  #: nobody is told at the moment who has not shown yet what came of it

    def do(self, unit: Unit, step: Step) -> None:
        """Switch it if that is due, or read it if somebody needs to know."""
        if unit.outlet is None:
            return
        name = unit.miner_id
        if step in (Step.SWITCH_OFF, Step.SWITCH_ON):
            if name in self._busy:
                self._busy[name].cancel()
            self._begin(name, self._switch(unit, unit.outlet, is_on=step is Step.SWITCH_ON))
        elif self._is_due(unit):
            self._begin(name, self._look(unit, unit.outlet))

    async def close(self) -> None:
        """End what is going on; the outlets stay as they are."""
        tasks = [*self._busy.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for unit in self._roster.each():
            if unit.outlet is not None:
                await unit.outlet.close()

    def _is_due(self, unit: Unit) -> bool:
        if (
            unit.verdict is None
            or not unit.verdict.read_outlet
            or unit.miner_id in self._busy
            or self._switches
        ):
            return False
        if not _is_urgent(unit) and (self._audits >= AUDITS or not self.is_calm):
            return False
        every_s = READ_S if unit.is_open else CUT_S if unit.is_cut else AUDIT_S
        read_at_s = self._read_at_s.get(unit.miner_id)
        return read_at_s is None or time.monotonic() - read_at_s >= every_s

    def _begin(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = self._busy[name] = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(lambda done: self._ended(name, done))

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        if self._busy.get(name) is task:
            del self._busy[name]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the outlet of miner %s: %r", name, error, exc_info=error)

    async def _switch(self, unit: Unit, outlet: Outlet, *, is_on: bool) -> None:
        what = "on" if is_on else "off"
        log.warning("miner %s: outlet %s is switched %s", unit.miner_id, outlet.address, what)
        self._switches += 1
        try:
            await outlet.switch(is_on=is_on)
        except OutletError as error:
            log.warning("miner %s: its outlet was not switched %s: %s", unit.miner_id, what, error)
        finally:
            self._switches -= 1
        await self._read(unit, outlet)

    async def _look(self, unit: Unit, outlet: Outlet) -> None:
        is_audit = not _is_urgent(unit)
        self._audits += is_audit
        try:
            await self._read(unit, outlet)
        finally:
            self._audits -= is_audit

    async def _read(self, unit: Unit, outlet: Outlet) -> None:
        asked_at_s = boottime_s()
        self._read_at_s[unit.miner_id] = time.monotonic()
        try:
            reading = await outlet.read()
        except OutletError as error:
            log.warning("miner %s: its outlet was not read: %s", unit.miner_id, error)
            return
        with self._roster.lock:
            unit.outlet_said = OutletSaid(at_s=asked_at_s, is_on=reading.is_on, draw_w=reading.draw_w)
            self._roster.changed()


def _is_urgent(unit: Unit) -> bool:
    return unit.is_open or unit.is_cut

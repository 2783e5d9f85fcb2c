"""Who looks for machines at the addresses of a LAN, and whether those that are known are still the same."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Final

from scheduler.core.lan import Place, places
from workers.fleet.closed import UNKNOWN, Closed
from workers.fleet.config import LanConfig
from workers.fleet.firmware import Found, Unusable, recognise
from workers.fleet.known import Known, who
from workers.fleet.roster import Roster
from workers.fleet.unit import Unit
from workers.miners.port import MachineReading, MinerError, Refused, Wrong

AT_ONCE: Final = 32

log = logging.getLogger("barq.fleet")


class Scouts:
    """They walk through the addresses again and again, each of them in its time."""

    def __init__(
        self,
        config: LanConfig,
        roster: Roster,
        adopt: Callable[[str, Found, Known, MachineReading | None], None],
        *,
        outlets: Collection[str],
    ) -> None:
        """`adopt` takes a machine that was found. Those with `outlets` can be put to sleep whatever they say."""
        self._outlets = outlets
        self._config = config
        self._roster = roster
        self._adopt = adopt
        self._places = {place.name: place for place in places(config.addresses)}
        self._gate = asyncio.Semaphore(AT_ONCE)
        now_s = time.monotonic()
        self._due_s = {n: now_s + (config.recheck_s if n in roster.units else 0.0) for n in self._places}
        self._visited_at_s: dict[str, float] = {}
        self._busy: dict[str, asyncio.Task[None]] = {}

    def tick(self, suspects: set[str]) -> None:
        """Visit whoever is due; at once whoever may be another than it was."""
        now_s = time.monotonic()
        for name in suspects:
            visited_at_s = self._visited_at_s.get(name)
            soon_s = now_s if visited_at_s is None else visited_at_s + self._config.retry_s
            self._due_s[name] = min(self._due_s.get(name, soon_s), soon_s)
        suspects.clear()
        for name, due_s in self._due_s.items():
            if due_s <= now_s and name not in self._busy:
                task = self._busy[name] = asyncio.get_running_loop().create_task(self._visit(name))
                task.add_done_callback(lambda done, name=name: self._ended(name, done))  # type: ignore[misc]

    async def close(self) -> None:
        """End what is going on."""
        tasks = [*self._busy.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        del self._busy[name]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("address %s: %r", name, error, exc_info=error)

    async def _visit(self, name: str) -> None:
        self._visited_at_s[name] = time.monotonic()
        self._due_s[name] = time.monotonic() + self._config.rescan_s
        unit = self._roster.units.get(name)
        async with self._gate:
            if unit is not None and not unit.trouble and await self._is_same(unit):
                self._due_s[name] = time.monotonic() + self._config.recheck_s
            else:
                await self._look(name, self._places[name])

    async def _is_same(self, unit: Unit) -> bool:
        """Whether the machine that is known is still there; one that does not answer is not another for that."""
        try:
            identity = await unit.miner.identify()
        except Wrong:
            return False
        except Refused as error:
            return error.retry_after_s is not None
        except MinerError:
            return True
        if who(identity) != who(unit.identity):
            return False
        if identity != unit.identity:
            with self._roster.lock:
                unit.known = replace(unit.known, identity=identity)
        return True

    async def _look(self, name: str, place: Place) -> None:
        found = await recognise(place, self._config)
        match found:
            case Found():
                known, reading = await self._known(found)
                log.info("miner %s: %s %s", name, known.identity.model, known.identity.serial)
                self._adopt(name, found, known, reading)
                self._due_s[name] = time.monotonic() + self._config.recheck_s
            case Unusable():
                self._due_s[name] = time.monotonic() + self._config.retry_s
                self._is_unusable(name, found)
            case None:
                with self._roster.lock:
                    self._roster.strangers.pop(name, None)
                    self._roster.changed()

    def _is_unusable(self, name: str, found: Unusable) -> None:
        """One that refuses everything and has an outlet is a machine that only that puts to sleep."""
        with self._roster.lock:
            if found.firmware is not None and name in self._outlets and name not in self._roster.units:
                known = Known(firmware=found.firmware, identity=UNKNOWN, nameplate_w=self._config.max_w)
                closed = Found(firmware=found.firmware, identity=UNKNOWN, miner=Closed(name, found.why))
                log.warning("address %s lets nobody in, and has an outlet: %s", name, found.why)
                self._adopt(name, closed, known, None)
            unit = self._roster.units.get(name)
            if unit is not None:
                unit.trouble, unit.is_shut = found.why, True
            elif self._roster.strangers.get(name) != found:
                log.warning("address %s cannot be used: %s", name, found.why)
                self._roster.strangers[name] = found
            self._roster.changed()

    async def _known(self, found: Found) -> tuple[Known, MachineReading | None]:
        """What it draws at most: as its owner has set it, or what it takes, or what the site file says."""
        reading: MachineReading | None = None
        try:
            reading = await found.miner.read()
        except MinerError as error:
            log.warning("%s: was recognised and not read: %s", found.miner.address, error)
        set_w = reading.target_w if reading is not None else None
        watts = found.identity.capabilities.watts
        nameplate_w = set_w or (min(watts.max_w, self._config.max_w) if watts else self._config.max_w)
        nameplate_w = max(nameplate_w, self._config.rest_w + 1.0)
        return Known(firmware=found.firmware, identity=found.identity, nameplate_w=nameplate_w), reading

"""The machines of a miner LAN behind the port of a guard: a thread of its own talks to them, and no call waits."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from scheduler.core.inventory import MachineDetail
from scheduler.core.lan import places
from workers.clock import boottime_s
from workers.fleet.config import LanConfig
from workers.fleet.crew import Crew
from workers.fleet.firmware import Found, Unusable, driver
from workers.fleet.known import Known, Notebook
from workers.fleet.roster import Roster
from workers.fleet.scouts import Scouts
from workers.fleet.unit import Unit
from workers.miners.port import MachineReading, Miner, MinerError, MinersNow
from workers.outlets.port import Outlet

TICK_S: Final = 0.1
KEEP_S: Final = 2.0  #: what was told is written down this often
_END_S: Final = 10.0
#: Each call to a machine lets go of the interpreter, and waits so long for it where the guard's own thread reckons, s.
_SWITCH_S: Final = 0.0005
_NO_OUTLETS: Final[Mapping[str, Outlet]] = MappingProxyType({})

log = logging.getLogger("barq.fleet")


class LanMiners:
    """The miners of one LAN."""

    def __init__(
        self, config: LanConfig, directory: Path, *, outlets: Mapping[str, Outlet] = _NO_OUTLETS
    ) -> None:
        """Take over the machines that are remembered in `directory`, and look for the others. Raises OSError."""
        self._config = config
        self._outlets = outlets
        directory.mkdir(parents=True, exist_ok=True)
        self._notebook = Notebook(directory)
        self._roster = Roster(config)
        self._kept: dict[str, Known] = {}
        self._kept_at_s = 0.0
        self._writing = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._crew = Crew(config, self._roster)
        self._ended = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()
        self._remember()
        sys.setswitchinterval(_SWITCH_S)
        self._thread = threading.Thread(target=self._talk, name="barq-fleet", daemon=True)
        self._thread.start()

    def max_w(self) -> Mapping[str, float]:
        """Of those that can be told something, above rest."""
        return self._roster.max_w()

    def now(self) -> MinersNow:
        """Those that can be told something, and what all come to, as they are now."""
        return self._roster.now()

    def set_targets(self, targets_w: Mapping[str, float]) -> None:
        """Tell them, without waiting for any. Raises KeyError, OSError.

        Who is raised is remembered before he is told: a guard that dies now would take him for asleep.
        """
        others = self._roster.want(targets_w, boottime_s())
        if not others:
            return
        try:
            if any(self._roster.units[name].is_to_work for name in others):
                self._keep_told()
        finally:
            self._loop.call_soon_threadsafe(self._crew.go, others)

    def details(self) -> tuple[MachineDetail, ...]:
        """Every machine, and every address where something else answers."""
        return self._roster.details()

    def alarms(self) -> tuple[str, ...]:
        """What a person should know."""
        return self._roster.alarms()

    def close(self) -> None:
        """Let go of them; they go on as they are."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._ended.set)
            self._thread.join(_END_S)

    # -- in the thread of those who talk ---------------------------------------------------------------------------

    def _talk(self) -> None:
        try:
            self._loop.run_until_complete(self._work())
        finally:
            self._loop.close()

    async def _work(self) -> None:
        crew = self._crew
        scouts = Scouts(self._config, self._roster, self._adopt, outlets=self._outlets.keys())
        try:
            while not self._ended.is_set():
                try:
                    scouts.tick(crew.suspects)
                    crew.tick()
                    await self._keep(time.monotonic())
                except Exception:
                    log.exception("the machines are looked at again in %g s", TICK_S)
                else:
                    self._roster.beats()
                try:
                    await asyncio.wait_for(self._ended.wait(), TICK_S)
                except TimeoutError:
                    continue
        finally:
            await scouts.close()
            await crew.close()
            await asyncio.gather(*self._closing, return_exceptions=True)
            await self._keep(time.monotonic() + KEEP_S)

    def _adopt(self, name: str, found: Found, known: Known, reading: MachineReading | None) -> None:
        """A machine was found. It is told what it was told before, or to sleep."""
        now_s = boottime_s()
        with self._roster.lock:
            unit = self._roster.units.get(name)
            if unit is None:
                unit = Unit(name, known, found.miner, self._config, outlet=self._outlets.get(name))
                self._roster.units[name] = unit
                self._roster.strangers.pop(name, None)
            else:
                if known.identity != unit.identity:
                    log.warning("miner %s is another machine now: %s", name, known.identity)
                self._let_go(unit.miner)
                unit.found_again(found, known)
            if reading is not None:
                unit.hears(reading, now_s)
            unit.judge(now_s)
            self._roster.changed()
        if unit.is_open and not unit.is_read_only:
            self._crew.go([name])

    def _let_go(self, miner: Miner) -> None:
        """Another driver talks to the machine from now on."""
        task = asyncio.get_running_loop().create_task(miner.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _remember(self) -> None:
        """Nobody is asked who he is: that was written down."""
        told, written = self._notebook.told(boottime_s()), self._notebook.machines()
        for place in places(self._config.addresses):
            known = written.get(place.name)
            if known is None:
                continue
            try:
                miner = driver(known.firmware, place, self._config)
            except MinerError as error:
                self._roster.strangers[place.name] = Unusable(why=str(error), is_miner=True)
                continue
            unit = Unit(
                place.name,
                known,
                miner,
                self._config,
                told=told.get(place.name),
                outlet=self._outlets.get(place.name),
            )
            unit.judge(boottime_s())
            self._roster.units[place.name] = unit
            self._kept[place.name] = known

    async def _keep(self, now_s: float) -> None:
        if now_s - self._kept_at_s < KEEP_S:
            return
        self._kept_at_s = now_s
        for moved in self._roster.forget_moved(boottime_s()):
            log.warning("miner %s has another address now: %s", moved.miner_id, moved.identity.mac)
            await moved.miner.close()
        units = {u.miner_id: u for u in self._roster.each()}
        known = {name: u.known for name, u in units.items()}
        if known != self._kept:
            self._notebook.keep_machines(known)
            self._kept = known
        self._keep_told()

    def _keep_told(self) -> None:
        with self._writing:
            self._notebook.keep_told({u.miner_id: u.told for u in self._roster.each()})

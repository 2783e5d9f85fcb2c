"""Those who talk to the machines of a LAN: asyncio tasks of a loop that is theirs alone.

Who is to sleep is told first: nothing else waits in that line, and whoever reads or wakes makes way.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Iterable
from typing import Any, Final

from scheduler.core.escalation import Step
from workers.clock import boottime_s
from workers.fleet.config import LanConfig
from workers.fleet.outlets import Outlets
from workers.fleet.roster import Roster
from workers.fleet.telling import tell
from workers.fleet.unit import Unit
from workers.miners.port import DEADLINE_S, MinerError, Refused, Unreachable, Wrong

LOOK_S: Final = 1.0  #: all are judged this often; those that were told twice at each tick
HOT_S: Final = 0.3  #: and read this often,
SILENT_HOT_S: Final = 1.0  #: or this, where they do not answer
READS: Final = 24  #: at once
SILENT: Final = 64  #: reads of those that did not answer lately, at once
WAKES: Final = 16
_MISSES: Final = 3  #: answers that make no sense, before it is taken for another machine

log = logging.getLogger("barq.fleet")


class Crew:
    """Tells, reads and judges the machines of one roster."""

    def __init__(self, config: LanConfig, roster: Roster) -> None:
        """In the loop of those who talk."""
        self._config = config
        self._roster = roster
        self._outlets = Outlets(roster)
        self._sheds = asyncio.Semaphore(config.at_once)
        self._wakes = asyncio.Semaphore(WAKES)
        self._reads = asyncio.Semaphore(READS)
        self._silent = asyncio.Semaphore(SILENT)
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._retries: dict[str, bool] = {}  #: who is told again; True = even if it obeys by then
        self._telling: set[str] = set()  #: whose call is on its way,
        self._renewed: set[str] = set()  #: and who was given something else meanwhile
        self._next_read_s: dict[str, float] = {}
        self._tried_at_s: dict[str, float] = {}  #: when each was last read, or meant to be
        self._untold = 0  #: who is to sleep and waits to be told: meanwhile nobody is read
        self._looked_at_s = 0.0
        self.suspects: set[str] = set()  #: who may be another machine than it was

    def go(self, names: Iterable[str]) -> None:
        """Tell machines what they were just given, whatever is done with them now.

        But an order that is on its way is heard out: the session that a broken call leaves behind would bar the next
        order for a minute.
        """
        for name in names:
            unit = self._roster.units[name]
            if name in self._telling:
                self._renewed.add(name)
            else:
                self._start(unit, self._tell(unit), urgent=True)

    def tick(self) -> None:
        """Whatever is due now."""
        now_s = time.monotonic()
        is_sweep = now_s - self._looked_at_s >= LOOK_S
        if is_sweep:
            self._looked_at_s = now_s
        units = self._roster.each()
        self._outlets.is_calm = not self._retries and not any(u.is_open and not u.is_late for u in units)
        for unit in units:
            is_busy = unit.miner_id in self._busy
            if is_sweep or (unit.is_late and not is_busy):
                self._look(unit)
            if not is_busy:
                self._next(unit, now_s)

    async def close(self) -> None:
        """End what is going on; the machines go on as they are. Orders on their way are heard out."""
        if told := [self._busy[name] for name in self._telling if name in self._busy]:
            await asyncio.wait(told, timeout=DEADLINE_S)
        tasks = [*self._busy.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._outlets.close()
        for unit in self._roster.each():
            await unit.miner.close()

    # -- inside --------------------------------------------------------------------------------------------------

    def _next(self, unit: Unit, now_s: float) -> None:
        name = unit.miner_id
        if not unit.is_read_only and (self._is_retried(unit) or self._is_due_again(unit)):
            self._retries.pop(name, None)
            self._start(unit, self._tell(unit))
        elif not self._untold and now_s >= self._next_read_s.get(name, 0.0):
            self._start(unit, self._read(unit, self._silent if unit.missed else self._reads))

    def _is_retried(self, unit: Unit) -> bool:
        """Whether it is to be told again. Where this host is slow, it may have obeyed and not been read yet."""
        name = unit.miner_id
        was_tried = unit.missed > 0 or self._tried_at_s.get(name, 0.0) >= unit.asked_at_s
        if was_tried and not unit.is_open and not self._retries.get(name, True):
            del self._retries[name]
        return was_tried and name in self._retries

    def _is_due_again(self, unit: Unit) -> bool:
        again_s = unit.again_s
        return again_s is not None and boottime_s() - unit.asked_at_s >= again_s

    def _start(self, unit: Unit, work: Coroutine[Any, Any, None], *, urgent: bool = False) -> None:
        name, known = unit.miner_id, self._busy.get(unit.miner_id)
        if known is not None and not urgent:
            work.close()
            return
        if known is not None:
            known.cancel()
        task = self._busy[name] = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(lambda done: self._ended(name, done))

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        if self._busy.get(name) is task:
            del self._busy[name]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("miner %s: %r", name, error, exc_info=error)

    async def _tell(self, unit: Unit) -> None:
        """Tell it, and read it a little later.

        No watt falls at once, and calls are what a fleet has to wait for: a reading on the heels of each order would
        only keep the next machine from its own. What it was given while it was told is told right behind.
        """
        is_news = True
        while is_news:
            self._renewed.discard(unit.miner_id)
            await self._tell_once(unit)
            is_news = unit.miner_id in self._renewed
        self._next_read_s[unit.miner_id] = time.monotonic() + HOT_S

    async def _tell_once(self, unit: Unit) -> None:
        unit.asked_at_s = boottime_s()
        try:
            await (self._shed(unit) if not unit.is_to_work else self._wake(unit))
        except Refused as error:
            self._refused(unit, error)
        except MinerError as error:
            self._missed(unit, error)
        else:
            unit.trouble = ""

    async def _shed(self, unit: Unit) -> None:
        self._untold += 1
        try:
            await self._sheds.acquire()
        finally:
            self._untold -= 1
        try:
            await self._call(unit)
        finally:
            self._sheds.release()

    async def _wake(self, unit: Unit) -> None:
        async with self._wakes:
            await self._call(unit)

    async def _call(self, unit: Unit) -> None:
        if unit.is_read_only:
            return
        self._telling.add(unit.miner_id)
        try:
            await tell(unit)
        finally:
            self._telling.discard(unit.miner_id)

    async def _read(self, unit: Unit, gate: asyncio.Semaphore) -> None:
        try:
            async with gate:
                asked_at_s = self._tried_at_s[unit.miner_id] = boottime_s()
                reading = await unit.miner.read()
        except MinerError as error:
            self._missed(unit, error)
        else:
            with self._roster.lock:
                unit.hears(reading, asked_at_s)
        self._look(unit)
        hot_s = SILENT_HOT_S if unit.missed else HOT_S
        self._next_read_s[unit.miner_id] = time.monotonic() + (hot_s if unit.is_open else self._config.poll_s)

    def _refused(self, unit: Unit, error: Refused) -> None:
        """For good, unless it passes by itself. It is told again as often as the ladder says."""
        log.warning("miner %s refuses: %s", unit.miner_id, error)
        with self._roster.lock:
            unit.complaint = str(error)
            if error.retry_after_s is None:
                unit.trouble = str(error)
                self.suspects.add(unit.miner_id)
            self._roster.changed()

    def _missed(self, unit: Unit, error: MinerError) -> None:
        with self._roster.lock:
            unit.misses(str(error))
        if isinstance(error, Wrong) or (unit.missed > _MISSES and not isinstance(error, Unreachable)):
            self.suspects.add(unit.miner_id)

    def _look(self, unit: Unit) -> None:
        with self._roster.lock:
            before = unit.is_ruled, unit.is_open
            step = unit.judge(boottime_s())
            self._roster.changed(at_once=before != (unit.is_ruled, unit.is_open))
        if step is Step.RETRY:
            self._retries[unit.miner_id] = not unit.is_open
        elif step is Step.ALARM and unit.verdict is not None:
            log.warning("%s", unit.verdict.trouble)
        self._outlets.do(unit, step)

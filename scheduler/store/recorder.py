"""`SqlStore`: the durable memory of the loop, the real driver of the `Store` port."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Engine, select

from scheduler.records import Intents, Stored, TickRecord
from scheduler.store.clocks import Reckoning, reckon
from scheduler.store.database import reading, writing
from scheduler.store.intake import read_intents, read_stored
from scheduler.store.tables import LeaderRow
from scheduler.store.ticks import Seen, forget_old, pack, write_tick

T = TypeVar("T")


class SqlStore:
    """The loop's store on SQLite or PostgreSQL. Every method raises `StoreError` when the database fails.

    All sessions run in one thread of its own, so the event loop never waits for a disk and ticks stay in order.
    `reaction_s` is what limits that people set grant; 0 = the site's own.
    """

    def __init__(self, engine: Engine, *, reaction_s: float = 0.0) -> None:
        self._engine = engine
        self._reaction_s = reaction_s
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._seen = Seen()
        self._swept_at: datetime | None = None

    async def claim(self, holder: str, *, at: datetime, at_least: int = 0) -> int:
        """Become leader: a new epoch, 1 + max(stored, `at_least`). Older leaders' writes are refused from now on."""
        return await self._run(lambda: self._claim(holder, at=at, at_least=at_least))

    async def reckon(self, clock: Reckoning, *, at: datetime) -> float:
        """Have what runs begun by the clock that counts from now on. By how much that was set meanwhile, s."""
        return await self._run(lambda: self._reckon(clock, at=at))

    async def load(self) -> Stored:
        """Everything a new leader starts from, as one consistent view."""
        return await self._run(self._load)

    async def intents(self, after: int) -> Intents:
        """What people did after sequence number `after`."""
        return await self._run(lambda: self._intents(after))

    async def record(self, tick: TickRecord) -> None:
        """Write one tick in one transaction. One that is written already is let be. Raises `StaleEpoch`."""
        await self._run(lambda: self._record(tick))

    def close(self) -> None:
        """Finish what is being written, and let go of the database."""
        self._thread.shutdown(wait=True)
        self._engine.dispose()

    async def _run(self, step: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, step)

    # -- in the store's thread -----------------------------------------------------------------------------------

    def _claim(self, holder: str, *, at: datetime, at_least: int) -> int:
        with writing(self._engine) as session:
            leader = session.scalars(select(LeaderRow).with_for_update()).one()
            leader.epoch = 1 + max(leader.epoch, at_least)
            leader.holder, leader.claimed_at, leader.tick_digest = holder, at, ""
            return leader.epoch

    def _reckon(self, clock: Reckoning, *, at: datetime) -> float:
        with writing(self._engine) as session:
            return reckon(session, clock, at=at)

    def _load(self) -> Stored:
        with reading(self._engine) as session:
            return read_stored(session, reaction_s=self._reaction_s)

    def _intents(self, after: int) -> Intents:
        with reading(self._engine) as session:
            return read_intents(session, after, reaction_s=self._reaction_s)

    def _record(self, tick: TickRecord) -> None:
        packed = pack(tick)
        with writing(self._engine) as session:
            write_tick(session, packed, self._seen)
            if self._is_sweep_due(tick.at):
                forget_old(session, tick)
        self._seen.note(tick.attempts)

    def _is_sweep_due(self, at: datetime) -> bool:
        minute_at = at.replace(second=0, microsecond=0)
        due, self._swept_at = minute_at != self._swept_at, minute_at
        return due

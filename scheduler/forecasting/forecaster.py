"""Has a forecast made when the site starts and once an hour, keeps it, and tells the loop what to plan on.

All of it runs beside the loop: the work in a process of its own, the database in threads. Whatever goes wrong here
costs a forecast and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from scheduler.book_threads import in_book_thread
from scheduler.errors import StoreError
from scheduler.forecast_settings import ForecastSettings, Use
from scheduler.forecasting.worker import Request
from scheduler.hindsight import GOOD_FOR, Hindsight
from scheduler.ports import Clock, Forecasts
from scheduler.predictions import LEAST_HISTORY, State, Told, too_short
from scheduler.wire import WireError, dumps, loads

log = logging.getLogger(__name__)

EACH: Final = timedelta(hours=1)
SETTLED: Final = timedelta(seconds=75)
"""After the full hour: by then the minute before it is on record."""
PATIENCE_S: Final = 300.0
_ONE_THREAD: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_COMMAND: Final = (sys.executable, "-m", "scheduler.forecasting.worker")
MISSING: Final = "scikit-learn is not installed: pip install 'barq[forecast]'"

Work = Callable[[Request], Awaitable[Told]]


class Forecaster:
    """Makes forecasts for as long as it runs. `work` makes one; `hindsight` is what snapshots are filled in from."""

    def __init__(
        self,
        settings: ForecastSettings,
        book: Forecasts,
        hindsight: Hindsight,
        clock: Clock,
        *,
        state: Path,
        work: Work | None = None,
    ) -> None:
        self._settings, self._book, self._hindsight, self._clock = settings, book, hindsight, clock
        self._state = state
        self._work = work or in_a_process
        self._last: Told | None = None

    async def run(self) -> None:
        """Until cancelled."""
        await self._resume()
        while True:
            try:
                await self.renew()
            except StoreError as error:
                log.warning("no forecast of the limit: %s", error)
            except Exception:  # a bug here must not end the scheduler, which can do without
                log.exception("no forecast of the limit")
            now = self._clock.now()
            await self._clock.sleep_s((next_at(now) - now).total_seconds())

    async def renew(self) -> Told:
        """Make one now, keep it, and have it planned on. Raises `StoreError`."""
        now = self._clock.now()
        if self._last is not None and self._last.state is State.MADE and now - self._last.at < EACH - SETTLED:
            told = self._last
        else:
            told = self._with_last(await self._made(now))
        is_used = self._settings.use is Use.STARTS and told.made is not None
        if told is not self._last or told.is_used is not is_used:
            told = replace(told, is_used=is_used)
            await in_book_thread(self._book.keep, told)
        self._last = told
        self._hindsight.learn(told.made if is_used else None, told.method)
        return told

    async def _resume(self) -> None:
        """Go on with what an earlier leader had made, if that was within the hour."""
        try:
            self._last = await in_book_thread(self._book.newest)
        except StoreError as error:
            log.warning("the last forecast of the limit cannot be read: %s", error)

    async def _made(self, now: datetime) -> Told:
        """Without the library, or with too little on record, nothing is started for it."""
        history = self._settings.history
        if self._settings.use is Use.NOTHING:
            return Told(at=now, state=State.OFF, why="the site file says forecast: {use: nothing}")
        if find_spec("sklearn") is None:
            return Told(at=now, state=State.MISSING, why=MISSING)
        days = await in_book_thread(self._book.days)
        if history is None and days < LEAST_HISTORY / timedelta(days=1):
            return Told(at=now, state=State.TOO_SHORT, why=too_short(days), history_days=days)
        path = None if history is None else str(self._state / history.path)
        request = Request(
            at=now,
            database=str(self._state / "barq.db"),
            path=path,
            map="" if history is None else history.map,
        )
        told = await self._work(request)
        if told.state is State.FAILED:
            log.warning("%s", told.why)
        return told

    def _with_last(self, told: Told) -> Told:
        """After a failure the last forecast stands, while it is young enough."""
        last = self._last
        if told.state is not State.FAILED or last is None or last.made is None:
            return told
        if told.at - last.made.made_at >= GOOD_FOR:
            return told
        return replace(
            told, made=last.made, method=last.method, score=last.score, history_days=last.history_days
        )


def next_at(now: datetime) -> datetime:
    """When the next forecast is due: soon after the next full hour."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    due = hour + SETTLED
    return due if due > now else due + EACH


async def in_a_process(request: Request, *, patience_s: float = PATIENCE_S) -> Told:
    """What the worker makes of it. That it failed, or took too long, is an answer too."""
    pipe = asyncio.subprocess.PIPE
    try:
        worker = await asyncio.create_subprocess_exec(
            *_COMMAND, stdin=pipe, stdout=pipe, stderr=pipe, env=_environment()
        )
    except OSError as error:
        return _failed(request, f"its process cannot be started: {error}")
    try:
        out, err = await asyncio.wait_for(worker.communicate(dumps(request)), timeout=patience_s)
    except TimeoutError:
        return _failed(request, f"its process was not done after {patience_s:g} s")
    finally:
        if worker.returncode is None:
            worker.kill()
            await worker.wait()
    if worker.returncode != 0:
        last = err.decode(errors="replace").strip().rpartition("\n")[2]
        return _failed(request, f"its process ended with {worker.returncode}: {last[:300]}")
    try:
        return loads(Told, out)
    except WireError as error:
        return _failed(request, f"its process answered nonsense: {error}")


def _failed(request: Request, why: str) -> Told:
    return Told(at=request.at, state=State.FAILED, why=f"no forecast from history: {why}")


def _environment() -> Mapping[str, str]:
    return {**os.environ, **dict.fromkeys(_ONE_THREAD, "1")}

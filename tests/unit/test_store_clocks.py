"""What runs began by the clock as it is now: no time limit is used up by a clock that was set."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from scheduler.core.jobs import Attempt, AttemptState, JobState
from scheduler.store.clocks import Reckoning
from scheduler.store.desk import Desk
from scheduler.store.recorder import SqlStore
from scheduler.store.wishes import NewLimit
from tests.stores import KINDS, SITE, T0, after, attempt, database, new_job, tick

HOUR_S = 3600.0
BOOT = Reckoning(boot_id="boot-1", offset_s=1_700_000_000.0)


class Led:
    """A store with one running attempt, begun five seconds into the story, and one that has ended."""

    def __init__(self, store: SqlStore, desk: Desk) -> None:
        self.store, self.desk = store, desk

    async def reckon(self, clock: Reckoning, at_s: float) -> float:
        """A leader takes over by this clock."""
        return await self.store.reckon(clock, at=after(at_s))

    async def running(self) -> Attempt:
        """As the next leader finds it."""
        (found,) = (await self.store.load()).attempts
        return found


@pytest.fixture(params=KINDS)
async def led(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Led]:
    """A leader reckoned by the clock of `BOOT`, and wrote down what runs."""
    with database(request.param, tmp_path) as engine:
        store = SqlStore(engine)
        desk = Desk(engine, site=SITE, now=lambda: T0)
        (view, other) = desk.submit([new_job(), new_job()])
        await store.claim("a", at=T0)
        await store.reckon(BOOT, at=T0)
        jobs = [j for j in (await store.intents(0)).jobs if j.id in (view.id, other.id)]
        runs = attempt(jobs[0].id, state=AttemptState.RUNNING, running_at=after(5), since_at=after(5))
        over = attempt(jobs[1].id, state=AttemptState.ENDED, running_at=after(5), ended_at=after(6))
        assert jobs[0].state is JobState.PENDING
        await store.record(tick(10, 1, attempts=(runs, over)))
        yield Led(store, desk)
        store.close()


async def test_a_clock_that_was_set_moves_what_runs(led: Led) -> None:
    """An attempt that ran for five seconds still has, an hour later by the new clock."""
    ahead = Reckoning(boot_id=BOOT.boot_id, offset_s=BOOT.offset_s + HOUR_S)

    assert await led.reckon(ahead, 10 + HOUR_S) == pytest.approx(HOUR_S)
    assert (await led.running()).running_at == after(5 + HOUR_S)
    assert (await led.running()).since_at == after(5 + HOUR_S)
    assert await led.reckon(ahead, 11 + HOUR_S) == 0.0
    assert (await led.running()).running_at == after(5 + HOUR_S)


async def test_a_clock_that_was_set_back_moves_it_back(led: Led) -> None:
    """And nothing begins later than now."""
    behind = Reckoning(boot_id=BOOT.boot_id, offset_s=BOOT.offset_s - HOUR_S)
    await led.reckon(behind, 10 - HOUR_S)
    assert (await led.running()).running_at == after(5 - HOUR_S)

    await led.reckon(BOOT, 2)
    assert (await led.running()).running_at == after(2)


@pytest.mark.parametrize("by_s", [HOUR_S, -HOUR_S])
async def test_a_limit_by_hand_lasts_as_long_as_was_said(led: Led, by_s: float) -> None:
    """Also one that would be over by the new clock; one without an end stays without."""
    led.desk.add_limit(NewLimit(limit_w=500.0, reason="heat", by="rana", for_s=600.0))
    led.desk.add_limit(NewLimit(limit_w=900.0, reason="heat", by="rana"))
    await led.reckon(Reckoning(boot_id=BOOT.boot_id, offset_s=BOOT.offset_s + by_s), 10 + by_s)

    spans = {
        e.segments[0].limit_w: (e.segments[0].starts_at, e.valid_until)
        for e in (await led.store.load()).limits
    }
    assert spans == {500.0: (after(by_s), after(600 + by_s)), 900.0: (after(by_s), None)}


@pytest.mark.parametrize(
    "clock",
    [
        BOOT,
        Reckoning(boot_id="boot-2", offset_s=0.0),
        Reckoning(boot_id=BOOT.boot_id, offset_s=1_700_000_000.5),
    ],
)
async def test_another_boot_and_noise_move_nothing(led: Led, clock: Reckoning) -> None:
    """Of the clock of another boot, or of another machine, nothing is known."""
    assert await led.reckon(clock, 20) == 0.0
    assert (await led.running()).running_at == T0 + timedelta(seconds=5)


async def test_nothing_waits_for_a_time_that_a_clock_ahead_made_up(led: Led) -> None:
    """Neither the retry of a job, nor what is raised again a while after a cut."""
    (job,) = [j for j in (await led.store.load()).jobs if j.id != (await led.running()).job_id]
    failed = replace(job, since_at=after(20), not_before_at=after(80))
    await led.store.record(tick(20, 1, jobs=(failed,), last_cut_at=after(20)))

    async def waits() -> tuple[datetime | None, datetime | None]:
        stored = await led.store.load()
        (found,) = [j for j in stored.jobs if j.id == job.id]
        return found.not_before_at, stored.last_cut_at

    await led.reckon(Reckoning(boot_id=BOOT.boot_id, offset_s=BOOT.offset_s - HOUR_S), 30 - HOUR_S)
    assert await waits() == (after(80 - HOUR_S), after(20 - HOUR_S))
    await led.reckon(Reckoning(boot_id="boot-2", offset_s=0.0), 50 - 2 * HOUR_S)
    assert await waits() == (after(110 - 2 * HOUR_S), after(50 - 2 * HOUR_S))
    await led.reckon(Reckoning(boot_id="boot-3", offset_s=0.0), 90 - 2 * HOUR_S)
    assert await waits() == (after(110 - 2 * HOUR_S), after(50 - 2 * HOUR_S))

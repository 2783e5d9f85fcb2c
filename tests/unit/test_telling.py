"""Who is told how the site does, when, and that nobody who is told can hold up anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest

from scheduler import telling as module
from scheduler.core.decide import PowerAware
from scheduler.core.envelope import Envelope
from scheduler.core.flexibility import FlexOffer
from scheduler.core.reasons import Event
from scheduler.core.site_state import SiteState
from scheduler.core.snapshot import MeterReading, Snapshot
from scheduler.errors import SignalError
from scheduler.telling import DEADLINE_S, LEAST_GAP_S, Telling
from tests.builders import SiteBuilder, site
from tests.fakes import T0, FakeClock
from tests.waiting import wait_until

PERIOD_S = 10.0


class Giver:
    """A source whose giver wants to be told; what it does with that, a test says."""

    def __init__(self, name: str = "grid", tell_every_s: float | None = PERIOD_S) -> None:
        self.name, self.tell_every_s = name, tell_every_s
        self.told: list[SiteState] = []
        self.begun = 0
        self.fails: Exception | None = None
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def read(self, at: datetime) -> Envelope:
        raise SignalError(f"{at}: not read here")

    async def tell(self, state: SiteState) -> None:
        self.begun += 1
        await self.may_end.wait()
        if self.fails is not None:
            raise self.fails
        self.told.append(state)


class PatientClock(FakeClock):
    """Pauses take no time, but let others go on."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    async def sleep_s(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0.001)


class Loop:
    """Decides as the service does, at times that a test says."""

    def __init__(self, *givers: Giver, built: SiteBuilder | None = None) -> None:
        self.built = built or site().node(gpus=4).limit_w(4200).running("j", "node-1").settles()
        self.clock, self.events, self.offers = PatientClock(), list[Event](), 0
        self.draw_w: float | None = None
        self._policy = PowerAware()
        self.telling = Telling(
            givers, self.clock, snapshot=self.snapshot, offer=self._offer, tell=self.events.append
        )

    def snapshot(self) -> Snapshot:
        taken = replace(self.built.snapshot(), at=self.clock.now())
        if self.draw_w is None:
            return taken
        return replace(taken, meter=MeterReading(draw_w=self.draw_w, measured_at=self.clock.now()))

    def _offer(self) -> FlexOffer | None:
        self.offers += 1
        return self._policy.offer()

    def decides(self, *, after_s: float = 0.0) -> None:
        """One round, so much later."""
        self.clock.now_ms += round(after_s * 1000)
        self.built.at = self.clock.now()
        if self.draw_w is not None:
            self.telling.measured(MeterReading(draw_w=self.draw_w, measured_at=self.clock.now()))
        self.telling.decided(self._policy.decide(self.snapshot()))

    def kinds(self) -> list[str]:
        return [e.kind for e in self.events]


@asynccontextmanager
async def running(loop: Loop) -> AsyncIterator[None]:
    """The tasks that tell."""
    task = asyncio.ensure_future(loop.telling.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def sees(condition: Callable[[], object]) -> None:
    """Wait until that holds."""
    await wait_until(condition, timeout_s=60, what="it is told")


def has_told(giver: Giver, times: int) -> bool:
    """Whether it was told so often."""
    return len(giver.told) == times


def has_paused(loop: Loop, times: int) -> bool:
    """Whether telling failed so often."""
    return len(loop.clock.pauses) == times


async def test_a_giver_is_told_at_its_period_and_when_something_changed() -> None:
    """In between nothing is put together, and a change that comes right after the last telling waits a moment."""
    giver = Giver()
    loop = Loop(giver)
    async with running(loop):
        loop.decides()
        await sees(lambda: len(giver.told) == 1)
        loop.decides(after_s=2)
        assert loop.offers == 1
        loop.built.limit_w(3000)
        loop.decides(after_s=1)
        await sees(lambda: len(giver.told) == 2)
        loop.built.limit_w(2500)
        loop.decides(after_s=LEAST_GAP_S / 2)
        assert loop.offers == 2
        loop.decides(after_s=LEAST_GAP_S / 2)
        await sees(lambda: len(giver.told) == 3)
        loop.decides(after_s=PERIOD_S)
        await sees(lambda: len(giver.told) == 4)

    assert [s.limit_w for s in giver.told] == [4200, 3000, 2500, 2500]
    assert giver.told[0].changes[-1].down_w > 0
    assert giver.told[0].forecast[0][0] == T0


async def test_a_site_that_tells_nobody_does_nothing_for_it() -> None:
    """Neither for sources that cannot be told, nor for those that are told nothing."""
    loop = Loop(Giver(tell_every_s=None))
    async with running(loop):
        loop.decides()
    assert loop.offers == 0


async def test_one_that_hangs_holds_up_nobody_and_gets_the_newest() -> None:
    """Neither the rounds of the loop nor the other givers; what it missed meanwhile is never told."""
    slow, quick = Giver("slow"), Giver("quick")
    loop = Loop(slow, quick)
    slow.may_end.clear()
    async with running(loop):
        loop.decides()
        await sees(lambda: slow.begun == 1)
        for n in range(1, 5):
            loop.built.limit_w(4200 - n)
            loop.decides(after_s=PERIOD_S)
            await sees(partial(has_told, quick, n + 1))
        assert slow.begun == 1
        slow.may_end.set()
        await sees(lambda: len(slow.told) == 2)

    assert [s.limit_w for s in slow.told] == [4200, 4196]


async def test_what_cannot_be_told_is_on_record_once_and_that_it_can_again() -> None:
    """Tried again with growing pauses, and not only when its period is over; a new reason is told, too."""
    giver = Giver()
    loop = Loop(giver)
    giver.fails = SignalError("no route")
    async with running(loop):
        for n in range(3):
            loop.decides(after_s=PERIOD_S)
            await sees(partial(has_paused, loop, n + 1))
        giver.fails = SignalError("refused")
        loop.decides(after_s=PERIOD_S)
        await sees(lambda: len(loop.clock.pauses) == 4)
        giver.fails = None
        await sees(lambda: loop.telling._tellers[0].next_s < 0)
        loop.decides(after_s=LEAST_GAP_S)
        await sees(lambda: "report.back" in loop.kinds())

    assert loop.kinds() == ["report.lost", "report.lost", "report.back"]
    assert loop.events[0].text == "source grid cannot be told how the site does: no route"
    assert loop.clock.pauses == [2.0, 4.0, 8.0, 16.0]


async def test_a_fault_of_ours_in_telling_ends_nothing() -> None:
    """It is on record; the limit is kept as before."""
    giver = Giver()
    loop = Loop(giver)
    giver.fails = ZeroDivisionError("oops")
    async with running(loop):
        loop.decides()
        await sees(lambda: loop.kinds() == ["report.lost"])
        giver.fails = None
        loop.decides(after_s=PERIOD_S)
        await sees(lambda: giver.told)
    assert "an error in Barq: ZeroDivisionError" in loop.events[0].text


async def test_a_telling_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not answer is given up, and told the next state."""
    monkeypatch.setattr(module, "DEADLINE_S", 0.05)
    giver = Giver()
    loop = Loop(giver)
    giver.may_end.clear()
    async with running(loop):
        loop.decides()
        await sees(lambda: loop.kinds() == ["report.lost"])
    assert "it took more than" in loop.events[0].text
    assert DEADLINE_S > 0.05


async def test_a_giver_hears_how_its_own_limit_stands() -> None:
    """Over it within the reaction time is on the way, after that broken, with what could go; then kept again."""
    giver = Giver(tell_every_s=1e6)
    loop = Loop(giver)
    seen: list[tuple[float | None, bool | None, bool, int]] = []
    async with running(loop):
        for draw_w, limit_w, after_s in ((4000, 4200, 0), (4000, 3000, 2), (4000, 3000, 31), (2900, 3000, 2)):
            loop.draw_w = float(draw_w)
            loop.built.limit_w(limit_w)
            told = len(giver.told)
            loop.decides(after_s=after_s)
            await sees(partial(has_told, giver, told + 1))
            own = giver.told[-1].standings["grid"]
            seen.append((own.limit_w, own.keeps, own.in_flight, len(giver.told[-1].hints)))

    assert seen == [
        (4200, True, False, 0),
        (3000, True, True, 0),
        (3000, False, False, 1),
        (3000, True, False, 0),
    ]


async def test_no_job_and_no_user_leaves_the_site() -> None:
    """Whatever runs, waits or is cut: what is told names no more than nodes, and these in a breach only."""
    giver = Giver()
    built = site().node(gpus=4).limit_w(4200).running("secret-job", "node-1").job("waiting-job").settles()
    loop = Loop(giver, built=built)
    loop.draw_w = 4000.0
    async with running(loop):
        loop.decides()
        await sees(lambda: giver.told)
    text = repr(giver.told)
    assert "secret-job" not in text
    assert "waiting-job" not in text
    assert "node-1" not in text
    assert timedelta(hours=24) == (giver.told[0].forecast_until or T0) - giver.told[0].at

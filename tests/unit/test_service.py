"""The service's pace: what shares a tick, and what waits for nothing."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scheduler import service as module
from scheduler.errors import SignalError
from scheduler.service import Service
from tests.reading_service import ReadingService

FOREVER_S = 1e6


@pytest.fixture
def service() -> Service:
    """A service of which only the pace is looked at."""
    return ReadingService().service


async def test_what_is_urgent_waits_for_nothing(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit has its tick at once, however long other things are gathered."""
    monkeypatch.setattr(module, "GATHER_S", FOREVER_S)
    service.wake(at_once=True)

    await service._gather()


async def test_a_limit_cuts_the_wait_for_a_burst_short(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests that keep coming hold up nothing that is urgent."""
    monkeypatch.setattr(module, "BURST_GAP_S", FOREVER_S)
    monkeypatch.setattr(module, "BURST_S", FOREVER_S)
    service._requests = 1
    gathering = asyncio.ensure_future(service._gather())
    done, _ = await asyncio.wait([gathering], timeout=0.05)
    assert not done

    service.wake(at_once=True)
    await gathering


async def test_a_burst_has_an_end(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks without a pause is served after a period."""
    monkeypatch.setattr(module, "GATHER_S", 0.0)
    monkeypatch.setattr(module, "BURST_GAP_S", 0.0)
    monkeypatch.setattr(module, "BURST_S", 0.05)

    async def ask() -> None:
        while True:
            service._requests += 1
            await asyncio.sleep(0)

    asking = asyncio.ensure_future(ask())
    await service._gather()
    asking.cancel()


async def test_a_burst_holds_up_no_instant_that_was_named(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit that falls at a known time is obeyed then, however many requests come."""
    monkeypatch.setattr(module, "BURST_GAP_S", 0.0)
    monkeypatch.setattr(module, "BURST_S", FOREVER_S)

    async def ask() -> None:
        while True:
            service._requests += 1
            await asyncio.sleep(0)

    asking = asyncio.ensure_future(ask())
    await service._gather(datetime.now(UTC) + timedelta(seconds=0.05))
    asking.cancel()


class Pushed:
    """A source that says when it has news."""

    name = "feeder"

    def __init__(self) -> None:
        self.news_now = asyncio.Event()

    async def read(self, at: datetime) -> Any:
        raise SignalError("nothing yet")

    async def news(self) -> None:
        await self.news_now.wait()

    def refused(self) -> tuple[str, ...]:
        return ()

    async def close(self) -> None:
        pass


async def test_a_source_that_breaks_ends_nothing() -> None:
    """It is told why, goes stale by itself, and all others are read on."""
    reading = ReadingService()
    broken: Any = Broken()
    await reading.service.look(broken)

    (told,) = reading.watchman.events
    assert (told.kind, told.data) == ("signal.lost", {"source": "feeder"})
    assert "an error in Barq: ZeroDivisionError" in told.text


class Broken(Pushed):
    """A source with a fault in it."""

    async def read(self, at: datetime) -> Any:
        return 1 / 0


async def test_a_source_with_news_is_read_before_its_time(service: Service) -> None:
    """Whatever `poll_s` is: a limit that was pushed waits for nobody."""
    source = Pushed()
    waits = asyncio.ensure_future(service._until_next(source, FOREVER_S))
    done, _ = await asyncio.wait([waits], timeout=0.05)
    assert not done

    source.news_now.set()
    await waits


async def test_a_source_without_news_is_read_at_its_time(service: Service) -> None:
    """A source that has none still ages, and says so."""
    await service._until_next(Pushed(), 0.01)
    await service._until_next(Pushed(), 0.12)

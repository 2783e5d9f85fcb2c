"""Figures are taken in when they can be true; what cannot be is told once, and the last good ones stand."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from scheduler.connections.messages import Refused
from scheduler.core.hashprice import ChainFigures
from scheduler.core.reasons import Event
from scheduler.errors import SignalError
from scheduler.figures.keeping import FiguresKeeping
from tests.builders import T0
from tests.chain import KeptFigures, figures
from tests.fakes import FakeClock

MINUTE = timedelta(minutes=1)


class Source:
    """Says what the test makes it say."""

    def __init__(self, name: str = "desk", says: ChainFigures | Exception | None = None) -> None:
        self.name, self.says, self.is_closed = name, says or figures(), False

    async def read(self, at: Any) -> ChainFigures:
        if isinstance(self.says, Exception):
            raise self.says
        return self.says

    async def close(self) -> None:
        self.is_closed = True


class Kept:
    """A keeping with what it tells and takes."""

    def __init__(self, *sources: Source) -> None:
        self.book, self.clock = KeptFigures(), FakeClock()
        self.events: list[Event] = []
        self.taken: ChainFigures | None = None
        self.has_taken = asyncio.Event()
        self.keeping = FiguresKeeping(
            [(s, 10.0) for s in sources], self.book, self.clock, take=self.take, tell=self.events.append
        )

    def take(self, found: ChainFigures | None) -> None:
        self.taken = found
        self.has_taken.set()

    def passes(self, minutes: float) -> None:
        self.clock.now_ms += round(minutes * 60_000)

    @property
    def kinds(self) -> list[str]:
        return [e.kind for e in self.events]


async def test_what_a_source_tells_is_written_down_and_at_hand() -> None:
    """With whose word it is; the same again is not written again."""
    source = Source()
    kept = Kept(source)
    await kept.keeping.ask(source)
    await kept.keeping.ask(source)

    assert kept.taken == figures()
    assert kept.book.told == [(figures(), "desk")]
    assert kept.events == []


@pytest.mark.parametrize(
    "said, words",
    [
        (figures(as_of_at=T0 + MINUTE, height=924_999), "heights do not go backwards"),
        (figures(as_of_at=T0 + MINUTE, difficulty=10**15), "a factor of 4 at most"),
        (figures(as_of_at=T0 - MINUTE), "the series only goes forward"),
        (figures(as_of_at=T0 + timedelta(hours=2)), "ahead of the clock"),
        (figures(as_of_at=T0 + MINUTE, height=9_250_000), "correct the height"),
        (Refused("btc is nan; send one"), "btc is nan"),
    ],
)
async def test_what_cannot_be_is_told_once_and_the_last_good_ones_stand(
    said: ChainFigures | Exception, words: str
) -> None:
    """Until it is mended, which is told too."""
    source = Source()
    kept = Kept(source)
    await kept.keeping.ask(source)
    kept.passes(2)
    source.says = said
    for _ in range(3):
        await kept.keeping.ask(source)

    assert kept.kinds == ["figures.refused"]
    assert words in kept.events[0].text
    assert kept.events[0].data == {"source": "desk"}
    assert kept.taken == figures()
    source.says = figures(as_of_at=T0 + 2 * MINUTE, height=925_001)
    await kept.keeping.ask(source)
    assert kept.kinds == ["figures.refused", "figures.back"]
    assert kept.taken == source.says


async def test_a_source_that_is_out_of_reach_is_not_one_that_tells_nonsense() -> None:
    """It is told as that, and again when the reason changes."""
    source = Source(says=SignalError("node gave no whole answer; it is asked again"))
    kept = Kept(source)
    await kept.keeping.ask(source)
    source.says = SignalError("node answered 403; check the token")
    await kept.keeping.ask(source)

    assert kept.kinds == ["figures.lost", "figures.lost"]
    assert kept.taken is None


async def test_of_several_sources_the_newest_word_counts() -> None:
    """One that lags is no trouble."""
    quick, slow = (
        Source("node", figures(as_of_at=T0 - MINUTE)),
        Source("desk", figures(as_of_at=T0 - 5 * MINUTE)),
    )
    kept = Kept(quick, slow)
    for source in (quick, slow):
        await kept.keeping.ask(source)

    assert kept.taken == quick.says
    assert kept.book.told == [(quick.says, "node")]
    assert kept.events == []


async def test_what_a_person_corrects_is_not_undone_by_the_same_word_again() -> None:
    """Only by a newer one."""
    source = Source()
    kept = Kept(source)
    await kept.keeping.ask(source)
    corrected = figures(btc_micro=92_000_000_000)
    kept.book.add(corrected, origin="operator", at=T0)
    await kept.keeping.ask(source)
    await kept.keeping.look()

    assert kept.taken == corrected


async def test_the_same_figures_of_a_later_date_are_written_down_now_and_then() -> None:
    """So that they do not grow stale while they are confirmed, and a year of them is no burden."""
    source = Source()
    kept = Kept(source)
    for minute in range(0, 60, 5):
        source.says = figures(as_of_at=T0 + minute * MINUTE)
        await kept.keeping.ask(source)
        kept.passes(5)

    assert [f.as_of_at - T0 for f, _ in kept.book.told] == [n * 15 * MINUTE for n in range(4)]


async def test_that_they_grew_stale_is_told_once_with_the_remedy() -> None:
    """And what a person tells takes their place."""
    kept = Kept()
    kept.book.add(figures(), origin="operator", at=T0)
    await kept.keeping.look()
    kept.passes(30 * 60)
    for _ in range(2):
        await kept.keeping.look()

    assert kept.kinds == ["figures.stale"]
    assert "30.0 h old, and trusted for 24.0 h" in kept.events[0].text
    assert "barq hashprice set" in kept.events[0].text
    fresh = figures(as_of_at=kept.clock.now(), height=925_180)
    kept.book.add(fresh, origin="operator", at=kept.clock.now())
    await kept.keeping.look()
    assert kept.taken == fresh


async def test_a_store_that_is_down_leaves_what_is_known() -> None:
    """It ends nothing."""
    source = Source()
    kept = Kept(source)
    await kept.keeping.ask(source)
    kept.book.is_down = True
    await kept.keeping.ask(source)
    await kept.keeping.look()

    assert kept.taken == figures()


async def test_when_it_ends_its_sources_are_closed() -> None:
    """However it ends."""
    source = Source()
    kept = Kept(source)
    task = asyncio.create_task(kept.keeping.run())
    await asyncio.wait_for(kept.has_taken.wait(), timeout=60)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert source.is_closed

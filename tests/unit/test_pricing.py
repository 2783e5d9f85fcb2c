"""By which prices an interval is settled is looked up beside the loop, and an interval outlives who measured it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event

import pytest

from scheduler.book_threads import in_book_thread
from scheduler.core.contracts import HashpriceIndex, SeriesPrice
from scheduler.core.decide import decide
from scheduler.core.hashprice import ChainFigures
from scheduler.core.partners import Price
from scheduler.core.settlement import Measured
from scheduler.errors import SignalError, StoreError
from scheduler.journal import Journal
from scheduler.pricing import UNREAD_S, Pricing
from scheduler.records import TickRecord
from scheduler.settling import Settling
from scheduler.store.desk import Desk
from scheduler.store.recorder import SqlStore
from scheduler.watchman import Watchman
from scheduler.wire import dumps, loads
from tests.builders import T0
from tests.fakes import FakeClock
from tests.settled import S21, figures, fixed, terms
from tests.stores import SITE, database
from tests.unit.test_settling import Known, Story, energies
from tests.waiting import wait_until

BY_HASHPRICE = terms(price=HashpriceIndex(hashing=S21))


class Down(Known):
    """Figures of a store that can be down."""

    is_up = False

    def figures_at(self, at: datetime) -> ChainFigures | None:
        """Raises while it is."""
        if not self.is_up:
            raise StoreError("the disk is full")
        return super().figures_at(at)


class Hanging(Known):
    """Figures of a store that neither answers nor fails until it is let go."""

    def __init__(self) -> None:
        self.asked, self.is_let_go = Event(), Event()

    def figures_at(self, at: datetime) -> ChainFigures | None:
        """Waits."""
        self.asked.set()
        self.is_let_go.wait(60)
        return super().figures_at(at)


def measured_story(seconds: float = 1000) -> Story:
    """A site of which an interval is over and not priced yet."""
    story = Story(BY_HASHPRICE)
    until = story.at + timedelta(seconds=seconds)
    while story.at < until:
        story.step()
        story.at += timedelta(seconds=10)
    return story


async def test_seconds_are_taken_in_while_the_store_hangs() -> None:
    """What is over waits for its price; the running interval goes on, and is priced in its turn."""
    story, prices = measured_story(), Hanging()
    pricing = asyncio.create_task(Pricing(story.books, prices, FakeClock()).look())
    await wait_until(prices.asked.is_set, timeout_s=60, what="the figures were asked for")
    for _ in range(90):
        story.step()
        story.at += timedelta(seconds=10)
    assert [m.over.starts_at for m in story.books.measured] == [T0, T0 + timedelta(minutes=15)]
    assert not story.books.closed
    prices.is_let_go.set()
    await pricing
    await Pricing(story.books, prices, FakeClock()).look()
    assert [c.balance.starts_at for c in story.books.closed] == [T0, T0 + timedelta(minutes=15)]
    assert story.books.measured == ()


async def test_a_store_that_is_down_only_delays_the_price(caplog: pytest.LogCaptureFixture) -> None:
    """The interval waits, and is priced by its own beginning once it can be; the log says so once."""
    story, prices = measured_story(), Down()
    pricing = Pricing(story.books, prices, FakeClock())
    with caplog.at_level(logging.WARNING):
        await pricing.look()
        await pricing.look()
    assert story.books.closed == ()
    assert len(caplog.records) == 1
    prices.is_up = True
    await pricing.look()
    draft = next(d for d in story.closed().drafts if d.partner_id == "north")
    assert draft.price.micro_per_mwh == S21.micro_per_mwh(figures(T0))


class Unread(Known):
    """A file of prices that is just being written."""

    is_whole = False

    def price_at(self, series: str, at: datetime) -> Price | None:
        """Raises until it is whole."""
        if not self.is_whole:
            raise SignalError(f"price series {series}: line 3: price: '5' is no price")
        return Price(micro_per_mwh=7_000_000, source="file", as_of_at=at)


@pytest.mark.parametrize("is_mended", [True, False])
async def test_a_series_that_cannot_be_read_is_waited_for_a_while(*, is_mended: bool) -> None:
    """A file that is being written costs nobody a price; one that is gone holds nothing up for ever."""
    story, prices, clock = measured_story(), Unread(), FakeClock()
    story.books.open({"north": terms(price=SeriesPrice(series="day"))}, running=story.books.running)
    for _ in range(91):
        story.step()
        story.at += timedelta(seconds=10)
    pricing = Pricing(story.books, prices, clock)
    await pricing.look()
    assert story.books.closed == ()
    prices.is_whole = is_mended
    if not is_mended:
        await clock.sleep_s(UNREAD_S)
    await pricing.look()

    draft = next(d for d in story.closed().drafts if d.partner_id == "north")
    assert draft.price.micro_per_mwh == (7_000_000 if is_mended else None)


async def test_an_interval_outlives_the_scheduler_that_measured_it(tmp_path: Path) -> None:
    """Who leads next prices it, by the contract of when it was over; nothing of it is settled twice."""
    with database("sqlite", tmp_path) as engine:
        store = SqlStore(engine)
        await store.claim("scheduler", at=T0)
        first = measured_story()
        journal = Journal(epoch=1, watchman=Watchman(), settling=first.books)
        await store.record(_told(journal, first))
        stored = await store.load()
        assert stored.measured == first.books.measured

        second = Story(terms(price=fixed(7)), Settling())
        second.books.open(
            {"north": terms(price=fixed(7))},
            running=stored.settling,
            measured=stored.measured,
            hours=stored.hours,
        )
        second.at = first.at
        await Pricing(second.books, Known(), FakeClock()).look()
        draft = next(d for d in second.closed().drafts if d.partner_id == "north")
        assert draft.price.micro_per_mwh == S21.micro_per_mwh(figures(T0))
        assert energies(second.closed()).metered_ws == 4000 * 900

        journal = Journal(epoch=1, watchman=Watchman(), settling=second.books)
        tick = _told(journal, second)
        await store.record(tick)
        second.books.recorded(tick)
        assert ((await store.load()).measured, second.books.closed) == ((), ())
        rows = Desk(engine, site=SITE).settlement.statement("north", T0, T0 + timedelta(hours=1)).rows
        assert [r.draft.energy.metered_ws for r in rows] == [4000 * 900]
        store.close()


async def test_books_that_hang_take_no_thread_from_what_reads_the_limit() -> None:
    """However many there are: files of sources are read in asyncio's own threads, of which there are few."""
    is_let_go = Event()
    books = [asyncio.create_task(in_book_thread(is_let_go.wait, 60)) for _ in range(40)]
    await asyncio.sleep(0)
    assert await asyncio.to_thread(lambda: "read") == "read"
    assert not any(book.done() for book in books)
    is_let_go.set()
    assert all(await asyncio.gather(*books))


def test_hours_of_curtailment_count_what_waits_for_its_price() -> None:
    """For whoever leads next, too."""
    contract = terms(max_curtailed_s=200)
    story = Story(contract).then(500).then(410, given_w=0.0, drawn_w=0.0, limit_w=820.0)
    assert story.books.spent == ("north",)
    story = Story(contract)
    story.then(500)
    for _ in range(41):
        story.step(given_w=0.0, drawn_w=0.0, limit_w=820.0)
        story.at += timedelta(seconds=10)
    books = Settling()
    waiting = loads(tuple[Measured, ...], dumps(story.books.measured))
    assert waiting == story.books.measured != ()
    books.open({"north": contract}, running=story.books.running, measured=waiting)
    assert books.spent == ("north",)


def _told(journal: Journal, story: Story) -> TickRecord:
    """What is written down of the next second."""
    snapshot = replace(story.builder.snapshot(), at=story.at)
    return journal.write(snapshot, decide(snapshot), {}, {})

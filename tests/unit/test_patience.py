"""A store that neither answers nor fails: the loop goes on without it, and knows in the end what became of it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from pathlib import Path

import pytest

from scheduler.core.jobs import JobState, Phase
from scheduler.core.orders import Order
from scheduler.errors import StaleEpoch, StoreError, StoreSlow
from scheduler.patience import PatientStore
from scheduler.records import Intents, TickRecord
from scheduler.store.recorder import SqlStore
from tests.builders import T0, site
from tests.obedient_site import ObedientSite, UnhurriedStore
from tests.stores import database
from tests.waiting import wait_until

SOON_S = 0.01
FULL_W = 2200.0  #: a node of four A100, all of them uncapped


class HangingStore(UnhurriedStore):
    """Does what it is asked once it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = asyncio.Event()
        self.let_go.set()
        self.failure: StoreError | None = None  #: how it ends instead
        self.failed = False

    async def intents(self, after: int) -> Intents:
        """Once it is let go."""
        await self.let_go.wait()
        return await super().intents(after)

    async def record(self, tick: TickRecord) -> None:
        """Once it is let go."""
        await self.let_go.wait()
        if self.failure is not None:
            self.failed = True
            raise self.failure
        await super().record(tick)


async def a_site(limit_w: float = 3000.0) -> tuple[ObedientSite, HangingStore]:
    """A node of four GPUs, led by a loop whose patience with its store is short."""
    there = ObedientSite(site().node("a").limit_w(limit_w))
    there.store = store = HangingStore()
    store.epoch = 1
    there.loop.store = PatientStore(store, patience_s=SOON_S)
    return await there.began(), store


async def a_busy_site() -> tuple[ObedientSite, HangingStore]:
    """With a job on all of them, uncapped."""
    there, store = await a_site()
    there.submit("j", gpus=4)
    await there.orders()
    assert (await there.orders(), there.guards["a"].draw_w()) == ([], FULL_W)
    return there, store


@asynccontextmanager
async def hanging_record(store: HangingStore) -> AsyncIterator[None]:
    """The store takes the next intents, and hangs with the record that follows."""
    answered = store.intents

    async def last(after: int) -> Intents:
        intents = await UnhurriedStore.intents(store, after)
        store.let_go.clear()
        return intents

    store.intents = last  # type: ignore[method-assign]
    yield
    store.intents = answered  # type: ignore[method-assign]


def caps(orders: list[Order]) -> list[float]:
    """Of the attempts in all of them."""
    return [a.cap_w for o in orders for a in o.attempts]


async def answered(store: HangingStore, records: int) -> None:
    """Let go of the store until it has so many records."""
    store.let_go.set()
    await wait_until(lambda: len(store.records) >= records, timeout_s=60)
    await asyncio.sleep(0)


async def failed(store: HangingStore) -> None:
    """Let go of the store, which fails."""
    store.let_go.set()
    await wait_until(lambda: store.failed, timeout_s=60)
    await asyncio.sleep(0)
    store.failure = None


async def test_orders_are_renewed_for_as_long_as_a_store_hangs() -> None:
    """For many leases: nobody falls back for want of a record."""
    there, store = await a_busy_site()
    store.let_go.clear()
    renewed = []
    for _ in range(60):
        renewed += await there.orders_after(1.0)
    assert len(renewed) >= 60 / there.built.site.lease_s
    assert there.guards["a"].draw_w() == FULL_W
    assert not there.view.store_up
    store.let_go.set()


async def test_the_limit_is_kept_while_a_store_hangs() -> None:
    """A cut goes out though the store was asked long before; it is on record once that answers."""
    there, store = await a_busy_site()
    store.let_go.clear()
    await there.orders_after(1.0)
    there.limit_w(1500.0)
    assert caps(await there.orders_after(1.0)) == [225.0]
    assert there.guards["a"].draw_w() == 1500.0
    store.let_go.set()
    for _ in range(10):  # it answers what it was asked
        await asyncio.sleep(0)
    await there.orders_after(1.0)
    assert [(a.id, a.cap_w) for a in store.records[-1].attempts] == [("j.1", 225.0)]
    assert store.records[-1].last_cut_at == T0 + timedelta(seconds=2)


async def test_nothing_is_raised_on_the_word_of_a_store_that_hangs() -> None:
    """A job waits until its start is on record; then it starts, once, though the record came late."""
    there, store = await a_site()
    there.submit("j", gpus=4)
    before = len(store.records)
    async with hanging_record(store):
        assert await there.orders() == []
    for _ in range(3):
        assert caps(await there.orders_after(1.0)) == []
    await answered(store, before + 1)
    assert [(j.id, j.state) for j in store.records[before].jobs] == [("j", JobState.STARTING)]
    orders = await there.orders_after(1.0)
    assert [(a.attempt_id, a.phase) for o in orders for a in o.attempts] == [("j.1", Phase.RUN)]
    assert len({a.id for r in store.records for a in r.attempts}) == 1
    assert sum(e.kind == "limit.changed" for r in store.records for e in r.events) == 1


async def test_what_was_cut_meanwhile_stands_on_top_of_a_record_that_came_late() -> None:
    """The newest word counts, and is on record as the last one."""
    there, store = await a_busy_site()
    there.limit_w(2000.0)
    before = len(store.records)
    async with hanging_record(store):
        first = await there.orders()
    there.limit_w(1500.0)
    second = await there.orders_after(1.0)
    assert (len(caps(first)), caps(second)) == (1, [225.0])
    await answered(store, before + 1)
    await there.orders_after(1.0)
    assert [a.cap_w for r in store.records[before:] for a in r.attempts] == [caps(first)[0], 225.0]
    assert there.view.attempts["j.1"].cap_w == 225.0
    assert there.guards["a"].draw_w() == 1500.0


async def test_a_record_that_failed_late_did_not_happen() -> None:
    """The job is started by another one."""
    there, store = await a_site()
    there.submit("j", gpus=4)
    before = len(store.records)
    async with hanging_record(store):
        assert await there.orders() == []
    store.failure = StoreError("the server closed the connection")
    await failed(store)
    orders = await there.orders_after(1.0) + await there.orders_after(1.0)
    assert [a.attempt_id for o in orders for a in o.attempts] == ["j.1"]
    assert len(store.records) > before


async def test_who_was_outranked_hears_it_late_and_ends() -> None:
    """As of a record that is refused in time."""
    there, store = await a_site()
    async with hanging_record(store):
        await there.orders()
    store.failure = StaleEpoch("another leads")
    await failed(store)
    with pytest.raises(StaleEpoch):
        await there.loop.tick()
    await there.loop.close()


async def test_a_database_that_is_locked_is_asked_one_thing_at_a_time(tmp_path: Path) -> None:
    """A real one, held by another process's transaction: what was asked is done when that lets go."""
    with database("sqlite", tmp_path) as engine:
        sql = SqlStore(engine)
        epoch = await sql.claim("a", at=T0)
        store = PatientStore(sql, patience_s=SOON_S)
        with closing(sqlite3.connect(str(engine.url.database), isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreSlow) as slow:
                await store.record(TickRecord(at=T0, epoch=epoch))
            with pytest.raises(StoreError, match="still"):
                await store.intents(0)
            assert not slow.value.outcome.done()
            other.execute("ROLLBACK")
        await slow.value.outcome
        assert (await store.intents(0)).seq == 0
        sql.close()

"""The promise of section 4 where the store takes longer for each record than the loop waits for it."""

from __future__ import annotations

import asyncio

from hypothesis import settings, strategies as st
from hypothesis.stateful import precondition, rule

from scheduler.core.jobs import Phase
from scheduler.errors import StaleEpoch, StoreError, StoreSlow
from scheduler.records import Intents, TickRecord
from scheduler.store.testing import InMemoryStore
from tests.power_world import World
from tests.property.test_invariant import LossySite


class SlowStore(InMemoryStore):
    """Writes down what it was told last when it is let, and takes nothing else before."""

    def __init__(self) -> None:
        super().__init__()
        self.is_slow = True
        self._asked: tuple[TickRecord, asyncio.Future[None]] | None = None

    @property
    def is_asked(self) -> bool:
        """Whether a record is under way."""
        return self._asked is not None

    async def intents(self, after: int) -> Intents:
        """Nothing while a record is under way."""
        if self._asked is not None:
            raise StoreError("it still does not answer")
        return await super().intents(after)

    async def record(self, tick: TickRecord) -> None:
        """Later, where it is slow."""
        if self._asked is not None:
            raise StoreError("it still does not answer")
        if not self.is_slow:
            return await super().record(tick)
        outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked = tick, outcome
        raise StoreSlow("it did not answer in time", outcome)

    async def catch_up(self) -> None:
        """What is under way is written now, or fails; whoever asked can hear of it."""
        if self._asked is None:
            return
        (tick, outcome), self._asked = self._asked, None
        try:
            await super().record(tick)
        except StoreError as error:
            outcome.set_exception(error)
            outcome.exception()  # whoever asked may be gone
        else:
            outcome.set_result(None)


class SlowWorld(World):
    """A site that records late."""

    store: SlowStore

    def lose_store(self) -> None:
        """What is under way is lost with it."""
        super().lose_store()
        self.store = SlowStore()

    def catch_up(self) -> None:
        """The record that is under way is written."""
        self.run(self.store.catch_up())


class SlowStoreSite(LossySite):
    """A record is written before the next round in calm, whenever it may be else, or never."""

    world: SlowWorld

    def new_world(self) -> World:
        """The same site."""
        return SlowWorld(policy=self.new_mind, store=SlowStore())

    @rule(seconds=st.integers(1, 12))
    def calm(self, seconds: int) -> None:
        """Each record is written before the next round."""
        for _ in range(seconds):
            self.world.catch_up()
            super().calm(1)

    @rule(is_slow=st.booleans())
    def the_store_gets_slow_or_quick(self, is_slow: bool) -> None:
        """From the next record on."""
        self.world.store.is_slow = is_slow

    @precondition(lambda self: self.world.store.is_asked)
    @rule()
    def the_store_answers(self) -> None:
        """Long after it was asked, as it may be."""
        self.world.catch_up()

    @precondition(lambda self: self.world.store.up)
    @rule(is_in_time=st.booleans())
    def the_scheduler_restarts(self, is_in_time: bool = True) -> None:
        """What the old leader asked for is written just before the new one claims the site, or refused after that."""
        if is_in_time:
            self.world.catch_up()
        self.world.start()
        self.world.catch_up()

    @precondition(lambda self: self.world.deposed is not None and self.world.store.up)
    @rule()
    def the_old_leader_ticks_once_more(self) -> None:
        """It goes on as if the store were down until its record is refused. What it says meanwhile is in flight."""
        loop, self.world.loop = self.world.loop, self.world.deposed
        try:
            for _ in range(3):
                self.world.catch_up()
                self.world.tick()
            raise AssertionError("two leaders")
        except StaleEpoch:
            self.world.orders += self.world.cluster.take()
        finally:
            self.world.loop, self.world.deposed = loop, None


TestSlowStoreSite = SlowStoreSite.TestCase
TestSlowStoreSite.settings = settings(max_examples=40, stateful_step_count=40)


def test_work_starts_in_this_world() -> None:
    """It would hold of a site on which nothing happens, too."""
    site = SlowStoreSite()
    site.calm(20)
    running = [a for g in site.world.guards.values() for a in g.living() if a.phase is Phase.RUN]
    assert running
    assert site.world.store.is_slow
    site.teardown()

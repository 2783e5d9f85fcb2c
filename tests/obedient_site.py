"""The real loop on a site where all is well: guards obey at once, the store answers a moment later."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from scheduler.core.jobs import Job
from scheduler.core.orders import GuardReport, Order
from scheduler.core.snapshot import MeterReading
from scheduler.reconcile import Reconciler
from scheduler.records import Intents, TickRecord
from scheduler.store.testing import InMemoryStore
from scheduler.view import View
from tests.builders import SiteBuilder
from tests.fakes import FakeClock, FakeCluster
from tests.greedy_guard import GreedyGuard


class UnhurriedStore(InMemoryStore):
    """Answers in a later turn of the event loop, as one on a disk does."""

    async def intents(self, after: int) -> Intents:
        await asyncio.sleep(0)
        return await super().intents(after)

    async def record(self, tick: TickRecord) -> None:
        await asyncio.sleep(0)
        await super().record(tick)


class ObedientSite:
    """What a builder describes, led by epoch 1 and known to every guard once it `began`."""

    def __init__(self, built: SiteBuilder) -> None:
        self.built = built
        self.clock, self.store, self.cluster = FakeClock(), UnhurriedStore(), FakeCluster()
        self.store.epoch = 1
        self.guards = {
            gid: GreedyGuard(spec=g.spec, save_after_s=built.site.save_after_s, lag_ms=0)
            for gid, g in built.groups.items()
        }
        self.view = View(
            built.site, {gid: g.spec for gid, g in built.groups.items()}, epoch=1, at=self.clock.now()
        )
        self.loop = Reconciler(view=self.view, store=self.store, cluster=self.cluster, clock=self.clock)
        self.cluster.answer = self.obeyed
        self.tell_limits()

    def tell_limits(self) -> None:
        """The sources say what the builder says."""
        self.view.envelopes |= {e.source: e for e in self.built.envelopes}

    def limit_w(self, limit_w: float) -> None:
        """The grid's limit from now on."""
        self.built.at = self.clock.now()
        self.built.limit_w(limit_w)
        self.tell_limits()

    def submit(self, name: str, **spec: Any) -> Job:
        """Queue a job."""
        job = self.built.job(name, **spec).jobs[name]
        self.store.submit(replace(job, submitted_at=self.clock.now(), since_at=self.clock.now()))
        return job

    def measured(self, draw_w: float) -> None:
        """The meter is read."""
        self.loop.on_meter(MeterReading(draw_w=draw_w, measured_at=self.clock.now()))

    def obeyed(self, order: Order) -> GuardReport:
        """A guard carries out an order."""
        guard = self.guards[order.group_id]
        guard.take(order, self.clock.now_ms)
        return guard.report(self.clock.now_ms)

    def reports(self) -> None:
        """Every guard is heard."""
        for guard in self.guards.values():
            self.loop.on_report(guard.report(self.clock.now_ms))

    async def began(self) -> ObedientSite:
        """Every guard was heard of and follows this leader."""
        self.reports()
        await self.orders()
        return self

    async def orders(self) -> list[Order]:
        """What one round of the loop sends."""
        await self.loop.tick()
        await self.loop.close()
        return self.cluster.take()

    async def orders_after(self, seconds: float) -> list[Order]:
        """What a round sends after so much time, in which guards went on reporting."""
        await self.clock.sleep_s(seconds)
        self.reports()
        return await self.orders()


__all__ = ["ObedientSite"]

"""One node that may sleep, its guard, and the cluster that stands in for it, on a clock that a test sets."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from scheduler.connections.bmc_options import BmcSettings
from scheduler.core.entitlement import idle_w
from scheduler.core.orders import (
    AttemptFacts,
    Fence,
    GpuReading,
    GpuSlot,
    GroupKind,
    GroupSpec,
    GuardReport,
    NodePower,
    Order,
)
from scheduler.hosts import Hosts
from scheduler.ports import HostPower, ReportListener
from scheduler.standby import StandbyCluster, Yard
from tests.builders import T0
from tests.fake_host import FakeHost

STANDBY = {"draw_w": 25, "down_s": 60, "boot_s": 100, "after_s": 30}
SPEC = GroupSpec(
    group_id="gpu-1",
    kind=GroupKind.NODE,
    base_w=700.0,
    gpus=tuple(GpuSlot(gpu_id=g, model="a100-sxm-400w") for g in ("0", "1")),
    address="10.0.0.5",
)
IDLE_W = idle_w(SPEC)


class Time:
    """The clock of the loop, as a test sets it."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def now(self) -> datetime:
        return T0 + timedelta(seconds=self.now_s)

    def monotonic_s(self) -> float:
        return self.now_s

    async def sleep_s(self, seconds: float) -> None:
        await asyncio.Event().wait()


class Guards:
    """The cluster behind it: one guard, which does as it is told while its machine is on."""

    def __init__(self, time: Time) -> None:
        self.time, self.orders, self.boot = time, list[Order](), 1
        self.facts: tuple[AttemptFacts, ...] = ()
        self.processes = 0
        self.spec = SPEC
        self.follows = True
        self.listener: ReportListener = lambda _: None

    def report(self) -> GuardReport:
        order = self.orders[-1] if self.orders and self.follows else None
        gpus = tuple(
            GpuReading(gpu_id=g.gpu_id, draw_w=50.0, cap_w=100.0, processes=self.processes)
            for g in self.spec.gpus
        )
        return GuardReport(
            spec=self.spec,
            boot_id=f"boot-{self.boot}",
            boottime_s=self.time.now_s,
            version=len(self.orders) + 1,
            accepted=order.fence if order else Fence(epoch=0, seq=0),
            expires_boottime_s=order.expires_boottime_s if order else 0.0,
            entitlement_w=IDLE_W,
            fallback=(),
            in_fallback=False,
            draw_w=IDLE_W,
            gpus=gpus,
            attempts=self.facts,
        )

    def listen(self, on_report: ReportListener) -> None:
        self.listener = on_report

    async def deliver(self, orders: Sequence[Order], *, timeout_s: float) -> dict[str, GuardReport | str]:
        self.orders += orders
        return {o.group_id: self.report() for o in orders}

    async def close(self) -> None:
        """Nothing to end."""


class Bench:
    """A site with one node that may sleep."""

    def __init__(self, folder: Path, host: HostPower | None = None) -> None:
        self.folder, self.time, self.host = folder, Time(), FakeHost("gpu-1")
        self.opened: HostPower = host or self.host
        self.guards = Guards(self.time)
        self.members = {"gpu-1"}
        self.heard: list[GuardReport] = []
        self.seq = 0
        self.wanted: dict[str, Any] = {}
        self.begin()

    def begin(self) -> None:
        """A scheduler starts."""
        bmcs = [BmcSettings.model_validate({"nodes": ["gpu-*"], "url": "https://{node}", "standby": STANDBY})]
        hosts = Hosts(bmcs, self.folder, lambda *_: self.opened)
        yard = Yard(bmcs=bmcs, here={"127.0.0.1"}, is_member=self.members.__contains__)
        self.cluster = StandbyCluster(self.guards, hosts, yard, clock=self.time, folder=self.folder)
        self.cluster.listen(self.heard.append)

    async def passes(self, seconds: int, *, speaks: bool | None = None) -> None:
        """Time, in which the loop orders, guards report as long as their machine is on, and machines are seen to."""
        for second in range(seconds):
            self.time.now_s += 1
            if second % 5 == 0:
                await self.orders()
            if self.host.is_on if speaks is None else speaks:
                self.guards.listener(self.guards.report())
            for gid, berth in list(self.cluster._berths.items()):
                if (said := self.cluster._spoken(gid)) is not None:
                    self.heard.append(said)
                await self.cluster._see_to(gid, berth)

    async def orders(self) -> None:
        """The loop renews its word."""
        self.seq += 1
        order = Order(
            group_id="gpu-1",
            boot_id="b",
            fence=Fence(epoch=1, seq=self.seq),
            expires_boottime_s=self.time.now_s + 15,
            entitlement_w=IDLE_W,
            fallback=(),
        )
        (answer,) = (await self.cluster.deliver([replace(order, **self.wanted)], timeout_s=1)).values()
        if isinstance(answer, GuardReport):
            self.heard.append(answer)

    def wants(self, **fields: Any) -> None:
        """What the loop orders from now on."""
        self.wanted = fields

    @property
    def power(self) -> NodePower:
        """As the loop last heard."""
        return self.heard[-1].power

    async def sleeps(self) -> None:
        """It was put to standby."""
        await self.passes(3)
        self.wants(standby=True)
        await self.passes(60)
        assert self.power is NodePower.STANDBY

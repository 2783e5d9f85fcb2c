"""Machines that are switched off while they are not needed: when, how, and what is said for them meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scheduler.connections.bmc_options import BmcSettings
from scheduler.core.entitlement import idle_w
from scheduler.core.jobs import Launch, Phase
from scheduler.core.orders import (
    AttemptFacts,
    AttemptOrder,
    Fence,
    GpuReading,
    GpuSlot,
    GroupKind,
    GroupSpec,
    GuardReport,
    NodePower,
    Observed,
    Order,
)
from scheduler.hosts import Hosts
from scheduler.ports import ReportListener
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

    def __init__(self, folder: Path) -> None:
        self.folder, self.time, self.host = folder, Time(), FakeHost("gpu-1")
        self.guards = Guards(self.time)
        self.members = {"gpu-1"}
        self.heard: list[GuardReport] = []
        self.seq = 0
        self.wanted: dict[str, Any] = {}
        self.begin()

    def begin(self) -> None:
        """A scheduler starts."""
        bmcs = [BmcSettings.model_validate({"nodes": ["gpu-*"], "url": "https://{node}", "standby": STANDBY})]
        hosts = Hosts(bmcs, self.folder, lambda *_: self.host)
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


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A machine that is on, with nothing on it."""
    return Bench(tmp_path)


async def test_a_machine_that_is_not_needed_is_shut_down_and_woken(bench: Bench) -> None:
    """Once it was unneeded for a while; what is said of it is what its controller shows."""
    await bench.passes(3)
    assert bench.heard[-1].spec.standby is not None
    bench.wants(standby=True)
    await bench.passes(25)
    assert (bench.host.told, bench.power) == ([], NodePower.ON)
    await bench.passes(25)
    assert (bench.host.told, bench.power) == (["off"], NodePower.STANDBY)
    said = bench.heard[-1]
    assert (said.draw_w, said.gpus, said.alarms) == (25.0, (), ())
    assert said.accepted == Fence(epoch=1, seq=bench.seq)
    sent = len(bench.guards.orders)
    bench.wants(standby=False)
    await bench.passes(10, speaks=False)
    assert (bench.host.told, bench.power) == (["off", "on"], NodePower.BOOTING)
    assert (bench.heard[-1].draw_w, len(bench.heard[-1].gpus)) == (IDLE_W, 2)
    assert len(bench.guards.orders) == sent
    bench.guards.boot += 1
    await bench.passes(7)
    assert (bench.power, bench.heard[-1].boot_id) == (NodePower.ON, "boot-2")
    assert len(bench.guards.orders) > sent


async def test_time_never_runs_back_in_what_is_said(bench: Bench) -> None:
    """A report that seems older would be taken for late."""
    await bench.sleeps()
    bench.wants(standby=False)
    await bench.passes(5, speaks=False)
    by_boot = [r.boottime_s for r in bench.heard if r.boot_id == "boot-1"]
    assert by_boot == sorted(by_boot)


def leave_attempt(bench: Bench) -> None:
    """Its guard has not ended everything."""
    bench.guards.facts = (AttemptFacts(attempt_id="s-1.1", observed=Observed.SAVING),)


def leave_process(bench: Bench) -> None:
    """Something computes there that belongs to nobody."""
    bench.guards.processes = 1


def ignore_orders(bench: Bench) -> None:
    """Its guard did not agree to the newest order."""
    bench.guards.follows = False


def order_attempt(bench: Bench) -> None:
    """There is work for it."""
    attempt = AttemptOrder(
        attempt_id="s-1.1",
        job_id="s-1",
        number=1,
        phase=Phase.RUN,
        gpu_ids=("0",),
        cap_w=300.0,
        tier=4,
        launch=Launch(
            command=("true",), working_dir="/", checkpoint_dir="/c", output_dir="/o", log_path="/l"
        ),
    )
    bench.wanted["attempts"] = (attempt,)


def be_here(bench: Bench) -> None:
    """It is the machine that the scheduler runs on."""
    bench.guards.spec = replace(SPEC, address="127.0.0.1")


def be_a_stranger(bench: Bench) -> None:
    """It never joined."""
    bench.members.clear()


def be_wanted(bench: Bench) -> None:
    """It is to be on."""
    bench.wanted["standby"] = False


@pytest.mark.parametrize(
    "fault",
    [leave_attempt, leave_process, ignore_orders, order_attempt, be_here, be_a_stranger, be_wanted],
)
async def test_who_may_be_needed_is_never_switched_off(bench: Bench, fault: Any) -> None:
    """However long standby is ordered."""
    bench.wants(standby=True)
    fault(bench)
    await bench.passes(400)
    assert (bench.host.told, bench.power) == ([], NodePower.ON)


async def test_a_system_that_does_not_go_is_cut(bench: Bench) -> None:
    """After its time; until it is off it counts as on, and gets no work."""
    bench.host.ignores_shutdown = True
    await bench.passes(3)
    bench.wants(standby=True)
    await bench.passes(80)
    assert (bench.host.told, bench.power) == (["off"], NodePower.BOOTING)
    assert bench.heard[-1].draw_w == IDLE_W
    await bench.passes(30)
    assert (bench.host.told, bench.power) == (["off", "cut"], NodePower.STANDBY)


async def test_a_controller_that_does_nothing_is_an_alarm_and_the_machine_counts_as_on(bench: Bench) -> None:
    """Nobody gets its watts. Called back, it works again."""
    bench.host.ignores = True
    await bench.passes(3)
    bench.wants(standby=True)
    await bench.passes(200)
    assert {r.power for r in bench.heard} == {NodePower.ON, NodePower.BOOTING}
    assert "was switched off and is not: it counts as on" in bench.heard[-1].alarms[0]
    bench.wants(standby=False)
    await bench.passes(320)
    assert bench.power is NodePower.ON


async def test_a_machine_that_cannot_be_seen_counts_as_on(bench: Bench) -> None:
    """Somebody may have switched it on; once its controller answers again, it is what that shows."""
    await bench.sleeps()
    bench.host.silent = True
    await bench.passes(30)
    assert (bench.power, bench.heard[-1].draw_w) == (NodePower.BOOTING, IDLE_W)
    assert "does not answer: the machine counts as on" in bench.heard[-1].alarms[0]
    bench.host.silent = False
    await bench.passes(10)
    assert (bench.power, bench.heard[-1].alarms) == (NodePower.STANDBY, ())


async def test_a_machine_that_is_switched_on_by_hand_counts_at_once(bench: Bench) -> None:
    """It is not switched off again before its guard was heard."""
    await bench.sleeps()
    bench.host.is_on = True
    await bench.passes(8, speaks=False)
    assert bench.power is NodePower.BOOTING
    await bench.passes(250, speaks=False)
    assert "its guard is not heard" in bench.heard[-1].alarms[0]
    await bench.passes(3)
    assert (bench.power, bench.host.told) == (NodePower.ON, ["off"])


async def test_a_controller_of_another_machine_is_found_out(bench: Bench) -> None:
    """What it switched off is switched on again, and no machine of this name is switched any more."""
    await bench.sleeps()
    await bench.passes(30, speaks=True)
    assert bench.power is NodePower.ON
    assert "url names another machine" in bench.heard[-1].alarms[0]
    assert bench.host.told == ["off", "on"]
    await bench.passes(300)
    assert bench.host.told == ["off", "on"]


async def test_a_new_scheduler_knows_what_sleeps(bench: Bench) -> None:
    """It speaks for it, wakes it when it is needed, and forgets it then."""
    await bench.sleeps()
    bench.begin()
    bench.wants(standby=True)
    await bench.passes(10)
    assert bench.power is NodePower.STANDBY
    bench.wants(standby=False)
    await bench.passes(5, speaks=False)
    assert bench.host.told == ["off", "on"]
    await bench.passes(5)
    assert bench.power is NodePower.ON
    assert list((bench.folder / "asleep").iterdir()) == []


async def test_what_was_switched_off_by_others_is_left_alone(bench: Bench) -> None:
    """Nothing is said for it, and it is not switched on."""
    await bench.passes(3)
    bench.host.is_on, heard = False, len(bench.heard)
    await bench.passes(300)
    assert bench.host.told == []
    assert {r.power for r in bench.heard[heard:]} == {NodePower.ON}


async def test_a_node_that_left_the_site_stays_as_it_is(bench: Bench) -> None:
    """And nobody speaks for it."""
    await bench.sleeps()
    bench.members.clear()
    running = asyncio.ensure_future(bench.cluster.run())
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert bench.cluster._berths == {}
    assert (bench.host.told, list((bench.folder / "asleep").iterdir())) == (["off"], [])

"""What every `Cluster` does, whether it goes through Ray or straight to the guards' sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from scheduler.clock import SystemClock
from scheduler.cluster import RayCluster
from scheduler.core.orders import Fence, GpuSlot, GroupKind, GroupSpec, GuardReport
from scheduler.settings import site_of
from scheduler.testing import DirectCluster
from scheduler.twin import Twin, Work
from tests.machines import machine
from tests.our_ray import ray_environment, shared_ray
from tests.stub_guard import Mood, StubGuard, order_for
from tests.waiting import wait_until

NAMES = ("node-1", "node-2")
AWAIT_S = 60.0
GPUS = (GpuSlot(gpu_id="0", model="a100-sxm-400w"),)


class Site:
    """Two guards, and the cluster under test."""

    def __init__(self, cluster: RayCluster | DirectCluster, guards: list[StubGuard]) -> None:
        self.cluster = cluster
        self.guards = {guard.group_id: guard for guard in guards}
        self.reports: list[GuardReport] = []
        cluster.listen(self.reports.append)

    async def deliver(
        self, *names: str, seq: int = 1, timeout_s: float = AWAIT_S
    ) -> dict[str, GuardReport | str]:
        """Send each an order."""
        orders = [order_for(name, seq=seq) for name in names]
        return await self.cluster.deliver(orders, timeout_s=timeout_s)

    def heard(self, name: str) -> list[int]:
        """Versions of the reports that came unasked."""
        return [report.version for report in self.reports if report.spec.group_id == name]

    async def heard_from_all(self) -> None:
        """Until every guard has reported: the cluster is up."""
        await wait_until(lambda: all(self.heard(name) for name in self.guards), timeout_s=AWAIT_S)


@pytest.fixture(params=["direct", "ray"])
async def site(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Site]:
    """A cluster of each kind, connected to two guards."""
    async with AsyncExitStack() as stack:
        if request.param == "ray":
            ray = shared_ray(request.config)
            ray_environment(ray, monkeypatch)
            directories = [ray.group(name) for name in NAMES]
            cluster: RayCluster | DirectCluster = await RayCluster.open(ray.head.address)
        else:
            directories = [_group(tmp_path, name) for name in NAMES]
            cluster = DirectCluster(dict(zip(NAMES, directories, strict=True)))
        guards = [await stack.enter_async_context(StubGuard(path)) for path in directories]
        stack.push_async_callback(cluster.close)
        made = Site(cluster, guards)
        await made.heard_from_all()
        yield made


class TwinSite:
    """The twin of two nodes, for what holds of every cluster: it never misbehaves."""

    def __init__(self) -> None:
        specs = {n: GroupSpec(group_id=n, kind=GroupKind.NODE, base_w=600.0, gpus=GPUS) for n in NAMES}
        site = site_of({"name": "t", "mode": "shadow", "power": {"firm_w": 6000}, "nodes": []}, Path("t"))
        self.cluster = Twin(specs, site, works=lambda _: Work(gpus=1), clock=SystemClock())
        self.reports: list[GuardReport] = []
        self.cluster.listen(self.reports.append)

    async def deliver(self, *names: str, seq: int = 1) -> dict[str, GuardReport | str]:
        """Send each an order."""
        orders = [replace(order_for(n, seq=seq), boot_id=f"{n}-boot-1") for n in names]
        return await self.cluster.deliver(orders, timeout_s=AWAIT_S)

    def heard(self, name: str) -> list[int]:
        """Versions of the reports that came unasked."""
        return [report.version for report in self.reports if report.spec.group_id == name]


@pytest.fixture
async def twin() -> AsyncIterator[TwinSite]:
    """It runs until the end of the test."""
    made = TwinSite()
    running = asyncio.create_task(made.cluster.run())
    yield made
    await made.cluster.close()
    await running


async def test_the_twin_takes_orders_as_guards_do(twin: TwinSite) -> None:
    """Its reports show the new fence, the standing one for an order that is too old, a reason for a stranger."""
    answers = await twin.deliver(*NAMES, "nowhere", seq=7)
    late = (await twin.deliver("node-1", seq=3))["node-1"]
    accepted = [
        a.accepted for a in (answers["node-1"], answers["node-2"], late) if isinstance(a, GuardReport)
    ]

    assert accepted == [Fence(epoch=1, seq=7)] * 3
    assert "nowhere" in str(answers["nowhere"])


async def test_the_twin_is_heard_until_it_is_closed(twin: TwinSite) -> None:
    """Reports keep coming without any change; once it is closed none comes, and an order gets a reason."""
    await wait_until(lambda: all(len(twin.heard(n)) >= 2 for n in NAMES), timeout_s=AWAIT_S)
    await twin.cluster.close()
    await twin.cluster.close()
    count = len(twin.reports)

    assert isinstance((await twin.deliver("node-1"))["node-1"], str)
    assert len(twin.reports) == count


def _group(tmp_path: Path, name: str) -> Path:
    path = tmp_path / ("long" * 30) / name
    path.mkdir(parents=True)
    return path


async def test_an_accepted_order_comes_back_as_a_report(site: Site) -> None:
    """Each guard gets its own order, and its report shows the new fence."""
    answers = await site.deliver(*NAMES)
    for name in NAMES:
        report = answers[name]
        assert isinstance(report, GuardReport), report
        assert (report.spec.group_id, report.accepted) == (name, Fence(epoch=1, seq=1))
        assert site.guards[name].orders == [order_for(name)]


async def test_a_refused_order_comes_back_as_the_standing_report(site: Site) -> None:
    """The fence of the answer tells the sender that it is too old."""
    await site.deliver("node-1", seq=7)
    answer = (await site.deliver("node-1", seq=3))["node-1"]
    assert isinstance(answer, GuardReport)
    assert answer.accepted == Fence(epoch=1, seq=7)


async def test_a_guard_that_is_gone_is_told_by_a_reason_and_hinders_no_other(site: Site) -> None:
    """One dead guard costs its own answer only."""
    await site.guards["node-1"].vanish()
    answers = await site.deliver(*NAMES)
    assert isinstance(answers["node-1"], str)
    assert "cannot be reached" in answers["node-1"]
    assert isinstance(answers["node-2"], GuardReport)


async def test_a_guard_that_hangs_is_given_up_at_the_deadline(site: Site) -> None:
    """The deadline holds per group: the others have answered, if it leaves them the time that they need here."""
    site.guards["node-1"].mood = Mood.HANGS
    answers: dict[str, GuardReport | str] = {"node-2": "nobody asked"}
    for timeout_s in (0.5, 5.0, 20.0):
        if isinstance(answers["node-2"], GuardReport):
            break
        async with asyncio.timeout(AWAIT_S):
            answers = await site.deliver(*NAMES, timeout_s=timeout_s)
        assert f"did not answer within {timeout_s:g} s" in str(answers["node-1"])
    assert isinstance(answers["node-2"], GuardReport), answers


@pytest.mark.parametrize("mood", [Mood.CLOSES, Mood.RAVES])
async def test_a_senseless_answer_is_a_reason_not_an_exception(site: Site, mood: Mood) -> None:
    """Whatever a guard says, the loop goes on."""
    site.guards["node-1"].mood = mood
    answers = await site.deliver("node-1")
    assert isinstance(answers["node-1"], str)
    assert answers["node-1"]


async def test_an_unknown_group_is_told_by_a_reason(site: Site) -> None:
    """Nobody waits for a group that is not there."""
    answers = await site.deliver("nowhere")
    assert "nowhere" in str(answers["nowhere"])


async def test_machines_come_as_their_guard_tells_them(site: Site) -> None:
    """One by one, all of them."""
    guard = site.guards["node-1"]
    guard.inventory = replace(guard.inventory, machines=(machine(1), machine(2)))
    assert await site.cluster.inventory("node-1", timeout_s=AWAIT_S) == guard.inventory


@pytest.mark.parametrize("mood", [Mood.CLOSES, Mood.RAVES])
async def test_machines_that_cannot_be_had_are_a_reason(site: Site, mood: Mood) -> None:
    """Never an exception; nor is a group that is not there."""
    site.guards["node-1"].mood = mood
    for name in ("node-1", "nowhere"):
        said = await site.cluster.inventory(name, timeout_s=AWAIT_S)
        assert isinstance(said, str)
        assert said


async def test_the_machines_of_a_guard_that_hangs_are_given_up_at_the_deadline(site: Site) -> None:
    """As an order is."""
    site.guards["node-1"].mood = Mood.HANGS
    async with asyncio.timeout(AWAIT_S):
        assert "did not answer" in str(await site.cluster.inventory("node-1", timeout_s=0.2))


async def test_a_change_is_reported_unasked(site: Site) -> None:
    """What happens at the edge reaches the listener without a question."""
    await site.guards["node-2"].change()
    newest = site.guards["node-2"].version
    await wait_until(lambda: newest in site.heard("node-2"), timeout_s=AWAIT_S)


async def test_reports_keep_coming_without_any_change(site: Site) -> None:
    """Their draw is fresh, and silence means trouble."""
    before = len(site.heard("node-1"))
    await wait_until(lambda: len(site.heard("node-1")) >= before + 2, timeout_s=AWAIT_S)


async def test_a_guard_that_starts_anew_is_heard_again(site: Site) -> None:
    """Its versions begin again at a lower number."""
    guard = site.guards["node-1"]
    await guard.change()
    await guard.vanish()
    async with StubGuard(guard._path.parent, version=0):
        await wait_until(lambda: 0 in site.heard("node-1"), timeout_s=AWAIT_S)


async def test_closing_twice_is_harmless_and_ends_the_reports(site: Site) -> None:
    """Nothing is heard afterwards, and an order gets a reason or its answer, never an exception."""
    await site.cluster.close()
    await site.cluster.close()
    count = len(site.reports)
    await site.guards["node-1"].change()
    assert len(site.reports) == count

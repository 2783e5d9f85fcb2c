"""Orders and reports through a real Ray, while its parts are killed one after the other."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from barq.site.parts import KEEPER
from barq.site.processes import Process, end, session_members, wait_gone
from barq.site.ray_head import RayHead
from scheduler.cluster import RayCluster
from scheduler.core.orders import GuardReport
from tests.kept_site import KeptSite
from tests.our_ray import OurRay, ray_environment, reap_children, shared_ray, start_head
from tests.stub_guard import StubGuard, order_for
from tests.waiting import wait_for, wait_until

AWAIT_S = 60.0


class Relay:
    """A guard, and the cluster through which it is reached."""

    def __init__(self, cluster: RayCluster, guard: StubGuard) -> None:
        self.cluster = cluster
        self.guard = guard
        self.reports: list[GuardReport] = []
        self._seq = 0
        cluster.listen(self.reports.append)

    async def deliver(self) -> GuardReport | str:
        """Send the next order."""
        self._seq += 1
        name = self.guard.group_id
        answers = await self.cluster.deliver([order_for(name, seq=self._seq)], timeout_s=2.0)
        return answers[name]

    async def until_delivered(self) -> None:
        """Until an order arrives again, and a report comes unasked."""
        while not isinstance(answer := await self.deliver(), GuardReport):
            assert answer, "a failure says why"
        heard = len(self.reports)
        await wait_until(lambda: len(self.reports) > heard, timeout_s=AWAIT_S)


@pytest.fixture
def ray(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> OurRay:
    """The Ray of this run, told to this process."""
    ray = shared_ray(request.config)
    ray_environment(ray, monkeypatch)
    return ray


@pytest.fixture
async def relay(ray: OurRay) -> AsyncIterator[Relay]:
    """A guard that orders reach."""
    async with StubGuard(ray.group("node-1")) as guard:
        made = Relay(await RayCluster.open(ray.head.address), guard)
        await wait_until(lambda: bool(made.reports), timeout_s=AWAIT_S)
        yield made
        await made.cluster.close()


def agents(ray: OurRay) -> list[Process]:
    """The processes of our agents: only members of our Ray's session are looked at."""
    members = session_members(ray.process.pid)
    return [Process.from_stat(stat) for stat in members if stat.name.startswith("ray::Agent")]


async def test_a_killed_agent_is_restarted_by_ray(ray: OurRay, relay: Relay) -> None:
    """The guard does not notice; the orders get through again by themselves."""
    killed = agents(ray)
    for agent in killed:
        agent.send(signal.SIGKILL)
    await relay.until_delivered()
    assert not any(agent.is_alive() for agent in killed)


async def test_a_killed_bridge_is_started_again(relay: Relay) -> None:
    """Until it is back, every order gets a reason at once."""
    bridge = relay.cluster._bridge
    assert bridge is not None
    bridge.kill()
    await bridge.wait()
    await wait_until(lambda: relay.cluster._bridge is not bridge, timeout_s=AWAIT_S)
    assert isinstance(await relay.deliver(), str)
    await relay.until_delivered()


async def test_closing_leaves_no_bridge_behind(relay: Relay) -> None:
    """It ends with its service."""
    bridge = relay.cluster._bridge
    assert bridge is not None
    await relay.cluster.close()
    assert bridge.returncode is not None


async def test_a_cluster_without_ray_gives_reasons_and_ends_when_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody waits for a Ray that is not there."""
    cluster = await RayCluster.open("127.0.0.1:1")
    answers = await cluster.deliver([order_for("node-1")], timeout_s=0.1)
    assert "starting" in str(answers["node-1"])
    await cluster.close()


# -- the keeper's Ray --------------------------------------------------------------------------------------------------


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[Process]:
    """Somebody else's Ray on this machine, to which the shell points."""
    head = RayHead.new(tmp_path / "foreign-token")
    environment = head.environment(os.environ)
    process = start_head(head, tmp_path / "foreign.log", environment)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", head.address)
        yield process
    end([process], grace_s=10.0)
    end(map(Process.from_stat, session_members(process.pid)), grace_s=1.0)
    reap_children(process)
    head.remove()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[KeptSite]:
    """A site with a Ray of its own; guards, scheduler and API only wait."""
    made = KeptSite(tmp_path / "state", with_ray=True)
    yield made
    made.destroy()


def member(site: KeptSite, name: str) -> Process | None:
    """A process of the site's Ray, by what Ray calls it."""
    return next((p for key, p in site.live().items() if key.startswith(f"ray/{name}")), None)


def whole(site: KeptSite) -> dict[str, Process]:
    """Who runs, once Ray is up and the agents of both groups are."""
    wait_for(lambda: member(site, "raylet"), timeout_s=AWAIT_S, what=f"raylet: {site.log()}")
    enrol_log = site.files.log("enrol")
    wait_for(
        lambda: enrol_log.exists() and "agent:node-2 created" in enrol_log.read_text(),
        timeout_s=AWAIT_S,
        what=f"agents: {site.log()}",
    )
    return site.live()


def test_the_site_has_a_ray_of_its_own_and_brings_it_back(site: KeptSite, foreign: Process) -> None:
    """Another Ray is neither joined nor harmed; a killed raylet costs Ray and its drivers, nothing else."""
    theirs = session_members(foreign.pid)
    site.start()
    before, address = whole(site), site.address()
    assert address["ray_address"] != os.environ["RAY_ADDRESS"]
    raylet = member(site, "raylet")
    assert raylet is not None
    old_ray = [process for name, process in before.items() if name.startswith("ray")]
    site.files.log("enrol").unlink()
    raylet.send(signal.SIGKILL)
    site.wait_for_new("ray", before["ray"])
    assert wait_gone(old_ray, timeout_s=AWAIT_S) == []
    after = whole(site)
    for name in (KEEPER, "scheduler", "api", "guard:node-1", "guard:node-2"):
        assert after[name] == before[name]
    assert site.address() == address
    assert site.stop()
    site.assert_gone()
    assert not Path(address["ray_temp_dir"]).exists()
    assert {stat.pid for stat in theirs} <= {stat.pid for stat in session_members(foreign.pid)}
    assert session_members(after["ray"].pid) == []


def test_a_ray_without_its_keeper_is_ended_to_the_last_process(site: KeptSite) -> None:
    """Head and keeper killed at once: what they left is found by what was recorded."""
    keeper = site.start()
    live = whole(site)
    keeper.send(signal.SIGKILL)
    live["ray"].send(signal.SIGKILL)
    assert site.stop()
    site.assert_gone()
    wait_for(lambda: session_members(live["ray"].pid) == [], timeout_s=AWAIT_S)

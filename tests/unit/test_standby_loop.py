"""The real loop over machines that it switches off and on through controllers: nothing starts on what is not up."""

from __future__ import annotations

from pathlib import Path

from scheduler import wiring
from scheduler.connections.bmc_options import BmcSettings
from scheduler.core.entitlement import idle_w
from scheduler.core.ledger import resting_w
from scheduler.core.orders import GroupKind, GroupSpec, GuardReport, NodePower
from scheduler.core.power import A100_SXM
from scheduler.hosts import Hosts
from scheduler.records import Intents, Member
from scheduler.settings import load_site
from scheduler.standby import StandbyCluster, Yard
from scheduler.view import View
from tests.builders import site
from tests.fake_host import FakeHost
from tests.obedient_site import ObedientSite

IDLE_W = 600.0 + 4 * A100_SXM.idle_w
OFF_W = 50.0
BOOT_S = 40


class SleepySite(ObedientSite):
    """Nodes with controllers; a guard speaks while its machine is on, `BOOT_S` after it was switched on."""

    def __init__(self, folder: Path, limit_w: float, *nodes: str) -> None:
        built = site()
        for node in nodes:
            built.node(node)
        super().__init__(built.limit_w(limit_w))
        self.hosts = {node: FakeHost(node, IDLE_W) for node in nodes}
        standby = {"draw_w": OFF_W, "after_s": 10, "down_s": 30, "boot_s": BOOT_S}
        bmcs = [BmcSettings.model_validate({"nodes": ["*"], "url": "https://{node}", "standby": standby})]
        opened = Hosts(bmcs, folder, lambda node, *_: self.hosts[node])
        yard = Yard(bmcs=bmcs, here=(), is_member=self.hosts.__contains__)
        self.standby = StandbyCluster(self.cluster, opened, yard, clock=self.clock, folder=folder)
        self.standby.listen(self._on_report)
        self.loop.cluster = self.standby
        self.loop.standby_takes = True
        self.up_ms: dict[str, int] = {}
        self.grid_w = limit_w

    def _on_report(self, report: GuardReport) -> None:
        self.loop.on_report(report)

    def allows(self, it_w: float) -> None:
        """The grid's limit, from now on, such that the machines may draw this."""
        policy = self.built.site
        self.grid_w = (policy.overhead * it_w + policy.auxiliary_w) / (1 - policy.margin)
        self.limit_w(self.grid_w)

    def is_up(self, node: str) -> bool:
        """Whether its guard runs. One whose machine was off boots, and has nothing on it then."""
        now_ms = self.clock.now_ms
        if not self.hosts[node].is_on:
            if node in self.up_ms:
                self.guards[node].reboot(now_ms)
            self.up_ms.pop(node, None)
            return False
        return now_ms >= self.up_ms.setdefault(node, now_ms + 1000 * BOOT_S if now_ms else 0)

    def reports(self) -> None:
        """Guards that are up are heard, and those that are spoken for."""
        for node, guard in self.guards.items():
            if self.is_up(node):
                self.standby._hear(guard.report(self.clock.now_ms))
            if (said := self.standby._spoken(node)) is not None:
                self.loop.on_report(said)

    async def passes(self, seconds: int) -> None:
        """Rounds of a second; nowhere is more drawn than the limit, and nothing is lost."""
        for _ in range(seconds):
            await self.orders_after(1.0)
            for node, berth in self.standby._berths.items():
                await self.standby._see_to(node, berth)
            assert self.draw_w() <= self.grid_w

    def draw_w(self) -> float:
        """What all machines draw in truth, with the hall's overhead."""
        it_w = sum(
            OFF_W if not host.is_on else self.guards[node].draw_w() if self.is_up(node) else IDLE_W
            for node, host in self.hosts.items()
        )
        return self.built.site.overhead * it_w + self.built.site.auxiliary_w

    def works(self) -> dict[str, str]:
        """Who runs where, by what the guards have."""
        return {
            p.order.job_id: node
            for node, guard in self.guards.items()
            for p in guard.processes.values()
            if p.order.phase == "run"
        }

    def power(self, node: str) -> NodePower:
        """As the loop sees it."""
        return self.view.groups[node].power


async def test_watts_of_a_machine_that_is_switched_off_go_to_work_and_it_comes_back_for_more(
    tmp_path: Path,
) -> None:
    """A job lacks watts while two nodes idle: one goes off, and the job runs. More power, another job: it is woken."""
    there = SleepySite(tmp_path, 0.0, "a", "b")
    there.allows(IDLE_W + OFF_W + 4 * 260.0)
    await there.began()
    there.submit("j", gpus=4)
    await there.passes(60)
    (node,) = there.works().values()
    (off,) = {"a", "b"} - {node}
    assert (there.power(node), there.power(off)) == (NodePower.ON, NodePower.STANDBY)
    assert there.hosts[off].told == ["off"]
    assert there.view.groups[off].account.idle_w == OFF_W

    there.allows(9000.0)
    there.submit("k", gpus=4)
    await there.passes(BOOT_S // 2)
    assert (there.power(off), there.works()) == (NodePower.BOOTING, {"j": node})
    assert there.view.groups[off].account.idle_w == idle_w(there.guards[off].spec)
    await there.passes(BOOT_S)
    assert there.works() == {"j": node, "k": off}
    assert there.hosts[off].told == ["off", "on"]
    assert not any(e.kind == "attempt.lost" for r in there.store.records for e in r.events)


async def test_a_controller_that_does_nothing_gives_no_watts_away(tmp_path: Path) -> None:
    """The job goes on waiting: the node that should be off counts as on."""
    there = SleepySite(tmp_path, 0.0, "a", "b")
    there.allows(IDLE_W + OFF_W + 4 * 260.0)
    for host in there.hosts.values():
        host.ignores = True
    await there.began()
    there.submit("j", gpus=4, min_cap_w=195.0)
    await there.passes(120)
    assert there.works() == {}
    for group in there.view.groups.values():
        assert group.ordered is not None
        assert group.ordered.standby
        assert resting_w(group.account, there.clock.now(), fall_s=0.0) == IDLE_W
    assert any("counts as on" in a for alarms in there.view.alarms.values() for a in alarms)


def test_only_nodes_that_joined_from_elsewhere_and_stay_are_ever_switched(tmp_path: Path) -> None:
    """Those of the site file are this machine, whatever the patterns say; and only where the file allows it."""
    path = tmp_path / "site.yaml"
    text = "name: t\npower: {firm_w: 20000}\nnodes: [{count: 1, gpus: 4, simulated: true}]\n"
    text += "bmcs: [{nodes: ['*'], url: 'https://{node}'%s}]\n"
    there = ObedientSite(site())
    sleeps = {}
    for standby in ("", ", standby: {draw_w: 20}"):
        path.write_text(text % standby, encoding="utf-8")
        described = load_site(path)
        view = View(described.policy(), described.groups(), epoch=1, at=there.clock.now())
        joined = {
            name: GroupSpec(group_id=name, kind=GroupKind.NODE, base_w=1.0, address=address)
            for name, address in (("gpu-1", "10.0.0.5"), ("gpu-2", "10.0.0.6"), ("here-2", "127.0.0.1"))
        }
        members = [Member(spec=spec, leaving=name == "gpu-2") for name, spec in joined.items()]
        view.take_intents(Intents(seq=1, members=tuple(members)))
        made = wiring._standby(
            there.cluster, Hosts(described.bmcs, tmp_path), described, view, there.clock, tmp_path
        )
        specs = {**described.groups(), **joined}
        sleeps[standby] = made and [gid for gid, s in specs.items() if made._yard.sleeps(s)]
    assert list(sleeps.values()) == [None, ["gpu-1"]]

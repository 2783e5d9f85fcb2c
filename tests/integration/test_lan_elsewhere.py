"""A LAN of real firmware whose guard is on another machine: it joins, obeys, stands alone, is adopted, and leaves."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from barq.cli.down import stop_site
from barq.cli.members import WantedGuards, join_site, leave_site
from barq.cli.node import make_ticket
from barq.cli.up import start_site
from barq.client import Client
from barq.errors import Refused
from barq.site.processes import wait_gone
from barq.site.stopping import read_processes
from scheduler.core.orders import GuardReport
from tests.many_nodes import HEAD, POWER, TIMING, free_blocks
from tests.miners.emulator import Emulator
from tests.miners.lan import address, lan
from tests.miners.luxos import LuxosEmulator
from tests.miners.plugged import PluggedIn
from tests.site_harness import SITE, RunningSite
from tests.waiting import wait_for
from workers.clock import boottime_s

pytestmark = pytest.mark.timeout(300)

HUT = "127.0.0.3"
NAMEPLATE_W, REST_W = 3400.0, 25.0
UNHURRIED = {"lease_s": 10, "lost_after_s": 45}
"""A guard that is started anew on a busy machine is back before its lease is over."""
LIMIT_W = 600.0  #: room for the node without work, and for miners asleep


@dataclass(frozen=True, kw_only=True)
class Yard:
    """The head, the state directory of the machine on the LAN, and what is on that LAN."""

    head: RunningSite
    hut: RunningSite
    machines: Sequence[Emulator]
    ports: Iterator[int]

    def group(self) -> dict[str, Any]:
        """The miners as the site shows them."""
        return next(dict(n) for n in self.head.client.nodes() if n["id"] == "hall")

    def wants(self) -> WantedGuards:
        """A machine that was invited, and would guard them."""
        ticket, _ = make_ticket(self.head.files, lasts_s=600.0)
        return WantedGuards(ticket=ticket, name="hut-1", address=HUT, ports_from=next(self.ports))

    def guard(self) -> GuardReport:
        """What the guard says, asked directly."""
        return self.hut.report("hall")

    def draw_w(self) -> float:
        """What the machines draw, by the machines."""
        return PluggedIn(self.machines).all_w()

    def wait_running(self) -> None:
        """Until all of them work, as the site told them."""

        def run() -> bool:
            told_w = sum(m.target_w for m in self.guard().miners)
            return min(told_w, self.draw_w()) > len(self.machines) * 3000

        wait_for(run, timeout_s=60, what="all machines run")

    def wait_asleep(self) -> None:
        """Until none of them does."""
        wait_for(lambda: self.draw_w() < len(self.machines) * 100, timeout_s=60, what="all machines sleep")


@contextmanager
def yard(directory: Path) -> Iterator[Yard]:
    """The site is up, and nobody guards its miners yet."""
    state, hut = directory / "head", directory / "hut"
    with ExitStack() as stack:
        net = stack.enter_context(lan())
        machines = [net.add(LuxosEmulator) for _ in range(2)]
        (directory / "site.yaml").write_text(yaml.safe_dump(site_file(machines)), encoding="utf-8")
        ports = free_blocks(3)
        stack.callback(stop_site, hut, grace_s=5.0)
        stack.callback(stop_site, state, grace_s=5.0)
        start_site(directory / "site.yaml", state, listen=HEAD, port=next(ports))
        client = stack.enter_context(Client.from_environment({"BARQ_STATE": str(state)}))
        head, there = RunningSite(state=state, client=client), RunningSite(state=hut, client=client)
        yield Yard(head=head, hut=there, machines=machines, ports=ports)


def site_file(machines: Sequence[Emulator]) -> dict[str, Any]:
    """What the site's owner writes."""
    miners = {
        "name": "hall",
        "guard_on": "hut-1",
        "simulated": False,
        "max_w": NAMEPLATE_W,
        "rest_w": REST_W,
        "machines": {"min_on_s": 0, "min_off_s": 0},
        "lan": {
            "addresses": [*map(address, machines)],
            "firmware": "luxos",
            "poll_s": 0.5,
            "wake_share": 1.0,
            "wake_every_s": 1.0,
        },
    }
    return SITE | {
        "power": POWER | {"reaction_s": 15},
        "timing": TIMING | UNHURRIED,
        "nodes": [{"prefix": "node", "count": 1, "gpus": 1, "base_w": 300, "simulated": True}],
        "miners": [miners],
        "signals": [{"type": "constant", "name": "contract", "limit_w": 20000}],
    }


def test_miners_are_guarded_from_another_machine(tmp_path: Path) -> None:
    """Until it joins and once it left all that they can draw counts; in between they do as power is given and taken."""
    with yard(tmp_path) as site:
        wait_for(lambda: site.group()["unguarded"], timeout_s=60, what="nobody guards them")
        assert site.group()["exposure_w"] == 2 * NAMEPLATE_W
        assert site.group()["alarms"] == [
            "nobody guards hall: `barq miners join` on hut-1 does; its machines count at all that they can draw"
        ]
        join_site(site.wants(), site.hut.state)
        site.wait_running()
        assert site.group()["address"] == HUT
        assert not site.group()["unguarded"]
        with pytest.raises(Refused, match="two guards would fight"):
            join_site(site.wants(), tmp_path / "rival")

        site.head.client.limit(LIMIT_W, reason="the wind has died down")
        site.wait_asleep()
        site.head.client.release_limits()
        site.wait_running()

        _with_another_guard(site)
        _without_a_head(site)
        family = read_processes(site.hut.files).values()
        assert leave_site(site.hut.state, grace_s=10.0).node == "hut-1"
        assert wait_gone([*family], timeout_s=60) == []
        site.wait_asleep()
        wait_for(lambda: site.group()["unguarded"], timeout_s=60, what="nobody guards them any more")


def _with_another_guard(site: Yard) -> None:
    """Its guard dies: the next one takes the machines over as they are, and asks none of them who it is."""
    guard = site.hut.process("guard:hall")
    asked = [len(m.requests) for m in site.machines]
    site.hut.kill("guard:hall")
    killed_at_s = boottime_s()
    assert wait_gone([guard], timeout_s=60) == []

    def answers() -> bool:
        with suppress(OSError):
            return site.guard().boottime_s > killed_at_s
        return False

    wait_for(answers, timeout_s=60, what="another guard")
    assert site.hut.process("guard:hall") != guard
    site.wait_running()
    since = [r for m, n in zip(site.machines, asked, strict=True) for r in m.requests[n:]]
    assert not [r for r in since if "version" in r or "curtail" in r], since


def _without_a_head(site: Yard) -> None:
    """Nobody renews its lease: it puts them to sleep by itself. The next scheduler finds the guard as it is."""
    guard = site.hut.process("guard:hall")
    keeper = site.head.kill("keeper", signal.SIGSTOP)
    site.head.kill("scheduler")
    try:
        wait_for(lambda: site.guard().in_fallback, timeout_s=60, what="the lease is over")
        site.wait_asleep()
    finally:
        assert keeper.send(signal.SIGCONT)
    site.wait_running()
    assert site.hut.process("guard:hall") == guard
    assert not site.guard().in_fallback

"""A whole site with a LAN of real firmware, and programs on idle GPUs: what a limit does to what really draws."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from scheduler.core.pdu_tables import TABLES
from tests.miners.benches import BENCHES
from tests.miners.braiins import BraiinsEmulator
from tests.miners.emulator import Emulator, Fault
from tests.miners.lan import PASSWORDS, Lan, address, lan
from tests.miners.luxos import LuxosEmulator
from tests.miners.plugged import PluggedIn
from tests.miners.whatsminer_v2 import WhatsminerV2Emulator
from tests.miners.whatsminer_v3 import WhatsminerV3Emulator
from tests.outlets.snmp_agent import COMMUNITY, Agent
from tests.site_harness import RunningSite, running_site
from tests.waiting import wait_for

pytestmark = pytest.mark.timeout(400)

FIRMWARES = {
    "luxos": LuxosEmulator,
    "whatsminer-v2": WhatsminerV2Emulator,
    "whatsminer-v3": WhatsminerV3Emulator,
    "braiins": BraiinsEmulator,
}
NAMEPLATE_W, REST_W = 3400.0, 25.0
LIMIT_W = 1800.0  #: less than the least that any of them can be trimmed to, beside the node
NODE_W = 1075.0  #: the node without work, and the hall
WAKE_EVERY_S = 2.0
MINES = "while True: sum(range(9999)), __import__('time').sleep(0.005)"  #: what runs on idle GPUs


@dataclass(frozen=True, kw_only=True)
class Hall:
    """A site with one machine of each firmware; the last of them is the one that will lie."""

    site: RunningSite
    machines: Sequence[Emulator]
    names: Sequence[str]  #: of machines, as the site file has them: one without power has no port
    strip: PluggedIn

    def conditions(self) -> list[str]:
        """What they do, in the order of `machines`."""
        told = {m["id"]: m["condition"] for m in self.site.client.miners()["miners"]}
        return [told.get(name, "") for name in self.names]

    def wait(self, *conditions: str) -> None:
        """Until they do that."""
        told: list[str] = []

        def are() -> bool:
            told[:] = self.conditions()
            return told == [*conditions]

        try:
            wait_for(are, timeout_s=60)
        except AssertionError:
            assert told == [*conditions], self.site.client.miners()

    def filled(self) -> list[str]:
        """What runs on idle GPUs: its processes hold them, and it may draw."""
        return [m.miner_id for m in self.site.report("node-1").miners if m.draw_w > 0 and m.target_w > 0]

    def gaps_s(self) -> list[float]:
        """Between one waking and the next, by the guard's clock."""
        at_s = sorted(m.switched_boottime_s or 0.0 for m in self.site.report("hall").miners if m.target_w > 0)
        return [after - before for before, after in pairwise(at_s)]


@contextmanager
def hall(net: Lan, state: Path) -> Iterator[Hall]:
    """The site, up, with a PDU that feeds all machines."""
    machines = [net.add(make) for make in FIRMWARES.values()]
    strip = PluggedIn(machines)
    pdu = Agent(TABLES["apc"], strip, 0)
    net.run(pdu.start())
    (state / "secrets").mkdir(parents=True, mode=0o700)
    for name, secret in {**PASSWORDS, "pdu": COMMUNITY}.items():
        (state / "secrets" / name).write_text(secret)
    try:
        with running_site(state, **site_file(machines, pdu.port)) as site:
            yield Hall(site=site, machines=machines, names=[*map(address, machines)], strip=strip)
    finally:
        net.run(_stopped(pdu))


async def _stopped(pdu: Agent) -> None:
    pdu.stop()


def site_file(machines: Sequence[Emulator], pdu_port: int) -> dict[str, Any]:
    """What the site's owner writes. Secrets are below the state directory."""
    credentials: dict[str, dict[str, str]] = {
        name: {"password_file": f"secrets/{name}"} for name in PASSWORDS
    }
    credentials["braiins"]["user"] = "root"
    pdu = {
        "name": "pdu-a",
        "type": "snmp",
        "host": "127.0.0.1",
        "port": pdu_port,
        "make": "apc",
        "version": "2c",
        "community_file": "secrets/pdu",
    }
    miners = {
        "name": "hall",
        "simulated": False,
        "max_w": NAMEPLATE_W,
        "rest_w": REST_W,
        "machines": {"min_on_s": 0, "min_off_s": 0},
        "lan": {
            "addresses": [*map(address, machines)],
            "credentials": credentials,
            "poll_s": 0.5,
            "wake_share": 0.3,  # one at a time
            "wake_every_s": WAKE_EVERY_S,
        },
        "outlets": {
            "pdus": [pdu],
            "feeds": {address(machine): f"pdu-a/{number}" for number, machine in enumerate(machines, 1)},
            "retry_after_s": 1,
            "cut_after_s": 3,
        },
    }
    return {
        "nodes": [{"prefix": "node", "count": 1, "gpus": 4, "base_w": 600, "simulated": True}],
        "miners": [miners],
        "fillers": [{"name": "rig", "nodes": ["node-*"], "command": [sys.executable, "-c", MINES]}],
        "signals": [{"type": "constant", "name": "contract", "limit_w": 20000}],
    }


def orders(machine: Emulator, firmware: str, folder: Path) -> tuple[set[str], frozenset[str]]:
    """All that a machine was ever ordered, and all that it may be."""
    bench = BENCHES[firmware](folder)
    return {order for r in machine.requests if (order := bench.orders_in(r))}, bench.may_order


def gives_way(yard: Hall) -> None:
    """What no machine of the LAN can take, programs on idle GPUs do; a job starts where they were."""
    wait_for(lambda: len(yard.filled()) == 4, timeout_s=60, what="all GPUs are filled")
    wait_for(
        lambda: len(yard.site.client.miners(group="node-1")["miners"]) == 4,
        timeout_s=60,
        what="all are listed",
    )
    assert {m["partner"] for m in yard.site.client.miners(group="node-1")["miners"]} == {"house"}
    job_id = yard.site.submit("counter.py", "--steps", "100000", name="work", gpus=3)
    yard.site.wait_state(job_id, "RUNNING")
    wait_for(lambda: len(yard.filled()) == 1, timeout_s=60, what="the GPU that is left is filled")
    yard.site.client.cancel(job_id)
    yard.site.wait_state(job_id, "CANCELLED")


def test_a_limit_holds_for_what_machines_really_draw(tmp_path: Path) -> None:
    """They wake one by one, fall at once, and one that says OK and mines on is cut and named; no pool is touched."""
    with lan() as net, hall(net, tmp_path / "state") as yard:
        yard.wait(*["running"] * 4)
        assert min(yard.gaps_s()) >= WAKE_EVERY_S
        assert yard.strip.all_w() > 3 * NAMEPLATE_W
        gives_way(yard)

        yard.machines[-1].breaks(Fault.DEAF)
        yard.site.client.limit(LIMIT_W, reason="the wind has died down")
        wait_for(lambda: yard.strip.all_w() + NODE_W <= LIMIT_W, timeout_s=60, what="they draw little enough")
        wait_for(lambda: not yard.filled(), timeout_s=60, what="nothing fills idle GPUs")
        yard.wait(*["asleep"] * 3, "faulted")
        assert yard.strip.off == {"4"}, "one outlet was switched off"
        liar = yard.site.client.miner(yard.names[-1])["now"]
        assert liar is not None
        assert "pdu-a (127.0.0.1) outlet 4 was switched off" in liar["trouble"]
        assert yard.site.report("hall").draw_w >= yard.strip.all_w()

        yard.site.client.release_limits()
        wait_for(lambda: yard.conditions()[:3] == ["running"] * 3, timeout_s=90, what="the others run again")
        assert min(yard.gaps_s()) >= WAKE_EVERY_S
        assert yard.site.client.summary()["over_limit_s"] == 0, yard.site.said("limit.")

        for machine, firmware in zip(yard.machines, FIRMWARES, strict=True):
            told, may = orders(machine, firmware, tmp_path)
            assert told
            assert told <= may, "nobody's pool, wallet or lock is touched"

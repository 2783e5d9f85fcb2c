"""A site of several machines, all of them this one: each has its own loopback address, state directory and ports."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from barq.cli.down import stop_site
from barq.cli.members import Wanted, join_site
from barq.cli.node import make_ticket
from barq.cli.up import start_site
from barq.client import Client
from barq.site.files import SiteFiles
from barq.site.parts import KEEPER
from barq.site.processes import Process, descendants, wait_gone
from barq.site.ray_head import LAST_OFFSET
from barq.site.stopping import read_processes
from scheduler.core.orders import GpuSlot, GroupKind, GroupSpec
from tests.site_harness import SITE, RunningSite

HEAD = "127.0.0.2"
OVERHEAD, AUXILIARY_W = 1.1, 50.0
TIMING = SITE["timing"] | {"lease_s": 3, "fall_s": 1, "save_after_s": 0.5, "lost_after_s": 34}
POWER = {"firm_w": 2500, "overhead": OVERHEAD, "auxiliary_w": AUXILIARY_W, "margin": 0.03, "reaction_s": 6}


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One machine of the site: what keeps it is found through its state directory."""

    state: Path
    groups: tuple[str, ...]

    @property
    def files(self) -> SiteFiles:
        """Where its processes keep their things."""
        return SiteFiles(self.state)

    def family(self) -> list[Process]:
        """Everything that runs on it: its keeper is the subreaper of all."""
        recorded = read_processes(self.files)
        return [*recorded.values(), *descendants([recorded[KEEPER].pid])]

    def lose_power(self) -> None:
        """SIGKILL for all of it at once."""
        family = self.family()
        for process in family:
            process.send(signal.SIGKILL)
        assert wait_gone(family, timeout_s=60) == []


@dataclass(frozen=True, slots=True, kw_only=True)
class ManyNodes:
    """A head and its members."""

    head: RunningSite
    machines: tuple[Machine, ...]

    @property
    def client(self) -> Client:
        """Of the head's API."""
        return self.head.client

    def report(self, group_id: str) -> dict[str, Any]:
        """What a guard says, asked directly."""
        machine = next(m for m in self.machines if group_id in m.groups)
        descriptor = os.open(machine.files.groups / group_id, os.O_PATH | os.O_DIRECTORY)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
                stream.settimeout(60.0)
                stream.connect(f"/proc/self/fd/{descriptor}/guard.sock")
                stream.sendall(b'{"op": "report"}\n')
                answer: dict[str, Any] = json.loads(stream.makefile("rb").readline())["report"]
                return answer
        finally:
            os.close(descriptor)

    def draw_w(self, groups: Sequence[str]) -> float:
        """What these nodes draw at the site meter, from their devices."""
        return AUXILIARY_W + OVERHEAD * sum(self.report(g)["draw_w"] for g in groups)


@contextmanager
def many_nodes(directory: Path, members: Sequence[str], **changes: Any) -> Iterator[ManyNodes]:
    """A head with one node of two GPUs, and members with one each; down again at the end, with nothing left."""
    state = directory / "head"
    nodes = [{"prefix": "node", "count": 1, "gpus": 2, "base_w": 300, "simulated": True}]
    document = SITE | {"power": POWER, "timing": TIMING, "nodes": nodes, "miners": []} | changes
    site_file = directory / "site.yaml"
    site_file.write_text(yaml.safe_dump(document), encoding="utf-8")
    blocks = free_blocks(1 + len(members))
    with ExitStack() as stack:
        stack.callback(stop_site, state, grace_s=5.0)
        start_site(site_file, state, listen=HEAD, port=next(blocks))
        client = stack.enter_context(Client.from_environment({"BARQ_STATE": str(state)}))
        machines = [Machine(state=state, groups=("node-1",))]
        for index, name in enumerate(members):
            machines.append(Machine(state=directory / name, groups=(name,)))
            stack.callback(stop_site, directory / name, grace_s=5.0)
            wanted = a_node(SiteFiles(state), name, address=f"127.0.0.{3 + index}", ports_from=next(blocks))
            join_site(wanted, directory / name)
        yield ManyNodes(head=RunningSite(state=state, client=client), machines=tuple(machines))


def a_node(head: SiteFiles, name: str, *, address: str, ports_from: int, base_w: float = 300.0) -> Wanted:
    """A machine with one simulated GPU that was invited."""
    ticket, _ = make_ticket(head, lasts_s=600.0)
    gpus = (GpuSlot(gpu_id="0", model="a100-sxm-400w"),)
    spec = GroupSpec(group_id=name, kind=GroupKind.NODE, base_w=base_w, gpus=gpus, simulated=True)
    return Wanted(ticket=ticket, spec=spec, address=address, ports_from=ports_from)


def free_blocks(count: int) -> Iterator[int]:
    """Beginnings of blocks of ports in which nobody listens, below the ports of gangs and those the kernel gives."""
    size = LAST_OFFSET + 1
    candidates = [10_000 + size * ((os.getpid() + i) % 95) for i in range(95)]
    found = [first for first in candidates if all(_is_free(first + i) for i in (0, 1, 2, 3, 10))]
    return iter(found[:count])


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True

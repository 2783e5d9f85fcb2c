"""A guard process over a LAN of emulated machines, each in a process of its own, and what is asked of both."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from benchmarks.miner_lan import NAMEPLATE_W, REST_W
from benchmarks.site import cpu_s
from scheduler.core.inventory import Condition, Inventory, MachineDetail
from scheduler.core.machines import MachineKind
from scheduler.core.obedience import Rules
from scheduler.core.orders import GroupKind, GroupSpec, GuardReport
from scheduler.core.pdus import Outlets
from tests.guarding import GuardedNode, ReportAnswer
from tests.miners.lan import secrets_in
from workers.fleet.config import LanConfig
from workers.processes import ProcessId
from workers.wire import decode

ABOVE_W: Final = NAMEPLATE_W - REST_W
PATIENCE_S: Final = 240.0
LEASE_S: Final = 600.0
POLL_S: Final = 0.15  #: of a guard, where its group.json says nothing else
_LOOK_S: Final = 0.5


@dataclass(frozen=True, kw_only=True)
class InventoryAnswer:
    """What a guard answers to a question for its inventory."""

    inventory: Inventory


@dataclass(frozen=True, kw_only=True)
class HallAnswer:
    """What the process of the machines says first."""

    addresses: tuple[str, ...]
    outlets: Outlets


class Hall:
    """The process of the machines."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def ask(self, told: Mapping[str, object]) -> bytes:
        """One request, one answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(told).encode() + b"\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()

    def told(self, op: str, **what: object) -> dict[str, Any]:
        """The answer to an operation."""
        answer: dict[str, Any] = json.loads(self.ask({"op": op, **what}))
        return answer


class MinerSite:
    """One group of miners, from its guard's side and from outside."""

    def __init__(self, guard: GuardedNode, hall: Hall, found: HallAnswer) -> None:
        self.guard, self.hall, self.addresses = guard, hall, found.addresses
        self.has_outlets = bool(found.outlets.feeds)
        self.rest_w = len(self.addresses) * REST_W

    def wake_all(self) -> None:
        """Let all run whole, and wait until they do and nothing is left to say."""
        above_w = len(self.addresses) * ABOVE_W
        self._until(Condition.ASLEEP)
        self.guard.order(entitlement_w=self.rest_w + above_w, miners_target_w=above_w, lease_s=LEASE_S)
        self._until(Condition.RUNNING)

    def sleep_all(self) -> float:
        """Order it, as an agent does; when it was sent, monotonic s."""
        sent_at_s = time.monotonic()
        self.guard.order(entitlement_w=self.rest_w, lease_s=LEASE_S)
        return sent_at_s

    def reports(self, version: int = -1) -> Iterator[tuple[float, GuardReport]]:
        """Each report as soon as it is news, as a scheduler hears of it, and when that was."""
        while True:
            request = f'{{"op":"report","after_version":{version},"timeout_s":1.0}}'
            report = decode(ReportAnswer, self.guard.ask(request.encode())).report
            version = report.version
            yield time.monotonic(), report

    def machines(self) -> dict[str, MachineDetail]:
        """The guard's inventory."""
        answer = decode(InventoryAnswer, self.guard.ask(b'{"op":"inventory"}'))
        return {m.miner_id: m for m in answer.inventory.machines}

    def cpu_s(self) -> tuple[float, float]:
        """CPU seconds so far: of the guard, of the process of the machines."""
        guard = decode(ProcessId, (self.guard.directory / "guard.pid").read_bytes())
        return cpu_s(guard.pid), float(self.hall.told("state")["cpu_s"])

    def _until(self, condition: Condition) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            found = [m.condition for m in self.machines().values()]
            if found == [condition] * len(self.addresses):
                return
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"not all are {condition}: {Counter(found)}")
            time.sleep(_LOOK_S)


@contextmanager
def miner_site(*, machines: int, ramp_s: float, pdus: str, rules: Rules) -> Iterator[MinerSite]:
    """A LAN and its guard, until the block ends."""
    with TemporaryDirectory(prefix="barq-miners-") as name, _hall() as hall:
        folder = Path(name)
        told = {"machines": machines, "ramp_s": ramp_s, "pdus": pdus, "folder": name}
        found = decode(HallAnswer, hall.ask(told))
        guard = GuardedNode(folder, **_group(found, folder, rules))
        try:
            guard.start()
            yield MinerSite(guard, hall, found)
        finally:
            guard.close()


def _group(found: HallAnswer, folder: Path, rules: Rules) -> dict[str, Any]:
    """Machines may be switched as often as the benchmark likes, and all at once; the rest is as it always is."""
    count = len(found.addresses)
    lan = LanConfig(
        addresses=found.addresses,
        credentials=secrets_in(folder),
        count=count,
        max_w=NAMEPLATE_W,
        rest_w=REST_W,
        wake_share=1.0,
        outlets=replace(found.outlets, rules=rules),
    )
    spec = GroupSpec(
        group_id="hall",
        kind=GroupKind.MINERS,
        base_w=count * REST_W,
        miners_max_w=count * ABOVE_W,
        machine=MachineKind(max_w=int(ABOVE_W), min_on_s=0.0, min_off_s=0.0),
    )
    return {"spec": spec, "lan": lan, "poll_s": POLL_S}


@contextmanager
def _hall() -> Iterator[Hall]:
    command = [sys.executable, "-m", "benchmarks.miner_lan"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield Hall(process)
    finally:
        process.kill()
        process.communicate()

"""A miner LAN: emulated machines on a loop of their own, so that a guard's calls may block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

from scheduler.core.inventory import Condition, MachineDetail
from scheduler.core.pdus import Outlets
from tests.miners.braiins import PASSWORD as BRAIINS_PASSWORD, BraiinsEmulator
from tests.miners.emulator import Emulator
from tests.miners.luxos import LuxosEmulator
from tests.miners.whatsminer_v2 import PASSWORD as V2_PASSWORD, WhatsminerV2Emulator
from tests.miners.whatsminer_v3 import PASSWORD as V3_PASSWORD, WhatsminerV3Emulator
from tests.waiting import wait_for
from workers.fleet.config import Firmware, LanConfig, Secret
from workers.fleet.lan import LanMiners
from workers.miners.port import FleetWatts, MinersNow

T = TypeVar("T")
MIXED = (LuxosEmulator, WhatsminerV2Emulator, WhatsminerV3Emulator, BraiinsEmulator)
PASSWORDS = {"braiins": BRAIINS_PASSWORD, "whatsminer-v2": V2_PASSWORD, "whatsminer-v3": V3_PASSWORD}


class Lan:
    """Machines that run until the end of the test."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.machines: list[Emulator] = []

    def add(self, make: Callable[[], Emulator]) -> Emulator:
        """Another machine, at work."""
        machine = make()
        self.run(machine.start())
        self.machines.append(machine)
        return machine

    def remove(self, machine: Emulator) -> tuple[str, int]:
        """Switch it off; where it was."""
        place = machine.host, machine.port
        self.run(machine.stop())
        self.machines.remove(machine)
        return place

    def move_in(self, machine: Emulator, place: tuple[str, int]) -> Emulator:
        """Switch a machine on where another was."""
        self.run(machine.start(host=place[0], port=place[1]))
        self.machines.append(machine)
        return machine

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it in the machines' loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)


@contextmanager
def lan() -> Iterator[Lan]:
    """A LAN without machines yet."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="emulators")
    thread.start()
    made = Lan(loop)
    try:
        yield made
    finally:
        for machine in made.machines:
            made.run(machine.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class Site:
    """The LAN as a site file has it, and the driver of its guard."""

    def __init__(self, net: Lan, directory: Path, **changes: Any) -> None:
        """`changes` are to the site file, its `outlets` as `pdus`; `outlets` are opened ones, by machine."""
        outlets = changes.pop("outlets", {})
        changes["outlets"] = changes.pop("pdus", Outlets())
        plain: dict[str, Any] = {
            "addresses": tuple(map(address, net.machines)),
            "credentials": secrets_in(directory),
            "count": len(net.machines),
            "max_w": 3400.0,
            "rest_w": 25.0,
            "poll_s": 0.5,
        }
        self.config = LanConfig(**(plain | changes))
        self._directory, self._outlets = directory, outlets
        self.miners = self.open()

    def open(self) -> LanMiners:
        """As a new guard does it."""
        return LanMiners(self.config, self._directory / "guard", outlets=self._outlets)

    def restart(self) -> None:
        """A new guard takes over."""
        self.miners.close()
        self.miners = self.open()

    def detail(self, name: str) -> MachineDetail | None:
        """One machine."""
        return next((d for d in self.miners.details() if d.miner_id == name), None)

    def wait_for(self, name: str, condition: Condition) -> MachineDetail:
        """Until one is in this condition."""
        wait_for(lambda: self._is(name, condition), timeout_s=60, what=f"{name} is {condition}")
        detail = self.detail(name)
        assert detail is not None
        return detail

    @property
    def watts(self) -> FleetWatts:
        """What all come to now."""
        return watts_of(self.miners.now())

    def wait_for_sleep(self, count: int | None = None) -> None:
        """Until so many sleep and nothing is in doubt; None = all that are expected."""
        wanted = self.config.count if count is None else count
        wait_for(lambda: self._asleep() == wanted, timeout_s=60, what=f"{wanted} machines sleep")

    def wake(self, *names: str) -> None:
        """Let them run whole; no name = all. Until they do."""
        max_w = self.miners.max_w()
        woken = names or tuple(max_w)
        self.miners.set_targets({n: max_w[n] for n in woken})
        for name in woken:
            self.wait_for(name, Condition.RUNNING)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.miners.close()

    def _is(self, name: str, condition: Condition) -> bool:
        detail = self.detail(name)
        return detail is not None and detail.condition is condition

    def _asleep(self) -> int:
        readings = self.miners.now().readings
        return sum(r.target_w == 0 and r.draw_w == 0 for r in readings)


def watts_of(now: MinersNow) -> FleetWatts:
    """What they come to, where they say so."""
    assert now.watts is not None
    return now.watts


def secrets_in(directory: Path) -> dict[Firmware, Secret]:
    """Where the passwords of all firmwares are kept."""
    secrets = {}
    for name, password in PASSWORDS.items():
        path = directory / f"{name}.password"
        path.write_text(password)
        user = "root" if name == "braiins" else ""
        secrets[Firmware(name)] = Secret(user=user, password_file=str(path))
    return secrets


def address(machine: Emulator) -> str:
    """As a site file writes it."""
    return f"{machine.host}:{machine.port}"

"""Each driver on its bench: an emulated machine and what opens it. A new driver is one entry in BENCHES."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tests.miners.braiins import PASSWORD, BraiinsEmulator
from tests.miners.emulator import Emulator
from tests.miners.luxos import LuxosEmulator
from workers.miners.braiins import Braiins
from workers.miners.luxos import Luxos
from workers.miners.port import Credentials, Miner
from workers.miners.simulated import MinerModel, SimulatedMiner, SimulatedMiners

#: What a driver gives an emulator at most, where a test waits for it to give up, s.
SHORT_S: Final = 0.3
#: What it gives one that answers: this host may be slow, s.
PATIENT_S: Final = 30.0


class Bench(ABC):
    """One machine that runs at its nameplate, and its driver."""

    emulator: Emulator | None = None  #: None = it has no wire
    nameplate_w: float = 3400.0
    #: Every order that its driver may ever send, as `orders_in` shows them. Questions are free.
    may_order: frozenset[str] = frozenset()

    @abstractmethod
    def driver(
        self, *, host: str = "", port: int = 0, deadline_s: float = PATIENT_S, password: str = ""
    ) -> Miner:
        """The driver, at this bench's machine or at another address; with a password = with that one."""

    def orders_in(self, request: str) -> str:
        """What a request that the emulator received orders; empty = it only asks."""
        return ""

    async def start(self) -> None:
        """Switch it on."""
        if self.emulator is not None:
            await self.emulator.start()

    async def stop(self) -> None:
        """Switch it off."""
        if self.emulator is not None:
            await self.emulator.stop()


class SimulatedBench(Bench):
    """A simulated miner, with ramps that take a blink."""

    def __init__(self, directory: Path) -> None:
        model = MinerModel(
            miner_id="m0",
            nameplate_w=3400.0,
            idle_w=25.0,
            joule_per_th=17.0,
            fall_w_per_s=9e4,
            rise_w_per_s=3e4,
        )
        self._miner = SimulatedMiner(SimulatedMiners([model], directory / "miners.json"), model)

    async def start(self) -> None:
        await self._miner.wake()

    def driver(
        self, *, host: str = "", port: int = 0, deadline_s: float = PATIENT_S, password: str = ""
    ) -> Miner:
        return self._miner


class BraiinsBench(Bench):
    """Braiins OS."""

    may_order = frozenset(
        f"PUT /api/v1/{path}" for path in ("actions/pause", "actions/resume", "performance/power-target")
    ) | {"POST /api/v1/auth/login"}

    def __init__(self, directory: Path) -> None:
        self.machine = BraiinsEmulator()
        self.emulator = self.machine

    def driver(
        self, *, host: str = "", port: int = 0, deadline_s: float = PATIENT_S, password: str = ""
    ) -> Miner:
        credentials = Credentials(user="root", password=password or PASSWORD)
        host, port = host or self.machine.host, port or self.machine.port
        return Braiins(host, port=port, credentials=credentials, deadline_s=deadline_s)

    def orders_in(self, request: str) -> str:
        method, path, _ = request.split(" ", 2)
        return "" if method == "GET" else f"{method} {path}"


class LuxosBench(Bench):
    """LuxOS."""

    may_order = frozenset({"logon", "logoff", "curtail", "profileset"})

    def __init__(self, directory: Path) -> None:
        self.machine = LuxosEmulator()
        self.emulator = self.machine

    def driver(
        self, *, host: str = "", port: int = 0, deadline_s: float = PATIENT_S, password: str = ""
    ) -> Miner:
        return Luxos(host or self.machine.host, port=port or self.machine.port, deadline_s=deadline_s)

    def orders_in(self, request: str) -> str:
        """A command with a parameter, or one that opens a session."""
        told = json.loads(request)
        command = str(told.get("command", ""))
        return command if "parameter" in told or command == "logon" else ""


BENCHES: Mapping[str, Callable[[Path], Bench]] = {
    "simulated": SimulatedBench,
    "braiins": BraiinsBench,
    "luxos": LuxosBench,
}
WIRED: Final = tuple(name for name in BENCHES if name != "simulated")
WITH_PASSWORD: Final = ("braiins",)

"""Machines of a LAN on the outlets of an emulated PDU: what is switched off there draws nothing and answers nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from tests.miners.emulator import Emulator
from tests.miners.plant import Plant
from tests.outlets.strip import Strip

BOOT_S = 30.0


class PluggedIn(Strip):
    """Outlets 1, 2, ... feed these machines, which run in the loop in which the PDU is asked."""

    def __init__(self, machines: Sequence[Emulator]) -> None:
        super().__init__(draws_w=dict.fromkeys(map(str, range(1, len(machines) + 1)), 0.0))
        self._machines = {str(number): machine for number, machine in enumerate(machines, 1)}
        self._places = {outlet: (m.host, m.port) for outlet, m in self._machines.items()}
        self._busy: set[asyncio.Task[Any]] = set()

    def draw_w(self, outlet: str) -> float:
        """As its meter has it: the machine's own word does not come into it."""
        return true_w(self._machines[outlet]) if self.is_on(outlet) else 0.0

    def all_w(self) -> float:
        """What all of them really draw."""
        return sum(self.draw_w(outlet) for outlet in self._machines)

    def happen(self) -> None:
        """What was switched befalls the machine."""
        was_off = set(self.off)
        super().happen()
        for outlet in self.off ^ was_off:
            work = self._lose(outlet) if outlet in self.off else self._gain(outlet)
            task = asyncio.get_running_loop().create_task(work)
            self._busy.add(task)
            task.add_done_callback(self._busy.discard)

    async def _lose(self, outlet: str) -> None:
        await self._machines[outlet].stop()

    async def _gain(self, outlet: str) -> None:
        machine, (host, port) = self._machines[outlet], self._places[outlet]
        machine.plant.restart(BOOT_S)
        await machine.start(host=host, port=port)


def true_w(machine: Emulator) -> float:
    """What a meter at its plug shows."""
    plant: Plant = machine.plant
    return machine.draw_w() if hasattr(machine, "draw_w") else plant.draw_w()

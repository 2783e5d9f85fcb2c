"""The inventory of a miner group: when it is news."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from scheduler.core.inventory import Inventory, MachineDetail
from workers.clock import boottime_s

#: Machines are looked through for news this often, s: a thousand of them take milliseconds.
EVERY_S: Final = 1.0


class InventoryKeeper:
    """The newest inventory of a group. Its version rises when more than figures that drift is new."""

    def __init__(
        self, group_id: str, details: Callable[[], tuple[MachineDetail, ...]], *, every_s: float = EVERY_S
    ) -> None:
        """Versions go on rising over the guard's own restarts: they begin at the wall clock's seconds."""
        self._group_id = group_id
        self._details = details
        self._every_s = every_s
        self._version = int(time.time())
        self._told: tuple[MachineDetail, ...] = ()
        self._looked_at_s: float | None = None

    @property
    def version(self) -> int:
        """Of the newest inventory, as of the last look; 0 = there is no machine."""
        now_s = time.monotonic()
        if self._looked_at_s is None or now_s - self._looked_at_s >= self._every_s:
            self._look(self._details(), now_s)
        return self._version if self._told else 0

    @property
    def inventory(self) -> Inventory:
        """All machines as they are now."""
        machines = self._details()
        self._look(machines, time.monotonic())
        return Inventory(
            group_id=self._group_id,
            version=self._version if machines else 0,
            boottime_s=boottime_s(),
            machines=machines,
        )

    def _look(self, machines: tuple[MachineDetail, ...], now_s: float) -> None:
        self._looked_at_s = now_s
        substance = tuple(map(_substance, machines))
        if substance != self._told:
            self._version += 1
            self._told = substance


def _substance(machine: MachineDetail) -> MachineDetail:
    """Without what drifts."""
    return replace(
        machine,
        draw_w=0.0,
        in_doubt_w=round(machine.in_doubt_w, -2),
        hashrate_th=None,
        joule_per_th=None,
        temperature_c=None,
        uptime_s=None,
        seen_boottime_s=None,
    )

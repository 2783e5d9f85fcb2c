"""The inventory of a miner group: when it is news."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import fields
from operator import attrgetter
from typing import Final

from scheduler.core.inventory import Inventory, MachineDetail
from workers.clock import boottime_s

#: Machines are looked through for news this often, s,
EVERY_S: Final = 1.0
#: or so seldom that it takes no more than this part of the guard's time: a thousand take many milliseconds.
SHARE: Final = 0.02
_DRIFTS: Final = frozenset(
    {"draw_w", "in_doubt_w", "hashrate_th", "joule_per_th", "temperature_c", "uptime_s", "seen_boottime_s"}
)
_STEADY: Final = attrgetter(*(f.name for f in fields(MachineDetail) if f.name not in _DRIFTS))


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
        self._told: tuple[object, ...] = ()
        self._next_look_s = -math.inf

    @property
    def version(self) -> int:
        """Of the newest inventory, as of the last look; 0 = there is no machine."""
        began_s = time.monotonic()
        if began_s >= self._next_look_s:
            self._look(self._details())
            took_s = time.monotonic() - began_s
            self._next_look_s = began_s + max(self._every_s, took_s / SHARE)
        return self._version if self._told else 0

    @property
    def inventory(self) -> Inventory:
        """All machines as they are now."""
        machines = self._details()
        self._look(machines)
        return Inventory(
            group_id=self._group_id,
            version=self._version if machines else 0,
            boottime_s=boottime_s(),
            machines=machines,
        )

    def _look(self, machines: tuple[MachineDetail, ...]) -> None:
        substance = tuple(map(_substance, machines))
        if substance != self._told:
            self._version += 1
            self._told = substance


def _substance(machine: MachineDetail) -> tuple[object, ...]:
    """Without what drifts."""
    return (*_STEADY(machine), round(machine.in_doubt_w, -2))

"""All machines of a LAN as they count: shared by the guard, which tells and looks, and by those who talk to them.

One lock guards all; nobody holds it while anything is waited for.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from scheduler.core.inventory import Condition, MachineDetail
from scheduler.core.orders import MinerReading
from workers.fleet.config import LanConfig
from workers.fleet.details import detail_of, stranger_of
from workers.fleet.firmware import Unusable
from workers.fleet.troubles import Troubles
from workers.fleet.unit import Unit
from workers.miners.port import FleetWatts, MinersNow

#: Draws that merely drift are told this often, s.
DRIFT_S: Final = 0.5
#: Whoever does not look for so long is dead, s.
DEAD_S: Final = 10.0
#: Who was not heard of for so long at one address, and is at another, has moved, s.
MOVED_S: Final = 120.0


class Roster:
    """The machines, and the addresses where something else answers."""

    def __init__(self, config: LanConfig) -> None:
        self.lock = threading.RLock()
        self.units: dict[str, Unit] = {}
        self.strangers: dict[str, Unusable] = {}
        self._config = config
        self._readings: tuple[MinerReading, ...] = ()
        self._is_old = True
        self._read_at_s = 0.0
        self._beat_s = time.monotonic()

    def beats(self) -> None:
        """Those who talk to the machines are alive."""
        self._beat_s = time.monotonic()

    @property
    def is_watched(self) -> bool:
        """Whether anybody talks to the machines. If not, all of them count at their worst."""
        return time.monotonic() - self._beat_s < DEAD_S

    def changed(self, *, at_once: bool = True) -> None:
        """What counts may be other than it was."""
        if at_once:
            self._read_at_s = 0.0
        self._is_old = True

    def want(self, targets_w: Mapping[str, float], now_s: float) -> list[str]:
        """Take new targets; who was given another. Raises KeyError."""
        with self.lock:
            told = [(name, self.units[name], w) for name, w in targets_w.items()]
            others = [name for name, unit, w in told if unit.want(w, now_s)]
            self.changed()
        return others

    def max_w(self) -> dict[str, float]:
        """Of those that can be told something."""
        with self.lock:
            return {name: float(u.max_w) for name, u in self.units.items() if u.is_ruled}

    def now(self) -> MinersNow:
        """Those that can be told something, and what all come to, with who was never found at a nameplate."""
        with self.lock:
            readings = self._read() if self.is_watched else ()
            return MinersNow(readings=readings, watts=self._watts({r.miner_id for r in readings}))

    def _read(self) -> tuple[MinerReading, ...]:
        """Of those that can be told something. Held for a while: who drifts makes no news."""
        now_s = time.monotonic()
        if self._is_old and now_s - self._read_at_s >= DRIFT_S:
            self._readings = tuple(u.miner_reading for u in self.units.values() if u.is_ruled)
            self._is_old, self._read_at_s = False, now_s
        return self._readings

    def _watts(self, ruled: Collection[str]) -> FleetWatts:
        """What counts in the base is what is not among the readings."""
        base_w = sum(u.rest_w if n in ruled else u.fixed_w for n, u in self.units.items())
        guessed_w = sum(u.guessed_w for u in self.units.values()) + self.missing_w
        return FleetWatts(
            base_w=base_w + self.missing_w,
            miners_max_w=float(sum(u.max_w for n, u in self.units.items() if n in ruled)),
            guessed_w=float(round(guessed_w)),
        )

    @property
    def missing_w(self) -> float:
        """Of machines that are expected and were not found, and of strangers beyond these that may be machines."""
        strangers = sum(s.is_miner for s in self.strangers.values())
        return max(self._config.count - len(self.units), strangers) * self._config.max_w

    def details(self) -> tuple[MachineDetail, ...]:
        """Every machine, and every address where something else answers."""
        with self.lock:
            machines = [detail_of(u, self._config) for u in self.units.values()]
            return (*machines, *(stranger_of(n, s, self._config) for n, s in self.strangers.items()))

    def alarms(self) -> tuple[str, ...]:
        """What a person should know."""
        with self.lock:
            known = Troubles(config=self._config, units=[*self.units.values()], strangers=self.strangers)
            dead = () if self.is_watched else ("nobody talks to the miners; start the guard again",)
            return (*dead, *known.alarms())

    def forget_moved(self, now_s: float) -> list[Unit]:
        """Take out who has another address now: one that is lost here for a while, and whose MAC is heard elsewhere."""
        with self.lock:
            heard = {u.identity.mac for u in self.units.values() if u.silent_s(now_s) < DEAD_S}
            moved = [
                u
                for u in self.units.values()
                if u.condition is Condition.LOST
                and u.identity.mac in heard - {""}
                and u.silent_s(now_s) > MOVED_S
                and not u.is_cut
            ]
            for unit in moved:
                del self.units[unit.miner_id]
            if moved:
                self.changed()
        return moved

    def each(self) -> Iterable[Unit]:
        """All machines, as they are now."""
        with self.lock:
            return tuple(self.units.values())

"""The devices of one group as one thing: what they are like now, and caps and targets that are set only when new."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from scheduler.core.fleets import WakePace, next_targets_w
from scheduler.core.inventory import MachineDetail, Wish
from scheduler.core.machines import MachineKind
from scheduler.core.orders import GpuReading, GroupSpec, MinerReading, MinerWishes
from workers.clock import boottime_s
from workers.found_caps import FoundCaps
from workers.gpu.port import GpuDriver
from workers.miners.port import MinerDriver

if TYPE_CHECKING:
    from workers.fillers.fillers import Fillers

log = logging.getLogger("barq.guard")

SAME_W = 0.5
#: A device that refused a cap is asked again this often, s.
RETRY_S = 10.0


class Devices:
    """The GPUs and miners of one group; most groups have only the ones or the others."""

    def __init__(
        self,
        gpus: GpuDriver,
        miners: MinerDriver,
        *,
        machine: MachineKind | None = None,
        pace: WakePace | None = None,
        fillers: Fillers | None = None,
        found: FoundCaps | None = None,
    ) -> None:
        self._gpus = gpus
        self._found = found  #: None = nobody wants to know how caps were
        self._miners = miners if fillers is None else fillers
        self.fillers = fillers  #: that have GPUs of the node while nobody else does
        self._machine = machine  #: None = miners take any watt
        self._pace = pace  #: None = all wake at once
        self._asked_w: dict[str, tuple[float, float, float]] = {}
        self._floors: dict[str, tuple[float, float]] = {}
        self._wishes: dict[str, Wish] = {}
        self.guessed_w = 0.0  #: of the group's draw as last looked at, what nobody read

    def gpu_readings(self) -> tuple[GpuReading, ...]:
        """Each GPU that answers; what a filler makes of one is told by `miners_now`."""
        if self.fillers is None:
            return self._gpus.readings()
        gone = self.fillers.gone()
        return self.fillers.look(self._gpus.readings(), gone)

    def wish(self, wishes: MinerWishes) -> None:
        """From now on this is what people want of single miners."""
        self._wishes = dict(wishes)

    def miners_now(self, spec: GroupSpec) -> tuple[GroupSpec, tuple[MinerReading, ...]]:
        """The group as its machines are now, and each miner that can be told something, with what is wished of it.

        Machines that obey nobody count in the group's base, at their worst.
        """
        now = self._miners.now()
        if now.watts is not None:
            self.guessed_w = now.watts.guessed_w
            spec = replace(spec, base_w=now.watts.base_w, miners_max_w=now.watts.miners_max_w)
        return spec, tuple(self._wished(reading) for reading in now.readings)

    def _wished(self, reading: MinerReading) -> MinerReading:
        wish = self._wishes.get(reading.miner_id)
        return reading if wish is None else replace(reading, wish=wish)

    def machine_details(self) -> tuple[MachineDetail, ...]:
        """Every machine of a miner group."""
        details = self._miners.details()
        return tuple(replace(d, wish=self._wishes.get(d.miner_id, Wish.INHERIT)) for d in details)

    def alarms(self) -> tuple[str, ...]:
        """What a person should know of the machines."""
        return self._miners.alarms()

    def put_caps_back(self) -> None:
        """Everything has ended: GPUs get the caps that they had before Barq. Raises OSError."""
        if self._found is not None:
            self._found.put_back(self._gpus.readings(), self._gpus.set_cap)

    def close(self) -> None:
        """Let go of the machines; they go on as they are. Fillers end."""
        self._miners.close()

    def cap_floors_w(self) -> dict[str, float]:
        """GPUs that lately enforced more than they were told to, W."""
        now_s = time.monotonic()
        self._floors = {
            g: (cap_w, until_s) for g, (cap_w, until_s) in self._floors.items() if until_s > now_s
        }
        return {g: cap_w for g, (cap_w, _) in self._floors.items()}

    def set_caps(self, caps_w: Mapping[str, float], readings: tuple[GpuReading, ...]) -> bool:
        """Set the caps that are not what they should be; True if any was. Read again to see what came of it."""
        if self.fillers is not None:
            caps_w = {**caps_w, **self.fillers.caps_w()}
        if self._found is not None:
            self._found.note(readings)
        now_w = {reading.gpu_id: reading.cap_w for reading in readings}
        wrong = {g: cap_w for g, cap_w in caps_w.items() if not self._stands(g, cap_w, now_w.get(g))}
        for gpu_id, cap_w in wrong.items():
            self._set_cap(gpu_id, cap_w, now_w.get(gpu_id, 0.0))
        return bool(wrong)

    def set_miners(self, target_w: float, readings: tuple[MinerReading, ...]) -> bool:
        """Share a target among the miners as they were read, in whole machines where that is what they are.

        True if any got a new one. It was reckoned from these readings: whoever is lost since leaves nothing to others.
        """
        if self.fillers is not None:
            readings, target_w = _of_those_that_stay(readings, target_w)
        targets_w = {m.miner_id: m.target_w for m in readings}
        if self._machine is None:
            max_w = self._miners.max_w()
            paused = {m.miner_id for m in readings if m.wish is Wish.PAUSED}
            shares_w = share(target_w, targets_w, {m: 0.0 if m in paused else w for m, w in max_w.items()})
        else:
            shares_w = next_targets_w(
                self._machine, readings, target_w, boottime_s=boottime_s(), pace=self._pace
            )
        wrong = {m: w for m, w in shares_w.items() if abs(w - targets_w.get(m, 0.0)) > SAME_W}
        if wrong:
            try:
                self._miners.set_targets(wrong)
            except OSError as error:
                log.warning("%d miners got new targets, which cannot be remembered: %s", len(wrong), error)
        return bool(wrong)

    def _stands(self, gpu_id: str, cap_w: float, now_w: float | None) -> bool:
        """Whether the device enforces this cap, or what it made of it when it was last told."""
        if now_w is None:
            return False
        asked_w, got_w, until_s = self._asked_w.get(gpu_id, (now_w, now_w, math.inf))
        is_told = asked_w == cap_w and time.monotonic() < until_s
        return abs(now_w - cap_w) <= SAME_W or (is_told and abs(got_w - now_w) <= SAME_W and got_w < cap_w)

    def _set_cap(self, gpu_id: str, cap_w: float, now_w: float) -> None:
        until_s = math.inf
        try:
            got_w = self._gpus.set_cap(gpu_id, cap_w)
        except OSError as error:
            log.warning("GPU %s did not take a cap of %.0f W: %s", gpu_id, cap_w, error)
            got_w, until_s = now_w, time.monotonic() + RETRY_S
        self._asked_w[gpu_id] = (cap_w, got_w, until_s)
        if got_w > cap_w + SAME_W:
            self._floors[gpu_id] = (got_w, time.monotonic() + RETRY_S)
        else:
            self._floors.pop(gpu_id, None)


def _of_those_that_stay(
    readings: tuple[MinerReading, ...], target_w: float
) -> tuple[tuple[MinerReading, ...], float]:
    """The fillers that are not on their way out, and their part: what the others still may draw raises nobody."""
    stay = tuple(m for m in readings if m.obeys)
    leaving_w = sum(max(m.target_w, m.draw_w) for m in readings if not m.obeys)
    now_w = min(target_w, sum(m.target_w for m in stay))
    return stay, max(now_w, target_w - leaving_w)


def share(total_w: float, targets_w: Mapping[str, float], max_w: Mapping[str, float]) -> dict[str, float]:
    """New targets that sum to `total_w`, or as near as the miners allow.

    A sum that rises lowers none of them and one that falls raises none, each in proportion to what it has to give.
    """
    now_w = {m: min(targets_w.get(m, 0.0), max_w[m]) for m in max_w}
    change_w = total_w - sum(now_w.values())
    room_w = {m: max_w[m] - now_w[m] if change_w > 0 else now_w[m] for m in max_w}
    all_w = sum(room_w.values())
    if all_w <= 0:
        return now_w
    part = max(-1.0, min(1.0, change_w / all_w))
    return {m: now_w[m] + part * room_w[m] for m in max_w}

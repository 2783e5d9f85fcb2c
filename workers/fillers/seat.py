"""One GPU of a node, and whether a filler has it: judged by the guard, carried out beside it.

    CLEAR     no program of ours is on it: others may start there
    TAKEN     one runs, or is about to
    LEAVING   it is being ended; the GPU is not seen to be free yet
    STUCK     the same for `stuck_s`: the GPU is taken out of the node until it is seen to be free

Free means: no process that bears the program's mark is left, *and* the GPU itself tells of no process and no memory in
use, read after that. A paused program keeps both, and the watts of its context: so a filler is ended, never paused.
"""

from __future__ import annotations

import time
from enum import Enum, auto
from typing import Final

from scheduler.core.fillers import Range, cap_w, miner_id
from scheduler.core.machines import Trim
from scheduler.core.orders import GpuReading, GpuSlot, MinerReading
from workers.clock import boottime_s
from workers.fillers.driver import Driver

_OVER_S: Final = 3.0  #: a GPU that enforces more than its filler may draw for so long, has it ended
_OVER_W: Final = 1.0


class Stage(Enum):
    """Who has the GPU."""

    CLEAR = auto()
    TAKEN = auto()
    LEAVING = auto()
    STUCK = auto()


class Seat:
    """What the guard's own thread knows and wants. `Driver` brings it about in another."""

    def __init__(self, group_id: str, slot: GpuSlot, found: Range, driver: Driver, *, stuck_s: float) -> None:
        """As left by an earlier guard: whatever of it still runs is ended first."""
        self.miner_id = miner_id(group_id, slot.gpu_id)
        self.slot, self.range, self.model = slot, found, slot.power
        self.raw = GpuReading(gpu_id=slot.gpu_id, draw_w=0.0, cap_w=self.model.tdp_w, processes=0, lost=True)
        self.stage = Stage.LEAVING
        self.told_w = 0.0
        self._stuck_s = stuck_s
        self.is_held = False  #: an attempt has it, or is to have it
        self.switched_s: float | None = None
        self._since_s = time.monotonic()
        self._fits_s = 0.0  #: when its cap last was what it was told
        self.driver = driver

    @property
    def is_clear(self) -> bool:
        """Whether others may start there."""
        return self.stage is Stage.CLEAR

    @property
    def is_ours(self) -> bool:
        """Whether what the GPU draws above its rest is the filler's: not that of a job which an earlier guard left."""
        return not self.raw.lost and self.stage is not Stage.CLEAR and self.driver.needs_proof

    @property
    def obeys(self) -> bool:
        """Whether it may be given watts now."""
        is_had = self.stage is Stage.TAKEN or (self.stage is Stage.CLEAR and is_free(self.raw))
        return is_had and not self.is_held and not self.raw.lost and self.driver.is_ready

    @property
    def why(self) -> str:
        """Why the GPU is not free."""
        return self.driver.why or "its program is being ended"

    def tell(self, told_w: float) -> None:
        """It may draw so much above the rest of its GPU; 0 = end it."""
        if self.stage is Stage.CLEAR and self.obeys and self._cap_fits(told_w):
            self.stage, self.switched_s, self._fits_s = Stage.TAKEN, boottime_s(), time.monotonic()
            self.driver.start()
        self.told_w = told_w if self.stage is Stage.TAKEN else 0.0
        if self.told_w == 0 and self.stage is Stage.TAKEN:
            self._leave()

    def _cap_fits(self, told_w: float) -> bool:
        """Whether the cap as read back holds it down to that: what it is about to be told may fail."""
        enforced_w = self.model.charge_w(self.raw.cap_w) - self.model.idle_w
        return told_w > 0 and enforced_w <= told_w + _OVER_W

    def hold(self, *, is_held: bool) -> None:
        """Whether somebody else is to have the GPU."""
        self.is_held = is_held
        if is_held and self.stage is Stage.TAKEN:
            self.tell(0.0)

    def look(self, raw: GpuReading, *, was_gone: bool) -> None:
        """The GPU as read; `was_gone` = before that, no process of the program was left."""
        self.raw = raw
        if self.stage is Stage.TAKEN:
            self._watch()
        elif self.stage is not Stage.CLEAR:
            if was_gone and (not self.driver.needs_proof or is_free(raw)):
                self.stage = Stage.CLEAR
            elif time.monotonic() - self._since_s >= self._stuck_s:
                self.stage = Stage.STUCK

    def _watch(self) -> None:
        """End a program that failed, one that its GPU does not hold down, and one on a GPU that does not answer."""
        now_s = time.monotonic()
        if self.counts_w <= self.told_w + _OVER_W:
            self._fits_s = now_s
        if self.raw.lost or not self.driver.is_ready or now_s - self._fits_s >= _OVER_S:
            self.tell(0.0)

    def _leave(self) -> None:
        self.stage, self.switched_s, self._since_s = Stage.LEAVING, boottime_s(), time.monotonic()
        self.driver.end()

    # -- as the guard tells of it ----------------------------------------------------------------------------------

    @property
    def cap_w(self) -> float | None:
        """The cap that its GPU is to have, None where the guard says."""
        return cap_w(self.model, self.told_w) if self.stage is Stage.TAKEN else None

    @property
    def counts_w(self) -> float:
        """What it may draw above the rest of its GPU: what it was told, or what the enforced cap lets it."""
        if not self.is_ours:
            return 0.0
        return max(self.told_w, self.model.charge_w(self.raw.cap_w) - self.model.idle_w)

    @property
    def draw_w(self) -> float:
        """What its GPU draws above its rest."""
        return max(0.0, self.raw.draw_w - self.model.idle_w) if self.is_ours else 0.0

    def reading(self) -> MinerReading:
        """As a machine that mines."""
        trimmed = self.range.least_w < self.range.most_w
        return MinerReading(
            miner_id=self.miner_id,
            target_w=self.counts_w,
            draw_w=self.draw_w,
            switched_boottime_s=self.switched_s,
            max_w=self.range.most_w,
            least_w=self.range.least_w if trimmed else None,
            trim=Trim.WATTS if trimmed else Trim.NONE,
            obeys=self.obeys,
        )


def is_free(gpu: GpuReading) -> bool:
    """Whether a GPU says that nothing is on it."""
    used_bytes = 0 if gpu.sensors is None else gpu.sensors.memory_used_bytes or 0
    return not (gpu.lost or gpu.processes or used_bytes)

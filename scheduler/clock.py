"""The real clock. The simulator has its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from scheduler.errors import ClockWasSet

STEP_S: Final = 1.5
"""A change of the time of day beyond this is a clock that was set. A leap second is less, and slewing is none at all:
it moves both clocks alike."""


def _boottime_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class SystemClock:
    """Aware UTC, CLOCK_BOOTTIME for spans, real sleeps.

    Silence and leases are reckoned in UTC, so that a time of day that jumps would end all of them at once: work would
    count as lost, and its watts as free, while it goes on by its guard's own clock. So `now` tells no such time: it
    raises `ClockWasSet`, for good, and whoever leads begins anew.
    """

    def __init__(
        self, *, wall_s: Callable[[], float] = time.time, boottime_s: Callable[[], float] = _boottime_s
    ) -> None:
        self._wall_s, self._boottime_s = wall_s, boottime_s
        self.offset_s = wall_s() - boottime_s()
        """When this host was booted, by the time of day as it was told then: Unix seconds."""

    def now(self) -> datetime:
        """Aware UTC. Raises `ClockWasSet`."""
        before_s = self._boottime_s()
        wall_s = self._wall_s()
        after_s = self._boottime_s()  # this process may have stood still between two looks
        by_s = max(wall_s - after_s - self.offset_s, min(0.0, wall_s - before_s - self.offset_s))
        if abs(by_s) > STEP_S:
            raise ClockWasSet(f"the clock of this host was set by {by_s:+.1f} s: beginning anew by its time")
        return datetime.fromtimestamp(wall_s, UTC)

    def monotonic_s(self) -> float:
        """Seconds of CLOCK_BOOTTIME: the clock of the guards' leases, which counts through a suspend of the host."""
        return self._boottime_s()

    async def sleep_s(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)


def boot_id() -> str:
    """Names this boot of the host, and so the clock that counts from it."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()

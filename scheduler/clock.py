"""The real clock. The simulator has its own."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime


class SystemClock:
    """Aware UTC, CLOCK_BOOTTIME for spans, real sleeps."""

    def now(self) -> datetime:
        """Aware UTC."""
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        """Seconds of CLOCK_BOOTTIME: the clock of the guards' leases, which counts through a suspend of the host."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    async def sleep_s(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)

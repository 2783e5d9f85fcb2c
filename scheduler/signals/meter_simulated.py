"""The meter of a simulated site: what the simulated devices draw, as the site meter would see it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from scheduler.core.snapshot import MeterReading


class SimulatedMeter:
    """Reads the devices' own draws, never what was ordered."""

    def __init__(self, draw_w: Callable[[], float]) -> None:
        self._draw_w = draw_w

    async def read(self) -> MeterReading:
        """The newest reading, W at the site meter."""
        return MeterReading(draw_w=self._draw_w(), measured_at=datetime.now(UTC), source="simulated")

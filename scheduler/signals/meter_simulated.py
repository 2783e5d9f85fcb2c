"""The site meter of a simulated site: says what the simulated devices draw. It has no error and no delay."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime

from scheduler.core.snapshot import MeterReading
from scheduler.errors import MeterError


def utc_now() -> datetime:
    """The real time."""
    return datetime.now(UTC)


class SimulatedMeter:
    """Reads `draw_w`: watts of the whole site, overhead and auxiliary included, as last reported by its groups."""

    def __init__(self, draw_w: Callable[[], float], *, now: Callable[[], datetime] = utc_now) -> None:
        self._draw_w = draw_w
        self._now = now

    async def read(self) -> MeterReading:
        """The draw of this instant. Raises `MeterError` for what is no draw."""
        draw_w = self._draw_w()
        if not (math.isfinite(draw_w) and draw_w >= 0):
            raise MeterError(f"the simulated meter shows {draw_w!r} W; one of the groups reports nonsense")
        return MeterReading(draw_w=draw_w, measured_at=self._now(), source="simulated")

    async def close(self) -> None:
        """Nothing was opened."""

"""The site meter of a simulated site: says what the simulated devices draw. It has no error and no delay.

A site with a real meter has it as well, as the sum of reports that counts while the real one cannot be read.
"""

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

    def __init__(
        self,
        draw_w: Callable[[], float],
        *,
        now: Callable[[], datetime] = utc_now,
        source: str = "simulated",
    ) -> None:
        self._draw_w, self._now, self._source = draw_w, now, source

    async def read(self) -> MeterReading:
        """The draw of this instant. Raises `MeterError` for what is no draw."""
        draw_w = self._draw_w()
        if not (math.isfinite(draw_w) and draw_w >= 0):
            raise MeterError(
                f"the {self._source} meter shows {draw_w!r} W; one of the groups reports nonsense"
            )
        return MeterReading(draw_w=draw_w, measured_at=self._now(), source=self._source)

    async def close(self) -> None:
        """Nothing was opened."""

"""A state of the site, as sources are told it, with what a test changes of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from scheduler.core.draw_record import DrawRecord
from scheduler.core.site_state import Change, Operating, SiteState
from scheduler.core.snapshot import MeterReading, Quality

T0 = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
CALM = SiteState(
    at=T0,
    draw_w=4200.0,
    quality=Quality.GOOD,
    limit_w=6000.0,
    limit_source="utility",
    planned_w=4500.0,
    state=Operating.RUNNING_NORMAL,
    firm_w=3000.0,
    nameplate_w=9000.0,
    settles_s=20.0,
    changes=(
        Change(within_s=5.0, down_w=2000.0, down_for_s=None, up_w=500.0),
        Change(within_s=30.0, down_w=3000.0, down_for_s=60.0, up_w=1000.0),
        Change(within_s=300.0, down_w=3500.0, down_for_s=60.0, up_w=1500.0),
    ),
    least_w=1000.0,
    wanted_w=1250.0,
    forecast=((T0, 4500.0), (T0 + timedelta(hours=1), 3000.0)),
    forecast_until=T0 + timedelta(hours=24),
)


def state(**changed: Any) -> SiteState:
    """A calm site, but for that."""
    return replace(CALM, **changed)


def record(
    *parts: tuple[float, float], until: datetime = T0, every_s: float = 5.0, planned_w: float = 4500.0
) -> DrawRecord:
    """What the meter showed: so many seconds at so many watts each, the last ending at `until`; then was decided."""
    made = DrawRecord()
    at = until - timedelta(seconds=sum(seconds for seconds, _ in parts))
    for seconds, draw_w in parts:
        for n in range(round(seconds / every_s)):
            made.measured(MeterReading(draw_w=draw_w, measured_at=at + timedelta(seconds=n * every_s)))
        at += timedelta(seconds=seconds)
    made.decided(until - timedelta(seconds=1), planned_w=planned_w, state="RUNNING_CURTAILED")
    made.measured(MeterReading(draw_w=parts[-1][1], measured_at=until))
    return made

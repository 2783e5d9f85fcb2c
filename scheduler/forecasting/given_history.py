"""What the limit was before the site kept a record of it, from a file that the operator gives."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from scheduler.errors import TraceError
from scheduler.predictions import QUARTER, Quarter, before
from scheduler.sim.asked import TRACE_START
from scheduler.sim.maps import parse_power_map
from scheduler.sim.power_file import read_power

_OPTION: Final = "forecast.history.map"
_FIRST_YEAR: Final = 2000


def read_history(path: Path, power_map: str) -> tuple[Quarter, ...]:
    """The means of the whole quarters of an hour that the file covers. Raises `TraceError`."""
    asked = parse_power_map(power_map, option=_OPTION)
    power = read_power(path, asked, start=TRACE_START, days=None, name=path.name)
    begins_at = power.begins_at
    if begins_at is None or begins_at.year < _FIRST_YEAR:
        raise TraceError(
            f"{path}: its times have no dates; a history needs them: name another time column in {_OPTION}"
        )
    ends_at = begins_at + timedelta(seconds=power.window_s)
    steps = [(begins_at + timedelta(seconds=at_s), limit_w) for at_s, limit_w in power.trace.steps]
    return means(steps, ends_at=ends_at)


def means(steps: Sequence[tuple[datetime, float]], *, ends_at: datetime) -> tuple[Quarter, ...]:
    """Watts that stand from each time to the next, by the whole quarter of an hour between the first and the end."""
    first_at = before(steps[0][0] + QUARTER - timedelta(microseconds=1))
    found, step = [], 0
    for number in range((ends_at - first_at) // QUARTER):
        at = first_at + number * QUARTER
        watt_s, moment = 0.0, at
        while moment < at + QUARTER:
            while step + 1 < len(steps) and steps[step + 1][0] <= moment:
                step += 1
            next_at = steps[step + 1][0] if step + 1 < len(steps) else ends_at
            until = min(next_at, at + QUARTER)
            watt_s += steps[step][1] * (until - moment).total_seconds()
            moment = until
        found.append(Quarter(at=at, limit_w=watt_s / QUARTER.total_seconds()))
    return tuple(found)

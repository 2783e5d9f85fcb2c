"""The history of the limit on an even grid of quarters of an hour, and what a forecast may know of a moment to come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from scheduler.predictions import QUARTER, Quarter

DAY = int(timedelta(days=1) / QUARTER)
WEEK = 7 * DAY
_DAYS_SEEN = 7

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """Mean watts of each quarter from `starts_at` on; NaN where they are not known."""

    starts_at: datetime
    limits_w: Floats

    def __len__(self) -> int:
        return len(self.limits_w)

    def index(self, at: datetime) -> int:
        """Which quarter begins at `at`; negative before the first one."""
        return (at - self.starts_at) // QUARTER

    def day_share(self) -> float:
        """How many days of it are known."""
        return float(np.isfinite(self.limits_w).sum()) / DAY

    def at(self, indices: Indices) -> Floats:
        """The watts of these quarters; NaN outside."""
        inside = (indices >= 0) & (indices < len(self))
        return np.where(inside, self.limits_w[np.where(inside, indices, 0)], np.nan)


def timeline(quarters: Sequence[Quarter], *, until: datetime) -> Timeline:
    """The quarters, which begin on quarters of an hour and rise in time, up to the one that ends at `until`.

    There is at least one of them, before `until`.
    """
    starts_at = quarters[0].at
    limits_w = np.full((until - starts_at) // QUARTER, np.nan)
    for quarter in quarters:
        if quarter.at < until:
            limits_w[(quarter.at - starts_at) // QUARTER] = quarter.limit_w
    return Timeline(starts_at=starts_at, limits_w=limits_w)


def same_time_before(leads: Indices) -> Indices:
    """How many quarters before a target the same time of the newest day is that its origin knows whole."""
    return (leads // DAY + 1) * DAY


def features(line: Timeline, origins: Indices, leads: Indices) -> Floats:
    """One row for each pair: what is known at the beginning of quarter `origin` of the quarter `origin + lead`.

    Nothing of it is from `origin` or later. What is not known is NaN.
    """
    targets = origins + leads
    newest = same_time_before(leads)
    days = np.stack([line.at(targets - newest - i * DAY) for i in range(_DAYS_SEEN)])
    last = line.at(origins - 1)
    hour = np.stack([line.at(origins - i) for i in range(1, 5)])
    first = (line.starts_at.hour * 60 + line.starts_at.minute) // 15 + line.starts_at.weekday() * DAY
    of_week = (targets + first) % WEEK
    columns = [
        leads,
        of_week % DAY,
        of_week // DAY,
        last,
        _mean(hour),
        last - line.at(origins - 1 - DAY),
        days[0],
        days[1],
        line.at(targets - WEEK),
        _mean(days),
        np.fmin.reduce(days),
        np.fmax.reduce(days),
    ]
    return np.stack([np.asarray(c, dtype=np.float64) for c in columns], axis=1)


def _mean(rows: Floats) -> Floats:
    """The mean of each column, of those of its values that are known; NaN where none is."""
    known = np.isfinite(rows)
    count = known.sum(axis=0)
    return np.where(count > 0, np.where(known, rows, 0.0).sum(axis=0) / np.maximum(1, count), np.nan)

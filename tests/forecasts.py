"""Histories of the limit, and a book of them without a database."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from scheduler.predictions import QUARTER, Made, Quarter, Told


def sunny(begins_at: datetime, days: float) -> tuple[Quarter, ...]:
    """A site in the sun that never gets less than 160 kW; no two days in a row are alike."""
    found = []
    for i in range(round(days * 96)):
        at = begins_at + i * QUARTER
        height_w = 500_000.0 * (0.6 + 0.4 * math.sin(at.toordinal() * 2.4))
        sun = max(0.0, math.sin((at.hour + at.minute / 60 - 6) / 12 * math.pi))
        found.append(Quarter(at=at, limit_w=160_000.0 + height_w * sun))
    return tuple(found)


class KeptForecasts:
    """The `Forecasts` port in memory."""

    def __init__(self, quarters: Sequence[Quarter] = (), told: Told | None = None) -> None:
        self.quarters = tuple(quarters)
        self.told: list[Told] = [] if told is None else [told]

    def days(self) -> float:
        return len(self.quarters) * (QUARTER / timedelta(days=1))

    def history(self, *, since: datetime, until: datetime) -> tuple[Quarter, ...]:
        return tuple(q for q in self.quarters if since <= q.at < until)

    def kept(self, *, since: datetime) -> tuple[Made, ...]:
        made = {t.made.made_at: t.made for t in self.told if t.made is not None}
        return tuple(made[at] for at in sorted(made) if at >= since)

    def newest(self) -> Told | None:
        return self.told[-1] if self.told else None

    def keep(self, told: Told) -> None:
        self.told.append(told)

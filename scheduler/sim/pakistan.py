"""A summer and a winter of surplus power in Pakistan: shaped, synthetic, seeded. Nobody measured these hours.

No hour-by-hour chronology is public, so the hours are shaped from what is known by the month:

- Generation was 9,140 GWh in January 2026 and 14,218 GWh in August 2025 (ppinewsagency.com; thenews.pk 1373326).
- Hydro gave 8 % of it in January 2026 and 35 to 40 % in summer (the same; 37.5 % is used here).
- 46.6 GW are installed (theindiansubcontinent.com).
- Demand on the grid has a solar trough from 7:00 to 16:00, and the evening, 18:00 to 23:00, is scarce all year
  (brecorder.com 40374996; aaj.tv 330446304).

Two kinds of surplus follow. Cheap midday energy grows and falls with the sun in the trough and is in proportion to the
month's hydro, with summer's as the site's full limit. Idle thermal capacity is offered on winter nights: the share of
what is installed that the mean generation leaves idle. Clouds (a factor a day, wider in the monsoon) and a slow
wandering within the day are drawn from the seed. All else, the evening above all, is at the firm level.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from enum import StrEnum

from scheduler.errors import TraceError
from scheduler.sim.asked import DAY_S
from scheduler.sim.power_file import Power, merged
from scheduler.sim.workload import PowerTrace

STEP_S = 900.0
INSTALLED_GW = 46.6
HOURS_OF_MONTH = 744.0
_TROUGH_H = (7.0, 16.0)
_NIGHT_H = (23.0, 7.0)
_RAMP_H = 1.0
"""How long the night's surplus takes to come and to go."""
_WANDER = 0.03
"""Standard deviation of a quarter hour's change."""
_RETURN = 0.9
"""How much of the wandering is left a quarter of an hour later."""
_ROUND_W = 1000.0


class Season(StrEnum):
    """Which of the two."""

    SUMMER = "summer"
    WINTER = "winter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Month:
    """What is known of it, and how dim its dullest day is (a guess; the best is 1)."""

    generation_gwh: float
    hydro_share: float
    dullest: float
    idle_at_night: bool  #: whether idle thermal capacity is offered

    @property
    def mean_gw(self) -> float:
        """Generation, over the month."""
        return self.generation_gwh / HOURS_OF_MONTH

    @property
    def hydro_gw(self) -> float:
        """Mean, over the month."""
        return self.hydro_share * self.mean_gw


MONTHS = {
    Season.SUMMER: Month(generation_gwh=14_218.0, hydro_share=0.375, dullest=0.6, idle_at_night=False),
    Season.WINTER: Month(generation_gwh=9_140.0, hydro_share=0.08, dullest=0.85, idle_at_night=True),
}


def pakistan_power(
    season: Season, *, days: float, seed: int, full_w: float = 700_000.0, firm_w: float = 160_000.0
) -> Power:
    """The limit from a local midnight (UTC+5) on, in quarter hours of whole kilowatts between firm and full.

    Raises `TraceError` where these make no sense.
    """
    if not 0 <= firm_w < full_w < math.inf:
        raise TraceError(
            f"firm {firm_w:g} W, full {full_w:g} W: write a full level above a firm one from 0 W on"
        )
    if not 0 < days < math.inf:
        raise TraceError(f"--days: {days:g}: a window needs a length; write 7 for a week")
    chance = random.Random(f"{season} {seed}")  # noqa: S311 - a seeded draw
    month, sky, wander = MONTHS[season], 1.0, 0.0
    steps: list[tuple[float, float]] = []
    for quarter in range(math.ceil(days * DAY_S / STEP_S)):
        at_s = quarter * STEP_S
        if at_s % DAY_S == 0:
            sky = chance.uniform(month.dullest, 1.0)
        wander = _RETURN * wander + chance.gauss(0.0, _WANDER)
        limit_w = full_w * surplus(month, at_s % DAY_S / 3600.0) * sky * (1.0 + wander)
        steps.append((at_s, min(full_w, max(firm_w, round(limit_w / _ROUND_W) * _ROUND_W))))
    note = "a shaped, synthetic limit from monthly figures, not a measured one"
    trace = PowerTrace(name=f"pakistan-{season}", steps=merged(steps))
    return Power(trace=trace, window_s=days * DAY_S, notes=(f"{note}; seed {seed}",))


def surplus(month: Month, hour: float) -> float:
    """What a clear day of the month offers at a local hour, as a share of the full limit."""
    begins, ends = _TROUGH_H
    sun = math.sin(math.pi * (hour - begins) / (ends - begins)) if begins < hour < ends else 0.0
    midday = sun * month.hydro_gw / MONTHS[Season.SUMMER].hydro_gw
    idle = (1.0 - month.mean_gw / INSTALLED_GW) * _night(hour) if month.idle_at_night else 0.0
    return max(midday, idle)


def _night(hour: float) -> float:
    """1 at night, 0 by day, a ramp at either end."""
    begins, ends = _NIGHT_H
    since_h, left_h = (hour - begins) % 24.0, (ends - hour) % 24.0
    if since_h + left_h > 24.0 - 1e-9:  # by day: the two go around the clock
        return 0.0
    return min(1.0, since_h / _RAMP_H, left_h / _RAMP_H)

"""The flex offer: by how many watts the site's draw could be changed at short notice, by what means, for how long.

Magnitude, timing, duration and frequency, as EPRI's Flex MOSAIC classes large loads. Watts are at the site meter, by
entitlement as everything that keeps the limit, whole ones, rounded down. What is offered within some seconds can be
asked for in one step: a limit lowered by as much is kept, and work that is firm goes on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from scheduler.core.plan import EPSILON_W

HORIZONS_S = (5.0, 30.0, 300.0)  #: for which the offer is told


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """One way to lower or to raise the draw, on top of those before it."""

    name: str
    power_w: float
    after_s: float  #: from the signal on, at the latest
    w_per_s: float = math.inf  #: the ramp from then on
    holds_s: float | None = None  #: for so long it costs no more than that; None = no end
    again_after_s: float = 0.0  #: as much can be had anew so long after it was given back
    tiers_w: Mapping[int, float] = field(default_factory=dict)  #: whose work pays for it, by flex tier

    @property
    def within_s(self) -> float:
        """When all of it has come."""
        return self.after_s + self.power_w / self.w_per_s

    def within_w(self, seconds: float) -> float:
        """What of it has come so long after the signal."""
        if seconds < self.after_s:
            return 0.0
        if seconds >= self.within_s:
            return self.power_w
        return whole_w((seconds - self.after_s) * self.w_per_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlexOffer:
    """What could go, and what could be added, each by all of its means together."""

    at: datetime
    planned_w: float  #: what the site is entitled to now
    down: tuple[Means, ...] = ()
    up: tuple[Means, ...] = ()

    def down_w(self, within_s: float) -> float:
        """Watts that could go within so many seconds."""
        return sum(means.within_w(within_s) for means in self.down)

    def up_w(self, within_s: float) -> float:
        """Watts that could be added within so many seconds, if the limit allowed it."""
        return sum(means.within_w(within_s) for means in self.up)

    def left_w(self, within_s: float) -> float:
        """What is left of the draw once all that could go within so many seconds has gone."""
        return self.planned_w - self.down_w(within_s)


def whole_w(power_w: float) -> float:
    """Whole watts, rounded down but for what sums may differ by."""
    return float(max(0, math.floor(power_w + EPSILON_W / 2)))


def by_tier(terms: Iterable[tuple[int, float]], at_most_w: float = math.inf) -> dict[int, float]:
    """Whole watts of each tier, the most flexible first, in all no more than `at_most_w`."""
    found: dict[int, list[float]] = {}
    for tier, power_w in terms:
        found.setdefault(tier, []).append(power_w)
    tiers_w: dict[int, float] = {}
    for tier in sorted(found, reverse=True):
        left_w = at_most_w - math.fsum(tiers_w.values())
        power_w = whole_w(min(math.fsum(found[tier]), left_w))  # the same in whatever order they came
        if power_w:
            tiers_w[tier] = power_w
    return tiers_w

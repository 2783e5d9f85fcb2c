"""What the API shows of shadow mode. As `barq.views`."""

from __future__ import annotations

from typing import TypedDict


class ShadowNow(TypedDict):
    """What the site draws by its own meter, beside what its twin draws, W at the site meter."""

    at: str
    limit_w: float
    twin_w: float
    real_w: float | None
    real_at: str | None
    real_source: str | None
    real_missing: str  #: why there is no reading


class ShadowSide(TypedDict):
    """A day of the real site, or of its twin, by its own meter."""

    covered_s: float
    uncovered_s: float
    offered_wh: float
    drawn_wh: float
    unused_wh: float
    ai_wh: float | None
    miners_wh: float | None
    over_s: float
    over_wh: float
    worst_over_w: float
    worst_at: str | None
    withdrawals: int
    complied: int
    comply_mean_s: float | None
    comply_max_s: float | None


class ShadowDifference(TypedDict):
    """The twin less the real site, over the seconds in which both are known."""

    compared_s: float
    drawn_wh: float
    unused_wh: float
    over_s: float
    over_wh: float
    worst_over_w: float
    comply_max_s: float | None


class ShadowDay(TypedDict):
    """One UTC day of both."""

    day: str
    real: ShadowSide | None
    twin: ShadowSide
    difference: ShadowDifference | None
    jobs_paused: int
    jobs_finished: int


class ShadowDays(TypedDict):
    """Days of shadow mode, the newest first."""

    shadow: bool
    days: list[ShadowDay]

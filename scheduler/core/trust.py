"""Whose figure of the site's draw counts: the meter's while it can be read, then the sum of what devices report.

The meter judges even where the reports disagree, for it sees what nobody reports. That they disagree is an alarm.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from scheduler.core.snapshot import MeterReading, Quality


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """How long a meter is waited for, and how far it may be from the reports."""

    fresh_s: float  #: age up to which a reading is of now
    stale_after_s: float  #: beyond it the reports take over
    tolerance: float  #: share of the greater of both figures that they may differ by,
    tolerance_w: float  #: or so many W, whichever is more
    disagree_after_s: float  #: for so long before it is an alarm: reports lag behind the meter


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """How meter and reports agree."""

    since_at: datetime | None = None  #: they disagree, None while they agree
    alarmed: bool = False  #: for so long that somebody has to look


def judged(
    metered: MeterReading | None, reported: MeterReading | None, at: datetime, trust: Trust, *, refused: bool
) -> MeterReading | None:
    """The reading that counts at `at`, with its quality; `refused` = the meter answers, but nothing that can be.

    None where there is none: the meter is not to be had, and neither is the sum of reports.
    """
    age_s = float("inf") if metered is None else (at - metered.measured_at).total_seconds()
    if metered is None or age_s > trust.stale_after_s:
        return None if reported is None else replace(reported, quality=Quality.ESTIMATED)
    if refused:
        return replace(metered, quality=Quality.BAD)
    return replace(metered, quality=Quality.GOOD if age_s <= trust.fresh_s else Quality.STALE)


def disagrees(metered_w: float, reported_w: float, trust: Trust) -> bool:
    """Whether the figures differ by more than both tolerances."""
    allowed_w = max(trust.tolerance_w, trust.tolerance * max(metered_w, reported_w))
    return abs(metered_w - reported_w) > allowed_w


def doubted(doubt: Doubt, at: datetime, metered_w: float, reported_w: float, trust: Trust) -> Doubt:
    """What is thought of the meter after two figures of one instant."""
    if not disagrees(metered_w, reported_w, trust):
        return Doubt()
    since_at = doubt.since_at or at
    lasted_s = (at - since_at).total_seconds()
    return Doubt(since_at=since_at, alarmed=doubt.alarmed or lasted_s >= trust.disagree_after_s)

"""Whose figure of the site's draw counts: the first meter's that can be read, then the sum of what devices report.

A meter judges even where those behind it disagree, for it sees what nobody reports. That they disagree is an alarm.
"""

from __future__ import annotations

from collections.abc import Sequence
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one meter last had to say."""

    reading: MeterReading | None  #: the newest sound one, None = there was none yet
    trust: Trust
    refused: bool = False  #: it answers now, but nothing that can be

    def counts(self, at: datetime) -> bool:
        """Whether its reading is not too old to count."""
        return self.reading is not None and _age_s(self.reading, at) <= self.trust.stale_after_s


def judged(looks: Sequence[Look], reported: MeterReading | None, at: datetime) -> MeterReading | None:
    """The reading that counts at `at`, with its quality: of the first of these meters that has one, else the reports.

    Whatever stands in for the first meter is an estimate. None where there is none: no meter is to be had, and neither
    is the sum of reports.
    """
    for nth, look in enumerate(looks):
        if look.reading is not None and look.counts(at):
            return _stands_in(look.reading) if nth else _of_now(look.reading, look, at)
    return None if reported is None else _stands_in(reported)


def _of_now(reading: MeterReading, look: Look, at: datetime) -> MeterReading:
    if look.refused:
        return replace(reading, quality=Quality.BAD)
    is_fresh = _age_s(reading, at) <= look.trust.fresh_s
    return reading if is_fresh else replace(reading, quality=Quality.STALE)


def _stands_in(reading: MeterReading) -> MeterReading:
    return replace(reading, quality=Quality.ESTIMATED)


def _age_s(reading: MeterReading, at: datetime) -> float:
    return (at - reading.measured_at).total_seconds()


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

"""What the API shows in a compliance report. As `barq.views`."""

from __future__ import annotations

from typing import NotRequired, TypedDict


class TallyView(TypedDict):
    """Sums over a stretch of time: Wh at the site meter, seconds by what the reading was worth."""

    covered_s: float
    good_s: float
    estimated_s: float
    stale_s: float
    bad_s: float
    unmetered_s: float
    over_limit_s: float
    limit_wh: float
    draw_wh: float
    firm_wh: float
    granted_wh: float
    breach_wh: float
    unclassed_wh: float
    ai_wh: float
    rest_wh: float
    miners_wh: float
    unused_wh: float


class EvidenceView(TypedDict):
    """What one grant allowed in a quarter of an hour."""

    source: str
    provenance: str
    document: str
    feeder: str
    starts_at: str | None
    newest_at: str | None
    ends_at: str | None
    is_stale: bool
    intervals: int
    least_w: float
    most_w: float
    covered_s: float
    over_limit_s: float
    firm_wh: float
    granted_wh: float
    breach_wh: float


class PeakView(TypedDict):
    """A highest mean draw, and when its quarter began."""

    draw_w: float
    starts_at: str


class QuarterView(TypedDict):
    """One quarter of an hour, with its corrections added."""

    starts_at: str
    tally: TallyView
    peak_minute_w: float | None
    evidence: list[EvidenceView]


class CorrectionView(TypedDict):
    """What was added to a quarter afterwards."""

    starts_at: str
    number: int
    tally: TallyView
    reason: str
    by: str
    recorded_at: str | None


class DayView(TypedDict):
    """One day of the calendar, in the report's time zone."""

    day: str
    length_s: float
    tally: TallyView
    peak_quarter: PeakView | None
    peak_minute: PeakView | None


class GrantedView(TypedDict):
    """What one document allowed in all."""

    source: str
    document: str
    feeder: str
    provenance: str
    intervals: int
    since_at: str | None
    covered_s: float
    firm_wh: float
    granted_wh: float
    breach_wh: float


class BreachView(TypedDict):
    """A quarter in which more was drawn than was allowed."""

    starts_at: str
    over_limit_s: float
    breach_wh: float
    evidence: list[EvidenceView]


class ComplianceView(TypedDict):
    """A month: what was drawn, by class, with the evidence."""

    site: str
    month: str
    tz: str
    firm_w: float | None
    since_at: str
    until_at: str
    length_s: float
    running: NotRequired[bool]  #: the month is not over: all figures are until now
    tally: TallyView
    peak_quarter: PeakView | None
    peak_minute: PeakView | None
    days: list[DayView]
    grants: list[GrantedView]
    breaches: list[BreachView]
    quarters: list[QuarterView]
    corrections: list[CorrectionView]

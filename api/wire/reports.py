"""Reports of energy on the wire: each quarter of an hour with what allowed it."""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from api.wire.parts import Sent, Shown, example
from api.wire.signals import Instant
from api.wire.why import Why

_MONTH: Final = r"^[0-9]{4}-[0-9]{2}$"
_YEARS: Final = range(2000, 2200)
MAX_WH: Final = 1e12


def _is_month(text: str) -> str:
    found = re.fullmatch(_MONTH, text)
    if not found or int(text[:4]) not in _YEARS or not 1 <= int(text[5:]) <= 12:  # noqa: PLR2004 - months of a year
        raise ValueError(
            f"there is no such month; write one of the years {_YEARS.start} to {_YEARS.stop - 1}, like 2026-10"
        )
    return text


def _is_zone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("there is no such time zone; use an IANA name like Asia/Karachi") from error
    return text


Month = Annotated[str, Field(json_schema_extra={"pattern": _MONTH}), AfterValidator(_is_month)]


class ReportQuery(BaseModel):
    """Which month, of the calendar in which time zone."""

    model_config = ConfigDict(extra="forbid")

    month: Month = Field(description="A month like 2026-10")
    tz: Annotated[str, Field(max_length=64), AfterValidator(_is_zone)] = Field(
        "UTC", description="Time zone in which the month and its days begin"
    )


TALLY: Final[dict[str, Any]] = {
    "covered_s": 900.0,
    "good_s": 898.0,
    "estimated_s": 0.0,
    "stale_s": 2.0,
    "bad_s": 0.0,
    "unmetered_s": 0.0,
    "over_limit_s": 0.0,
    "limit_wh": 3000.0,
    "draw_wh": 2850.0,
    "firm_wh": 2000.0,
    "granted_wh": 850.0,
    "breach_wh": 0.0,
    "unclassed_wh": 0.0,
    "ai_wh": 1500.0,
    "rest_wh": 850.0,
    "miners_wh": 500.0,
    "unused_wh": 150.0,
}
CHANGED: Final[dict[str, Any]] = dict.fromkeys(TALLY, 0.0) | {"draw_wh": -120.0, "granted_wh": -120.0}
EVIDENCE: Final[dict[str, Any]] = {
    "source": "feeder-12",
    "provenance": "day-ahead notice 118",
    "document": "feeder-12.csv (SHA-256 5d41402abc4b2a76)",
    "feeder": "feeder-12",
    "starts_at": "2026-10-01T13:00:00Z",
    "newest_at": "2026-10-01T13:00:00Z",
    "ends_at": "2026-10-01T18:00:00Z",
    "is_stale": False,
    "intervals": 1,
    "least_w": 12_000.0,
    "most_w": 12_000.0,
    "covered_s": 900.0,
    "over_limit_s": 0.0,
    "firm_wh": 2000.0,
    "granted_wh": 850.0,
    "breach_wh": 0.0,
}
PEAK: Final[dict[str, Any]] = {"draw_w": 11_400.0, "starts_at": "2026-10-01T13:00:00Z"}


class TallyView(Shown):
    """Sums over a stretch of time: Wh at the site meter, seconds by what the reading was worth."""

    covered_s: float = Field(description="Seconds that were sampled")
    good_s: float
    estimated_s: float
    stale_s: float
    bad_s: float
    unmetered_s: float = Field(description="Sampled while there was no reading at all")
    over_limit_s: float
    limit_wh: float = Field(description="What could have been drawn under the limit in force")
    draw_wh: float
    firm_wh: float
    granted_wh: float = Field(description="Above the firm level, and allowed by a source")
    breach_wh: float = Field(description="Above what anybody allowed within the reaction time")
    unclassed_wh: float = Field(description="Drawn when nobody noted what allowed it")
    ai_wh: float
    rest_wh: float
    miners_wh: float
    unused_wh: float


class EvidenceView(Shown):
    """What one grant allowed in a quarter; `intervals` above 1 = several of its intervals, counted together."""

    source: str
    provenance: str
    document: str
    feeder: str
    starts_at: datetime | None
    newest_at: datetime | None
    ends_at: datetime | None = Field(description="As known then; null = until further notice")
    is_stale: bool
    intervals: int
    least_w: float
    most_w: float
    covered_s: float
    over_limit_s: float
    firm_wh: float
    granted_wh: float
    breach_wh: float


class PeakView(Shown):
    """A highest mean draw, and when its quarter began."""

    draw_w: float
    starts_at: datetime


class QuarterView(Shown):
    """One quarter of an hour, [starts_at, starts_at + 15 min), with its corrections added."""

    starts_at: datetime
    tally: TallyView
    peak_minute_w: float | None
    evidence: list[EvidenceView]


Change = Annotated[float, Field(ge=-MAX_WH, le=MAX_WH)]


class NewCorrection(Sent):
    """Adds to the energy of a quarter of an hour that is over, Wh by class; below 0 takes away."""

    model_config = ConfigDict(
        json_schema_extra=example(
            quarter_at="2026-10-01T13:00:00Z", granted_wh=-120.0, reason="the meter's log, certificate 88"
        )
    )

    quarter_at: Instant = Field(description="When it begins: :00, :15, :30 or :45")
    firm_wh: Change = 0.0
    granted_wh: Change = 0.0
    breach_wh: Change = 0.0
    reason: Why = Field(description="Shown in each report of that time")


class CorrectionView(Shown):
    """What was added to a quarter afterwards, by whom and why."""

    model_config = ConfigDict(
        json_schema_extra=example(
            starts_at="2026-10-01T13:00:00Z",
            number=1,
            tally=CHANGED,
            reason="the meter's log, certificate 88",
            by="asma",
            recorded_at="2026-11-02T09:30:00Z",
        )
    )

    starts_at: datetime
    number: int
    tally: TallyView
    reason: str
    by: str
    recorded_at: datetime | None


class DayView(Shown):
    """One day of the calendar, in the report's time zone."""

    day: date
    length_s: float
    tally: TallyView
    peak_quarter: PeakView | None
    peak_minute: PeakView | None


class GrantedView(Shown):
    """What one document allowed in all."""

    source: str
    document: str
    feeder: str
    provenance: str
    intervals: int
    since_at: datetime | None
    covered_s: float
    firm_wh: float
    granted_wh: float
    breach_wh: float


class BreachView(Shown):
    """A quarter in which more was drawn than was allowed, and what was allowed then."""

    starts_at: datetime
    over_limit_s: float
    breach_wh: float
    evidence: list[EvidenceView]


class ComplianceReport(Shown):
    """What was drawn in a month, by class, with the evidence for each quarter of an hour."""

    model_config = ConfigDict(
        json_schema_extra=example(
            site="demo",
            month="2026-10",
            tz="Asia/Karachi",
            firm_w=8000.0,
            since_at="2026-09-30T19:00:00Z",
            until_at="2026-10-31T19:00:00Z",
            length_s=2_678_400.0,
            running=False,
            tally=TALLY,
            peak_quarter=PEAK,
            peak_minute=PEAK,
            days=[
                {
                    "day": "2026-10-01",
                    "length_s": 86_400.0,
                    "tally": TALLY,
                    "peak_quarter": PEAK,
                    "peak_minute": PEAK,
                }
            ],
            grants=[
                {
                    "source": "feeder-12",
                    "document": "feeder-12.csv (SHA-256 5d41402abc4b2a76)",
                    "feeder": "feeder-12",
                    "provenance": "day-ahead notice 118",
                    "intervals": 1,
                    "since_at": "2026-10-01T13:00:00Z",
                    "covered_s": 900.0,
                    "firm_wh": 2000.0,
                    "granted_wh": 850.0,
                    "breach_wh": 0.0,
                }
            ],
            breaches=[],
            quarters=[
                {
                    "starts_at": "2026-10-01T13:00:00Z",
                    "tally": TALLY,
                    "peak_minute_w": 11_400.0,
                    "evidence": [EVIDENCE],
                }
            ],
            corrections=[],
        )
    )

    site: str
    month: str
    tz: str
    firm_w: float | None = Field(description="The firm level as it is now; null = not known yet")
    since_at: datetime
    until_at: datetime
    length_s: float = Field(description="How much of the month has passed")
    running: bool = Field(default=False, description="The month is not over: all figures are until now")
    tally: TallyView
    peak_quarter: PeakView | None
    peak_minute: PeakView | None
    days: list[DayView]
    grants: list[GrantedView] = Field(description="Documents that allowed power, the most energy first")
    breaches: list[BreachView]
    quarters: list[QuarterView]
    corrections: list[CorrectionView]

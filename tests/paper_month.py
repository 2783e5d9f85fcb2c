"""A made-up month, as the API would show it, and the files that a utility would send of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from api.wire.reports import ComplianceReport
from scheduler.core.accounting import QUARTER, Evidence, Quarter, Tally
from scheduler.core.compliance_report import Report, month_of, report_of

BRUSSELS = ZoneInfo("Europe/Brussels")
YEAR, MONTH = 2026, 10  #: in which the clocks of Brussels go back
FIRM_WH = 1000.0
"""Of a quarter of an hour."""
Draw = Callable[[int], float]
"""Wh by the number of the quarter."""


def steady(number: int) -> float:
    """A little more in each quarter of a day."""
    return 2000.0 + number % 96


def starts(hours: float | None = None) -> list[datetime]:
    """When the quarters of the month begin, or of its first hours."""
    since, until = (at.astimezone(UTC) for at in month_of(YEAR, MONTH, BRUSSELS))
    until = until if hours is None else since + timedelta(hours=hours)
    return [since + QUARTER * i for i in range(int((until - since) / QUARTER))]


def quarter(at: datetime, draw_wh: float, *, document: str = "notice 118", breach_wh: float = 0.0) -> Quarter:
    """A whole quarter that one document allowed, but for the breach."""
    granted_wh = draw_wh - FIRM_WH - breach_wh
    over_s = 60.0 if breach_wh else 0.0
    evidence = Evidence(
        source="grid",
        provenance="row 7",
        document=document,
        feeder="f12",
        starts_at=at,
        newest_at=at,
        ends_at=at + QUARTER,
        least_w=8000.0,
        most_w=8000.0,
        covered_s=900.0,
        over_limit_s=over_s,
        firm_wh=FIRM_WH,
        granted_wh=granted_wh,
        breach_wh=breach_wh,
    )
    tally = Tally(
        covered_s=900.0,
        good_s=900.0,
        over_limit_s=over_s,
        limit_wh=2000.0,
        draw_wh=draw_wh,
        firm_wh=FIRM_WH,
        granted_wh=granted_wh,
        breach_wh=breach_wh,
        ai_wh=draw_wh,
    )
    return Quarter(starts_at=at, tally=tally, peak_minute_w=draw_wh * 4 + 100, evidence=(evidence,))


def month(draw: Draw = steady, *, without: Iterable[int] = (), hours: float | None = None) -> list[Quarter]:
    """The month's quarters, but for the numbers in `without`."""
    left_out = set(without)
    return [quarter(at, draw(i)) for i, at in enumerate(starts(hours)) if i not in left_out]


def shown(quarters: list[Quarter], *, zone: ZoneInfo = BRUSSELS, now: datetime | None = None) -> Any:
    """The report of the month, as the API shows it."""
    since, until = (at.astimezone(UTC) for at in month_of(YEAR, MONTH, zone))
    report = report_of(quarters, since=since, until=until, now=now or until, zone=zone)
    about = {"site": "demo", "month": f"{YEAR}-{MONTH}", "tz": zone.key, "firm_w": FIRM_WH * 4}
    known = {f.name: getattr(report, f.name) for f in fields(Report)}
    return ComplianceReport.model_validate(about | known).model_dump(mode="json")


def whole_month() -> Any:
    """The report of the month as it is without anything missing; each has a copy of its own."""
    return json.loads(_whole_month())


@cache
def _whole_month() -> str:
    return json.dumps(shown(month()))


def meter_csv(draw: Draw = steady, *, without: Iterable[int] = (), hours: float | None = None) -> str:
    """What the utility's meter saw, kWh by quarter, with the times that the clocks of Brussels show."""
    left_out = set(without)
    rows = [
        f"{at.astimezone(BRUSSELS):%Y-%m-%d %H:%M},{draw(i) / 1000:.4f}"
        for i, at in enumerate(starts(hours))
        if i not in left_out
    ]
    return "\n".join(["time,kWh", *rows, ""])

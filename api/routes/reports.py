"""Reports of what the site drew, and who allowed it."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query

from api.context import Context, Here, Person
from api.problems import Refused
from api.wire.reports import ComplianceReport, CorrectionView, NewCorrection, ReportQuery
from scheduler.core.compliance_report import Report, month_of, report_of
from scheduler.store.corrections import Correction

router = APIRouter(prefix="/reports", tags=["reports"])


@router.get("/compliance")
def compliance_report(query: Annotated[ReportQuery, Query()], here: Here) -> ComplianceReport:
    """Show a month: energy by class, who granted it, breaches, and each quarter of an hour with its evidence."""
    zone, now = ZoneInfo(query.tz), datetime.now(UTC)
    since, until = (at.astimezone(UTC) for at in month_of(int(query.month[:4]), int(query.month[5:]), zone))
    quarters = here.desk.quarters(since, until)
    if since > now and not quarters:  # of a clock that was ahead there may be some
        raise _not_begun(query, since, now, zone)
    report = report_of(quarters, since=since, until=until, now=now, zone=zone)
    known = {f.name: getattr(report, f.name) for f in fields(Report)}
    about = {
        "site": here.settings.site,
        "month": query.month,
        "tz": query.tz,
        "firm_w": _firm_w(here),
        "running": since <= now < until,
    }
    return ComplianceReport.model_validate(about | known)


@router.post("/corrections", status_code=201)
def correct_quarter(body: NewCorrection, here: Here, person: Person) -> CorrectionView:
    """Add to the energy of a quarter of an hour that is over. It stays listed, with who did it and why."""
    correction = Correction(
        quarter_at=body.quarter_at,
        firm_wh=body.firm_wh,
        granted_wh=body.granted_wh,
        breach_wh=body.breach_wh,
        reason=body.reason,
        by=person,
    )
    return CorrectionView.model_validate(here.desk.correct_quarter(correction))


def _not_begun(query: ReportQuery, since: datetime, now: datetime, zone: ZoneInfo) -> Refused:
    begins, current = f"{since.astimezone(zone):%Y-%m-%d %H:%M}", f"{now.astimezone(zone):%Y-%m}"
    detail = f"month: {query.month} has not begun: it begins at {begins} ({query.tz})"
    remedy = f"give a month up to {current}, which is running"
    return Refused(422, "invalid_field", detail, field="month", value=query.month, remedy=remedy)


def _firm_w(here: Context) -> float | None:
    document = here.desk.current("power")
    return None if document is None else float(json.loads(document.text)["firm_w"])

"""What a compliance report says, as facts and rows of text: the same on the terminal and on the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from barq.units import format_duration, format_power

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from barq.reporting.comparison import Comparison
    from barq.reporting.views import (
        ComplianceView,
        DayView,
        EvidenceView,
        PeakView,
        TallyView,
    )

Rows = tuple[Sequence[str], Sequence[Sequence[str]]]
"""Headers and rows."""
NOTHING: Final = "-"
_DAY_S: Final = 86_400.0


def kwh(energy_wh: float) -> str:
    """Energy for people who add it up: always in kWh, to the watt-hour."""
    return f"{energy_wh / 1000:,.3f} kWh"


def so_far(report: ComplianceView, zone: ZoneInfo) -> str:
    """Until when the figures of a month are that is not over; empty for one that is."""
    if not report.get("running"):
        return ""
    until_at = datetime.fromisoformat(report["since_at"]) + timedelta(seconds=report["length_s"])
    return f"the month is running: all figures are until {until_at.astimezone(zone):%Y-%m-%d %H:%M}"


def summary_facts(report: ComplianceView, zone: ZoneInfo) -> list[tuple[str, str]]:
    """The month in a few lines."""
    tally = report["tally"]
    facts = [
        ("drawn", kwh(tally["draw_wh"])),
        ("surplus granted", kwh(tally["granted_wh"])),
        ("firm", kwh(tally["firm_wh"])),
        ("breach", f"{kwh(tally['breach_wh'])}, {tally['over_limit_s']:.0f} s over the limit"),
    ]
    if tally["unclassed_wh"]:
        facts.append(("not classed", f"{kwh(tally['unclassed_wh'])}: nobody noted what allowed it"))
    return [
        *facts,
        (
            "by use",
            f"AI {kwh(tally['ai_wh'])}, miners {kwh(tally['miners_wh'])}, rest {kwh(tally['rest_wh'])}",
        ),
        ("allowed in all", kwh(tally["limit_wh"])),
        ("peak of 15 min", _peak(report["peak_quarter"], zone)),
        ("peak of 1 min", _peak(report["peak_minute"], zone)),
        ("covered", _covered(tally, report["length_s"])),
        ("readings", _quality(tally)),
    ]


def day_rows(report: ComplianceView) -> Rows:
    """A row for each day."""
    headers = ("DAY", "DRAWN", "GRANTED", "FIRM", "BREACH", "OVER", "PEAK 15 MIN", "COVERED")
    return headers, [_day(day) for day in report["days"]]


def grant_rows(report: ComplianceView) -> Rows:
    """A row for each document."""
    headers = ("SOURCE", "GRANTED", "FIRM UNDER IT", "BREACH", "FOR", "INTERVALS", "FEEDER", "DOCUMENT")
    rows = [
        (
            g["source"],
            kwh(g["granted_wh"]),
            kwh(g["firm_wh"]),
            kwh(g["breach_wh"]),
            format_duration(g["covered_s"]),
            str(g["intervals"]),
            g["feeder"] or NOTHING,
            g["document"] or g["provenance"] or NOTHING,
        )
        for g in report["grants"]
    ]
    return headers, rows


def breach_rows(report: ComplianceView, zone: ZoneInfo) -> Rows:
    """A row for each quarter in which the limit was broken."""
    rows = [
        (
            _moment(b["starts_at"], zone),
            f"{b['over_limit_s']:.0f} s",
            kwh(b["breach_wh"]),
            "; ".join(_judged(e, zone) for e in b["evidence"]) or NOTHING,
        )
        for b in report["breaches"]
    ]
    return ("QUARTER FROM", "OVER", "BREACH", "ALLOWED WAS"), rows


def correction_rows(report: ComplianceView, zone: ZoneInfo) -> Rows:
    """A row for each correction."""
    rows = [
        (
            _moment(c["starts_at"], zone),
            kwh(c["tally"]["draw_wh"]),
            c["by"],
            _moment(c["recorded_at"], zone) if c["recorded_at"] else NOTHING,
            c["reason"],
        )
        for c in report["corrections"]
    ]
    return ("QUARTER FROM", "CHANGE", "BY", "RECORDED", "REASON"), rows


def meter_facts(comparison: Comparison, zone: ZoneInfo) -> list[tuple[str, str]]:
    """What the comparison with the revenue meter comes to."""
    totals = comparison.totals()
    percent, peak_at = totals["difference_percent"], totals["meter_peak_at"]
    slot = format_duration(comparison.slot_s)
    facts = [
        ("file", f"{comparison.file}, every {format_duration(comparison.cadence_s)}"),
        ("compared", f"{len(comparison.both)} of {len(comparison.slots)} intervals of {slot}"),
        ("by the meter", kwh(totals["meter_wh"])),
        ("here, in the same", kwh(totals["here_wh"])),
        (
            "difference",
            f"{totals['difference_wh']:+,.1f} Wh" + (f" ({percent:+.3f} %)" if percent is not None else ""),
        ),
        ("granted, by the meter", kwh(totals["meter_granted_wh"])),
        ("firm, by the meter", kwh(totals["meter_firm_wh"])),
        ("breach, by the meter", kwh(totals["meter_breach_wh"])),
        (
            f"peak of {slot}",
            f"{format_power(totals['meter_peak_w'])} at {_moment(peak_at, zone)}" if peak_at else NOTHING,
        ),
    ]
    if comparison.outside:
        facts.append(("outside", f"{comparison.outside} readings of the file are of another time"))
    return facts


def largest_rows(comparison: Comparison, zone: ZoneInfo) -> Rows:
    """The slots that differ most."""
    rows = [
        (
            _moment(s.starts_at.isoformat(), zone),
            kwh(s.here_wh or 0.0),
            kwh(s.meter_wh or 0.0),
            f"{s.difference_wh or 0.0:+,.1f} Wh",
        )
        for s in comparison.largest
    ]
    return ("FROM", "HERE", "METER", "DIFFERENCE"), rows


def missing_rows(comparison: Comparison, zone: ZoneInfo) -> Rows:
    """What either side does not know, as stretches."""
    sides = (("here", comparison.missing_here), ("in the file", comparison.missing_in_file))
    rows = [
        (side, _moment(a.isoformat(), zone), _moment(b.isoformat(), zone))
        for side, stretches in sides
        for a, b in stretches
    ]
    return ("MISSING", "FROM", "TO"), rows


def _day(day: DayView) -> Sequence[str]:
    tally, peak = day["tally"], day["peak_quarter"]
    return (
        day["day"],
        kwh(tally["draw_wh"]),
        kwh(tally["granted_wh"]),
        kwh(tally["firm_wh"]),
        kwh(tally["breach_wh"]),
        f"{tally['over_limit_s']:.0f} s",
        NOTHING if peak is None else format_power(peak["draw_w"]),
        _share(tally["covered_s"] - tally["unmetered_s"], day["length_s"]),
    )


def _peak(peak: PeakView | None, zone: ZoneInfo) -> str:
    if peak is None:
        return NOTHING
    return f"{format_power(peak['draw_w'])}, in the quarter from {_moment(peak['starts_at'], zone)}"


def _covered(tally: TallyView, length_s: float) -> str:
    metered_s = tally["covered_s"] - tally["unmetered_s"]
    return f"{_share(metered_s, length_s)} of {format_duration(length_s)}"


def _share(part_s: float, whole_s: float) -> str:
    """Never 100 % where something is missing."""
    if whole_s <= 0:
        return NOTHING
    percent = min(100.0, 100.0 * part_s / whole_s)
    return f"{percent:.2f} %" if percent >= 100.0 else f"{min(percent, 99.99):.2f} %"  # noqa: PLR2004 - all


def _quality(tally: TallyView) -> str:
    named = (
        ("good", tally["good_s"]),
        ("estimated", tally["estimated_s"]),
        ("stale", tally["stale_s"]),
        ("bad", tally["bad_s"]),
        ("none", tally["unmetered_s"]),
    )
    return ", ".join(f"{name} {format_duration(seconds)}" for name, seconds in named if seconds) or NOTHING


def _judged(e: EvidenceView, zone: ZoneInfo) -> str:
    """What was allowed by one grant when it was broken."""
    told = [f"{format_power(e['most_w'])} by {e['source']}", e["document"] or e["provenance"]]
    if e["feeder"]:
        told.append(f"feeder {e['feeder']}")
    return ", ".join([part for part in told if part] + list(_since(e, zone)))


def _since(e: EvidenceView, zone: ZoneInfo) -> Iterator[str]:
    if e["starts_at"]:
        until = _moment(e["ends_at"], zone) if e["ends_at"] else "further notice"
        yield f"{_moment(e['starts_at'], zone)} to {until}"


def _moment(at: str, zone: ZoneInfo) -> str:
    """With its offset: in the night in which clocks go back an hour comes twice."""
    return datetime.fromisoformat(at).astimezone(zone).isoformat(sep=" ", timespec="minutes")

"""A compliance report as one HTML page that needs nothing else: no script, no font, no network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from barq.reporting.words import (
    breach_rows,
    correction_rows,
    day_rows,
    grant_rows,
    largest_rows,
    meter_facts,
    missing_rows,
    summary_facts,
)

if TYPE_CHECKING:
    from barq.reporting.comparison import Comparison
    from barq.reporting.views import ComplianceView, DayView

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1a1d21; max-width: 70rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: .5rem 0 2rem; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .25rem .9rem .25rem 0; border-bottom: 1px solid #d8dce1; vertical-align: top }
th { font-weight: 600; color: #4a5158 }
.key { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 1em }
svg { width: 100%; height: auto }
@media print { body { margin: 0; max-width: none } }
"""
_PARTS: Final = (
    ("firm_wh", "firm", "#4c78a8"),
    ("granted_wh", "surplus granted", "#59a14f"),
    ("breach_wh", "breach", "#c1272d"),
    ("unclassed_wh", "not classed", "#9aa0a6"),
)
_WIDTH: Final = 960
_HEIGHT: Final = 220
_FOOT: Final = 24


def page_of(report: ComplianceView, comparison: Comparison | None, *, made_at: datetime) -> str:
    """The whole page."""
    zone = ZoneInfo(report["tz"])
    title = f"Compliance report {report['month']}: {report['site']}"
    made = f"{made_at.astimezone(zone):%Y-%m-%d %H:%M %Z}"
    blocks = [
        f"<h1>{escape(title)}</h1>",
        f"<p>Month and days of the calendar in {escape(report['tz'])}. Made {made}.</p>",
        _facts(summary_facts(report, zone)),
        "<h2>Energy by day</h2>",
        _chart(report["days"]),
        _table(*day_rows(report)),
        "<h2>Documents that granted power</h2>",
        _table(*grant_rows(report)),
        "<h2>Breaches</h2>",
        _table(*breach_rows(report, zone)) if report["breaches"] else "<p>None.</p>",
        *_meter(comparison, zone),
        "<h2>Corrections</h2>",
        _table(*correction_rows(report, zone)) if report["corrections"] else "<p>None.</p>",
        f"<p>{escape(_NOTE)}</p>",
    ]
    return _FRAME.format(title=escape(title), style=_STYLE, body="\n".join(blocks))


_FRAME: Final = """<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<style>{style}</style></head>
<body>
{body}
</body>
</html>
"""
_NOTE: Final = (
    "Firm is what the site may always draw. Surplus granted is what a source allowed on top of it at that moment, "
    "the reaction time that it grants included. Breach is what was drawn above that. What nobody sampled is not "
    "covered, and nothing is made up for it. docs/compliance-report.md has the formulas; the CSV has each quarter of "
    "an hour."
)


def _meter(comparison: Comparison | None, zone: ZoneInfo) -> Iterable[str]:
    if comparison is None:
        return
    yield "<h2>Beside the revenue meter</h2>"
    yield _facts(meter_facts(comparison, zone))
    yield "<h3>Largest differences</h3>"
    yield _table(*largest_rows(comparison, zone)) if comparison.largest else "<p>None.</p>"
    headers, rows = missing_rows(comparison, zone)
    yield "<h3>Missing on either side</h3>"
    yield _table(headers, rows) if rows else "<p>Nothing.</p>"


def _facts(facts: Sequence[tuple[str, str]]) -> str:
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts)
    return f"<table>{rows}</table>"


def _table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in headers)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows)
    return f"<table><tr>{head}</tr>\n{body}</table>"


def _chart(days: Sequence[DayView]) -> str:
    """A bar for each day, its energy by class from the bottom up."""
    top_wh = max((day["tally"]["draw_wh"] for day in days), default=0.0)
    if top_wh <= 0:
        return "<p>Nothing was drawn.</p>"
    step = _WIDTH / len(days)
    bars = "".join(_bar(day, i * step, step, top_wh) for i, day in enumerate(days))
    keys = "".join(
        f'<span class="key" style="background:{colour}"></span>{escape(word)}' for _, word, colour in _PARTS
    )
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + _FOOT}" role="img">{bars}</svg><p>{keys}</p>'


def _bar(day: DayView, x: float, step: float, top_wh: float) -> str:
    tally, y, parts = day["tally"], float(_HEIGHT), []
    sizes = {"firm_wh": tally["firm_wh"], "granted_wh": tally["granted_wh"]}
    sizes |= {"breach_wh": tally["breach_wh"], "unclassed_wh": tally["unclassed_wh"]}
    for name, word, colour in _PARTS:
        height = max(0.0, sizes[name]) / top_wh * _HEIGHT
        y -= height
        told = f"{day['day']}: {sizes[name] / 1000:.1f} kWh {word}"
        parts.append(
            f'<rect x="{x + 1:.1f}" y="{y:.2f}" width="{step - 2:.1f}" height="{height:.2f}" fill="{colour}">'
            f"<title>{escape(told)}</title></rect>"
        )
    at = f'x="{x + step / 2:.1f}" y="{_HEIGHT + 16}"'
    return "".join(parts) + f'<text {at} font-size="11" text-anchor="middle">{day["day"][-2:]}</text>'

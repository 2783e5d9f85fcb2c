"""A compliance report as one HTML page that needs nothing else: no script, no font, no network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from barq.reporting.frame import facts_of, framed, table_of
from barq.reporting.words import (
    breach_rows,
    correction_rows,
    day_rows,
    grant_rows,
    largest_rows,
    meter_facts,
    missing_rows,
    so_far,
    summary_facts,
)
from barq.units import format_energy

if TYPE_CHECKING:
    from barq.reporting.comparison import Comparison
    from barq.reporting.views import ComplianceView, DayView

_PARTS: Final = (
    ("firm_wh", "firm", "#4c78a8"),
    ("granted_wh", "surplus granted", "#59a14f"),
    ("breach_wh", "breach", "#c1272d"),
    ("unclassed_wh", "not classed", "#9aa0a6"),
)
_WIDTH: Final = 960
_HEIGHT: Final = 220
_HEAD: Final = 12  #: half of the highest label, above the chart
_FOOT: Final = 24
_LEFT: Final = 72  #: of the labels
_MOST_STEPS: Final = 5  #: of the scale


def page_of(report: ComplianceView, comparison: Comparison | None, *, made_at: datetime) -> str:
    """The whole page."""
    zone = ZoneInfo(report["tz"])
    title = f"Compliance report {report['month']}: {report['site']}"
    made = f"{made_at.astimezone(zone):%Y-%m-%d %H:%M %Z}"
    blocks = [
        f"<h1>{escape(title)}</h1>",
        f"<p>Month and days of the calendar in {escape(report['tz'])}. Made {made}.</p>",
        *(
            [f"<p><strong>So far: {escape(running)}.</strong></p>"]
            if (running := so_far(report, zone))
            else []
        ),
        facts_of(summary_facts(report, zone)),
        "<h2>Energy by day</h2>",
        _chart(report["days"]),
        table_of(*day_rows(report)),
        "<h2>Documents that granted power</h2>",
        table_of(*grant_rows(report)),
        "<h2>Breaches</h2>",
        table_of(*breach_rows(report, zone)) if report["breaches"] else "<p>None.</p>",
        *_meter(comparison, zone),
        "<h2>Corrections</h2>",
        table_of(*correction_rows(report, zone)) if report["corrections"] else "<p>None.</p>",
        f"<p>{escape(_NOTE)}</p>",
    ]
    return framed(title, blocks)


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
    yield facts_of(meter_facts(comparison, zone))
    yield "<h3>Largest differences</h3>"
    yield table_of(*largest_rows(comparison, zone)) if comparison.largest else "<p>None.</p>"
    headers, rows = missing_rows(comparison, zone)
    yield "<h3>Missing on either side</h3>"
    yield table_of(headers, rows) if rows else "<p>Nothing.</p>"


def _chart(days: Sequence[DayView]) -> str:
    """A bar for each day, its energy by class from the bottom up, before the lines of a scale."""
    top_wh = max((day["tally"]["draw_wh"] for day in days), default=0.0)
    if top_wh <= 0:
        return "<p>Nothing was drawn.</p>"
    scale, step = scale_of(top_wh), (_WIDTH - _LEFT) / len(days)
    lines = "".join(_line(energy_wh, scale[-1]) for energy_wh in scale)
    bars = "".join(_bar(day, _LEFT + i * step, step, scale[-1]) for i, day in enumerate(days))
    keys = "".join(
        f'<span class="key" style="background:{colour}"></span>{escape(word)}' for _, word, colour in _PARTS
    )
    size = f"{_WIDTH} {_HEAD + _HEIGHT + _FOOT}"
    return f'<svg viewBox="0 0 {size}" role="img">{lines}{bars}</svg><p>{keys}</p>'


def scale_of(top_wh: float) -> list[float]:
    """Round energies (Wh) an equal step apart, from none to the first that `top_wh`, more than none, is not above."""
    power = 10.0 ** math.floor(math.log10(top_wh))
    step = power * next(f for f in (0.2, 0.5, 1, 2, 5) if top_wh <= power * f * _MOST_STEPS)
    return [step * i for i in range(math.ceil(top_wh / step) + 1)]


def _line(energy_wh: float, top_wh: float) -> str:
    y = _HEAD + _HEIGHT * (1 - energy_wh / top_wh)
    return (
        f'<line x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#d8dce1"/>'
        f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" font-size="11" text-anchor="end">{format_energy(energy_wh)}</text>'
    )


def _bar(day: DayView, x: float, step: float, top_wh: float) -> str:
    tally, y, parts = day["tally"], float(_HEAD + _HEIGHT), []
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
    at = f'x="{x + step / 2:.1f}" y="{_HEAD + _HEIGHT + 16}"'
    return "".join(parts) + f'<text {at} font-size="11" text-anchor="middle">{day["day"][-2:]}</text>'

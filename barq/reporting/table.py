"""The quarters of a month as a CSV table: one row each, with its evidence, so that anybody can add them up."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from barq.reporting.comparison import Comparison, Slot
    from barq.reporting.views import ComplianceView, EvidenceView, QuarterView

ENERGIES: Final = ("draw_wh", "firm_wh", "granted_wh", "breach_wh", "unclassed_wh")
USES: Final = ("ai_wh", "rest_wh", "miners_wh", "limit_wh", "unused_wh")
SECONDS: Final = ("covered_s", "good_s", "estimated_s", "stale_s", "bad_s", "unmetered_s", "over_limit_s")
METER: Final = ("meter_wh", "difference_wh")
HEADER: Final = (
    "starts_at",
    "local",
    *ENERGIES,
    *USES,
    *SECONDS,
    "peak_minute_w",
    "documents",
    "feeders",
    "evidence",
)


def table_of(report: ComplianceView, comparison: Comparison | None = None) -> str:
    """The whole file. With a meter of longer intervals its two columns stand in the first quarter of each."""
    zone = ZoneInfo(report["tz"])
    slots = {s.starts_at: s for s in comparison.slots} if comparison is not None else {}
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow((*HEADER, *METER) if comparison is not None else HEADER)
    for quarter in report["quarters"]:
        row = list(_row(quarter, zone))
        if comparison is not None:
            row += _meter(slots.get(datetime.fromisoformat(quarter["starts_at"]).astimezone(UTC)))
        writer.writerow(row)
    return out.getvalue()


def _row(quarter: QuarterView, zone: ZoneInfo) -> Iterator[str]:
    starts_at = datetime.fromisoformat(quarter["starts_at"])
    values: dict[str, Any] = {**quarter["tally"]}
    yield starts_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    yield starts_at.astimezone(zone).isoformat(timespec="minutes")
    yield from (_number(values[name]) for name in (*ENERGIES, *USES, *SECONDS))
    yield "" if quarter["peak_minute_w"] is None else _number(quarter["peak_minute_w"])
    for names in (
        (e["document"] or e["provenance"] for e in quarter["evidence"]),
        (e["feeder"] for e in quarter["evidence"]),
    ):
        yield "; ".join(dict.fromkeys(name for name in names if name))
    yield json.dumps([_evidence(e) for e in quarter["evidence"]])


def _evidence(evidence: EvidenceView) -> dict[str, Any]:
    """Without what is empty."""
    return {name: value for name, value in evidence.items() if value not in ("", None)}


def _meter(slot: Slot | None) -> list[str]:
    if slot is None:
        return ["", ""]
    return ["" if wh is None else _number(wh) for wh in (slot.meter_wh, slot.difference_wh)]


def _number(value: float) -> str:
    """As exact as it is: what is added up again comes to the same sums."""
    return repr(float(value))

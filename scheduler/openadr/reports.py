"""From the state of the site to a report: checked requests in, JSON out. Pure.

A report holds watts of the whole site and words, of one resource: the site's meter. No job, no user, no node is in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from scheduler.core.draw_record import Drawn, drawn
from scheduler.core.site_state import SiteState, expected_w
from scheduler.core.snapshot import Quality
from scheduler.openadr.asked import ENERGY, POWER, RESERVATIONS, Payload, Request
from scheduler.openadr.grid import Span

AGGREGATED: Final = "AGGREGATED_REPORT"  #: the name of all resources together
BASELINE_S: Final = 3600.0  #: before an event, of which the mean is its baseline
LEAST_KNOWN: Final = 0.9  #: of an interval; with less of it known, its data is told to be missing
_DIGITS: Final = 3
_QUALITIES: Final[Mapping[Quality, str]] = {
    Quality.GOOD: "OK",
    Quality.ESTIMATED: "ESTIMATED",
    Quality.STALE: "MISSING",
    Quality.BAD: "BAD",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """What is the same in all reports of a site; from the site file."""

    client: str
    resource: str
    shed_within_s: float  #: at what notice load is told to be available


def intervals_of(
    request: Request, spans: Sequence[Span], state: SiteState, heading: Heading
) -> tuple[dict[str, Any], ...]:
    """What is told of each interval, without those of which nothing is known."""
    tell = _ahead if request.timing.ahead else _past
    return tuple(
        {"id": span.id, "intervalPeriod": _period(span.starts_at, span.ends_at), "payloads": payloads}
        for span in spans
        if (payloads := [_valued(p, v) for p, v in tell(request, span, state, heading) if v is not None])
    )


def report_of(request: Request, intervals: Sequence[Mapping[str, Any]], heading: Heading) -> dict[str, Any]:
    """The whole report, with these intervals."""
    return {
        "eventID": request.event_id,
        "clientName": heading.client,
        "reportName": request.name,
        "payloadDescriptors": [_descriptor(p) for p in request.payloads],
        "resources": [
            {
                "resourceName": AGGREGATED if request.aggregate else heading.resource,
                "intervals": list(intervals),
            }
        ],
    }


def _descriptor(payload: Payload) -> dict[str, Any]:
    told = {"objectType": "REPORT_PAYLOAD_DESCRIPTOR", "payloadType": payload.kind}
    told |= {"readingType": payload.reading} if payload.reading else {}
    return told | ({"units": payload.unit} if payload.unit else {})


def _valued(payload: Payload, value: float | str) -> dict[str, Any]:
    return {"type": payload.kind, "values": [value]}


Told = Iterator[tuple[Payload, float | str | None]]


def _past(request: Request, span: Span, state: SiteState, _: Heading) -> Told:
    """Of an interval that began before the record did, nothing is told: it holds no more than a part of it."""
    if not state.past or span.ends_at <= state.past[0].starts_at:
        return
    found = drawn(state.past, span.starts_at, span.ends_at)
    hours = (span.ends_at - span.starts_at) / timedelta(hours=1)
    for payload in request.payloads:
        match payload.kind:
            case "DEMAND":
                watts = found.peak_w if payload.reading == "PEAK" else found.mean_w
                yield payload, _in(watts, payload)
            case "USAGE":
                yield payload, _in(found.mean_w, payload, hours)
            case "BASELINE":
                yield payload, _in(_baseline_w(request, state), payload, hours)
            case "SETPOINT":
                yield payload, _in(found.planned_w, payload)
            case "OPERATING_STATE":
                yield payload, found.state or None
            case "DATA_QUALITY":
                yield payload, _quality(found)


def _ahead(request: Request, span: Span, state: SiteState, heading: Heading) -> Told:
    """What could change is told as it is now, and no more than what will be drawn as far as that is known."""
    if span.ends_at <= state.at:
        return
    coming_w = expected_w(state, max(span.starts_at, state.at), span.ends_at)
    hours = (span.ends_at - span.starts_at) / timedelta(hours=1)
    change = next((c for c in state.changes if c.within_s == heading.shed_within_s), None)
    for payload in request.payloads:
        match payload.kind:
            case "DEMAND":
                yield payload, _in(coming_w, payload)
            case "USAGE_FORECAST":
                yield payload, _in(coming_w, payload, hours)
            case "LOAD_SHED_DELTA_AVAILABLE" | "UP_REGULATION_AVAILABLE" if change is not None:
                down_w = change.down_w if coming_w is None else min(change.down_w, coming_w)
                yield payload, _in(down_w, payload)
            case "DOWN_REGULATION_AVAILABLE" if change is not None:
                yield payload, _in(change.up_w, payload)
            case kind if kind in RESERVATIONS:
                yield payload, _in(state.wanted_w, payload)


def _in(watts: float | None, payload: Payload, hours: float = 1.0) -> float | None:
    """In the payload's unit, of power or of the energy of an interval of so many hours."""
    if watts is None:
        return None
    if payload.unit in POWER:
        return round(watts / POWER[payload.unit], _DIGITS)
    return round(watts * hours / ENERGY[payload.unit], _DIGITS)


def _baseline_w(request: Request, state: SiteState) -> float | None:
    """The mean of the hour before the event began; None where that hour is not known well enough, or any more."""
    begins_at = request.grid.spans[0].starts_at
    found = drawn(state.past, begins_at - timedelta(seconds=BASELINE_S), begins_at)
    return found.mean_w if found.known_share >= LEAST_KNOWN else None


def _quality(found: Drawn) -> str:
    return "MISSING" if found.known_share < LEAST_KNOWN else _QUALITIES[found.quality]


def _period(starts_at: datetime, ends_at: datetime) -> dict[str, str]:
    seconds = (ends_at - starts_at).total_seconds()
    return {
        "start": starts_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "duration": f"PT{seconds:.10g}S",
    }

"""Which reports a VTN asks for with its events, and the site file with none: JSON in, checked requests out. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from scheduler.openadr.events import Event, printable, target_names
from scheduler.openadr.grid import MOST_TOLD, Grid, Period, Span, Timing, grid_of
from scheduler.openadr.times import ALWAYS, FAR, Untrue, instant, is_now, span

POWER: Final[Mapping[str, float]] = {"W": 1.0, "KW": 1e3, "MW": 1e6}
ENERGY: Final[Mapping[str, float]] = {"WH": 1.0, "KWH": 1e3, "MWH": 1e6}
RESERVATIONS: Final = ("IMPORT_RESERVATION_CAPACITY", "IMPORT_CAPACITY_RESERVATION")
"""One thing: OpenADR's enumeration has the first name, an example of its guide the second."""
PAST: Final = frozenset({"DEMAND", "USAGE", "BASELINE", "SETPOINT", "OPERATING_STATE", "DATA_QUALITY"})
AHEAD: Final = frozenset(
    {
        "USAGE_FORECAST", "LOAD_SHED_DELTA_AVAILABLE", "UP_REGULATION_AVAILABLE", "DOWN_REGULATION_AVAILABLE",
        *RESERVATIONS,
    }
)  # fmt: skip
_WORDS: Final = frozenset({"OPERATING_STATE", "DATA_QUALITY"})  #: told as words, without a unit
_IN_ENERGY: Final = frozenset({"USAGE", "USAGE_FORECAST"})
_READINGS: Final[Mapping[str, tuple[str, ...]]] = {"DEMAND": ("MEAN", "PEAK", "FORECAST")}
_FREE_READINGS: Final = frozenset({"DIRECT_READ", "MEAN", "SUMMED", "ESTIMATED", "FORECAST"})
MOST_DESCRIPTORS: Final = 20  #: of one event
MOST_REQUESTS: Final = 50
_MOST_NAME: Final = 128
_MOST_COUNT: Final = 100_000
_OWN: Final = frozenset({"SUB_INTERVALS", "OPEN_INTERVALS"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """One kind of value that is told. `reading` empty = it has only one."""

    kind: str
    reading: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One report that is asked for: what, of which intervals, when."""

    event_id: str
    name: str  #: of the report; unlike any other of this site at this VTN
    payloads: tuple[Payload, ...]
    timing: Timing
    grid: Grid
    aggregate: bool = False
    is_live: bool = False  #: of what comes, told unasked: told anew when it changes


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How the site reports; from the site file."""

    client: str  #: clientName
    names: frozenset[str]  #: by which descriptors may call the site among their targets
    unit: str = "KW"  #: of power where a descriptor gives none; energy in the same times hours
    own_s: float = 900.0  #: intervals of its own, where an event leaves that to the site


def requests_of(
    document: Mapping[str, Any], event: Event, manner: Manner, refusals: list[str]
) -> list[Request]:
    """What an event asks for. What the site cannot tell is added to `refusals`."""
    descriptors = document.get("reportDescriptors")
    if not descriptors:
        return []
    where = f"event {event.label}: reportDescriptors"
    if not isinstance(descriptors, list) or len(descriptors) > MOST_DESCRIPTORS:
        refusals.append(f"{where}: not a list of at most {MOST_DESCRIPTORS}; nothing of it is reported")
        return []
    asked: dict[tuple[Timing, bool, bool], list[Payload]] = {}
    for descriptor in descriptors:
        try:
            if isinstance(descriptor, dict) and not _is_ours(descriptor, manner):
                continue
            key, payload = _read(descriptor, manner)
            asked.setdefault(key, []).append(payload)
        except Untrue as error:
            refusals.append(f"{where}: {error}; the rest of it is reported")
    return list(_requests(asked, document, event, manner, refusals))


def _requests(
    asked: Mapping[tuple[Timing, bool, bool], list[Payload]],
    document: Mapping[str, Any],
    event: Event,
    manner: Manner,
    refusals: list[str],
) -> Iterator[Request]:
    """Those of one timing make one report, so that a quality stands beside what it is of."""
    for number, ((timing, is_own, aggregate), payloads) in enumerate(asked.items()):
        grid = grid_of(event, _period(document), timedelta(seconds=manner.own_s), is_own=is_own)
        if grid is None:
            refusals.append(
                f"event {event.label}: reportDescriptors: the event has no interval with a length"
            )
            return
        yield Request(
            event_id=event.id,
            name=f"{manner.client} {event.id} {number}"[:_MOST_NAME],
            payloads=tuple(dict.fromkeys(payloads)),
            timing=timing,
            grid=grid,
            aggregate=aggregate,
        )


def of_site(kinds: Sequence[str], every_s: float, event_id: str, manner: Manner) -> list[Request]:
    """The reports that the site file asks for, about one event: what was and what comes, each `every_s`.

    Raises `Untrue`.
    """
    if "BASELINE" in kinds:
        raise Untrue("BASELINE: it is what was before an event; have the event ask for it")
    step = timedelta(seconds=every_s)
    grid = Grid(spans=(Span(id=0, starts_at=ALWAYS, ends_at=ALWAYS + step),), stops_at=FAR)
    made = []
    for name, ahead in (("past", False), ("ahead", True)):
        payloads = tuple(_payload(k, "", "", manner) for k in kinds if (k in AHEAD) is ahead)
        count = MOST_TOLD if any(p.kind == "USAGE_FORECAST" for p in payloads) else 1
        if payloads:
            made.append(
                Request(
                    event_id=event_id,
                    name=f"{manner.client} {name}"[:_MOST_NAME],
                    payloads=payloads,
                    timing=Timing(ahead=ahead, start=0, count=count, every=1, times=-1),
                    grid=grid,
                    is_live=ahead,
                )
            )
    return made


def _read(descriptor: object, manner: Manner) -> tuple[tuple[Timing, bool, bool], Payload]:
    """When and what, of one descriptor. Raises `Untrue`."""
    if not isinstance(descriptor, dict) or not isinstance(descriptor.get("payloadType"), str):
        raise Untrue("one of them has no payloadType; send one")
    kind = descriptor["payloadType"]
    reading, unit = _word(descriptor, "readingType", kind), _word(descriptor, "units", kind)
    payload = _payload(kind, reading, unit, manner)
    is_foreseen = kind in AHEAD or reading == "FORECAST"
    historical = _flag(descriptor, "historical", kind, default=not is_foreseen)
    if historical == is_foreseen:
        what = "what comes, with historical: false" if is_foreseen else "what was, with historical: true"
        raise Untrue(f"{kind}: only told of {what}; ask for that")
    timing = Timing(
        ahead=not historical,
        start=_count(descriptor, "startInterval", kind),
        count=_count(descriptor, "numIntervals", kind),
        every=_count(descriptor, "frequency", kind),
        times=_count(descriptor, "repeat", kind, default=1),
    )
    is_own = _word(descriptor, "reportIntervals", kind) in _OWN
    return (timing, is_own, _flag(descriptor, "aggregate", kind, default=False)), payload


def _payload(kind: str, reading: str, unit: str, manner: Manner) -> Payload:
    """Raises `Untrue` for what this site has no such value of."""
    if kind not in PAST | AHEAD:
        raise Untrue(f"{printable(kind)}: this site tells only {', '.join(sorted(PAST | AHEAD))}")
    if kind in _WORDS:
        return Payload(kind=kind)
    readings = _READINGS.get(kind, ())
    if reading not in _FREE_READINGS | set(readings) | {""}:
        raise Untrue(
            f"{kind}: readingType {printable(reading)}: ask for {' or '.join(readings or ('none',))}"
        )
    known = _units(kind)
    unit = unit.upper() or (f"{manner.unit}H" if kind in _IN_ENERGY else manner.unit)
    if unit not in known:
        raise Untrue(f"{kind}: units {printable(unit)}: ask for {', '.join(known)}")
    return Payload(kind=kind, reading=_told_reading(kind, reading), unit=unit)


def _units(kind: str) -> tuple[str, ...]:
    """A baseline is of either."""
    if kind == "BASELINE":
        return (*POWER, *ENERGY)
    return tuple(ENERGY if kind in _IN_ENERGY else POWER)


def _told_reading(kind: str, reading: str) -> str:
    """How the value came about; a demand over an interval is its mean unless another is asked for."""
    if kind == "DEMAND":
        return reading if reading in _READINGS[kind] else "MEAN"
    return "FORECAST" if kind == "USAGE_FORECAST" else ""


def _is_ours(descriptor: Mapping[str, Any], manner: Manner) -> bool:
    targets = descriptor.get("targets")
    if not isinstance(targets, list) or not targets:
        return True
    return bool(manner.names & set(target_names(targets)))


def _period(document: Mapping[str, Any]) -> Period:
    """The event's own start and duration, as far as they make sense; how events count was judged before."""
    period = document.get("intervalPeriod")
    if not isinstance(period, dict):
        return None, None
    try:
        start, long = period.get("start"), period.get("duration")
        starts_at = None if start is None or is_now(start) else instant(start)
        return starts_at, None if long is None else span(long)
    except Untrue:
        return None, None


def _word(descriptor: Mapping[str, Any], field: str, kind: str) -> str:
    value = descriptor.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Untrue(f"{printable(kind)}: {field} is no text; send one, or none")
    return value


def _flag(descriptor: Mapping[str, Any], field: str, kind: str, *, default: bool) -> bool:
    value = descriptor.get(field)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise Untrue(f"{printable(kind)}: {field} is neither true nor false; send one, or none")
    return value


def _count(descriptor: Mapping[str, Any], field: str, kind: str, *, default: int = -1) -> int:
    value = descriptor.get(field)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not -1 <= value <= _MOST_COUNT:
        raise Untrue(f"{printable(kind)}: {field} is no whole number from -1 to {_MOST_COUNT}; send one")
    return value

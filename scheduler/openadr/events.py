"""What an event says of the site's power: JSON in, checked values out. Pure.

An event is one document. One whose capacities or times cannot be true is refused as a whole, for half of a schedule
is another schedule; what it says of other matters, as of prices, is left alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final

from scheduler.openadr.times import Untrue, instant, is_now, span

WATTS: Final[Mapping[str, float]] = {"W": 1.0, "KW": 1e3, "MW": 1e6}
MOST_INTERVALS: Final = 3000  #: of one event; two days of minutes
MOST_SHIFT: Final = timedelta(days=1)
_MOST_PAYLOADS: Final = 100
_MOST_NAME: Final = 60
_MOST_ID: Final = 128  #: characters, as OpenADR has it


class Kind(Enum):
    """What of an event counts."""

    LIMIT = "limit"
    SUBSCRIPTION = "subscription"
    RESERVATION = "reservation"
    AVAILABLE = "available"
    ALERT = "alert"


CAPACITIES: Final[Mapping[str, Kind]] = {
    "IMPORT_CAPACITY_LIMIT": Kind.LIMIT,
    "IMPORT_CAPACITY_SUBSCRIPTION": Kind.SUBSCRIPTION,
    "IMPORT_CAPACITY_RESERVATION": Kind.RESERVATION,
    "IMPORT_CAPACITY_AVAILABLE": Kind.AVAILABLE,
    # As examples of the user guide and its enumeration spell them.
    "CAPACITY_SUBSCRIPTION": Kind.SUBSCRIPTION,
    "CAPACITY_RESERVATION": Kind.RESERVATION,
    "IMPORT_RESERVATION_CAPACITY": Kind.RESERVATION,
    "CAPACITY_AVAILABLE": Kind.AVAILABLE,
}
SILENT: Final = frozenset(
    {
        "PRICE", "PRICE_ALTERNATE", "EXPORT_PRICE", "GHG", "OLS", "CURVE",
        "IMPORT_CAPACITY_RESERVATION_FEE", "IMPORT_CAPACITY_AVAILABLE_PRICE", "IMPORT_CAPACITY_AVAILABLE_FEE",
        "EXPORT_CAPACITY_SUBSCRIPTION", "EXPORT_CAPACITY_RESERVATION", "EXPORT_CAPACITY_RESERVATION_FEE",
        "EXPORT_CAPACITY_AVAILABLE", "EXPORT_CAPACITY_AVAILABLE_PRICE", "EXPORT_CAPACITY_LIMIT",
    }
)  # fmt: skip
"""Known types that ask nothing of the power drawn: passed over without a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How the site reads its events; from the site file."""

    subscription_w: float  #: what may be drawn where no event says otherwise
    unit: str = "KW"  #: of capacities without a descriptor
    most_w: float = 1e10  #: more than this is absurd
    emergency_w: float | None = None  #: the limit during `emergencies`; None = an alert changes nothing
    emergencies: frozenset[str] = frozenset()
    count_available: bool = False
    targets: frozenset[str] = frozenset()  #: which events with targets are ours; empty = all that are shown
    ven: str = ""  #: with the event's id, decides how far a random start is shifted


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One payload that counts. Watts; 0 for an alert."""

    kind: Kind
    value_w: float
    told: str  #: the payload's type


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """`starts_at` None = right after the one before it, or when the event begins."""

    id: str
    starts_at: datetime | None
    long: timedelta
    shift: timedelta | None  #: None = as the one before it
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A checked event. `starts_at` None = now, which is when it was last changed at the VTN, as far as told."""

    id: str
    label: str
    document: str  #: the event and its program, as they are called
    priority: float  #: the lowest counts; none given = infinite
    starts_at: datetime | None
    changed_at: datetime | None
    duration: timedelta | None
    intervals: tuple[Interval, ...]


class Refused(Exception):
    """An event that does not count: what, why, remedy."""


def read_event(
    document: object, programs: Mapping[str, Any], rules: Rules, refusals: list[str]
) -> Event | None:
    """The event; None if it is for others. Raises `Refused`; what is passed over is added to `refusals`."""
    if not isinstance(document, dict):
        raise Refused("one of the events is no object; send events as OpenADR 3.1 defines them")
    event_id = id_of(document)
    if not event_id:
        raise Refused(
            f"one of the events has no id of 1 to {_MOST_ID} printable characters; the VTN gives each its own"
        )
    label = label_of(document)
    if not _is_ours(document, rules):
        return None
    program = programs.get(_text(document.get("programID")))
    units = _units(program) | _units(document)
    try:
        return _event(document, event_id, _program_name(program), _Reader(label, units, rules, refusals))
    except Untrue as error:
        raise Refused(f"event {label}: {error}") from error


def id_of(document: object) -> str:
    """The VTN's id of an event; empty if there is none that can be written down, as it will be."""
    event_id = _text(document.get("id")) if isinstance(document, dict) else ""
    return event_id if event_id.isprintable() and len(event_id) <= _MOST_ID else ""


def label_of(document: Mapping[str, Any]) -> str:
    """How an event is called in reasons: its name and id, as far as they can be printed."""
    name, event_id = _text(document.get("eventName")), id_of(document)
    return printable(f"{name} ({event_id})" if name else event_id)


def _program_name(program: object) -> str:
    """How a program is called; empty where the VTN shows none."""
    return printable(_text(program.get("programName"))) if isinstance(program, dict) else ""


def printable(text: str) -> str:
    """What a peer wrote, short and on one line."""
    return "".join(c if c.isprintable() else "?" for c in text[:_MOST_NAME])


def _is_ours(document: Mapping[str, Any], rules: Rules) -> bool:
    targets = document.get("targets")
    if not rules.targets or not isinstance(targets, list) or not targets:
        return True
    return bool(rules.targets & set(target_names(targets)))


def target_names(targets: Iterable[Any]) -> Iterator[str]:
    """The names among targets: plain words in 3.1; maps of values in 3.0."""
    for target in targets:
        if isinstance(target, str):
            yield target
        elif isinstance(target, dict) and isinstance(target.get("values"), list):
            yield from (v for v in target["values"] if isinstance(v, str))


def _units(document: object) -> dict[str, str]:
    """Payload type -> unit, from the descriptors of a program or an event."""
    descriptors = document.get("payloadDescriptors") if isinstance(document, dict) else None
    if not isinstance(descriptors, list):
        return {}
    return {
        d["payloadType"]: d["units"]
        for d in descriptors
        if isinstance(d, dict) and isinstance(d.get("payloadType"), str) and isinstance(d.get("units"), str)
    }


@dataclass(frozen=True, slots=True)
class _Reader:
    label: str
    units: Mapping[str, str]
    rules: Rules
    refusals: list[str]

    def values(self, where: str, payloads: object) -> Iterator[Value]:
        """What counts in an interval. Raises `Untrue`."""
        for payload in _list(payloads, f"{where}: payloads", _MOST_PAYLOADS):
            told = payload.get("type") if isinstance(payload, dict) else None
            if not isinstance(told, str):
                raise Untrue(f"{where}: a payload has no type; send type and values")
            kind = CAPACITIES.get(told)
            if kind is not None:
                yield Value(kind=kind, value_w=self._watts(where, told, payload.get("values")), told=told)
            elif told in self.rules.emergencies and self.rules.emergency_w is not None:
                yield Value(kind=Kind.ALERT, value_w=0.0, told=told)
            elif told not in SILENT:
                self._pass_over(printable(told))

    def _pass_over(self, told: str) -> None:
        why = (
            "emergency_w is not set for it" if told.startswith("ALERT_") else "this source does not act on it"
        )
        text = f"event {self.label}: {told}: {why}; the rest of the event counts"
        if text not in self.refusals:
            self.refusals.append(text)

    def _watts(self, where: str, told: str, values: object) -> float:
        """The lowest of the values: more than one is not defined for capacities."""
        unit = self.units.get(told, self.rules.unit)
        if unit.upper() not in WATTS:
            raise Untrue(f"{where}: {told}: {printable(unit)!r} is no unit of power; use KW, MW or W")
        if not isinstance(values, list) or not 0 < len(values) <= _MOST_PAYLOADS:
            raise Untrue(f"{where}: {told}: it has no value; send one number of {unit}")
        return min(self._one(f"{where}: {told}", v, WATTS[unit.upper()], unit) for v in values)

    def _one(self, where: str, value: object, unit_w: float, unit: str) -> float:
        most = self.rules.most_w / unit_w
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:  # nor NaN
            raise Untrue(f"{where}: {_number(value)} cannot be; send a number from 0 to {most:g} {unit}")
        return float(value) * unit_w


def _event(document: Mapping[str, Any], event_id: str, program: str, reader: _Reader) -> Event:
    period = _period(document, "intervalPeriod")
    intervals = _list(document.get("intervals") or [], "intervals", MOST_INTERVALS)
    duration = document.get("duration")
    start = period.get("start")
    return Event(
        id=event_id,
        label=reader.label,
        document=f"event {reader.label} of program {program}" if program else f"event {reader.label}",
        priority=_priority(document.get("priority")),
        starts_at=None if start is None or is_now(start) else instant(start),
        changed_at=_stamp(document),
        duration=span(duration) if duration is not None else None,
        intervals=tuple(_interval(i, n, period, reader) for n, i in enumerate(intervals)),
    )


def _interval(document: object, number: int, outer: Mapping[str, Any], reader: _Reader) -> Interval:
    """What it says itself comes first, then the event's own."""
    if not isinstance(document, dict):
        raise Untrue(f"interval {number} is no object; send id and payloads")
    told = document.get("id")
    name = (
        printable(told) if isinstance(told, str) else _number(told) if isinstance(told, int) else str(number)
    )
    where = f"interval {name}"
    own = _period(document, f"{where}: intervalPeriod")
    start, long = own.get("start"), own.get("duration", outer.get("duration"))
    shift = own.get("randomizeStart", outer.get("randomizeStart") if number == 0 else None)
    if long is None:
        raise Untrue(f"{where} has no duration; give one to it or to the event")
    if start is None and outer.get("start") is None and number == 0:
        raise Untrue(f"{where} has no start; give one to it or to the event")
    return Interval(
        id=name,
        starts_at=None if start is None or is_now(start) else instant(start),
        long=span(long),
        shift=_shift(shift),
        values=tuple(reader.values(where, document.get("payloads"))),
    )


def _period(document: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    period = document.get("intervalPeriod")
    if period is None:
        return {}
    if not isinstance(period, dict):
        raise Untrue(f"{where} is no object; send start and duration")
    return {key: value for key, value in period.items() if value is not None}


def _priority(value: object) -> float:
    if value is None:
        return math.inf
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 10**9:
        raise Untrue(f"priority: {_number(value)} is no priority; send a whole number from 0 (highest)")
    return float(value)


def _shift(value: object) -> timedelta | None:
    """The most a start may be moved, either way. A minus says the same."""
    if value is None:
        return None
    long = span(value.removeprefix("-") if isinstance(value, str) else value)
    if long > MOST_SHIFT:
        raise Untrue("randomizeStart is more than a day; send less")
    return long


def _stamp(document: Mapping[str, Any]) -> datetime | None:
    for key in ("modificationDateTime", "createdDateTime"):
        try:
            return instant(document.get(key))
        except Untrue:
            continue  # the guide's own examples have a bare time of day here: no reason to refuse an event
    return None


def _list(value: object, where: str, most: int) -> list[Any]:
    if not isinstance(value, list):
        raise Untrue(f"{where}: that is no list; send one")
    if len(value) > most:
        raise Untrue(f"{where}: {len(value)} are too many; send at most {most}")
    return value


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> str:
    return repr(value)[:30] if isinstance(value, str | float | bool | None) else _whole(value)


def _whole(value: object) -> str:
    return f"{value}" if isinstance(value, int) and abs(value) < 10**15 else "what was sent"

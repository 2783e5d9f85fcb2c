"""From events to the limit of the site over time: which payload counts when, and from which instant on. Pure.

    limit = IMPORT_CAPACITY_LIMIT, where an event gives one
            else IMPORT_CAPACITY_SUBSCRIPTION + IMPORT_CAPACITY_RESERVATION (+ _AVAILABLE, if the site file counts it)
            and during an emergency never more than the site file's emergency level

Of several events that give the same, the one with the lowest priority number counts; of equals, the lower power.
Where it is uncertain when a step comes (a random start, two clocks that differ), a drop comes at the earliest instant
that it can mean, a rise at the latest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final, Protocol, TypeVar

from scheduler.core.envelope import Segment
from scheduler.core.given import Refusal
from scheduler.openadr.events import MOST_INTERVALS, Event, Interval, Kind, Refused, Rules, id_of, read_event
from scheduler.openadr.times import ALWAYS, FAR, later

HORIZON: Final = timedelta(hours=48)
MOST_WINDOWS: Final = MOST_INTERVALS  #: of all events together
MOST_AT_ONCE: Final = 100  #: payloads that hold at the same instant
_NOTHING: Final = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Skew:
    """How far the VTN's clock may be before and behind ours."""

    ahead: timedelta = _NOTHING
    behind: timedelta = _NOTHING


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The limit over time and what was not believed."""

    segments: tuple[Segment, ...]
    refusals: tuple[str, ...]
    events: Mapping[str, Event]  #: those that count, by id: the last good version of each
    issued_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One payload in one interval. Its start may be shifted by `shift`, either way."""

    starts_at: datetime
    ends_at: datetime
    kind: Kind
    value_w: float
    priority: float
    why: str
    document: str
    shift: timedelta
    event_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    starts_at: datetime
    ends_at: datetime
    limit_w: float
    why: str
    event_id: str | None  #: that tells it; None = the site file does
    document: str
    shift: timedelta  #: of its start


class _Spanning(Protocol):
    @property
    def starts_at(self) -> datetime: ...

    @property
    def ends_at(self) -> datetime: ...


S = TypeVar("S", bound=_Spanning)
NO_SKEW: Final = Skew()


def compile_schedule(
    documents: object,
    programs: Mapping[str, Any],
    rules: Rules,
    now: datetime,
    *,
    known: Mapping[str, Event] | None = None,
    skew: Skew = NO_SKEW,
) -> Schedule:
    """The limit from `now` to two days ahead. Raises `Refused` when the whole answer makes no sense.

    An event that is refused counts as it was `known` to be before, as long as the VTN lists it.
    """
    events, refusals = _believed(documents, programs, rules, known or {})
    windows, late = _windows(events.values(), rules, now, skew)
    pieces = _on_the_safe_side(list(_pieces(windows, rules)), skew)
    stamps = [e.changed_at for e in events.values() if e.changed_at is not None]
    return Schedule(
        segments=tuple(_segments(pieces, now)),
        refusals=(*refusals, *late),
        events=events,
        issued_at=min(now, max(stamps, default=ALWAYS)),
    )


def _believed(
    documents: object, programs: Mapping[str, Any], rules: Rules, known: Mapping[str, Event]
) -> tuple[dict[str, Event], list[str]]:
    if not isinstance(documents, list):
        raise Refused("the events are no list; send events as OpenADR 3.1 defines them")
    events: dict[str, Event] = {}
    refusals: list[str] = []
    for document in documents:
        try:
            event = read_event(document, programs, rules, refusals)
        except Refused as error:
            event = known.get(id_of(document))
            text = f"{error}; {'its last good version stands' if event else 'it does not count'}"
            refusals.append(Refusal(text, giver_id=id_of(document)))
        if event is not None:
            events[event.id] = event
    return events, refusals


# -- when each payload holds ----------------------------------------------------------------------------------------


def _windows(
    events: Iterable[Event], rules: Rules, now: datetime, skew: Skew
) -> tuple[list[Window], list[str]]:
    """What holds or will hold, by both clocks. Raises `Refused` when it is more than anybody means."""
    events = list(events)
    longest = max((i.shift for e in events for i in e.intervals if i.shift is not None), default=_NOTHING)
    windows: list[Window] = []
    refusals: list[str] = []
    for event in events:
        try:
            windows += _laid_out(event, rules, now, since=now - longest - skew.behind)
        except Refused as error:
            refusals.append(Refusal(f"event {event.label}: {error}; it does not count", giver_id=event.id))
        if len(windows) > MOST_WINDOWS:
            raise Refused(f"the events have more than {MOST_WINDOWS} intervals; end some at the VTN")
    return windows, refusals


def _laid_out(event: Event, rules: Rules, now: datetime, *, since: datetime) -> list[Window]:
    first_round = list(_in_a_row(event, rules, now))
    if not first_round:
        return []
    begin, end = min(w.starts_at for w in first_round), max(w.ends_at for w in first_round)
    stop = end if event.duration is None else later(begin, event.duration)
    rounds = _rounds(begin, end, min(stop, horizon(now)), since)
    if (rounds.stop - rounds.start) * len(first_round) > MOST_INTERVALS:
        raise Refused(f"its intervals repeat more than {MOST_INTERVALS} times in two days; make them longer")
    laid = (_moved(w, (end - begin) * n, stop) for n in rounds for w in first_round)
    return [w for w in laid if since < w.ends_at > w.starts_at]


def _rounds(begin: datetime, end: datetime, stop: datetime, since: datetime) -> range:
    """Which repetitions of the intervals are worth a look."""
    long = end - begin
    if long <= _NOTHING or end >= stop:
        return range(1)
    first = max(0, (since - begin) // long)
    return range(first, max(first + 1, -((begin - stop) // long)))


def _moved(window: Window, by: timedelta, stop: datetime) -> Window:
    starts_at, ends_at = later(window.starts_at, by), later(window.ends_at, by)
    return replace(window, starts_at=starts_at, ends_at=min(ends_at, stop))


def _in_a_row(event: Event, rules: Rules, now: datetime) -> Iterator[Window]:
    """Each interval after the one before it, unless it says its start."""
    at = event.starts_at or min(event.changed_at or now, now)
    part, shift = _fraction(rules.ven, event.id), _NOTHING
    for interval in event.intervals:
        starts_at = interval.starts_at or at
        shift = shift if interval.shift is None else interval.shift * part
        at = later(starts_at, interval.long)
        yield from _of(event, interval, starts_at, at, shift)


def _of(
    event: Event, interval: Interval, starts_at: datetime, ends_at: datetime, shift: timedelta
) -> Iterator[Window]:
    for value in interval.values:
        yield Window(
            starts_at=starts_at,
            ends_at=ends_at,
            kind=value.kind,
            value_w=value.value_w,
            priority=event.priority,
            why=f"{value.told} of event {event.label}, interval {interval.id}",
            document=event.document,
            shift=shift,
            event_id=event.id,
        )


def _fraction(ven: str, event_id: str) -> float:
    """From 0 to 1, the same for the same event at the same site."""
    digest = hashlib.sha256(f"{ven}\n{event_id}".encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:6]) / 2**48


# -- which payload counts -------------------------------------------------------------------------------------------


def _pieces(windows: Sequence[Window], rules: Rules) -> Iterator[_Piece]:
    """The whole of time, cut wherever anything begins or ends."""
    shifts: dict[datetime, timedelta] = {}
    for w in windows:
        shifts[w.starts_at] = max(w.shift, shifts.get(w.starts_at, _NOTHING))
    for starts_at, ends_at, holding in _sweep(windows):
        if len(holding) > MOST_AT_ONCE:
            raise Refused(f"more than {MOST_AT_ONCE} payloads hold at once; end some events at the VTN")
        limit_w, why, document, event_id = _limit(holding, rules)
        shift = shifts.get(starts_at, _NOTHING)
        yield _Piece(
            starts_at=starts_at,
            ends_at=ends_at,
            limit_w=limit_w,
            why=why,
            document=document,
            event_id=event_id,
            shift=shift,
        )


def _limit(holding: Sequence[Window], rules: Rules) -> tuple[float, str, str, str | None]:
    """W, why in words, by which document, by which event."""
    counted = {kind: _first(holding, kind) for kind in Kind}
    limit = counted[Kind.LIMIT]
    limit_w, why, document, event_id = (
        (limit.value_w, limit.why, limit.document, limit.event_id)
        if limit
        else _without_limit(counted, rules)
    )
    alert = counted[Kind.ALERT]
    if alert is not None and rules.emergency_w is not None and rules.emergency_w < limit_w:
        return rules.emergency_w, alert.why, alert.document, alert.event_id
    return min(limit_w, rules.most_w), why, document, event_id


def _first(holding: Sequence[Window], kind: Kind) -> Window | None:
    """Of all that say the same: the lowest priority number, then the lower power."""
    same = (w for w in holding if w.kind is kind)
    return min(same, key=lambda w: (w.priority, w.value_w, w.why), default=None)


def _without_limit(counted: Mapping[Kind, Window | None], rules: Rules) -> tuple[float, str, str, str | None]:
    subscription = counted[Kind.SUBSCRIPTION]
    base_w, base = (
        (subscription.value_w, subscription.why)
        if subscription
        else (rules.subscription_w, "subscription in the site file")
    )
    also = [counted[Kind.RESERVATION], counted[Kind.AVAILABLE] if rules.count_available else None]
    more = [w for w in also if w is not None]
    told = [w for w in (subscription, *more) if w is not None]
    total_w, why = base_w + sum(w.value_w for w in more), " + ".join([base, *(w.why for w in more)])
    documents = " + ".join(dict.fromkeys(w.document for w in told))
    return total_w, why, documents, "+".join(w.event_id for w in told) or None


def _sweep(spans: Sequence[S]) -> Iterator[tuple[datetime, datetime, list[S]]]:
    """From one instant to the next at which something begins or ends, with what holds meanwhile."""
    begin: dict[datetime, list[int]] = {}
    end: dict[datetime, list[int]] = {}
    for n, s in enumerate(spans):
        begin.setdefault(max(s.starts_at, ALWAYS), []).append(n)
        end.setdefault(min(s.ends_at, FAR), []).append(n)
    holding: dict[int, S] = {}
    for at, following in pairwise(sorted({ALWAYS, FAR, *begin, *end})):
        for n in end.get(at, ()):
            holding.pop(n, None)
        holding |= {n: spans[n] for n in begin.get(at, ())}
        yield at, following, list(holding.values())


# -- from which instant on ------------------------------------------------------------------------------------------


def _on_the_safe_side(pieces: Sequence[_Piece], skew: Skew) -> Iterator[_Piece]:
    """Each piece reaches over its uncertain ends, and the lowest that can hold does."""
    wide = [
        replace(
            piece,
            starts_at=piece.starts_at - piece.shift - skew.ahead,
            ends_at=piece.ends_at + (following.shift if following else _NOTHING) + skew.behind,
        )
        for piece, following in zip(pieces, [*pieces[1:], None], strict=True)
    ]
    for starts_at, ends_at, holding in _sweep(wide):
        lowest = min(holding, key=lambda p: (p.limit_w, p.starts_at))
        yield replace(lowest, starts_at=starts_at, ends_at=ends_at)


def _segments(pieces: Iterable[_Piece], now: datetime) -> Iterator[Segment]:
    """From the one in force on to the horizon; equals that follow each other are one."""
    until = horizon(now)
    for piece in _merged(pieces):
        if piece.ends_at > now and piece.starts_at < until:
            yield Segment(
                starts_at=piece.starts_at,
                limit_w=piece.limit_w,
                provenance=piece.why,
                giver_id=piece.event_id,
                document=piece.document,
            )


def _merged(pieces: Iterable[_Piece]) -> Iterator[_Piece]:
    last: _Piece | None = None
    for piece in pieces:
        if last is not None and (last.limit_w, last.why, last.event_id) == (
            piece.limit_w,
            piece.why,
            piece.event_id,
        ):
            last = replace(last, ends_at=piece.ends_at)
            continue
        if last is not None:
            yield last
        last = piece
    if last is not None:
        yield last


def horizon(now: datetime) -> datetime:
    """Two days ahead, on the hour: so that it moves, and wakes the loop, but once an hour."""
    whole = now.replace(minute=0, second=0, microsecond=0)
    return whole + HORIZON + timedelta(hours=1)

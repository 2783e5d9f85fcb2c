"""The running quarter of an hour of settlement: momentary watts added up in whole numbers. Pure.

Readings are whole watts, times whole milliseconds, so that energy is exact: W x ms. A reading stands until the next, as
in `accounting` for no longer than `LONGEST_S`. When an interval is over, each sum is told in whole watt-seconds, and
what is left of one goes into the next interval: nothing is ever lost by rounding. An interval that a restart cuts goes
on after it; what nobody read in between is not covered.

A clock that was ahead and went back is followed: what was measured stays in the quarters of then, and quarters that are
passed through again are told as such, for something of them may be on record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from scheduler.core.accounting import LONGEST_S, QUARTER, quarter_of
from scheduler.core.curtailment import Cause, Presence
from scheduler.core.notice import Fall, Notice

METERED: Final = "metered"
GRANTED: Final = "granted"
OVERDRAW: Final = "overdraw"
BASELINE: Final = "baseline"
SITE: Final = "site"
AI: Final = "ai"
OVERHEAD: Final = "overhead"
MOST_GRANTS: Final = 40
"""So many grants are listed with an interval; the time of those beyond them is counted."""
_MS: Final = timedelta(milliseconds=1)

Sums = Mapping[str, int]
"""By one of the names above, or by cause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """One partner at an instant: whole watts by name and by cause."""

    watts: Sums
    is_heard: bool = True  #: of all its groups
    is_curtailed: bool = False  #: notably, and for a cause that the contract does not excuse
    is_confirmed: bool = True  #: its baseline was confirmed by a meter
    orders: Mapping[str, str] = field(default_factory=dict)  #: the newest of each group
    until_at: datetime | None = None  #: when the first of them expires if nothing more is said


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """One stretch of an interval in which a partner was told to draw no more than so much, rest included.

    `granted_w` x `ms` of all stretches is what was granted, in W x ms.
    """

    begins_at: datetime
    ms: int
    granted_w: int
    orders: Mapping[str, str] = field(default_factory=dict)  #: by group the one that first said so
    until_at: datetime | None = None  #: up to when it was promised in the end; None = no order stood


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The whole site at an instant."""

    at: datetime
    site: Sums
    flows: Mapping[str, Flow]
    is_metered: bool = True  #: the site's own meter was read


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One partner's running interval, or the site's: sums in W x ms."""

    sums: Sums = field(default_factory=dict)
    carried: Sums = field(default_factory=dict)  #: below a watt-second, from the intervals before
    reading_ws: int = 0  #: of its register when the interval began
    covered_ms: int = 0
    heard_ms: int = 0  #: of them
    curtailed_ms: int = 0
    confirmed_ms: int = 0
    orders: Mapping[str, tuple[str, str]] = field(default_factory=dict)  #: by group the first and the last
    grants: tuple[Granted, ...] = ()
    unlisted_ms: int = 0  #: that the list of grants does not reach
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """All of the running interval. It is what a new leader goes on with."""

    starts_at: datetime
    covered_ms: int = 0
    metered_ms: int = 0  #: of them with a reading of the site's meter
    last: Moment | None = None
    site: Part = Part()
    parts: Mapping[str, Part] = field(default_factory=dict)
    presences: Mapping[str, Presence] = field(default_factory=dict)  #: by group
    falls: tuple[Fall, ...] = ()  #: of the limit that were known ahead
    curtailed_at: Mapping[str, datetime] = field(default_factory=dict)  #: when a partner last was
    ahead_at: datetime | None = None  #: how far a clock had come that went back since


@dataclass(frozen=True, slots=True, kw_only=True)
class PartEnergy:
    """What a partner's interval came to, whole watt-seconds; seconds in milliseconds."""

    metered_ws: int = 0
    granted_ws: int = 0
    overdraw_ws: int = 0
    baseline_ws: int = 0
    curtailed_ws: Mapping[Cause, int] = field(default_factory=dict)
    reading_start_ws: int = 0
    reading_end_ws: int = 0
    covered_ms: int = 0
    heard_ms: int = 0
    curtailed_ms: int = 0
    confirmed_ms: int = 0
    orders: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    grants: tuple[Granted, ...] = ()
    unlisted_ms: int = 0
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Over:
    """An interval that is over."""

    starts_at: datetime
    covered_ms: int
    metered_ms: int
    site_ws: int
    ai_ws: int
    overhead_ws: int
    parts: Mapping[str, PartEnergy]
    is_second: bool = False  #: the clock went back: something of this quarter may be on record already


def begun(at: datetime) -> Running:
    """The interval of `at`, with nothing in it."""
    return Running(starts_at=quarter_of(at))


def advanced(running: Running, moment: Moment) -> tuple[Running, tuple[Over, ...]]:
    """Time has passed to `moment`, with what was read last; what is over by then."""
    moment = replace(moment, at=_whole_ms(moment.at))
    last = running.last
    if last is None:
        return replace(running, starts_at=quarter_of(moment.at), last=moment), ()
    if moment.at <= last.at:
        return running, ()
    over: list[Over] = []
    at, until = last.at, min(moment.at, last.at + timedelta(seconds=LONGEST_S))
    while running.starts_at < quarter_of(moment.at):
        end = running.starts_at + QUARTER
        running, at = _added(running, last, at, min(end, until)), min(end, until)
        closed, running = _closed(running, end if at < until else quarter_of(moment.at))
        over.append(closed)
    running = _added(running, last, at, until)
    return replace(running, last=moment), tuple(over)


def left(running: Running) -> tuple[tuple[Over, ...], Running]:
    """What is known of an interval of which no more will be: over as it is.

    Registers are kept, for who comes back; if that is in the same quarter, something of it is on record.
    """
    closed, following = _closed(running, running.starts_at)
    ahead_at = max((t for t in (running.ahead_at, running.last and running.last.at) if t), default=None)
    return (closed,) if closed.covered_ms else (), replace(following, last=None, ahead_at=ahead_at)


def went_back(running: Running, at: datetime) -> bool:
    """Whether the clock was ahead when the last reading was taken in, by more than a reading stands for."""
    last = running.last
    return last is not None and (last.at - at).total_seconds() > LONGEST_S


def resumed(running: Running, at: datetime) -> tuple[Running, tuple[Over, ...]]:
    """Go on at a time before the last reading. What is remembered of the time ahead counts as of now."""
    at, over = _whole_ms(at), tuple[Over, ...]()
    ahead_at = max((t for t in (running.ahead_at, running.last and running.last.at) if t), default=None)
    if quarter_of(at) != running.starts_at:
        closed, running = _closed(running, quarter_of(at))
        over = (closed,) if closed.covered_ms else ()
    return replace(
        running,
        last=None,
        ahead_at=ahead_at,
        presences={gid: _until(presence, at) for gid, presence in running.presences.items()},
        falls=tuple(replace(fall, known_at=min(fall.known_at, at)) for fall in running.falls),
        curtailed_at={name: min(then, at) for name, then in running.curtailed_at.items()},
    ), over


def _until(presence: Presence, at: datetime) -> Presence:
    doubted_at, caused_at = presence.doubted_at, presence.caused_at
    return replace(
        presence,
        doubted_at=None if doubted_at is None else min(doubted_at, at),
        caused_at=None if caused_at is None else min(caused_at, at),
    )


def noted(running: Running, notices: Mapping[str, Notice]) -> Running:
    """The same, with what notice partners had of curtailments that began now."""
    parts = dict(running.parts)
    for name, notice in notices.items():
        part = parts.get(name, Part())
        parts[name] = replace(part, notices=(*part.notices, notice))
    return replace(running, parts=parts)


def _added(running: Running, moment: Moment, at: datetime, until: datetime) -> Running:
    """`moment` stood from `at` to `until`."""
    ms = (until - at) // _MS
    if not ms:
        return running
    parts = dict(running.parts)
    for name, flow in moment.flows.items():
        parts[name] = _granted(_with(parts.get(name, Part()), flow, ms), flow, at, ms)
    return replace(
        running,
        covered_ms=running.covered_ms + ms,
        metered_ms=running.metered_ms + (ms if moment.is_metered else 0),
        site=replace(running.site, sums=_summed(running.site.sums, moment.site, ms)),
        parts=parts,
    )


def _with(part: Part, flow: Flow, ms: int) -> Part:
    first = {group: order for group, (order, _) in part.orders.items()}
    return replace(
        part,
        sums=_summed(part.sums, flow.watts, ms),
        covered_ms=part.covered_ms + ms,
        heard_ms=part.heard_ms + (ms if flow.is_heard else 0),
        curtailed_ms=part.curtailed_ms + (ms if flow.is_curtailed else 0),
        confirmed_ms=part.confirmed_ms + (ms if flow.is_confirmed else 0),
        orders={**part.orders, **{g: (first.get(g, order), order) for g, order in flow.orders.items()}},
    )


def _granted(part: Part, flow: Flow, at: datetime, ms: int) -> Part:
    """The stretch goes on while the watts are the same, and is promised for as long as was said last."""
    granted_w, last = flow.watts.get(GRANTED, 0), part.grants[-1] if part.grants else None
    if last is not None and last.granted_w == granted_w and not part.unlisted_ms:
        longer = replace(last, ms=last.ms + ms, until_at=flow.until_at)
        return replace(part, grants=(*part.grants[:-1], longer))
    if len(part.grants) == MOST_GRANTS:
        return replace(part, unlisted_ms=part.unlisted_ms + ms)
    begun = Granted(begins_at=at, ms=ms, granted_w=granted_w, orders=flow.orders, until_at=flow.until_at)
    return replace(part, grants=(*part.grants, begun))


def _summed(sums: Sums, watts: Sums, ms: int) -> Sums:
    return {**sums, **{name: sums.get(name, 0) + w * ms for name, w in watts.items()}}


def _closed(running: Running, next_at: datetime) -> tuple[Over, Running]:
    """What it came to, and the next one."""
    energies, parts = {}, {}
    for name, part in running.parts.items():
        energies[name], parts[name] = _told(part)
    whole, carried = _whole_ws(running.site)
    over = Over(
        starts_at=running.starts_at,
        covered_ms=running.covered_ms,
        metered_ms=running.metered_ms,
        site_ws=whole.get(SITE, 0),
        ai_ws=whole.get(AI, 0),
        overhead_ws=whole.get(OVERHEAD, 0),
        parts=energies,
        is_second=running.ahead_at is not None and running.starts_at <= running.ahead_at,
    )
    following = Running(
        starts_at=next_at,
        last=running.last,
        site=Part(carried=carried),
        parts=parts,
        presences=running.presences,
        falls=running.falls,
        curtailed_at=running.curtailed_at,
        ahead_at=running.ahead_at,
    )
    return over, following


def _told(part: Part) -> tuple[PartEnergy, Part]:
    whole, carried = _whole_ws(part)
    reading_end_ws = part.reading_ws + whole.get(METERED, 0)
    energy = PartEnergy(
        metered_ws=whole.get(METERED, 0),
        granted_ws=whole.get(GRANTED, 0),
        overdraw_ws=whole.get(OVERDRAW, 0),
        baseline_ws=whole.get(BASELINE, 0),
        curtailed_ws={cause: whole[cause] for cause in Cause if whole.get(cause)},
        reading_start_ws=part.reading_ws,
        reading_end_ws=reading_end_ws,
        covered_ms=part.covered_ms,
        heard_ms=part.heard_ms,
        curtailed_ms=part.curtailed_ms,
        confirmed_ms=part.confirmed_ms,
        orders=part.orders,
        grants=part.grants,
        unlisted_ms=part.unlisted_ms,
        notices=part.notices,
    )
    return energy, Part(carried=carried, reading_ws=reading_end_ws)


def _whole_ws(part: Part) -> tuple[dict[str, int], dict[str, int]]:
    """Whole watt-seconds by name, and what is left below one."""
    whole, left = {}, {}
    for name in {*part.sums, *part.carried}:
        whole[name], left[name] = divmod(part.sums.get(name, 0) + part.carried.get(name, 0), 1000)
    return whole, dict(sorted((name, rest) for name, rest in left.items() if rest))


def _whole_ms(at: datetime) -> datetime:
    return at.replace(microsecond=at.microsecond // 1000 * 1000)

"""A limit that jumps about is held back upward, and never downward.

Two rules, of one source's envelope; both leave at each instant at most what the source says, and a fall as it is:
- *Settling*: a rise counts once it stood for `settle_s`: what counts is the least of the last `settle_s`.
- *Climbing*: what then counts rises by at most `rise_w_per_s`, in stairs of `STAIR_S`, each taken once the climb has
  reached it.

Both hold for steps that are announced as for those that come without notice: a rise is held back from its start. After
a silence, and at the start of a scheduler, the climb begins from what was counted meanwhile. A source that stops saying
anything limits nothing any more: others decide then, and nothing is held back.

A source of which nobody asked that is watched: where its limit turned (up after down, or down after up) more than
`turns` times within `within_s`, without having announced it, rises have to stand for `hold_s` until it is calm again.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from scheduler.core.envelope import Envelope, Limit, Segment

STAIR_S = 5.0  #: a climb makes one decision in this time, not one with each reading
_FARTHER = 1.1  #: later stairs of an announced rise are as much wider: they are cut anew before they come
_CHANGE = 0.01  #: share of the limit below which a change is no turn


@dataclass(frozen=True, slots=True, kw_only=True)
class SteadyRule:
    """How rises of one source are held back."""

    rise_w_per_s: float | None = None  #: None = at once
    settle_s: float = 0.0
    turns: int | None = 10  #: more of them within `within_s` make it unsteady; None = nobody counts
    within_s: float = 600.0
    hold_s: float = 60.0  #: as `settle_s`, while it is unsteady


AT_ONCE = SteadyRule(turns=None)  #: nothing is held back


class Point(NamedTuple):
    """From `at` on it is `limit_w`."""

    at: datetime
    limit_w: float
    provenance: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What is remembered of one source."""

    told: Envelope | None = None  #: as it was read last,
    read_at: datetime | None = None  #: and when, None = not since there was a limit of it
    seen: tuple[Point, ...] = ()  #: its limit, as long as a rise may have to stand
    foot: Point | None = None  #: from where, and since when, it climbs
    turned: tuple[datetime, ...] = ()  #: when, in the last `within_s`
    rises: bool | None = None  #: whether its last change was a rise
    unsteady: bool = False


NOTHING = Past()


def steadied(
    past: Past, told: Envelope, at: datetime, rule: SteadyRule, *, counted: Limit | None
) -> tuple[Past, Envelope]:
    """What counts of an envelope that was read at `at`, where so far `counted` did; None = it limited nothing."""
    now = told.limit_at(at)
    if now is None:
        return replace(past, told=told, read_at=None), told
    known = _watched(past, now, at, rule)
    if past.read_at is None or counted is None or counted.stale:
        known = _anew(known, at, now.limit_w if counted is None else counted.limit_w, rule)
    since_at = known.read_at or at
    known = replace(known, told=told, read_at=at, seen=_seen(known, now, since_at, at, rule))
    stands_s = max(rule.settle_s, rule.hold_s if known.unsteady else 0.0)
    if stands_s <= 0 and rule.rise_w_per_s is None:
        return known, told
    points = [
        *known.seen,
        *(Point(s.starts_at, s.limit_w, s.provenance) for s in told.segments if s.starts_at > at),
    ]
    if stands_s > 0:
        points = _settled(points, timedelta(seconds=stands_s), _why(known, rule))
    if rule.rise_w_per_s is not None and known.foot is not None:
        foot, points = _climbed(points, known.foot, since_at, at, rule.rise_w_per_s)
        known = replace(known, foot=foot)
    return known, _as_told(told, points, at)


def risen_w(before_w: float, seconds: float, wanted_w: float, rise_w_per_s: float) -> float:
    """A limit so many seconds after it was `before_w`: down at once, up as fast as it may."""
    return min(wanted_w, before_w + rise_w_per_s * max(0.0, seconds))


# -- watching --------------------------------------------------------------------------------------------------------


def _watched(past: Past, now: Segment, at: datetime, rule: SteadyRule) -> Past:
    """Whether it turned without notice, and whether it is unsteady for that."""
    if rule.turns is None:
        return past
    rises = _rises(past, now, at)
    turned = tuple(t for t in past.turned if (at - t).total_seconds() < rule.within_s)
    if rises is not None and past.rises is not None and rises is not past.rises:
        turned = (*turned, at)
    calm_at = rule.turns // 2
    unsteady = len(turned) > (calm_at if past.unsteady else rule.turns)
    return replace(past, turned=turned, rises=past.rises if rises is None else rises, unsteady=unsteady)


def _rises(past: Past, now: Segment, at: datetime) -> bool | None:
    """Whether it is above what it had announced for now; None where it is about that."""
    announced = past.told.limit_at(at) if past.told is not None else None
    if announced is None:
        return None
    change_w = now.limit_w - announced.limit_w
    return None if abs(change_w) <= _CHANGE * max(now.limit_w, announced.limit_w) else change_w > 0


def _why(past: Past, rule: SteadyRule) -> str:
    if past.unsteady:
        return f"held back, for it turned {len(past.turned)} times in {rule.within_s / 60:g} min"
    return f"a rise counts once it stood for {rule.settle_s:g} s"


# -- settling --------------------------------------------------------------------------------------------------------


def _longest_s(rule: SteadyRule) -> float:
    return max(rule.settle_s, 0.0 if rule.turns is None else rule.hold_s)


def _anew(past: Past, at: datetime, counted_w: float, rule: SteadyRule) -> Past:
    """As if its limit had been for long what was counted."""
    before = Point(at - timedelta(seconds=_longest_s(rule) + 1.0), counted_w)
    return replace(past, read_at=at, seen=(before,), foot=Point(at, counted_w))


def _seen(past: Past, now: Segment, since_at: datetime, at: datetime, rule: SteadyRule) -> tuple[Point, ...]:
    """Its limit up to now, as far back as a rise may have to stand."""
    announced = past.told.segments if past.told is not None else ()
    steps = (Point(s.starts_at, s.limit_w, s.provenance) for s in announced if since_at < s.starts_at <= at)
    seen = (*past.seen, *steps)
    if now.limit_w != seen[-1].limit_w:
        seen = (*seen, Point(at, now.limit_w, now.provenance))
    horizon = since_at - timedelta(seconds=_longest_s(rule))
    older = [p for p in seen if p.at <= horizon][-1:]
    return (*older, *(p for p in seen if p.at > horizon))


def _settled(points: Sequence[Point], stands: timedelta, why: str) -> list[Point]:
    """The least of the last while, at each instant."""
    found: list[Point] = []
    least: deque[int] = deque()  #: of those in the while, rising; each ends where the next point begins
    count = 0
    for at in sorted({p.at for p in points} | {p.at + stands for p in points}):
        while count < len(points) and points[count].at <= at:
            while least and points[least[-1]].limit_w >= points[count].limit_w:
                least.pop()
            least.append(count)
            count += 1
        while least[0] + 1 < count and points[least[0] + 1].at <= at - stands:
            least.popleft()
        limit_w, latest = points[least[0]].limit_w, points[count - 1]
        is_held = limit_w < latest.limit_w
        found.append(Point(at, limit_w, f"{latest.provenance}; {why}" if is_held else latest.provenance))
    return found


# -- climbing --------------------------------------------------------------------------------------------------------


def _climbed(
    points: Sequence[Point], foot: Point, since_at: datetime, at: datetime, rise_w_per_s: float
) -> tuple[Point, list[Point]]:
    """From where it climbs at `at`, and the stairs of that climb and of those to come."""
    first = [p for p in points if p.at <= since_at][-1]
    spans = [first._replace(at=since_at), *(p for p in points if p.at > since_at)]
    found: list[Point] = []
    foot_now = foot
    for point, until_at in zip(spans, [*(p.at for p in spans[1:]), None], strict=True):
        if point.limit_w <= _level_w(foot, point.at, rise_w_per_s):
            foot = point
        if point.at <= at:
            arrived = _level_w(foot, at, rise_w_per_s) >= point.limit_w
            foot_now = point._replace(at=at) if arrived else foot
        if until_at is None or until_at > at:
            found += _stairs(foot, point, until_at, max(at, point.at), rise_w_per_s)
        if until_at is not None and _level_w(foot, until_at, rise_w_per_s) >= point.limit_w:
            foot = point._replace(at=until_at)
    return foot_now, found


def _level_w(foot: Point, at: datetime, rise_w_per_s: float) -> float:
    """How high the climb may be at `at`, in whole stairs."""
    return risen_w(foot.limit_w, STAIR_S * _stair(foot, at), math.inf, rise_w_per_s)


def _stair(foot: Point, at: datetime) -> int:
    return math.floor((at - foot.at) / timedelta(seconds=STAIR_S))


def _stairs(
    foot: Point, point: Point, until_at: datetime | None, since_at: datetime, rise_w_per_s: float
) -> Iterator[Point]:
    """From `since_at` on as far as the point lets it; the first is the one that it is on then."""
    first = number = _stair(foot, since_at)
    top = math.ceil((point.limit_w - foot.limit_w) / (rise_w_per_s * STAIR_S))
    says = f"{point.provenance}; rises by {rise_w_per_s:g} W/s"
    while True:
        at = foot.at + timedelta(seconds=STAIR_S * number)
        if until_at is not None and at >= until_at:
            return
        if number >= top:
            yield Point(max(at, point.at), point.limit_w, point.provenance)
            return
        yield Point(max(at, point.at), _level_w(foot, at, rise_w_per_s), says)
        number = min(top, first + max(number - first + 1, math.ceil((number - first) * _FARTHER)))


def _as_told(told: Envelope, points: Sequence[Point], at: datetime) -> Envelope:
    """The envelope with these limits; itself where they are its own."""
    past = [p for p in points if p.at <= at][-1:]
    merged: list[Point] = []
    for point in (*past, *(p for p in points if p.at > at)):
        if not merged or point[1:] != merged[-1][1:]:
            merged.append(point)
    now = told.limit_at(at)
    own = [
        (now and now.limit_w, None),
        *((s.limit_w, s.starts_at) for s in told.segments if s.starts_at > at),
    ]
    if own == [(merged[0].limit_w, None), *((p.limit_w, p.at) for p in merged[1:])]:
        return told
    merged[0] = merged[0]._replace(at=min(merged[0].at, told.read_at))
    segments = (Segment(starts_at=p.at, limit_w=p.limit_w, provenance=p.provenance) for p in merged)
    return replace(told, segments=tuple(segments))

"""Whether the limit is kept: falls of the limit, seconds to comply, breaches. Judged by the meter alone.

A limit binds at once for a plan, but a draw above it is a breach only once the reaction time has passed: at any instant
the draw is measured against the highest limit of the last `reaction_s` seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from itertools import pairwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Fall:
    """One fall of the limit below what the site drew or was entitled to, and how long it took to comply."""

    began_at: datetime
    before_w: float  #: the highest limit since the reading before
    limit_w: float
    draw_w: float  #: at the first reading under it
    entitled_w: float  #: the most that the site drew or was entitled to shortly before
    reaction_s: float
    complied_at: datetime | None = None
    released_at: datetime | None = None  #: it was raised again first: under what is in force since then

    @property
    def settled_at(self) -> datetime | None:
        """Since when it asks nothing more of the site than that it stays where it is."""
        return self.complied_at or self.released_at


class Met(Enum):
    """What a reading of the meter is to a limit that was told."""

    NOT_YET = "not yet"
    COMPLIED = "complied"  #: the draw is at or under it while it is in force
    RELEASED = "released"  #: a higher one is in force by now, and the draw is at or under that


def met(asked_w: float, *, in_force_w: float, draw_w: float) -> Met:
    """Whether what was told is complied with: the one rule for falls of the limit and for instructions."""
    if draw_w > in_force_w:
        return Met.NOT_YET
    return Met.COMPLIED if in_force_w <= asked_w else Met.RELEASED


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What the watcher remembers between readings."""

    limits: tuple[
        tuple[datetime, float], ...
    ] = ()  #: (since, limit_w) of the last reaction time, oldest first
    judged_at: datetime | None = None  #: the last reading
    falls: tuple[Fall, ...] = ()  #: neither complied with nor released yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One reading, judged."""

    watch: Watch
    over_limit: bool
    changed: tuple[Fall, ...]  #: begun, complied with or released, at this reading


def note_limit(watch: Watch, *, at: datetime, limit_w: float, reaction_s: float) -> Watch:
    """Remember that this limit is in force: one that comes and goes between two readings is granted its seconds too."""
    grown = watch.limits
    if not grown or grown[-1][1] != limit_w:
        grown = (*grown, (at, limit_w))
    horizon = at - timedelta(seconds=reaction_s)
    first = max((i for i, (since, _) in enumerate(grown) if since <= horizon), default=0)  # in force then
    return watch if grown is watch.limits and not first else replace(watch, limits=grown[first:])


def judge_draw(
    watch: Watch, *, at: datetime, limit_w: float, draw_w: float, reaction_s: float, entitled_w: float = 0.0
) -> Judgement:
    """Judge one reading of the meter against the limit in force and those of the last `reaction_s` seconds.

    `entitled_w` is the most that the site drew or was entitled to shortly before: a fall that was announced finds the
    draw lowered already.
    """
    noted = note_limit(watch, at=at, limit_w=limit_w, reaction_s=reaction_s)
    judged = tuple(_settled(f, at=at, limit_w=limit_w, draw_w=draw_w) for f in watch.falls)
    settled = tuple(f for f in judged if f.settled_at is not None)
    standing = tuple(f for f in judged if f.settled_at is None)
    begun = _begun(noted, draw_w=draw_w, entitled_w=max(entitled_w, draw_w), reaction_s=reaction_s)
    return Judgement(
        watch=replace(
            noted,
            judged_at=max(at, noted.limits[-1][0]),
            falls=(*standing, *(f for f in begun if f.complied_at is None)),
        ),
        over_limit=draw_w > max(w for _, w in noted.limits),
        changed=(*settled, *begun),
    )


def _settled(fall: Fall, *, at: datetime, limit_w: float, draw_w: float) -> Fall:
    """The fall after a reading under the limit in force, the same object if it still asks for more."""
    match met(fall.limit_w, in_force_w=limit_w, draw_w=draw_w):
        case Met.COMPLIED:
            return replace(fall, complied_at=at)
        case Met.RELEASED:
            return replace(fall, released_at=at)
        case Met.NOT_YET:
            return fall


def _begun(watch: Watch, *, draw_w: float, entitled_w: float, reaction_s: float) -> tuple[Fall, ...]:
    """The fall that began since the last reading, if one did: to the limit in force, below what the site had."""
    began_at, limit_w = watch.limits[-1]
    if watch.judged_at is None or began_at <= watch.judged_at or entitled_w <= limit_w:
        return ()
    before_w = max(
        (w for (_, w), (until, _) in pairwise(watch.limits) if until > watch.judged_at), default=0.0
    )
    if before_w <= limit_w:
        return ()
    is_met = met(limit_w, in_force_w=limit_w, draw_w=draw_w) is Met.COMPLIED
    return (
        Fall(
            began_at=began_at,
            before_w=before_w,
            limit_w=limit_w,
            draw_w=draw_w,
            entitled_w=entitled_w,
            reaction_s=reaction_s,
            complied_at=began_at if is_met else None,
        ),
    )

"""Whether the limit is kept: falls of the limit, seconds to comply, breaches. Judged by the meter alone.

A limit binds at once for a plan, but a draw above it is a breach only once the reaction time has passed: at any instant
the draw is measured against the highest limit of the last `reaction_s` seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What the watcher remembers between readings."""

    limits: tuple[
        tuple[datetime, float], ...
    ] = ()  #: (since, limit_w) of the last reaction time, oldest first
    judged_at: datetime | None = None  #: the last reading
    falls: tuple[Fall, ...] = ()  #: not complied with yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One reading, judged."""

    watch: Watch
    over_limit: bool
    changed: tuple[Fall, ...]  #: begun, or complied with, at this reading


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
    under = draw_w <= limit_w  # the limit in force: one that has risen again asks for no more than that
    complied = tuple(replace(f, complied_at=at) for f in watch.falls if under)
    standing = () if under else watch.falls
    begun = _begun(noted, draw_w=draw_w, entitled_w=max(entitled_w, draw_w), reaction_s=reaction_s)
    return Judgement(
        watch=replace(
            noted,
            judged_at=max(at, noted.limits[-1][0]),
            falls=(*standing, *(f for f in begun if f.complied_at is None)),
        ),
        over_limit=draw_w > max(w for _, w in noted.limits),
        changed=(*complied, *begun),
    )


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
    return (
        Fall(
            began_at=began_at,
            before_w=before_w,
            limit_w=limit_w,
            draw_w=draw_w,
            entitled_w=entitled_w,
            reaction_s=reaction_s,
            complied_at=began_at if draw_w <= limit_w else None,
        ),
    )

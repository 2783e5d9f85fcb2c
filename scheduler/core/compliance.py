"""Whether the limit is kept: withdrawals, seconds to comply, seconds over the limit. Judged by the meter alone.

A limit binds at once for a plan, but a draw above it is a breach only once the reaction time has passed: at any instant
the draw is measured against the highest limit of the last `reaction_s` seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdrawal:
    """One fall of the limit below the draw, and how long it took to comply."""

    began_at: datetime
    limit_w: float
    draw_w: float
    reaction_s: float
    complied_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What the watcher remembers between readings."""

    limits: tuple[
        tuple[datetime, float], ...
    ] = ()  #: (since, limit_w) of the last reaction time, oldest first
    judged_at: datetime | None = None  #: the last reading
    falls: tuple[Withdrawal, ...] = ()  #: not complied with yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One reading, judged."""

    watch: Watch
    over_limit: bool
    changed: tuple[Withdrawal, ...]  #: begun, or complied with, at this reading


def note_limit(watch: Watch, *, at: datetime, limit_w: float, reaction_s: float) -> Watch:
    """Remember that this limit is in force: one that comes and goes between two readings is granted its seconds too."""
    grown = watch.limits
    if not grown or grown[-1][1] != limit_w:
        grown = (*grown, (at, limit_w))
    horizon = at - timedelta(seconds=reaction_s)
    first = max((i for i, (since, _) in enumerate(grown) if since <= horizon), default=0)  # in force then
    return watch if grown is watch.limits and not first else replace(watch, limits=grown[first:])


def judge_draw(watch: Watch, *, at: datetime, limit_w: float, draw_w: float, reaction_s: float) -> Judgement:
    """Judge one reading of the meter against the limit in force and those of the last `reaction_s` seconds."""
    noted = note_limit(watch, at=at, limit_w=limit_w, reaction_s=reaction_s)
    under = draw_w <= limit_w  # the limit in force: one that has risen again asks for no more than that
    complied = tuple(replace(f, complied_at=at) for f in watch.falls if under)
    standing = () if under else watch.falls
    begun = _begun(noted, draw_w=draw_w, reaction_s=reaction_s)
    return Judgement(
        watch=replace(noted, judged_at=max(at, noted.limits[-1][0]), falls=(*standing, *begun)),
        over_limit=draw_w > max(w for _, w in noted.limits),
        changed=(*complied, *begun),
    )


def _begun(watch: Watch, *, draw_w: float, reaction_s: float) -> tuple[Withdrawal, ...]:
    """The withdrawal that began since the last reading, if one did: a fall to the limit in force, below the draw."""
    began_at, limit_w = watch.limits[-1]
    if watch.judged_at is None or began_at <= watch.judged_at or draw_w <= limit_w:
        return ()
    before = [w for (_, w), (until, _) in pairwise(watch.limits) if until > watch.judged_at]
    if max(before, default=0.0) <= limit_w:
        return ()
    return (Withdrawal(began_at=began_at, limit_w=limit_w, draw_w=draw_w, reaction_s=reaction_s),)

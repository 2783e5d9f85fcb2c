"""Whether the limit is kept: withdrawals, seconds to comply, seconds over the limit. Judged by the meter alone.

A limit binds at once for a plan, but a draw above it is a breach only once the reaction time has passed: at any instant
the draw is measured against the highest limit of the last `reaction_s` seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta


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
    falls: tuple[Withdrawal, ...] = ()  #: not complied with yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One reading, judged."""

    watch: Watch
    over_limit: bool
    changed: tuple[Withdrawal, ...]  #: begun, or complied with, at this reading


def judge_draw(watch: Watch, *, at: datetime, limit_w: float, draw_w: float, reaction_s: float) -> Judgement:
    """Judge one reading of the meter against the limit in force and those of the last `reaction_s` seconds."""
    limits = _remembered(watch.limits, at, limit_w, reaction_s)
    begun = _begun(watch, at=at, limit_w=limit_w, draw_w=draw_w, reaction_s=reaction_s)
    under = draw_w <= limit_w  # the limit in force: one that has risen again asks for no more than that
    complied = tuple(replace(f, complied_at=at) for f in watch.falls if under)
    standing = () if under else watch.falls
    return Judgement(
        watch=Watch(limits=limits, falls=(*standing, *begun)),
        over_limit=draw_w > max(w for _, w in limits),
        changed=(*complied, *begun),
    )


def _remembered(
    limits: tuple[tuple[datetime, float], ...], at: datetime, limit_w: float, reaction_s: float
) -> tuple[tuple[datetime, float], ...]:
    """Limits in force at some instant of the last `reaction_s`: the last one before it counts too."""
    grown = limits if limits and limits[-1][1] == limit_w else (*limits, (at, limit_w))
    horizon = at - timedelta(seconds=reaction_s)
    first = max((i for i, (since, _) in enumerate(grown) if since <= horizon), default=0)
    return grown[first:]


def _begun(
    watch: Watch, *, at: datetime, limit_w: float, draw_w: float, reaction_s: float
) -> tuple[Withdrawal, ...]:
    fell = bool(watch.limits) and limit_w < watch.limits[-1][1]
    if not fell or draw_w <= limit_w:
        return ()
    return (Withdrawal(began_at=at, limit_w=limit_w, draw_w=draw_w, reaction_s=reaction_s),)

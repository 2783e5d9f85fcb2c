"""No rebound: after the limit rose, what is ordered is held at what stood before it fell.

Demand response calls it a rebound where the draw behind an event is above the one before it. Nothing is made up for
here, so it could come from two things alone. The margin shrank, or the trim gave something back, while the limit was
low: then more would be ordered than before. And a draw that stood for minutes has dips, where one job ends and the
next one loads, and one that comes back at once has none.

So for `SETTLE_S` after a rise the share of the limit that stays free is no less than the mean of the `SETTLE_S` before
the last fall, and by `HAIR` more. As a share, not as watts: a limit that comes back higher than it was is used. What
is kept free in that time for this rule's sake counts for no later fall, or events that come one after the other would
add up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

SETTLE_S = 900.0  #: that a rebound is judged over, see `scheduler.core.verification`
CHANGE = 0.05  #: of the limit, from which on it fell or rose,
HAIR = 0.005  #: and what stays free besides, as a share of it
_STRETCH_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A minute of what stayed free."""

    since_at: datetime
    covered_s: float
    free_s: float  #: integral of the share of the limit that had to stay free by the site file's figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Stood:
    """What stood before the limit changed."""

    limit_w: float = 0.0  #: at the newest reading
    stretches: tuple[Stretch, ...] = ()  #: of the last `SETTLE_S`, oldest first
    usual: float | None = None  #: share that stayed free before the last fall; None = there was none
    rose_at: datetime | None = None  #: when the limit last rose by much


def stood(before: Stood, at: datetime, *, free: float, covered_s: float, limit_w: float) -> Stood:
    """What is known after one more reading, for whose `covered_s` the share `free` had to stay free."""
    usual, rose_at = before.usual, before.rose_at
    if limit_w < (1.0 - CHANGE) * before.limit_w:
        usual = _mean(before.stretches, usual)
    elif limit_w > (1.0 + CHANGE) * before.limit_w > 0.0:
        rose_at = at
    kept = tuple(s for s in before.stretches if (at - s.since_at).total_seconds() <= SETTLE_S)
    return Stood(limit_w=limit_w, stretches=_with(kept, at, free, covered_s), usual=usual, rose_at=rose_at)


def is_settling(known: Stood, at: datetime) -> bool:
    """Whether the limit rose lately."""
    return known.rose_at is not None and (at - known.rose_at).total_seconds() < SETTLE_S


def _with(stretches: tuple[Stretch, ...], at: datetime, free: float, covered_s: float) -> tuple[Stretch, ...]:
    newest = stretches[-1] if stretches else None
    if newest is None or (at - newest.since_at).total_seconds() >= _STRETCH_S:
        return (*stretches, Stretch(since_at=at, covered_s=covered_s, free_s=free * covered_s))
    grown = replace(newest, covered_s=newest.covered_s + covered_s, free_s=newest.free_s + free * covered_s)
    return (*stretches[:-1], grown)


def _mean(stretches: tuple[Stretch, ...], unknown: float | None) -> float | None:
    covered_s = sum(s.covered_s for s in stretches)
    return sum(s.free_s for s in stretches) / covered_s if covered_s > 0 else unknown

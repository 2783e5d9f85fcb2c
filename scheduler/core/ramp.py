"""How fast watts may rise and fall: rates, delays before a change, a dwell after a fall.

A reduction that a limit demands is never slowed: whatever is asked here, the answer is at or under `limit_w` at once.
Delays and rates hold for what is merely wanted: a miner that wakes, work that starts, a voluntary step down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Ramp:
    """The pace of one site, fleet or kind of work. Raises ValueError for rates of zero and times below zero."""

    up_w_per_s: float = math.inf
    down_w_per_s: float = math.inf  #: of reductions that nobody demands
    enter_delay_s: float = 0.0  #: more must have been wanted for this long before anything rises
    leave_delay_s: float = 0.0  #: less must have been wanted for this long before anything falls by itself
    dwell_s: float = 0.0  #: after a fall nothing rises for this long

    def __post_init__(self) -> None:
        for name in ("up_w_per_s", "down_w_per_s"):
            if not getattr(self, name) > 0:
                raise ValueError(
                    f"{name} = {getattr(self, name):g} W/s: no watt would ever move; give more than 0"
                )
        for name in ("enter_delay_s", "leave_delay_s", "dwell_s"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} = {getattr(self, name):g} s: give 0 for none, or how long to wait")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moving:
    """Where a ramp stands: what is allowed, and how long more or less has been wanted without a break."""

    allowed_w: float
    above_for_s: float = 0.0
    below_for_s: float = 0.0
    since_fall_s: float = math.inf  #: inf = it has never fallen


def step(ramp: Ramp, before: Moving, wanted_w: float, seconds: float, *, limit_w: float = math.inf) -> Moving:
    """What is allowed `seconds` later, if `wanted_w` was wanted all that time and `limit_w` is the limit now.

    In one step or in several, the result is the same. Raises ValueError for time that runs backwards.
    """
    if seconds < 0:
        raise ValueError(
            f"seconds = {seconds:g}: time does not run backwards; give the time since the last step"
        )
    aim_w = min(wanted_w, limit_w)
    start_w = min(before.allowed_w, limit_w)
    if aim_w > start_w:
        after = _rise(ramp, before, aim_w, start_w, seconds)
    elif aim_w < start_w:
        after = _fall(ramp, before, aim_w, start_w, seconds)
    else:
        after = Moving(allowed_w=start_w, since_fall_s=before.since_fall_s + seconds)
    return after if start_w == before.allowed_w else _was_cut(after)


def _rise(ramp: Ramp, before: Moving, aim_w: float, start_w: float, seconds: float) -> Moving:
    allowed_w = min(aim_w, start_w + _moved_w(ramp.up_w_per_s, seconds - _rise_waits_s(ramp, before)))
    return Moving(
        allowed_w=allowed_w,
        above_for_s=before.above_for_s + seconds if allowed_w < aim_w else 0.0,
        since_fall_s=before.since_fall_s + seconds,
    )


def _fall(ramp: Ramp, before: Moving, aim_w: float, start_w: float, seconds: float) -> Moving:
    moving_s = seconds - max(0.0, ramp.leave_delay_s - before.below_for_s)
    moved_w = _moved_w(ramp.down_w_per_s, moving_s)
    if not moved_w:
        return Moving(
            allowed_w=start_w,
            below_for_s=before.below_for_s + seconds,
            since_fall_s=before.since_fall_s + seconds,
        )
    arrived = start_w - aim_w <= moved_w
    return Moving(
        allowed_w=aim_w if arrived else start_w - moved_w,
        below_for_s=0.0 if arrived else before.below_for_s + seconds,
        since_fall_s=max(0.0, moving_s - (start_w - aim_w) / ramp.down_w_per_s),
    )


def _moved_w(rate_w_per_s: float, seconds: float) -> float:
    """How far a rate leads in that time; one without bounds leads anywhere at once."""
    if seconds < 0:
        return 0.0
    return math.inf if math.isinf(rate_w_per_s) else rate_w_per_s * seconds


def _was_cut(after: Moving) -> Moving:
    """The limit took something just now: the dwell begins here, and so does the wait of whoever wants more."""
    return Moving(allowed_w=after.allowed_w, since_fall_s=0.0)


def _rise_waits_s(ramp: Ramp, before: Moving) -> float:
    return max(0.0, ramp.enter_delay_s - before.above_for_s, ramp.dwell_s - before.since_fall_s)


def settles_in_s(ramp: Ramp, before: Moving, wanted_w: float) -> float:
    """Seconds until `wanted_w` is allowed, if it stays wanted and no limit comes between; 0 = it is already."""
    rise_w = wanted_w - before.allowed_w
    if rise_w > 0:
        return _rise_waits_s(ramp, before) + rise_w / ramp.up_w_per_s
    if rise_w < 0:
        return max(0.0, ramp.leave_delay_s - before.below_for_s) - rise_w / ramp.down_w_per_s
    return 0.0

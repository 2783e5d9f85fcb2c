"""How something answered an order, from readings around it: dead time, ramp, settling, level. Pure.

A reading says what was drawn at its instant and nothing of the time between two of them. So each time is that of the
first reading that shows it: late by `resolution_s` at most, and never early.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median, pstdev
from typing import Final

SETTLED: Final = 0.02  #: share of the change within which it has settled
SIGMAS: Final = 3.0  #: of noise, which no change is
LEAST_BEFORE: Final = 3  #: readings
LEAST_AFTER: Final = 4
LEAST_STEADY: Final = 6
_DRIFT: Final = 0.002  #: share of the level that halves of a window may differ by
_MEDIAN_OF_NORMAL: Final = 0.6745  #: of its absolute value, in standard deviations
_FIRST, _LAST = 0.1, 0.9  #: parts of the change between which its ramp is taken


class NoAnswer(ValueError):
    """The readings show no change, or too few were taken; the message says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One reading: seconds of any clock, and W."""

    at_s: float
    w: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What followed one order. Seconds are counted from it."""

    before_w: float
    after_w: float
    dead_s: float  #: until it began to change
    half_s: float  #: until half of the change was done
    settle_s: float  #: until it stayed within 2 % of the change, or within its noise
    ramp_w_per_s: float | None  #: through the middle of the change; None = faster than the readings show
    noise_w: float  #: standard deviation of what is settled
    resolution_s: float  #: usual time between two readings

    @property
    def change_w(self) -> float:
        """Above 0 where it rose."""
        return self.after_w - self.before_w


def response(points: Sequence[Point], ordered_s: float) -> Response:
    """What followed an order at `ordered_s`, by readings from before it to where it is steady. Raises NoAnswer."""
    before = [p.w for p in points if p.at_s <= ordered_s]
    later = [p for p in points if p.at_s > ordered_s]
    if len(before) < LEAST_BEFORE or len(later) < LEAST_AFTER:
        raise NoAnswer(f"{len(before)} readings before and {len(later)} after the order are too few")
    tail = [p.w for p in later[-max(LEAST_AFTER, len(later) // 4) :]]
    before_w, after_w = fmean(before), fmean(tail)
    noise_w = max(pstdev(before), pstdev(tail))
    change_w = after_w - before_w
    if abs(change_w) <= 2 * SIGMAS * noise_w or change_w == 0:
        raise NoAnswer(f"a change of {change_w:.0f} W is lost in a noise of {noise_w:.0f} W")
    band_w = max(SETTLED * abs(change_w), SIGMAS * noise_w)
    first, half, last = (_crossing_s(later, before_w, change_w, part) for part in (_FIRST, 0.5, _LAST))
    resolution_s = spacing_s(points)
    ramp_s = last - first
    return Response(
        before_w=before_w,
        after_w=after_w,
        dead_s=next(p.at_s for p in later if abs(p.w - before_w) > band_w) - ordered_s,
        half_s=half - ordered_s,
        settle_s=_settled_s(later, after_w, band_w) - ordered_s,
        ramp_w_per_s=(_LAST - _FIRST) * change_w / ramp_s if ramp_s > 2 * resolution_s else None,
        noise_w=noise_w,
        resolution_s=resolution_s,
    )


def spacing_s(points: Sequence[Point]) -> float:
    """The usual time between two readings, s; 0 for fewer than two."""
    gaps = [later.at_s - earlier.at_s for earlier, later in pairwise(points)]
    return median(gaps) if gaps else 0.0


def is_steady(points: Sequence[Point], window_s: float) -> bool:
    """Whether the last `window_s` are filled with readings that go neither up nor down, but for their noise."""
    if not points or points[-1].at_s - points[0].at_s < window_s:
        return False
    last = [p.w for p in points if p.at_s >= points[-1].at_s - window_s]
    if len(last) < LEAST_STEADY:
        return False
    half = len(last) // 2
    early, late = last[:half], last[-half:]
    allowed_w = max(_DRIFT * abs(fmean(last)), SIGMAS * _trembling_w(last) * math.sqrt(2 / half))
    return abs(fmean(late) - fmean(early)) <= allowed_w


def _trembling_w(values: Sequence[float]) -> float:
    """Standard deviation of noise, from one reading to the next: a step or a drift between them is not counted."""
    jumps = [abs(later - earlier) for earlier, later in pairwise(values)]
    return median(jumps) / (_MEDIAN_OF_NORMAL * math.sqrt(2.0))


def level_w(points: Sequence[Point], window_s: float) -> float:
    """The mean of the last `window_s`, W. There must be a reading."""
    return fmean(p.w for p in points if p.at_s >= points[-1].at_s - window_s)


def lag_s(meter: Sequence[Response], devices: Sequence[Response]) -> float:
    """By how much a meter shows the same changes later than the devices' own reports, s; never below 0."""
    late = [m.half_s - d.half_s for m, d in zip(meter, devices, strict=True)]
    return max(0.0, median(late)) if late else 0.0


def _crossing_s(later: Sequence[Point], before_w: float, change_w: float, part: float) -> float:
    """When that part of the change was done, between the two readings around it."""
    done = [(p.at_s, (p.w - before_w) / change_w) for p in later]
    at = next(i for i, (_, share) in enumerate(done) if share >= part)
    if at == 0:
        return done[0][0]
    (since_s, less), (until_s, more) = done[at - 1], done[at]
    return since_s + (until_s - since_s) * (part - less) / (more - less)


def _settled_s(later: Sequence[Point], after_w: float, band_w: float) -> float:
    """The first reading from which on all are in the band, but for one alone between two that are: noise has tails."""
    shown_w = [median(p.w for p in later[max(0, i - 1) : i + 2]) for i in range(1, len(later) - 1)]
    values = [later[0].w, *shown_w, later[-1].w]
    outside = [i for i, w in enumerate(values) if abs(w - after_w) > band_w]
    return later[min(outside[-1] + 1, len(later) - 1) if outside else 0].at_s

"""The control trim: the steady error of the power model, learned from the site's own meter and taken out of it.

What is learned. The books charge entitlements: overhead x what nodes may draw + miners + auxiliary <= limit. That
work draws less than it may is headroom, and none of the trim's business. But the overhead and the auxiliary watts are
figures from a file: in truth the hall may need 1.18 today, and a part of the limit is never used, or 1.32, and the
limit breaks though the books are right. So each reading is held against what the model says of the draws that devices
*report* in the same instant:

    error = measured - (overhead x nodes + miners + auxiliary)      > 0: the model says too little

Two views of it. One error says not whether it is constant (auxiliary) or grows with the load (overhead). Both are
learned, as W and as a share of what nodes draw with their overhead, and the more careful one counts at each load:

    correction(load) = max(flat_w, share x load)

A credit (< 0) is taken at the load that is there now, or at the limit if that is lower, so that the credit of a full
hall does not outlive the load that it came from. A charge (> 0) is taken at the load that orders allow.

Slow up, fast down. It is an estimate beside the loop and no term in it: the error is measured against the model as it
is in the site file, so that what the trim does comes back to it only through the load, and nothing winds up or swings.
- More is given with a time constant of minutes (`give_s`), at most `most` of the limit, and of the draw, in all. If the
  site file says nothing that is less than the margin: a meter that lies low then costs margin, and breaks no limit,
  and the sum of all grants, as the site file's own figures have it, stays within the limit as ever.
- A credit that the meter does not show any more is gone once that stood through a fall of the devices and a second: a
  reading that lags behind an order is no news.
- A charge is learned within `take_s`. What the meter sees beyond the books is off the room within seconds, as ever
  (`scheduler.core.metering.standing_w`): of both the greater counts.
- Below `BAND` of the draw nothing changes, so that noise makes no orders.

When it stands still (`Why`). Nothing is learned while the draw moves, for meter and reports lag differently; no more
is given at the bound. While the reading is not good, disagrees with the reports, or a group is silent or lives by its
fallback, nothing is learned either, and a credit is kept for `HOLD_S` and then fades within `FADE_S`; a charge stays.
A new leader begins with the charge, and without credit. What guards fall back to is reckoned without any correction.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import fmean

BAND = 0.002  #: share of the draw by which the correction in use may be off
HOLD_S = 30.0  #: a credit stands this long without a reading that can be judged,
FADE_S = 60.0  #: and is gone this much later
_FADE_STEPS = 6  #: each is a change of the room: not every second
_MOVES = 0.01  #: share of the draw by which it changes within a window, where it is not steady


class Why(StrEnum):
    """Why the trim changes as it does, or stands still."""

    NEW = "too few readings so far"
    STEADY = "follows the meter"
    MOVING = "the draw is moving"
    BOUND = "no more may be given back"
    NOT_GOOD = "the reading is not a good one of the meter"
    DISAGREES = "meter and reports disagree"
    SILENT = "a group is silent, or lives by its fallback"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrimRule:
    """How far a site's meter is trusted to correct the model."""

    most: float  #: share of the limit that is given back at most
    give_s: float = 300.0  #: time constant of giving back, s
    take_s: float = 30.0  #: and of taking off what the model leaves out
    tolerance: float = 0.1  #: share of the greater that meter and model may differ by,
    tolerance_w: float = 1000.0  #: or so many W, whichever is more: beyond it is no steady error
    accuracy: float | None = (
        None  #: share by which the meter may be off; None = the margin stands, see `scheduler.core.proving`
    )
    least: float = BAND  #: share of the limit that stays free, whatever is proven
    fresh_s: float = 2.0  #: age up to which a reading is of now

    @property
    def counts_undrawn(self) -> bool:
        """Whether what work leaves undrawn counts for what the meter may be off by."""
        return self.accuracy is not None and self.least < self.accuracy


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One reading beside what the model says of the draws that were reported then. Site watts."""

    at: datetime
    measured_w: float
    modelled_w: float
    nodes_w: float  #: the part of it that nodes draw, with their overhead
    allowed_nodes_w: float  #: the same by what orders allow
    allowed_w: float = 0.0  #: all of it by what orders allow
    seasoned: float = 1.0  #: share of what work may draw that is of work that has run for long
    doubt: Why | None = None  #: why it cannot be judged

    @property
    def error_w(self) -> float:
        """What the model says too little, W."""
        return self.measured_w - self.modelled_w

    @property
    def share(self) -> float:
        """The same as a share of what nodes draw; of nothing there is none."""
        return self.error_w / self.nodes_w if self.nodes_w > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trim:
    """What was learned so far."""

    at: datetime  #: of the newest reading that could be judged
    flat_w: float = 0.0  #: the error taken for a constant, W
    share: float = 0.0  #: the error taken for a share of what nodes draw
    used_w: float = 0.0  #: the correction in use, W
    why: Why = Why.NEW
    seen: tuple[Shown, ...] = ()  #: through the last fall, and one from before it


@dataclass(frozen=True, slots=True, kw_only=True)
class Trimmed:
    """The correction that a decision is made with, and what of it the next leader begins with."""

    w: float  #: > 0 is taken off the room, < 0 is given back
    why: Why
    flat_w: float = 0.0
    share: float = 0.0


def learned(trim: Trim, shown: Shown, rule: TrimRule, *, window_s: float) -> Trim:
    """What is known after one more reading; `window_s` is how long an error has to stand to be more than a lag."""
    if shown.doubt is not None:
        return replace(trim, why=shown.doubt, seen=())
    seen = _window((*trim.seen, shown), window_s)
    past = replace(_faded(trim, shown.at), at=shown.at, seen=seen)
    if (shown.at - seen[0].at).total_seconds() < window_s:
        return replace(past, why=Why.NEW)
    moves = _moves(seen)
    since_s = 0.0 if moves else (shown.at - seen[-2].at).total_seconds()
    flat_w = _followed(past.flat_w, [s.error_w for s in seen], since_s, rule)
    share = _followed(past.share, [s.share for s in seen], since_s, rule)
    bound_w = rule.most * shown.modelled_w
    least_share = -bound_w / shown.nodes_w if shown.nodes_w > 0 else 0.0
    found = replace(past, flat_w=max(flat_w, -bound_w), share=max(share, least_share))
    wanted_w = max(_correction_w(found, shown), -bound_w)
    band_w = BAND * shown.modelled_w
    used_w = wanted_w if abs(wanted_w - past.used_w) > band_w else past.used_w
    return replace(found, used_w=max(used_w, -bound_w), why=_why(seen, moves=moves, bound_w=bound_w))


def trimmed(trim: Trim, rule: TrimRule, *, at: datetime, limit_w: float) -> Trimmed:
    """The correction at `at` under a limit."""
    used_w = trim.used_w
    if used_w < 0:
        used_w = max(used_w, trim.share * limit_w, -rule.most * limit_w) * _left(trim, at)
    return Trimmed(w=used_w, why=trim.why, flat_w=trim.flat_w, share=trim.share)


def resumed(before: Trimmed | None, at: datetime) -> Trim:
    """What a new leader begins with: the charge of the one before, and no credit."""
    if before is None:
        return Trim(at=at)
    return Trim(
        at=at, flat_w=max(0.0, before.flat_w), share=max(0.0, before.share), used_w=max(0.0, before.w)
    )


def _correction_w(trim: Trim, shown: Shown) -> float:
    """By the more careful of both views, at the load where that is careful."""
    load_w = shown.allowed_nodes_w if trim.share > 0 else shown.nodes_w
    return max(trim.flat_w, trim.share * load_w)


def _followed(value: float, errors: Sequence[float], since_s: float, rule: TrimRule) -> float:
    """One view of the error after another reading: a credit that did not show in the whole window is gone at once."""
    least = min(errors)
    if value < 0:
        value = max(value, min(least, 0.0))
    gap = fmean(errors) - value
    return value - gap * math.expm1(-since_s / (rule.take_s if gap > 0 else rule.give_s))


def _window(seen: tuple[Shown, ...], window_s: float) -> tuple[Shown, ...]:
    """The readings of the last `window_s`, and one from before."""
    horizon = seen[-1].at - timedelta(seconds=window_s)
    older = [s for s in seen if s.at <= horizon][-1:]
    return (*older, *(s for s in seen if s.at > horizon))


def _moves(seen: Sequence[Shown]) -> bool:
    """Whether the draw goes up or down through the window. What merely trembles is as high in both halves of it."""
    half = len(seen) // 2
    early, late = seen[:half], seen[half:]
    modelled_w = abs(fmean(s.modelled_w for s in late) - fmean(s.modelled_w for s in early))
    measured_w = abs(fmean(s.measured_w for s in late) - fmean(s.measured_w for s in early))
    return max(modelled_w, measured_w) > _MOVES * seen[-1].modelled_w


def _why(seen: Sequence[Shown], *, moves: bool, bound_w: float) -> Why:
    if moves:
        return Why.MOVING
    return Why.BOUND if fmean(s.error_w for s in seen) < -bound_w else Why.STEADY


def _left(trim: Trim, at: datetime) -> float:
    """The part of a credit that is left, for want of readings that can be judged."""
    silent_s = (at - trim.at).total_seconds()
    left = min(1.0, max(0.0, 1.0 - (silent_s - HOLD_S) / FADE_S))
    return math.floor(left * _FADE_STEPS) / _FADE_STEPS


def _faded(trim: Trim, at: datetime) -> Trim:
    """After a silence: what faded does not come back by itself."""
    left = _left(trim, at)
    if left == 1.0:
        return trim
    flat_w, share, used_w = (w * left if w < 0 else w for w in (trim.flat_w, trim.share, trim.used_w))
    return replace(trim, flat_w=flat_w, share=share, used_w=used_w)

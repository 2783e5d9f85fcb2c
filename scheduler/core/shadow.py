"""What a day of the shadow comes to: the real site by its own meter beside its twin, by the same rules.

Energy is that of a reading until the next one, seconds over the limit are those after the reaction time
(`scheduler.core.compliance`), both W and Wh at the site meter. What nobody looked at is not made up: it is missing
from `covered_s`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta

from scheduler.core.accounting import LONGEST_S
from scheduler.core.compliance import Fall, Judgement, Watch, judge_draw


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """What one side draws now, W at the site meter. Who draws it is known of the twin only."""

    at: datetime
    draw_w: float
    ai_w: float | None = None
    miners_w: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One side of a day. What is None is not known of it."""

    covered_s: float = 0.0
    offered_wh: float = 0.0  #: under the limit
    drawn_wh: float = 0.0
    unused_wh: float = 0.0  #: under the limit and drawn by nobody
    ai_wh: float | None = None
    miners_wh: float | None = None
    over_s: float = 0.0  #: over the limit after the reaction time
    over_wh: float = 0.0  #: drawn then, beyond what anybody had allowed within the reaction time
    worst_over_w: float = 0.0
    worst_at: datetime | None = None
    withdrawals: int = 0  #: falls of the limit below the draw
    complied: int = 0  #: of them, with
    comply_s: float = 0.0  #: seconds that these took, in all
    comply_max_s: float | None = None

    @property
    def comply_mean_s(self) -> float | None:
        """Seconds to comply with a withdrawal; None where none was complied with."""
        return self.comply_s / self.complied if self.complied else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowDay:
    """One UTC day, [day, day + 1)."""

    day: date
    real: Figures = field(default_factory=Figures)
    twin: Figures = field(default_factory=lambda: Figures(ai_wh=0.0, miners_wh=0.0))
    beside: Figures = field(default_factory=lambda: Figures(ai_wh=0.0, miners_wh=0.0))
    """The twin's while the real site could be measured too: what the two are compared by."""
    paused: int = 0  #: times that a job of the twin gave up its GPUs, or stood still on them
    finished: int = 0  #: jobs of the twin that succeeded

    def uncovered_s(self, side: Figures, now: datetime) -> float:
        """Seconds of the day until now of which nothing is known of one side."""
        begins_at = datetime.combine(self.day, time(), tzinfo=UTC)
        gone_s = min(86_400.0, max(0.0, (now - begins_at).total_seconds()))
        return max(0.0, gone_s - side.covered_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One judge's memory: the falls that it watches, and its last reading with the limit of then."""

    watch: Watch = field(default_factory=Watch)
    last: Draw | None = None
    limit_w: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """What came between two readings of one side, as far as it is known."""

    since_at: datetime
    until_at: datetime
    gains: Figures  #: to be added to the day, or shared by time where midnight lies between


def looked(
    side: Side, draw: Draw, *, limit_w: float, reaction_s: float
) -> tuple[Side, Stretch | None, Figures]:
    """One more reading of a side. What passed since the one before, and what is counted at this instant."""
    before = side.last
    if before is not None and draw.at <= before.at:
        return side, None, Figures()
    found = judge_draw(side.watch, at=draw.at, limit_w=limit_w, draw_w=draw.draw_w, reaction_s=reaction_s)
    over_w = max(0.0, draw.draw_w - max(w for _, w in found.watch.limits)) if found.over_limit else 0.0
    stretch = None
    if before is not None:
        until_at = min(draw.at, before.at + timedelta(seconds=LONGEST_S))
        stretch = Stretch(
            since_at=before.at,
            until_at=until_at,
            gains=_passed(before, side.limit_w, over_w, (until_at - before.at).total_seconds()),
        )
    return Side(watch=found.watch, last=draw, limit_w=limit_w), stretch, _at_once(found, over_w, draw.at)


def _passed(draw: Draw, limit_w: float, over_w: float, span_s: float) -> Figures:
    """The reading held until the next one, which knows whether the limit was kept in between."""
    hours = span_s / 3600.0
    return Figures(
        covered_s=span_s,
        offered_wh=limit_w * hours,
        drawn_wh=draw.draw_w * hours,
        unused_wh=max(0.0, limit_w - draw.draw_w) * hours,
        ai_wh=None if draw.ai_w is None else draw.ai_w * hours,
        miners_wh=None if draw.miners_w is None else draw.miners_w * hours,
        over_s=span_s if over_w > 0 else 0.0,
        over_wh=over_w * hours,
    )


def _at_once(found: Judgement, over_w: float, at: datetime) -> Figures:
    done_s = [_comply_s(w) for w in found.changed if w.complied_at is not None]
    return Figures(
        worst_over_w=over_w,
        worst_at=at if over_w > 0 else None,
        withdrawals=sum(w.settled_at is None for w in found.changed),
        complied=len(done_s),
        comply_s=sum(done_s),
        comply_max_s=max(done_s, default=None),
    )


def _comply_s(fall: Fall) -> float:
    return (fall.complied_at - fall.began_at).total_seconds() if fall.complied_at else 0.0


def total(one: Figures, other: Figures) -> Figures:
    """Two parts of one side's day together."""
    worst = max(one, other, key=lambda f: f.worst_over_w)
    slowest = [s for s in (one.comply_max_s, other.comply_max_s) if s is not None]
    return Figures(
        covered_s=one.covered_s + other.covered_s,
        offered_wh=one.offered_wh + other.offered_wh,
        drawn_wh=one.drawn_wh + other.drawn_wh,
        unused_wh=one.unused_wh + other.unused_wh,
        ai_wh=_sum(one.ai_wh, other.ai_wh),
        miners_wh=_sum(one.miners_wh, other.miners_wh),
        over_s=one.over_s + other.over_s,
        over_wh=one.over_wh + other.over_wh,
        worst_over_w=worst.worst_over_w,
        worst_at=worst.worst_at,
        withdrawals=one.withdrawals + other.withdrawals,
        complied=one.complied + other.complied,
        comply_s=one.comply_s + other.comply_s,
        comply_max_s=max(slowest, default=None),
    )


def by_day(stretch: Stretch) -> dict[date, Figures]:
    """The gains of each day that a stretch touches, shared by time."""
    first, last = stretch.since_at.date(), stretch.until_at.date()
    if first == last:
        return {first: stretch.gains}
    midnight = datetime.combine(last, time(), tzinfo=UTC)
    span_s = (stretch.until_at - stretch.since_at).total_seconds()
    share = (midnight - stretch.since_at).total_seconds() / span_s
    return {first: _part(stretch.gains, share), last: _part(stretch.gains, 1.0 - share)}


def _part(whole: Figures, share: float) -> Figures:
    """A share of all that grows with time."""
    return replace(
        whole,
        covered_s=whole.covered_s * share,
        offered_wh=whole.offered_wh * share,
        drawn_wh=whole.drawn_wh * share,
        unused_wh=whole.unused_wh * share,
        ai_wh=None if whole.ai_wh is None else whole.ai_wh * share,
        miners_wh=None if whole.miners_wh is None else whole.miners_wh * share,
        over_s=whole.over_s * share,
        over_wh=whole.over_wh * share,
    )


def _sum(one: float | None, other: float | None) -> float | None:
    """What is not known of a part adds nothing."""
    known = [wh for wh in (one, other) if wh is not None]
    return sum(known) if known else None

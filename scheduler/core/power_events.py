"""A power event: one fall of the limit as it was lived through, and the figures that people are told of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from scheduler.core.compliance import Fall


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One second of the site at its meter, W."""

    at: datetime
    draw_w: float
    limit_w: float
    commanded_w: float  #: what all orders together allow
    over_limit: bool = False  #: since the reading before, beyond the reaction time
    is_measured: bool = True  #: by the site's meter, and now


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Sums over readings."""

    covered_s: float = 0.0
    draw_wh: float = 0.0
    limit_wh: float = 0.0
    commanded_wh: float = 0.0
    unused_wh: float = 0.0  #: under the limit and drawn by nobody

    def plus(self, reading: Reading, covered_s: float) -> Span:
        """The sums with one more reading that speaks for `covered_s`."""
        hours = covered_s / 3600.0
        return Span(
            covered_s=self.covered_s + covered_s,
            draw_wh=self.draw_wh + reading.draw_w * hours,
            limit_wh=self.limit_wh + reading.limit_w * hours,
            commanded_wh=self.commanded_wh + reading.commanded_w * hours,
            unused_wh=self.unused_wh + max(0.0, reading.limit_w - reading.draw_w) * hours,
        )


NOTHING = Span()
"""Nothing was read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerEvent:
    """One fall of the limit as it was lived through: sums, of which `figures_of` makes what people are told."""

    fall: Fall
    source: str
    provenance: str
    baseline_w: float | None = None  #: None = nothing was read before
    baseline_s: float = 0.0  #: how much of the window before was read
    baseline_since_at: datetime | None = None
    plan_sha256: str = ""  #: of what would have been drawn otherwise; empty = nobody could say
    during: Span = NOTHING
    held: Span = NOTHING
    least_w: float | None = None
    most_w: float | None = None
    over_limit_s: float = 0.0
    unmetered_s: float = 0.0  #: of the time that is covered, in which the meter did not measure
    ended_at: datetime | None = None
    after_s: float = 0.0  #: of whole minutes behind it, as far as they were read
    after_peak_w: float | None = None
    is_final: bool = False  #: nothing of it changes any more

    @property
    def began_at(self) -> datetime:
        """By this an event is known: there are no two falls at one instant."""
        return self.fall.began_at

    @property
    def over_at_w(self) -> float:
        """Once the limit is there again, nothing is taken from the site any more."""
        return min(self.fall.before_w, self.fall.entitled_w)

    def plus(self, piece: Piece) -> PowerEvent:
        """The event with one more of its readings."""
        reading, covered_s = piece.reading, piece.covered_s
        settled_at = self.fall.settled_at
        is_held = settled_at is not None and reading.at >= settled_at
        return replace(
            self,
            during=self.during.plus(reading, covered_s),
            held=self.held.plus(reading, covered_s) if is_held else self.held,
            least_w=reading.draw_w if self.least_w is None else min(self.least_w, reading.draw_w),
            most_w=reading.draw_w if self.most_w is None else max(self.most_w, reading.draw_w),
            over_limit_s=self.over_limit_s + (covered_s if piece.over_limit else 0.0),
            unmetered_s=self.unmetered_s + (0.0 if reading.is_measured else covered_s),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What people are told of an event. None = it cannot be said, or not yet."""

    time_to_comply_s: float | None
    duration_s: float | None
    commanded_w: float | None
    measured_w: float | None
    held_w: float | None
    depth_w: float | None
    depth_share: float | None
    not_drawn_wh: float | None
    over_curtailment_w: float | None
    over_curtailment_share: float | None
    rebound_ratio: float | None


def figures_of(event: PowerEvent) -> Figures:
    """The figures of an event, by the formulas of docs/verification.md."""
    fall, held, base_w = event.fall, event.held, event.baseline_w
    held_w = _mean_w(held.draw_wh, held)
    depth_w = None if base_w is None or held_w is None else base_w - held_w
    would_wh = None if base_w is None else base_w * event.during.covered_s / 3600.0
    return Figures(
        time_to_comply_s=_seconds(fall.began_at, fall.complied_at),
        duration_s=_seconds(fall.began_at, event.ended_at),
        commanded_w=_mean_w(held.commanded_wh, held),
        measured_w=_mean_w(event.during.draw_wh, event.during),
        held_w=held_w,
        depth_w=depth_w,
        depth_share=_ratio(depth_w, base_w),
        not_drawn_wh=None if would_wh is None else would_wh - event.during.draw_wh,
        over_curtailment_w=_mean_w(held.unused_wh, held),
        over_curtailment_share=_ratio(held.unused_wh, held.limit_wh),
        rebound_ratio=_ratio(event.after_peak_w, base_w),
    )


def _mean_w(energy_wh: float, span: Span) -> float | None:
    return energy_wh * 3600.0 / span.covered_s if span.covered_s > 0 else None


def _seconds(since: datetime, until: datetime | None) -> float | None:
    return None if until is None else max(0.0, (until - since).total_seconds())


def _ratio(part: float | None, whole: float | None) -> float | None:
    return None if part is None or whole is None or whole <= 0 else part / whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A reading and the time that it speaks for."""

    reading: Reading
    covered_s: float
    over_limit: bool  #: in that time; the next reading tells

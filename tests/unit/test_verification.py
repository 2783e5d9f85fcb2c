"""What each fall of the limit came to, from readings once a second: baseline, depth, energy, rebound."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from scheduler.core.compliance import Watch, judge_draw
from scheduler.core.power_events import Figures, PowerEvent, Reading, figures_of
from scheduler.core.verification import MOST, WINDOW_S, Verifier
from tests.builders import T0

REACTION_S = 30.0


def at(after_s: float) -> datetime:
    """So many seconds into the story."""
    return T0 + timedelta(seconds=after_s)


@dataclass(slots=True)
class Meter:
    """A site that is read once a second: limit, draw and what orders allow, as the story says."""

    verifier: Verifier = field(default_factory=Verifier)
    watch: Watch = field(default_factory=Watch)
    second: int = 0
    told: dict[datetime, PowerEvent] = field(default_factory=dict)

    def reads(self, seconds: int, *, limit_w: float, draw_w: float, commanded_w: float = 0.0) -> Meter:
        """So many seconds of this."""
        for _ in range(seconds):
            self._judge(limit_w, draw_w)
            self._tell(
                self.verifier.read(
                    Reading(
                        at=at(self.second),
                        draw_w=draw_w,
                        limit_w=limit_w,
                        commanded_w=commanded_w or min(limit_w, draw_w),
                    )
                )
            )
            self.second += 1
        return self

    def _judge(self, limit_w: float, draw_w: float) -> None:
        found = judge_draw(
            self.watch,
            at=at(self.second),
            limit_w=limit_w,
            draw_w=draw_w,
            reaction_s=REACTION_S,
            entitled_w=self.verifier.entitled_w,
        )
        self.watch = found.watch
        for fall in found.changed:
            self._tell(self.verifier.fell(fall, source="grid", provenance="feeder 7"))

    def _tell(self, events: tuple[PowerEvent, ...]) -> None:
        self.told |= {e.began_at: e for e in events}

    def figures(self) -> list[Figures]:
        """Of each event, as it was told last."""
        return [figures_of(event) for event in self.told.values()]


def test_an_event_is_measured_from_the_fall_until_the_limit_is_back() -> None:
    """Two seconds over, then eight under: means, extremes, depth, what was not drawn, what was left unused."""
    meter = Meter().reads(60, limit_w=1000, draw_w=900)
    meter.reads(2, limit_w=500, draw_w=800).reads(8, limit_w=500, draw_w=450).reads(
        1, limit_w=1000, draw_w=450
    )

    [event] = meter.told.values()
    [figures] = meter.figures()
    assert (event.source, event.provenance, event.fall.before_w, event.fall.limit_w) == (
        "grid",
        "feeder 7",
        1000,
        500,
    )
    assert (event.baseline_w, event.baseline_s, event.baseline_since_at) == (900, 60, at(0))
    assert (event.least_w, event.most_w, event.ended_at) == (450, 800, at(70))
    assert figures.time_to_comply_s == 2
    assert figures.duration_s == 10
    assert figures.measured_w == pytest.approx((2 * 800 + 8 * 450) / 10)
    assert (figures.held_w, figures.depth_w, figures.depth_share) == pytest.approx((450, 450, 0.5))
    assert figures.not_drawn_wh == pytest.approx((2 * 100 + 8 * 450) / 3600)
    assert (figures.over_curtailment_w, figures.over_curtailment_share) == pytest.approx((50, 0.1))
    assert figures.commanded_w == pytest.approx(450)
    assert figures.rebound_ratio is None


def test_the_rebound_is_the_highest_minute_behind_it_over_the_baseline() -> None:
    """A peak of ten seconds counts with its minute; what comes after fifteen minutes does not."""
    meter = Meter().reads(900, limit_w=1000, draw_w=800).reads(60, limit_w=500, draw_w=400)
    meter.reads(60, limit_w=1000, draw_w=600).reads(10, limit_w=1000, draw_w=1000).reads(
        50, limit_w=1000, draw_w=760
    )
    meter.reads(780, limit_w=1000, draw_w=700).reads(120, limit_w=1000, draw_w=999)

    [event] = meter.told.values()
    assert event.is_final
    assert event.after_s == WINDOW_S
    assert meter.figures()[0].rebound_ratio == pytest.approx((10 * 1000 + 50 * 760) / 60 / 800)


def test_what_lies_behind_an_event_ends_with_the_next_one() -> None:
    """And readings of an event are no part of anybody's baseline."""
    meter = Meter().reads(100, limit_w=1000, draw_w=800).reads(60, limit_w=500, draw_w=400)
    meter.reads(100, limit_w=1000, draw_w=900).reads(60, limit_w=500, draw_w=400)

    first, second = meter.told.values()
    assert first.is_final
    assert (first.after_s, first.after_peak_w) == pytest.approx((100, 900))
    assert (second.baseline_w, second.baseline_s) == pytest.approx((850, 200))


def test_the_baseline_is_of_fifteen_minutes_at_most() -> None:
    """What was drawn before says nothing any more."""
    meter = Meter().reads(300, limit_w=1000, draw_w=100).reads(900, limit_w=1000, draw_w=900)
    meter.reads(1, limit_w=500, draw_w=900)

    [event] = meter.told.values()
    assert (event.baseline_w, event.baseline_s) == pytest.approx((900, 900))


def test_an_announced_fall_that_was_met_beforehand_is_an_event_all_the_same() -> None:
    """The draw was lowered in time: it took no time to comply, and is measured against what was before."""
    meter = Meter().reads(100, limit_w=1000, draw_w=900).reads(4, limit_w=1000, draw_w=400)
    meter.reads(10, limit_w=500, draw_w=400)

    [event] = meter.told.values()
    assert event.fall.entitled_w == 900
    assert figures_of(event).time_to_comply_s == 0
    assert event.baseline_w == pytest.approx((100 * 900 + 4 * 400) / 104)


def test_a_fall_that_takes_nothing_is_no_event() -> None:
    """Neither draw nor orders came near it for a minute and a half."""
    assert not Meter().reads(100, limit_w=1000, draw_w=300).reads(10, limit_w=500, draw_w=300).told


def test_a_fall_below_what_orders_allowed_is_an_event() -> None:
    """The site was entitled to more than it drew, and that was taken from it."""
    meter = Meter().reads(100, limit_w=1000, draw_w=300, commanded_w=800).reads(10, limit_w=500, draw_w=300)
    meter.reads(1, limit_w=790, draw_w=300)
    [event] = meter.told.values()
    assert (event.over_at_w, event.ended_at) == (800, None)

    meter.reads(1, limit_w=800, draw_w=300)
    assert [e.ended_at for e in meter.told.values()] == [at(111)]


def test_a_fall_within_an_event_is_another_one_with_the_same_baseline() -> None:
    """The inner one ends when the limit is back at what it was before, the outer one later."""
    meter = Meter().reads(100, limit_w=1000, draw_w=900).reads(100, limit_w=700, draw_w=650)
    meter.reads(100, limit_w=300, draw_w=250).reads(100, limit_w=700, draw_w=650).reads(
        1, limit_w=1000, draw_w=650
    )

    outer, inner = meter.told.values()
    assert (outer.ended_at, inner.ended_at) == (at(400), at(300))
    assert outer.baseline_w == inner.baseline_w == pytest.approx(900)
    assert figures_of(inner).held_w == pytest.approx(250)
    assert outer.least_w == 250
    assert inner.after_peak_w is None


def test_what_nobody_measured_is_not_made_up() -> None:
    """A reading speaks for ten seconds at most; the duration goes on."""
    meter = Meter().reads(60, limit_w=1000, draw_w=900).reads(10, limit_w=500, draw_w=400)
    meter.second += 50
    meter.reads(1, limit_w=1000, draw_w=400)

    [event] = meter.told.values()
    assert event.during.covered_s == 19
    assert figures_of(event).duration_s == 60


def test_a_reading_from_before_the_last_one_is_let_be() -> None:
    """The clock was set back."""
    meter = Meter().reads(60, limit_w=1000, draw_w=900)
    assert meter.verifier.read(Reading(at=at(5), draw_w=1, limit_w=1000, commanded_w=0)) == ()
    meter.reads(1, limit_w=500, draw_w=900)

    assert [e.baseline_w for e in meter.told.values()] == [900]


def test_a_new_leader_goes_on_with_what_is_open() -> None:
    """The sums go on where they were; the end is seen."""
    before = Meter().reads(60, limit_w=1000, draw_w=900).reads(61, limit_w=500, draw_w=400)
    [left] = before.told.values()
    later = Meter(second=150)
    later.verifier.restore((left,))
    later.reads(10, limit_w=500, draw_w=300).reads(1, limit_w=1000, draw_w=300)

    [event] = later.told.values()
    assert event.began_at == left.began_at
    assert event.during.covered_s == left.during.covered_s + 10
    assert (event.least_w, event.ended_at) == (300, at(160))


def test_however_often_the_limit_falls_what_is_remembered_is_bounded() -> None:
    """Of too many falls on top of each other the oldest is closed."""
    meter = Meter().reads(10, limit_w=2000, draw_w=2000)
    for step in range(MOST + 10):
        meter.reads(2, limit_w=1900 - 10 * step, draw_w=1900 - 10 * step)

    assert len(meter.told) == MOST + 10
    assert sum(e.is_final for e in meter.told.values()) == 10
    assert sum(e.ended_at is None for e in meter.told.values()) == MOST

"""Whatever limit and draw do: an event's energy and depth re-add from the raw readings, and one fall is one event."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from scheduler.core.accounting import LONGEST_S
from scheduler.core.power_events import PowerEvent, Reading, figures_of
from scheduler.core.verification import WINDOW_S
from tests.unit.test_verification import Meter, at

STRETCHES = st.lists(
    st.tuples(
        st.integers(1, 70),  # seconds
        st.sampled_from([200, 500, 800, 1000]),  # limit
        st.integers(0, 1100),  # draw
        st.sampled_from([0, 0, 0, 5, 30]),  # seconds without a reading, after it
    ),
    min_size=1,
    max_size=20,
)


def lived(stretches: list[tuple[int, int, int, int]]) -> tuple[Meter, list[Reading]]:
    """The site after all that, and what was read."""
    meter, readings = Meter(), []
    for seconds, limit_w, draw_w, gap_s in stretches:
        readings += [
            Reading(at=at(meter.second + i), draw_w=draw_w, limit_w=limit_w, commanded_w=0)
            for i in range(seconds)
        ]
        meter.reads(seconds, limit_w=limit_w, draw_w=draw_w)
        meter.second += gap_s
    return meter, readings


def re_added(readings: list[Reading], event: PowerEvent, *, held: bool) -> tuple[float, float]:
    """Seconds and Wh of an event, or of it once it was complied with, from nothing but readings."""
    since = event.fall.complied_at if held else event.began_at
    covered_s = energy_wh = 0.0
    for reading, following in pairwise(readings):
        ends_at = event.ended_at or readings[-1].at
        if since is not None and max(since, event.began_at) <= reading.at < ends_at:
            speaks_s = min(LONGEST_S, (following.at - reading.at).total_seconds())
            covered_s += speaks_s
            energy_wh += reading.draw_w * speaks_s / 3600
    return covered_s, energy_wh


@given(STRETCHES)
def test_events_re_add_from_the_readings(stretches: list[tuple[int, int, int, int]]) -> None:
    """Covered time, energy, depth; no negative time; a baseline of at most its window; one event for each fall."""
    meter, readings = lived(stretches)
    last = {
        e.began_at: e for e in meter.verifier._events.values()
    }  # as of the last reading, not of the last minute
    events = list((meter.told | last).values())
    falls = sum(after.limit_w < before.limit_w for before, after in pairwise(readings))

    assert len(events) <= falls
    for event in events:
        figures = figures_of(event)
        covered_s, energy_wh = re_added(readings, event, held=False)
        assert (event.during.covered_s, event.during.draw_wh) == pytest.approx((covered_s, energy_wh))
        assert 0 <= event.baseline_s <= WINDOW_S + 1e-6
        assert all(s is None or s >= 0 for s in (figures.time_to_comply_s, figures.duration_s, event.after_s))
        held_s, held_wh = re_added(readings, event, held=True)
        if held_s and event.baseline_w is not None:
            assert figures.depth_w == pytest.approx(event.baseline_w - held_wh * 3600 / held_s, abs=1e-6)
        assert event.ended_at is None or event.ended_at >= event.began_at


@given(STRETCHES)
def test_open_events_are_on_top_of_each_other(stretches: list[tuple[int, int, int, int]]) -> None:
    """Each that goes on is deeper than the one before it: what ends it is lower."""
    meter, _ = lived(stretches)
    going_on = [e for e in meter.verifier._events.values() if e.ended_at is None]

    assert all(inner.over_at_w < outer.over_at_w for outer, inner in pairwise(going_on))

"""What the site drew over an interval, from readings that come as they come."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scheduler.core.draw_record import KEPT_S, SLOT_S, DrawRecord, drawn
from scheduler.core.snapshot import MeterReading, Quality
from tests.site_told import T0, record


def back(seconds: float) -> timedelta:
    """So long before now."""
    return timedelta(seconds=seconds)


def test_an_interval_has_the_mean_and_the_peak_of_its_readings() -> None:
    """By time, however often the meter was read."""
    slots = record((600, 1000.0), (300, 4000.0)).slots()

    found = drawn(slots, T0 - back(900), T0)

    assert found.mean_w == pytest.approx(2000.0)
    assert (found.peak_w, found.known_share, found.quality) == (4000.0, 1.0, Quality.GOOD)
    assert drawn(slots, T0 - back(300), T0).mean_w == pytest.approx(4000.0)


def test_an_end_within_a_slot_takes_its_part() -> None:
    """Intervals need not begin where slots do."""
    slots = record((60, 1000.0), (60, 2000.0)).slots()

    found = drawn(slots, T0 - back(64), T0 - back(56))

    assert found.mean_w == pytest.approx(1500.0)
    assert found.known_share == pytest.approx(1.0)


def test_what_no_reading_covers_is_not_known() -> None:
    """A meter that was silent for longer than a moment leaves a gap, not what it showed before."""
    made = record((100, 1000.0), until=T0 - back(100))
    made.measured(MeterReading(draw_w=9000.0, measured_at=T0))
    slots = made.slots()

    found = drawn(slots, T0 - back(200), T0)

    assert found.mean_w == pytest.approx(1000.0)
    assert found.known_share == pytest.approx(0.5)
    assert drawn(slots, T0 - back(90), T0 - back(20)).mean_w is None


def test_the_worst_reading_says_what_an_interval_is_worth() -> None:
    """One that was made up for makes the whole an estimate."""
    made = record((20, 1000.0))
    made.measured(MeterReading(draw_w=1000.0, measured_at=T0 + back(1), quality=Quality.ESTIMATED))
    assert drawn(made.slots(), T0 - back(20), T0 + back(10)).quality is Quality.ESTIMATED


def test_what_was_decided_last_in_an_interval_is_what_was_commanded() -> None:
    """And the state of the site then."""
    slots = record((60, 1000.0), planned_w=2500.0).slots()
    found = drawn(slots, T0 - back(60), T0)
    assert (found.planned_w, found.state) == (2500.0, "RUNNING_CURTAILED")
    assert drawn(slots, T0 - back(60), T0 - back(SLOT_S)).planned_w is None


def test_a_day_is_kept_and_no_more() -> None:
    """Whoever reads for ever fills no memory; a clock that goes back counts in the newest slot."""
    made = DrawRecord()
    for n in range(round(KEPT_S / SLOT_S) + 100):
        made.measured(MeterReading(draw_w=1.0, measured_at=T0 + n * back(SLOT_S)))
    assert len(made.slots()) == round(KEPT_S / SLOT_S)
    made.decided(T0, planned_w=1.0, state="NORMAL")
    assert len(made.slots()) == round(KEPT_S / SLOT_S)

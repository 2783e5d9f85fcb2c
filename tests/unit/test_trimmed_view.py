"""What the loop's cache learns from the site's own meter, and hands to the next leader."""

from __future__ import annotations

from datetime import timedelta

import pytest

from scheduler.core.snapshot import MeterReading
from scheduler.core.trim import TrimRule
from tests.builders import T0, site
from tests.unit.test_view import IDLE_W, a_report, heard, stored, viewed


def test_a_site_with_a_meter_of_its_own_learns_from_it() -> None:
    """A charge, which the next leader begins with; a site without one learns nothing."""
    built = site(fall_s=3, trim=TrimRule(most=0.02)).node("a")
    plain, view = viewed(site(fall_s=3).node("a")), viewed(built)
    for after_s in range(200):
        for one in (plain, view):
            report = a_report(built, draw_w=IDLE_W - 200, boottime_s=100.0 + after_s, in_fallback=False)
            heard(one, report, after_s)
            one.take_meter(MeterReading(draw_w=IDLE_W - 150, measured_at=T0 + timedelta(seconds=after_s)))
    taught = view.snapshot(T0 + timedelta(seconds=200))

    assert plain.snapshot(T0).trim is None
    assert taught.trim is not None
    assert taught.correction_w == pytest.approx(50 * IDLE_W / (IDLE_W - 200), abs=5)
    later = viewed(built)
    later.restore(stored(trim=taught.trim))
    assert later.snapshot(T0).correction_w == taught.correction_w

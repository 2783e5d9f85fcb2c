"""Whose figure of the draw counts, and when meter and reports are at odds."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, strategies as st

from scheduler.core.snapshot import MeterReading, Quality
from scheduler.core.trust import Doubt, Look, Trust, disagrees, doubted, judged
from tests.builders import T0

TRUST = Trust(fresh_s=2, stale_after_s=5, tolerance=0.1, tolerance_w=500, disagree_after_s=15)


def of(draw_w: float, *, age_s: float = 0.0, source: str = "main") -> MeterReading:
    """A reading that is so old at T0."""
    return MeterReading(draw_w=draw_w, measured_at=T0 - timedelta(seconds=age_s), source=source)


@pytest.mark.parametrize(
    "age_s, refused, quality",
    [
        (0, False, Quality.GOOD),
        (2, False, Quality.GOOD),
        (2.1, False, Quality.STALE),
        (5, False, Quality.STALE),
        (1, True, Quality.BAD),
        (5.1, False, Quality.ESTIMATED),
        (5.1, True, Quality.ESTIMATED),
    ],
)
def test_the_meter_counts_until_it_is_stale(age_s: float, refused: bool, quality: Quality) -> None:
    """Whatever the reports say; then the reports do."""
    look = Look(reading=of(9000, age_s=age_s), trust=TRUST, refused=refused)
    found = judged([look], of(100, source="reports"), T0)
    assert found is not None
    assert found.quality is quality
    expected = (100, "reports") if quality is Quality.ESTIMATED else (9000, "main")
    assert (found.draw_w, found.source) == expected


def test_without_any_figure_there_is_none() -> None:
    """An old reading is no stand-in for one."""
    assert judged([], None, T0) is None
    assert judged([Look(reading=None, trust=TRUST)], None, T0) is None
    assert judged([Look(reading=of(1, age_s=6), trust=TRUST, refused=True)], None, T0) is None
    assert judged([Look(reading=of(1, age_s=4), trust=TRUST)], None, T0) is not None


def test_meters_count_in_their_order() -> None:
    """The first that is not too old, however fresh those behind it are; all but the very first are estimates."""
    ages = {"main": 5.0, "feeder": 1.0, "bmcs": 0.0}
    counted = []
    for lost in ([], ["main"], ["main", "feeder"], ["feeder"], list(ages)):
        looks = [
            Look(reading=of(9, age_s=6 if name in lost else age_s, source=name), trust=TRUST)
            for name, age_s in ages.items()
        ]
        found = judged(looks, of(1, source="reports"), T0)
        assert found is not None
        counted.append((found.source, found.quality))
    estimated = Quality.ESTIMATED
    assert counted == [
        ("main", Quality.STALE),
        ("feeder", estimated),
        ("bmcs", estimated),
        ("main", Quality.STALE),
        ("reports", estimated),
    ]


def test_a_fresh_reading_is_worth_what_its_meter_says() -> None:
    """One that had to estimate a part says so."""
    partly = replace(of(9), quality=Quality.ESTIMATED)
    assert judged([Look(reading=partly, trust=TRUST)], None, T0) == partly


@pytest.mark.parametrize(
    "metered_w, reported_w, expected",
    [
        (1000, 1500, False),
        (1000, 1501, True),
        (100_000, 90_000, False),
        (100_000, 89_999, True),
        (0, 0, False),
    ],
)
def test_small_differences_are_none(metered_w: float, reported_w: float, expected: bool) -> None:
    """Of the greater of both tolerances."""
    assert disagrees(metered_w, reported_w, TRUST) is expected


@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_neither_figure_is_preferred(a_w: float, b_w: float) -> None:
    """They disagree with each other."""
    assert disagrees(a_w, b_w, TRUST) is disagrees(b_w, a_w, TRUST)


def test_an_alarm_takes_a_while_and_ends_when_they_agree() -> None:
    """Reports lag behind the meter, so one reading is no alarm."""
    doubt, alarms = Doubt(), []
    for after_s, metered_w in enumerate([9000.0] * 20 + [1000.0] + [9000.0] * 10):
        doubt = doubted(doubt, T0 + timedelta(seconds=after_s), metered_w, 1000.0, TRUST)
        alarms.append(doubt.alarmed)
    assert alarms == [*[False] * 15, *[True] * 5, *[False] * 11]

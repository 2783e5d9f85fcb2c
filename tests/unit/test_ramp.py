"""How fast watts may rise and fall: up slowly, down at once where a limit says so."""

from __future__ import annotations

import math

import pytest

from scheduler.core.ramp import Moving, Ramp, settles_in_s, step

STILL = Moving(allowed_w=1000.0)


def test_without_a_ramp_what_is_wanted_is_allowed_at_once() -> None:
    """Up and down, in no time."""
    assert step(Ramp(), STILL, 5000.0, 0.0).allowed_w == 5000.0
    assert step(Ramp(), STILL, 0.0, 0.0).allowed_w == 0.0


def test_it_rises_at_its_rate_and_no_further_than_wanted() -> None:
    """100 W each second."""
    ramp = Ramp(up_w_per_s=100.0)

    assert [step(ramp, STILL, 1500.0, s).allowed_w for s in (0, 1, 4.5, 5, 60)] == [
        1000,
        1100,
        1450,
        1500,
        1500,
    ]


def test_it_falls_at_its_rate_if_nobody_demands_more() -> None:
    """10 W each second."""
    assert step(Ramp(down_w_per_s=10.0), STILL, 0.0, 5.0).allowed_w == 950.0


def test_a_limit_is_never_slowed() -> None:
    """Whatever delay, rate or dwell: at or under it at once, and further down at the rate from there."""
    ramp = Ramp(up_w_per_s=1.0, down_w_per_s=10.0, enter_delay_s=60.0, leave_delay_s=60.0, dwell_s=60.0)

    assert step(ramp, STILL, 1000.0, 0.0, limit_w=200.0) == Moving(allowed_w=200.0, since_fall_s=0.0)
    assert step(ramp, STILL, 0.0, 0.0, limit_w=200.0).allowed_w == 200.0


def test_a_rise_waits_until_more_has_been_wanted_for_long() -> None:
    """Ten seconds of wanting before the first watt; who changes his mind begins anew."""
    ramp = Ramp(up_w_per_s=100.0, enter_delay_s=10.0)
    waited = step(ramp, STILL, 2000.0, 9.0)

    assert waited == Moving(allowed_w=1000.0, above_for_s=9.0)
    assert step(ramp, waited, 2000.0, 2.0).allowed_w == 1100.0
    doubted = step(ramp, waited, 1000.0, 1.0)
    assert step(ramp, doubted, 2000.0, 10.0).allowed_w == 1000.0


def test_a_voluntary_fall_waits_too() -> None:
    """A dip of nine seconds is ridden out."""
    ramp = Ramp(leave_delay_s=10.0)
    dipped = step(ramp, STILL, 0.0, 9.0)

    assert dipped.allowed_w == 1000.0
    assert step(ramp, dipped, 0.0, 1.0).allowed_w == 0.0
    assert step(ramp, step(ramp, dipped, 1000.0, 1.0), 0.0, 9.0).allowed_w == 1000.0


def test_after_a_fall_nothing_rises_for_the_dwell() -> None:
    """A minute, counted from when the fall ended."""
    ramp = Ramp(dwell_s=60.0)
    cut = step(ramp, STILL, 1000.0, 1.0, limit_w=500.0)

    assert step(ramp, cut, 1000.0, 59.0).allowed_w == 500.0
    assert step(ramp, cut, 1000.0, 60.0).allowed_w == 1000.0
    fallen = step(ramp, STILL, 400.0, 10.0)
    assert (fallen.allowed_w, fallen.since_fall_s) == (400.0, 10.0)


def test_it_tells_when_what_is_wanted_will_be_there() -> None:
    """The longer of the two waits, and the way at its rate."""
    ramp = Ramp(up_w_per_s=100.0, down_w_per_s=50.0, enter_delay_s=5.0, leave_delay_s=2.0, dwell_s=30.0)
    before = Moving(allowed_w=1000.0, since_fall_s=10.0, above_for_s=1.0)

    assert settles_in_s(ramp, before, 2000.0) == 20.0 + 10.0
    assert settles_in_s(ramp, before, 500.0) == 2.0 + 10.0
    assert settles_in_s(ramp, before, 1000.0) == 0.0


@pytest.mark.parametrize(
    "wrong, words",
    [
        ({"up_w_per_s": 0.0}, "up_w_per_s = 0 W/s: no watt would ever move"),
        ({"down_w_per_s": -1.0}, "down_w_per_s = -1 W/s"),
        ({"dwell_s": -1.0}, "dwell_s = -1 s: give 0 for none"),
        ({"enter_delay_s": math.inf}, "enter_delay_s = inf s"),
    ],
)
def test_a_ramp_that_makes_no_sense_is_refused(wrong: dict[str, float], words: str) -> None:
    """With field, value and remedy."""
    with pytest.raises(ValueError, match="give") as refused:
        Ramp(**wrong)

    assert words in str(refused.value)


def test_time_does_not_run_backwards() -> None:
    """A clock that was set back is an error of the caller."""
    with pytest.raises(ValueError, match="seconds = -1: time does not run backwards"):
        step(Ramp(), STILL, 0.0, -1.0)

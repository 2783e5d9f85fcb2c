"""What a ramp guarantees for any wishes, limits and times."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st

from scheduler.core.ramp import Moving, Ramp, settles_in_s, step

WATTS = st.integers(0, 10_000).map(float)
SECONDS = st.integers(0, 500).map(float)
RATES = st.just(math.inf) | st.integers(1, 1000).map(float)
RAMPS = st.builds(Ramp, up_w_per_s=RATES, down_w_per_s=RATES, enter_delay_s=SECONDS, leave_delay_s=SECONDS,
                  dwell_s=SECONDS)  # fmt: skip
STANDS = st.builds(Moving, allowed_w=WATTS, above_for_s=SECONDS, below_for_s=SECONDS,
                   since_fall_s=SECONDS | st.just(math.inf))  # fmt: skip


@given(RAMPS, STANDS, WATTS, SECONDS, WATTS)
def test_it_is_under_the_limit_at_once_and_rises_no_faster_than_it_may(
    ramp: Ramp, before: Moving, wanted_w: float, seconds: float, limit_w: float
) -> None:
    """Never above the limit; never more than rate times seconds above before; never away from what is wanted."""
    after = step(ramp, before, wanted_w, seconds, limit_w=limit_w)

    assert after.allowed_w <= limit_w
    assert after.allowed_w <= before.allowed_w or (
        after.allowed_w
        <= min(wanted_w, before.allowed_w + ramp.up_w_per_s * seconds if seconds else math.inf)
    )
    floor_w = min(wanted_w, before.allowed_w, limit_w)
    assert floor_w <= after.allowed_w <= max(min(wanted_w, limit_w), min(before.allowed_w, limit_w))


@given(RAMPS, STANDS, WATTS, SECONDS, SECONDS)
def test_one_long_step_is_two_short_ones(
    ramp: Ramp, before: Moving, wanted_w: float, first_s: float, then_s: float
) -> None:
    """How often the loop comes round makes no difference."""
    once = step(ramp, before, wanted_w, first_s + then_s)
    twice = step(ramp, step(ramp, before, wanted_w, first_s), wanted_w, then_s)

    assert twice.allowed_w == pytest.approx(once.allowed_w)
    assert twice.since_fall_s == pytest.approx(once.since_fall_s)


@given(RAMPS, STANDS, WATTS)
def test_it_arrives_when_it_said(ramp: Ramp, before: Moving, wanted_w: float) -> None:
    """And not before, unless there is no way to go."""
    after_s = settles_in_s(ramp, before, wanted_w)

    assert step(ramp, before, wanted_w, after_s).allowed_w == pytest.approx(wanted_w)
    if after_s > 1 and wanted_w != before.allowed_w:
        assert step(ramp, before, wanted_w, after_s * 0.999).allowed_w != wanted_w


@given(RAMPS, STANDS, WATTS, SECONDS, WATTS, st.integers(0, 1000))
def test_a_lower_limit_never_allows_more(
    ramp: Ramp, before: Moving, wanted_w: float, seconds: float, limit_w: float, less_w: int
) -> None:
    """Less power, less or the same."""
    high = step(ramp, before, wanted_w, seconds, limit_w=limit_w)
    low = step(ramp, before, wanted_w, seconds, limit_w=limit_w - less_w)

    assert low.allowed_w <= high.allowed_w

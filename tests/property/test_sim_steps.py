"""Exact sums over steps are what adding up second by second gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from scheduler.sim.metrics import summary
from scheduler.sim.outcome import RunOutcome
from scheduler.sim.steps import Steps, aligned
from tests.simulated_world import interval, run

WATTS = st.sampled_from([0.0, 100.0, 200.0, 300.0])
RUNS = st.builds(
    lambda gaps, pairs, reaction_s: run(
        *(
            interval(float(at), limit_w, draw_w)
            for at, (limit_w, draw_w) in zip(np.cumsum([0, *gaps]), pairs, strict=False)
        ),
        window_s=float(sum(gaps) + 20),
        reaction_s=reaction_s,
    ),
    st.lists(st.integers(0, 40), min_size=0, max_size=7),
    st.lists(st.tuples(WATTS, WATTS), min_size=8, max_size=8),
    st.sampled_from([0.0, 7.0, 30.0]),
)


def by_second(outcome: RunOutcome) -> tuple[list[float], list[float], list[float]]:
    """Limit, limit in force and draw in every second."""
    limits, draws = [], []
    for second in range(int(outcome.window_s)):
        held = [one for one in outcome.intervals if one.starts_s <= second][-1]
        limits.append(held.limit_w)
        draws.append(held.site_w)
    back = int(outcome.reaction_s)
    in_force = [max(limits[max(0, s - back) : s + 1]) for s in range(len(limits))]
    return limits, in_force, draws


@given(RUNS)
@settings(max_examples=200)
def test_violations_are_what_a_clock_would_count(outcome: RunOutcome) -> None:
    """At every second, against the highest limit of the last `reaction_s` seconds, and over whole minutes."""
    limits, in_force, draws = by_second(outcome)
    found = summary(outcome, None)

    over = [max(0.0, draw - held) for draw, held in zip(draws, in_force, strict=True)]
    assert found["violation_s"] == found["violation_1s_s"] == pytest.approx(sum(w > 0 for w in over))
    assert found["violation_kwh"] == pytest.approx(sum(over) / 3.6e6)
    assert found["violation_at_once_s"] == sum(draw > held for draw, held in zip(draws, limits, strict=True))
    minutes = [slice(at, at + 60) for at in range(0, len(draws), 60)]
    broken = [m for m in minutes if np.mean(draws[m]) > np.mean(in_force[m]) + 1e-6]
    assert found["violation_1min_s"] == pytest.approx(sum(len(draws[m]) for m in broken))
    assert found["surplus_used_kwh"] == pytest.approx(
        sum(min(draw, held) for draw, held in zip(draws, limits, strict=True)) / 3.6e6
    )


@given(RUNS)
def test_no_figure_is_negative_and_uses_add_up(outcome: RunOutcome) -> None:
    """Nor is more used than was offered."""
    found = summary(outcome, None)

    assert all(value >= 0 for value in found.values() if isinstance(value, int | float))
    assert found["surplus_used_kwh"] <= found["surplus_offered_kwh"] + 1e-9
    assert found["site_kwh"] == pytest.approx(found["ai_kwh"] + found["idle_kwh"] + found["miner_kwh"])
    assert found["violation_kwh"] <= found["violation_at_once_kwh"] + 1e-9


@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=8),
    st.lists(st.floats(-1e3, 1e3), min_size=9, max_size=9),
    st.integers(1, 100),
)
def test_means_and_cuts_keep_the_integral(gaps: list[int], values: list[float], block_s: int) -> None:
    """Whatever the blocks, and wherever the function is cut."""
    starts_s = np.cumsum([0, *gaps]).astype(float)
    steps = Steps(starts_s=starts_s, values=np.array(values[: len(starts_s)]), ends_s=starts_s[-1] + 3.0)

    means = steps.means(float(block_s))
    assert means.integral() == pytest.approx(steps.integral(), abs=1e-6)
    assert steps.plain().integral() == pytest.approx(steps.integral(), abs=1e-6)
    assert [cut.integral() for cut in aligned(steps, means)] == pytest.approx(
        [steps.integral()] * 2, abs=1e-6
    )
    assert np.all(steps.highest_of_last(5.0).at(starts_s) >= steps.at(starts_s))


def test_blocks_that_rounding_adds_are_none() -> None:
    """A week in 2000 blocks has 2000: the sum of 2000 lengths may fall short of the week by the last bit."""
    week_s = 7 * 86_400.0
    week = Steps(starts_s=np.array([0.0]), values=np.array([5.0]), ends_s=week_s)

    means = week.means(week_s / 2000)

    assert means.values == pytest.approx([5.0] * 2000)

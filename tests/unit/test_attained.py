"""Levels of service: each reaches so many times as far as the one before."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, strategies as st

from scheduler.core.attained import LASTING_S, OVERTAKEN, lasts, level, level_of, moves_up_at, place, turn
from tests.builders import site

FIRST_GPU_S = 4 * 3600.0


def test_who_had_less_than_the_first_level_had_next_to_nothing() -> None:
    """And the first level ends exactly there."""
    assert [level(s, FIRST_GPU_S) for s in (0.0, FIRST_GPU_S - 1, FIRST_GPU_S)] == [0, 0, 1]


def test_where_nothing_is_little_all_are_of_one_level() -> None:
    """Jobs go as they came, whatever they had."""
    built = site(little_service_gpu_h=0.0).node().job("j")
    had_much = replace(built.jobs["j"], ran_s=1e6)

    assert level_of(had_much, None, built.at, built.site) == 0
    assert level(1e9, 0.0) == 0


@given(st.floats(0.0, 1e9), st.floats(0.0, 1e9))
def test_more_service_is_never_a_lower_level(one_gpu_s: float, other_gpu_s: float) -> None:
    """And the same service the same."""
    low, high = sorted((one_gpu_s, other_gpu_s))
    assert level(low, FIRST_GPU_S) <= level(high, FIRST_GPU_S)


def test_all_gpus_of_all_attempts_count() -> None:
    """The ended ones as recorded, the living one since it runs."""
    built = site(little_service_gpu_h=4.0).node(gpus=4).running("j", "node-1", gpus=4)
    job, attempt = built.jobs["j"], built.attempts["j.1"]
    quarter_s = FIRST_GPU_S / 4

    def at(seconds: float, ran_s: float = 0.0) -> int:
        return level_of(replace(job, ran_s=ran_s), attempt, built.at + timedelta(seconds=seconds), built.site)

    assert (at(quarter_s - 1), at(quarter_s), at(quarter_s - 1, ran_s=1.0)) == (0, 1, 1)
    assert level_of(job, replace(attempt, running_at=None), built.at + timedelta(days=9), built.site) == 0
    assert level_of(job, None, built.at + timedelta(days=9), built.site) == 0


@given(st.integers(0, 9), st.integers(0, 9))
def test_who_makes_room_for_another_comes_after_it(level_of_one: int, behind: int) -> None:
    """Two levels are always another turn; and nobody shares that of the first."""
    assert turn(level_of_one + 2 + behind) > turn(level_of_one)
    assert (turn(level_of_one) == 0) == (level_of_one == 0)


def test_who_waits_for_long_is_overtaken_no_more() -> None:
    """From the instant that was told before; who had little never was."""
    built = site(little_service_gpu_h=4.0).node().job("j", gpus=1)
    little = replace(built.jobs["j"], ran_s=FIRST_GPU_S - 1, since_at=built.at)
    much = replace(little, ran_s=FIRST_GPU_S)
    until_at = built.at + OVERTAKEN

    assert moves_up_at(little, built.at, built.site) is None
    assert moves_up_at(much, built.at, built.site) == until_at
    places = [place(much, at, built.site) for at in (built.at, until_at - timedelta(seconds=1), until_at)]
    assert places == [1, 1, 0]
    assert moves_up_at(much, until_at, built.site) is None


def test_what_has_run_for_long_is_likely_to_last() -> None:
    """Nobody knows of a new one; after as long again it is an even chance."""
    job = site().node().job("j").jobs["j"]
    at = site().at

    chances = [lasts(replace(job, ran_s=s), None, at) for s in (0.0, LASTING_S, 3 * LASTING_S)]
    assert chances == [0.0, 0.5, 0.75]

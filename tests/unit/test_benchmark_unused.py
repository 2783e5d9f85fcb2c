"""Where a standing limit is left unused: the parts add up, and each time since a change has its own."""

from __future__ import annotations

import pytest

from benchmarks.unused import Second, Trusted, by_time, mean_of, parts, series_of, since_change

TRUSTED = Trusted(accuracy=0.01, least=0.012)


def second(limit_w: float = 1000.0, *, margin_w: float = 15.0) -> Second:
    """Of 1000 W 950 W are drawn."""
    usable_w = limit_w - margin_w - 2.0
    return Second(
        limit_w=limit_w,
        true_w=0.95 * limit_w,
        books_w=usable_w - 1.0,
        usable_w=usable_w,
        model_w=0.955 * limit_w,
        margin_w=margin_w,
        trim_w=2.0,
        capped_w=20.0,
        loading_w=3.0,
    )


def test_the_parts_add_up_to_what_is_unused() -> None:
    """Whether the margin is more than what stays free anyway, or less."""
    for margin_w in (15.0, 11.0, 2.0):
        found = parts(series_of([second(margin_w=margin_w)] * 3), TRUSTED)

        assert found.pop("unused") == 0.05
        assert sum(found.values()) == pytest.approx(0.05, abs=1e-4)
        assert found["class"] == min(0.01, margin_w / 1000.0)
        assert (found["caps"], found["loading"], found["trim"], found["orders"]) == (
            0.02,
            0.003,
            0.002,
            0.001,
        )


def test_levels_count_the_same() -> None:
    """However long each stood."""
    assert mean_of([{"unused": 0.01}, {"unused": 0.03}]) == {"unused": 0.02}


def test_time_is_counted_from_each_change_of_the_limit() -> None:
    """Stretches that no limit stood through are left out."""
    seconds = [second(1000.0)] * 400 + [second(800.0)] * 100
    series = series_of(seconds)

    assert list(since_change(series["limit_w"])[[0, 399, 400, 499]]) == [0.0, 399.0, 0.0, 99.0]
    assert set(by_time(series, [1000.0], TRUSTED, from_s=0.0)) == {"0-30", "30-300", "300-1500"}
    assert set(by_time(series, [1000.0, 800.0], TRUSTED, from_s=0.0)) == {"0-30", "30-300"}
    assert by_time(series, [1000.0], TRUSTED, from_s=500.0) == {}

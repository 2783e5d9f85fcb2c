"""From columns to a clean series: sorted, without holes, and honest about what was mended."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scheduler.errors import SignalError
from scheduler.series.csv_table import CsvTable
from scheduler.series.scaling import Peak, Scale, quantile, to_watts
from scheduler.series.series import Series, clean, cut, find_time_column, read_series, shifted

T0 = datetime(2026, 6, 1, tzinfo=UTC)


def at(hours: float) -> datetime:
    """So many hours into the series."""
    return T0 + timedelta(hours=hours)


def series(*values: float | None) -> Series:
    """Hourly values."""
    return clean([at(i) for i in range(len(values))], values)


def table(*rows: str) -> CsvTable:
    """A table from its lines, the first of which names the columns."""
    cells = [tuple(row.split(",")) for row in rows]
    lines = tuple(range(2, len(rows) + 1))
    return CsvTable(path=Path("day.csv"), columns=cells[0], rows=tuple(cells[1:]), lines=lines, digest="")


# -- cleaning --------------------------------------------------------------------------------------------------------


def test_values_of_no_time_are_no_series() -> None:
    """Each row lacks one or the other."""
    for instants, values in (([at(0), None], [None, 1.0]), ([None], [1.0]), ([], [])):
        with pytest.raises(SignalError, match="no row has both a time and a number; correct the file"):
            clean(instants, values)


def test_a_sound_series_stays_as_it_is() -> None:
    """And there is nothing to say about it."""
    made = series(1.0, 2.0, 3.0)
    assert (made.times, made.values) == ((at(0), at(1), at(2)), (1.0, 2.0, 3.0))
    assert (made.step_s, made.end_at, made.notes) == (3600.0, at(3), ())


def test_missing_values_are_held_and_told() -> None:
    """At the value before; before the first there is none, so that one is taken."""
    made = series(None, 5.0, None, None, 7.0)
    assert made.values == (5.0, 5.0, 5.0, 5.0, 7.0)
    assert made.held == (True, False, True, True, False)
    assert made.notes == ("values missing, held at the one before: 3",)


def test_rows_out_of_order_are_sorted_and_told() -> None:
    """A file with the newest row first is as good as any."""
    made = clean([at(2), at(1), at(0)], [3.0, 2.0, 1.0])
    assert (made.times, made.values) == ((at(0), at(1), at(2)), (1.0, 2.0, 3.0))
    assert made.notes == ("rows earlier than the one before, put in order: 2",)


def test_of_rows_with_the_same_time_the_last_counts() -> None:
    """A correction comes after what it corrects."""
    made = clean([at(0), at(1), at(1)], [1.0, 2.0, 9.0])
    assert (made.times, made.values) == ((at(0), at(1)), (1.0, 9.0))
    assert made.notes == ("rows with the time of another, left out: 1",)


def test_rows_without_a_time_are_left_out_and_told() -> None:
    """A line with totals is no instant."""
    made = clean([at(0), None, at(1)], [1.0, 99.0, 2.0])
    assert made.values == (1.0, 2.0)
    assert made.notes == ("rows without a readable time, left out: 1",)


def test_gaps_are_told() -> None:
    """The value before stands through them."""
    made = clean([at(0), at(1), at(2), at(8), at(9)], [1.0] * 5)
    assert made.notes == ("gaps, held at the value before: 1, the longest 21600 s",)
    assert made.step_s == 3600.0


# -- columns ---------------------------------------------------------------------------------------------------------


def test_the_time_column_is_found_by_name_and_content() -> None:
    """A telling name first, then any column that rises as time does."""
    assert find_time_column(table("step,datetime,mw", "1,2026-06-01,5", "2,2026-06-02,6"), UTC) == "datetime"
    assert find_time_column(table("mw,when", "5,2026-06-01", "6,2026-06-02"), UTC) == "when"
    assert (
        find_time_column(table("timestamp_unix,time_text", "1704067200,x", "1704070800,y"), UTC)
        == "timestamp_unix"
    )


def test_a_table_without_time_is_refused() -> None:
    """The message lists the columns and names the option."""
    with pytest.raises(SignalError, match="none of the columns gpu, watts reads as time; name time_column"):
        find_time_column(table("gpu,watts", "a,5", "b,6"), UTC)


def test_words_and_nan_are_missing_values() -> None:
    """Exporters write holes in many ways."""
    rows = ["2026-06-01T00:00,1", "2026-06-01T01:00,", "2026-06-01T02:00,NaN", "2026-06-01T03:00,n/a"]
    made = read_series(table("time,mw", *rows), time_column="time", value_column="mw", zone=UTC)
    assert made.values == (1.0, 1.0, 1.0, 1.0)
    assert made.notes == ("values missing, held at the one before: 3",)


def test_a_column_without_numbers_is_refused() -> None:
    """By name."""
    rows = table("time,mw", "2026-06-01,a", "2026-06-02,b")
    with pytest.raises(SignalError, match="column 'mw' holds no numbers; name another column"):
        read_series(rows, time_column="time", value_column="mw", zone=UTC)
    with pytest.raises(SignalError, match="column 'mw': 'a' is no time; name another time_column"):
        read_series(rows, time_column="mw", value_column="time", zone=UTC)


# -- cutting ---------------------------------------------------------------------------------------------------------


def test_a_part_begins_with_the_value_in_force() -> None:
    """Between two rows the earlier one holds; its first value begins where the part does."""
    part = cut(series(1.0, 2.0, 3.0, 4.0), start_at=at(1.5), length_s=3600.0)
    assert (part.times, part.values) == ((at(1.5), at(2)), (2.0, 3.0))


def test_a_part_without_length_goes_to_the_end() -> None:
    """With the last value for its own step."""
    part = cut(series(1.0, 2.0, 3.0), start_at=at(2), length_s=None)
    assert (part.times, part.values, part.end_at) == ((at(2),), (3.0,), at(3))


@pytest.mark.parametrize("hours", [-0.1, 3.0, 100.0])
def test_a_part_outside_of_the_series_is_refused(hours: float) -> None:
    """The message says what there is."""
    with pytest.raises(
        SignalError, match=r"is outside of the file, which has 2026-06-01T00:00:00\+00:00 to "
    ):
        cut(series(1.0, 2.0, 3.0), start_at=at(hours), length_s=None)


def test_times_that_end_their_intervals_are_moved() -> None:
    """The value of 00:05 is that of the five minutes before."""
    assert shifted(series(1.0, 2.0), -3600.0).times == (at(-1), at(0))


# -- scaling ---------------------------------------------------------------------------------------------------------


def test_the_peak_becomes_the_highest_limit() -> None:
    """In proportion, zero to zero, kept within the two limits."""
    watts = to_watts([0.0, 50.0, 100.0, 20.0], Scale(max_w=700.0, min_w=160.0, peak=Peak.MAX))
    assert watts == (160.0, 350.0, 700.0, 160.0)


def test_one_spike_does_not_shrink_the_rest() -> None:
    """The 95th percentile is the measure, and what exceeds it is cut off."""
    values = [*(float(v) for v in range(0, 101, 5)), 10_000.0]
    watts = to_watts(values, Scale(max_w=1000.0))
    assert watts[-1] == watts[-2] == 1000.0
    assert watts[10] == pytest.approx(1000.0 * 50.0 / quantile(values, 0.95))


def test_a_price_is_turned_round() -> None:
    """Dear power is little power, also where prices fall below nothing."""
    watts = to_watts([-50.0, 0.0, 50.0, 150.0], Scale(max_w=1000.0, min_w=100.0, peak=Peak.MAX, invert=True))
    assert watts == (1000.0, 750.0, 500.0, 100.0)


@pytest.mark.parametrize(
    "values, scale, said",
    [
        ([0.0, 0.0], Scale(max_w=1.0), "the p95 of the values is 0: nothing to scale by; choose another day"),
        ([-5.0, -1.0], Scale(max_w=1.0, peak=Peak.MAX), "the max of the values is -1"),
        ([7.0, 7.0], Scale(max_w=1.0, invert=True), "all values are 7: nothing to scale by"),
    ],
)
def test_values_that_give_no_scale_are_refused(values: list[float], scale: Scale, said: str) -> None:
    """A day without any surplus is no day to play."""
    with pytest.raises(SignalError, match=said):
        to_watts(values, scale)


@pytest.mark.parametrize("share, expected", [(0.0, 1.0), (0.5, 2.5), (0.95, 3.85), (1.0, 4.0)])
def test_a_quantile_lies_between_its_neighbours(share: float, expected: float) -> None:
    """Linear in between, whatever the order of the values."""
    assert quantile([4.0, 1.0, 3.0, 2.0], share) == pytest.approx(expected)

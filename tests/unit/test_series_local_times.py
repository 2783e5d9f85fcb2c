"""Times by a clock on the wall: right across midnight, and where clocks are put forward and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scheduler.errors import SignalError
from scheduler.series.csv_table import CsvTable
from scheduler.series.csv_times import read_times


def table(times: list[str]) -> CsvTable:
    """A file with such times."""
    rows = tuple((t,) for t in times)
    return CsvTable(
        path=Path("day.csv"), columns=("time",), rows=rows, lines=tuple(range(2, len(rows) + 2)), digest=""
    )


def utc(text: str) -> datetime:
    """An instant."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "zone, times, instants",
    [
        (
            "Europe/Berlin",
            [
                "2026-10-25T01:30",
                "2026-10-25T02:00",
                "2026-10-25T02:30",
                "2026-10-25T02:00",
                "2026-10-25T02:30",
            ],
            [
                "2026-10-24T23:30",
                "2026-10-25T00:00",
                "2026-10-25T00:30",
                "2026-10-25T01:00",
                "2026-10-25T01:30",
            ],
        ),
        (
            "Europe/Berlin",
            ["2026-10-25T02:00", "2026-10-25T02:00", "2026-10-25T03:00"],
            ["2026-10-25T00:00", "2026-10-25T01:00", "2026-10-25T02:00"],
        ),
        ("Europe/Berlin", ["2026-10-25T00:00", "2026-10-25T02:30"], ["2026-10-24T22:00", "2026-10-25T00:30"]),
        ("Europe/Berlin", ["2026-03-29T01:45", "2026-03-29T03:00"], ["2026-03-29T00:45", "2026-03-29T01:00"]),
        (
            "Australia/Adelaide",
            ["2026-04-05T02:30", "2026-04-05T02:30", "2026-04-05T03:00"],
            ["2026-04-04T16:00", "2026-04-04T17:00", "2026-04-04T17:30"],
        ),
        (
            "Australia/Adelaide",
            ["2026-10-04T01:59", "2026-10-04T03:00"],
            ["2026-10-03T16:29", "2026-10-03T16:30"],
        ),
        ("Asia/Karachi", ["2026-06-01T23:55", "2026-06-02T00:00"], ["2026-06-01T18:55", "2026-06-01T19:00"]),
        (
            "Australia/Lord_Howe",
            ["2026-04-05T01:30", "2026-04-05T01:45", "2026-04-05T01:30", "2026-04-05T02:00"],
            ["2026-04-04T14:30", "2026-04-04T14:45", "2026-04-04T15:00", "2026-04-04T15:30"],
        ),
    ],
)
def test_an_hour_that_is_there_twice_counts_in_the_order_of_its_rows(
    zone: str, times: list[str], instants: list[str]
) -> None:
    """At any cadence, as long as it is given twice; given once, as the first."""
    assert read_times(table(times), "time", zone) == [utc(t) for t in instants]


@pytest.mark.parametrize(
    "zone, time", [("Europe/Berlin", "2026-03-29T02:30"), ("Australia/Adelaide", "2026-10-04T02:00")]
)
def test_a_time_that_clocks_skip_is_refused(zone: str, time: str) -> None:
    """With file, line, value and remedy: it is no time, and an hour off would be a guess."""
    said = f"day.csv: line 2: time: '{time}' is not there in {zone}: clocks skip it; give each time with its offset"
    with pytest.raises(SignalError, match=said):
        read_times(table([time]), "time", zone)


def test_an_hour_that_is_there_three_times_is_refused() -> None:
    """It was there twice."""
    with pytest.raises(SignalError, match=r"line 4: time: .* is not after the row above"):
        read_times(table(["2026-10-25T02:30"] * 3), "time", "Europe/Berlin")


def test_an_offset_says_which_it_is() -> None:
    """Whatever the zone of the file."""
    times = ["2026-10-25T02:30+02:00", "2026-10-25T02:30+01:00"]
    first, second = read_times(table(times), "time", "Asia/Karachi")

    assert second - first == timedelta(hours=1)

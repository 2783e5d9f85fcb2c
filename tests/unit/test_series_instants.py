"""Times in every spelling that the world's files have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from scheduler.series.instants import EPOCH, read_instants, recognise

KARACHI = ZoneInfo("Asia/Karachi")


def utc(*parts: int) -> datetime:
    """An instant."""
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    "text, name, instant",
    [
        ("2024-01-15 08:00", "ISO 8601", utc(2024, 1, 15, 8)),
        ("2024-01-15T08:00:30", "ISO 8601", utc(2024, 1, 15, 8, 0, 30)),
        ("2025-05-04 14:40:00-07:00", "ISO 8601", utc(2025, 5, 4, 21, 40)),
        ("2024-01-01T00:00:00+00:00", "ISO 8601", utc(2024, 1, 1)),
        ("2024-01-01T00:00:00Z", "ISO 8601", utc(2024, 1, 1)),
        ("2024-10-07", "ISO 8601", utc(2024, 10, 7)),
        ("2023/01/01 00:05:00", "ISO 8601", utc(2023, 1, 1, 0, 5)),
        ("2023/1/9 0:05", "year/month/day", utc(2023, 1, 9, 0, 5)),
        ("4/1/24 0:00", "month/day/year", utc(2024, 4, 1)),
        ("4/1/2024 13:30:05", "month/day/year", utc(2024, 4, 1, 13, 30, 5)),
        ("14/4/24 0:00", "day/month/year", utc(2024, 4, 14)),
        ("31.12.2024 23:45", "day.month.year", utc(2024, 12, 31, 23, 45)),
        ("1704067200", "Unix time", utc(2024, 1, 1)),
        ("1704067200.5", "Unix time", utc(2024, 1, 1) + timedelta(seconds=0.5)),
        ("1704067200000", "Unix time", utc(2024, 1, 1)),
        ("0", "seconds from zero", EPOCH),
        ("2505300", "seconds from zero", EPOCH + timedelta(seconds=2505300)),
        ("14:00", "time of day", EPOCH + timedelta(hours=14)),
    ],
)
def test_a_spelling_is_recognised_and_read(text: str, name: str, instant: datetime) -> None:
    """Without a zone of its own a time is in the zone given, here UTC."""
    spelling = recognise([text])
    assert spelling is not None
    assert spelling.name == name
    assert read_instants([text], spelling) == [instant]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "2024-13-01 00:00",
        "32/1/24 0:00",
        "1/32/24 0:00",
        "-5",
        "nan",
        "inf",
        "1e30",
        "12,5",
        "NORTH",
    ],
)
def test_what_is_no_time_is_not_recognised(text: str) -> None:
    """Neither words nor impossible dates nor numbers out of range."""
    assert recognise([text]) is None


def test_one_row_settles_which_number_is_the_day() -> None:
    """14/4 cannot be month 14, so 4/1 in the same column is the fourth of January."""
    spelling = recognise(["4/1/24 0:00", "14/4/24 0:00"])
    assert spelling is not None
    assert read_instants(["4/1/24 0:00"], spelling) == [utc(2024, 1, 4)]


def test_where_either_would_do_dates_are_kept_together() -> None:
    """A week of April, and not the first of each month; or the other way round."""
    week = recognise([f"4/{day}/24 0:00" for day in range(1, 8)])
    other = recognise([f"{day}/4/24 0:00" for day in range(1, 8)])
    assert week is not None
    assert other is not None
    assert (week.name, other.name) == ("month/day/year", "day/month/year")


def test_a_time_without_a_zone_is_in_the_zone_given() -> None:
    """One with a zone is not."""
    spelling = recognise(["2024-06-01 06:00"], KARACHI)
    assert spelling is not None
    assert read_instants(["2024-06-01 06:00", "2024-06-01 06:00Z"], spelling, KARACHI) == [
        utc(2024, 6, 1, 1),
        utc(2024, 6, 1, 6),
    ]


def test_times_of_day_go_on_after_midnight() -> None:
    """Each time that the clock goes back, a day has passed; a hole does not count."""
    spelling = recognise(["23:00"])
    assert spelling is not None
    read = read_instants(["23:00", "", "01:00", "12:00", "00:30"], spelling)
    hours = [None if at is None else (at - EPOCH).total_seconds() / 3600 for at in read]
    assert hours == [23, None, 25, 36, 48.5]


def test_a_row_that_cannot_be_read_is_none() -> None:
    """The others are read all the same."""
    spelling = recognise(["2024-01-01"])
    assert spelling is not None
    assert read_instants(["2024-01-01", "total", ""], spelling) == [utc(2024, 1, 1), None, None]


def test_a_column_of_mixed_spellings_is_not_recognised() -> None:
    """One of them would be read wrongly."""
    assert recognise(["2024-01-01", "14:00"]) is None
    assert recognise([]) is None


@pytest.mark.parametrize("text", ["0001-01-01", "9999-12-31T23:59:59-05:00"])
def test_a_time_off_the_ends_of_the_calendar_is_none(text: str) -> None:
    """In UTC it would lie before the first year, or after the last."""
    assert recognise([text], KARACHI) is None

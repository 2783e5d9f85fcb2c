"""A schedule in a file: read when it changes, refused row by row when it makes no sense."""

from __future__ import annotations

import gzip
import hashlib
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scheduler.core.envelope import Envelope, is_stale
from scheduler.errors import SettingsError, SignalError
from scheduler.signals.schedule_file import ScheduleFile, open_source

DAY = datetime(2026, 6, 1, tzinfo=UTC)
PLAIN = "time,limit\n2026-06-01T06:00Z,480\n2026-06-01T18:00Z,160\n2026-06-01T23:00Z,300\n"


def at(hour: float) -> datetime:
    """That hour of the day."""
    return DAY + timedelta(hours=hour)


def source(tmp_path: Path, content: str | bytes = PLAIN, **options: Any) -> ScheduleFile:
    """The source of a file with that content."""
    write(tmp_path, content)
    return open_source(
        "feeder-12", {"path": "day.csv", "unit": "kW"} | options, base=tmp_path, reaction_s=30.0
    )


def write(tmp_path: Path, content: str | bytes) -> None:
    """Put a file in place by renaming, as the docstring asks for."""
    fresh = tmp_path / "day.csv.new"
    fresh.write_bytes(content if isinstance(content, bytes) else content.encode())
    fresh.replace(tmp_path / "day.csv")


def told(envelope: Envelope) -> list[tuple[datetime, float]]:
    """Times and watts."""
    return [(s.starts_at, s.limit_w) for s in envelope.segments]


async def test_the_step_in_force_and_all_that_follow_are_told(tmp_path: Path) -> None:
    """A schedule is known ahead, that is what it is for."""
    envelope = await source(tmp_path).read(at(12))
    assert told(envelope) == [(at(6), 480_000.0), (at(18), 160_000.0), (at(23), 300_000.0)]
    assert [w for _, w in told(await source(tmp_path).read(at(19)))] == [160_000.0, 300_000.0]


async def test_before_its_first_row_it_says_nothing_about_now(tmp_path: Path) -> None:
    """But tells what will be."""
    envelope = await source(tmp_path).read(at(5))
    assert envelope.limit_at(at(5)) is None
    assert len(envelope.segments) == 3


async def test_the_last_row_stands_as_long_as_the_one_before(tmp_path: Path) -> None:
    """Then the file has no more to say; how long can be set."""
    assert (await source(tmp_path).read(at(12))).valid_until == at(28)
    assert (await source(tmp_path, last_row_s=3600).read(at(12))).valid_until == at(24)


async def test_only_so_much_of_the_future_is_handed_on(tmp_path: Path) -> None:
    """A year of five-minute steps would burden every snapshot."""
    envelope = await source(tmp_path, horizon_s=6 * 3600).read(at(12))
    assert [w for _, w in told(envelope)] == [480_000.0, 160_000.0]


async def test_a_new_version_of_the_file_is_read(tmp_path: Path) -> None:
    """At the next reading, without a restart."""
    schedule = source(tmp_path)
    before = await schedule.read(at(12))
    write(tmp_path, PLAIN.replace("480", "90"))
    after = await schedule.read(at(12))
    assert [before.segments[0].limit_w, after.segments[0].limit_w] == [480_000.0, 90_000.0]


async def test_an_unchanged_file_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The source is asked twice a second."""
    schedule = source(tmp_path)
    first = await schedule.read(at(12))
    monkeypatch.setattr(
        "scheduler.signals.schedule_file.read_csv_or_parquet", lambda _: pytest.fail("read again")
    )
    second = await schedule.read(at(12.5))
    assert second.segments == first.segments
    assert (first.read_at, second.read_at) == (at(12), at(12.5))


async def test_it_was_issued_when_the_file_was_written(tmp_path: Path) -> None:
    """As far as the file system knows; never after it was read."""
    schedule = source(tmp_path)
    os.utime(tmp_path / "day.csv", (at(3).timestamp(), at(3).timestamp()))
    assert (await schedule.read(at(12))).issued_at == at(3)
    assert (await schedule.read(at(2))).issued_at == at(2)


async def test_a_file_that_goes_away_is_told_and_the_last_word_ages(tmp_path: Path) -> None:
    """The loop keeps the last envelope, which goes stale by itself."""
    schedule = source(tmp_path, stale_after_s=60)
    last = await schedule.read(at(12))
    (tmp_path / "day.csv").unlink()
    with pytest.raises(SignalError, match=r"day\.csv: No such file or directory; put the schedule there"):
        await schedule.read(at(12.5))
    assert is_stale(last, at(12.5))
    write(tmp_path, PLAIN)
    assert (await schedule.read(at(13))).segments == last.segments


async def test_times_may_name_their_zone_or_be_in_one(tmp_path: Path) -> None:
    """Offsets, Z, Unix seconds, or the zone of the whole file for those without."""
    rows = "time,limit\n2026-06-01T06:00+05:00,1\n1780279200,2\n2026-06-01 09:00,3\n2026/06/01 10:30:00,4\n"
    envelope = await source(tmp_path, rows, zone="Asia/Karachi").read(at(0))
    assert [t for t, _ in told(envelope)] == [at(1), at(2), at(4), at(5.5)]


@pytest.mark.parametrize("unit, factor", [("W", 1.0), ("kW", 1e3), ("MW", 1e6)])
async def test_units_are_an_option(tmp_path: Path, unit: str, factor: float) -> None:
    """Watts unless said otherwise."""
    assert (await source(tmp_path, unit=unit).read(at(7))).segments[0].limit_w == 480 * factor


async def test_columns_are_an_option_and_the_file_may_be_packed(tmp_path: Path) -> None:
    """A utility's own names, and why each limit is what it is."""
    content = "from;MW;document\n2026-06-01T06:00Z;0.5;notice 118\n2026-06-01T18:00Z;0.1;evening peak\n"
    options = {"time_column": "from", "limit_column": "MW", "provenance_column": "document", "unit": "MW"}
    envelope = await source(tmp_path, gzip.compress(content.encode()), **options).read(at(7))
    assert [(s.limit_w, s.provenance) for s in envelope.segments] == [
        (500_000.0, "notice 118"),
        (100_000.0, "evening peak"),
    ]


async def test_without_a_word_on_why_the_line_is_the_provenance(tmp_path: Path) -> None:
    """Who wonders can look it up."""
    assert (await source(tmp_path).read(at(7))).segments[0].provenance == "day.csv, line 2"


@pytest.mark.parametrize("packed", [False, True])
async def test_the_document_is_the_file_and_its_digest(tmp_path: Path, packed: bool) -> None:
    """As sha256sum shows it, of the file as it lies there."""
    content = b"time,limit\n2026-06-01T06:00Z,1\n2026-06-01T18:00Z,2\n"
    written = gzip.compress(content) if packed else content
    envelope = await source(tmp_path, written).read(at(7))
    digest = hashlib.sha256(written).hexdigest()[:16]
    assert {s.document for s in envelope.segments} == {f"day.csv (SHA-256 {digest})"}


@pytest.mark.parametrize(
    "change, said",
    [
        (("480", "soon"), r"line 2: limit: 'soon' is no limit; give kW, 0 or more"),
        (("480", "-1"), r"line 2: limit: '-1' is no limit"),
        (("480", ""), r"line 2: limit: '' is no limit"),
        (("480", "nan"), r"line 2: limit: 'nan' is no limit"),
        (("480", "inf"), r"line 2: limit: 'inf' is no limit"),
        (
            ("2026-06-01T18:00Z", "6/1/26 18:00"),
            r"line 3: time: '6/1/26 18:00' is no time; write it like",
        ),
        (("2026-06-01T18:00Z", "2026-06-31"), r"line 3: time: '2026-06-31' is no time"),
        (
            ("2026-06-01T18:00Z", "2026-06-01T18:00"),
            r"line 3: time: '2026-06-01T18:00' has no time zone; add one",
        ),
        (
            ("2026-06-01T18:00Z", "2026-06-01T06:00Z"),
            r"line 3: time: 2026-06-01T06:00:00\+00:00 is not after the row",
        ),
        (("2026-06-01T18:00Z", "2026-06-01T05:00Z"), r"line 3: .*sort the rows"),
        (("time,", "when,"), r"there is no column 'time'; it has when, limit"),
        ((PLAIN[11:], ""), r"it has no rows below its header"),
        ((PLAIN[33:], ""), r"one row does not say how long it stands; set last_row_s, or add a row"),
        ((",480", ",480,1"), r"line 2: 3 values for 2 columns"),
    ],
)
async def test_a_row_that_makes_no_sense_is_refused(
    tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    """By file, line, value and remedy; a schedule is not guessed at."""
    schedule = source(tmp_path, PLAIN.replace(*change))
    with pytest.raises(SignalError, match=said) as caught:
        await schedule.read(at(7))
    assert "day.csv" in str(caught.value)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"zone": "Mars/Olympus"}, "zone: there is no such time zone; use an IANA name like Asia/Karachi"),
        ({"unit": "GW"}, "unit: .*'GW'"),
        ({"last_row_s": 0}, "last_row_s: must be more than 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    """When the site starts, by the source's name, field and value."""
    with pytest.raises(SettingsError, match="signals: feeder-12: " + said):
        source(tmp_path, **options)


def test_a_path_is_needed(tmp_path: Path) -> None:
    """The message says where the options are explained."""
    with pytest.raises(
        SettingsError, match=r"path is missing; see the head of scheduler/signals/schedule_file\.py"
    ):
        open_source("feeder-12", {}, base=tmp_path, reaction_s=30.0)


@pytest.mark.parametrize(
    "row, words",
    [
        ("0001-01-01T00:00+10:00,1", "not in the years"),
        ("9999-12-31T23:00-10:00,1", "not in the years"),
        ("99999999999,1", "not in the years"),
        ("٢٠٢٦-06-01T06:00Z,1", "is no time"),
        ("2026-06-01T06:00Z,1e999", "is no limit"),
        ("2026-06-01T06:00Z,nan", "is no limit"),
        ("2026-06-01T06:00Z,-1", "is no limit"),
        ("2026-06-01T06:00Z,", "is no limit"),
    ],
)
async def test_a_time_or_a_limit_out_of_this_world_is_refused(tmp_path: Path, row: str, words: str) -> None:
    """In a sentence with its line, whatever arithmetic it would have broken."""
    with pytest.raises(SignalError, match=words) as caught:
        await source(tmp_path, f"time,limit\n{row}\n2027-01-01T00:00Z,5\n").read(at(12))
    assert "line 2" in str(caught.value)


@pytest.mark.parametrize("name", ["last_row_s", "horizon_s"])
def test_seconds_without_end_are_refused_when_the_site_file_is_read(tmp_path: Path, name: str) -> None:
    """Not when the first schedule comes."""
    with pytest.raises(SettingsError, match=name):
        source(tmp_path, PLAIN, **{name: 1e300})


async def test_a_limit_that_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    """A slip in the unit must not lift the limit: the last good schedule stands."""
    schedule = source(tmp_path, max_w=1e6)
    await schedule.read(at(12))
    write(tmp_path, PLAIN.replace("300", "3000"))
    with pytest.raises(SignalError, match=r"line 4: limit: 3000 kW is above the 1e\+06 W that are believed"):
        await schedule.read(at(12))
    with pytest.raises(SignalError, match="1e300 kW is above"):
        await source(tmp_path, PLAIN.replace("300", "1e300")).read(at(12))

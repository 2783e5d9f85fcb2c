"""A revenue meter's file: read as the utility wrote it, refused with line, column, value and remedy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from barq.errors import InvalidInput
from barq.reporting.meter_file import MeterFile, MeterMap, read_map, read_meter_file
from tests.paper_month import BRUSSELS, meter_csv, starts

UTC_ZONE = ZoneInfo("UTC")


def read(folder: Path, text: str, *, zone: ZoneInfo = UTC_ZONE, **columns: str) -> MeterFile:
    """The readings of a file with that text."""
    path = folder / "meter.csv"
    path.write_text(text, encoding="utf-8")
    return read_meter_file(path, MeterMap(**columns), zone)


def test_a_month_of_local_times_is_read_over_a_change_of_clocks(tmp_path: Path) -> None:
    """The hour that comes twice is two hours, and each quarter is there once."""
    found = read(tmp_path, meter_csv(), zone=BRUSSELS, value="kWh")
    assert found.cadence_s == 900
    assert [r.starts_at for r in found.readings] == starts()
    assert found.readings[1].energy_wh == pytest.approx(2001.0)


@pytest.mark.parametrize("minutes,cadence_s", [(1, 60), (5, 300), (30, 1800), (60, 3600)])
def test_any_cadence_that_fits_quarters_is_read(tmp_path: Path, minutes: int, cadence_s: int) -> None:
    """Each value is of its own interval."""
    times = [datetime(2026, 10, 1, tzinfo=UTC) + timedelta(minutes=minutes * i) for i in range(5)]
    text = "time,value\n" + "".join(f"{at.isoformat()},2\n" for at in times)
    found = read(tmp_path, text, unit="kW")
    assert found.cadence_s == cadence_s
    assert [r.energy_wh for r in found.readings] == [pytest.approx(2000 * cadence_s / 3600)] * 5


def test_a_utility_writes_as_it_likes(tmp_path: Path) -> None:
    """Semicolons, decimal commas, days first, the end of each interval, and an empty cell."""
    text = "Datum;Bezug\n01.10.2026 00:15;1,5\n01.10.2026 00:30;\n01.10.2026 00:45;2\n"
    found = read(tmp_path, text, time="Datum", value="Bezug", stamps="end", format="%d.%m.%Y %H:%M")
    assert [(r.starts_at.minute, r.energy_wh, r.line) for r in found.readings] == [
        (0, 1500.0, 2),
        (15, None, 3),
        (30, 2000.0, 4),
    ]


def test_the_map_is_read_from_one_option() -> None:
    """What it does not say is as usual."""
    assert read_map("time=Date,value=kWh") == MeterMap(time="Date", value="kWh")
    assert read_map("value=P,unit=kW,stamps=end,format=%d/%m/%Y %H:%M") == MeterMap(
        value="P", unit="kW", stamps="end", format="%d/%m/%Y %H:%M"
    )


@pytest.mark.parametrize(
    "text,told",
    [
        ("when=x", "--meter-map: 'when=x' is not understood"),
        ("time", "--meter-map: 'time' is not understood"),
        ("time=a,time=b", "'time=b' is not understood"),
        ("unit=BTU", "unit=BTU is not known"),
        ("stamps=middle", "stamps=middle is not known"),
    ],
)
def test_a_map_that_makes_no_sense_is_refused(text: str, told: str) -> None:
    """By its part."""
    with pytest.raises(InvalidInput, match=told):
        read_map(text)


ROW = "2026-10-01T00:00Z,1\n"


@pytest.mark.parametrize(
    "text,told",
    [
        ("", "line 1: there is no column 'time'"),
        ("time,value\n", "no rows below its header"),
        ("time,value,value\n" + ROW, "more than one column 'value'"),
        ("time,value\n" + ROW, "one row does not say how long"),
        ("time,value\n" + ROW + "yesterday,1\n", "line 3: time: 'yesterday' is no time"),
        ("time,value\n" + ROW + "2026-10-01T00:15Z,plenty\n", "line 3: value: 'plenty' is no number"),
        ("time,value\n" + ROW + "2026-10-01T00:15Z,nan\n", "line 3: value: 'nan' is no number"),
        ("time,value\n" + ROW + "2026-10-01T00:15Z,-4\n", "line 3: value: '-4' is below 0"),
        ("time,value\n" + ROW + ROW, "line 3: time: '2026-10-01T00:00Z' is not after the row above"),
        ("time,value\n" + ROW + "2026-10-01T00:07Z,1\n", "line 3: rows are 420 s apart"),
        ("time,value\n" + ROW + "2026-10-01T00:15Z\n", "line 3: value: '' is not there"),
        (
            "time,value\n2026-10-01T00:05Z,1\n2026-10-01T00:20Z,1\n",
            "line 2: time: '2026-10-01T00:05Z' does not begin an interval of 900 s",
        ),
        ('time,value\n"2026', "not a CSV file"),
    ],
)
def test_a_file_that_makes_no_sense_is_refused(tmp_path: Path, text: str, told: str) -> None:
    """By file, line, column and value."""
    with pytest.raises(InvalidInput, match=told) as refused:
        read(tmp_path, text)
    assert "meter.csv" in str(refused.value)
    assert refused.value.remedy


def test_a_time_that_no_clock_showed_is_refused(tmp_path: Path) -> None:
    """In March the clocks of Brussels skip an hour."""
    text = "time,value\n2026-03-29 01:45,1\n2026-03-29 02:15,1\n"
    with pytest.raises(InvalidInput, match="line 3: time: '2026-03-29 02:15' is skipped by the clocks"):
        read(tmp_path, text, zone=BRUSSELS)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    """And so is what is no text."""
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_meter_file(tmp_path / "gone.csv", MeterMap(), UTC_ZONE)
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInput, match="no UTF-8 text"):
        read_meter_file(tmp_path / "x.csv", MeterMap(), UTC_ZONE)

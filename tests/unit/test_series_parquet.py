"""Schedules in Parquet files: judged as the same columns in a CSV file are."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scheduler.errors import SignalError
from scheduler.series import parquet_table
from scheduler.series.parquet_table import read_csv_or_parquet
from scheduler.signals.schedule_file import open_source

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
DAY = datetime(2026, 6, 1, tzinfo=UTC)
TIMES = [DAY, DAY + timedelta(minutes=15), DAY + timedelta(hours=2)]


def written(tmp_path: Path, **columns: Any) -> Path:
    """A Parquet file of these columns."""
    path = tmp_path / "day.parquet"
    parquet.write_table(pyarrow.table(columns), path)
    return path


async def limits(path: Path, **options: Any) -> list[tuple[datetime, float]]:
    """What the schedule of a file tells."""
    said = {"path": path.name, "unit": "kW"} | options
    envelope = await open_source("feeder-12", said, base=path.parent, reaction_s=30.0).read(DAY)
    return [(s.starts_at, s.limit_w) for s in envelope.segments]


STAMPS: dict[str, Any] = {
    "with a zone": pyarrow.array(TIMES, pyarrow.timestamp("ms", tz="Asia/Karachi")),
    "in nanoseconds": pyarrow.array(TIMES, pyarrow.timestamp("ns", tz="UTC")),
    "without a zone": pyarrow.array([t.replace(tzinfo=None) for t in TIMES], pyarrow.timestamp("us")),
    "as text": pyarrow.array([t.isoformat() for t in TIMES]),
    "as seconds": pyarrow.array([round(t.timestamp()) for t in TIMES]),
}


@pytest.mark.parametrize("stamps", STAMPS)
async def test_a_schedule_may_be_a_parquet_file(tmp_path: Path, stamps: str) -> None:
    """However it has its times."""
    path = written(tmp_path, time=STAMPS[stamps], limit=pyarrow.array([480, 160.5, 300]))

    assert await limits(path, zone="UTC") == list(zip(TIMES, [480_000, 160_500, 300_000], strict=True))


async def test_a_forecast_and_documents_may_be_in_it(tmp_path: Path) -> None:
    """What is null is empty: here the limit ends, and the forecast goes on."""
    path = written(
        tmp_path,
        time=STAMPS["with a zone"],
        limit=[480.0, 160.0, None],
        limit_p10=[None, 100.0, 90.0],
        limit_p50=[None, 150.0, 140.0],
        provenance=["notice 118", "notice 118", None],
    )

    assert await limits(path) == [(TIMES[0], 480_000), (TIMES[1], 160_000)]


@pytest.mark.parametrize(
    "times, limits_kw, said",
    [
        (TIMES, [480.0, float("nan"), 300.0], "line 2: limit: 'nan' is no limit"),
        (TIMES, [480.0, -1.0, 300.0], "line 2: limit: '-1.0' is no limit"),
        (TIMES[::-1], [480.0, 160.0, 300.0], "line 2: time: .* is not after the row above"),
        ([t.replace(tzinfo=None) for t in TIMES], [1.0, 2.0, 3.0], "line 1: time: .* has no time zone"),
        ([], [], "it has no rows"),
    ],
)
async def test_rows_that_make_no_sense_are_refused(
    tmp_path: Path, times: list[datetime], limits_kw: list[float], said: str
) -> None:
    """By their numbers."""
    kind = pyarrow.timestamp("us", tz=None if times and times[0].tzinfo is None else "UTC")
    path = written(
        tmp_path, time=pyarrow.array(times, kind), limit=pyarrow.array(limits_kw, pyarrow.float64())
    )

    with pytest.raises(SignalError, match=said):
        await limits(path)


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    """Its end says where everything is."""
    path = written(tmp_path, time=STAMPS["as text"], limit=[1.0, 2.0, 3.0])
    path.write_bytes(path.read_bytes()[:-20])

    with pytest.raises(SignalError, match="cannot be read as Parquet"):
        read_csv_or_parquet(path)


def test_more_than_a_schedule_holds_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small packed file may be a huge one."""
    monkeypatch.setattr(parquet_table, "MAX_ROWS", 2)

    with pytest.raises(SignalError, match="3 rows of 2 columns"):
        read_csv_or_parquet(written(tmp_path, time=STAMPS["as text"], limit=[1.0, 2.0, 3.0]))


def test_without_its_package_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra, by name."""
    path = written(tmp_path, time=STAMPS["as text"], limit=[1.0, 2.0, 3.0])
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    with pytest.raises(SignalError, match=r"takes pyarrow, .*: pip install 'barq\[parquet\]'"):
        read_csv_or_parquet(path)


def test_what_is_no_parquet_file_is_read_as_csv(tmp_path: Path) -> None:
    """And what is not there says so."""
    (tmp_path / "day.csv").write_text("time,limit\n2026-06-01T06:00Z,480\n", encoding="utf-8")

    assert read_csv_or_parquet(tmp_path / "day.csv").column("limit") == ["480"]
    with pytest.raises(SignalError, match="cannot be read"):
        read_csv_or_parquet(tmp_path / "none.csv")

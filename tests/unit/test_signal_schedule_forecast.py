"""A schedule that also foresees: quantiles beside the limits, and behind the last of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scheduler.core.envelope import Envelope
from scheduler.errors import SettingsError, SignalError
from scheduler.signals.schedule_file import ScheduleFile, open_source

DAY = datetime(2026, 6, 1, tzinfo=UTC)
PLAIN = """time,limit,limit_p10,limit_p50
2026-06-01T06:00Z,480,,
2026-06-01T12:00Z,480,300,450
2026-06-01T18:00Z,,120,160
"""


def at(hour: float) -> datetime:
    """That hour of the day."""
    return DAY + timedelta(hours=hour)


def source(tmp_path: Path, content: str = PLAIN, **options: Any) -> ScheduleFile:
    """The source of a file with that content."""
    (tmp_path / "day.csv").write_text(content, encoding="utf-8")
    return open_source(
        "feeder-12", {"path": "day.csv", "unit": "kW"} | options, base=tmp_path, reaction_s=30.0
    )


def foreseen(envelope: Envelope) -> list[tuple[datetime, list[tuple[float, float]]]]:
    """Times, shares and watts."""
    return [(f.starts_at, [(q.share, q.limit_w) for q in f.quantiles]) for f in envelope.forecast]


async def test_quantiles_are_told_in_watts_and_end_with_the_file(tmp_path: Path) -> None:
    """A row without any foresees nothing, and neither does anybody after the last row."""
    assert foreseen(await source(tmp_path).read(at(7))) == [
        (at(6), []),
        (at(12), [(0.1, 300_000.0), (0.5, 450_000.0)]),
        (at(18), [(0.1, 120_000.0), (0.5, 160_000.0)]),
        (at(24), []),
    ]


async def test_limits_are_told_as_ever_and_end_where_the_rows_only_foresee(tmp_path: Path) -> None:
    """What is foreseen is never a limit."""
    envelope = await source(tmp_path).read(at(13))

    assert [(s.starts_at, s.limit_w) for s in envelope.segments] == [(at(12), 480_000.0)]
    assert envelope.valid_until == at(18)
    assert envelope.limit_at(at(18)) is None


async def test_a_file_without_such_columns_foresees_nothing(tmp_path: Path) -> None:
    """And neither does one whose columns are called something like it."""
    content = "time,limit,limit_peak,p10,limit_p0\n2026-06-01T06:00Z,480,1,2,3\n2026-06-01T18:00Z,160,1,2,3\n"

    assert (await source(tmp_path, content).read(at(7))).forecast == ()


async def test_only_so_much_of_the_future_is_handed_on(tmp_path: Path) -> None:
    """From what is foreseen for now on."""
    envelope = await source(tmp_path, horizon_s=3600).read(at(17.5))

    assert [t for t, _ in foreseen(envelope)] == [at(12), at(18)]


async def test_other_columns_can_be_named(tmp_path: Path) -> None:
    """By their quantiles; the file may have more than two, and in any order."""
    content = PLAIN.replace("limit_p10,limit_p50", "low,mid")
    envelope = await source(tmp_path, content, quantile_columns={"p50": "mid", "p2.5": "low"}).read(at(7))

    assert foreseen(envelope)[1] == (at(12), [(0.025, 300_000.0), (0.5, 450_000.0)])


@pytest.mark.parametrize(
    "change, said",
    [
        (("300", "low"), r"line 3: limit_p10: 'low' is no limit; give kW, 0 or more, or leave all"),
        (("300", ""), r"line 3: limit_p10: '' is no limit"),
        (("450", "-1"), r"line 3: limit_p50: '-1' is no limit"),
        (("450", "nan"), r"line 3: limit_p50: 'nan' is no limit"),
        (("160", "1e999"), r"line 4: limit_p50: '1e999' is no limit"),
        (("450", "299"), r"line 3: limit_p50: '299' is less than a lower quantile of the same row"),
        (("limit_p10", "limit_p20"), r"columns limit_p20, limit_p50: a forecast needs its median"),
        (("limit_p50", "limit_p60"), r"columns limit_p10, limit_p60: .*add limit_p50 and limit_p10"),
        (("limit_p50", "limit_p10.0"), r"columns limit_p10, limit_p10\.0: one quantile is there twice"),
        (("T06:00Z,480", "T06:00Z,"), r"line 2: limit: '' is no limit"),
        (("T12:00Z,480", "T12:00Z,"), None),
        (("T18:00Z,,120,160", "T18:00Z,,,"), r"line 4: limit: '' is no limit"),
        (("T18:00Z,,", "T11:00Z,,"), r"line 4: time: .*sort the rows"),
    ],
)
async def test_a_forecast_that_makes_no_sense_is_refused(
    tmp_path: Path, change: tuple[str, str], said: str | None
) -> None:
    """By file, line, column, value and remedy."""
    schedule = source(tmp_path, PLAIN.replace(*change))
    if said is None:
        assert (await schedule.read(at(7))).valid_until == at(12)
        return
    with pytest.raises(SignalError, match=said) as caught:
        await schedule.read(at(7))
    assert "day.csv" in str(caught.value)


@pytest.mark.parametrize(
    "rows, said",
    [
        ("06:00Z,9,1,2 07:00Z,,1,2 08:00Z,100,1,2", r"line 4: limit: '100' follows rows without a limit"),
        ("06:00Z,,1,2 07:00Z,100,1,2", r"line 2: limit: it is empty; give at least one limit"),
    ],
)
async def test_limits_come_before_rows_that_only_foresee(tmp_path: Path, rows: str, said: str) -> None:
    """Nobody could say what holds in between."""
    lines = "".join(f"2026-06-01T{row}\n" for row in rows.split(" "))
    with pytest.raises(SignalError, match=said):
        await source(tmp_path, "time,limit,limit_p10,limit_p50\n" + lines).read(at(7))


@pytest.mark.parametrize("name", ["q10", "p0", "p100", "10"])
def test_names_that_are_no_quantiles_are_refused(tmp_path: Path, name: str) -> None:
    """When the site starts."""
    with pytest.raises(
        SettingsError, match=r"signals: feeder-12: quantile_columns: name quantiles p1 to p99"
    ):
        source(tmp_path, quantile_columns={name: "low", "p50": "mid"})


async def test_a_named_column_that_is_not_there_is_told(tmp_path: Path) -> None:
    """With those that are."""
    with pytest.raises(SignalError, match=r"there is no column 'low'; it has time, limit, limit_p10"):
        await source(tmp_path, quantile_columns={"p10": "low", "p50": "limit_p50"}).read(at(7))

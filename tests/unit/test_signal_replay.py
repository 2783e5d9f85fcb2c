"""Replaying a day that really was, and playing one that never was."""

from __future__ import annotations

import logging
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scheduler.core.envelope import Envelope
from scheduler.errors import SettingsError
from scheduler.signals.replay import Replay, open_source
from scheduler.signals.synthetic_day import (
    DAY_S,
    STEP_S,
    DayStep,
    Season,
    open_source as open_synthetic,
    synthetic_day,
)

T0 = datetime(2026, 6, 1, tzinfo=UTC)
DAY = "when,mw,price\n" + "".join(f"2024-04-01 {h:02d}:00,{h * 10},{240 - h * 10}\n" for h in range(24))


def after(seconds: float) -> datetime:
    """So many seconds after the first reading."""
    return T0 + timedelta(seconds=seconds)


def replay(tmp_path: Path, content: str = DAY, **options: Any) -> Replay:
    """A file with that content, played an hour a second."""
    (tmp_path / "day.csv").write_text(content, encoding="utf-8")
    plain = {"path": "day.csv", "column": "mw", "max_w": 230_000.0, "peak": "max", "speed": 3600}
    return open_source("grid", plain | options, base=tmp_path, reaction_s=30.0)


async def limits(source: Replay, *seconds: float) -> list[float | None]:
    """The limit in force after so many seconds each, kW."""
    await source.read(T0)
    found = []
    for s in seconds:
        segment = (await source.read(after(s))).limit_at(after(s))
        found.append(None if segment is None else round(segment.limit_w / 1000, 3))
    return found


async def test_a_day_goes_by_in_seconds(tmp_path: Path) -> None:
    """Each row for its hour; at the end there is nothing left to say."""
    assert await limits(replay(tmp_path), 0, 1, 1.5, 23, 23.9, 24) == [0.0, 10.0, 10.0, 230.0, 230.0, None]


async def test_the_day_is_scaled_to_the_site_and_kept_in_its_bounds(tmp_path: Path) -> None:
    """The peak is the highest limit, and nothing falls below the lowest."""
    assert await limits(replay(tmp_path, max_w=100_000.0, min_w=30_000.0), 1, 11.5, 23) == [
        30.0,
        47.826,
        100.0,
    ]


async def test_a_price_is_turned_round(tmp_path: Path) -> None:
    """Where the price is lowest, power is most."""
    assert await limits(replay(tmp_path, column="price", invert=True, max_w=23_000.0), 0, 10, 23) == [
        0.0,
        10.0,
        23.0,
    ]


SIX = datetime(2024, 4, 1, 6, tzinfo=UTC)


@pytest.mark.parametrize(
    "start", ["2024-04-01T06:00", "2024-04-01 06:00", 6 * 3600.0, SIX, SIX.replace(tzinfo=None)]
)
async def test_it_starts_where_it_is_told(tmp_path: Path, start: object) -> None:
    """By date and time, or by seconds from the first row; what is played is what is scaled."""
    assert await limits(replay(tmp_path, start=start, hours=2, max_w=70_000.0), 0, 1, 2) == [60.0, 70.0, None]


async def test_a_day_is_a_start_too(tmp_path: Path) -> None:
    """YAML reads 2024-04-02 as a date."""
    two_days = DAY + "".join(f"2024-04-02 {h:02d}:00,{h},0\n" for h in range(24))
    assert await limits(
        replay(tmp_path, two_days, start=date(2024, 4, 2), peak="max", max_w=23_000.0), 5
    ) == [5.0]


async def test_times_are_in_the_zone_that_is_named(tmp_path: Path) -> None:
    """Six in the morning in Karachi is one o'clock UTC."""
    source = replay(tmp_path, zone="Asia/Karachi", start="2024-04-01T06:00")
    assert await limits(source, 0) == [60.0]
    assert "of 2024-04-01 01:00" in (await source.read(T0)).segments[0].provenance


async def test_times_that_end_their_intervals_are_understood(tmp_path: Path) -> None:
    """The value of one o'clock is that of the hour before."""
    assert await limits(replay(tmp_path, times="end", start="2024-04-01T00:00"), 0, 1) == [10.0, 20.0]


async def test_what_is_missing_is_held_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In the log, in the notes, and in the reason for that very limit."""
    with caplog.at_level(logging.WARNING):
        source = replay(
            tmp_path, DAY.replace("05:00,50", "05:00,NaN").replace("2024-04-01 10:00,100,140\n", "")
        )
    assert await limits(source, 4, 5, 9, 10, 11) == [40.0, 40.0, 90.0, 90.0, 110.0]
    assert source.notes == (
        "values missing, held at the one before: 1",
        "gaps, held at the value before: 1, the longest 7200 s",
    )
    assert "grid: day.csv: values missing, held at the one before: 1" in caplog.text


async def test_nothing_is_known_ahead_unless_told(tmp_path: Path) -> None:
    """`notice_s` seconds of it, in the site's own time."""
    assert len((await replay(tmp_path).read(T0)).segments) == 1
    assert len((await replay(tmp_path, notice_s=3.0).read(T0)).segments) == 4


async def test_it_goes_on_where_it_was_after_a_restart(tmp_path: Path) -> None:
    """If the site file says when it began."""
    source = replay(tmp_path, began_at="2026-06-01T00:00:00Z")
    assert (await source.read(after(5))).segments[0].limit_w == pytest.approx(50_000.0)


async def test_it_may_begin_again_at_the_end(tmp_path: Path) -> None:
    """A soak test needs more than one day."""
    assert await limits(replay(tmp_path, loop=True), 23, 24, 48 + 7) == [230.0, 0.0, 70.0]


async def test_a_source_may_grant_its_own_reaction_time(tmp_path: Path) -> None:
    """Otherwise it is the site's."""
    assert (await replay(tmp_path).read(T0)).reaction_s == 30.0
    assert (await replay(tmp_path, reaction_s=5).read(T0)).reaction_s == 5.0


@pytest.mark.parametrize(
    "options, said",
    [
        ({"path": "none.csv"}, r"signals: grid: .*none\.csv: cannot be read"),
        ({"column": "watts"}, r"signals: grid: .*there is no column 'watts'; it has when, mw, price"),
        ({"time_column": "mw", "column": "when"}, r"column 'when' holds no numbers"),
        ({"start": "soon"}, r"start: 'soon' is no time; write it like 2024-10-07"),
        ({"start": "2025-01-01"}, r"start: 2025-01-01T00:00:00\+00:00 is outside of the file"),
        ({"hours": 0}, r"signals: grid: hours: must be more than 0"),
        ({"speed": -1}, r"signals: grid: speed: must be more than 0"),
        ({"max_w": "inf"}, r"signals: grid: max_w: .*finite number"),
        ({"began_at": "2026-06-01T00:00:00"}, r"signals: grid: began_at: .*timezone"),
        ({"start": "2024-04-01", "hours": 0.5}, r"the max of the values is 0: nothing to scale by"),
    ],
)
def test_what_cannot_be_played_is_refused_at_the_start(
    tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    """A site does not start to find out an hour later."""
    with pytest.raises(SettingsError, match=said):
        replay(tmp_path, **options)


# -- the synthetic day -----------------------------------------------------------------------------------------------


def mean_share(day: tuple[DayStep, ...], *hours: int) -> float:
    """Of the steps in those hours."""
    shares = [s.share for s in day if int(s.at_s // 3600) in hours]
    return sum(shares) / len(shares)


@pytest.mark.parametrize("season", Season)
@pytest.mark.parametrize("seed", range(20))
def test_a_synthetic_day_is_whole(season: Season, seed: int) -> None:
    """24 hours in steps of five minutes, every share between nothing and all."""
    day = synthetic_day(seed, season)
    assert [s.at_s for s in day] == [i * STEP_S for i in range(288)]
    assert all(0.0 <= s.share <= 1.0 for s in day)
    assert day == synthetic_day(seed, season)


def test_other_seeds_are_other_days() -> None:
    """And so are other seasons."""
    days = [synthetic_day(seed, season) for seed in range(10) for season in Season]
    assert all(count == 1 for count in Counter(days).values())


def test_summer_is_best_at_midday_and_winter_at_night() -> None:
    """The shape of the seasons, without surprises; evenings are scarce in both."""
    summer, winter = (synthetic_day(1, season, withdrawals=0) for season in (Season.SUMMER, Season.WINTER))
    assert mean_share(summer, 11, 12, 13) > 0.8
    assert 0.4 < mean_share(summer, 1, 2, 3) < 0.65
    assert mean_share(winter, 1, 2, 3) > 0.8
    assert 0.4 < mean_share(winter, 11, 12, 13) < 0.65
    assert max(mean_share(summer, 19, 20, 21), mean_share(winter, 19, 20, 21)) < 0.2


@pytest.mark.parametrize("seed", range(20))
def test_surprises_take_power_away_where_there_is_some(seed: int) -> None:
    """Each begins and ends unannounced, lasts 20 to 60 minutes, and leaves no more than a third."""
    day, calm = synthetic_day(seed), synthetic_day(seed, withdrawals=0)
    assert not any(s.surprise for s in calm)
    edges = [s for s in day if s.surprise]
    assert len(edges) == 6
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        assert 1200 <= end.at_s - begin.at_s <= 3600
        assert begin.share <= 0.3 < end.share


async def test_the_synthetic_day_says_that_it_is_synthetic(tmp_path: Path) -> None:
    """Nobody takes it for a measurement, and its limits are the site's."""
    options = {"max_w": 700_000.0, "min_w": 160_000.0, "seed": 7, "speed": 576, "withdrawals": 2}
    source = open_synthetic("grid", options, base=tmp_path, reaction_s=30.0)
    seen: list[Envelope] = [await source.read(after(s)) for s in range(int(DAY_S / 576))]
    watts = [e.segments[0].limit_w for e in seen]
    assert min(watts) == 160_000.0
    assert 600_000.0 < max(watts) <= 700_000.0
    assert all(s.provenance.startswith("synthetic summer day, seed 7, ") for e in seen for s in e.segments)

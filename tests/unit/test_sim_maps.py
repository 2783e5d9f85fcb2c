"""The options that say how a simulation's files are read: what they mean, and what is told when they mean nothing."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import pytest

from scheduler.errors import TraceError
from scheduler.sim.asked import JobColumns, JobMap, Line, Plain, PowerMap, Scaled, Start, Switched
from scheduler.sim.maps import (
    parse_days,
    parse_job_map,
    parse_levels,
    parse_power_map,
    parse_share,
    parse_start,
)


def test_a_job_map_names_columns() -> None:
    """The three that are needed, in any order, with spaces or without."""
    wanted = JobMap(columns=JobColumns(arrival="arrival_s", duration="service_sec", gpus="gpu_count"))
    for text in (
        "arrival=arrival_s,duration=service_sec,gpus=gpu_count",
        " gpus = gpu_count , arrival=arrival_s,duration=service_sec",
    ):
        asked = parse_job_map(text)
        assert (asked.columns, asked.epoch_at, asked.mend) == (wanted.columns, None, False)


def test_a_job_map_may_say_more() -> None:
    """An end in place of a duration, what else a job has, a unit, a zone, the date of zero."""
    asked = parse_job_map(
        "arrival=a,start=b,end=c,gpus=g,id=i,project=p,priority=q,flex=f,estimate=e,deadline=d,unit=h,"
        "zone=+05:00,epoch=2017-08-07,mend=yes"
    )
    assert asked.columns == JobColumns(
        arrival="a", start="b", end="c", gpus="g", id="i", project="p", priority="q", flex="f", estimate="e",
        deadline="d", unit_s=3600.0,
    )  # fmt: skip
    assert asked.columns.names == set("abcgipqfed")
    assert asked.epoch_at == datetime(2017, 8, 6, 19, tzinfo=UTC)
    assert asked.mend


def test_a_job_map_without_columns_goes_with_a_known_format() -> None:
    """Only the zone."""
    asked = parse_job_map("zone=Asia/Karachi")
    assert asked.columns is None
    assert asked.zone.utcoffset(datetime(2026, 1, 1)) == timedelta(hours=5)  # noqa: DTZ001 - the zone's own


@pytest.mark.parametrize(
    "text, words",
    [
        ("arrival", "--jobs-map: 'arrival' is not KEY=VALUE; separate such pairs by commas"),
        ("", "'' is not KEY=VALUE"),
        ("arrival=", "'arrival=' is not KEY=VALUE"),
        ("arival=a", "there is no key 'arival'; there are arrival, duration, gpus"),
        ("arrival=a,arrival=b", "arrival is given twice: a and b; keep one"),
        ("arrival=a,gpus=g", "either duration or end has to name a column, and not both"),
        ("arrival=a,gpus=g,duration=d,end=e", "either duration or end"),
        ("arrival=a,duration=d", "gpus is missing; add gpus=COLUMN"),
        ("duration=d,gpus=g", "arrival is missing; add arrival=COLUMN"),
        ("arrival=a,gpus=g,duration=d,start=s", "start=s goes with end=COLUMN"),
        ("arrival=a,gpus=g,duration=d,unit=ms", "unit=ms: write one of s, min, h"),
        ("unit=h", "unit goes with duration=COLUMN"),
        ("zone=Karachi", "zone=Karachi is no time zone; write UTC, Asia/Karachi or"),
        ("zone=+99:00", "zone=[+]99:00 is no time zone"),
        ("zone=../../etc/passwd", "is no time zone"),
        ("epoch=28d", "epoch=28d is no date"),
        ("epoch=soon", "epoch: 'soon' is neither a date"),
        ("mend=maybe", "mend=maybe: write yes or no"),
    ],
)
def test_a_job_map_that_means_nothing_is_refused(text: str, words: str) -> None:
    """With the key, the value and what to write."""
    with pytest.raises(TraceError, match=words):
        parse_job_map(text)


@pytest.mark.parametrize(
    "text, recipe, min_w, max_w",
    [
        ("scale=p95:700kW,min=160kW", Scaled(share=0.95, peak_w=7e5), 1.6e5, 7e5),
        ("scale=max:1.5MW", Scaled(share=1.0, peak_w=1.5e6), 0.0, 1.5e6),
        ("scale=p50:500 kW,max=700kW", Scaled(share=0.5, peak_w=5e5), 0.0, 7e5),
        ("below=30,on=700kW,off=160kW", Switched(at=30.0, on_w=7e5, off_w=1.6e5), 0.0, math.inf),
        ("above=-1.5,on=1kW,off=0W", Switched(at=-1.5, on_w=1e3, off_w=0.0, above=True), 0.0, math.inf),
        ("zero=25000,full=0,max=700kW,min=160kW", Line(zero=25e3, full=0.0, full_w=7e5), 1.6e5, 7e5),
        ("unit=MW,max=2MW", Plain(unit_w=1e6), 0.0, 2e6),
    ],
)
def test_a_power_map_has_one_of_four_recipes(text: str, recipe: object, min_w: float, max_w: float) -> None:
    """With the ends that it is clipped at."""
    asked = parse_power_map(f"value=v,{text}")
    assert (asked.recipe, asked.min_w, asked.max_w) == (recipe, min_w, max_w)


def test_a_power_map_may_say_more() -> None:
    """The column of times, that they end their intervals, the zone, that holes are filled."""
    asked = parse_power_map("time=t,value=v,unit=kW,stamp=end,zone=+10:00,mend=yes")
    at = datetime(2024, 10, 7)  # noqa: DTZ001 - as a file writes it
    assert asked == PowerMap(
        value="v", recipe=Plain(unit_w=1e3), time="t", stamp_ends=True, zone=asked.zone, mend=True
    )
    assert asked.zone.utcoffset(at) == timedelta(hours=10)


@pytest.mark.parametrize("column, unit_w", [("limit_w", 1.0), ("site_limit_kW", 1e3), ("MW", 1e6)])
def test_a_column_may_say_its_unit_itself(column: str, unit_w: float) -> None:
    """As our own names do."""
    assert parse_power_map(f"value={column}").recipe == Plain(unit_w=unit_w)


@pytest.mark.parametrize(
    "text, words",
    [
        ("time=t", "value is missing; add value=COLUMN"),
        ("value=RRP", "nothing says how RRP becomes watts; add scale=p95:700kW"),
        ("value=v,scale=p95:700kW,below=30", "scale and below are two recipes for one limit; keep one"),
        ("value=v,scale=700kW", "scale=700kW: write which of the values is how much power: p95:700kW"),
        ("value=v,scale=p0:700kW", "scale=p0:700kW: write which"),
        ("value=v,scale=p101:700kW", "scale=p101"),
        ("value=v,scale=p95:", "scale=p95:: write which"),
        ("value=v,scale=p95:700", "'700' is no power; write a number and a unit, such as 700kW"),
        ("value=v,scale=p95:700mW", "'700mW' is no power"),
        ("value=v,scale=p95:-7kW", "'-7kW' is no power"),
        ("value=v,below=30,on=700kW", "off is missing beside below=30; add off=..."),
        ("value=v,below=x,on=1W,off=1W", "below=x: 'x' is no number"),
        ("value=v,below=nan,on=1W,off=1W", "'nan' is no number"),
        ("value=v,below=3,on=2W,off=1W,min=1W", "min=1W means nothing beside on and off"),
        ("value=v,zero=1,full=1,max=1kW", "zero and full are both 1; a line needs two"),
        ("value=v,zero=1,full=2", "max is missing beside zero=1"),
        ("value=v,scale=p95:1kW,on=1kW", "on=1kW means nothing beside scale"),
        ("value=v,scale=p95:700kW,min=800kW", "min=800kW is above the highest limit, 700000 W"),
        ("value=v,unit=GWh", "unit=GWh: write one of W, kW, MW, GW"),
        ("value=v,unit=W,stamp=middle", "stamp=middle: write start or end"),
        ("value=v,unit=W,invert=yes", "there is no key 'invert'"),
    ],
)
def test_a_power_map_that_means_nothing_is_refused(text: str, words: str) -> None:
    """With the key, the value and what to write."""
    with pytest.raises(TraceError, match=f"--power-map: .*{words}"):
        parse_power_map(text)


def test_a_start_is_a_date_or_days() -> None:
    """Days from the trace's start, with a d or without."""
    for text in ("28d", "28", " 28.0 "):
        assert parse_start(text, option="--jobs-from").days == 28.0
    start = parse_start("2017-10-09T06:00", option="--jobs-from")
    assert start == Start(text="2017-10-09T06:00")
    assert start.at(UTC) == datetime(2017, 10, 9, 6, tzinfo=UTC)
    assert parse_start("2017-10-09T06:00+08:00", option="x").at(UTC) == datetime(2017, 10, 8, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    "text, words",
    [
        ("soon", "--jobs-from: 'soon' is neither a date nor a number of days; write 2017-10-09"),
        ("2017-13-09", "is neither a date"),
        ("12:00", "is neither a date"),
        ("9999-12-31", "is neither a date"),
        ("", "is neither a date"),
        ("-1d", "'-1d' is no number of days from 0"),
        ("nan", "'nan' is no number of days"),
        ("1704067200", "'1704067200' is no number of days from 0 to 100000"),
    ],
)
def test_a_start_that_is_none_is_refused(text: str, words: str) -> None:
    """With what to write."""
    with pytest.raises(TraceError, match=words):
        parse_start(text, option="--jobs-from")


def test_days_and_shares_and_levels_are_read() -> None:
    """As a person writes them."""
    assert (parse_days("7"), parse_days("0.5d")) == (7.0, 0.5)
    assert (parse_share("95%", option="x"), parse_share("1.2", option="x")) == (0.95, 1.2)
    assert parse_levels("max=700kW,min=160kW") == (7e5, 1.6e5)
    assert parse_levels("max=700kW") == (7e5, 0.0)
    for bad in ("0", "-7", "week", "inf"):
        with pytest.raises(TraceError, match="--days: "):
            parse_days(bad)
    for bad in ("-5%", "half", "", "nan"):
        with pytest.raises(TraceError, match=r"--load: .* is no share; write 95% or 0\.95"):
            parse_share(bad, option="--load")
    with pytest.raises(TraceError, match="max is missing"):
        parse_levels("min=160kW")

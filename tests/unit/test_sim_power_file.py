"""Files of prices, curtailment and limits as a site's limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from scheduler.errors import TraceError
from scheduler.sim.grid import dark
from scheduler.sim.maps import parse_power_map, parse_start
from scheduler.sim.power_file import Power, read_power
from scheduler.sim.workload import PowerTrace

HOURS = [f"2025-06-02 {hour:02}:00" for hour in range(24)]
ON_OFF = "value=v,below=30,on=700kW,off=160kW"


def csv(values: list[object], times: list[str] | None = None) -> str:
    """A row an hour."""
    rows = zip(times or HOURS, values, strict=False)
    return "time,v\n" + "".join(f"{time},{value}\n" for time, value in rows)


def power(tmp_path: Path, content: str, asked: str, start: str = "0d", days: float | None = None) -> Power:
    """The file with that content, read by that map."""
    path = tmp_path / "power.csv"
    path.write_text(content)
    return read_power(
        path, parse_power_map(asked), start=parse_start(start, option="--power-from"), days=days, name="p"
    )


def steps(
    tmp_path: Path, content: str, asked: str, start: str = "0d", days: float | None = None
) -> list[tuple[float, float]]:
    """In hours and kilowatts."""
    trace = power(tmp_path, content, asked, start, days).trace
    return [(at_s / 3600, limit_w / 1000) for at_s, limit_w in trace.steps]


def test_a_percentile_of_the_window_becomes_the_limit(tmp_path: Path) -> None:
    """Of the window alone, whatever stands outside; clipped at both ends."""
    content = csv([9999, *range(0, 210, 10), 9999])
    got = steps(tmp_path, content, "value=v,scale=p95:700kW,min=160kW", "2025-06-02T01:00", days=21 / 24)
    assert dict(got) == pytest.approx({0: 160, **{hour: 700 * hour / 19 for hour in range(5, 20)}})
    higher = steps(tmp_path, content, "value=v,scale=p50:100kW,max=150kW", "2025-06-02T01:00", days=21 / 24)
    assert higher[-1] == (15.0, 150.0)
    assert steps(tmp_path, csv([1, 2, 4]), "value=v,scale=max:8kW") == [(0, 2), (1, 4), (2, 8)]


def test_below_and_above_switch(tmp_path: Path) -> None:
    """A value at the mark is on; equal neighbours are one step."""
    assert steps(tmp_path, csv([30.01, 30, -5, 31, 32]), ON_OFF) == [(0, 160), (1, 700), (3, 160)]
    assert steps(tmp_path, csv([29, 30, 31]), "value=v,above=30,on=2kW,off=1kW") == [(0, 1), (1, 2)]


def test_a_line_goes_from_nothing_to_all(tmp_path: Path) -> None:
    """Either way up, clipped at its ends and at the least."""
    content = csv([30000, 25000, 20000, 12500, 0, -5000])
    got = steps(tmp_path, content, "value=v,zero=25000,full=0,max=700kW,min=160kW")
    assert got == [(0, 160), (3, 350), (4, 700)]
    assert steps(tmp_path, csv([0, 5, 20]), "value=v,zero=0,full=10,max=8kW") == [(0, 0), (1, 4), (2, 8)]


def test_a_limit_may_stand_in_the_file(tmp_path: Path) -> None:
    """In its unit; below zero it is none."""
    assert steps(tmp_path, csv([480, 160]), "value=v,unit=kW") == [(0, 480), (1, 160)]
    with pytest.raises(
        TraceError, match=r"power\.csv: column 'v': -1 is a limit of -1000 W, not from 0 to 1e[+]12"
    ):
        power(tmp_path, csv([480, -1]), "value=v,unit=kW")


def test_a_time_may_end_its_interval(tmp_path: Path) -> None:
    """The first row is then of the hour before."""
    content = csv([1, 2, 3], ["2024/10/07 01:00:00", "2024/10/07 02:00:00", "2024/10/07 03:00:00"])
    asked = "value=v,unit=kW,stamp=end"
    assert steps(tmp_path, content, asked, "2024-10-07", days=3 / 24) == [(0, 1), (1, 2), (2, 3)]
    assert steps(tmp_path, content, asked, "2024-10-07T01:30") == [(0, 2), (0.5, 3)]
    with pytest.raises(TraceError, match="2024-10-07 00:00 to 2024-10-07 03:00 UTC"):
        power(tmp_path, content, asked, "2024-10-06")


def test_times_and_dates_without_a_zone_are_in_the_maps(tmp_path: Path) -> None:
    """Those with one are as they say."""
    asked = "value=v,unit=kW,zone=+10:00"
    assert steps(tmp_path, csv([1, 2, 3]), asked, "2025-06-02T01:00", days=1 / 24) == [(0, 2)]
    zoned = csv([1, 2, 3], [f"2025-06-02T0{hour}:00:00+10:00" for hour in range(3)])
    assert steps(tmp_path, zoned, "value=v,unit=kW", "2025-06-01T15:00", days=1 / 24) == [(0, 2)]


def test_seconds_from_zero_have_days_and_no_dates(tmp_path: Path) -> None:
    """So a date is refused."""
    content = csv([1, 2, 3, 4], ["0", "21600", "43200", "64800"])
    assert steps(tmp_path, content, "value=v,unit=kW", "0.5d", days=0.25) == [(0, 3)]
    with pytest.raises(
        TraceError, match="it has no dates in column 'time'; write days from its start, such as 3d"
    ):
        power(tmp_path, content, "value=v,unit=kW", "2025-06-02")


def test_without_days_the_window_ends_with_the_file(tmp_path: Path) -> None:
    """The last value stands as long as the others."""
    assert power(tmp_path, csv([1, 2, 3]), "value=v,unit=kW").window_s == 3 * 3600
    assert power(tmp_path, csv([1, 2, 3]), "value=v,unit=kW", days=1 / 24).window_s == 3600


def test_holes_outside_of_the_window_do_no_harm(tmp_path: Path) -> None:
    """Nothing is made from them."""
    content = csv(["", 2, 3, "n/a"])
    assert steps(tmp_path, content, "value=v,unit=kW", "2025-06-02T01:00", days=2 / 24) == [(0, 2), (1, 3)]


GAP = [*HOURS[:4], *HOURS[6:10]]
BAD = [
    (csv([1, 2, "", 4]), "line 4: column 'v': '' is no number; fill it in"),
    (csv([1, 2, "nan", 4]), "line 4: column 'v': 'nan' is no number"),
    (csv([1, 2, "off", 4]), "line 4: column 'v': 'off' is no number"),
    (csv(list(range(8)), GAP), "line 6: .* comes 10800 s after the time above it, where 3600 s are usual"),
    (csv([1, 2, 3], [HOURS[0], HOURS[2], HOURS[1]]), "line 4: column 'time': .* is before the time above it"),
    (csv([1, 2, 3], [HOURS[0], HOURS[1], HOURS[1]]), "line 4: column 'time': .* is there twice"),
    (csv([1, 2, 3], [HOURS[0], "then", HOURS[2]]), "line 3: column 'time': 'then' is no time"),
]


@pytest.mark.parametrize("content, words", BAD)
def test_a_bad_row_is_refused_with_its_line(tmp_path: Path, content: str, words: str) -> None:
    """Line, column, value and remedy; or it is mended and told."""
    with pytest.raises(TraceError, match=rf"power\.csv: {words}.*mend=yes"):
        power(tmp_path, content, "time=time,value=v,unit=kW")
    mended = power(tmp_path, content, "time=time,value=v,unit=kW,mend=yes")
    assert mended.notes
    assert all(note.startswith("in the whole file, ") for note in mended.notes)


@pytest.mark.parametrize("start, days", [("2025-06-02T05:30", 0.1), ("2025-06-02T01:30", 0.1)])
def test_a_gap_at_an_end_of_the_window_is_one_too(tmp_path: Path, start: str, days: float) -> None:
    """The value before it would be held there."""
    with pytest.raises(TraceError, match="line 6: column 'time': '2025-06-02 06:00' comes 10800 s after"):
        power(tmp_path, csv(list(range(8)), GAP), "value=v,unit=kW", start, days)
    assert (
        power(tmp_path, csv(list(range(8)), GAP), "value=v,unit=kW", "2025-06-02T06:00").window_s == 4 * 3600
    )


@pytest.mark.parametrize("stamp", ["start", "end"])
def test_the_line_is_that_of_the_bad_row(tmp_path: Path, stamp: str) -> None:
    """Whatever its time marks, and wherever the window begins."""
    content = csv([1, 2, 3, 4, 5, "", 7, 8])
    with pytest.raises(TraceError, match="line 7: column 'v': '' is no number"):
        power(tmp_path, content, f"value=v,unit=kW,stamp={stamp}", "0.1d")


@pytest.mark.parametrize(
    "content, asked, start, days, words",
    [
        (csv([1, 2]), "value=w,unit=kW", "0d", None, "there is no column 'w'; it has time, v; correct --power-map"),
        (csv([1, 2]), "time=t,value=v,unit=kW", "0d", None, "there is no column 't'"),
        (csv(["a", "b"]), "value=v,unit=kW", "0d", None, "column 'v' holds no numbers; name another value"),
        (csv([1, 2]), "time=v,value=v,unit=kW", "0d", 1.0, "1 days from 0d on are not in it"),
        ("a,v\nx,1\ny,2\n", "value=v,unit=kW", "0d", None, "none of the columns a, v reads as time"),
        (csv([1, 2]), "value=v,unit=kW", "2025-06-03", None, "has 2025-06-02 00:00 to 2025-06-02 02:00 UTC, 0.08333"),
        (csv([1, 2]), "value=v,unit=kW", "0d", 7.0, "7 days from 0d on are not in it: .* or fewer --days"),
        ("t,v\n2025-06-02,\n2025-06-03,\nx,1\n", "time=t,value=v,unit=W,mend=yes", "0d", None, "no row has both"),
        (csv([0, 0]), "value=v,scale=p95:1kW", "0d", None, "the 0.95 quantile of the window is 0, nothing to scale"),
        ("", "value=v,unit=kW", "0d", None, "it is empty"),
    ],
)  # fmt: skip
def test_a_window_that_cannot_be_made_is_refused(
    tmp_path: Path, content: str, asked: str, start: str, days: float | None, words: str
) -> None:
    """With what there is."""
    with pytest.raises(TraceError, match=rf"power\.csv: .*{words}"):
        power(tmp_path, content, asked, start, days)


def test_a_blackout_takes_the_firm_level_away() -> None:
    """What is above it stays."""
    trace = PowerTrace(name="t", steps=((0.0, 160e3), (60.0, 161e3), (120.0, 100e3), (180.0, 160e3)))
    assert dark(trace) == PowerTrace(name="t, blackout", steps=((0.0, 0.0), (60.0, 161e3), (120.0, 0.0)))

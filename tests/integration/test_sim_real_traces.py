"""The public traces beside the repository, read as the simulator does; left out where they are not there."""

from __future__ import annotations

import csv
import gzip
import os
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

from scheduler.errors import TraceError
from scheduler.sim.asked import JobMap
from scheduler.sim.grid import GRID_GPUS, JOB_WINDOWS, POWER_WINDOWS, dark, grid_inputs, grid_jobs, grid_power
from scheduler.sim.load import fit_load
from scheduler.sim.maps import parse_power_map, parse_start
from scheduler.sim.power_file import read_power
from scheduler.sim.traces.formats import read_jobs
from scheduler.sim.windows import offered_load

TRACES = Path(os.environ.get("BARQ_TRACES", Path(__file__).resolve().parents[2].parent / "shared" / "traces"))

pytestmark = pytest.mark.skipif(
    not TRACES.is_dir(), reason=f"no traces: {TRACES} is not there; set BARQ_TRACES"
)

WEEK_S = 7 * 86_400.0
JOBS = dict(zip((w.name for w in JOB_WINDOWS), JOB_WINDOWS, strict=True))
POWER = dict(zip((w.name for w in POWER_WINDOWS), POWER_WINDOWS, strict=True))


@pytest.mark.parametrize(
    "name, count, load", [("helios", 5177, 0.92), ("pai", 7592, 0.94), ("philly", 10002, 0.97)]
)
def test_the_grids_weeks_of_jobs_are_as_they_are_known(name: str, count: int, load: float) -> None:
    """So many jobs of at most 512 GPUs, which offer so much; fitted to a load, they offer that."""
    week = grid_jobs(TRACES, JOBS[name])
    assert len(week.jobs) == count
    assert round(offered_load(week.jobs, gpus=GRID_GPUS, window_s=WEEK_S), 2) == load
    assert week.jobs[-1].arrives_s < WEEK_S
    dense, _ = fit_load(week, gpus=GRID_GPUS, wanted=1.2, seed=1)
    assert offered_load(dense.jobs, gpus=GRID_GPUS, window_s=WEEK_S) == pytest.approx(1.2, abs=0.01)


def test_pairs_of_the_grid_come_with_their_caveats() -> None:
    """Each names what it speaks of; what was done to fit a load is told too."""
    [pair] = grid_inputs(TRACES, only="pai/de", load=0.6, seed=2, blackout=True)

    assert (pair.window_s, min(limit_w for _, limit_w in pair.power.steps)) == (WEEK_S, 0.0)
    caveat, fitted = pair.notes[0], pair.notes[-1]
    assert caveat.startswith("jobs pai at 60%: a random part of the trace")
    assert fitted.endswith("seed 2")


@cache
def rows(file: str) -> list[dict[str, str]]:
    """Of a trace, as the standard library reads them."""
    with gzip.open(TRACES / file, "rt", encoding="utf-8") as text:
        return list(csv.DictReader(text))


def filled(steps: tuple[tuple[float, float], ...], step_s: float) -> list[float]:
    """The limit in each interval of the week, W."""
    limits: list[float] = []
    for (at_s, limit_w), end_s in zip(steps, [*(at for at, _ in steps[1:]), WEEK_S], strict=True):
        limits += [limit_w] * round((end_s - at_s) / step_s)
    return limits


def test_caiso_is_scaled_by_its_95th_percentile() -> None:
    """Of 168 hours, linear between the two next to it."""
    values = [float(row["Total_Curtailment_NP15_MW"]) for row in rows(POWER["caiso"].file)]
    rising = sorted(values)
    p95 = rising[158] + 0.65 * (rising[159] - rising[158])
    limits = filled(grid_power(TRACES, POWER["caiso"]).trace.steps, 3600.0)
    assert limits == pytest.approx([min(700e3, max(160e3, 700e3 * value / p95)) for value in values])


def test_sa1_switches_at_30_dollars() -> None:
    """In 2016 intervals of 5 minutes, the first of which ends at 00:05."""
    times = [row["SETTLEMENTDATE"] for row in rows(POWER["sa1"].file)]
    first = times.index("2024/10/07 00:05:00")
    prices = [float(row["RRP"]) for row in rows(POWER["sa1"].file)[first : first + 2016]]
    assert times[first + 2015] == "2024/10/14 00:00:00"
    trace = grid_power(TRACES, POWER["sa1"]).trace
    assert filled(trace.steps, 300.0) == [700e3 if price <= 30 else 160e3 for price in prices]
    assert filled(dark(trace).steps, 300.0) == [700e3 if price <= 30 else 0.0 for price in prices]


def test_de_falls_with_the_residual_load() -> None:
    """From 700 kW at none to 160 kW."""
    week = [row for row in rows(POWER["de"].file) if "2025-06-02" <= row["datetime_utc"] < "2025-06-09"]
    load_mw = [float(row["residual_load_mw_avg"]) for row in week]
    limits = filled(grid_power(TRACES, POWER["de"]).trace.steps, 3600.0)
    assert limits == pytest.approx(
        [max(160e3, 700e3 * min(1.0, max(0.0, (25_000 - mw) / 25_000))) for mw in load_mw]
    )


def test_a_week_with_a_hole_is_refused_by_its_line() -> None:
    """Germany's data lack five hours once; the week after is whole."""
    path = TRACES / POWER["de"].file
    times = [datetime.fromisoformat(row["datetime_utc"]) for row in rows(POWER["de"].file)]
    row = next(i for i in range(1, len(times)) if (times[i] - times[i - 1]).total_seconds() > 3600)
    asked, start = parse_power_map(POWER["de"].map), parse_start(f"{times[row - 5]:%Y-%m-%d}", option="x")
    with pytest.raises(TraceError, match=rf"line {row + 2}: column 'datetime_utc'.* where 3600 s are usual"):
        read_power(path, asked, start=start, days=7, name="de")
    mended = parse_power_map(POWER["de"].map + ",mend=yes")
    assert "gaps, held" in read_power(path, mended, start=start, days=7, name="de").notes[0]


def test_the_pods_of_2023_are_read() -> None:
    """7,064 have a GPU, of which 861 never started."""
    trace = read_jobs(TRACES / "jobs" / "pods_alibaba_gpu_2023.csv.gz", JobMap())
    assert len(trace.jobs) == 7064 - 861
    assert trace.notes == ("jobs without a GPU, left out: 1088", "jobs that never started, left out: 861")


@pytest.mark.parametrize(
    "file, asked, start",
    [
        ("power_caiso_np15_high_volatility_week", "value=Total_Curtailment_NP15_MW,scale=p95:700kW,min=160kW", "0d"),
        ("power_aemo_sa1_5min_2023_2024", "value=RRP,below=30,on=700kW,off=160kW,stamp=end", "2023-04-03"),
        ("solar_10cities_5min_1month", "time=time,value=Mumbai,scale=max:700kW", "7d"),
        ("power_caiso_mix_hourly_2020_2022", "value=power_production_solar_avg,scale=p95:700kW,mend=yes", "2021-04-07"),
    ],
)  # fmt: skip
def test_other_weeks_are_read_by_a_map(file: str, asked: str, start: str) -> None:
    """What a person would type for them."""
    power = read_power(
        TRACES / "power" / f"{file}.csv.gz",
        parse_power_map(asked),
        start=parse_start(start, option="--power-from"),
        days=7,
        name=file,
    )
    assert (power.trace.steps[0][0], power.window_s) == (0.0, WEEK_S)
    assert max(limit_w for _, limit_w in power.trace.steps) == 700e3


def test_parquet_is_named() -> None:
    """It says how it becomes something that is read."""
    path = TRACES / "power" / "power_ercot_hubavg_rt15_2024_2025.parquet"
    start = parse_start(f"{datetime(2025, 3, 3, tzinfo=UTC):%Y-%m-%d}", option="--power-from")
    with pytest.raises(TraceError, match="Parquet files are not read; save it as CSV"):
        read_power(path, parse_power_map("value=price_usd_per_mwh,unit=W"), start=start, days=7, name="x")

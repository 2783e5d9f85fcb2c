"""The standard grid: three windows of jobs, three of power, each pair of them a week of one site.

The files are public traces that do not come with Barq: they are looked for under a folder, as `jobs/*.csv.gz` and
`power/*.csv.gz`. Where they come from and what to bear in mind is said beside each reader in `scheduler.sim.traces`
and, for power, here:

- caiso: wind and solar curtailment of NP15 (github.com/pennsail/Curtailed-2-Compute, MIT), a week picked for having
  much of it.
- sa1: South Australia's 5-minute price (AEMO; github.com/jacobthompson101/california-wws-grid). A time ends its
  interval, in market time, UTC+10.
- de: Germany's residual load (data of Energy-Charts.info; github.com/henner247/energy_charts, no licence stated).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC
from pathlib import Path

from scheduler.errors import TraceError
from scheduler.sim.asked import JobMap
from scheduler.sim.inputs import Inputs, paired
from scheduler.sim.load import fit_load
from scheduler.sim.maps import parse_power_map, parse_start
from scheduler.sim.power_file import Power, merged, read_power
from scheduler.sim.site import SimSite
from scheduler.sim.traces.formats import read_jobs
from scheduler.sim.windows import Workload, cut_jobs
from scheduler.sim.workload import PowerTrace

GRID_NODES = 64
GRID_GPUS_PER_NODE = 8
GRID_GPUS = GRID_NODES * GRID_GPUS_PER_NODE
GRID_DAYS = 7.0
FIRM_W = 160_000.0
"""What the grid's limits never go below, but in the blackout variant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobWindow:
    """A week of a job trace: the file under the traces' folder, and the day of the trace that it begins with."""

    name: str
    file: str
    from_day: float
    caveat: str  #: what to bear in mind beside any result


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerWindow:
    """A week of a power trace, as `--power-map` and `--power-from` would say it."""

    name: str
    file: str
    map: str
    start: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """The grid as it is, or with blackouts: no power at all where there would be the firm level."""

    name: str
    blackout: bool
    notice_s: float  #: how long before a limit it is known


JOB_WINDOWS = (
    JobWindow(
        name="helios",
        file="jobs/jobs_helios_venus_2020.csv.gz",
        from_day=28.0,
        caveat="whoever converted the trace cut durations at 48 h, and left out users and how jobs ended",
    ),
    JobWindow(
        name="pai",
        file="jobs/jobs_alibaba_pai_2020_sub.csv.gz",
        from_day=42.0,
        caveat="a random part of the trace; whoever converted it took starts for arrivals, made fractions of a GPU "
        "a whole one, and cut durations at 48 h",
    ),
    JobWindow(
        name="philly",
        file="jobs/jobs_philly_2017_pcs_12vc.csv.gz",
        from_day=84.0,
        caveat="each cluster's times count from its own first job; the work of jobs of more than one GPU is scaled "
        "by a speed-up that its authors assumed",
    ),
)
POWER_WINDOWS = (
    PowerWindow(
        name="caiso",
        file="power/power_caiso_np15_high_curtailment_week.csv.gz",
        map="time=datetime,value=Total_Curtailment_NP15_MW,scale=p95:700kW,min=160kW",
        start="0d",
    ),
    PowerWindow(
        name="sa1",
        file="power/power_aemo_sa1_5min_2023_2024.csv.gz",
        map="time=SETTLEMENTDATE,value=RRP,below=30,on=700kW,off=160kW,stamp=end",
        start="2024-10-07",
    ),
    PowerWindow(
        name="de",
        file="power/power_de_hourly_2024_2026.csv.gz",
        map="time=datetime_utc,value=residual_load_mw_avg,zero=25000,full=0,max=700kW,min=160kW",
        start="2025-06-02",
    ),
)
VARIANTS = (
    Variant(name="standard", blackout=False, notice_s=0.0),
    Variant(name="blackout", blackout=True, notice_s=0.0),
    Variant(name="blackout, 5 min notice", blackout=True, notice_s=300.0),
)
PAIRS = tuple((jobs, power) for jobs in JOB_WINDOWS for power in POWER_WINDOWS)


def traces_folder(environ: Mapping[str, str]) -> Path:
    """The folder that BARQ_TRACES names. Raises `TraceError` where it names none."""
    named = environ.get("BARQ_TRACES", "")
    if not named or not Path(named).is_dir():
        raise TraceError(
            f"BARQ_TRACES={named} is no folder; the standard grid needs public traces (docs/traces.md names them): "
            "set BARQ_TRACES to the folder that holds jobs/ and power/"
        )
    return Path(named)


def grid_jobs(folder: Path, window: JobWindow, *, load: float | None = None, seed: int = 0) -> Workload:
    """The window's jobs of at most 512 GPUs, as they are or fitted to an offered load. Raises `TraceError`."""
    trace = read_jobs(_file(folder, window.file), JobMap())
    start = parse_start(f"{window.from_day}d", option=window.name)
    jobs = cut_jobs(trace, start=start, days=GRID_DAYS, zone=UTC, site_gpus=GRID_GPUS, name=window.name)
    return jobs if load is None else fit_load(jobs, gpus=GRID_GPUS, wanted=load, seed=seed)[0]


def grid_power(folder: Path, window: PowerWindow, *, blackout: bool = False) -> Power:
    """The window's limit. Raises `TraceError`."""
    power = read_power(
        _file(folder, window.file),
        parse_power_map(window.map, option=window.name),
        start=parse_start(window.start, option=window.name),
        days=GRID_DAYS,
        name=window.name,
    )
    return replace(power, trace=dark(power.trace)) if blackout else power


def chosen_pairs(only: str | None) -> tuple[tuple[JobWindow, PowerWindow], ...]:
    """All nine pairs, or those named: `helios/caiso` is one, `helios` its three, `helios,pai/sa1` four.

    Raises `TraceError` for a name that is none.
    """
    if only is None:
        return PAIRS
    wanted = [word.strip() for word in only.split(",")]
    names = {f"{jobs.name}/{power.name}" for jobs, power in PAIRS}
    names |= {window.name for pair in PAIRS for window in pair}
    if unknown := next((word for word in wanted if word not in names), None):
        raise TraceError(
            f"--only {unknown}: the standard grid has no such pair; write helios/caiso, a jobs name or a power name, "
            f"out of {', '.join(sorted(names))}"
        )
    return tuple(
        (jobs, power)
        for jobs, power in PAIRS
        if {jobs.name, power.name, f"{jobs.name}/{power.name}"} & set(wanted)
    )


def grid_inputs(
    folder: Path,
    *,
    only: str | None = None,
    load: float | None = None,
    seed: int = 0,
    blackout: bool = False,
) -> tuple[Inputs, ...]:
    """The pairs asked for; each trace is read once. Raises `TraceError`."""
    pairs = chosen_pairs(only)
    jobs = {w.name: w for w, _ in pairs}
    power = {w.name: w for _, w in pairs}
    workloads = {
        name: _with_caveat(grid_jobs(folder, w, load=load, seed=seed), w) for name, w in jobs.items()
    }
    limits = {name: grid_power(folder, w, blackout=blackout) for name, w in power.items()}
    return tuple(paired(workloads[j.name], limits[p.name]) for j, p in pairs)


def _with_caveat(workload: Workload, window: JobWindow) -> Workload:
    return replace(workload, notes=(window.caveat, *workload.notes))


def dark_site(site: SimSite) -> SimSite:
    """The same site, as it is run where power may go without a word.

    A periodic commit keeps a job from computing for as long as any other save, under every policy; and jobs leave it to
    Barq when they make one.
    """
    return replace(site, checkpoint_auto=True, pace=replace(site.pace, checkpoint_s=site.pace.save_s))


def dark(trace: PowerTrace, *, firm_w: float = FIRM_W) -> PowerTrace:
    """The same trace with 0 W wherever the limit is the firm level or less."""
    steps = [(at_s, limit_w if limit_w > firm_w else 0.0) for at_s, limit_w in trace.steps]
    return PowerTrace(name=f"{trace.name}, blackout", steps=merged(steps))


def _file(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise TraceError(
            f"{path}: the standard grid needs this file, and it is not there; say where the traces are with "
            "BARQ_TRACES=FOLDER"
        )
    return path

"""What a run of the simulator is fed with, from what a person asked for: files or seeds.

`jobs` is a file, or `synthetic`; `power` is a file, or `pakistan-summer` or `pakistan-winter`, for which `power_map`
may say `max=700kW,min=160kW`. A file that is called so is meant by `./synthetic`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scheduler.errors import TraceError
from scheduler.sim.asked import DAY_S, TRACE_START, JobMap, Start
from scheduler.sim.generator import generate_jobs
from scheduler.sim.load import fit_load, thin
from scheduler.sim.maps import (
    parse_days,
    parse_job_map,
    parse_levels,
    parse_power_map,
    parse_share,
    parse_start,
)
from scheduler.sim.pakistan import Season, pakistan_power
from scheduler.sim.power_file import Power, read_power
from scheduler.sim.traces.formats import read_jobs
from scheduler.sim.windows import Workload, cut_jobs
from scheduler.sim.workload import PowerTrace

SYNTHETIC = "synthetic"
SHAPED = {f"pakistan-{season}": season for season in Season}
DEFAULT_DAYS = 7.0
"""Of what is made from a seed; a file's power is played to its end."""
DEFAULT_LOAD = 0.95
"""Of synthetic jobs; those of a file come as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The options of `barq simulate` that concern its inputs, as they were typed; None = not given."""

    jobs: str
    power: str
    site_gpus: int
    seed: int
    jobs_map: str | None = None
    jobs_from: str | None = None
    power_map: str | None = None
    power_from: str | None = None
    days: str | None = None
    load: str | None = None  #: offered load, `95%` or `0.95`
    thin: str | None = None  #: keep each job with this probability, `50%` or `0.5`


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Jobs and power over one window. `notes` belong beside any result."""

    workload: Workload
    power: PowerTrace
    window_s: float
    notes: tuple[str, ...]


def read_inputs(request: Request) -> Inputs:
    """Raises `TraceError` that names the option, or file, line, column, value, and the remedy."""
    days = None if request.days is None else parse_days(request.days)
    power = _power(request, days)
    return paired(_workload(request, power.window_s / DAY_S), power)


def paired(workload: Workload, power: Power) -> Inputs:
    """Jobs under a limit, for as long as that is known; each note says of what it speaks."""
    notes = (
        *(f"jobs {workload.name}: {note}" for note in workload.notes),
        *(f"power {power.trace.name}: {note}" for note in power.notes),
    )
    return Inputs(workload=workload, power=power.trace, window_s=power.window_s, notes=notes)


def _power(request: Request, days: float | None) -> Power:
    season = SHAPED.get(request.power)
    if season is None:
        return _power_from_file(request, days)
    _refuse(request.power, {"--power-from": request.power_from})
    full_w, firm_w = parse_levels(request.power_map or "max=700kW,min=160kW")
    return pakistan_power(season, days=days or DEFAULT_DAYS, seed=request.seed, full_w=full_w, firm_w=firm_w)


def _power_from_file(request: Request, days: float | None) -> Power:
    path = Path(request.power)
    if not path.is_file():
        raise TraceError(
            f"--power {request.power}: there is no such file; check the path, or take {' or '.join(SHAPED)}"
        )
    if request.power_map is None:
        raise TraceError(
            f"--power {request.power}: --power-map is missing; say how its values become watts: "
            "--power-map value=COLUMN,scale=p95:700kW,min=160kW"
        )
    return read_power(
        path,
        parse_power_map(request.power_map),
        start=_start(request.power_from, "--power-from"),
        days=days,
        name=_name(path),
    )


def _workload(request: Request, days: float) -> Workload:
    wanted = None if request.load is None else parse_share(request.load, option="--load")
    if request.jobs == SYNTHETIC:
        _refuse(SYNTHETIC, {"--jobs-map": request.jobs_map, "--jobs-from": request.jobs_from})
        load = DEFAULT_LOAD if wanted is None else wanted
        workload = generate_jobs(gpus=request.site_gpus, days=days, load=load, seed=request.seed)
        return _thinned(workload, request)
    path = Path(request.jobs)
    asked = JobMap() if request.jobs_map is None else parse_job_map(request.jobs_map)
    start = _start(request.jobs_from, "--jobs-from")
    workload = _thinned(
        cut_jobs(
            read_jobs(path, asked),
            start=start,
            days=days,
            zone=asked.zone,
            site_gpus=request.site_gpus,
            name=_name(path),
        ),
        request,
    )
    if wanted is None:
        return workload
    return fit_load(workload, gpus=request.site_gpus, wanted=wanted, seed=request.seed)[0]


def _thinned(workload: Workload, request: Request) -> Workload:
    if request.thin is None:
        return workload
    return thin(workload, keep=parse_share(request.thin, option="--thin"), seed=request.seed)


def _refuse(made: str, options: dict[str, str | None]) -> None:
    for option, value in options.items():
        if value is not None:
            raise TraceError(
                f"{option} {value}: {made} is no file, it comes from the seed; leave {option} out"
            )


def _start(text: str | None, option: str) -> Start:
    return TRACE_START if text is None else parse_start(text, option=option)


def _name(path: Path) -> str:
    """A file's name without what its kind adds to it."""
    return path.name.removesuffix(".gz").removesuffix(".csv")

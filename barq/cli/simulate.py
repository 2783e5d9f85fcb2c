"""`barq simulate`."""

from __future__ import annotations

import os
import shlex
import sys
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from barq import __version__
from barq.cli.options import JsonOption, duration_s
from barq.cli.output import chosen_format, emit, say
from barq.cli.simulate_table import blocks, progress
from barq.errors import BarqError, InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scheduler.sim.batch import Batch
    from scheduler.sim.export import Results
    from scheduler.sim.inputs import Inputs
    from scheduler.sim.site import SimSite

_OF_FILES: Final = (
    "jobs",
    "power",
    "site",
    "jobs_map",
    "power_map",
    "jobs_from",
    "power_from",
    "days",
    "thin",
)
_OF_THE_GRID: Final = ("only", "blackout")

JobsOption = Annotated[
    str | None, typer.Option("--jobs", metavar="FILE", help="Jobs: a file of a known format, or `synthetic`.")
]
PowerOption = Annotated[
    str | None,
    typer.Option(
        "--power", metavar="FILE", help="The limit: a file, or `pakistan-summer` or `pakistan-winter`."
    ),
]
SiteOption = Annotated[
    Path | None,
    typer.Option("--site", metavar="SITE.yaml", help="The site; the standard grid's if left out."),
]
PolicyOption = Annotated[
    str | None,
    typer.Option(
        "--policy",
        "--policies",
        metavar="P[,P2...]",
        help="Policies, or `all`. `barq` if left out, `all` on the grid.",
    ),
]
BoundOption = Annotated[
    bool | None,
    typer.Option("--bound/--no-bound", help="Work out what perfect foresight could reach. On for the grid."),
]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Of all that is drawn by chance.")]
LoadOption = Annotated[
    str | None,
    typer.Option("--load", metavar="SHARE", help="Fit the jobs to this load of all GPU-hours, e.g. 95%."),
]
ThinOption = Annotated[
    str | None, typer.Option("--thin", metavar="SHARE", help="Keep each job with this probability.")
]
JobsMapOption = Annotated[
    str | None,
    typer.Option("--jobs-map", metavar="KEY=COLUMN,...", help="Which columns of the jobs say what."),
]
PowerMapOption = Annotated[
    str | None,
    typer.Option("--power-map", metavar="KEY=VALUE,...", help="How values of the power file become watts."),
]
JobsFromOption = Annotated[
    str | None,
    typer.Option("--jobs-from", metavar="START", help="A date, or days from the trace's start: 28d."),
]
PowerFromOption = Annotated[str | None, typer.Option("--power-from", metavar="START", help="As --jobs-from.")]
DaysOption = Annotated[str | None, typer.Option("--days", metavar="N", help="How long the window is.")]
NoticeOption = Annotated[
    str | None,
    typer.Option(
        "--notice", metavar="DURATION", help="How long before it binds a change of the limit is known."
    ),
]
ForecastOption = Annotated[
    str | None,
    typer.Option(
        "--forecast",
        metavar="ERROR",
        help="Foresee the limit for a day; changes come this share of their lead early or late, e.g. 25%.",
    ),
]
FaultsOption = Annotated[
    str | None,
    typer.Option(
        "--faults",
        metavar="F",
        help="Let things go wrong: 0.1 = all of it a tenth as often as in `make soak`; or crash=0.5,order_lost=3%.",
    ),
]
GridOption = Annotated[
    bool, typer.Option("--grid", help="The standard grid: 3 weeks of jobs x 3 of power, from BARQ_TRACES.")
]
OnlyOption = Annotated[
    str | None,
    typer.Option("--only", metavar="PAIR,...", help="Pairs of the grid, e.g. helios/caiso, or helios."),
]
BlackoutOption = Annotated[
    bool, typer.Option("--blackout", help="The grid with no power at all where it has its firm level.")
]
OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Write figures, series and a report there.")
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace an earlier result in --out.")]
ParallelOption = Annotated[
    int, typer.Option("--jobs-in-parallel", metavar="N", min=1, help="Run so many cases at once.")
]


def simulate(
    *,
    jobs: JobsOption = None,
    power: PowerOption = None,
    site: SiteOption = None,
    policy: PolicyOption = None,
    bound: BoundOption = None,
    seed: SeedOption = 0,
    load: LoadOption = None,
    thin: ThinOption = None,
    jobs_map: JobsMapOption = None,
    power_map: PowerMapOption = None,
    jobs_from: JobsFromOption = None,
    power_from: PowerFromOption = None,
    days: DaysOption = None,
    notice: NoticeOption = None,
    forecast: ForecastOption = None,
    faults: FaultsOption = None,
    grid: GridOption = False,
    only: OnlyOption = None,
    blackout: BlackoutOption = False,
    out: OutOption = None,
    force: ForceOption = False,
    jobs_in_parallel: ParallelOption = 1,
    as_json: JsonOption = False,
) -> None:
    """Try policies on traces of jobs and power, on a virtual clock, and judge them."""
    asked = dict(locals())
    _check(asked)
    with _explained():
        batch = _batch(asked)
        about = _about(batch)
        figures = _run(batch, about, out=out, at_once=jobs_in_parallel)
    if out is not None:
        say(f"wrote {out}: figures.json, report.html, series/")
    emit(
        chosen_format(as_json=as_json, quiet=False),
        value={**about, "runs": figures},
        ids=(),
        blocks=lambda: blocks(figures, about["notes"]),
    )


def _check(asked: dict[str, Any]) -> None:
    """Options of the grid and of files exclude each other. Raises InvalidInput."""
    if asked["grid"]:
        if wrong := _given(asked, _OF_FILES):
            raise InvalidInput(
                f"{wrong} does not go with --grid", field=wrong, remedy=f"leave {wrong} or --grid out"
            )
        return
    if wrong := _given(asked, _OF_THE_GRID):
        raise InvalidInput(f"{wrong} is about the standard grid", field=wrong, remedy="add --grid")
    for needed in ("jobs", "power"):
        if asked[needed] is None:
            raise InvalidInput(
                f"--{needed} is missing", field=f"--{needed}", remedy=f"add --{needed} FILE, or take --grid"
            )


def _given(asked: dict[str, Any], names: tuple[str, ...]) -> str | None:
    """The first of these options that was typed, as it is typed."""
    return next((f"--{name.replace('_', '-')}" for name in names if asked[name]), None)


@contextmanager
def _explained() -> Iterator[None]:
    """What the simulator refuses is what was typed, or a file that was named."""
    from barq.cli.local_site import in_one_line
    from scheduler.errors import BarqError as SchedulerError
    from scheduler.sim.faulty import Breach

    try:
        yield
    except Breach as broken:
        raise BarqError(
            f"a promise broke at {broken}",
            code="promise_broken",
            remedy=f"it does so again with: {_command()}",
        ) from broken
    except SchedulerError as error:
        raise InvalidInput(in_one_line(str(error))) from error


def _batch(asked: dict[str, Any]) -> Batch:
    from scheduler.sim.batch import Batch
    from scheduler.sim.fault_rates import parse_faults
    from scheduler.sim.policies import policies_named

    policies = policies_named(asked["policy"] or ("all" if asked["grid"] else "barq"))
    site = _site(asked)
    if asked["out"] is not None:
        from scheduler.sim.export import check_folder

        check_folder(asked["out"], only_new=not asked["force"])
    return Batch(
        pairs=_grid(asked) if asked["grid"] else (_pair(asked, site),),
        policies=policies,
        site=site,
        seed=asked["seed"],
        bounded=asked["grid"] if asked["bound"] is None else asked["bound"],
        keep_spans=asked["out"] is not None,
        faults=None if asked["faults"] is None else parse_faults(asked["faults"]),
    )


def _site(asked: dict[str, Any]) -> SimSite:
    from scheduler.sim.grid import dark_site
    from scheduler.sim.maps import parse_error
    from scheduler.sim.site import SimSite
    from scheduler.sim.site_file import load_sim_site

    has_faults = asked["faults"] is not None
    site = SimSite() if asked["site"] is None else load_sim_site(asked["site"], has_faults=has_faults)
    if asked["blackout"]:
        site = dark_site(site)
    if asked["notice"] is not None:
        site = replace(site, notice_s=duration_s(asked["notice"], "--notice"))
    if asked["forecast"] is not None:
        site = replace(site, forecast_error=parse_error(asked["forecast"], option="--forecast"))
    return site


def _pair(asked: dict[str, Any], site: SimSite) -> Inputs:
    from scheduler.sim.inputs import Request, read_inputs

    typed = (
        "jobs",
        "power",
        "seed",
        "jobs_map",
        "jobs_from",
        "power_map",
        "power_from",
        "days",
        "load",
        "thin",
    )
    return read_inputs(Request(site_gpus=site.total_gpus, **{name: asked[name] for name in typed}))


def _grid(asked: dict[str, Any]) -> tuple[Inputs, ...]:
    from scheduler.sim.grid import grid_inputs, traces_folder
    from scheduler.sim.maps import parse_share

    load = asked["load"]
    return grid_inputs(
        traces_folder(os.environ),
        only=asked["only"],
        load=None if load is None else parse_share(load, option="--load"),
        seed=asked["seed"],
        blackout=asked["blackout"],
    )


def _about(batch: Batch) -> dict[str, Any]:
    """What belongs beside the figures."""
    from scheduler.sim.batch import describe, notes_of

    return {
        "command": _command(),
        "version": __version__,
        "seed": batch.seed,
        "site": describe(batch.site),
        "notes": list(notes_of(batch.pairs)),
    }


def _command() -> str:
    """What was typed."""
    return shlex.join(["barq", *sys.argv[1:]])


def _run(batch: Batch, about: dict[str, Any], *, out: Path | None, at_once: int) -> list[dict[str, Any]]:
    """The figures of all cases, in order. What else came of them is written to `out` as it comes, or let go."""
    from scheduler.sim.batch import judged

    found: dict[int, dict[str, Any]] = {}
    cases = batch.cases()
    with _results(out, about, of=len(cases)) as results, progress([str(case) for case in cases]) as tell:
        for number, run in judged(batch, at_once=at_once, tell=tell):
            if results is not None:
                results.add(number, run)
            found[number] = dict(run.figures)
    return [found[number] for number in sorted(found)]


def _results(out: Path | None, about: dict[str, Any], *, of: int) -> AbstractContextManager[Results | None]:
    """Where runs are written to, if anywhere."""
    if out is None:
        return nullcontext()
    from scheduler.sim.export import results_in

    return results_in(out, about=about, of=of)

"""From the options of a simulation to its jobs and its power."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from scheduler.errors import TraceError
from scheduler.sim.grid import JOB_WINDOWS, PAIRS, POWER_WINDOWS, grid_jobs, grid_power, traces_folder
from scheduler.sim.inputs import Request, read_inputs
from scheduler.sim.windows import offered_load
from scheduler.sim.workload import PowerTrace

SEEDED = Request(jobs="synthetic", power="pakistan-summer", site_gpus=64, seed=3)
MAP = "arrival=at,duration=took,gpus=gpus"


@pytest.fixture(name="files")
def files_of_two_days(tmp_path: Path) -> Request:
    """Jobs and power of 48 hours from 2025-03-03 on, a job and a value an hour."""
    hours = [f"2025-03-{3 + hour // 24:02}T{hour % 24:02}:00" for hour in range(48)]
    jobs, power = tmp_path / "jobs.csv", tmp_path / "sun.csv"
    jobs.write_text("at,took,gpus\n" + "".join(f"{at},3600,4\n" for at in hours))
    power.write_text("at,limit_kw\n" + "".join(f"{at},{hour}\n" for hour, at in enumerate(hours)))
    return Request(
        jobs=str(jobs), jobs_map=MAP, power=str(power), power_map="value=limit_kw", site_gpus=8, seed=1
    )


def test_nothing_but_a_seed_is_needed() -> None:
    """A week at 95 %, and its notes say that it is made up."""
    inputs = read_inputs(SEEDED)
    assert inputs.window_s == inputs.workload.window_s == 7 * 86_400.0
    assert (inputs.workload.name, inputs.power.name) == ("synthetic", "pakistan-summer")
    load = offered_load(inputs.workload.jobs, gpus=64, window_s=inputs.window_s)
    assert load == pytest.approx(0.95, abs=0.05)
    assert [note.split(":")[0] for note in inputs.notes] == ["jobs synthetic", "power pakistan-summer"]
    assert read_inputs(SEEDED) == inputs


def test_seeded_inputs_take_their_options() -> None:
    """Days, load, thinning, levels."""
    asked = replace(SEEDED, days="1", load="50%", power="pakistan-winter", power_map="max=90kW,min=20kW")
    inputs = read_inputs(asked)
    assert inputs.window_s == 86_400.0
    assert {limit_w for _, limit_w in inputs.power.steps} >= {20e3}
    assert all(20e3 <= limit_w <= 90e3 for _, limit_w in inputs.power.steps)
    assert offered_load(inputs.workload.jobs, gpus=64, window_s=86_400.0) < 0.6
    assert len(read_inputs(replace(asked, thin="0.5")).workload.jobs) < len(inputs.workload.jobs)


def test_files_are_read_over_one_window(files: Request) -> None:
    """Without --days, as long as the power lasts."""
    inputs = read_inputs(files)
    assert (len(inputs.workload.jobs), inputs.window_s) == (48, 2 * 86_400.0)
    assert (inputs.workload.name, inputs.power.name) == ("jobs", "sun")
    part = read_inputs(replace(files, days="1", jobs_from="2025-03-03T12:00", power_from="0.5d"))
    assert (len(part.workload.jobs), part.window_s) == (24, 86_400.0)
    assert part.workload.jobs[0].arrives_s == 0.0
    assert part.power == PowerTrace(name="sun", steps=tuple((h * 3600.0, (12 + h) * 1e3) for h in range(24)))


def test_files_are_fitted_to_a_load(files: Request) -> None:
    """After they were thinned, if they were; both are told."""
    inputs = read_inputs(replace(files, load="75%"))
    assert inputs.workload.name == "jobs at 75%"
    assert len(inputs.workload.jobs) == 72
    assert len(inputs.notes) == 1
    assert inputs.notes[0].startswith("jobs jobs at 75%: offered load 50.0% made 75.0%: repeated jobs ")
    assert inputs.notes[0].endswith(" times over at arrivals up to 60 min off, seed 1")
    both = read_inputs(replace(files, thin="50%", load="25%"))
    assert [note.split(":")[1].split()[0] for note in both.notes] == ["kept", "offered"]


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"power_map": None}, "--power-map is missing; say how its values become watts"),
        ({"power": "pakistan-sumer"}, "there is no such file; check the path, or take pakistan-summer"),
        ({"power_map": "value=limit_kw,scal=p95:1kW"}, "--power-map: there is no key 'scal'"),
        ({"jobs_map": None}, "of no known format .* --jobs-map arrival="),
        ({"jobs_map": "arrival=at"}, "--jobs-map: gpus is missing"),
        ({"jobs_from": "soon"}, "--jobs-from: 'soon' is neither"),
        ({"power_from": "soon"}, "--power-from: 'soon' is neither"),
        ({"power_from": "2026-01-01"}, "from 2026-01-01 on are not in it"),
        ({"jobs_from": "2026-01-01"}, "no job arrives .* from 2026-01-01 on"),
        ({"days": "no"}, "--days: 'no' is no number of days"),
        ({"load": "much"}, "--load: 'much' is no share"),
        ({"load": "95"}, "write 0.95"),
        ({"thin": "2"}, "thin: 2 is no probability"),
        ({"jobs": "synthetic"}, "--jobs-map arrival=.* comes from the seed; leave --jobs-map out"),
        ({"power": "pakistan-summer"}, "--power-map: there is no key 'value'; there are max, min"),
        ({"power": "pakistan-summer", "power_from": "1d"}, "--power-from 1d: pakistan-summer is no file"),
        ({"site_gpus": 2}, "all 48 jobs of the window are larger than the site of 2 GPUs"),
    ],
)
def test_options_that_make_no_sense_are_refused(files: Request, changes: dict, words: str) -> None:
    """By their names."""
    with pytest.raises(TraceError, match=words):
        read_inputs(replace(files, **changes))


def test_the_grid_is_nine_pairs_and_names_the_file_that_lacks(tmp_path: Path) -> None:
    """Where no traces are, it says where they would be."""
    assert len(PAIRS) == 9
    assert traces_folder({"BARQ_TRACES": str(tmp_path)}) == tmp_path
    for environ in ({}, {"BARQ_TRACES": str(tmp_path / "none")}):
        with pytest.raises(TraceError, match="is no folder; the standard grid needs public traces"):
            traces_folder(environ)
    with pytest.raises(
        TraceError, match=r"jobs_helios_venus_2020\.csv\.gz: the standard grid needs this file"
    ):
        grid_jobs(tmp_path, JOB_WINDOWS[0])
    with pytest.raises(TraceError, match="BARQ_TRACES=FOLDER"):
        grid_power(tmp_path, POWER_WINDOWS[0])

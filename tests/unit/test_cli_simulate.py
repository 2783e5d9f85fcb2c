"""`barq simulate`, typed: a few hours of a few nodes."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from barq.cli import app
from barq.cli.exits import errors_as_exit_codes
from barq.cli.output import Table, fitted, plain_lines
from barq.cli.simulate_table import _FIGURES, blocks, progress
from scheduler.errors import BarqError, TraceError
from scheduler.sim.batch import Batch, _received, judged
from scheduler.sim.grid import PAIRS, chosen_pairs
from scheduler.sim.inputs import Request, read_inputs
from scheduler.sim.policies import MAKERS, policies_named
from scheduler.sim.site_file import load_sim_site

SITE = """
name: small
power: {firm_w: 9000, margin: 0}
nodes: [{count: 4, gpus: 4, simulated: true}]
miners: [{name: m, count: 1, max_w: 6000, rest_w: 0, simulated: true}]
"""
JOBS = "arrival,takes,gpus\n0,1000,1\n100,9000,8\n200,9000,16\n300,9000,2\n4000,500,64\n"
POWER = "time,kW\n" + "".join(
    f"2026-01-01 0{hour}:00,{limit}\n" for hour, limit in enumerate((20, 9, 25, 14, 9, 25))
)
PROMISED = {
    "policy", "jobs", "power", "goodput_gpu_h", "bound_gpu_h", "value", "lost_gpu_h", "violation_s", "violation_kwh",
    "surplus_used_kwh", "surplus_offered_kwh", "pauses", "jct_mean_s", "jct_p50_s", "jct_p99_s", "finished",
    "unfinished", "miner_kwh", "wall_s", "share_of_bound", "flow_mean_s", "simulated_days_per_s",
}  # fmt: skip


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The options of a run of six hours, in a folder with its files."""
    for name, text in (("site.yaml", SITE), ("jobs.csv", JOBS), ("power.csv", POWER)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BARQ_TRACES", raising=False)
    columns = "arrival=arrival,duration=takes,gpus=gpus"
    return [
        *("--jobs", "jobs.csv", "--jobs-map", columns),
        *("--power", "power.csv", "--power-map", "value=kW,unit=kW", "--site", "site.yaml"),
    ]


def simulate(*words: str) -> Result:
    """Type it."""
    return CliRunner().invoke(app, ["simulate", *words], prog_name="barq")


def test_figures_as_json(typed: list[str]) -> None:
    """One value: a run for each policy with all figures that are promised, and what belongs beside them."""
    result = simulate(*typed, "--policy", "barq,fcfs-kill", "--bound", "--json")

    assert (result.exit_code, result.stderr) == (0, "")
    found = json.loads(result.stdout)
    assert [run["policy"] for run in found["runs"]] == ["barq", "fcfs-kill"]
    for run in found["runs"]:
        assert set(run) >= PROMISED
        assert 0 < run["goodput_gpu_h"] <= run["bound_gpu_h"]
        assert run["violation_s"] == 0.0
    assert found["seed"] == 0
    assert found["site"]["gpus"] == 16
    assert found["notes"] == ["jobs jobs: jobs larger than the site of 16 GPUs, left out: 1"]


def test_a_table_for_people(typed: list[str]) -> None:
    """A line for each policy, then the notes; no bound was asked for, so its share is not there."""
    result = simulate(*typed, "--policy", "barq,slurm")

    head, first, second, _, note = result.stdout.splitlines()
    assert head.split()[:4] == ["Jobs", "Power", "Policy", "Goodput"]
    assert first.split()[:3] == ["jobs", "power", "barq"]
    assert first.split()[4] == "-"
    assert second.split()[:3] == ["jobs", "power", "slurm"]
    assert note.startswith("jobs jobs: ")


def test_results_are_written_once(typed: list[str], tmp_path: Path) -> None:
    """The figures, three series and the page; an earlier result is replaced with --force, and nothing else ever is."""
    out = tmp_path / "out"
    first = simulate(*typed, "--out", "out")
    again = simulate(*typed, "--out", "out")
    forced = simulate(*typed, "--policy", "pause-only", "--out", "out", "--force")

    assert first.stderr == "wrote out: figures.json, report.html, series/\n"
    assert (again.exit_code, again.stdout) == (2, "")
    assert "earlier result" in again.stderr
    assert "--force" in again.stderr
    assert forced.exit_code == 0
    assert len(list((out / "series").iterdir())) == 3
    assert [r["policy"] for r in json.loads((out / "figures.json").read_text())["runs"]] == ["pause-only"]
    assert "pause-only" in (out / "report.html").read_text(encoding="utf-8")

    (out / "thesis.tex").write_text("years of work", encoding="utf-8")
    refused = simulate(*typed, "--out", "out", "--force")
    assert (refused.exit_code, "thesis.tex" in refused.stderr) == (2, True)
    assert (out / "thesis.tex").exists()


def test_a_window_and_a_notice(typed: list[str]) -> None:
    """Without files, from a seed: as long, and as well foretold, as was asked."""
    words = ("--jobs", "synthetic", "--power", "pakistan-winter", "--power-map", "max=30kW,min=9kW")
    result = simulate(
        *words,
        "--site",
        "site.yaml",
        "--days",
        "0.25",
        "--notice",
        "5m",
        "--seed",
        "7",
        "--load",
        "50%",
        "--json",
    )

    [run] = json.loads(result.stdout)["runs"]
    assert (run["policy"], run["window_s"], run["notice_s"], run["seed"]) == ("barq", 21600.0, 300.0, 7)
    assert any("synthetic" in note for note in json.loads(result.stdout)["notes"])
    assert "forecast_error" not in run


def test_a_forecast_as_good_as_was_asked(typed: list[str]) -> None:
    """It stands beside the figures; an error of more than the whole is refused."""
    result, refused = (simulate(*typed, "--forecast", error, "--json") for error in ("25%", "250%"))

    told = json.loads(result.stdout)
    assert [run["forecast_error"] for run in told["runs"]] == [0.25] * len(told["runs"])
    assert told["site"]["forecast_error"] == 0.25
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "--forecast: '250%' is more than the whole; write 0% to 100%" in refused.stderr


def test_a_blackout_is_no_news_for_the_log(
    typed: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Orders that reach nobody are part of it. No watt is firm then, so that all that was granted is surplus."""
    (tmp_path / "power.csv").write_text(POWER.replace(",9\n", ",0\n"), encoding="utf-8")

    [run] = json.loads(simulate(*typed, "--json").stdout)["runs"]

    assert caplog.records == []
    assert run["surplus_offered_kwh"] == pytest.approx(20 + 25 + 14 + 25)
    assert run["violation_s"] == 0.0


@pytest.mark.parametrize(
    "more, named",
    [
        (
            ["--policy", "barq,nobody"],
            "--policy nobody: there is no such policy; choose from barq, fcfs-kill",
        ),
        (["--site", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["--jobs", "nowhere.csv"], "nowhere.csv: cannot be read"),
        (["--power-map", "value=MW"], "power.csv: there is no column 'MW'"),
        (["--notice", "5"], "--notice: '5' has no unit"),
        (["--load", "95 apples"], "--load"),
        (["--out", "jobs.csv"], "jobs.csv is a file"),
        (["--grid"], "--jobs does not go with --grid"),
        (["--only", "helios"], "--only is about the standard grid"),
        (["--blackout"], "--blackout is about the standard grid"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(
    typed: list[str], more: list[str], named: str, tmp_path: Path
) -> None:
    """On one line, with the exit code of a usage error; nothing is written."""
    before = sorted(tmp_path.iterdir())
    out = [] if "--out" in more else ["--out", "out"]

    result = simulate(*typed, *more, *out)

    assert (result.exit_code, result.stdout) == (2, "")
    assert named in result.stderr
    assert result.stderr.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "name, old, new, named",
    [
        ("site.yaml", "firm_w", "firm_watts", "site.yaml: power.firm_w: is missing; also power.firm_watts"),
        (
            "site.yaml",
            "}]\nminers",
            "}, {prefix: b, count: 1, gpus: 1, base_w: 10, simulated: true}]\nminers",
            "2 kinds of node",
        ),
        ("jobs.csv", "100,9000,8", "100,soon,8", "jobs.csv: line 3"),
        ("power.csv", "02:00,25", "02:00,much", "power.csv: line 4"),
    ],
)
def test_a_bad_file_is_named_with_the_place(
    typed: list[str], tmp_path: Path, name: str, old: str, new: str, named: str
) -> None:
    """File, and line or key."""
    path = tmp_path / name
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(old, new), encoding="utf-8")
    assert path.read_text(encoding="utf-8") != text

    result = simulate(*typed)

    assert result.exit_code == 2
    assert named in result.stderr


def test_the_grid_says_where_it_looks_for_traces(typed: list[str]) -> None:
    """They do not come with Barq."""
    result = simulate("--grid")

    assert (result.exit_code, "BARQ_TRACES" in result.stderr) == (2, True)


def test_pairs_of_the_grid_by_name() -> None:
    """All nine, one, the three of a name, or several; in the grid's order."""
    names = [
        [f"{j.name}/{p.name}" for j, p in chosen_pairs(only)]
        for only in ("pai/de", "sa1", "philly/de, helios/de")
    ]

    assert chosen_pairs(None) == PAIRS
    assert names == [["pai/de"], ["helios/sa1", "pai/sa1", "philly/sa1"], ["helios/de", "philly/de"]]
    with pytest.raises(TraceError, match=r"--only mars: .*helios/caiso"):
        chosen_pairs("mars")


def test_policies_by_name() -> None:
    """Each once; all of them are ours and the baselines, each called as it calls itself."""
    assert policies_named("slurm, barq,slurm") == ("slurm", "barq")
    assert policies_named("all")[0] == "barq"
    assert len(policies_named("all")) > 6
    assert {name: make({}).name for name, make in MAKERS.items()} == {name: name for name in MAKERS}


def test_cases_in_processes_of_their_own_come_out_the_same(typed: list[str]) -> None:
    """But for how long they took; and how far they are is told."""
    request = Request(jobs="synthetic", power="pakistan-summer", site_gpus=16, seed=3, days="0.1")
    site = load_sim_site(Path("site.yaml"))
    batch = Batch(pairs=(read_inputs(request),), policies=("barq", "las"), site=site, seed=3)
    shares: list[list[float]] = []

    def runs(at_once: int) -> list[dict[str, object]]:
        found = dict(judged(batch, at_once=at_once, tell=lambda told: shares.append(list(told))))
        timed = {"wall_s", "simulated_days_per_s"}
        return [{k: v for k, v in found[n].figures.items() if k not in timed} for n in sorted(found)]

    assert runs(at_once=2) == runs(at_once=1)
    assert shares[-1] == [1.0, 1.0]


def test_one_that_fails_ends_the_others(typed: list[str]) -> None:
    """What went wrong is raised here; no process is left."""
    request = Request(jobs="synthetic", power="pakistan-summer", site_gpus=16, seed=3, days="0.1")
    batch = Batch(
        pairs=(read_inputs(request),), policies=("nobody", "las"), site=load_sim_site(Path("site.yaml"))
    )

    with pytest.raises(KeyError, match="nobody"):
        dict(judged(batch, at_once=2, tell=lambda _: None))
    assert multiprocessing.active_children() == []


def test_a_process_that_vanishes_is_missed(typed: list[str]) -> None:
    """The system may end it for want of memory; nobody waits for its result then."""
    request = Request(jobs="synthetic", power="pakistan-summer", site_gpus=16, seed=3, days="0.1")
    batch = Batch(pairs=(read_inputs(request),), policies=("barq",), site=load_sim_site(Path("site.yaml")))
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=os._exit, args=(7,))
    process.start()
    theirs.close()

    with pytest.raises(
        BarqError, match=r"synthetic on pakistan-summer, barq: its process ended with 7; .*fewer"
    ):
        _received(ours, process, batch.cases()[0])
    ours.close()


def test_progress_is_shown_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pipe gets nothing; a terminal the case that runs and the time left."""
    with progress(["a on b, barq", "a on b, las"]) as tell:
        tell([1.0, 0.5])
    assert capsys.readouterr() == ("", "")

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    with progress(["a on b, barq", "a on b, las"]) as tell:
        tell([1.0, 0.5])
    out, err = capsys.readouterr()
    assert out == ""
    assert "2 of 2: a on b, las" in err
    assert "75.0 %" in err


def test_a_missing_package_is_named_with_what_brings_it(capsys: pytest.CaptureFixture[str]) -> None:
    """What only simulations need is in an extra of its own."""
    with pytest.raises(typer.Exit), errors_as_exit_codes():
        raise ModuleNotFoundError("No module named 'highspy'", name="highspy")

    assert "pip install 'barq[site,simulate]'" in capsys.readouterr().err


def test_the_figures_fit_a_narrow_terminal() -> None:
    """What a policy is judged by stays: goodput, and seconds over the limit."""
    names = {"jobs": "philly-2017", "power": "synthetic-day", "policy": "power-aware"}
    (table,) = blocks([names | dict.fromkeys((key for _, key, _ in _FIGURES), 0.5)], [])
    assert isinstance(table, Table)
    narrow, left_out = fitted(table, 80)

    assert max(len(line) for line in plain_lines(narrow)) <= 80
    assert left_out
    assert {"Policy", "Goodput GPU-h", "Over limit s"} <= set(narrow.headers)

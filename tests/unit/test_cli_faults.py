"""`barq simulate --faults`: a quarter of an hour in which things go wrong, on a small site."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from barq.cli import app
from scheduler.core import decide
from scheduler.sim.fault_rates import AS_IN_SOAK, Fault, parse_faults
from scheduler.sim.site import SimSite, with_real_leases
from scheduler.sim.site_file import load_sim_site

SITE = """
name: small
power: {firm_w: 9000, margin: 0}
nodes: [{count: 4, gpus: 4, simulated: true}]
miners: [{name: m, count: 1, max_w: 6000, rest_w: 0, simulated: true}]
timing: {lease_s: 20, fall_s: 0.1}
"""
HONEST = (
    "cut=9,crash=3,leaderless=12,storeless=12,silence=12,blind=6,"
    "order_lost=18%,order_late=30%,report_lost=18%,report_late=30%,save_fails=60%"
)
"""Six times as often as in `make soak`, but that nobody lies about watts: while miners do, no figure is promised."""
WORDS = (
    *(
        "--jobs",
        "synthetic",
        "--load",
        "150%",
        "--power",
        "pakistan-summer",
        "--power-map",
        "max=25kW,min=9kW",
    ),
    *("--days", "0.01", "--site", "site.yaml"),
)


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site.yaml").write_text(SITE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)


def simulate(*words: str) -> Result:
    """Type it."""
    return CliRunner().invoke(app, ["simulate", *WORDS, *words], prog_name="barq")


def test_what_went_wrong_stands_beside_the_figures() -> None:
    """The same faults under each policy, and again with the same seed; Barq keeps what it promised."""
    first, again = (simulate("--faults", HONEST, "--policy", "barq,slurm", "--json") for _ in range(2))

    assert (first.exit_code, first.stderr) == (0, "")
    ours, theirs = json.loads(first.stdout)["runs"]
    assert set(ours["faults"]) > {"cut", "crash", "leaderless"}
    assert ours["faults"] == theirs["faults"]
    assert ours["violation_s"] == 0.0
    assert ours["goodput_gpu_h"] > 0
    repeated = json.loads(again.stdout)["runs"][0]
    timed = {"wall_s", "simulated_days_per_s"}
    assert {k: v for k, v in repeated.items() if k not in timed} == {
        k: v for k, v in ours.items() if k not in timed
    }


def test_only_what_is_named_goes_wrong() -> None:
    """And people read it below the table."""
    result = simulate("--faults", "crash=20, order_lost=2%")

    assert result.exit_code == 0
    assert "synthetic on pakistan-summer: went wrong: crash " in result.stdout


def test_a_broken_promise_says_what_repeats_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy that knows no limit: the run ends there, with the exit code of what failed and the command."""
    monkeypatch.setattr(decide, "usable_w", lambda snapshot, limit: 1e9)
    monkeypatch.setattr("sys.argv", ["barq", "simulate", *WORDS, "--faults", "0"])

    result = simulate("--faults", "0")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "a promise broke at " in result.stderr
    assert "the site draws " in result.stderr
    assert "it does so again with: barq simulate --jobs synthetic" in result.stderr


@pytest.mark.parametrize(
    "text, named",
    [
        ("often", "--faults: 'often' is no number from 0 to 10, times as often as in make soak; or name"),
        ("11", "--faults: '11' is no number from 0 to 10"),
        ("nan", "--faults: 'nan' is no number"),
        ("crash=70", "--faults: crash: '70' is no number from 0 to 60, times an hour"),
        ("order_lost=120%", "--faults: order_lost: '120%' is more than all"),
        ("flood=1", "--faults: there is no key 'flood'; there are cut, crash"),
        ("crash=1,crash=2", "--faults: crash is given twice"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(text: str, named: str) -> None:
    """Before anything is run."""
    result = simulate("--faults", text)

    assert (result.exit_code, result.stdout) == (2, "")
    assert named in result.stderr


def test_rates_by_a_factor_and_by_name() -> None:
    """What is not named does not happen; how long a fault lasts is the same however often it comes."""
    tenth, named = parse_faults("0.1"), parse_faults("lie=2,save_fails=50%")

    assert tenth.order_lost == pytest.approx(0.1 * AS_IN_SOAK.order_lost)
    assert [f for f, *_ in tenth.per_h] == list(Fault)
    assert [longest_s for *_, longest_s in tenth.per_h] == [longest_s for *_, longest_s in AS_IN_SOAK.per_h]
    assert (named.per_h, named.save_fails, named.order_lost) == (((Fault.LIE, 2.0, 60.0),), 0.5, 0.0)


def test_with_faults_leases_are_real() -> None:
    """Of the file, or of a site that says nothing; a fall lasts as long as work takes to its step, and miners do."""
    read = with_real_leases(load_sim_site(Path("site.yaml"), has_faults=True)).timing
    default = with_real_leases(SimSite()).timing

    assert (read.lease_s, read.heartbeat_s, read.fall_s) == (20.0, 1.0, 3.001)
    assert (default.lease_s, default.heartbeat_s, default.fall_s) == (15.0, 1.0, 2.001)
    assert load_sim_site(Path("site.yaml")).timing.heartbeat_s is None

"""The benchmarks run: each in small, with all its keys, over the real thing where that is cheap."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from barq.checkpoint import newest_verified
from barq.contract import Action, JobPhase, PauseRequest, read_status, write_pause_request
from benchmarks import api, decide, job_watch, partners, site, small_sites
from benchmarks.control import JOB, JOB_DIR
from scheduler.settings import Site
from scheduler.signals.synthetic_day import Season
from tests.waiting import wait_for

PATIENCE_S = 60.0


def test_decisions_are_timed_over_a_site_that_is_what_it_should_be() -> None:
    """Quiet is quiet, a cut suspends all, and each case has its figures."""
    figures = decide.measure(decide.Size(nodes=12, queued=30), runs=2)

    assert set(figures.pop("memory")) == {"site_bytes", "policy_bytes"}
    assert set(figures) == {"cold", "quiet", "few", "reports", "shed_cut", "decide_cut"}
    assert all(set(f) == {"median_s", "max_s"} for f in figures.values())


def test_the_api_is_asked_by_many_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """The real server answers all of them."""
    assert api.main(["--requests", "32", "--json"]) == 0

    figures = json.loads(capsys.readouterr().out)
    assert set(figures) == {"submit", "list", "show"}
    assert all(f["requests_per_s"] > 0 for f in figures.values())


def test_small_sites_are_the_same_again_and_keep_their_limits() -> None:
    """Each seed draws one site with its day; no policy is over the limit on it, and Barq ends nothing unsaved."""
    seeds = [2, 4]
    found = small_sites.measure(seeds, ["barq", "slurm"])

    assert found == small_sites.measure(seeds, ["barq", "slurm"])
    assert set(found["sites"]) == {"2", "4"}
    assert found["policies"]["barq"]["kills"] == found["policies"]["barq"]["violation_s"] == 0
    assert all(f["goodput_share"] > 0 for f in found["policies"].values())


def test_the_site_file_of_a_benchmark_is_one() -> None:
    """Every option is a documented one, and the site can keep its firm level."""
    assert len(Site.model_validate(site.site_file(site.Size(nodes=3, gpus=5))).groups()) == 3


def test_partners_of_a_simulated_morning_keep_the_limit_and_their_machines_minimum_times() -> None:
    """The real loop over the month's site; all mine, nobody switches too soon without need, and the books add up."""
    figures = partners.measure(0.4, 1, Season.SUMMER)

    assert (figures["violation_s"], figures["violation_kwh"]) == (0.0, 0.0)
    assert figures["early_outside_emergencies"] == 0
    assert figures["used_share"] >= 0.95
    assert set(figures["partners"]) == {"north", "east", "south"}
    assert all(p["kwh"] > 0 and p["machines"] > 0 for p in figures["partners"].values())
    books = figures["books"]
    assert (books["complaints"], books["unbalanced"], books["misadded"]) == (0, 0, 0)
    assert max(books["partner_kwh_error"], books["site_kwh_error"], abs(books["losses_share"])) < 1e-5
    assert books["curtailed_gap_ws"] >= -7  # six causes and the baseline, each rounded down
    assert books["granted_gap_ws"] <= 1


def test_the_small_job_holds_goes_on_and_commits(tmp_path: Path) -> None:
    """By the contract: the benchmark measures a site with a job that plays by its rules."""
    control, status, checkpoints = (tmp_path / name for name in ("control", "status", "checkpoints"))
    for directory in (control, status, checkpoints):
        directory.mkdir()
    environment = os.environ | {
        "BARQ_CONTROL_DIR": str(control),
        "BARQ_STATUS_DIR": str(status),
        "BARQ_CHECKPOINT_DIR": str(checkpoints),
        "BARQ_RESUME_FROM": "",
        "BARQ_JOB_ID": "t-1",
        "BARQ_ATTEMPT": "1",
    }
    with subprocess.Popen([*JOB, "1"], env=environment, cwd=JOB_DIR) as job:
        ends = job_watch.Ends([job.pid])
        for seq, (action, phase) in enumerate(
            [(Action.SUSPEND, JobPhase.SUSPENDED), (Action.RESUME, JobPhase.RUNNING)], start=1
        ):
            _ask(control, seq, action)
            wait_for(lambda n=seq, p=phase: _is_in(status, n, p), timeout_s=PATIENCE_S)  # type: ignore[misc]
        _ask(control, 3, Action.SAVE_AND_EXIT)
        ends.wait()
        assert job.wait() == 85
    commit, damaged = newest_verified(checkpoints)
    assert commit is not None
    assert not damaged
    assert (commit.path / "state").stat().st_size == 1_000_000


def _ask(control: Path, seq: int, action: Action) -> None:
    request = PauseRequest(seq=seq, action=action, deadline_boottime_s=None, reason="test", rung=1)
    write_pause_request(control, request)


def _is_in(status: Path, seq: int, phase: JobPhase) -> bool:
    said = read_status(status)
    return said is not None and (said.seq, said.state) == (seq, phase)

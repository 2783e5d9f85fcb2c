"""Peers are compared side by side: what of it needs no Slurm and no Ray."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import ray_jobs, slurm
from benchmarks.job_watch import Ends, TooSlow
from benchmarks.peers import Comparison, Figures, order
from benchmarks.sleepers import Sleepers, is_stopped, stat_of
from benchmarks.slurm_cluster import CONTROLLER_PORTS, Shape, configuration


def test_medians_and_ratios_stand_side_by_side() -> None:
    """Below 1 Barq is ahead; what only one of them has gets no ratio, and the runs themselves are kept."""
    barq: list[Figures] = [{"submit_s": s, "requests_per_s": 200.0} for s in (0.2, 9.0, 0.3)]
    found = Comparison(
        runs={"barq": barq, "slurm": [{"submit_s": s} for s in (0.5, 0.6, 0.7)]}, load=[2.0] * 6
    )

    assert found.medians() == {"barq": {"submit_s": 0.3, "requests_per_s": 200.0}, "slurm": {"submit_s": 0.6}}
    assert found.ratios() == {"slurm": {"submit_s": pytest.approx(0.5)}}
    assert json.loads(json.dumps(found.record()))["runs"]["barq"] == barq
    assert [line.split() for line in found.table().splitlines()] == [
        ["median", "barq", "slurm", "barq/slurm"],
        ["submit_s", "0.300", "0.600", "0.500"],
        ["requests_per_s", "200.000"],
    ]


def test_whoever_was_last_goes_first() -> None:
    """So that neither has the calmer half of each round; a peer begins, for it may be missing."""
    assert [order(["slurm", "ray"], n) for n in (0, 1)] == [
        ["slurm", "ray", "barq"],
        ["barq", "ray", "slurm"],
    ]


def test_the_slurm_of_a_benchmark_shares_nothing(tmp_path: Path) -> None:
    """Every port and every path that it names is its own, and each node has room for its jobs."""
    ports = list(range(20_000, 20_000 + CONTROLLER_PORTS + 2))
    lines = dict(
        line.split("=", 1)
        for line in configuration(Shape(nodes=2, cpus=5), tmp_path, ports, "me").splitlines()
    )

    assert lines["SlurmctldPort"] == "20000-20003"
    assert lines["NodeName"] == "node1 NodeHostname=localhost NodeAddr=127.0.0.1 Port=20005 CPUs=5"
    places = [lines[key] for key in lines if key.endswith(("File", "Location", "Dir"))]
    assert len(places) == 6
    assert all(place.startswith(str(tmp_path)) for place in places)
    assert lines["AuthInfo"] == f"socket={tmp_path}/munge.socket"


def test_a_sleeper_says_who_it_is(tmp_path: Path) -> None:
    """Its own word of its PID, once it runs; a process that ended is no sleeper."""
    sleepers = Sleepers(tmp_path / "words")
    with subprocess.Popen(["/bin/sh", "-c", sleepers.command("7")]) as process:
        sleepers.wait_for_all(["7"])
        ends = Ends(sleepers.pids(["7"]))
        assert sleepers.pids(["7"]) == [process.pid]
        assert not is_stopped(stat_of(process.pid))
        process.kill()
        ends.wait()
        with pytest.raises(TooSlow, match=str(process.pid)):
            stat_of(process.pid)


def test_a_missing_peer_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The package, by its name; nothing was started."""
    monkeypatch.setattr("benchmarks.slurm_cluster.shutil.which", lambda name, path: None)
    monkeypatch.setenv(ray_jobs.PYTHON, sys.executable)
    monkeypatch.setattr(ray_jobs, "NEEDS", "import no_such_module")

    assert (slurm.main([]), ray_jobs.main([])) == (2, 2)
    said = capsys.readouterr().err
    assert "apt-get install --no-install-recommends slurmctld" in said
    assert 'pip install "ray[default]==' in said

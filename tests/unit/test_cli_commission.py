"""`barq commission` as a person types it, on a site with a virtual clock."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

import barq.cli.commission
from barq.cli import app
from barq.commissioning import load
from scheduler.measured import read_measured
from tests.commissioned_site import CommissionedSite, facts


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> CommissionedSite:
    """The site that the command finds."""
    made = CommissionedSite(facts(2, {"miners": 4000.0}))

    @contextmanager
    def connected() -> Iterator[CommissionedSite]:
        yield made

    monkeypatch.setattr(barq.cli.commission, "connect", connected)
    monkeypatch.setattr(barq.cli.commission, "read_facts", lambda _: (made.told, {"nodes": {}, "miners": {}}))
    monkeypatch.setattr(barq.cli.commission, "_watcher", lambda *_: made.watcher())
    return made


def run(*arguments: str, says: str | None = None) -> Result:
    """`barq commission` with these."""
    return CliRunner().invoke(app, ["commission", *arguments], input=says)


def test_what_it_writes_is_what_a_site_file_takes(site: CommissionedSite, tmp_path: Path) -> None:
    """As JSON the same, exactly one value on stdout."""
    out = tmp_path / "measured.yaml"
    result = run("--yes", "--falls", "1", "--json", "--out", str(out))

    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == yaml.safe_load(out.read_text(encoding="utf-8"))
    found = read_measured(out)
    assert found.site == "twin"
    assert found.figures.overhead == pytest.approx(1.32, abs=0.02)
    assert "node-2: capped at 300 W per GPU" in result.stderr


def test_a_person_sees_both_figures_side_by_side(site: CommissionedSite, tmp_path: Path) -> None:
    """And what the meter is worth."""
    result = run("--yes", "--falls", "1", "--group", "node-1", "--out", str(tmp_path / "m.yaml"))

    assert [line.split()[0] for line in result.stdout.splitlines()[:3]] == ["FIGURE", "overhead", "base"]
    assert "a reading every 1.0 s" in result.stdout
    assert "`measured: m.yaml`" in result.stderr
    assert next(iter(site.job_of.values()))["spec"]["resources"]["node"] == "node-1"
    assert len(site.job_of) == 1


def test_only_miners_say_nothing_of_the_overhead(site: CommissionedSite, tmp_path: Path) -> None:
    """What was not measured is not written."""
    out = tmp_path / "measured.yaml"
    result = run("--yes", "--falls", "1", "--group", "miners", "--out", str(out))

    assert result.exit_code == 0, result.stderr
    assert set(yaml.safe_load(out.read_text(encoding="utf-8"))["figures"]) == {"fall_s", "fall_least_s"}
    assert not site.job_of


@pytest.mark.parametrize(
    "arguments, code, says",
    [
        (["--yes", "--group", "node-9"], 2, "use one of node-1, node-2, miners"),
        ([], 4, "say --yes"),
        (["--yes", "--out", "/nowhere/at/all.yaml"], 2, "--out"),
        (["--yes", "--settle", "8"], 2, "--settle"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_touched(
    site: CommissionedSite, arguments: list[str], code: int, says: str
) -> None:
    """With the remedy."""
    result = run(*arguments)

    assert (result.exit_code, says in result.stderr) == (code, True), result.stderr
    assert not site.set_w


def test_nothing_is_written_when_it_is_interrupted(site: CommissionedSite, tmp_path: Path) -> None:
    """What was there before stays."""
    out = tmp_path / "measured.yaml"
    out.write_text("of last year", encoding="utf-8")
    site.at(40.0, lambda: setattr(site, "site_limit_w", 1000.0))
    result = run("--yes", "--out", str(out))

    assert (result.exit_code, out.read_text(encoding="utf-8")) == (4, "of last year")
    assert "limit" in result.stderr


def test_it_waits_until_the_site_is_idle(site: CommissionedSite, tmp_path: Path) -> None:
    """And says for whom."""
    site.others.append({"id": "twin-7", "state": "RUNNING"})
    site.at(30.0, site.others.clear)
    result = run("--yes", "--wait", "--group", "node-1", "--falls", "1", "--out", str(tmp_path / "m.yaml"))

    assert result.exit_code == 0, result.stderr
    assert "waiting for 1 job(s), twin-7 first" in result.stderr


def test_a_meter_too_coarse_for_the_overhead_gives_none(site: CommissionedSite, tmp_path: Path) -> None:
    """It is told to the person, and is no figure of the file."""
    site.noise_w, out = 400.0, tmp_path / "measured.yaml"
    result = run("--yes", "--group", "node-1", "--out", str(out))

    assert result.exit_code == 0, result.stderr
    assert "too coarse for the overhead" in result.stdout
    assert "overhead" not in yaml.safe_load(out.read_text(encoding="utf-8"))["figures"]


def test_a_node_without_pytorch_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The job's log is where a person is sent to."""
    monkeypatch.setitem(sys.modules, "torch", None)

    with pytest.raises(SystemExit, match="PyTorch is missing"):
        load.matmul()


def test_matmul_multiplies_on_every_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """On those that the job was given; and waits for them, so that a suspension finds them at rest."""
    seen: list[Any] = []

    class Factor:
        def __matmul__(self, other: object) -> object:
            seen.append("product")
            return other

    class Cuda:
        is_available = staticmethod(lambda: True)
        device_count = staticmethod(lambda: 2)
        synchronize = staticmethod(seen.append)

    class Torch:
        bfloat16, cuda = "bfloat16", Cuda
        device = staticmethod(lambda kind, number: f"{kind}:{number}")
        randn = staticmethod(lambda *_, **__: Factor())

    monkeypatch.setitem(sys.modules, "torch", Torch)
    load.matmul()()

    assert seen.count("product") == 2 * 20
    assert seen[-2:] == ["cuda:0", "cuda:1"]

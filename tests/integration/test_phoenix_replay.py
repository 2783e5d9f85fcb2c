"""The replay over Emerald's own files; left out where they are not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import phoenix
from scheduler.sim.phoenix.emerald import SRP_POWER, missing, read_emerald
from scheduler.sim.phoenix.mix import cap_curves, job_mix
from tests.phoenix_data import write_files

TRACES = phoenix.traces()
LACKING = missing(TRACES)

needs_files = pytest.mark.skipif(bool(LACKING), reason=f"no Phoenix replay: {LACKING}")


@needs_files
def test_the_jobs_of_the_event_fill_the_cluster() -> None:
    """Six jobs on 256 GPUs, by a sweep in which every measurement rises."""
    data = read_emerald(TRACES)
    curves = cap_curves(data.sweep)
    mix = job_mix(data.performance, curves)

    assert (len(mix), sum(job.gpus for job in mix)) == (6, 256)
    assert {job.tier for job in mix} == {1, 2, 3}
    assert all(curve.left_out_w == () for curve in curves.values())


@needs_files
def test_the_replay_prints_both_columns(capsys: pytest.CaptureFixture[str]) -> None:
    """The model predicts the other day to a few per cent; Barq never draws over the limit and breaks no promise."""
    assert phoenix.main(["--traces", str(TRACES), "--json"]) == 0

    found = json.loads(capsys.readouterr().out)
    model = found["power_model"]
    assert 0.0 < model["on_srp"]["rmse_share"] < model["on_caiso"]["rmse_share"] < 0.045
    assert model["on_caiso_with_saves"]["rmse_share"] < model["on_caiso_rebased"]["rmse_share"]
    assert model["swept_w"] == pytest.approx(model["on_srp"]["baseline_w"], rel=0.02)
    for name, event in found["events"].items():
        asked = [stage["cut"] for stage in event["barq"]["event"]["stages"]]
        held = event["barq"]["site"]["held_cuts"]
        assert all(h >= a for h, a in zip(held, asked, strict=True)), name
        assert event["barq"]["keeping"]["over_limit_s"] == 0.0
        assert event["barq"]["restarts"]["kills"] == 0
        speeds = event["barq"]["speed_by_tier"]
        assert (speeds["1"] >= 0.9, speeds["2"] >= 0.75, speeds["3"] >= 0.5) == (True, True, True)
        assert event["theirs"]["overshoot"] > event["barq"]["gpus"]["overshoot"]


def test_a_missing_or_broken_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing is printed to the output."""
    assert phoenix.main(["--traces", str(tmp_path)]) == 2
    (write_files(tmp_path) / SRP_POWER).write_text("timestamp,total\n14:00,x\n")
    assert phoenix.main(["--traces", str(tmp_path)]) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert "fetch them, or name their folder with --traces" in err
    assert f"{SRP_POWER}: line 2: column 'total': 'x'" in err

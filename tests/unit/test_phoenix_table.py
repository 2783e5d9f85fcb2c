"""Both columns of a small made-up replay, as text and as plain values."""

from __future__ import annotations

import json

import pytest

from scheduler.sim.phoenix.event import Event, Stage
from scheduler.sim.phoenix.figures import JobSpeed, Shape
from scheduler.sim.phoenix.mix import cap_curves, full_w
from scheduler.sim.phoenix.power_model import Fit, Score
from scheduler.sim.phoenix.replay import Model, Replay, own_loop, replayed
from scheduler.sim.phoenix.table import as_json, rows, text
from tests.phoenix_data import SITE, TRAIN, mix, points

EVENT = Event(
    name="short",
    title="20 % down",
    stages=(Stage(starts_s=2400.0, cut=0.2, ramp_s=300.0),),
    release_s=3600.0,
    window_s=4200.0,
)


def shape(**changes: float) -> Shape:
    """What they are said to have measured."""
    return Shape(
        baseline_w=6000.0,
        held_cuts=(0.3,),
        settled_after_s=None,
        deepest_cut=changes.get("deepest_cut", 0.5),
        overshoot=0.2,
        rebound=0.97,
    )


@pytest.fixture(scope="module")
def replay() -> Replay:
    """One event, thrice."""
    barq = replayed(EVENT, mix(), SITE, own_loop(mix()))
    score = Score(rmse_w=60.0, mean_error_w=1.0, baseline_w=6000.0, minutes=100)
    model = Model(
        fit=Fit(calibration=1.0, gpu_share=0.8, down_per_minute=0.1, up_per_minute=0.1, return_level=1.0),
        on_srp=score,
        on_caiso=score,
        on_caiso_rebased=score,
        on_caiso_with_saves=score,
        swept_w=full_w(mix()),
        implied_w=4000.0,
        held_w=4100.0,
        fair_speeds=tuple(JobSpeed(job=j.name, tier=j.tier, speed=0.9) for j in mix()),
    )
    return Replay(
        mix=mix(),
        curves=cap_curves(points("train", TRAIN)),
        site=SITE,
        model=model,
        srp=shape(),
        caiso=shape(deepest_cut=0.4),
        one_step=barq,
        two_step=barq,
        same_depth=barq,
    )


def test_the_table_has_a_row_for_each_figure(replay: Replay) -> None:
    """Theirs where it is known, with its day; Barq's always."""
    found = rows(replay)

    assert found[2][:2] == ("RMSE of the prediction, share of the baseline", "3.8 % (APS day)")
    assert found[2][2].startswith("1.0 %")
    assert ("overshoot below the settled level, points", "20.0", "0.0") in found
    assert (
        "restart dead time",
        "8-14 min training, 2-4 inference (APS day)",
        "none: nothing was paused",
    ) in found
    assert ("within 5 % of the first level after", "never") in {row[:2] for row in found}
    assert ("  infer, 8 GPUs", "0.95") in {row[:2] for row in found}
    assert text(found).splitlines()[0].split() == ["what", "theirs", "Barq's"]


def test_the_json_has_shares_and_watts(replay: Replay) -> None:
    """All of it survives the way through text."""
    found = json.loads(json.dumps(as_json(replay)))

    assert found["power_model"]["on_caiso"]["rmse_share"] == 0.01
    assert found["published"]["rmse_share"] == 0.038
    assert set(found["events"]) == {"srp", "srp_same_depth", "caiso"}
    assert set(found["events"]["srp"]["barq"]["speed_by_tier"]) == {"1", "3"}
    assert found["events"]["caiso"]["theirs"]["deepest_cut"] == 0.4
    assert found["curves"]["train"]["points"][0] == {"cap_w": 100.0, "speed": 0.2, "draw_w": 100.0}

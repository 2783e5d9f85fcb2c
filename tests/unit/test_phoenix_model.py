"""Cap curves, the job mix and the power model: what was put into a made-up day comes out of the fit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.errors import SignalError
from scheduler.sim.phoenix.emerald import JobPerformance
from scheduler.sim.phoenix.mix import cap_curves, cap_for_speed_w, full_w, job_mix
from scheduler.sim.phoenix.power_model import (
    PROMISED_SPEED,
    Command,
    Fit,
    capped_w,
    fair_caps_w,
    fitted,
    hour_before,
    implied_w,
    levels,
    predicted_w,
    rebased,
    score,
)
from tests.phoenix_data import INFER, TRAIN, day, mix, points

FIT = Fit(calibration=0.95, gpu_share=0.8, down_per_minute=0.03, up_per_minute=0.05, return_level=0.97)
COMMANDS = (Command(minute=60, cut=0.2), Command(minute=160, cut=0.0))
MINUTES = 240

# -- curves and mix --------------------------------------------------------------------------------------------------


def test_a_sweep_becomes_a_cap_curve() -> None:
    """With the measured points as they are, whatever their order."""
    curve = cap_curves(reversed(points("train", TRAIN)))["train"]

    assert [(p.cap_w, p.speed, p.draw_w) for p in curve.model.curve] == list(TRAIN)
    assert (curve.gpus, curve.left_out_w, curve.model.tdp_w) == (8, (), 400.0)
    assert curve.model.busy_w(250.0) == 250.0


def test_a_point_that_does_not_rise_is_left_out_and_told() -> None:
    """A cap at which the work was measured no slower than at a higher one."""
    noisy = [*points("w", TRAIN[:2]), *points("w", ((300.0, 1.0, 300.0),)), *points("w", TRAIN[3:])]
    curve = cap_curves(noisy)["w"]

    assert curve.left_out_w == (300.0,)
    assert [p.cap_w for p in curve.model.curve] == [100.0, 200.0, 400.0]


def test_sweeps_that_do_not_fit_together_are_refused() -> None:
    """Two rows for a cap, two numbers of GPUs, or no sweep of a workload."""
    with pytest.raises(SignalError, match=r"'w' has two rows for one cap"):
        cap_curves([*points("w", TRAIN), *points("w", TRAIN[:1])])
    with pytest.raises(SignalError, match=r"'w' ran on \[8, 16\] GPUs"):
        cap_curves([*points("w", TRAIN[:2]), *points("w", TRAIN[2:], gpus=16)])
    with pytest.raises(SignalError, match=r"job 'z-1': no sweep of 'z'; there are train"):
        job_mix(
            [JobPerformance(job="z-1", workload="z", speed=1, tier=1)], cap_curves(points("train", TRAIN))
        )


@pytest.mark.parametrize(
    "speed, cap_w", [(0.1, 100.0), (0.2, 100.0), (0.7, 240.0), (1.0, 400.0), (1.2, 400.0)]
)
def test_the_cap_for_a_speed(speed: float, cap_w: float) -> None:
    """Linear between the points, and never outside of them."""
    assert cap_for_speed_w(mix()[0].curve, speed) == pytest.approx(cap_w)


# -- the model -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [1.2, 1.0, 0.9, 0.75])
def test_fair_caps_reach_a_level_and_keep_what_is_promised(level: float) -> None:
    """All give way by the same share of what they may."""
    jobs = mix()
    caps_w = fair_caps_w(jobs, level)

    assert capped_w(jobs, caps_w) == pytest.approx(min(level, 1.0) * full_w(jobs))
    assert all(j.curve.speed(caps_w[j.name]) >= PROMISED_SPEED[j.tier] for j in jobs)


def test_fair_caps_stop_at_what_is_promised() -> None:
    """However deep the level."""
    jobs = mix()
    speeds = {j.name: j.curve.speed(fair_caps_w(jobs, 0.1)[j.name]) for j in jobs}

    assert speeds == pytest.approx({"train-x": 0.5, "infer-y": 0.9})


def test_levels_go_at_the_pace_of_the_fit() -> None:
    """Down to 1 less cut over share, then up to where it comes back to."""
    path = levels(FIT, COMMANDS, MINUTES)

    assert path[:62] == pytest.approx([1.0] * 60 + [0.97, 0.94])
    assert path[159] == pytest.approx(0.75)
    assert path[160:166] == pytest.approx([0.8, 0.85, 0.9, 0.95, 0.97, 0.97])


def test_the_fit_finds_what_a_day_was_made_of() -> None:
    """All five numbers, and no error is left; on another day neither."""
    made = day(predicted_w(FIT, COMMANDS, mix(), MINUTES))
    found = fitted(made, COMMANDS, mix())
    other = (Command(minute=60, cut=0.1), Command(minute=90, cut=0.15), Command(minute=120, cut=0.0))
    other_day = day(predicted_w(FIT, other, mix(), MINUTES))

    assert found.calibration == pytest.approx(FIT.calibration)
    assert found.gpu_share == pytest.approx(FIT.gpu_share)
    assert found.return_level == pytest.approx(FIT.return_level)
    assert (found.down_per_minute, found.up_per_minute) == (0.03, 0.05)
    predicted = predicted_w(found, other, mix(), MINUTES)
    assert score(other_day, other, predicted).rmse_share == pytest.approx(0.0, abs=1e-9)


def test_a_score_is_the_root_of_the_mean_square() -> None:
    """As a share of the level before the first order, from a minute on."""
    measured = day([100.0] * 60 + [80.0, 86.0])
    commands = (Command(minute=60, cut=0.2),)

    found = score(measured, commands, [100.0] * 60 + [81.0, 79.0], first=60)
    assert (found.rmse_w, found.mean_error_w, found.minutes) == (5.0, -3.0, 2)
    assert found.rmse_share == 0.05


def test_only_a_day_with_one_cut_is_fitted() -> None:
    """And there must be something to see before it."""
    with pytest.raises(ValueError, match="one cut and its end"):
        fitted(day([1.0] * 99), COMMANDS[:1], mix())
    with pytest.raises(ValueError, match="there are none"):
        fitted(day([1.0] * 170), (replace(COMMANDS[0], minute=0), COMMANDS[1]), mix())


def test_the_hour_before_tells_level_and_saves() -> None:
    """A dip in it comes back at the same minute of each hour; without it the mean is all that is kept."""
    measured = day([100.0 if m % 60 != 53 else 70.0 for m in range(120)])
    hour = hour_before(measured, (Command(minute=60, cut=0.2),))

    assert (hour.steady_w, hour.saves[0]) == (100.0, 1.0)
    assert hour.saves[53] == pytest.approx(0.7)
    assert rebased([50.0] * 120, hour, saves=True) == pytest.approx(list(measured.draws_w))
    assert rebased([50.0] * 120, hour, saves=False) == pytest.approx([99.5] * 120)
    with pytest.raises(ValueError, match="59 minutes before the first order; 60 are needed"):
        hour_before(measured, (Command(minute=59, cut=0.2),))


def test_published_speeds_imply_a_power() -> None:
    """By each job's own curve."""
    assert implied_w(mix(), replace(FIT, calibration=1.0)) == pytest.approx(8 * 200.0 + 8 * 290.0)
    assert INFER[2][1] == mix()[1].speed

"""From phases, caps and readings to watts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.core.entitlement import charged_w, entitlement_w, fallback_profile, idle_w, nameplate_w, rest_w
from scheduler.core.jobs import Attempt, Phase
from scheduler.core.orders import FallbackStep, GpuReading, GroupSpec, MinerReading, NodePower
from scheduler.core.power import A100_SXM
from tests.builders import SiteBuilder, site

BASE_W, IDLE_W, HELD_W = 600.0, 55.0, 95.0


def of(built: SiteBuilder) -> tuple[GroupSpec, list[Attempt]]:
    """The only node and what is on it."""
    return built.groups["node-1"].spec, list(built.attempts.values())


def profile(built: SiteBuilder, *, grace_s: float = 30.0) -> list[tuple[float, float]]:
    """The fallback as (after_s, limit_w)."""
    spec, attempts = of(built)
    tiers = {a.job_id: built.jobs[a.job_id].spec.flex for a in attempts}
    steps = fallback_profile(spec, attempts, tiers, save_after_s=5.0, grace_s=grace_s)
    assert all(isinstance(s, FallbackStep) for s in steps)
    return [(s.after_s, s.limit_w) for s in steps]


def in_phase(built: SiteBuilder, name: str, phase: Phase) -> SiteBuilder:
    """The attempt of a job, ordered otherwise."""
    built.attempts[f"{name}.1"] = replace(built.attempts[f"{name}.1"], phase=phase)
    return built


def test_idle_and_nameplate() -> None:
    """A group at rest and at its worst; miners count in the latter only."""
    node = site().node(gpus=4).groups["node-1"].spec
    mine = site().miners(max_w=4000.0).groups["miners"].spec

    assert (idle_w(node), nameplate_w(node)) == (820.0, 2200.0)
    assert (idle_w(mine), nameplate_w(mine)) == (0.0, 4000.0)


@pytest.mark.parametrize("phase", [Phase.SUSPEND, Phase.SAVE_EXIT, Phase.KILL])
def test_whoever_does_not_run_counts_at_the_minimum_cap(phase: Phase) -> None:
    """Held, saving and dying GPUs rest with a context: idle 55 W and 40 W more."""
    built = in_phase(site().node(gpus=4).running("j", "node-1", gpus=3), "j", phase)

    assert entitlement_w(*of(built)) == BASE_W + 3 * HELD_W + IDLE_W


def test_whoever_runs_counts_at_its_cap() -> None:
    """Never at what it happens to draw."""
    built = site().node(gpus=4).running("j", "node-1", gpus=3, cap_w=250.0)

    assert entitlement_w(*of(built)) == BASE_W + 3 * 250.0 + IDLE_W


def test_the_target_counts_for_miners_only() -> None:
    """A node has none."""
    mine = site().miners(max_w=4000.0).groups["miners"].spec
    node = site().node(gpus=1).groups["node-1"].spec

    assert entitlement_w(mine, (), miners_target_w=900.0) == 900.0
    assert entitlement_w(node, (), miners_target_w=900.0) == BASE_W + IDLE_W


def test_a_reading_counts_at_its_enforced_cap_if_anything_runs_there() -> None:
    """A GPU without processes is idle whatever its cap."""
    spec = site().node(gpus=2).groups["node-1"].spec
    busy = GpuReading(gpu_id="0", draw_w=150.0, cap_w=350.0, processes=1)
    free = GpuReading(gpu_id="1", draw_w=150.0, cap_w=400.0, processes=0)

    assert charged_w(spec, (busy, free)) == BASE_W + 350.0 + IDLE_W


def test_a_gpu_that_was_not_read_counts_as_uncapped_and_busy() -> None:
    """The scheduler counts it as its guard does: silence frees nothing."""
    spec = site().node(gpus=2).groups["node-1"].spec
    free = GpuReading(gpu_id="1", draw_w=55.0, cap_w=100.0, processes=0)

    assert charged_w(spec, (free,)) == BASE_W + 400.0 + IDLE_W


def test_a_reading_of_an_overshooting_cap_counts_at_what_it_was_measured_to_draw() -> None:
    """At 100 W an A100 draws 102."""
    spec = site().node(gpus=1).groups["node-1"].spec

    assert charged_w(spec, [GpuReading(gpu_id="0", draw_w=99.0, cap_w=100.0, processes=2)]) == BASE_W + 102.0


def test_a_miner_that_does_not_follow_counts_at_its_draw() -> None:
    """A target that it has not followed yet frees nothing; one it may climb to counts already."""
    spec = site().miners().groups["miners"].spec
    lags = MinerReading(miner_id="a", target_w=500.0, draw_w=900.0)
    climbs = MinerReading(miner_id="b", target_w=1000.0, draw_w=200.0)

    assert charged_w(spec, (), (lags, climbs)) == 900.0 + 1000.0


def test_without_work_the_fallback_is_rest() -> None:
    """One step."""
    assert profile(site().node(gpus=4)) == [(0.0, 820.0)]


def test_tier_0_goes_on_and_the_others_are_held_then_gone() -> None:
    """The second step comes when held work must have saved and left."""
    built = site().node(gpus=4).running("firm", "node-1", gpus=1, flex=0).running("soft", "node-1", gpus=2)

    held_w, gone_w = BASE_W + 400 + 2 * HELD_W + IDLE_W, BASE_W + 400 + 3 * IDLE_W
    assert profile(built) == [(0.0, held_w), (35.0, gone_w)]
    assert profile(built, grace_s=120.0) == [(0.0, held_w), (125.0, gone_w)]


def test_tier_0_alone_makes_one_step() -> None:
    """It keeps what it has."""
    built = site().node(gpus=2).running("firm", "node-1", gpus=1, flex=0)

    assert profile(built) == [(0.0, BASE_W + 400 + IDLE_W)]


@pytest.mark.parametrize("phase", [Phase.SAVE_EXIT, Phase.KILL])
def test_firm_work_that_was_told_to_leave_leaves(phase: Phase) -> None:
    """Without word from the scheduler it goes on leaving, and its watts with it."""
    built = in_phase(site().node(gpus=1).running("firm", "node-1", gpus=1, flex=0), "firm", phase)

    assert profile(built) == [(0.0, BASE_W + HELD_W), (35.0, BASE_W + IDLE_W)]


def test_the_fallback_of_miners_is_rest() -> None:
    """They are the first to go."""
    spec = site().miners().groups["miners"].spec

    assert fallback_profile(spec, (), {}, save_after_s=5.0, grace_s=30.0) == (
        FallbackStep(after_s=0.0, limit_w=0.0),
    )


def test_the_curve_is_read_between_its_points() -> None:
    """Draw and speed are linear between what was measured, and flat beyond it."""
    assert [A100_SXM.busy_w(w) for w in (50.0, 100.0, 150.0, 275.0, 900.0)] == [
        102.0,
        102.0,
        149.5,
        268.0,
        382.0,
    ]
    assert A100_SXM.speed(275.0) == pytest.approx(0.825)
    assert A100_SXM.charge_w(275.0) == 275.0


def test_a_node_in_standby_rests_at_what_that_draws() -> None:
    """On or on its way up it draws its base and its idle GPUs, and so does one that cannot go to standby."""
    can, cannot = (
        site().node("a", gpus=2, base_w=600.0, standby_w=standby_w).groups["a"].spec
        for standby_w in (50.0, None)
    )

    assert [rest_w(can, power) for power in NodePower] == [710.0, 710.0, 50.0]
    assert [rest_w(cannot, power) for power in NodePower] == [710.0] * 3

"""Caps: as high as fits, lowered along the tiers, never below what a tier promises."""

from __future__ import annotations

import pytest

from scheduler.core.caps import fitting_caps
from scheduler.core.floors import floor_cap_w
from scheduler.core.plan import Plan
from scheduler.core.power import A100_SXM
from tests.builders import SiteBuilder, site


def caps_under(built: SiteBuilder, limit_w: float) -> dict[str, float]:
    """Caps by job that fit a limit."""
    plan = Plan(built.snapshot())
    caps = fitting_caps(plan, limit_w)
    return {a.job_id: caps[plan.kind_on(plan.jobs[a.job_id], "node-1")] for a in plan.running()}


@pytest.mark.parametrize("flex, floor_w", [(0, 400.0), (1, 330.0), (2, 240.0), (3, 195.0), (4, 195.0)])
def test_each_tier_keeps_its_speed(flex: int, floor_w: float) -> None:
    """The floor is the lowest cap, in steps of 5 W, at which an A100 keeps the tier's share of its speed."""
    job = site().node().job("j", flex=flex).jobs["j"]

    assert floor_cap_w(A100_SXM, job) == floor_w
    assert A100_SXM.speed(floor_w) >= {0: 1.0, 1: 0.9, 2: 0.75, 3: 0.6, 4: 0.6}[flex]


def test_a_job_may_ask_for_a_higher_floor() -> None:
    """`min_cap_w` lifts the floor, but not above what the device draws at most."""
    built = site().node().job("high", min_cap_w=300.0).job("low", min_cap_w=50.0).job("odd", min_cap_w=900.0)

    assert [floor_cap_w(A100_SXM, built.jobs[n]) for n in ("high", "low", "odd")] == [300.0, 195.0, 400.0]


def test_a_job_that_refuses_caps_runs_uncapped_or_not_at_all() -> None:
    """`cap_ok: false` makes the floor the device's maximum."""
    job = site().node().job("j", cap_ok=False).jobs["j"]

    assert floor_cap_w(A100_SXM, job) == 400.0


def test_with_room_nothing_is_capped() -> None:
    """2200 W are what the node draws uncapped."""
    built = site().node().running("j", "node-1")

    assert caps_under(built, 2200.0) == {"j": 400.0}


def test_a_cap_is_the_highest_that_fits_in_steps_of_5_watts() -> None:
    """One watt less than full power costs one step on each GPU."""
    built = site().node().running("j", "node-1")

    assert caps_under(built, 2199.0) == {"j": 395.0}


def test_the_most_flexible_tier_is_capped_first() -> None:
    """Tier 4 goes to its floor before tier 2 loses a watt."""
    built = (
        site()
        .node(gpus=4)
        .running("firm", "node-1", gpus=2, flex=2)
        .running("soft", "node-1", gpus=2, flex=4)
    )

    assert caps_under(built, 600 + 2 * 400 + 2 * 300) == {"firm": 400.0, "soft": 300.0}
    assert caps_under(built, 600 + 2 * 300 + 2 * 195) == {"firm": 300.0, "soft": 195.0}


def test_equals_share_one_level() -> None:
    """Jobs of one tier are capped alike, whatever their size."""
    built = site().node(gpus=4).running("a", "node-1", gpus=1).running("b", "node-1", gpus=3)

    assert caps_under(built, 600 + 4 * 250) == {"a": 250.0, "b": 250.0}


def test_a_floor_within_a_tier_is_kept() -> None:
    """Who may not go lower stays; the others go on down."""
    built = site().node(gpus=4).running("a", "node-1", gpus=2, min_cap_w=350.0).running("b", "node-1", gpus=2)

    assert caps_under(built, 600 + 2 * 350 + 2 * 250) == {"a": 350.0, "b": 250.0}


def test_what_does_not_fit_ends_at_the_floors() -> None:
    """Caps alone cannot do it: they stop at the floors, and tier 0 is never capped."""
    built = site().node(gpus=4).running("firm", "node-1", gpus=2, flex=0).running("soft", "node-1", gpus=2)

    assert caps_under(built, 700.0) == {"firm": 400.0, "soft": 195.0}


def test_overhead_counts() -> None:
    """Each watt of a GPU costs its share of cooling at the meter."""
    built = site(overhead=1.25).node(gpus=4).running("j", "node-1")

    assert caps_under(built, 1.25 * (600 + 4 * 300)) == {"j": 300.0}

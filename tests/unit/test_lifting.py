"""Caps after the raises of a round: never over the limit, one attempt at a time, to the marks around the level."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings, strategies as st

from scheduler.core.caps import level_caps
from scheduler.core.lifting import fill_up, lift_caps, make_way
from scheduler.core.plan import EPSILON_W, Plan
from scheduler.core.power import A100_SXM
from scheduler.core.trim import TrimRule
from scheduler.core.zoning import Kept
from tests.builders import SiteBuilder, obey, site
from tests.unit.test_raising import may_draw

MARK_W = 25.0
IDLE_W = 600.0 + 4 * A100_SXM.idle_w


def singles(*caps_w: float, flex: int = 4) -> SiteBuilder:
    """Jobs on a GPU each, with these caps."""
    built = site(firm_w=9000.0).node("node-1", gpus=max(4, len(caps_w))).limit_w(9000)
    for i, cap_w in enumerate(caps_w):
        built.running(f"j{i}", "node-1", gpus=1, cap_w=cap_w, flex=flex)
    return built


def caps_of(plan: Plan) -> list[float]:
    """By job."""
    return [a.cap_w for a in plan.running()]


def test_the_highest_gives_way_first_and_only_as_many_as_it_takes() -> None:
    """Nobody else is touched."""
    built = singles(400.0, 350.0, 300.0, 300.0)
    plan = Plan(built.snapshot())
    limit_w = plan.nodes_w() - 60.0
    make_way(plan, level_caps(plan, limit_w), frozenset(), limit_w)

    assert caps_of(plan)[1:] == [350.0, 300.0, 300.0]
    assert plan.nodes_w() <= limit_w + EPSILON_W


def test_who_gives_way_goes_to_the_mark_below_the_level() -> None:
    """So that a round that needs a little less power next touches nobody; the last no further than it takes."""
    built = singles(400.0, 400.0, 400.0, 400.0)
    plan = Plan(built.snapshot())
    limit_w = IDLE_W + 4 * (340.0 - A100_SXM.idle_w)
    make_way(plan, level_caps(plan, limit_w), frozenset(), limit_w)

    assert sorted(caps_of(plan)) == [325.0, 325.0, 325.0, 385.0]
    assert plan.nodes_w() == pytest.approx(limit_w)


def test_a_large_job_gives_no_more_than_is_needed() -> None:
    """What a whole mark of all its GPUs would free beyond that, others would be lifted by a moment later."""
    built = site(firm_w=9000.0).node("node-1", gpus=8).limit_w(9000)
    plan = Plan(built.running("large", "node-1", gpus=8, cap_w=300.0).snapshot())
    limit_w = plan.nodes_w() - 100.0
    make_way(plan, level_caps(plan, limit_w), frozenset(), limit_w)

    assert caps_of(plan) == [285.0]


@pytest.mark.parametrize("room_w, moved_w", [(-50.0, 275.0), (50.0, 325.0)])
def test_one_node_is_told_before_many(room_w: float, moved_w: float) -> None:
    """Of equals those on one node move, one node after the other, before a job that is on several."""
    built = site(firm_w=20_000.0).limit_w(20_000).node("node-1").node("node-2").node("node-3")
    wide = built.running("a-wide", "node-1", gpus=4, nodes=2, cap_w=300.0).attempts["a-wide.1"]
    there = replace(wide.placements[0], node_id="node-2")
    built.attempts["a-wide.1"] = replace(wide, placements=(*wide.placements, there))
    obey(built, "node-2")
    for name in ("j0", "j1", "j2"):
        built.running(name, "node-3", gpus=1, cap_w=300.0)
    plan = Plan(built.snapshot())
    limit_w = plan.nodes_w() + room_w
    if room_w < 0:
        make_way(plan, level_caps(plan, limit_w), frozenset(), limit_w)
    else:
        lift_caps(plan, level_caps(plan, limit_w + 100.0), limit_w, Kept())

    assert {a.job_id: a.cap_w for a in plan.running()} == {
        "a-wide": 300.0,
        "j0": moved_w,
        "j1": moved_w,
        "j2": 300.0,
    }


def test_who_is_wanted_gets_the_level_itself() -> None:
    """Newcomers begin where all would be."""
    built = singles(195.0, 400.0, 400.0, 400.0)
    plan = Plan(built.snapshot())
    limit_w = IDLE_W + 4 * (340.0 - A100_SXM.idle_w)
    caps = level_caps(plan, limit_w)
    make_way(plan, caps, {"j0.1"}, limit_w)

    assert caps_of(plan)[0] == next(iter(caps.values()))
    assert plan.nodes_w() <= limit_w + EPSILON_W


def test_what_a_step_of_all_leaves_is_filled() -> None:
    """One of four goes a step above the others, and then there is too little left for anybody."""
    limit_w = IDLE_W + 4 * (300.0 - A100_SXM.idle_w) + 6.0
    plan = Plan(singles(300.0, 300.0, 300.0, 300.0).snapshot())
    for _ in range(2):
        caps = level_caps(plan, limit_w)
        assert lift_caps(plan, caps, limit_w, Kept()) == fill_up(plan, caps, limit_w, Kept()) == 0.0
        assert sorted(caps_of(plan)) == [300.0, 300.0, 300.0, 305.0]
        assert plan.nodes_w() <= limit_w + EPSILON_W


@pytest.mark.parametrize("trim, small_w", [(None, 300.0), (TrimRule(most=0.02), 305.0)])
def test_what_is_too_little_for_a_large_job_goes_to_a_small_one(
    trim: TrimRule | None, small_w: float
) -> None:
    """Where the site's meter is trusted; others wait behind it."""
    built = site(firm_w=9000.0, trim=trim).node("node-1", gpus=4).limit_w(9000)
    built.running("a-large", "node-1", gpus=3, cap_w=300.0).running("small", "node-1", gpus=1, cap_w=300.0)
    plan = Plan(built.snapshot())
    limit_w = plan.nodes_w() + 7.0

    assert fill_up(plan, dict.fromkeys(plan.roster.gpus(), 300.0), limit_w, Kept()) == 0.0
    assert caps_of(plan) == [300.0, small_w]


def test_the_firmest_and_the_lowest_is_lifted_first() -> None:
    """Where there is room for one only."""
    built = singles(200.0, 250.0, flex=4).running("firmer", "node-1", gpus=1, cap_w=330.0, flex=1)
    plan = Plan(built.snapshot())
    limit_w = plan.nodes_w() + 70.0
    lift_caps(plan, dict.fromkeys(plan.roster.gpus(), 400.0), limit_w, Kept())

    assert caps_of(plan) == [400.0, 200.0, 250.0]  # by id: firmer first


def test_what_is_not_worth_telling_anybody_is_not_told() -> None:
    """A few watts under a large limit."""
    plan = Plan(singles(395.0, 400.0).snapshot())
    limit_w = plan.nodes_w() + 2.0

    assert lift_caps(plan, dict.fromkeys(plan.roster.gpus(), 400.0), limit_w, Kept()) == 0.0
    assert caps_of(plan) == [395.0, 400.0]


def test_watts_that_are_not_confirmed_free_are_kept_for_the_lift() -> None:
    """It comes once they are, and nobody else gets them meanwhile."""
    built = may_draw(singles(300.0), "node-1", 2000.0)
    plan = Plan(built.snapshot())

    reserved_w = lift_caps(plan, dict.fromkeys(plan.roster.gpus(), 400.0), 1900.0, Kept())

    assert caps_of(plan) == [300.0]
    assert reserved_w == 100.0


CAPS_W = st.lists(st.sampled_from([195.0, 225.0, 250.0, 305.0, 340.0, 400.0]), min_size=1, max_size=8)


@given(
    CAPS_W,
    st.lists(st.integers(1, 4), min_size=8, max_size=8),
    st.floats(600.0, 5000.0),
    st.sets(st.integers(0, 7)),
)
@settings(max_examples=150)
def test_no_cap_is_moved_past_its_marks_nor_the_site_over_its_limit(
    caps_w: list[float], tiers: list[int], limit_w: float, wanted: set[int]
) -> None:
    """Who gives way is never lifted, who is lifted never lowered, all keep to their floors, and what fits stays."""
    built = singles(*caps_w)
    for i, tier in enumerate(tiers[: len(caps_w)]):
        job = built.jobs[f"j{i}"]
        built.jobs[f"j{i}"] = replace(job, spec=replace(job.spec, flex=tier))
    plan = Plan(built.snapshot())
    before = {a.id: max(a.cap_w, plan.knee_w(a)) for a in plan.running()}
    for attempt in plan.running():
        plan.change(attempt, cap_w=before[attempt.id])
    caps = level_caps(plan, limit_w)
    at_knees_w = plan.at_knees_w(0)
    ids = {f"j{i}.1" for i in wanted}
    make_way(plan, caps, ids, limit_w)
    lowered = {a.id: a.cap_w for a in plan.running()}

    assert all(cap_w <= before[k] for k, cap_w in lowered.items() if k not in ids)
    assert all(a.cap_w >= plan.knee_w(a) for a in plan.running())
    assert plan.nodes_w() <= max(limit_w, at_knees_w) + EPSILON_W

    lift_caps(plan, caps, limit_w, Kept())

    assert all(a.cap_w >= lowered[a.id] for a in plan.running())
    kinds = {a.id: plan.kind_on(plan.jobs[a.job_id], "node-1") for a in plan.running()}
    lifted = [a for a in plan.running() if a.cap_w > lowered[a.id]]
    assert all(a.cap_w < caps[kinds[a.id]] + MARK_W for a in lifted)
    assert plan.nodes_w() <= max(limit_w, at_knees_w) + EPSILON_W

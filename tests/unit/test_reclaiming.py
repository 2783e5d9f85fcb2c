"""Who makes room for whom: who had much service for who had little, never much more than it takes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from scheduler.core.floors import MOVABLE_TIER
from scheduler.core.jobs import Job, PauseCause, Phase
from scheduler.core.placement import place
from scheduler.core.plan import Plan
from scheduler.core.reclaiming import _MOST, Others, is_reclaiming, make_room, victims_for
from scheduler.core.room import Room
from tests.builders import T0, SiteBuilder, commit, site

LONG_S = 40 * 86_400.0  #: enough for any level


def a_site(*sizes: int, preempts: bool = True) -> SiteBuilder:
    """Nodes of these sizes, a, b, c ..., where who had very much leaves for who had little, unless told otherwise."""
    built = site(firm_w=90_000.0, little_service_gpu_h=4.0, little_service_preempts=preempts)
    for name, gpus in zip("abcdef", sizes, strict=False):
        built.node(name, gpus=gpus)
    return built.limit_w(90_000)


def ran(built: SiteBuilder, name: str, on: str, seconds: float = LONG_S, **spec: Any) -> SiteBuilder:
    """A job that has been running for so long, and saved meanwhile unless told otherwise."""
    saved = spec.pop("last_commit", commit(5))
    built.running(name, on, last_commit=saved, **spec)
    attempt = built.attempts[f"{name}.1"]
    built.attempts[f"{name}.1"] = replace(attempt, running_at=built.at - timedelta(seconds=seconds))
    return built


def reclaim(plan: Plan, room: Room, job: Job) -> bool:
    """Have those leave for a job who are to; whether there are any."""
    found = victims_for(plan, room, job)
    make_room(plan, found, job)
    return bool(found)


def victims(built: SiteBuilder, name: str) -> list[str]:
    """Who is told to leave for a job."""
    plan = Plan(built.snapshot())
    made = reclaim(plan, Room(plan), plan.jobs[name])
    found = [a.job_id for a in plan.in_phase(Phase.SAVE_EXIT)]
    assert made is bool(found) is is_reclaiming(plan)
    assert [e.kind for e in plan.events] == ["job.preempting"] * len(found)
    return found


@pytest.mark.parametrize("scatter", [False, True])
def test_who_had_much_service_gives_way_to_who_had_none(*, scatter: bool) -> None:
    """With its work saved."""
    built = ran(a_site(4), "old", "a", gpus=4).job("new", gpus=4, scatter=scatter)

    assert victims(built, "new") == ["old"]


@pytest.mark.parametrize("scatter", [False, True])
def test_nobody_leaves_for_that_unless_the_site_says_so(*, scatter: bool) -> None:
    """Who runs goes on; only the order in which others start knows who had what."""
    built = ran(a_site(4, preempts=False), "old", "a", gpus=4).job("new", gpus=4, scatter=scatter)

    assert victims(built, "new") == []


@pytest.mark.parametrize("scatter", [False, True])
@pytest.mark.parametrize(
    "spec",
    [
        {"priority": 1},
        {"flex": MOVABLE_TIER - 1},
        {"seconds": 899.0},
        {"last_commit": None},
        {"deadline_at": T0 + timedelta(seconds=9)},
    ],
    ids=str,
)
def test_some_are_never_asked(spec: dict[str, Any], *, scatter: bool) -> None:
    """Who is more important, who may only be slowed, who began a moment ago, who never saved, who is due."""
    built = ran(a_site(4), "old", "a", gpus=4, **spec).job("new", gpus=4, scatter=scatter)

    assert victims(built, "new") == []


@pytest.mark.parametrize("scatter", [False, True])
def test_who_is_less_important_gives_way(*, scatter: bool) -> None:
    """Saved, however little service it had; the least important first, and no more than it takes."""
    built = a_site(4, preempts=False)
    ran(ran(built, "old", "a", 1000.0, gpus=2), "least", "a", 1000.0, gpus=2, priority=-3)
    built.job("equal", gpus=2, scatter=scatter, priority=-3)
    built.job("new", gpus=2, scatter=scatter, priority=1).job("all", gpus=4, scatter=scatter, priority=1)

    assert victims(built, "equal") == []
    assert victims(built, "new") == ["least"]
    plan = Plan(built.snapshot())
    assert reclaim(plan, Room(plan), plan.jobs["new"])
    assert plan.attempts["least.1"].pause_cause is PauseCause.HIGHER_PRIORITY
    assert sorted(victims(built, "all")) == ["least", "old"]

    built.site = replace(built.site, priority_preempts=False)
    assert victims(built, "new") == victims(built, "all") == []


@pytest.mark.parametrize("scatter", [False, True])
@pytest.mark.parametrize(
    "spec", [{"flex": MOVABLE_TIER - 1}, {"seconds": 899.0}, {"last_commit": None}], ids=str
)
def test_some_never_give_way_to_who_is_more_important(spec: dict[str, Any], *, scatter: bool) -> None:
    """Who may only be slowed, who began a moment ago, who would lose all that it did."""
    built = ran(a_site(4, preempts=False), "old", "a", gpus=4, **spec)

    assert victims(built.job("new", gpus=4, scatter=scatter, priority=5), "new") == []


def test_it_is_told_at_a_glance_for_whom_anybody_may_leave() -> None:
    """No look at each of many thousands where nobody can."""
    built = ran(a_site(4, preempts=False), "old", "a", gpus=4)
    built.job("equal", gpus=4, scatter=True).job("more", gpus=4, scatter=True, priority=1)
    built.job("whole", gpus=4)
    plan = Plan(built.snapshot())

    found = {name: Others(plan).may_leave_for(plan.jobs[name]) for name in ("equal", "more", "whole")}
    assert found == {"equal": False, "more": True, "whole": True}


@pytest.mark.parametrize("scatter", [False, True])
def test_equals_do_not_give_way_to_each_other(*, scatter: bool) -> None:
    """Or they would take turns for ever."""
    built = ran(a_site(4), "old", "a", gpus=4).job("other", gpus=4, scatter=scatter)
    built.jobs["other"] = replace(built.jobs["other"], ran_s=LONG_S)

    assert victims(built, "other") == []


def test_nobody_large_leaves_for_somebody_small() -> None:
    """For one GPU that is missing, at most two are given up."""
    built = ran(a_site(4), "old", "a", gpus=3).running("firm", "a", gpus=1, flex=0)

    assert victims(built.job("new", gpus=1, scatter=True), "new") == []
    assert victims(built.job("alone", gpus=1), "alone") == []


def test_no_more_leave_than_it_takes() -> None:
    """What is free counts."""
    built = ran(ran(a_site(4), "one", "a", gpus=1), "two", "a", gpus=1)

    assert victims(built.job("new", gpus=3), "new") == ["one"]
    assert victims(built.job("any", gpus=3, scatter=True), "any") == ["one"]


@pytest.mark.parametrize("scatter", [False, True])
def test_nobody_leaves_where_the_job_could_not_use_the_gpus(*, scatter: bool) -> None:
    """Nodes that cannot read its checkpoints, or those of the rest of its gang, or that take no work."""
    built = ran(ran(a_site(4, 4), "one", "a", gpus=4), "two", "b", gpus=4).job("new", gpus=4, scatter=scatter)
    built.job("gang", gpus=4, nodes=2, scatter=scatter)
    assert victims(built, "gang") == ["one", "two"]

    for name, place_id in {"a": "x", "b": "y"}.items():
        built.groups[name] = replace(built.groups[name], storage=place_id)
    built.jobs["new"] = replace(built.jobs["new"], storage="y", pinned_to=("b",))
    assert (victims(built, "gang"), victims(built, "new")) == ([], ["two"])

    built.groups["b"] = replace(built.groups["b"], cordoned=True)
    assert victims(built, "new") == []


def test_no_large_gang_leaves_for_the_one_gpu_that_a_gang_lacks() -> None:
    """What the others of its members need is free anyhow."""
    built = a_site(4, 4, 8)
    ran(built, "old", "a", gpus=1)
    far = replace(built.attempts["old.1"].placements[0], node_id="c", gpu_ids=("0", "1", "2", "3", "4"))
    attempt = built.attempts["old.1"]
    built.attempts["old.1"] = replace(attempt, placements=(*attempt.placements, far))

    assert victims(built.job("new", gpus=4, nodes=2), "new") == []


@st.composite
def full_sites(draw: st.DrawFn) -> SiteBuilder:
    """Work of all ages and kinds on some nodes, and a job that waits."""
    built = a_site(*draw(st.lists(st.sampled_from([2, 4, 4, 8]), min_size=1, max_size=4)))
    for i in range(draw(st.integers(1, 6))):
        node = draw(st.sampled_from(sorted(built.groups)))
        held = sum(len(p.gpu_ids) for a in built.attempts.values() for p in a.placements if p.node_id == node)
        if free := len(built.groups[node].spec.gpus) - held:
            ran(
                built,
                f"r{i}",
                node,
                draw(st.sampled_from([60.0, 1000.0, 90_000.0, LONG_S])),
                gpus=draw(st.integers(1, free)),
                flex=draw(st.sampled_from([0, 2, 3, 4, 4])),
                priority=draw(st.sampled_from([0, 0, 1])),
            )
    for name in sorted(built.groups):
        place_id = draw(st.sampled_from(["x", "x", "y"]))
        built.groups[name] = replace(built.groups[name], storage=place_id)
    return built.job(
        "new",
        gpus=draw(st.integers(1, 4)),
        nodes=draw(st.sampled_from([1, 1, 2])),
        priority=draw(st.sampled_from([0, 1])),
        scatter=draw(st.booleans()),
    )


@given(full_sites())
@settings(max_examples=200)
def test_whoever_leaves_makes_the_room_that_was_missing(built: SiteBuilder) -> None:
    """Only those leave who may, no more than twice what is missing, and then the job fits."""
    plan, job = Plan(built.snapshot()), built.jobs["new"]
    room = Room(plan)
    if place(job, room, plan) is not None:
        return  # nobody need leave
    before = dict(plan.attempts)
    if not reclaim(plan, room, job):
        assert dict(plan.attempts) == before
        return
    left = [a for a in plan.in_phase(Phase.SAVE_EXIT) if before[a.id].phase is Phase.RUN]
    for attempt in left:
        spec = built.jobs[attempt.job_id].spec
        is_below = spec.priority < job.spec.priority
        assert (attempt.pause_cause is PauseCause.HIGHER_PRIORITY) is is_below
        assert spec.flex >= MOVABLE_TIER
        assert spec.priority <= job.spec.priority
        assert attempt.running_at is not None
        assert (built.at - attempt.running_at).total_seconds() >= built.site.min_run_s
    assert sum(a.gpu_count for a in left) <= _MOST * job.spec.total_gpus
    for attempt in left:
        del built.attempts[attempt.id]
    for gid, group in built.groups.items():
        built.groups[gid] = replace(group, gpus=())  # nothing computes there any more that was not ordered
    after = Plan(built.snapshot())
    assert place(job, Room(after), after) is not None


@pytest.mark.parametrize("foreseen_w, leaves", [(9000.0, True), (600.0, False)])
def test_nobody_leaves_for_a_job_that_the_forecast_would_keep_from_a_start(
    foreseen_w: float, *, leaves: bool
) -> None:
    """Who left would start again at once, and be told to leave again, over and over."""
    built = ran(site(firm_w=500.0, patience_s=0.0).node("a"), "least", "a", gpus=2, priority=-3)
    built.limit_w(9000.0).foresees((1.0, {0.1: foreseen_w, 0.5: foreseen_w}))
    built.job("new", gpus=4).passes(10.0)

    told = [action for action in built.does() if "least" in action]
    assert told == (["save least"] if leaves else [])

"""Decayed fair share: whose turn it is, by what was used and what was due."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st

from scheduler.core.fair_share import FURTHEST, STEPS_PER_DOUBLING, grown, shares, turns
from scheduler.core.plan import Plan
from scheduler.core.projects import FairShare, Project, Usage, Used, listed
from scheduler.core.queueing import Queue
from tests.builders import T0, SiteBuilder, site

GPU_HOURS = FairShare(energy_weight=0.0)
HALF_LIFE_S = 7 * 86_400.0


def projects(**weights: float) -> dict[str, Project]:
    """By name."""
    return {name: Project(name=name, weight=weight) for name, weight in weights.items()}


def used(**gpu_h: float) -> dict[str, Usage]:
    """GPU-hours of projects."""
    return {name: Usage(gpu_h=hours) for name, hours in gpu_h.items()}


def test_nobody_is_ahead_before_anybody_used_anything() -> None:
    """Whatever the weights."""
    assert turns(projects(a=3, b=1), {}, FairShare()) == {"a": 0, "b": 0}


def test_use_is_held_against_weight() -> None:
    """Three times as much is due to three times the weight; Slurm's factor is a half there."""
    found = shares(projects(a=3, b=1), used(a=30, b=10), GPU_HOURS)

    assert [(s.used, s.due, s.turn, s.factor) for s in found.values()] == [
        (0.75, 0.75, 0, 0.5),
        (0.25, 0.25, 0, 0.5),
    ]


def test_who_used_twice_what_was_due_is_a_doubling_behind() -> None:
    """Who used nothing is first of all."""
    found = turns(projects(a=1, b=1, c=2), used(a=20, b=20), GPU_HOURS)

    assert found == {"a": STEPS_PER_DOUBLING, "b": STEPS_PER_DOUBLING, "c": -FURTHEST}


def test_near_equals_are_in_one_step() -> None:
    """Or they would be exchanged for each other all the time."""
    assert turns(projects(a=1, b=1), used(a=100, b=108), GPU_HOURS) == {"a": 0, "b": 0}


def test_energy_counts_beside_hours() -> None:
    """By the weight that the site gives it: who computes at lower power uses less."""
    usages = {"a": Usage(gpu_h=10.0, kwh=4.0), "b": Usage(gpu_h=10.0, kwh=1.0)}
    by_energy = shares(projects(a=1, b=1), usages, FairShare(energy_weight=1.0))
    mixed = shares(projects(a=1, b=1), usages, FairShare(energy_weight=0.5))

    assert [s.used for s in by_energy.values()] == [0.8, 0.2]
    assert [s.used for s in mixed.values()] == pytest.approx([0.65, 0.35])


def test_a_half_life_halves() -> None:
    """What was used before, and less of what comes the longer ago it came."""
    later = grown(Usage(gpu_h=8.0, kwh=2.0), gpus=0, watts=0, seconds=HALF_LIFE_S, half_life_s=HALF_LIFE_S)
    steady = grown(Usage(), gpus=2, watts=500, seconds=1e9, half_life_s=HALF_LIFE_S)

    assert (later.gpu_h, later.kwh) == pytest.approx((4.0, 1.0))
    assert steady.gpu_h == pytest.approx(2 * HALF_LIFE_S / 3600 / math.log(2))
    assert steady.kwh == pytest.approx(0.5 * HALF_LIFE_S / 3600 / math.log(2))


@given(seconds=st.floats(0.0, 1e7), share=st.floats(0.0, 1.0), gpus=st.floats(0.0, 100.0))
def test_use_is_the_same_in_whatever_steps_it_is_counted(seconds: float, share: float, gpus: float) -> None:
    """One long step or two short ones: a leader may tick as it likes."""
    whole = grown(Usage(gpu_h=5.0), gpus=gpus, watts=0, seconds=seconds, half_life_s=HALF_LIFE_S)
    first = grown(Usage(gpu_h=5.0), gpus=gpus, watts=0, seconds=seconds * share, half_life_s=HALF_LIFE_S)
    both = grown(first, gpus=gpus, watts=0, seconds=seconds * (1 - share), half_life_s=HALF_LIFE_S)

    assert both.gpu_h == pytest.approx(whole.gpu_h, rel=1e-9, abs=1e-9)


@given(st.lists(st.just(0.0) | st.floats(1e-6, 1e6), min_size=2, max_size=5), st.floats(1e-3, 1e3))
def test_decay_alone_changes_no_turn(hours: list[float], factor: float) -> None:
    """All decays alike, so that turns change only when somebody uses something."""
    named = projects(**{f"p{i}": 1.0 + i for i in range(len(hours))})
    before = {f"p{i}": s.used for i, s in enumerate(shares(named, used(**_by(hours)), GPU_HOURS).values())}
    after = {
        f"p{i}": s.used
        for i, s in enumerate(shares(named, used(**_by([h * factor for h in hours])), GPU_HOURS).values())
    }

    assert after == pytest.approx(before, abs=1e-9)


def _by(hours: list[float]) -> dict[str, float]:
    return {f"p{i}": h for i, h in enumerate(hours)}


# -- in the queue ----------------------------------------------------------------------------------------------------


def queued(built: SiteBuilder, queue: Queue, plan: Plan) -> list[str]:
    """Who comes, in order, by what the newest snapshot says."""
    plan.follow(built.snapshot())
    queue.sync(plan, built.settled)
    heads, found = queue.heads(), []
    while heads:
        found.append(heads.first().job_id)
        heads.go_on()
    return found


def waiting() -> SiteBuilder:
    """Jobs of two projects and of one that nobody named."""
    built = site(projects=tuple(projects(a=1, b=1).values())).node(gpus=4)
    for name in ("a1", "b1", "a2", "b2"):
        built.job(name, project=name[0])
    return built.job("x1", project="x").job("a9", project="a", priority=1)


def test_among_equal_priorities_it_is_somebodys_turn() -> None:
    """Priority goes before; order of submission comes after."""
    built = waiting()
    built.used = Used(at=T0, projects=used(a=9, b=3, others=6))
    plan = Plan(built.snapshot())

    assert queued(built, Queue(), plan) == ["a9", "b1", "b2", "x1", "a1", "a2"]


def test_a_turn_that_changes_moves_no_entry() -> None:
    """Whole shapes come sooner or later; nobody is sorted anew."""
    built, queue = waiting(), Queue()
    plan = Plan(built.snapshot())
    before = queued(built, queue, plan)
    kept = {id(entry) for entries in queue.ready.values() for entry in entries}
    built.used = Used(at=T0, projects=used(b=9))
    after = queued(built, queue, plan)

    assert before == ["a9", "a1", "b1", "a2", "b2", "x1"]
    assert after == ["a9", "a1", "a2", "x1", "b1", "b2"]
    assert {id(entry) for entries in queue.ready.values() for entry in entries} == kept


def test_what_is_not_named_is_one() -> None:
    """A project with a new name begins with the use of all that have none."""
    assert list(listed(projects(a=1).values())) == ["a", "others"]
    assert listed(()) == {}

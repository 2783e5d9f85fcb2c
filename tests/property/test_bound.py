"""The bound is the optimum of its program, and no schedule that could be real is better."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from scheduler.core.power import CapPoint, GpuModel
from scheduler.sim import prices
from scheduler.sim.bound import Bound, priced, upper_bound
from scheduler.sim.capacity import Capacity, capacity_integral, upper_hull
from scheduler.sim.caps_bound import charged
from scheduler.sim.pools import Pools
from scheduler.sim.value import value_weights
from scheduler.sim.workload import PowerTrace, SimJob
from tests.simulated_world import best_schedule, by_min_cut, job

HOUR_S = 3600.0
GPU = GpuModel(
    name="small",
    tdp_w=400.0,
    idle_w=50.0,
    context_w=40.0,
    curve=(
        CapPoint(cap_w=200.0, speed=0.6, draw_w=200.0),
        CapPoint(cap_w=400.0, speed=1.0, draw_w=380.0),
    ),
)
CURVED = GpuModel(
    name="curved",
    tdp_w=400.0,
    idle_w=50.0,
    context_w=40.0,
    curve=(
        CapPoint(cap_w=100.0, speed=0.2, draw_w=103.0),
        CapPoint(cap_w=250.0, speed=0.78, draw_w=245.0),
        CapPoint(cap_w=400.0, speed=1.0, draw_w=382.0),
    ),
)
SITES = st.builds(
    Capacity,
    nodes=st.integers(1, 3),
    gpus_per_node=st.integers(1, 3),
    node_base_w=st.sampled_from([0.0, 100.0, 600.0]),
    standby_w=st.sampled_from([0.0, 60.0]),
    gpu=st.just(GPU),
    auxiliary_w=st.sampled_from([0.0, 100.0]),
)
JOBS = st.lists(
    st.builds(
        job,
        st.uuids().map(str),
        arrives_s=st.sampled_from([0.0, 0.0, 1800.0, 3600.0, 5000.0, 9000.0]),
        gpus=st.integers(1, 6),
        work_s=st.sampled_from([60.0, 1800.0, 3600.0, 5400.0, 7200.0, 40000.0]),
        priority=st.sampled_from([0, 0, 10, -10, 25]),
    ),
    max_size=12,
)
LIMITS_W = st.lists(st.sampled_from([0.0, 400.0, 1500.0, 3000.0, 20000.0]), min_size=1, max_size=5)


def bound(site: Capacity, limits_w: list[float], slot_s: float, jobs: list[SimJob], **more: float) -> Bound:
    """The bound under a limit that changes every `slot_s`."""
    trace = PowerTrace(name="steps", steps=tuple((i * slot_s, w) for i, w in enumerate(limits_w)))
    return upper_bound(site, trace, jobs, window_s=len(limits_w) * slot_s, **more)


@given(SITES, LIMITS_W, JOBS, st.sampled_from([900.0, 2400.0, 3600.0]))
@settings(max_examples=150)
def test_the_bound_is_the_optimum_of_its_program(
    site: Capacity, limits_w: list[float], jobs: list[SimJob], slot_s: float
) -> None:
    """Found by HiGHS over lumped jobs; the same by least cuts over all subsets of hours, for goodput and value."""
    found = bound(site, limits_w, slot_s, jobs)

    window_s = len(limits_w) * slot_s
    edges_s = np.append(np.arange(0.0, window_s, HOUR_S), window_s)
    steps = tuple((i * slot_s, w) for i, w in enumerate(limits_w))
    capacity = capacity_integral(site, steps, edges_s).tolist()
    weights = value_weights(j.priority for j in jobs).tolist()
    exact = by_min_cut(jobs, [1.0] * len(jobs), capacity, edges_s.tolist())
    assert found.gpu_h * HOUR_S == pytest.approx(exact, rel=1e-6, abs=1e-3)
    worth = by_min_cut(jobs, weights, capacity, edges_s.tolist())
    assert found.value * HOUR_S == pytest.approx(worth, rel=1e-6, abs=1e-3)


FEW_LIMITS_W = st.lists(st.sampled_from([0.0, 700.0, 1200.0, 2000.0, 4000.0]), min_size=1, max_size=4)
FEW_JOBS = st.lists(
    st.builds(
        job,
        st.uuids().map(str),
        arrives_s=st.sampled_from([0.0, 1800.0, 3600.0]),
        gpus=st.integers(1, 4),
        work_s=st.sampled_from([600.0, 1800.0, 5400.0]),
    ),
    min_size=1,
    max_size=3,
)


@given(
    st.builds(
        Capacity,
        nodes=st.integers(1, 2),
        gpus_per_node=st.just(2),
        node_base_w=st.sampled_from([100.0, 600.0]),
        standby_w=st.sampled_from([0.0, 60.0]),
        gpu=st.just(GPU),
    ),
    FEW_LIMITS_W,
    FEW_JOBS,
)
@settings(max_examples=150)
def test_no_schedule_is_better_than_the_bound(
    site: Capacity, limits_w: list[float], jobs: list[SimJob]
) -> None:
    """Every way to run gangs on whole nodes, half an hour at a time, is tried; none keeps more GPU-hours."""
    best = best_schedule(site, limits_w, 1800.0, jobs)

    assert best <= bound(site, limits_w, 1800.0, jobs).gpu_h * HOUR_S + 1e-3
    assert best <= bound(site, limits_w, 1800.0, jobs, step_s=1800.0).gpu_h * HOUR_S + 1e-3


@given(
    st.builds(
        Capacity,
        nodes=st.integers(1, 2),
        gpus_per_node=st.just(2),
        node_base_w=st.sampled_from([100.0, 600.0]),
        standby_w=st.sampled_from([0.0, 60.0]),
        gpu=st.sampled_from([GPU, CURVED]),
        auxiliary_w=st.sampled_from([0.0, 100.0]),
    ),
    FEW_LIMITS_W,
    FEW_JOBS,
)
@settings(max_examples=100)
def test_no_schedule_that_keeps_the_limit_by_caps_is_better_than_its_bound(
    site: Capacity, limits_w: list[float], jobs: list[SimJob]
) -> None:
    """Each way is tried again, every GPU at its cap; and the bound is never looser than the one by draws."""
    best = best_schedule(charged(site, site.standby_w), limits_w, 1800.0, jobs)

    for step_s in (1800.0, 3600.0):
        found = bound(site, limits_w, 1800.0, jobs, step_s=step_s, standby_w=site.standby_w)
        assert best <= found.caps_gpu_h * HOUR_S + 1e-3
        assert found.caps_gpu_h <= found.gpu_h


@given(
    SITES, st.lists(st.sampled_from([0.0, 1500.0, 5000.0]), min_size=4, max_size=8), JOBS, st.integers(1, 3)
)
@settings(max_examples=60)
def test_in_pieces_it_is_looser_at_most(
    site: Capacity, limits_w: list[float], jobs: list[SimJob], hours: int
) -> None:
    """Windows shorter than the trace, and jobs lumped that are only alike, never push it under the optimum."""
    whole = bound(site, limits_w, HOUR_S, jobs)
    pieces = bound(site, limits_w, HOUR_S, jobs, solve_s=hours * HOUR_S)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prices, "MOST_ROWS", 0)
        lumped = bound(site, limits_w, HOUR_S, jobs)

    slack = 1e-6 * (1.0 + whole.gpu_h)
    assert whole.gpu_h - slack <= pieces.gpu_h <= whole.reachable_gpu_h + slack
    assert whole.gpu_h - slack <= lumped.gpu_h <= whole.reachable_gpu_h + slack
    assert whole.value - slack <= min(pieces.value, lumped.value)


@given(SITES, LIMITS_W, JOBS, st.lists(st.floats(0.0, 8.0), min_size=5, max_size=5))
@settings(max_examples=60)
def test_any_prices_give_a_bound(
    site: Capacity, limits_w: list[float], jobs: list[SimJob], guesses: list[float]
) -> None:
    """Weak duality: even prices that nobody computed are no way to come out under the optimum."""
    edges_s = np.arange(len(limits_w) + 1) * HOUR_S
    steps = tuple((i * HOUR_S, w) for i, w in enumerate(limits_w))
    capacity = capacity_integral(site, steps, edges_s)
    pools = Pools.of(jobs, np.ones(len(jobs)), edges_s)

    guessed = priced(pools, capacity, np.diff(edges_s), np.array(guesses[: len(limits_w)]))
    assert guessed >= by_min_cut(jobs, [1.0] * len(jobs), capacity.tolist(), edges_s.tolist()) - 1e-3


@given(SITES, st.floats(0.0, 30000.0), st.floats(0.0, 30000.0), st.floats(0.0, 1.0))
def test_capacity_is_concave_and_rises(site: Capacity, low_w: float, high_w: float, share: float) -> None:
    """More watts are never worth less, and alternating between two limits never beats their mean, above standby."""
    ground_w = site.auxiliary_w + site.overhead * site.nodes * site.standby_w
    low_w, high_w = sorted((ground_w + low_w, ground_w + high_w))
    between = float(site.capacity_gpus(low_w + share * (high_w - low_w)))
    low, high = (float(site.capacity_gpus(w)) for w in (low_w, high_w))

    assert low <= between + 1e-9 <= high + 2e-9 <= site.gpus + 3e-9
    assert between >= low + share * (high - low) - 1e-9


@given(st.lists(st.tuples(st.floats(0.0, 100.0), st.floats(0.0, 100.0)), min_size=1, max_size=12))
def test_the_hull_lies_above_every_point(points: list[tuple[float, float]]) -> None:
    """And its corners are among them."""
    hull = upper_hull(points)

    assert set(hull) <= set(points)
    xs, ys = np.array(hull).T
    assert all(np.interp(x, xs, ys) >= y - 1e-6 for x, y in points)

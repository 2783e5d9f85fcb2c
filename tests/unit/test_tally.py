"""Running totals of a plan's watts: the same as counting it all anew."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings, strategies as st

from scheduler.core.entitlement import entitlement_w, fallback_profile, idle_w
from scheduler.core.jobs import Attempt, AttemptState, Phase, Placement
from scheduler.core.node_tally import Bounds
from scheduler.core.orders import GpuSlot, GroupKind, GroupSpec
from scheduler.core.power import A100_SXM
from scheduler.core.presence import LEAVING
from scheduler.core.tally import Tally
from tests.builders import T0

NODES = ("a", "b")
GPUS = ("0", "1", "2")
SPECS = {
    node: GroupSpec(
        group_id=node,
        kind=GroupKind.NODE,
        base_w=600.0,
        gpus=tuple(GpuSlot(gpu_id=g, model=A100_SXM.name) for g in GPUS),
    )
    for node in NODES
}
BOUNDS = Bounds(exposure_w=900.0, resting_w=800.0, final_w=770.0, fallback_w=820.0)

attempts = st.builds(
    lambda name, tier, node, gpus, phase, cap_w: (_attempt(name, node, gpus, phase, cap_w), tier),
    st.sampled_from(["j1.1", "j2.1", "j3.1"]),
    st.sampled_from([0, 4]),
    st.sampled_from(NODES),
    st.sets(st.sampled_from(GPUS), min_size=1),
    st.sampled_from(Phase),
    st.sampled_from([100.0, 195.0, 333.3, 400.0]),
)


def _attempt(name: str, node: str, gpus: set[str], phase: Phase, cap_w: float) -> Attempt:
    return Attempt(
        id=name,
        job_id=name.partition(".")[0],
        number=1,
        state=AttemptState.RUNNING,
        phase=phase,
        since_at=T0,
        placements=(Placement(node_id=node, gpu_ids=tuple(sorted(gpus))),),
        cap_w=cap_w,
        created_at=T0,
    )


def counting() -> Tally:
    """Both nodes, at rest."""
    tally = Tally()
    for node, spec in SPECS.items():
        tally.add(node, spec)
        tally.book(node, BOUNDS)
    return tally


def totals_w(tally: Tally) -> tuple[float, float, float, float]:
    """Planned, settled, exposed, in fallback, as the tally tells."""
    return tally.planned_it_w, tally.settled_it_w, tally.exposed_it_w, tally.fallback_it_w


def counted_w(there: Mapping[str, tuple[Attempt, int]]) -> tuple[float, float, float, float]:
    """Planned, settled, exposed, in fallback, GPU by GPU."""
    totals = [0.0] * 4
    for node, spec in SPECS.items():
        here = [a for a, _ in there.values() if a.placements[0].node_id == node]
        tiers = {a.job_id: tier for a, tier in there.values()}
        planned_w = entitlement_w(spec, here)
        settled_w = entitlement_w(spec, [a for a in here if a.phase not in LEAVING])
        first_w = fallback_profile(spec, here, tiers, save_after_s=0.0, grace_s=0.0)[0].limit_w
        parts = (
            max(planned_w, BOUNDS.resting_w),
            max(settled_w, BOUNDS.final_w),
            max(BOUNDS.exposure_w, planned_w),
            max(BOUNDS.fallback_w, first_w),
        )
        totals = [total + part for total, part in zip(totals, parts, strict=True)]
    return totals[0], totals[1], totals[2], totals[3]


@settings(deadline=None)
@given(st.lists(attempts, max_size=12), st.sets(st.integers(0, 11)))
def test_totals_are_what_counting_anew_gives(changes: list[tuple[Attempt, int]], ends: set[int]) -> None:
    """After any changes and ends, also where two blunder onto one GPU."""
    tally = counting()
    there: dict[str, tuple[Attempt, int]] = {}
    for turn, (attempt, tier) in enumerate(changes):
        known = there.get(attempt.id)
        if known is not None and known[0].placements != attempt.placements:
            tally.take(known[0])
            del there[attempt.id]
        there[attempt.id] = (attempt, tier)
        rise_w = tally.rise_w(attempt, tier)
        before_w = tally.planned_it_w
        tally.put(attempt, tier)
        assert tally.planned_it_w == pytest.approx(before_w + rise_w)
        if turn in ends:
            tally.take(attempt)
            del there[attempt.id]
        assert totals_w(tally) == pytest.approx(counted_w(there))


def test_an_empty_site_draws_nothing() -> None:
    """There is nothing to count."""
    assert totals_w(Tally()) == (0.0, 0.0, 0.0, 0.0)


def test_a_node_at_rest_is_planned_idle() -> None:
    """Its own figure is the plan's, whatever the books say of it."""
    assert counting().planned_w("a") == idle_w(SPECS["a"])


@given(st.lists(st.tuples(st.sampled_from(NODES), st.none() | st.floats(0.0, 700.0)), max_size=6), attempts)
def test_a_node_in_standby_counts_what_it_draws_there(
    switches: list[tuple[str, float | None]], one: tuple[Attempt, int]
) -> None:
    """In all sums, none below the books; back on it is as before, with whatever is on it meanwhile."""
    tally, plain, asleep = counting(), counting(), dict.fromkeys(NODES, 0.0)
    for node, standby_w in switches:
        tally.rest(node, standby_w)
        asleep[node] = 0.0 if standby_w is None else idle_w(SPECS[node]) - standby_w
    for some in (tally, plain):
        some.put(*one)
    for node in NODES:
        assert tally.planned_w(node) == pytest.approx(plain.planned_w(node) - asleep[node], abs=1e-5)
        both = zip(tally.fallback_w(node), plain.fallback_w(node), strict=True)
        assert all(ours == pytest.approx(theirs - asleep[node], abs=1e-5) for ours, theirs in both)
    assert tally.exposed_it_w >= 2 * BOUNDS.exposure_w - 1e-5

    for node in NODES:
        tally.rest(node, None)
    assert totals_w(tally) == totals_w(plain)


def test_a_blunder_that_is_over_leaves_no_trace() -> None:
    """Two on one GPU are counted GPU by GPU; once one has left, as if it had never been there."""
    tally, alone = counting(), counting()
    first = _attempt("j1.1", "a", {"0", "1"}, Phase.RUN, 333.3)
    tally.put(first, 4)
    alone.put(first, 4)
    tally.put(_attempt("j2.1", "a", {"1", "2"}, Phase.RUN, 195.0), 4)
    assert not tally.is_plain()
    tally.take(_attempt("j2.1", "a", {"1", "2"}, Phase.RUN, 195.0))

    assert tally.is_plain()
    assert totals_w(tally) == totals_w(alone)

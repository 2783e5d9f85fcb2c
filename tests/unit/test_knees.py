"""The knee: the cap with the most speed for the watts, counting what a node in standby would spare."""

from __future__ import annotations

from hypothesis import given, strategies as st

from scheduler.core.floors import STEP_W, knee_cap_w, tier_floor_w
from scheduler.core.plan import Plan
from scheduler.core.power import A100_SXM
from tests.builders import site

FLOORS_W = st.sampled_from([tier_floor_w(A100_SXM, tier) for tier in range(5)])


def test_where_nothing_can_be_spared_the_knee_is_the_floor() -> None:
    """The base is spent anyway: the lowest cap gives the most for each watt."""
    assert knee_cap_w(A100_SXM, 195.0, 0.0) == 195.0


@given(FLOORS_W, st.floats(0.0, 2000.0), st.floats(0.0, 2000.0))
def test_the_more_can_be_spared_the_higher_the_knee(floor_w: float, one_w: float, other_w: float) -> None:
    """From the floor up to no cap, in steps."""
    low_w, high_w = (knee_cap_w(A100_SXM, floor_w, w) for w in sorted((one_w, other_w)))

    assert floor_w <= low_w <= high_w <= A100_SXM.tdp_w
    assert low_w == A100_SXM.tdp_w or (low_w - floor_w) % STEP_W == 0


@given(FLOORS_W, st.floats(1.0, 2000.0), st.integers(0, 41))
def test_no_cap_does_more_with_the_watts(floor_w: float, spared_w: float, step: int) -> None:
    """Speed per watt of a GPU and of its part of a node that is on."""
    cap_w = min(A100_SXM.tdp_w, floor_w + step * STEP_W)

    def worth(cap_w: float) -> float:
        return A100_SXM.speed(cap_w) / (A100_SXM.charge_w(cap_w) - A100_SXM.idle_w + spared_w)

    assert worth(knee_cap_w(A100_SXM, floor_w, spared_w)) >= worth(cap_w)


def test_nodes_that_cannot_go_to_standby_have_no_knee_above_the_floor() -> None:
    """And a job that refuses caps has none below its own."""
    built = site().node("a").node("b", standby_w=50.0).running("on-a", "a")
    built.running("on-b", "b", gpus=2).running("refuses", "b", gpus=2, cap_ok=False)
    plan = Plan(built.snapshot())
    knees_w = {a.job_id: plan.knee_w(a) for a in plan.running()}
    spared_w = (600.0 + 4 * A100_SXM.idle_w - 50.0) / 4

    assert knees_w == {"on-a": 195.0, "on-b": knee_cap_w(A100_SXM, 195.0, spared_w), "refuses": 400.0}
    assert knees_w["on-b"] > 195.0

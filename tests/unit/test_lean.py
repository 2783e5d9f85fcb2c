"""Below the knee: what nobody who runs has use for carries one more, more slowly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from scheduler.core.floors import tier_floor_w
from scheduler.core.jobs import Phase
from scheduler.core.lean import lean_cap_w, spare_w
from scheduler.core.plan import EPSILON_W, Plan
from scheduler.core.power import A100_SXM
from tests.builders import Desired, site
from tests.told_site import ToldSite

NODE_W = (
    600.0 + A100_SXM.idle_w
)  #: a node of one GPU, which could be put to standby: its knee is no cap at all
LEAST_W = 100.0  #: of whoever may be paused at will


def nodes(*names: str, **policy: Any) -> ToldSite:
    """Nodes of one GPU that can go to standby."""
    built = ToldSite(**policy)
    for name in names:
        built.node(name, gpus=1, standby_w=50.0)
    return built


def with_spare_w(built: ToldSite, spare: float) -> ToldSite:
    """A limit that leaves so much beside all that the site draws as it is."""
    built.limit_w(Plan(built.snapshot()).nodes_w() + spare)
    return built


def on_a_gpu_w(cap_w: float) -> float:
    """What a GPU draws more than idle under a cap."""
    return A100_SXM.charge_w(cap_w) - A100_SXM.idle_w


# -- starts ------------------------------------------------------------------------------------------------------------


def test_a_job_starts_below_its_knee_with_watts_that_nobody_has_use_for() -> None:
    """At the highest cap that they allow, down to the lowest that the device takes."""
    for cap_w in (300.0, LEAST_W):
        built = nodes("a").job("j")

        assert with_spare_w(built, on_a_gpu_w(cap_w)).does() == [f"start j on a at {cap_w:.0f} W"]
    assert with_spare_w(nodes("a").job("j"), on_a_gpu_w(LEAST_W) - 1.0).does() == []


@pytest.mark.parametrize(
    "asks, least_w", [({"flex": 2}, tier_floor_w(A100_SXM, 2)), ({"min_cap_w": 250.0}, 250.0)], ids=str
)
def test_what_a_tier_promises_and_a_job_asks_for_holds_from_the_start(
    asks: dict[str, Any], least_w: float
) -> None:
    """Who may not be paused for long keeps its speed, and nobody runs below the cap that it names."""
    assert with_spare_w(nodes("a").job("j", **asks), on_a_gpu_w(least_w) - 1.0).does() == []
    started = with_spare_w(nodes("a").job("j", **asks), on_a_gpu_w(least_w)).does()
    assert started == [f"start j on a at {least_w:.0f} W"]


def test_it_is_lifted_once_there_is_more() -> None:
    """As everybody is."""
    built = nodes("a").job("j")
    with_spare_w(built, on_a_gpu_w(300.0)).settles()

    assert built.limit_w(9000.0).does() == ["cap j at 400 W"]


def test_who_runs_is_lifted_before_anybody_starts_so() -> None:
    """A watt above the knee does as much, and needs no start."""
    built = nodes("a", "b").running("r", "a", cap_w=300.0).job("j")

    assert with_spare_w(built, 250.0).does() == ["cap r at 400 W"]


def test_who_takes_any_gpus_has_all_that_it_asks_for() -> None:
    """Though they lie scattered over more nodes than it would fit on."""
    built = ToldSite(firm_w=90_000.0)
    for name in "ab":
        built.node(name, gpus=2, standby_w=50.0).running(f"on-{name}", name, gpus=1, flex=0)
    built.job("j", gpus=2, scatter=True)

    assert with_spare_w(built, 2 * on_a_gpu_w(150.0)).does() == ["start j on b+a at 150 W"]
    assert sum(len(p.gpu_ids) for p in built.attempts["j.1"].placements) == 2


def test_who_fits_at_the_knee_starts_before_who_does_not() -> None:
    """Though that one came first; it takes what is left after."""
    built = nodes("a", "b", "c", "d").job("large", nodes=3).job("little")
    with_spare_w(built, on_a_gpu_w(400.0) + 3 * on_a_gpu_w(250.0))

    assert sorted(built.does()) == ["start large on b+c+d at 250 W", "start little on a at 400 W"]


def test_one_starts_so_at_a_time_and_takes_it_all() -> None:
    """Two at half the speed would be done no sooner."""
    built = nodes("a", "b").job("j").job("k")

    assert with_spare_w(built, on_a_gpu_w(390.0)).does() == ["start j on a at 390 W"]
    assert built.does() == []


def test_nobody_starts_so_whose_speed_is_firm_or_who_takes_no_cap() -> None:
    """They have no lower cap."""
    for spec in ({"flex": 0}, {"cap_ok": False}):
        built = nodes("a").job("j", **spec)

        assert with_spare_w(built, on_a_gpu_w(390.0)).does() == []


def test_the_first_in_order_that_fits_so_is_taken() -> None:
    """Who does not fit at the lowest cap keeps nobody from it."""
    built = nodes("a", "b", "c", "d", "e", "f").job("gang", nodes=6).job("j")

    assert with_spare_w(built, on_a_gpu_w(300.0)).does() == ["start j on a at 300 W"]


def test_who_is_held_goes_on_so_before_anybody_starts() -> None:
    """Its GPU is taken and its node is on in any case."""
    built = nodes("a", "b").sleeping("b").running("held", "a").limit_w(NODE_W + 150.0)
    built.settles()
    built.all_obey()
    assert built.attempts["held.1"].phase is Phase.SUSPEND

    built.job("j")
    assert with_spare_w(built, 250.0).does() == ["resume held at 345 W"]


def test_who_is_held_by_a_person_does_not() -> None:
    """Nor what they paused."""
    built = nodes("a").running("j", "a").limit_w(NODE_W + 100.0)
    built.settles()
    built.jobs["j"] = replace(built.jobs["j"], desired=Desired.HOLD)

    assert with_spare_w(built, 250.0).does() == ["save j"]


def test_no_more_come_up_at_a_time_than_may() -> None:
    """It waits for its turn like all others."""
    built = nodes("a", "b", starts_at_once=1).job("j").job("k")
    with_spare_w(built, on_a_gpu_w(400.0) + on_a_gpu_w(300.0))

    assert built.does() == ["start j on a at 400 W"]


# -- standby -----------------------------------------------------------------------------------------------------------


def test_a_node_is_woken_for_one_that_can_start_so() -> None:
    """It stays up until that is done, and does not go to and fro."""
    built = nodes("a", "b").sleeping("a", "b").job("j")
    built.limit_w(NODE_W + 50.0 + on_a_gpu_w(250.0))

    assert built.turns(6) == ["0: a up"]
    assert built.attempts["j.1"].cap_w == 250.0


def test_the_base_of_an_empty_node_goes_to_who_runs_below_its_knee() -> None:
    """It starts with what there is, and has the rest once the other node is in standby."""
    built = ToldSite()
    for name in "ab":
        built.node(name, standby_w=50.0)
    built.job("j", gpus=4)

    assert with_spare_w(built, 4 * on_a_gpu_w(120.0)).turns(6) == ["0: b down"]
    assert built.attempts["j.1"].cap_w > 240.0


def test_no_node_is_woken_for_less_than_the_lowest_cap() -> None:
    """There is nothing to be done with it."""
    built = nodes("a", "b").sleeping("a", "b").job("j")
    built.limit_w(NODE_W + 50.0 + on_a_gpu_w(LEAST_W) - 1.0)

    assert built.turns(4) == []


def test_nodes_are_woken_for_full_speed_first() -> None:
    """One job at its knee, one below it with the rest, and none for a third."""
    built = nodes("a", "b", "c").sleeping("a", "b", "c").job("j").job("k").job("l")
    built.limit_w(2 * NODE_W + 50.0 + on_a_gpu_w(400.0) + on_a_gpu_w(250.0))

    assert built.turns(6) == ["0: a up", "0: b up"]
    assert sorted(a.cap_w for a in built.attempts.values()) == [250.0, 400.0]


# -- the cap -----------------------------------------------------------------------------------------------------------


@given(st.floats(0.0, 500.0), st.sampled_from([1, 2, 4]), st.floats(1.0, 1.5))
def test_it_is_the_highest_that_fits(spare: float, gpus: int, overhead: float) -> None:
    """Another step up would not, or is the knee."""
    built = site(overhead=overhead).node("a", gpus=gpus, standby_w=50.0).running("j", "a", gpus=gpus)
    plan = Plan(built.snapshot())
    attempt, each_w = plan.attempts["j.1"], overhead * gpus
    cap_w = lean_cap_w(plan, attempt, spare, from_w=A100_SXM.idle_w)

    if cap_w is None:
        assert each_w * on_a_gpu_w(LEAST_W) > spare
    else:
        assert LEAST_W <= cap_w <= plan.knee_w(attempt)
        assert each_w * on_a_gpu_w(cap_w) <= spare + EPSILON_W
        assert cap_w + 5.0 > plan.knee_w(attempt) or each_w * on_a_gpu_w(cap_w + 5.0) > spare


def test_nothing_is_spare_while_anybody_could_be_lifted() -> None:
    """Or once the limit is reached."""
    built = nodes("a").running("j", "a", cap_w=300.0)

    assert spare_w(Plan(built.snapshot()), 9000.0) == 0.0
    built = nodes("a").running("j", "a", cap_w=400.0)
    assert spare_w(Plan(built.snapshot()), 9000.0) == 9000.0 - NODE_W - on_a_gpu_w(400.0)
    assert spare_w(Plan(built.snapshot()), 100.0) == 0.0

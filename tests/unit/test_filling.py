"""What fills idle GPUs: after AI and miners, in nobody's way, and first to go."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from scheduler.core.decide import PowerAware, shed
from scheduler.core.domains import Domain
from scheduler.core.estop import EmergencyStop
from scheduler.core.fillers import MIN_OFF_S, Range, cap_w, lowered_w, miner_id, range_of
from scheduler.core.inventory import Wish
from scheduler.core.orders import FillerKind, MinerReading, NodePower
from scheduler.core.partners import Partner
from scheduler.core.power import A100_SXM, PowerLimits, gpu_model
from tests.builders import SiteBuilder, site

NODE_W = 600 + 4 * 55  #: a node of four GPUs with nothing on it
MOST_W = 382 + 18 - 55  #: that one GPU draws more under its highest cap
LEAST_W = 47  #: and under its lowest


def filled(
    surplus_w: float, *, nodes: int = 1, filler: FillerKind | None = None, **policy: Any
) -> SiteBuilder:
    """Nodes of four idle GPUs with a filler, and so much surplus."""
    built = site(**policy)
    for i in range(nodes):
        name = f"node-{i + 1}"
        built.node(name)
        group = built.groups[name]
        spec = replace(group.spec, filler=filler or FillerKind(name="rig"))
        built.groups[name] = replace(group, spec=spec)
    return built.limit_w(nodes * NODE_W + surplus_w)


def fillers_w(built: SiteBuilder) -> dict[str, float]:
    """What each node's filler may draw above the rest of its GPUs."""
    return {gid: g.miners_target_w for gid, g in built.groups.items() if g.spec.filler is not None}


def test_what_nobody_else_can_use_goes_to_fillers() -> None:
    """With the site's overhead: a watt on a GPU is more at the meter."""
    built = filled(500, overhead=1.25).limit_w(1.25 * (NODE_W + 400)).settles()

    assert fillers_w(built) == {"node-1": 400.0}


def test_a_filler_takes_no_more_than_its_gpus_do() -> None:
    """However much there is."""
    assert fillers_w(filled(9000).settles()) == {"node-1": 4 * MOST_W}


def test_a_node_without_a_filler_is_told_nothing() -> None:
    """Nor does it cost anything."""
    built = site().node("node-1").limit_w(9000)

    assert built.does() == []


def test_miners_come_first() -> None:
    """They hash more for a watt; fillers have what these cannot take."""
    built = filled(1500).miners("m", max_w=1000).settles()

    assert built.groups["m"].miners_target_w == 1000.0
    assert fillers_w(built) == {"node-1": 500.0}


def test_miners_get_what_fillers_had() -> None:
    """As soon as these gave it back."""
    built = filled(600).miners("m", max_w=1000)
    built.groups["m"] = replace(built.groups["m"], reported_at=None)  # a group nobody hears of cannot be told
    built.does()
    built.passes(1).settles()

    assert built.groups["m"].miners_target_w == 600.0
    assert fillers_w(built) == {"node-1": 0.0}


def test_too_little_for_one_gpu_is_left() -> None:
    """Below its lowest cap a GPU runs nothing."""
    assert fillers_w(filled(LEAST_W - 1).settles()) == {"node-1": 0.0}
    assert fillers_w(filled(LEAST_W).settles()) == {"node-1": float(LEAST_W)}


def test_ai_starts_on_the_very_gpus_in_the_same_round() -> None:
    """Nodes with fillers are idle: what these drew on the same node is no obstacle."""
    built = filled(4 * MOST_W).settles()
    built.job("j", gpus=4)

    assert built.does() == ["mine 0 W on node-1", "start j on node-1 at 400 W"]


def test_ai_takes_the_watts_of_fillers_elsewhere_once_these_gave_them_back() -> None:
    """One round to lower them, one to start."""
    built = filled(4 * MOST_W, nodes=2).settles()
    before = fillers_w(built)
    built.job("j", gpus=4, gpu_type=A100_SXM.name)
    first, second = built.does(), built.does()

    assert sum(before.values()) == 4 * MOST_W
    assert any(w.startswith("start j") for w in (*first, *second))
    assert sum(fillers_w(built).values()) <= 4 * MOST_W - 4 * 145


def test_what_work_leaves_of_a_node_is_filled() -> None:
    """GPU by GPU."""
    built = filled(9000).running("j", "node-1", gpus=3).settles()

    assert fillers_w(built) == {"node-1": MOST_W}


def test_fillers_go_first() -> None:
    """Before miners, and before any AI."""
    built = filled(2000, nodes=1).miners("m", max_w=1000).settles()
    built.limit_w(NODE_W + 1300)
    decision = shed(built.snapshot())

    assert decision is not None
    assert (decision.miners_w, decision.fillers_w) == ({"m": 1000.0}, {"node-1": 300.0})
    assert decision.attempts == {}


def test_a_filler_below_its_least_rests_in_a_cut() -> None:
    """Nothing draws less than the lowest cap."""
    built = filled(1000).settles()
    built.limit_w(NODE_W + 20)
    decision = shed(built.snapshot())

    assert decision is not None
    assert decision.fillers_w == {"node-1": 0.0}


def test_orders_that_expire_leave_nothing_to_fillers() -> None:
    """The fallback is the node's rest."""
    decision = filled(1000).decided()

    draft = decision.drafts["node-1"]
    assert draft.miners_target_w == 1000.0
    assert draft.entitlement_w == NODE_W + 1000
    assert [step.limit_w for step in draft.fallback] == [NODE_W]


def test_nothing_is_raised_soon_after_a_cut() -> None:
    """What is left to them they keep."""
    built = filled(1000, raise_delay_s=10.0).settles()
    built.last_cut_at = built.at
    built.limit_w(NODE_W + 1200).does()
    kept = fillers_w(built)
    built.passes(11).does()

    assert kept == {"node-1": 1000.0}
    assert fillers_w(built) == {"node-1": 1200.0}


def test_a_filler_keeps_no_watts_that_its_gpus_cannot_take_any_more() -> None:
    """Soon after a cut, too: a GPU that is lost draws nothing for it, and others may have its watts."""
    built = filled(9000, raise_delay_s=10.0).settles()
    built.last_cut_at = built.at
    group = built.groups["node-1"]
    built.groups["node-1"] = replace(group, gpus=(replace(group.gpus[0], lost=True), *group.gpus[1:]))
    built.does()

    assert fillers_w(built) == {"node-1": 3 * MOST_W}


@pytest.mark.parametrize(
    "change", [{"cordoned": True}, {"power": NodePower.BOOTING}, {"power": NodePower.STANDBY}]
)
def test_only_nodes_that_take_work_are_filled(change: dict[str, Any]) -> None:
    """Not those in standby, on their way, or cordoned."""
    built = filled(1000)
    built.groups["node-1"] = replace(built.groups["node-1"], **change)
    built.decided(obeyed=False)

    assert fillers_w(built) == {"node-1": 0.0}


def test_gpus_of_strangers_and_of_paused_fillers_are_not_filled() -> None:
    """A program that nobody knows, and a person's wish."""
    built = filled(9000)
    group = built.groups["node-1"]
    gpus = (replace(group.gpus[0], processes=1), *group.gpus[1:])
    paused = MinerReading(miner_id=miner_id("node-1", "1"), target_w=0.0, draw_w=0.0, wish=Wish.PAUSED)
    built.groups["node-1"] = replace(group, gpus=gpus, miners=(paused,))
    decision = built.decided(obeyed=False)

    assert decision.drafts["node-1"].miners_target_w == 2 * MOST_W


def test_a_partners_cap_bounds_its_miners_and_its_fillers_together() -> None:
    """What it may draw is one number."""
    north = Partner(partner_id="north", groups=("m",), cap_w=1200)
    filler = FillerKind(name="rig", partner="north")
    built = filled(3000, filler=filler, partners=(north,)).miners("m", max_w=1000).settles()

    assert built.groups["m"].miners_target_w == 1000.0
    assert fillers_w(built) == {"node-1": 200.0}


def test_a_partner_may_have_nothing_but_fillers() -> None:
    """It is due no watt of what miners share."""
    north = Partner(partner_id="north")
    built = filled(3000, filler=FillerKind(name="rig", partner="north"), partners=(north,))
    built.miners("m", max_w=1000).settles()

    assert built.groups["m"].miners_target_w == 1000.0
    assert fillers_w(built) == {"node-1": 4 * MOST_W}


def test_behind_a_limit_of_its_own_work_has_all_that_it_can_take_first() -> None:
    """A capped job there keeps the filler out, and so does one that waits."""
    wires = Domain(name="rack", limit_w=NODE_W + 345 + 300.0, groups=("node-1",))
    alone = filled(9000, domains=(wires,)).settles()
    beside = filled(9000, domains=(wires,)).running("j", "node-1", gpus=1).settles()
    capped = filled(9000, domains=(wires,)).running("j", "node-1", gpus=3, cap_w=200.0).settles()
    waits = filled(9000, domains=(wires,)).job("j", gpus=4, priority=1).job("k", gpus=4).settles()

    assert fillers_w(alone) == {"node-1": 645.0}
    assert fillers_w(beside) == {"node-1": 300.0}
    assert fillers_w(capped) == {"node-1": 0.0}
    assert fillers_w(waits) == {"node-1": 0.0}


def test_an_emergency_stop_ends_them() -> None:
    """Nothing is left to them before it is released."""
    built = filled(1000).settles()
    stop = EmergencyStop(id="s", reason="smoke", by="ada", at=built.at)
    decision = shed(replace(built.snapshot(), stops=(stop,)))

    assert decision is not None
    assert decision.fillers_w == {"node-1": 0.0}


def test_a_gpu_counts_at_what_its_cap_lets_it_draw() -> None:
    """A measured curve may lie above the cap."""
    assert range_of(FillerKind(name="f"), A100_SXM) == Range(LEAST_W, MOST_W)
    assert range_of(FillerKind(name="f", least_cap_w=250.0, most_cap_w=300.0), A100_SXM) == Range(195, 245)
    assert range_of(FillerKind(name="f", least_cap_w=500.0), A100_SXM) is None
    whole = gpu_model("other", PowerLimits(min_w=300.0, max_w=300.0, idle_w=20.0))
    assert range_of(FillerKind(name="f"), whole) == Range(280, 280)
    assert cap_w(whole, 280) == 300.0


@pytest.mark.parametrize("filler_w", range(LEAST_W, MOST_W + 1, 7))
def test_no_cap_lets_a_gpu_draw_more_than_its_filler_may(filler_w: int) -> None:
    """And none is more than three watts lower than it need be."""
    cap = cap_w(A100_SXM, filler_w)

    drawn_w = A100_SXM.charge_w(cap) - A100_SXM.idle_w
    assert drawn_w <= filler_w + 1e-6
    assert drawn_w > filler_w - 3


def test_what_is_left_after_a_cut_is_enough_for_a_gpu_or_nothing() -> None:
    """Whole watts."""
    spec = filled(0).groups["node-1"].spec

    assert lowered_w(spec, 400.0, 99.5) == 300.0
    assert lowered_w(spec, 400.0, 360.0) == 0.0


def test_a_small_rise_is_not_worth_an_order() -> None:
    """Limits and meters jitter; what demands less is obeyed to the watt."""
    built = filled(1000).settles()
    jittered = built.limit_w(NODE_W + 1009).does()
    more = built.limit_w(NODE_W + 1020).does()
    less = built.limit_w(NODE_W + 1019).does()

    assert jittered == []
    assert more == ["mine 1020 W on node-1"]
    assert less == ["mine 1019 W on node-1"]


def test_who_was_shed_says_when_it_may_mine_again() -> None:
    """A program that was ended on a GPU is not started there again sooner."""
    policy, built = PowerAware(), filled(1000).settles()
    policy.decide(built.snapshot())
    offer = policy.offer()

    assert offer is not None
    assert [(m.name, m.power_w, m.again_after_s) for m in offer.down if m.name == "miners"] == [
        ("miners", 1000, MIN_OFF_S)
    ]

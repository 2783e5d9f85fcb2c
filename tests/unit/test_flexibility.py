"""The flex offer in numbers: how much could go or come, how soon, for how long, and who pays."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from scheduler.core.decide import PowerAware
from scheduler.core.estop import EmergencyStop
from scheduler.core.flexibility import HORIZONS_S, FlexOffer, Means, by_tier
from scheduler.core.floors import knee_cap_w
from scheduler.core.jobs import Phase
from scheduler.core.power import A100_SXM
from tests.builders import T0, SiteBuilder, site
from tests.told_site import ToldSite

IDLE_W, HELD_W, FULL_W = 820.0, 980.0, 2200.0  #: a node of four at rest, with held work, and uncapped
FLOOR_W = 195.0  #: the cap at which tiers 3 and 4 still run


def offered(built: SiteBuilder) -> FlexOffer:
    """What is offered right after a decision."""
    policy = PowerAware()
    policy.decide(built.snapshot())
    offer = policy.offer()
    assert offer is not None
    return offer


def watts(means: tuple[Means, ...]) -> dict[str, float]:
    """What each brings."""
    return {one.name: one.power_w for one in means}


def one_of(means: tuple[Means, ...], name: str) -> Means:
    """The one of that name."""
    return next(one for one in means if one.name == name)


def told(offer: FlexOffer) -> list[tuple[float, float]]:
    """Down and up within 5, 30 and 300 s."""
    return [(offer.down_w(seconds), offer.up_w(seconds)) for seconds in HORIZONS_S]


def busy() -> SiteBuilder:
    """Four GPUs at work, 2200 W, and miners at 2000 W."""
    return site().node(gpus=4).miners().limit_w(4200).running("j", "node-1").settles()


def told_nodes(**policy: float) -> ToldSite:
    """Two nodes that can go to standby."""
    built = ToldSite(**policy)
    built.node("a", gpus=4, standby_w=20).node("b", gpus=4, standby_w=20)
    return built


# -- down ------------------------------------------------------------------------------------------------------------


def test_what_could_go_is_told_by_its_means() -> None:
    """Miners, caps to their floors and holding at once; what is held still has contexts until it has left."""
    offer = offered(busy())

    assert watts(offer.down) == {
        "miners": 2000.0,
        "caps": 4 * (400 - FLOOR_W),
        "suspend": 4 * FLOOR_W - (HELD_W - 600),
        "release": HELD_W - IDLE_W,
    }
    assert offer.planned_w == 2000 + FULL_W
    assert [offer.left_w(seconds) for seconds in HORIZONS_S] == [HELD_W, IDLE_W, IDLE_W]


def test_how_long_it_holds_and_how_soon_again() -> None:
    """Held work costs its GPUs once it was held for long; nothing of AI is raised right after a cut."""
    built = busy()
    built.site = replace(built.site, raise_delay_s=10.0, suspend_max_s=60.0, restart_s=20.0, reaction_s=30.0)
    offer = offered(built)

    found = {m.name: (m.within_s, m.holds_s, m.again_after_s) for m in offer.down}
    assert found == {
        "miners": (3.5, None, 0.0),
        "caps": (3.5, None, 10.0),
        "suspend": (3.5, 60.0, 10.0),
        "release": (30.0, None, 30.0),
    }


def test_firm_work_stays() -> None:
    """It is no part of any offer, and the offer says whose work is."""
    built = site().node(gpus=4).node("b", gpus=4).limit_w(9000)
    built.running("firm", "node-1", gpus=2, flex=0).running("soft", "node-1", gpus=2)
    built.running("keen", "b", gpus=4, flex=1)
    offer = offered(built)
    suspend = one_of(offer.down, "suspend")

    assert one_of(offer.down, "caps").tiers_w[4] == 2 * (400 - FLOOR_W)
    assert suspend.tiers_w[4] == 2 * (FLOOR_W - 95)
    assert set(suspend.tiers_w) == {1, 4}
    assert offer.left_w(5) == (600 + 2 * 400 + 2 * 95) + HELD_W
    assert offer.left_w(30) == (600 + 2 * 400 + 2 * 55) + IDLE_W


def test_overhead_counts_for_nodes_and_not_for_miners() -> None:
    """Watts are those of the site meter."""
    built = site(overhead=1.25, firm_w=6000).node(gpus=4).miners().limit_w(4750).running("j", "node-1")
    offer = offered(built.settles())

    assert offer.planned_w == 1.25 * FULL_W + 2000
    assert watts(offer.down) == {"miners": 2000.0, "caps": 1025.0, "suspend": 500.0, "release": 200.0}


def test_a_guard_that_is_silent_gives_up_only_when_its_order_expires() -> None:
    """It cannot be told anything: 15 s of lease, 3 s of fall, half a second of doubt about its clock."""
    built = site().node("a", gpus=4).node("b", gpus=4).limit_w(9000)
    built.running("here", "a").running("there", "b")
    built.groups["b"] = replace(built.groups["b"], reported_at=T0 - timedelta(seconds=6))
    offer = offered(built)

    lapse = one_of(offer.down, "lapse")
    assert (lapse.power_w, lapse.within_s) == (FULL_W - HELD_W, 18.5)
    assert offer.down_w(5) == FULL_W - HELD_W
    assert offer.down_w(30) == 2 * (FULL_W - HELD_W) + (HELD_W - IDLE_W)


def test_nodes_that_could_be_emptied_could_go_to_standby() -> None:
    """In minutes, and not the one on which firm work is."""
    built = told_nodes(firm_w=3000, restart_s=20.0)
    built.limit_w(9000).running("firm", "a", flex=0).running("soft", "b")
    offer = offered(built)
    standby = one_of(offer.down, "standby")

    assert (standby.power_w, standby.within_s) == (IDLE_W - 20, 30.0 + 30.0)
    assert standby.again_after_s == 120.0 + 20.0
    assert [offer.left_w(seconds) for seconds in HORIZONS_S] == [FULL_W + x for x in (HELD_W, IDLE_W, 20)]


def test_standby_is_reached_in_two_steps_without_a_loss_of_firm_work() -> None:
    """First what goes within 30 s; once the nodes have followed, the limit may fall by what they drew at rest."""
    built = told_nodes(firm_w=3000)
    built.limit_w(9000).running("firm", "a", flex=0).running("soft", "b")
    offer = offered(built)

    built.limit_w(offer.left_w(30))
    built.turns(60)
    assert built.asleep() == ["b"]
    built.limit_w(offer.left_w(300))
    built.turns(3)
    assert [(a.job_id, a.phase) for a in built.attempts.values()] == [("firm", Phase.RUN)]


# -- up ------------------------------------------------------------------------------------------------------------


def test_what_could_be_added_is_told_by_its_means() -> None:
    """Miners to what they take, caps to none, and who waits for power starts."""
    built = site(restart_s=20.0, suspend_max_s=1e9).node(gpus=8).miners().limit_w(600 + 4 * 200 + 4 * 55)
    built.running("runs", "node-1", cap_w=200).job("waits", gpus=4)
    offer = offered(built)

    start = one_of(offer.up, "start")
    assert watts(offer.up) == {"miners": 4000.0, "caps": 4 * (400 - 200), "start": 4 * (FLOOR_W - 55)}
    assert (start.within_s, start.tiers_w) == (3.5 + 20, {4: 560.0})
    assert told(offer) == [(420.0, 4800.0), (580.0, 5360.0), (580.0, 5360.0)]


def test_what_is_held_for_want_of_power_could_go_on() -> None:
    """To no cap."""
    offer = offered(site().node(gpus=4).limit_w(5000).running("j", "node-1").limit_w(HELD_W))

    assert watts(offer.up) == {"resume": FULL_W - HELD_W}


def test_nodes_in_standby_could_be_woken_for_those_who_lack_gpus() -> None:
    """With their bases, after they have booted."""
    built = told_nodes(firm_w=9000, restart_s=20.0)
    built.sleeping("b")
    built.limit_w(FULL_W + 20).running("j", "a").job("waits", gpus=4)
    wake = one_of(offered(built).up, "wake")

    knee_w = knee_cap_w(A100_SXM, FLOOR_W, spared_w=(IDLE_W - 20) / 4)
    assert (wake.power_w, wake.within_s) == (IDLE_W - 20 + 4 * (knee_w - 55), 3.5 + 120 + 20)


def test_miners_come_along_their_ramp() -> None:
    """Of 2000 W at 50 W/s there are 75 after 5 s, 1325 after 30, and all after 300."""
    built = busy()
    built.site = replace(built.site, mining_ramp_up_w_per_s=50.0)
    offer = offered(built)

    assert [up for _, up in told(offer)] == [75.0, 1325.0, 2000.0]
    assert one_of(offer.up, "miners").within_s == 43.5


def test_after_a_cut_nothing_of_ai_is_raised_yet() -> None:
    """What is left of the dwell time comes before."""
    built = site(raise_delay_s=60.0).node(gpus=4).limit_w(FULL_W).running("j", "node-1", cap_w=300)
    built.last_cut_at = T0 - timedelta(seconds=20)

    assert one_of(offered(built).up, "caps").within_s == 40.0


def test_nothing_is_added_under_an_emergency_stop_or_while_nothing_may_be_raised() -> None:
    """And what has gone already is not offered twice."""
    built = busy()
    policy = PowerAware()
    stop = EmergencyStop(id="x", reason="smoke", by="ada", at=T0)
    policy.decide(replace(built.snapshot(), stops=(stop,)))
    stopped = policy.offer()
    policy.decide(replace(built.snapshot(), raises_allowed=False))
    barred = policy.offer()

    assert stopped is not None
    assert barred is not None
    assert (watts(stopped.down), stopped.up, barred.up) == ({"release": HELD_W - IDLE_W}, (), ())


# -- the offer itself ----------------------------------------------------------------------------------------------


def test_there_is_an_offer_only_of_a_decision() -> None:
    """Not before the first, and not once more was shed since."""
    built, policy = busy(), PowerAware()
    assert policy.offer() is None

    policy.decide(built.snapshot())
    assert policy.offer() is not None

    policy.shed(built.snapshot())
    assert policy.offer() is None


@pytest.mark.parametrize(
    "at_most_w, tiers_w", [(1e9, {4: 101.0, 2: 70.0}), (130.5, {4: 101.0, 2: 29.0}), (50.0, {4: 50.0})]
)
def test_the_most_flexible_pays_first(at_most_w: float, tiers_w: dict[int, float]) -> None:
    """In whole watts, and no more than there is in all."""
    assert by_tier([(2, 70.9), (4, 60.5), (4, 40.5), (1, 0.2)], at_most_w) == tiers_w

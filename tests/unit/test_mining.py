"""Mining partners beside AI work, round by round, under each mode that a site file can name."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

import pytest

from scheduler.core.decide import shed
from scheduler.core.jobs import Desired
from scheduler.core.modes import DivisionCode, Mode, Revenue, Shares, Threshold
from scheduler.core.partners import Partner, Price
from scheduler.documents import power_document, sample
from tests.builders import T0, SiteBuilder, site

NODE_W = 600 + 4 * 55  #: a node of four GPUs with nothing on it
MWH = 1_000_000


def partner(name: str, *, price: int = 50, **changes: object) -> Partner:
    """A partner with the miner group of its name."""
    quoted = Price(micro_per_mwh=price * MWH, source="contract")
    return Partner(**({"partner_id": name, "groups": (name,), "price": quoted} | changes))  # type: ignore[arg-type]


def shared(
    surplus_w: float, *partners: Partner, max_w: float = 9000.0, nodes: int = 1, **policy: object
) -> SiteBuilder:
    """Nodes of four GPUs, a miner group for each partner, and so much surplus."""
    built = site(partners=partners, **policy)
    for i in range(nodes):
        built.node(f"node-{i + 1}")
    for one in partners or (partner("own"),):
        built.miners(one.partner_id, max_w=max_w)
    return built.limit_w(nodes * NODE_W + surplus_w)


def mined(built: SiteBuilder) -> dict[str, float]:
    """The targets of the miner groups."""
    return {gid: round(g.miners_target_w) for gid, g in built.groups.items() if g.spec.miners_max_w}


def running(built: SiteBuilder) -> list[str]:
    """Jobs that run."""
    return sorted(a.job_id for a in built.attempts.values() if a.phase == "run")


def test_what_ai_leaves_is_divided_by_weight_floor_and_cap() -> None:
    """Not by the size of the groups, which are alike here; what one may not take is the others'."""
    built = shared(8000, partner("a", weight=3), partner("b"), partner("c", cap_w=1000, weight=9)).settles()

    assert mined(built) == {"a": 5250, "b": 1750, "c": 1000}


def test_miners_that_nobody_owns_are_the_sites_own() -> None:
    """With the weight of one beside the partners."""
    assert mined(shared(6000, partner("a", weight=2)).miners("ours").settles()) == {"a": 4000, "ours": 2000}


def test_ai_first_takes_the_watts_of_all_partners() -> None:
    """It waits only until they have given them back."""
    built = shared(1600, partner("a"), partner("b")).settles()
    assert sum(mined(built).values()) == 1600

    built.job("j", gpus=4).settles()
    assert running(built) == ["j"]
    assert sum(mined(built).values()) < 400


def test_under_shares_ai_does_not_rise_into_what_is_minings() -> None:
    """Half of 2000 W is enough for one job of four GPUs and not for two; mining takes what AI cannot."""
    built = shared(2000, partner("a"), nodes=2, mode=Shares(mining=0.5))
    built.job("one", gpus=4).job("two", gpus=4).settles()

    assert running(built) == ["one"]
    assert mined(built)["a"] >= 1000
    ai_first = shared(2000, partner("a"), nodes=2).job("one", gpus=4).job("two", gpus=4)
    assert running(ai_first.settles()) == ["one", "two"]


def test_under_shares_ai_gets_its_own_part_back_from_mining() -> None:
    """While nobody else used it all was mined."""
    built = shared(3000, partner("a"), nodes=2, mode=Shares(mining=0.5)).settles()
    assert mined(built) == {"a": 3000}

    assert running(built.job("one", gpus=4).settles()) == ["one"]


def test_under_shares_mining_gives_way_first_when_power_is_withdrawn() -> None:
    """AI is never cut so that mining keeps its share."""
    built = shared(3000, partner("a"), mode=Shares(mining=0.4)).job("j", gpus=4).settles()
    before = dict(built.attempts)

    built.limit_w(NODE_W + 1400).settles()
    assert running(built) == ["j"]
    assert {k: a.cap_w for k, a in built.attempts.items()} == {k: a.cap_w for k, a in before.items()}
    assert mined(built)["a"] < 0.4 * 1400


def test_firm_work_comes_before_shares() -> None:
    """Mining is due all, and gets what firm work leaves."""
    built = (
        shared(1600, partner("a"), mode=Shares(mining=1.0))
        .job("firm", gpus=4, flex=0)
        .job("j", gpus=1)
        .settles()
    )

    assert running(built) == ["firm"]
    assert 0 < mined(built)["a"] < 400


@pytest.mark.parametrize("priority, starts", [(0, []), (20, ["j"])])
def test_by_revenue_the_better_payer_gets_the_watts(priority: int, starts: list[str]) -> None:
    """At 0.01 per GPU-hour AI brings about 30 per MWh, at a priority of 20 four times that; the partner pays 50."""
    built = shared(2000, partner("a"), mode=Revenue(gpu_h_micro=10_000))

    assert running(built.job("j", gpus=4, priority=priority).settles()) == starts


@pytest.mark.parametrize("age_s, starts", [(60.0, []), (7200.0, ["j"])])
def test_by_revenue_a_stale_price_ranks_nothing(age_s: float, starts: list[str]) -> None:
    """AI comes first meanwhile, and it is said why."""
    price = Price(
        micro_per_mwh=50 * MWH, source="pool", as_of_at=T0 - timedelta(seconds=age_s), stale_after_s=3600
    )
    built = shared(2000, partner("a"), mode=Revenue(gpu_h_micro=10_000))
    built.site = site(
        partners=(Partner(partner_id="a", groups=("a",), price=price),), mode=built.site.mode
    ).site

    assert running(built.job("j", gpus=4).settles()) == starts
    codes = [r.code for r in built.decided().sharing]
    assert (DivisionCode.NOT_RANKED in codes) == bool(starts)


@pytest.mark.parametrize("surplus_w, mining_w", [(3999, 0), (4000, 3500), (9000, 8500)])
def test_a_threshold_mines_nothing_below_it_and_leaves_a_reserve_above(
    surplus_w: float, mining_w: int
) -> None:
    """Without AI work the surplus is what the limit leaves above the idle site."""
    built = shared(surplus_w, partner("a"), mode=Threshold(from_w=4000, reserve_w=500)).settles()

    assert mined(built) == {"a": mining_w}


def test_withdrawn_power_is_taken_from_the_largest_tier_first() -> None:
    """Down to its floor, before anybody of a smaller tier loses a watt."""
    built = shared(8000, partner("a", tier=1), partner("b", tier=4, floor_w=1000)).settles()
    assert mined(built) == {"a": 4000, "b": 4000}

    reduction = shed(built.limit_w(NODE_W + 5500).snapshot())
    assert reduction is not None
    assert reduction.miners_w == {"a": 4000.0, "b": 1500.0}
    reduction = shed(built.limit_w(NODE_W + 4000).snapshot())
    assert reduction is not None
    assert reduction.miners_w == {"a": 3000.0, "b": 1000.0}


def test_withdrawn_power_is_taken_from_equals_as_the_next_division_will() -> None:
    """Nobody is put to sleep only to be woken again a second later."""
    built = shared(8000, partner("a", weight=3), partner("b")).settles()
    reduction = shed(built.limit_w(NODE_W + 4000).snapshot())

    assert reduction is not None
    assert reduction.miners_w == {"a": 3000.0, "b": 1000.0}
    assert mined(built.settles()) == {"a": 3000, "b": 1000}


def test_miners_rise_along_the_ramp_and_fall_at_once() -> None:
    """Step by step, each asking for the next a second later; no ramp holds up what a limit demands."""
    built = shared(2500, partner("a", weight=3), partner("b"), mining_ramp_up_w_per_s=1000.0)
    decision = built.decided()
    assert mined(built) == {"a": 750, "b": 250}
    assert decision.wake_at == built.at + timedelta(seconds=1)

    assert sum(mined(built.settles()).values()) == 2500
    built.limit_w(NODE_W + 100).decided()
    assert sum(mined(built).values()) == 100


def test_voluntary_steps_down_have_a_ramp_too() -> None:
    """A threshold that is not reached any more stops mining gently, where no limit demands more."""
    built = shared(4000, partner("a"), mode=Threshold(from_w=4000), mining_ramp_down_w_per_s=1000.0).settles()
    built.limit_w(NODE_W + 3800).decided()
    assert mined(built) == {"a": 2800}

    assert mined(built.settles()) == {"a": 0}


@pytest.mark.parametrize(
    "mode, words",
    [
        (Shares(mining=0.25), "Mining is due 25.0% of 4.0 kW and gets 4.0 kW"),
        (Threshold(from_w=5000), "A surplus of 4 kW is below 5 kW: all of it is AI's."),
        (
            Revenue(gpu_h_micro=1),
            "The best MWh first: AI gets 0.0 of the 0.0 kW that it can use, mining 4.0 kW",
        ),
    ],
)
def test_the_power_document_says_how_it_is_divided(mode: Mode, words: str) -> None:
    """In the sentence that `barq power` begins with."""
    built = shared(4000, partner("a"), mode=mode).settles()
    snapshot, decision = built.snapshot(), built.decided()
    document = power_document(snapshot, decision, sample(snapshot, decision, over_limit=False))

    assert words in document["sentence"]
    assert document["mode"] == mode.name


def test_what_ai_waits_for_is_told() -> None:
    """It can use more than it gets, and the sentence does not hide it."""
    built = shared(2000, partner("a"), nodes=2, mode=Shares(mining=0.5))
    built.job("one", gpus=4).job("two", gpus=4).settles()
    told = built.decided().sharing[0]

    assert told.numbers["ai_wanted_w"] > told.numbers["ai_w"] > 0


def test_a_site_without_partners_or_mode_says_nothing_of_them() -> None:
    """And feeds its groups in proportion to their size, to the fraction of a watt."""
    built = site().node().miners("a", max_w=2000).miners("b", max_w=1000).limit_w(NODE_W + 1000).settles()

    assert built.decided().sharing == ()
    assert built.groups["a"].miners_target_w == pytest.approx(2000 / 3)


def test_a_sliver_more_is_not_worth_an_order() -> None:
    """Of 9 kW fewer than 9 W are left lie; a lower limit is heeded to the watt."""
    built = shared(8000, partner("a"), partner("b")).settles()
    assert mined(built) == {"a": 4000, "b": 4000}

    assert mined(built.limit_w(NODE_W + 8008).settles()) == {"a": 4000, "b": 4000}
    assert mined(built.limit_w(NODE_W + 8020).settles()) == {"a": 4010, "b": 4010}
    assert mined(built.limit_w(NODE_W + 8018).settles()) == {"a": 4009, "b": 4009}


def test_each_watt_below_a_floor_is_worth_an_order() -> None:
    """It is what a contract promises; above it a sliver is left lie again."""
    built = shared(998, partner("a", floor_w=1000)).settles()
    assert mined(built) == {"a": 998}

    assert mined(built.limit_w(NODE_W + 1000).settles()) == {"a": 1000}
    assert mined(built.limit_w(NODE_W + 1001).settles()) == {"a": 1000}


def test_what_is_left_beside_open_orders_is_not_handed_out_watt_by_watt() -> None:
    """Miners wait for the rest of a raise, rather than be told of a sliver of it first."""
    built = shared(8000, partner("a"), partner("b")).job("j", gpus=4).settles()
    built.wants("j", Desired.CANCEL).limit_w(NODE_W + 8008)
    targets_w = [sum(mined(built).values())]
    for _ in range(6):
        built.does()
        targets_w.append(sum(mined(built).values()))

    assert targets_w[-1] == 8008
    assert all(a == b or b - a > 9 for a, b in pairwise(targets_w))

"""Limits of feeders and racks below the site's meter: kept by the same means as the site's, in the same order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from scheduler.core.decide import decide, shed
from scheduler.core.domains import Domain
from scheduler.core.jobs import JobState
from scheduler.core.orders import NodePower
from tests.builders import SiteBuilder, obey, site

IDLE_W = 820.0  #: a node of four at rest: 600 W and 4 x 55 W


def rack(limit_w: float, *groups: str, **fields: Any) -> Domain:
    """A rack with a breaker."""
    return Domain(name="rack", limit_w=limit_w, groups=groups or ("a",), **fields)


def under(built: SiteBuilder, *domains: Domain) -> SiteBuilder:
    """The same site with these limits below its meter."""
    built.site = replace(built.site, domains=domains)
    return built


def two_nodes(*domains: Domain) -> SiteBuilder:
    """Two nodes of four, plenty of power for both."""
    return under(site(firm_w=20_000).node("a").node("b").limit_w(20_000), *domains)


def test_work_in_a_rack_is_capped_at_what_the_breaker_carries() -> None:
    """1500 W leave 225 W for each of its GPUs; the other node's are not touched."""
    built = two_nodes(rack(1500)).running("j", "a").running("k", "b")

    assert built.does() == ["cap j at 225 W"]
    assert built.does() == []


def test_caps_go_before_pauses_and_pauses_before_saving() -> None:
    """At their floors two jobs of two GPUs need 1380 W, one of them 1180 W; held ones draw 95 W a GPU."""
    for limit_w, done in (
        (1400, ["cap j at 200 W", "cap k at 200 W"]),
        (1350, ["cap k at 195 W", "suspend j"]),
        (1150, ["suspend j", "suspend k"]),
        (950, ["save j", "suspend k"]),
        (850, ["save j", "save k"]),
    ):
        halves = two_nodes(rack(limit_w)).running("j", "a", gpus=2).running("k", "a", gpus=2)
        assert halves.does() == done


def test_miners_in_a_domain_go_first() -> None:
    """As at the site's meter, and no others."""
    built = two_nodes(Domain(name="feeder", limit_w=3000, groups=("a", "m"))).running("j", "a")
    built.miners("m", max_w=4000).miners("far", max_w=4000)
    built.settles()

    assert [round(built.groups[g].miners_target_w) for g in ("m", "far")] == [800, 4000]


def test_the_fast_path_keeps_it_too() -> None:
    """A breaker is no matter for the slow one."""
    built = two_nodes(rack(1500)).running("j", "a")
    reduction = shed(built.snapshot())

    assert reduction is not None
    assert reduction.drafts["a"].entitlement_w == 1500


def test_a_start_that_does_not_fit_goes_elsewhere() -> None:
    """The fullest node is full by its breaker: the next one takes it."""
    built = two_nodes(rack(1150)).running("j", "a", gpus=2, cap_w=100.0).job("k", gpus=2)
    built.does()

    assert [p.node_id for p in built.attempts["k.1"].placements] == ["b"]


def test_a_start_that_fits_nowhere_says_what_is_missing_where() -> None:
    """With numbers: the breaker's, not the site's."""
    built = under(site(firm_w=20_000).node("a").limit_w(20_000), rack(1000)).job("j", gpus=4)
    reason = decide(built.snapshot()).reasons["j"]

    assert (reason.code, reason.numbers["domain_w"]) == ("PowerUnavailable", 1000)
    assert reason.text == "needs 0.56 kW more in rack, where 0.18 kW of 1.00 kW is free"
    assert reason.remedy == "a higher limit of rack, fewer GPUs, or nodes elsewhere"


def test_peers_give_way_for_a_start_and_it_waits_until_they_have() -> None:
    """Down to their knees, and not one watt above the breaker on the way."""
    built = two_nodes(rack(3300, "a", "b")).running("j", "a").job("k", gpus=4)

    assert built.does(obeyed=False) == ["cap j at 260 W"]
    assert built.does(obeyed=False) == []
    obey(built, "a")
    assert built.does() == ["start k on b at 265 W"]
    assert draws_w(built, "a") + draws_w(built, "b") <= 3300


def test_what_a_rack_cannot_use_lifts_the_others() -> None:
    """The site's watts go to who may have them."""
    built = two_nodes(rack(1300)).running("j", "a", cap_w=100.0).running("k", "b", cap_w=100.0)
    built.limit_w(1300 + IDLE_W + 4 * (350 - 55)).settles()

    assert built.attempts["j.1"].cap_w == 175.0
    assert built.attempts["k.1"].cap_w >= 345.0


def test_who_is_capped_is_told_by_which_limit() -> None:
    """That of the domain where it binds, that of the site where it does not."""
    built = two_nodes(rack(1500)).running("j", "a").running("k", "b").settles()
    built.limit_w(1500 + IDLE_W + 4 * (300 - 55)).settles()
    reasons = decide(built.snapshot()).reasons

    assert reasons["j"].text.endswith("full speed: rack allows 1.5 kW")
    assert reasons["k"].text.endswith("full speed: grid allows 3.3 kW")


def test_suspended_work_goes_on_once_its_domain_has_room() -> None:
    """Not before."""
    built = two_nodes(rack(900)).running("j", "a")
    built.does()
    assert built.attempts["j.1"].phase != "run"
    under(built, rack(2300)).passes(1).settles()

    assert built.jobs["j"].state in (JobState.RUNNING, JobState.STARTING)


def test_a_domain_within_a_domain_is_kept_with_the_overhead_between() -> None:
    """The hall of both racks allows less than they do."""
    tree = (
        Domain(name="hall", limit_w=4000, overhead=1.25),
        rack(1900, parent="hall"),
        Domain(name="rack-2", limit_w=1900, parent="hall", groups=("b",)),
    )
    built = two_nodes(*tree).running("j", "a").running("k", "b").settles()

    assert 1.25 * (draws_w(built, "a") + draws_w(built, "b")) <= 4000
    assert built.attempts["j.1"].cap_w == built.attempts["k.1"].cap_w


def test_a_node_is_woken_only_where_its_domain_has_room_for_it() -> None:
    """It would stand there for nothing, and be put to standby again."""
    for limit_w, woken in ((1900 + 20 + 700, []), (1900 + 20 + 1700, ["b"])):
        built = under(
            site(firm_w=20_000).node("a").node("b", standby_w=20.0).limit_w(20_000), rack(limit_w, "a", "b")
        )
        built.groups["b"] = replace(built.groups["b"], power=NodePower.STANDBY)
        built.running("j", "a", gpus=4).job("k", gpus=4)
        drafts = decide(built.snapshot()).drafts

        assert [gid for gid, draft in drafts.items() if gid == "b" and not draft.standby] == woken


def test_empty_nodes_go_to_standby_where_their_domain_allows_less_than_their_rest() -> None:
    """As many as it takes, behind that breaker alone."""
    built = site(firm_w=20_000).limit_w(20_000)
    for name in "abc":
        built.node(name, standby_w=20.0)
    idle_w = built.groups["a"].account.idle_w
    drafts = decide(under(built, rack(1.5 * idle_w, "b", "c")).snapshot()).drafts

    assert [gid for gid, draft in drafts.items() if draft.standby] == ["b"]


def draws_w(built: SiteBuilder, group_id: str) -> float:
    """What a node may draw as last read back."""
    return built.groups[group_id].account.charged_w

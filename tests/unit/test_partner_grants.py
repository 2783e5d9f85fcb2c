"""What each mining partner is told that it may draw: what was ordered, until it expires, and why it is no more."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from scheduler.core.estop import EmergencyStop
from scheduler.core.machines import MachineKind
from scheduler.core.orders import MinerReading
from scheduler.core.partner_grants import PartnerGrant, floor_events, lacking, partner_grants
from scheduler.core.partners import Partner
from scheduler.partner_documents import Floors, told_of_partners
from tests.builders import T0, SiteBuilder

NODE_W = 600 + 4 * 55  #: a node of four GPUs with nothing on it
NORTH = Partner(partner_id="north", groups=("n",), weight=3, floor_w=2000, tier=2)
SOUTH = Partner(partner_id="south", groups=("s",), weight=1, cap_w=3000)


def shared(surplus_w: float, *partners: Partner, **policy: Any) -> SiteBuilder:
    """A node, a partner or two with miners of 4 kW each, and so much surplus; all have done as told."""
    built = SiteBuilder(partners=partners or (NORTH, SOUTH), **policy).node().miners("n").miners("s")
    return built.limit_w(NODE_W + surplus_w).settles()


def grants(built: SiteBuilder) -> dict[str, PartnerGrant]:
    """As the next decision leaves them."""
    decision = built.decided()
    return {g.partner.partner_id: g for g in partner_grants(built.snapshot(), decision, {})}


def codes(grant: PartnerGrant) -> list[str]:
    """Of its reasons."""
    return [reason.code for reason in grant.reasons]


def test_a_grant_is_what_was_ordered_until_that_expires() -> None:
    """Of 4 kW three parts and one; nothing once the lease is over, which is what the guards were told."""
    built = shared(4000)
    found = grants(built)
    orders = {gid: max(g.account.open, key=lambda o: o.fence) for gid, g in built.groups.items()}

    assert {n: (g.granted_w, g.due_w, g.then_w) for n, g in found.items()} == {
        "north": (3000.0, 3000, 0.0),
        "south": (1000.0, 1000, 0.0),
    }
    assert found["north"].until_at == orders["n"].expires_at
    assert all(g.is_followed and g.until_at is not None and g.until_at > built.at for g in found.values())
    assert found["south"].owed_wh is None


def test_it_says_why_it_is_no_more() -> None:
    """The share by weights, with its numbers; nothing where a partner has all that it can take."""
    found = grants(shared(4000))
    assert codes(found["north"]) == ["SurplusShared"]
    assert found["north"].reasons[0].text == (
        "mining is left 4.0 kW; with a weight of 3 it is due 3.0 of the 4.0 kW that it could take"
    )

    found = grants(shared(9000))
    assert (codes(found["north"]), codes(found["south"])) == ([], ["ContractCap"])
    assert found["south"].wants_w == 3000


def test_a_grant_that_ran_out_is_none() -> None:
    """Nobody decides for an hour: no order stands, and the guards have gone to their fallback."""
    built = shared(4000)
    decision = built.decided()
    late = replace(built.snapshot(), at=built.at + timedelta(hours=1))
    north, _ = partner_grants(late, decision, {})

    assert (north.granted_w, north.until_at, north.is_followed) == (0.0, None, False)
    assert codes(north)[:2] == ["NotHeardOf", "GrantExpired"]


def test_who_is_not_heard_of_is_named() -> None:
    """Nothing is planned with its machines, and what was ordered last stands until it expires."""
    built = shared(4000)
    decision, snapshot = built.decided(), built.snapshot()
    silent = replace(snapshot.groups["n"], reported_at=T0 - timedelta(hours=1))
    north, south = partner_grants(replace(snapshot, groups={**snapshot.groups, "n": silent}), decision, {})

    assert (codes(north)[0], north.wants_w, north.granted_w) == ("NotHeardOf", 0, 3000.0)
    assert north.reasons[0].text == "n is not heard of: nothing is planned with its machines"
    assert north.reasons[0].remedy == "see to the guard of n"
    assert codes(south) == ["SurplusShared"]

    lone = replace(silent, unguarded=True)
    north, _ = partner_grants(replace(snapshot, groups={**snapshot.groups, "n": lone}), decision, {})
    assert north.reasons[0].text == "nobody guards n: nothing is planned with its machines"


def test_an_emergency_stop_comes_first() -> None:
    """It is the reason, whatever else holds."""
    built = shared(4000)
    decision = built.decided()
    stop = EmergencyStop(id="s1", reason="smoke", by="noor", at=T0)
    north, _ = partner_grants(replace(built.snapshot(), stops=(stop,)), decision, {})

    assert codes(north)[0] == "EmergencyStop"
    assert "noor" in north.reasons[0].text


def test_whole_machines_are_owed_what_does_not_fit() -> None:
    """4.5 kW of machines of 3.5 kW: 1 kW is due and not granted, and it says so."""
    built = SiteBuilder(partners=(NORTH,)).node().miners("n", max_w=7000.0)
    spec = replace(built.groups["n"].spec, machine=MachineKind(max_w=3500))
    asleep = tuple(MinerReading(miner_id=f"n{i}", target_w=0.0, draw_w=0.0) for i in range(2))
    built.groups["n"] = replace(built.groups["n"], spec=spec, miners=asleep)
    built.limit_w(NODE_W + 4500)
    decision = built.decided(obeyed=False)
    (found,) = partner_grants(built.snapshot(), decision, {})

    assert (found.granted_w, found.due_w, found.owed_wh) == (3500.0, 4500, 0.0)
    assert (found.machines, found.machines_on, found.is_followed) == (2, 0, False)
    assert codes(found) == ["SurplusShared", "WholeMachines"]


def test_without_partners_the_house_has_a_grant_and_nothing_is_due() -> None:
    """Miners that nobody else owns are the site's own."""
    built = SiteBuilder().node().miners("n").limit_w(NODE_W + 2000).settles()
    found = grants(built)

    assert {n: (g.granted_w, g.due_w) for n, g in found.items()} == {"house": (2000.0, None)}


def test_a_floor_that_is_missed_is_told_once_and_so_is_its_end() -> None:
    """With the numbers, and how long it lasted; a floor that machines cannot take is missed by nobody."""
    low, high = grants(shared(500)), grants(shared(4000))
    began = floor_events({}, low.values(), T0)
    since = lacking({}, low.values(), T0)
    later = T0 + timedelta(seconds=90)

    assert [(e.kind, e.text, e.data["due_w"]) for e in began] == [
        ("partner.floor_missed", "partner north gets 0.5 kW of its floor of 2.0 kW", 500)
    ]
    assert floor_events(since, low.values(), later) == []
    assert lacking(since, low.values(), later) == {"north": T0}
    ended = floor_events(since, high.values(), later)
    assert [(e.kind, e.data["lasted_s"]) for e in ended] == [("partner.floor_kept", 90.0)]
    assert lacking(since, high.values(), later) == {}


def test_the_document_names_the_next_change_that_is_known() -> None:
    """Of the limit: what it leaves a partner depends on what AI uses then."""
    built = shared(4000).falls_to_w(2000.0, in_s=600.0)
    decision = built.decided()
    floors = Floors()
    document = told_of_partners(built.snapshot(), decision, {}, floors)

    change = document["next_change"]
    assert (change["limit_w"], change["at"]) == (2000.0, (built.at + timedelta(seconds=600)).isoformat())
    assert [one["name"] for one in document["partners"]] == ["north", "south"]
    assert document["division"].startswith("AI comes first")
    assert floors.events == ()

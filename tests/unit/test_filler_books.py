"""Whose the watts of fillers are: in the books of partners, in their grants, and in what the site shows."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from scheduler.core.earnings import earnings
from scheduler.core.filler_books import Filled, filled_w
from scheduler.core.orders import FillerKind
from scheduler.core.partner_grants import partner_grants
from scheduler.core.partners import HOUSE, Partner
from scheduler.core.snapshot import MeterReading
from scheduler.documents import nodes_document, sample
from scheduler.partner_documents import Floors, told_of_partners
from scheduler.pricing import quotes_for
from scheduler.settling import Settling
from tests.builders import T0, SiteBuilder, site
from tests.settled import terms
from tests.unit.test_settling import Known

REST_W = 600 + 4 * 55


def of_two_owners() -> SiteBuilder:
    """A node of north's filler, one of the site's own, one without, and north's miners; AI has half of a node."""
    north = Partner(partner_id="north", groups=("m",))
    built = site(partners=(north,), overhead=1.25).miners("m", max_w=1000)
    for name, partner in (("a", "north"), ("b", ""), ("c", None)):
        built.node(name)
        group = built.groups[name]
        filler = None if partner is None else FillerKind(name="rig", partner=partner)
        built.groups[name] = replace(group, spec=replace(group.spec, filler=filler))
    built.limit_w(1.25 * (3 * REST_W + 4 * 345 + 2000) + 1000)
    return built.running("j", "c", gpus=4).settles()


def test_the_watts_of_a_filler_are_its_owners_and_no_others() -> None:
    """What is left after the miners: 1380 W for one node of north's, and 620 W for the site's own."""
    built = of_two_owners()
    decision = built.decided()
    found = filled_w(built.snapshot(), decision)

    assert found == {
        "north": Filled(metered_w=1380, granted_w=1380),
        HOUSE: Filled(metered_w=620, granted_w=620),
    }


def test_what_a_filler_draws_too_much_is_an_overdraw_of_its_node() -> None:
    """Beside another that draws less; of one that nobody hears of nothing is metered."""
    built = of_two_owners()
    snapshot = built.snapshot()
    loud = replace(snapshot.groups["a"].miners[0], draw_w=1400.0)
    groups = {
        **snapshot.groups,
        "a": replace(snapshot.groups["a"], miners=(loud,)),
        "b": replace(snapshot.groups["b"], reported_at=T0 - timedelta(seconds=60)),
    }
    found = filled_w(replace(snapshot, groups=groups), built.decided())

    assert found["north"] == Filled(metered_w=1400, granted_w=1380, overdraw_w=20)
    assert (found["north"].is_heard, found[HOUSE].is_heard) == (True, False)
    assert found[HOUSE].metered_w == 0


def test_partners_ai_and_overhead_are_all_that_the_meter_sees() -> None:
    """To the watt-second, with the fillers of partners and of the site, and AI does not pay for them."""
    built, books = of_two_owners(), Settling()
    books.open({"north": terms()})
    decision, snapshot = built.decided(), built.snapshot()
    nodes_w = sum(snapshot.groups[n].draw_w for n in "abc")
    for seconds in range(0, 910, 10):
        at = T0 + timedelta(seconds=seconds)
        now = replace(
            snapshot,
            at=at,
            groups={gid: replace(g, reported_at=at) for gid, g in snapshot.groups.items()},
            meter=MeterReading(draw_w=1.25 * nodes_w + 1000, measured_at=at),
        )
        books.measure(now, decision, sample(now, decision, over_limit=False))
    (measured,) = books.measured
    books.priced(measured, quotes_for(measured, Known()))
    (one,) = books.closed
    balance = one.balance

    assert nodes_w == 3 * REST_W + 1380 + 620 + 4 * (400 - 55)
    assert balance.partners_ws == {"north": 900 * (1000 + 1380), HOUSE: 900 * 620}
    assert balance.ai_ws == 900 * round(1.25 * 4 * 382)
    assert balance.losses_ws == 0
    assert balance.overhead_ws == balance.site_ws - balance.ai_ws - sum(balance.partners_ws.values())
    assert {d.partner_id: d.energy.curtailed_ws for d in one.drafts} == {"north": {}, HOUSE: {}}


def test_a_partner_is_granted_what_its_fillers_may_draw() -> None:
    """Beside its miners; its machines are all of them."""
    built = of_two_owners()
    north, house = partner_grants(built.snapshot(), built.decided(), {})

    assert (north.granted_w, north.draw_w, north.due_w, north.machines_on) == (2380, 2380, 1000, 2)
    assert (house.partner.partner_id, house.granted_w, house.until_at is not None) == (HOUSE, 620, True)


def test_a_partner_is_told_which_fillers_are_among_its_machines() -> None:
    """By name and node, also the site itself; a node is no group of miners."""
    built = of_two_owners()
    document = told_of_partners(built.snapshot(), built.decided(), {}, Floors())

    assert [(one["groups"], one["fillers"]) for one in document["partners"]] == [
        (["m"], [{"name": "rig", "node": "a"}]),
        ([], [{"name": "rig", "node": "b"}]),
    ]


def test_a_node_shows_what_runs_on_its_idle_gpus() -> None:
    """Its GPUs are free, and the filler is told of beside them."""
    built = of_two_owners()
    shown = {node["id"]: node for node in nodes_document(built.snapshot(), {})}

    assert shown["a"]["entitlement_w"] == REST_W + 1380
    assert [m["state"] for m in shown["a"]["miners"]] == ["running"]
    assert {gpu["attempt_id"] for gpu in shown["a"]["gpus"]} == {None}
    assert shown["c"]["miners"] == []


def test_a_node_with_a_filler_is_no_fleet() -> None:
    """What it draws is for the most part AI's and its own: nobody earns with that, nor with unknown hashes."""
    built = of_two_owners()
    snapshot = built.snapshot()
    told = earnings(snapshot.site, snapshot.groups, None, T0)

    assert [(e.partner_id, [g.group_id for g in e.groups]) for e in told] == [("north", ["m"])]


def test_what_a_silent_node_draws_is_missing_in_its_owners_interval() -> None:
    """And said to be: the quality of the interval is that of all that the partner has."""
    built, books = of_two_owners(), Settling()
    books.open({"north": terms()})
    decision, snapshot = built.decided(), built.snapshot()
    for seconds in range(0, 910, 10):
        at = T0 + timedelta(seconds=seconds)
        groups = {gid: replace(g, reported_at=at) for gid, g in snapshot.groups.items()}
        groups["a"] = replace(groups["a"], reported_at=T0 - timedelta(seconds=60))
        now = replace(snapshot, at=at, groups=groups, meter=MeterReading(draw_w=9000, measured_at=at))
        books.measure(now, decision, sample(now, decision, over_limit=False))
    (measured,) = books.measured
    heard_ms = {name: part.heard_ms for name, part in measured.over.parts.items()}

    assert heard_ms == {"north": 0, HOUSE: 900_000}

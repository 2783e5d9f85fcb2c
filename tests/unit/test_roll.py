"""Who belongs to the site: nodes that joined count before they speak, strangers count and get no work."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from scheduler.core.decide import decide
from scheduler.core.ledger import OpenOrder, exposure_w
from scheduler.core.orders import FallbackStep, Fence, GuardReport
from scheduler.records import Intents, Member, Stored
from scheduler.view import View
from tests.builders import T0, SiteBuilder, site
from tests.reports import quiet_report

IDLE_W, NAMEPLATE_W = 820.0, 2200.0  #: a node of four A100


def viewed(built: SiteBuilder) -> View:
    """A leader that just began on a site."""
    return View(built.site, {gid: g.spec for gid, g in built.groups.items()}, epoch=1, at=T0)


def a_report(built: SiteBuilder, gid: str, **changes: Any) -> GuardReport:
    """What a guard with nothing on its devices says."""
    return replace(quiet_report(built.groups[gid].spec, draw_w=IDLE_W), **changes)


def heard(view: View, report: GuardReport, after_s: float = 0.0) -> bool:
    """The report comes in so many seconds into the story."""
    return view.take_report(report, at=T0 + timedelta(seconds=after_s), heard_s=after_s)


def joined(built: SiteBuilder, gid: str, *, leaving: bool = False, **changes: Any) -> Member:
    """A node of the builder as it was agreed on."""
    return Member(spec=replace(built.groups[gid].spec, **changes), leaving=leaving)


def test_a_node_that_joined_counts_before_it_speaks() -> None:
    """At nameplate, until it can follow no order that nobody here knows of; a restarted scheduler counts it too."""
    built = site().node("a").node("b")
    for comes in (Intents(seq=1, members=(joined(built, "b"),)), (joined(built, "b"),)):
        view = viewed(site().node("a"))
        if isinstance(comes, Intents):
            assert view.take_intents(comes)
        else:
            view.restore(a_stored(members=comes))
        assert exposure_w(view.groups["b"].account, T0, fall_s=3.0) == NAMEPLATE_W
        assert not view.groups["b"].cordoned


def test_open_orders_of_a_node_that_joined_are_restored() -> None:
    """Like those of the site file's nodes: they may still stand."""
    built = site().node("a").node("b")
    order = OpenOrder(
        fence=Fence(epoch=1, seq=4),
        entitlement_w=1500.0,
        fallback=(FallbackStep(after_s=0.0, limit_w=IDLE_W),),
        expires_at=T0 + timedelta(seconds=10),
    )
    view = viewed(site().node("a"))

    view.restore(a_stored(members=(joined(built, "b"),), open_orders={"b": (order,)}))

    assert exposure_w(view.groups["b"].account, T0, fall_s=3.0) == 1500.0


def test_a_stranger_is_charged_gets_no_work_and_raises_an_alarm() -> None:
    """It reports, but nobody agreed that it may join."""
    built = site().node("a").node("b")
    view = viewed(site().node("a"))

    heard(view, a_report(built, "b"))

    assert view.groups["b"].cordoned
    assert exposure_w(view.groups["b"].account, T0, fall_s=3.0) == IDLE_W
    [alarm] = view.alarms["b"]
    assert alarm == (
        "b never joined this site: its 820 W at rest are counted; nothing is started there; "
        "end it, or let it `barq node join`"
    )


def test_a_node_that_rests_at_more_than_was_agreed_on_gets_no_work() -> None:
    """The firm level was checked for less; what it really rests at is charged."""
    built = site().node("a").node("b")
    view = viewed(site().node("a"))
    view.take_intents(Intents(seq=1, members=(joined(built, "b", base_w=200.0),)))

    heard(view, a_report(built, "b"))

    assert view.groups["b"].cordoned
    assert "b rests at 820 W, and 420 W were agreed on" in view.alarms["b"][0]
    assert view.groups["b"].account.idle_w == IDLE_W


def without_one_gpu(built: SiteBuilder, more_w: float, *, version: int) -> GuardReport:
    """A node that counts one of its GPUs in its base, at so much more than its rest."""
    report = a_report(built, "a", version=version)
    spec, lost = report.spec, report.spec.gpus[0]
    kept = replace(spec, gpus=spec.gpus[1:], base_w=spec.base_w + lost.power.idle_w + more_w)
    return replace(report, spec=kept, gpus=report.gpus[1:])


def test_a_gpu_that_is_lost_bars_no_other_of_its_node() -> None:
    """It counts at its cap, and each start is held against what all rest at then; more than that it cannot explain."""
    built = site().node("a")
    view = viewed(built)
    heard(view, without_one_gpu(built, 345.0, version=1))
    open_to_work, told = not view.groups["a"].cordoned, view.alarms["a"]
    heard(view, without_one_gpu(built, 347.0, version=2), after_s=1.0)

    assert (open_to_work, told) == (True, ())
    assert view.groups["a"].cordoned


@pytest.mark.parametrize("firm_w, starts", [(IDLE_W + 345.0 + 40.0, True), (IDLE_W + 345.0 + 20.0, False)])
def test_no_work_starts_beside_a_lost_gpu_that_the_firm_level_has_no_room_for(
    firm_w: float, starts: bool
) -> None:
    """A job that is held draws more than nothing until it has left, and the lost GPU goes on."""
    built = site(firm_w=firm_w).node("a").job("j").limit_w(9000)
    view = viewed(built)
    heard(view, without_one_gpu(built, 345.0, version=1))
    snapshot = replace(built.snapshot(), groups=view.groups.shot())
    decision = decide(snapshot)

    assert bool(decision.attempts) is starts


def test_a_node_that_leaves_gets_no_work_and_one_that_left_counts_no_more() -> None:
    """Its jobs go on in between."""
    built = site().node("a").node("b")
    view = viewed(site().node("a"))
    view.take_intents(Intents(seq=1, members=(joined(built, "b"),)))
    heard(view, a_report(built, "b"))
    cordoned = [view.groups["b"].cordoned]

    view.take_intents(Intents(seq=2, members=(joined(built, "b", leaving=True),)))
    cordoned.append(view.groups["b"].cordoned)
    heard(view, a_report(built, "b", version=2), after_s=1.0)
    cordoned.append(view.groups["b"].cordoned)
    assert cordoned == [False, True, True]

    view.take_intents(Intents(seq=3, members=()))
    assert set(view.groups) == set(view.snapshot(T0).groups) == {"a"}
    decide(view.snapshot(T0))


def a_stored(**changes: Any) -> Stored:
    """A store with nothing in it but these."""
    empty = Stored(jobs=(), attempts=(), settled={}, open_orders={}, limits=(), last_cut_at=None, seq=0)
    return replace(empty, **changes)

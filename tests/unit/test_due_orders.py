"""When an order is due: something else is desired, the lease runs short, or nobody acknowledged. And else never."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from scheduler.core.compose import drafts, withheld
from scheduler.core.estop import EmergencyStop
from scheduler.core.jobs import Phase
from scheduler.core.ledger import acknowledged
from scheduler.core.orders import Draft
from scheduler.core.plan import Plan, limit_now, usable_w
from scheduler.core.snapshot import Snapshot
from tests.told_site import ToldSite

LEASE_S = 15.0
AMPLE_W = 9000.0


def due(plan: Plan, snapshot: Snapshot, limit_w: float) -> dict[str, Draft]:
    """The orders that may go out under this limit."""
    return drafts(plan, snapshot, withheld(plan, limit_w))


class Orders:
    """A plan that follows a site, and the orders that it says are due."""

    def __init__(self) -> None:
        self.site = ToldSite(lease_s=LEASE_S)
        self.site.node("a", standby_w=50.0).node("b").miners(max_w=1000.0).limit_w(AMPLE_W)
        self.site.running("j", "a", gpus=2)
        self.plan = Plan(self.site.snapshot())

    def due(self, *, sent: bool = True, acked: bool = True) -> list[str]:
        """To whom an order is due now; they go out, and are acknowledged."""
        snapshot = self.site.snapshot()
        self.plan.follow(snapshot)
        found = due(self.plan, snapshot, usable_w(snapshot, limit_now(snapshot)))
        fresh = due(Plan(snapshot), snapshot, usable_w(snapshot, limit_now(snapshot)))
        assert found == fresh
        for gid, draft in found.items() if sent else ():
            self.site.send(gid, draft)
            group = self.site.groups[gid]
            if acked:
                account = acknowledged(group.account, group.account.sent)
                self.site.groups[gid] = replace(group, account=account)
        return sorted(found)


@pytest.fixture
def orders() -> Orders:
    """All that is desired was told, a moment ago."""
    made = Orders()
    assert made.due() == ["a", "b", "miners"]
    assert made.due() == []
    return made


def test_a_lease_is_renewed_once_a_third_of_it_is_gone(orders: Orders) -> None:
    """By each report that is so much younger; not before."""
    orders.site.passes(LEASE_S / 3 - 0.1)
    assert orders.due() == []
    orders.site.passes(0.1)
    assert orders.due() == ["a", "b", "miners"]
    assert orders.due() == []


def test_who_is_silent_is_told_nothing_that_outlives_his_report(orders: Orders) -> None:
    """His lease is not renewed, and once it is over nothing is due to him at all."""
    told_at = orders.site.at
    orders.site.passes(LEASE_S / 2)
    orders.site.groups["a"] = replace(orders.site.groups["a"], reported_at=told_at)
    assert orders.due() == ["b", "miners"]

    orders.site.attempts["j.1"] = replace(orders.site.attempts["j.1"], cap_w=300.0)
    assert orders.due(sent=False) == ["a"]
    orders.site.passes(LEASE_S / 2)
    orders.site.groups["a"] = replace(orders.site.groups["a"], reported_at=told_at)
    assert "a" not in orders.due(sent=False)


def test_only_those_of_whom_something_else_is_desired_are_told(orders: Orders) -> None:
    """And told again until it went out."""
    orders.site.attempts["j.1"] = replace(orders.site.attempts["j.1"], phase=Phase.SUSPEND)

    assert orders.due(sent=False) == ["a"]
    assert orders.due() == ["a"]
    assert orders.due() == []


def test_who_does_not_acknowledge_is_told_again_after_a_second(orders: Orders) -> None:
    """Not sooner, and not once he has."""
    orders.site.attempts["j.1"] = replace(orders.site.attempts["j.1"], cap_w=300.0)
    assert orders.due(acked=False) == ["a"]
    orders.site.at += timedelta(seconds=0.9)
    assert orders.due(acked=False) == []
    orders.site.at += timedelta(seconds=0.1)
    assert orders.due(acked=False) == ["a"]
    orders.site.at += timedelta(seconds=1.0)
    assert orders.due() == ["a"]
    orders.site.at += timedelta(seconds=1.0)
    assert orders.due() == []


def test_all_leases_are_shortened_before_a_known_drop_and_grow_again_when_it_is_off(orders: Orders) -> None:
    """Each once."""
    before = orders.site.envelopes
    orders.site.falls_to_w(1000.0, in_s=10.0)
    assert orders.due() == ["a", "b", "miners"]
    assert orders.due() == []

    orders.site.envelopes = before
    assert orders.due() == ["a", "b", "miners"]
    assert orders.due() == []


def test_a_lease_that_is_soon_over_is_prolonged_by_however_little(orders: Orders) -> None:
    """One drop after the other: a third of a lease lies between none of them, and nobody is left to his fallback."""
    orders.site.falls_to_w(1000.0, in_s=4.0)
    assert orders.due() == ["a", "b", "miners"]

    orders.site.limit_w(AMPLE_W).falls_to_w(1000.0, in_s=7.0)
    assert orders.due() == ["a", "b", "miners"]
    assert orders.due() == []
    orders.site.passes(1.0)
    assert orders.due() == []


def test_a_stop_is_told_to_all_and_so_is_its_end(orders: Orders) -> None:
    """Once each."""
    stop = EmergencyStop(id="s", reason="drill", by="ada", at=orders.site.at)
    told = []
    for stops in ((), (stop,), (stop,), (), ()):
        snapshot = replace(orders.site.snapshot(), stops=stops)
        orders.plan.follow(snapshot)
        found = due(orders.plan, snapshot, AMPLE_W)
        for gid, draft in found.items():
            assert draft.stop == snapshot.stop
            orders.site.send(gid, draft)
            group = orders.site.groups[gid]
            account = acknowledged(group.account, group.account.sent)
            orders.site.groups[gid] = replace(group, account=account)
        told.append(len(found))

    assert told == [0, 3, 0, 3, 0]


def test_a_node_that_is_to_switch_is_told(orders: Orders) -> None:
    """With its standby watts as its entitlement."""
    orders.plan.switch("a", asleep=True)
    snapshot = orders.site.snapshot()
    (draft,) = due(orders.plan, snapshot, AMPLE_W).values()

    assert (draft.group_id, draft.standby) == ("a", True)
    assert draft.entitlement_w == orders.plan.group_w("a")

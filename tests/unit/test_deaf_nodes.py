"""A node whose guard speaks and takes no orders: its disk is full, or it is of another version."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from scheduler.core.jobs import Desired, JobState
from scheduler.core.orders import Fence, GuardReport, Order
from scheduler.core.snapshot import Group, SitePolicy
from scheduler.heard import as_heeding
from tests.builders import T0, site
from tests.obedient_site import ObedientSite

WHY = "[Errno 28] No space left on device"


class HalfDeafSite(ObedientSite):
    """Two nodes, of which `a` takes no orders while it `is_deaf`."""

    def __init__(self) -> None:
        super().__init__(site().node("a").node("b").limit_w(9000))
        self.is_deaf = False
        self.cluster.answer = self.answered

    def answered(self, order: Order) -> GuardReport | str:
        """The guard's answer."""
        return WHY if self.is_deaf and order.group_id == "a" else self.obeyed(order)

    async def pass_s(self, seconds: int) -> None:
        """Time passes; all guards report."""
        for _ in range(seconds):
            await self.orders_after(1)

    def nodes(self) -> list[tuple[str, str]]:
        """Which attempts are where."""
        return [(a.id, a.placements[0].node_id) for a in self.view.attempts.values()]


async def begun() -> HalfDeafSite:
    """Both nodes follow; then `a` takes no more, and a job is put on it."""
    there = HalfDeafSite()
    await there.began()
    there.is_deaf = True
    there.submit("j", gpus=4)
    await there.pass_s(2)
    assert there.nodes() == [("j.1", "a")]
    return there


async def test_what_a_deaf_node_was_to_start_is_started_elsewhere() -> None:
    """Once no order for it can still be taken; and it costs no retry."""
    there = await begun()
    lease_s, fall_s = there.view.site.lease_s, there.view.site.fall_s
    await there.pass_s(round(3 * (lease_s + fall_s)) + 5)

    assert there.nodes() == [("j.2", "b")]
    job = there.view.jobs["j"]
    assert (job.state, job.failures) == (JobState.RUNNING, 0)
    told = [e.text for r in there.store.records for e in r.events]
    assert any("a takes no orders" in text for text in told)


async def test_nothing_more_is_put_there_until_it_obeys() -> None:
    """It is a node like any other as soon as it took the newest order."""
    there = await begun()
    await there.pass_s(60)
    there.submit("k", gpus=4)
    await there.pass_s(5)
    assert there.nodes() == [("j.2", "b")]

    there.is_deaf = False
    await there.pass_s(5)
    assert there.nodes() == [("j.2", "b"), ("k.1", "a")]


async def test_a_job_on_a_deaf_node_can_be_cancelled() -> None:
    """A person does not wait for a node that does not listen."""
    there = await begun()
    there.store.wish("j", Desired.CANCEL)
    await there.pass_s(50)

    assert there.nodes() == []
    assert [j.state for r in there.store.records for j in r.jobs][-1] is JobState.CANCELLED


async def test_people_are_told_which_node_it_is_and_why() -> None:
    """The alarm goes when it obeys."""
    there = await begun()
    await there.pass_s(40)
    assert any(WHY in alarm for alarm in there.view.alarms["a"])

    there.is_deaf = False
    await there.pass_s(2)
    assert there.view.alarms["a"] == ()


def test_who_could_not_be_told_is_not_deaf() -> None:
    """A node that is heard again after an outage, in its fallback, has a whole lease to take the newest order."""
    snapshot = site().node("a").limit_w(9000).snapshot()
    group, terms = snapshot.groups["a"], snapshot.site
    sent = replace(group.account, sent=Fence(epoch=1, seq=9), acked=Fence(epoch=1, seq=8))
    fallen = replace(group, in_fallback=True, account=sent, reported_at=T0)
    outage_s = terms.unreachable_after_s + 60

    back = as_heeding(fallen, fallen, T0 + timedelta(seconds=outage_s), terms)
    assert not back.is_deaf
    later = heeding_for(back, terms, from_s=outage_s, seconds=terms.lease_s - 1)
    assert not later.is_deaf
    assert heeding_for(later, terms, from_s=outage_s + terms.lease_s - 1, seconds=2).is_deaf
    assert not as_heeding(replace(later, in_fallback=False), later, T0, terms).is_deaf


def heeding_for(group: Group, terms: SitePolicy, *, from_s: float, seconds: float) -> Group:
    """The group after so many seconds of reports that tell the same."""
    for second in range(1, round(seconds) + 1):
        at = T0 + timedelta(seconds=from_s + second)
        group = as_heeding(replace(group, reported_at=at), group, at, terms)
    return group

"""The emergency stop in the loop: who learns of it, what goes out, and how it ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from scheduler.core.estop import EmergencyStop
from scheduler.core.jobs import Phase
from scheduler.documents import in_force
from scheduler.reconcile import Reconciler
from scheduler.view import View
from tests.builders import site
from tests.fakes import T0
from tests.obedient_site import ObedientSite

STOP = EmergencyStop(id="s1", reason="smoke in hall 2", by="ada", at=T0)


async def two_busy_nodes() -> ObedientSite:
    """Two nodes, and a job on each."""
    there = await ObedientSite(site(save_after_s=5.0).node("a").node("b").limit_w(6000)).began()
    for name in ("j", "k"):
        there.submit(name, gpus=4)
    await there.orders()
    return there


def phases(there: ObedientSite) -> set[Phase]:
    """What the attempts of the site are to do."""
    return {attempt.phase for attempt in there.view.attempts.values()}


async def test_a_stop_in_the_store_latches_every_guard() -> None:
    """The very next round halts the work, and tells all guards to hold to the stop by themselves."""
    there = await two_busy_nodes()
    there.store.engage(STOP)

    orders = await there.orders()

    assert {(o.group_id, o.stop) for o in orders} == {("a", STOP), ("b", STOP)}
    assert phases(there) == {Phase.SUSPEND}
    assert {g.memory.stop for g in there.guards.values()} == {STOP}


async def test_a_stop_limits_the_site_at_once_whatever_its_maker_s_clock_says() -> None:
    """It may be made on another machine, whose clock is ahead: nobody waits for ours to come there."""
    there = await two_busy_nodes()
    there.store.engage(replace(STOP, at=T0 + timedelta(minutes=10)))
    await there.orders()

    limit = in_force(there.view.snapshot(there.clock.now()))
    assert (limit.source, limit.limit_w) == ("emergency stop", there.view.site.firm_w)


async def test_a_stop_goes_out_before_it_is_recorded() -> None:
    """As every reduction does: the guards hold to it when the tick is written."""
    there = await two_busy_nodes()
    there.store.engage(STOP)
    seen: list[set[EmergencyStop | None]] = []
    there.store.on_record = lambda _: seen.append({g.memory.stop for g in there.guards.values()})

    await there.orders()

    assert seen == [{STOP}]


async def test_a_stop_that_one_guard_tells_of_stops_the_site() -> None:
    """Somebody stopped it at the guard while nobody else could be reached: it is recorded, and all latch."""
    there = await two_busy_nodes()
    there.guards["a"].engage(STOP, there.clock.now_ms)
    there.reports()

    orders = await there.orders()

    assert {o.stop for o in orders} == {STOP}
    assert there.guards["b"].memory.stop == STOP
    assert there.store.stops == {"s1": STOP}


async def test_a_stop_without_a_store_is_recorded_later() -> None:
    """The reductions go out at once, and nothing is forgotten."""
    there = await two_busy_nodes()
    there.store.up = False
    there.guards["a"].engage(STOP, there.clock.now_ms)
    there.reports()
    await there.orders()
    assert there.guards["b"].memory.stop == STOP
    assert there.store.stops == {}

    there.store.up = True
    await there.orders()
    assert there.store.stops == {"s1": STOP}


async def test_the_release_reaches_all_and_work_goes_on() -> None:
    """Each guard is told by the name of what it holds; then the jobs run again."""
    there = await two_busy_nodes()
    there.store.engage(STOP)
    await there.orders()
    await there.orders_after(1)
    there.store.release()

    orders = await there.orders_after(1)

    assert {(o.stop, o.released_stop) for o in orders} == {(None, "s1")}
    assert {g.memory.stop for g in there.guards.values()} == {None}
    await there.orders_after(1)
    assert phases(there) == {Phase.RUN}
    assert {o.released_stop for o in await there.orders_after(1)} <= {""}


async def test_a_new_leader_finds_the_site_stopped() -> None:
    """By what the store says, before it has heard of any guard."""
    there = await two_busy_nodes()
    there.store.engage(STOP)
    await there.orders()

    view = View(there.built.site, {}, epoch=2, at=there.clock.now())
    view.restore(await there.store.load())

    assert view.snapshot(there.clock.now()).stop == STOP


async def test_a_released_stop_does_not_come_back_with_a_late_guard() -> None:
    """A guard that was away holds it still: it is told, and the site is not stopped again. Another stop is another."""
    there = await two_busy_nodes()
    there.store.engage(STOP)
    there.store.release()
    await there.orders()
    there.guards["a"].engage(STOP, there.clock.now_ms)
    there.reports()
    assert there.view.snapshot(there.clock.now()).stop is None
    await there.orders()
    assert there.guards["a"].memory.stop is None

    there.guards["a"].engage(replace(STOP, id="s2"), there.clock.now_ms)
    there.reports()
    assert there.view.snapshot(there.clock.now()).stop is not None


async def test_orders_that_a_stop_overtook_are_dropped() -> None:
    """It came while a start was being recorded."""
    there = await ObedientSite(site(firm_w=3000.0).node("a").limit_w(3000)).began()
    there.submit("j", gpus=4)

    def stop(_: object) -> None:
        there.guards["a"].engage(STOP, there.clock.now_ms)
        there.reports()

    there.store.on_record = stop
    loop: Reconciler = there.loop
    await loop.tick()
    await loop.close()

    assert [o.attempts for o in there.cluster.take() if o.attempts] == []

"""The loop: what it sends, when, in which order beside the record, and what it does without a store."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import timedelta

import pytest

from scheduler.core.envelope import Envelope, Segment
from scheduler.core.jobs import JobState, Phase
from scheduler.core.orders import Fence, Order
from scheduler.errors import StaleEpoch
from scheduler.records import Intents
from tests.builders import site
from tests.fakes import T0
from tests.obedient_site import ObedientSite

IDLE_W, FULL_W = 820.0, 2200.0  #: a node of four A100 at rest, and with all of them uncapped


async def a_node(limit_w: float = 3000.0) -> ObedientSite:
    """One node of four GPUs under a limit, with nothing on it."""
    return await ObedientSite(site().node("a").limit_w(limit_w)).began()


async def a_busy_node(limit_w: float = 3000.0) -> ObedientSite:
    """One node with a job on all of its GPUs, uncapped."""
    there = await a_node(limit_w)
    there.submit("j", gpus=4)
    await there.orders()
    assert (await there.orders(), there.guards["a"].draw_w()) == ([], FULL_W)
    return there


def shape(order: Order) -> tuple[float, list[tuple[str, Phase, float]]]:
    """An order in short: the watts, and attempt, phase and cap of each on it."""
    return order.entitlement_w, [(a.attempt_id, a.phase, a.cap_w) for a in order.attempts]


# -- what is sent, and when ----------------------------------------------------------------------------------


async def test_a_group_that_was_never_heard_of_is_sent_nothing() -> None:
    """Its boot and its clock are unknown, so no order could be made for it."""
    there = ObedientSite(site().node("a").limit_w(3000))

    assert await there.orders() == []


async def test_the_first_word_of_a_guard_is_answered_with_an_order() -> None:
    """A node with nothing on it is entitled to its idle draw."""
    there = ObedientSite(site().node("a").limit_w(3000))
    there.reports()
    (order,) = await there.orders()

    assert (order.group_id, order.boot_id, order.fence) == ("a", "a-boot-1", Fence(epoch=1, seq=1))
    assert shape(order) == (IDLE_W, [])


async def test_a_job_is_started_only_after_its_record() -> None:
    """When the store takes the record nothing has gone out; right after, the start has."""
    there = await a_node()
    there.submit("j", gpus=4)
    sent_at_record: list[list[Order]] = []
    there.store.on_record = lambda _: sent_at_record.append(list(there.cluster.sent))
    (order,) = await there.orders()

    assert sent_at_record == [[]]
    assert shape(order) == (FULL_W, [("j.1", Phase.RUN, 400.0)])
    assert there.store.records[-1].orders["a"].fence == order.fence
    assert [(j.id, j.state) for j in there.store.records[-1].jobs] == [("j", JobState.STARTING)]


async def test_a_reduction_goes_out_before_its_record() -> None:
    """The cap is on its way when the store first hears of it, and is not sent twice."""
    there = await a_busy_node()
    there.limit_w(1500)
    sent_at_record: list[list[Order]] = []
    there.store.on_record = lambda _: sent_at_record.append(list(there.cluster.sent))
    (order,) = await there.orders()

    assert sent_at_record == [[order]]
    assert shape(order) == (1500.0, [("j.1", Phase.RUN, 225.0)])
    assert there.store.records[-1].last_cut_at == T0
    assert there.guards["a"].draw_w() == 1500.0


async def test_a_limit_by_hand_sheds_before_the_record_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop hears of it from the store, and does not decide anything before it has told the guards."""
    there = await a_busy_node()
    limit = Envelope(
        source="hand",
        issued_at=T0,
        read_at=T0,
        reaction_s=30,
        segments=(Segment(starts_at=T0, limit_w=1500),),
    )
    news = [Intents(seq=99, limits=(limit,)), Intents(seq=99)]

    async def intents(_: int) -> Intents:
        await asyncio.sleep(0)  # as a database in a thread: orders get on their way meanwhile
        await asyncio.sleep(0)
        return news.pop(0) if len(news) > 1 else news[0]

    monkeypatch.setattr(there.store, "intents", intents)
    sent_at_record: list[list[Order]] = []
    there.store.on_record = lambda _: sent_at_record.append(list(there.cluster.sent))
    (order,) = await there.orders()

    assert sent_at_record == [[order]]
    assert shape(order) == (1500.0, [("j.1", Phase.RUN, 225.0)])


async def test_a_reduction_does_not_wait_for_a_store_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs nobody's leave."""
    there = await a_busy_node()
    there.limit_w(1500)

    async def hangs(_: int) -> Intents:
        return await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(there.store, "intents", hangs)
    tick = asyncio.create_task(there.loop.tick())
    for _ in range(5):
        await asyncio.sleep(0)

    assert [shape(o) for o in there.cluster.sent] == [(1500.0, [("j.1", Phase.RUN, 225.0)])]
    tick.cancel()


async def test_an_order_is_renewed_when_a_third_of_its_lease_is_gone() -> None:
    """Not with every tick, and long before it runs out."""
    there = await a_busy_node()
    lease_s = there.built.site.lease_s

    assert await there.orders_after(lease_s / 3 - 0.1) == []
    (order,) = await there.orders_after(0.1)
    assert shape(order) == (FULL_W, [("j.1", Phase.RUN, 400.0)])
    assert order.expires_boottime_s == pytest.approx(lease_s / 3 + lease_s)


async def test_an_expiry_is_told_on_the_clock_of_the_guard() -> None:
    """What the guard's clock showed when it was heard, what has passed since on ours, and what is left of the lease."""
    there = await a_node()
    there.guards["a"].booted_ms = -70_000
    await there.clock.sleep_s(1)
    there.reports()
    await there.clock.sleep_s(3)
    there.submit("j", gpus=1)
    (order,) = await there.orders()

    # heard at 71 s of its clock, 3 s ago; the lease of 15 s counts from that word
    assert order.expires_boottime_s == pytest.approx(71 + 15)


async def test_an_order_that_was_not_acknowledged_is_sent_again_a_second_later() -> None:
    """With a number of its own, for the first may have arrived after all."""
    there = await a_node()
    there.cluster.answer = lambda _: "lost on the way"
    there.submit("j", gpus=4)
    (first,) = await there.orders()

    assert await there.orders_after(0.9) == []
    (second,) = await there.orders_after(0.1)
    assert (first.fence, second.fence) == (Fence(epoch=1, seq=2), Fence(epoch=1, seq=3))
    assert shape(second) == shape(first)


async def test_what_was_not_delivered_is_told_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Group and cause, as the cluster gave them: once as long as the cause is the same, and anew after a success."""
    there = await a_node()
    there.submit("j", gpus=4)
    with caplog.at_level(logging.WARNING):
        there.cluster.answer = lambda _: "its agent is gone"
        await there.orders()
        await there.orders_after(1)
        await there.orders_after(1)
        there.cluster.answer = there.obeyed
        await there.orders_after(1)
        there.cluster.answer = lambda _: "its agent is gone"
        there.limit_w(1000)
        await there.orders_after(1)

    assert [r.getMessage() for r in caplog.records] == 2 * ["a: order not delivered: its agent is gone"]


async def test_a_known_fall_within_the_lease_shortens_it() -> None:
    """Whoever hears nothing more falls before the limit does, not a lease later."""
    there = await a_busy_node()
    there.built.falls_to_w(1500, in_s=10)
    there.tell_limits()
    (order,) = await there.orders()

    assert shape(order) == (FULL_W, [("j.1", Phase.RUN, 400.0)])
    assert order.expires_boottime_s == pytest.approx(10 - there.built.site.fall_s)


# -- while the store is away ---------------------------------------------------------------------------------


async def test_without_a_store_what_runs_is_renewed_and_not_raised() -> None:
    """There is room to lift the cap, but no book to write it in: the lease goes on at the cap that it has."""
    there = await a_busy_node(limit_w=3000)
    there.limit_w(1500)
    await there.orders()
    there.store.up = False
    there.limit_w(9000)

    assert await there.orders() == []
    (renewal,) = await there.orders_after(5)
    assert shape(renewal) == (1500.0, [("j.1", Phase.RUN, 225.0)])
    assert renewal.expires_boottime_s == pytest.approx(5 + there.built.site.lease_s)


async def test_without_a_store_a_waiting_job_does_not_start() -> None:
    """There is room for it, and it is known; it starts in the first round that the store sees."""
    there = await a_node(limit_w=900)
    there.submit("j", gpus=4)
    assert await there.orders() == []
    there.limit_w(3000)
    there.store.up = False

    assert await there.orders() == []
    assert await there.orders() == []
    there.store.up = True
    assert await there.orders() == [], "the round that finds the store back was decided before it knew"
    (order,) = await there.orders()
    assert shape(order) == (FULL_W, [("j.1", Phase.RUN, 400.0)])


async def test_without_a_store_an_order_that_lapsed_is_not_renewed() -> None:
    """A guard that comes back after its fall would be raised by it, into watts that others may have taken since."""
    there = await a_busy_node()
    await there.clock.sleep_s(there.view.site.lease_s + there.view.site.fall_s + 1.0)
    there.guards["a"].settle(there.clock.now_ms)
    there.store.up = False
    there.reports()

    orders = await there.orders()

    assert FULL_W not in [o.entitlement_w for o in orders]
    assert there.guards["a"].draw_w() < FULL_W


async def test_without_a_store_reductions_go_out() -> None:
    """The grid comes before the books."""
    there = await a_busy_node()
    there.store.up = False
    there.limit_w(1500)
    (order,) = await there.orders()

    assert shape(order) == (1500.0, [("j.1", Phase.RUN, 225.0)])
    assert there.guards["a"].draw_w() == 1500.0


async def test_a_cut_of_an_outage_is_recorded_when_the_store_is_back() -> None:
    """With the instant at which it was made, not that of the record."""
    there = await a_busy_node()
    there.store.up = False
    there.limit_w(1500)
    await there.orders()
    there.store.up = True
    await there.orders_after(3)

    record = there.store.records[-1]
    assert [(a.id, a.cap_w) for a in record.attempts] == [("j.1", 225.0)]
    assert (record.at, record.last_cut_at) == (T0 + timedelta(seconds=3), T0)


async def test_a_store_that_is_back_hears_what_it_missed() -> None:
    """The reason that a job waits for was told to nobody: it is told again, though it did not change."""
    there = await a_node(limit_w=900)
    there.submit("j", gpus=4)
    await there.orders()
    there.store.up = False
    await there.orders()
    there.store.up = True
    await there.orders()

    assert {k: v.code for k, v in there.store.records[-1].reasons.items() if v} == {"j": "PendingEvaluation"}
    await there.orders()
    assert {k: v.code for k, v in there.store.records[-1].reasons.items() if v} == {"j": "PowerUnavailable"}


async def test_the_log_says_once_that_the_store_is_away_and_once_that_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Not with each tick of an outage."""
    there = await a_node()
    with caplog.at_level(logging.WARNING):
        for up in (False, False, True, True):
            there.store.up = up
            await there.orders()

    assert [r.getMessage() for r in caplog.records] == [
        "the store is down: the store is down",
        "the store is back",
    ]


# -- other leaders -------------------------------------------------------------------------------------------


async def test_another_leader_ends_it() -> None:
    """It learns of it from the store and sends nothing any more."""
    there = await a_node()
    there.submit("j", gpus=4)
    await there.store.claim("another", at=T0)
    with pytest.raises(StaleEpoch):
        await there.loop.tick()
    await there.loop.close()

    assert there.cluster.take() == []


async def test_guards_that_follow_a_higher_epoch_are_led_from_above_it() -> None:
    """A store that was lost and made anew begins at 1; guards refuse that, and tell what they follow."""
    there = ObedientSite(site().node("a").limit_w(3000))
    there.guards["a"].memory = replace(there.guards["a"].memory, seen=Fence(epoch=7, seq=40))
    there.reports()

    assert await there.orders() == [], "nothing goes out under an epoch that is known to be refused"
    assert (there.view.epoch, there.store.epoch) == (8, 8)
    (order,) = await there.orders()
    assert order.fence == Fence(epoch=8, seq=1)
    assert there.guards["a"].memory.seen == Fence(epoch=8, seq=1)


async def test_a_new_leader_raises_nothing_until_all_follow_it() -> None:
    """One guard that was not heard of may still follow an order of before."""
    there = ObedientSite(site().node("a").node("b").limit_w(9000))
    there.submit("j", gpus=4)
    there.loop.on_report(there.guards["a"].report(0))
    await there.orders()

    assert await there.orders() == []
    assert there.store.reasons["j"] is not None
    assert there.store.reasons["j"].code == "PendingEvaluation"


# -- while it is being recorded ------------------------------------------------------------------------------


async def test_orders_that_a_falling_limit_overtook_are_dropped() -> None:
    """The limit fell while the start was being recorded: it does not go out, and the next round cuts it to size."""
    there = await a_node()
    there.submit("j", gpus=4)
    there.store.on_record = lambda _: there.limit_w(1500)

    assert await there.orders() == []
    assert [o.entitlement_w for o in there.view.groups["a"].account.open] == [IDLE_W], "it counts no more"
    (order,) = await there.orders()
    assert shape(order) == (1500.0, [("j.1", Phase.RUN, 225.0)])


# -- what comes in -------------------------------------------------------------------------------------------


async def test_a_report_is_news_only_once() -> None:
    """The same version again tells nothing new; so nobody is woken."""
    there = await a_busy_node()
    report = there.guards["a"].report(there.clock.now_ms)

    assert not there.loop.on_report(report)
    assert there.loop.on_report(replace(report, version=report.version + 1))


async def test_closing_waits_for_orders_on_their_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """An order that was recorded is not forgotten halfway."""
    there = await a_node()
    deliver, delivered, may_arrive = there.cluster.deliver, [], asyncio.Event()

    async def slowly(orders: list[Order], *, timeout_s: float) -> object:
        await may_arrive.wait()
        delivered.extend(orders)
        return await deliver(orders, timeout_s=timeout_s)

    monkeypatch.setattr(there.cluster, "deliver", slowly)
    there.submit("j", gpus=4)
    await there.loop.tick()
    assert delivered == []
    closing = asyncio.create_task(there.loop.close())
    await asyncio.sleep(0)
    assert not closing.done()
    may_arrive.set()
    await closing
    assert [o.group_id for o in delivered] == ["a"]

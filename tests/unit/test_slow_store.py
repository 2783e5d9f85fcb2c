"""A store that takes longer for each record than the loop waits: what is decided happens late, once it is on record."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.core.jobs import AttemptState, JobState, Phase
from scheduler.core.ledger import OpenOrder, allows_no_more
from scheduler.core.orders import FallbackStep, Fence, Order
from tests.builders import T0
from tests.obedient_site import ObedientSite
from tests.unit.test_patience import HangingStore, a_busy_site, a_site, answered, hanging_record

IDLE_W = 820.0  #: a node of four A100


async def slow_round(there: ObedientSite, store: HangingStore) -> list[Order]:
    """What one round sends, whose record is not answered in time, and is written before the next one."""
    before = len(store.records)
    async with hanging_record(store):
        orders = await there.orders_after(1.0)
    await answered(store, before + 1)
    return orders


def attempts(orders: list[Order]) -> list[tuple[str, Phase]]:
    """That are named."""
    return [(a.attempt_id, a.phase) for o in orders for a in o.attempts]


async def test_work_starts_late_where_every_record_comes_late() -> None:
    """In the round after the one that decided it: by then it is on record."""
    there, store = await a_site()
    there.submit("j", gpus=4)

    assert attempts(await slow_round(there, store)) == []
    assert attempts(await slow_round(there, store)) == [("j.1", Phase.RUN)]
    for _ in range(3):
        await slow_round(there, store)
    assert there.view.jobs["j"].state is JobState.RUNNING
    assert there.guards["a"].draw_w() > IDLE_W


async def test_no_order_allows_more_than_what_is_on_record() -> None:
    """Whenever it goes out, and whoever leads next finds the attempt."""
    there, store = await a_site(limit_w=2000.0)
    there.submit("j", gpus=2)
    there.submit("k", gpus=2)
    sent = 0
    for limit_w in (2000.0, 2000.0, 1500.0, 1500.0, 3000.0, 3000.0, 3000.0, 3000.0):
        there.limit_w(limit_w)
        on_record, known = set(store.attempts), [o.entitlement_w for o in store.open_orders.get("a", ())]
        for order in await slow_round(there, store):
            sent += len(order.attempts)
            assert {a.attempt_id for a in order.attempts} <= on_record
            assert order.entitlement_w <= max([IDLE_W, *known])
    assert sent
    assert {j.state for j in there.view.jobs.values()} == {JobState.RUNNING}


async def test_caps_are_lifted_late_too() -> None:
    """Once more power is there."""
    there, store = await a_busy_site()
    there.limit_w(1500.0)
    await there.orders_after(1.0)
    there.limit_w(3000.0)
    for _ in range(6):
        await slow_round(there, store)

    assert there.view.attempts["j.1"].cap_w == 400.0
    assert there.guards["a"].draw_w() == 2200.0


async def test_what_ended_is_told_to_nobody_before_it_is_on_record() -> None:
    """A guard forgets what no order names: until then it is asked to remember how the job ended."""
    there, store = await a_busy_site()
    there.guards["a"].ends("j", 0)
    for _ in range(3):
        on_record = {a.id for a in store.attempts.values() if a.state is AttemptState.ENDED}
        for order in await slow_round(there, store):
            assert {a.attempt_id for a in order.attempts} | on_record >= {"j.1"}
    assert store.jobs["j"].state is JobState.SUCCEEDED


async def test_a_start_on_record_waits_for_a_limit_that_fell_meanwhile() -> None:
    """What was decided under a higher one does not go out."""
    there, store = await a_site()
    there.submit("j", gpus=4)
    await slow_round(there, store)
    there.limit_w(900.0)

    assert attempts(await slow_round(there, store)) in ([], [("j.1", Phase.SUSPEND)])
    assert there.guards["a"].draw_w() <= 900.0


def an_order(entitlement_w: float = 1000.0, *fallback: tuple[float, float]) -> OpenOrder:
    """With these steps."""
    steps = tuple(FallbackStep(after_s=s, limit_w=w) for s, w in fallback)
    return OpenOrder(fence=Fence(epoch=1, seq=1), entitlement_w=entitlement_w, fallback=steps, expires_at=T0)


@pytest.mark.parametrize(
    "order, expected",
    [
        (an_order(1000.0, (0.0, 500.0), (5.0, 100.0)), True),
        (an_order(900.0, (0.0, 400.0)), False),  # it rests at 400 W for ever
        (an_order(900.0, (0.0, 100.0)), True),
        (an_order(1000.1, (0.0, 500.0), (5.0, 100.0)), False),
        (an_order(1000.0, (0.0, 500.0), (6.0, 100.0)), False),
        (replace(an_order(1000.0, (0.0, 500.0), (5.0, 100.0)), fence=Fence(epoch=9, seq=9)), True),
    ],
)
def test_an_order_allows_no_more_only_if_it_does_at_every_step(order: OpenOrder, *, expected: bool) -> None:
    """Before and after its end."""
    assert allows_no_more(order, an_order(1000.0, (0.0, 500.0), (5.0, 100.0))) is expected

"""Dispatch instructions in the loop: on record with its ticks, and answered by people through the store."""

from __future__ import annotations

import pytest

from scheduler.core.dispatch import Answer, State, Verdict
from scheduler.core.envelope import Envelope, Segment
from scheduler.core.plan import limit_now
from scheduler.dispatching import DispatchBook
from tests.builders import site
from tests.fakes import T0
from tests.obedient_site import ObedientSite

NO = Answer(verdict=Verdict.REFUSED, by="ada", at=T0, note="the chiller is out")


async def told(*, voluntary: bool) -> ObedientSite:
    """A site whose grid allows 5 kW, and a giver 3 kW; its loop has seen both."""
    there = await ObedientSite(site(firm_w=2500).node("a").limit_w(5000)).began()
    there.view.dispatch = DispatchBook(reaction_s=30.0, voluntary=("dso",) if voluntary else ())
    now = there.clock.now()
    segment = Segment(starts_at=now, limit_w=3000.0, provenance="notice", giver_id="event-7")
    envelope = Envelope(source="dso", issued_at=now, read_at=now, reaction_s=30.0, segments=(segment,))
    there.view.hear(envelope, now)
    await there.orders_after(0)
    return there


def state(there: ObedientSite, instruction_id: str) -> State:
    """Where an instruction is, by the store."""
    return there.store.instructions[instruction_id].state


def limit_w(there: ObedientSite) -> float:
    """In force now."""
    return limit_now(there.view.snapshot(there.clock.now())).limit_w


async def test_what_is_told_is_on_record_with_its_tick() -> None:
    """With its events; and so is what the meter shows, but nothing of it twice."""
    there = await told(voluntary=False)
    assert state(there, "d1") is State.ACCEPTED
    there.measured(2900)
    await there.orders_after(1)
    await there.orders_after(1)

    assert state(there, "d1") is State.COMPLIED
    kinds = [e.kind for e in there.store.events if e.kind.startswith("dispatch.")]
    assert kinds == ["dispatch.received", "dispatch.accepted", "dispatch.complied"]
    assert there.store.records[-1].instructions == ()


@pytest.mark.parametrize("voluntary,left_w,then", [(False, 3000, "accepted"), (True, 5000, "refused")])
async def test_a_refusal_lifts_only_what_does_not_bind(voluntary: bool, left_w: float, then: str) -> None:
    """In the tick that hears of it; what binds goes on with the refusal beside it."""
    there = await told(voluntary=voluntary)
    assert limit_w(there) == 3000
    there.store.answer("d1", NO)
    await there.orders_after(1)

    assert limit_w(there) == left_w
    assert there.store.instructions["d1"].answer == NO
    assert state(there, "d1").value == then


async def test_a_store_that_is_down_loses_no_instruction() -> None:
    """It comes with the first record after."""
    there = await told(voluntary=False)
    there.store.up = False
    there.measured(2900)
    await there.orders_after(1)
    there.store.up = True
    await there.orders_after(1)
    assert state(there, "d1") is State.COMPLIED


async def test_a_limit_by_hand_is_an_instruction_of_its_own() -> None:
    """It ends when a person releases it."""
    there = await told(voluntary=False)
    now = there.clock.now()
    segment = Segment(starts_at=now, limit_w=2800.0, provenance="feeder work (ada)", giver_id="3")
    by_hand = Envelope(source="operator", issued_at=now, read_at=now, reaction_s=0.0, segments=(segment,))
    there.store.limit(by_hand)
    await there.orders_after(1)
    assert (there.store.instructions["d2"].source, there.store.instructions["d2"].giver_id) == (
        "operator",
        "3",
    )

    there.store.limit()
    await there.orders_after(1)
    assert state(there, "d2") is State.ENDED

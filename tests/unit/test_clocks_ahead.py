"""What people say holds at once, whatever clock wrote it down: that of another machine may be ahead."""

from __future__ import annotations

from datetime import timedelta

from scheduler.core.envelope import OPERATOR, Envelope, Segment
from tests.builders import site
from tests.obedient_site import ObedientSite


async def test_a_limit_by_hand_holds_at_once_whatever_clock_wrote_it_down() -> None:
    """The API may run on another machine, whose clock is ahead; it ends when it was to end."""
    there = await ObedientSite(site().node("a").limit_w(3000)).began()
    there.submit("j", gpus=4)
    await there.orders()
    await there.orders()
    now, later = there.clock.now(), there.clock.now() + timedelta(minutes=2)
    there.store.limit(
        Envelope(
            source=OPERATOR,
            issued_at=later,
            read_at=later,
            reaction_s=30.0,
            segments=(Segment(starts_at=later, limit_w=1500.0),),
            valid_until=later + timedelta(minutes=5),
        )
    )
    (order,) = await there.orders()

    assert order.entitlement_w <= 1500.0
    (limit,) = there.view.manual
    assert (limit.segments[0].starts_at, limit.valid_until) == (now, later + timedelta(minutes=5))

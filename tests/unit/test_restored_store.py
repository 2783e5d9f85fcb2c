"""A store that was restored from a backup: what runs is newer than all that it knows."""

from __future__ import annotations

import pytest

from scheduler.core.jobs import Phase
from scheduler.core.orders import AttemptOrder, FallbackStep, Fence, Order
from tests.builders import launch, site
from tests.obedient_site import ObedientSite

NEWER = AttemptOrder(
    attempt_id="late.1",
    job_id="late",
    number=1,
    phase=Phase.RUN,
    gpu_ids=("0", "1"),
    cap_w=400.0,
    tier=4,
    launch=launch(),
)


@pytest.mark.parametrize("epoch", [1, 7])
async def test_its_leader_leads_from_above_what_guards_follow(epoch: int) -> None:
    """Also where the number that it gives this leader was another one's, since the backup was made."""
    there = ObedientSite(site().node("a").limit_w(3000.0))
    guard = there.guards["a"]
    before = Order(
        group_id="a",
        boot_id=guard.memory.boot_id,
        fence=Fence(epoch=epoch, seq=50),
        expires_boottime_s=10.0,
        entitlement_w=2200.0,
        fallback=(FallbackStep(after_s=0.0, limit_w=guard.memory.idle_w),),
        attempts=(NEWER,),
    )
    guard.take(before, there.clock.now_ms)
    await there.began()
    for _ in range(2):
        await there.orders_after(0.5)

    assert there.view.epoch > epoch
    assert guard.memory.seen.epoch == there.view.epoch
    there.submit("j", gpus=4)
    await there.orders_after(1.0)
    assert [a.attempt_id for a in guard.living()] == ["j.1"]

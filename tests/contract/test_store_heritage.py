"""What one leader hands on to the next through the store, beside jobs, orders and people's wishes."""

from __future__ import annotations

from dataclasses import replace

from scheduler.core.credit import Owed
from scheduler.core.faults import Faulted
from scheduler.core.forecast import LimitRecord
from scheduler.core.projects import Usage, Used
from scheduler.core.trim import Trimmed, Why
from scheduler.records import FAULTED, LIMIT_RECORD, TRIM
from scheduler.wire import dumps
from tests.store_sides import Side
from tests.stores import T0, after, tick


async def test_what_projects_used_stays_until_it_is_told_anew(side: Side) -> None:
    """To the last bit; a tick that does not tell of it forgets nothing."""
    used = Used(at=after(1), projects={"vision": Usage(gpu_h=0.1 + 0.2, kwh=1e-9), "others": Usage()})
    epoch = await side.store.claim("a", at=T0)
    assert (await side.store.load()).used is None
    await side.store.record(tick(1, epoch, used=replace(used, projects={})))
    await side.store.record(tick(2, epoch, used=used))
    await side.store.record(tick(3, epoch))
    assert (await side.store.load()).used == used


async def test_the_last_cut_stays_until_a_later_one(side: Side) -> None:
    """A tick without a cut does not forget the cut before it."""
    epoch = await side.store.claim("a", at=T0)
    await side.store.record(tick(1, epoch, last_cut_at=after(1)))
    await side.store.record(tick(2, epoch))
    assert (await side.store.load()).last_cut_at == after(1)


async def test_what_was_seen_of_the_limit_is_handed_on(side: Side) -> None:
    """The next leader goes on with what earlier ones learned; a tick that says nothing of it takes nothing away."""
    epoch = await side.store.claim("a", at=T0)
    assert (await side.store.load()).record is None
    seen = LimitRecord(at=after(1), limit_w=500.0, lit_since_at=T0)
    await side.store.record(tick(1, epoch, current={LIMIT_RECORD: dumps(seen).decode()}))
    await side.store.record(tick(2, epoch))

    assert (await side.store.load()).record == seen


async def test_what_the_meter_taught_is_handed_on(side: Side) -> None:
    """Until it taught another thing."""
    epoch = await side.store.claim("a", at=T0)
    assert (await side.store.load()).trim is None
    learned = Trimmed(w=120.5, why=Why.STEADY, flat_w=120.5, share=0.01)
    await side.store.record(tick(1, epoch, current={TRIM: dumps(learned).decode()}))
    await side.store.record(tick(2, epoch))

    assert (await side.store.load()).trim == learned


async def test_where_starts_failed_is_handed_on(side: Side) -> None:
    """All of it, until it is told anew."""
    epoch = await side.store.claim("a", at=T0)
    assert (await side.store.load()).faulted == {}
    fault = Faulted(count=2, at=after(1), until_at=after(31), why="[Errno 28] No space left", job_id="s-1")
    await side.store.record(tick(1, epoch, current={FAULTED: dumps({"a": fault}).decode()}))
    await side.store.record(tick(2, epoch))

    assert (await side.store.load()).faulted == {"a": fault}


async def test_what_partners_are_owed_stays_until_it_is_another(side: Side) -> None:
    """A tick that says nothing of it forgets nothing."""
    epoch = await side.store.claim("a", at=T0)
    assert (await side.store.load()).owed is None
    owed = Owed(at=after(1), credit_ws={"north": 5, "south": -5}, shares_w={"north": 3000, "south": 1000})
    await side.store.record(tick(1, epoch, owed=owed))
    await side.store.record(tick(2, epoch))
    assert (await side.store.load()).owed == owed

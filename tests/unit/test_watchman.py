"""The meter watched through the loop: what is a breach, and that it is on record whatever happens to the store."""

from __future__ import annotations

from datetime import timedelta

from scheduler.core.envelope import OPERATOR
from scheduler.core.snapshot import Quality
from tests.builders import site
from tests.fakes import T0
from tests.obedient_site import ObedientSite


async def a_node(limit_w: float) -> ObedientSite:
    """One node of four GPUs under a limit, with nothing on it."""
    return await ObedientSite(site().node("a").limit_w(limit_w)).began()


async def test_a_reading_of_the_meter_is_judged() -> None:
    """A draw over the limit, outside the reaction time, is a breach in the sample of that second."""
    there = await a_node(limit_w=3000)
    there.measured(2000)
    await there.clock.sleep_s(1)
    there.measured(3001)
    await there.orders_after(0)

    sample = there.store.records[-1].sample
    assert sample is not None
    assert (sample.at, sample.draw_w, sample.over_limit) == (T0 + timedelta(seconds=1), 3001, True)


async def test_a_breach_is_told_when_it_begins_and_when_it_ends_store_or_not() -> None:
    """While the store is down nothing of it is forgotten: both sentences and the mark come with the next record."""
    there = await a_node(limit_w=3000)
    there.measured(2000)
    there.store.up = False
    for draw_w in (3001, 3002, 2999):
        await there.clock.sleep_s(1)
        there.measured(draw_w)
        await there.orders_after(0)
    there.store.up = True
    await there.orders_after(1)
    record = there.store.records[-1]
    told = [(e.at, e.kind, dict(e.data)) for e in record.events if e.kind in ("limit.broken", "limit.kept")]
    assert told == [
        (T0 + timedelta(seconds=1), "limit.broken", {"draw_w": 3001, "limit_w": 3000}),
        (T0 + timedelta(seconds=3), "limit.kept", {"over_s": 2.0}),
    ]
    assert record.sample is not None
    assert record.sample.over_limit

    await there.orders_after(1)
    record = there.store.records[-1]
    assert [e for e in record.events if e.kind.startswith("limit.")] == []
    assert record.sample is not None
    assert not record.sample.over_limit


async def test_a_limit_is_told_once_whatever_becomes_of_the_store() -> None:
    """A store that fails now and then is no news of the limit; one that is another while it is down is, once."""
    there = await a_node(limit_w=3000)
    for is_up in (False, True, False, True):
        there.store.up = is_up
        await there.orders_after(1)
    there.store.up = False
    there.limit_w(2500)
    await there.orders_after(1)
    there.store.up = True
    for _ in range(2):
        await there.orders_after(1)

    texts = [e.text for r in there.store.records for e in r.events if e.kind == "limit.changed"]
    assert texts == ["grid allows 3.0 kW: test", "grid allows 2.5 kW (was 3.0 kW): test"]


async def test_a_limit_that_was_in_force_between_two_readings_was_in_force() -> None:
    """Work that was raised under it has the reaction time to come down again."""
    there = await a_node(limit_w=1000)
    there.measured(900)
    await there.clock.sleep_s(60)
    there.limit_w(3000)
    await there.orders()
    there.limit_w(1000)
    await there.orders()
    there.measured(2200)
    await there.orders_after(1)

    sample = there.store.records[-1].sample
    assert sample is not None
    assert not sample.over_limit


async def test_a_limit_that_a_person_set_while_nobody_watched_has_its_reaction_time() -> None:
    """A leader that begins 8 s later finds the draw of before: a breach only once the rest of the 30 s is over."""
    built = site().node("a").limit_w(3000)
    built.limit_w(1000, source=OPERATOR, issued_at=T0 - timedelta(seconds=8))
    there = await ObedientSite(built).began()
    over = {}
    for second in range(1, 26):
        await there.clock.sleep_s(1)
        there.measured(2000)
        await there.orders_after(0)
        sample = there.store.records[-1].sample
        assert sample is not None
        assert sample.allowed is not None
        over[second] = sample.over_limit, sample.allowed.limit_w

    assert {over[s] for s in range(1, 22)} == {(False, 3000)}
    assert {over[s] for s in range(23, 26)} == {(True, 1000)}


async def test_a_sample_says_what_the_draw_was_judged_by() -> None:
    """The document that granted more is named while its reaction time lasts, and the one in force after that."""
    there = await a_node(limit_w=3000)
    there.measured(2900)
    await there.orders_after(1)
    there.limit_w(1000)
    found, firm_w = [], set()
    for _ in range(40):
        there.measured(900)
        await there.orders_after(1)
        sample = there.store.records[-1].sample
        assert sample is not None
        assert sample.allowed is not None
        firm_w.add(sample.firm_w)
        found.append((sample.allowed.limit_w, sample.allowed.provenance, sample.quality))
    assert set(found[:30]) == {(3000, "test", Quality.GOOD)}
    assert set(found[32:]) == {(1000, "test", Quality.GOOD)}
    assert firm_w == {there.view.site.firm_w}


async def test_a_reading_that_is_no_longer_renewed_is_stale() -> None:
    """And before the first one there is none."""
    there = await a_node(limit_w=3000)
    await there.orders_after(1)
    before = there.store.records[-1].sample
    there.measured(2900)
    await there.orders_after(15)
    sample = there.store.records[-1].sample
    assert before is None
    assert sample is not None
    assert sample.quality is Quality.STALE

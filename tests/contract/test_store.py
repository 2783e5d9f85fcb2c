"""What the loop may rely on, whatever stands behind the port `Store`: in memory, SQLite, PostgreSQL."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scheduler.core.envelope import Segment, unheard
from scheduler.core.estop import EmergencyStop
from scheduler.core.inventory import Wish
from scheduler.core.jobs import AttemptState, CommitRef, Desired, JobState, Placement
from scheduler.core.orders import GpuSlot, GroupKind, GroupSpec
from scheduler.core.power_events import Span
from scheduler.errors import StaleEpoch
from scheduler.records import LIMITS_TOLD, Member
from scheduler.wire import dumps
from tests.store_sides import Side
from tests.stores import T0, after, attempt, event, job, order, power_event, tick


async def test_a_new_store_is_empty(side: Side) -> None:
    """The first leader of a site begins with nothing."""
    stored = await side.store.load()
    assert (stored.jobs, stored.attempts, stored.open_orders, stored.limits) == ((), (), {}, ())
    assert stored.last_cut_at is None
    assert (await side.store.intents(stored.seq)).jobs == ()


async def test_each_claim_is_a_later_epoch(side: Side) -> None:
    """Later than the last one, and later than what guards have seen."""
    assert await side.store.claim("a", at=T0) == 1
    assert await side.store.claim("b", at=T0) == 2
    assert await side.store.claim("c", at=T0, at_least=7) == 8
    assert await side.store.claim("d", at=T0, at_least=3) == 9


async def test_an_older_leader_cannot_write(side: Side) -> None:
    """Its tick is refused whole: nothing of it is kept."""
    job_id = side.submit()
    old = await side.store.claim("old", at=T0)
    new = await side.store.claim("new", at=T0)
    with pytest.raises(StaleEpoch, match=f"epoch {old} is over"):
        await side.store.record(tick(1, old, events=(event("old"),), orders={"node-1": order(1)}))
    await side.store.record(tick(1, new, events=(event("new"),)))

    stored = await side.store.load()
    assert list(side.events()) == ["new"]
    assert stored.open_orders == {}
    assert [j.id for j in stored.jobs] == [job_id]


async def test_what_was_recorded_is_there_after_a_crash(side: Side) -> None:
    """A new leader finds jobs, attempts, orders and the last cut as the old one left them."""
    side.submit()
    epoch = await side.store.claim("a", at=T0)
    [pending] = (await side.store.intents(0)).jobs
    running = replace(
        pending,
        state=JobState.RUNNING,
        since_at=after(5),
        attempts=1,
        failures=1,
        not_before_at=after(3),
        last_commit=CommitRef(path="/c/step-7", step=7),
        save_s=0.25,
        ran_s=4.5,
        storage="5f2c41",
        pinned_to=("node-1", "node-2"),
    )
    gang = attempt(
        pending.id,
        running_at=after(4),
        resume_from=CommitRef(path="/c/step-3", step=3),
        placements=(
            Placement(node_id="node-2", gpu_ids=("0",)),
            Placement(node_id="node-1", gpu_ids=("2", "3")),
        ),
        last_step=9,
        resumed_step=3,
    )
    await side.store.record(
        tick(5, epoch, jobs=(running,), attempts=(gang,), orders={"node-1": order(1)}, last_cut_at=after(2))
    )

    stored = await side.store.load()
    assert stored.jobs == (running,)
    assert stored.attempts == (gang,)
    assert stored.open_orders == {"node-1": (order(1),)}
    assert stored.last_cut_at == after(2)


async def test_what_is_over_is_not_loaded(side: Side) -> None:
    """Final jobs and ended attempts are history."""
    job_id = side.submit()
    epoch = await side.store.claim("a", at=T0)
    [pending] = (await side.store.intents(0)).jobs
    await side.store.record(tick(1, epoch, attempts=(attempt(job_id),)))
    done = replace(pending, state=JobState.SUCCEEDED, since_at=after(2))
    ended = attempt(job_id, state=AttemptState.ENDED, ended_at=after(2))
    await side.store.record(tick(2, epoch, jobs=(done,), attempts=(ended,)))

    stored = await side.store.load()
    assert (stored.jobs, stored.attempts) == ((), ())
    assert (await side.store.intents(0)).jobs == ()


async def test_intents_come_once_and_in_order(side: Side) -> None:
    """Asked from where the last answer ended, the store tells only what is new."""
    first, second = side.submit(), side.submit()
    news = await side.store.intents(0)
    assert [j.id for j in news.jobs] == [first, second]
    assert [j.number for j in news.jobs] == [1, 2]
    assert (news.desired, news.limits) == ({}, None)

    again = await side.store.intents(news.seq)
    assert (again.seq, again.jobs) == (news.seq, ())
    third = side.submit()
    later = await side.store.intents(news.seq)
    assert [j.id for j in later.jobs] == [third]
    assert later.seq > news.seq


async def test_what_was_loaded_is_no_news(side: Side) -> None:
    """The sequence number that a leader loads covers all that it loaded."""
    side.submit()
    side.limit(9000.0)
    stored = await side.store.load()
    news = await side.store.intents(stored.seq)
    assert (news.seq, news.jobs, news.limits) == (stored.seq, (), None)


async def test_wishes_are_told_and_kept(side: Side) -> None:
    """The last word counts, and the loop's record of the job does not overwrite it."""
    job_id = side.submit()
    epoch = await side.store.claim("a", at=T0)
    before = await side.store.intents(0)
    side.wish(job_id, Desired.HOLD)
    side.wish(job_id, Desired.CANCEL)
    assert (await side.store.intents(before.seq)).desired == {job_id: Desired.CANCEL}

    unaware = replace(before.jobs[0], state=JobState.RUNNING)
    await side.store.record(tick(1, epoch, jobs=(unaware,)))
    assert (await side.store.load()).jobs == (replace(unaware, desired=Desired.CANCEL),)


async def test_limits_set_by_hand_are_told_as_a_whole(side: Side) -> None:
    """Each change brings all that stand; a release brings none; no change brings no word."""
    side.limit(200_000.0, 90_000.0)
    news = await side.store.intents(0)
    assert news.limits is not None
    assert [e.segments[0].limit_w for e in news.limits] == [200_000.0, 90_000.0]
    assert {(e.source, e.reaction_s, e.stale_after_s, e.valid_until) for e in news.limits} == {
        ("operator", 30.0, None, None)
    }
    assert (await side.store.load()).limits == news.limits

    side.limit()
    assert (await side.store.intents(news.seq)).limits == ()
    assert (await side.store.load()).limits == ()


async def test_dependencies_that_are_settled_are_told(side: Side) -> None:
    """Only final states, and only of jobs that an open job waits for."""
    done_id, open_id, other_id = side.submit(), side.submit(), side.submit()
    epoch = await side.store.claim("a", at=T0)
    news = await side.store.intents(0)
    done = [replace(j, state=JobState.SUCCEEDED) for j in news.jobs if j.id in (done_id, other_id)]
    await side.store.record(tick(1, epoch, jobs=tuple(done)))
    side.submit(done_id, open_id)

    assert (await side.store.intents(news.seq)).settled == {done_id: JobState.SUCCEEDED}
    assert (await side.store.load()).settled == {done_id: JobState.SUCCEEDED}


async def test_orders_that_may_stand_are_kept(side: Side) -> None:
    """Of each group, whatever an earlier leader sent that a guard could still follow."""
    epoch = await side.store.claim("a", at=T0)
    high, low = order(1, entitlement_w=3000.0), order(2, entitlement_w=2000.0, expires_s=20.0)
    await side.store.record(tick(1, epoch, orders={"node-1": high, "node-2": high}))
    await side.store.record(tick(2, epoch, orders={"node-1": low}))
    assert (await side.store.load()).open_orders == {"node-1": (high, low), "node-2": (high,)}

    higher = order(3, entitlement_w=3000.0, expires_s=25.0)
    await side.store.record(tick(3, epoch, orders={"node-1": higher}))
    assert (await side.store.load()).open_orders["node-1"] == (higher,)


async def test_a_tick_that_is_told_twice_is_written_once(side: Side) -> None:
    """After a commit whose answer got lost, the loop may simply tell it again."""
    side.submit()
    epoch = await side.store.claim("a", at=T0)
    news = await side.store.intents(0)
    told = tick(1, epoch, jobs=news.jobs, events=(event("once"),), orders={"node-1": order(1)})
    await side.store.record(told)
    await side.store.record(told)
    assert list(side.events()) == ["once"]
    assert (await side.store.load()).open_orders == {"node-1": (order(1),)}


async def test_two_ticks_of_one_instant_are_two(side: Side) -> None:
    """Virtual time stands still between ticks: only the very same content is a repetition."""
    epoch = await side.store.claim("a", at=T0)
    await side.store.record(tick(1, epoch, events=(event("one"),)))
    await side.store.record(tick(1, epoch, events=(event("two"),)))
    assert list(side.events()) == ["one", "two"]


async def test_a_job_that_was_never_submitted_is_taken_as_it_is(side: Side) -> None:
    """A simulation brings its own jobs."""
    epoch = await side.store.claim("a", at=T0)
    await side.store.record(tick(1, epoch, jobs=(job(5),), attempts=(attempt("demo-5"),)))
    assert (await side.store.load()).jobs == (job(5),)


def a_member(name: str, *, leaving: bool = False) -> Member:
    """A node of another machine."""
    gpus = (GpuSlot(gpu_id="0", model="a100-sxm-400w"),)
    spec = GroupSpec(group_id=name, kind=GroupKind.NODE, base_w=900.0, gpus=gpus, address="192.0.2.8")
    return Member(spec=spec, leaving=leaving)


async def test_nodes_that_joined_are_known_to_the_next_leader(side: Side) -> None:
    """As they were agreed on, until they leave."""
    assert (await side.store.load()).members == ()
    side.join(a_member("hall-1"), a_member("hall-2"))

    assert (await side.store.load()).members == (a_member("hall-1"), a_member("hall-2"))


async def test_who_joins_and_leaves_is_an_intent(side: Side) -> None:
    """All that are there are told, and only when something changed."""
    seq = (await side.store.load()).seq
    side.join(a_member("hall-1"), a_member("hall-2"))
    joined = await side.store.intents(seq)
    side.join(a_member("hall-2", leaving=True))
    left = await side.store.intents(joined.seq)
    side.submit()

    assert joined.members == (a_member("hall-1"), a_member("hall-2"))
    assert left.members == (a_member("hall-2", leaving=True),)
    assert (await side.store.intents(left.seq)).members is None


STOP = EmergencyStop(id="s1", reason="smoke in hall 2", by="ada", at=T0)


async def test_a_stop_stands_until_it_is_released(side: Side) -> None:
    """It is told once, loaded by each new leader, and known as released for ever."""
    side.engage(STOP)
    news = await side.store.intents(0)
    assert (news.stops, news.released_stops) == ((STOP,), frozenset())
    assert (await side.store.load()).stops == (STOP,)
    assert (await side.store.intents(news.seq)).stops is None

    side.release()
    news = await side.store.intents(news.seq)
    assert (news.stops, news.released_stops) == ((), frozenset({"s1"}))
    stored = await side.store.load()
    assert (stored.stops, stored.released_stops) == ((), frozenset({"s1"}))


async def test_a_stop_that_a_guard_told_of_is_kept(side: Side) -> None:
    """It stands like one that a person told the site; one that was released is not brought back."""
    epoch = await side.store.claim("a", at=T0)
    await side.store.record(tick(1, epoch, stops=(STOP,)))
    assert (await side.store.load()).stops == (STOP,)

    side.release()
    await side.store.record(tick(2, epoch, stops=(STOP, replace(STOP, id="s2"))))
    assert [s.id for s in (await side.store.load()).stops] == ["s2"]


async def test_what_sources_told_last_is_there_for_who_leads_next(side: Side) -> None:
    """As it was written last; a tick that tells nothing of it changes nothing."""
    epoch = await side.store.claim("a", at=T0)
    assert (await side.store.load()).told == ()

    silent = unheard("feeder", at=T0, reaction_s=30.0)
    first, last = (
        (replace(silent, segments=(Segment(starts_at=T0, limit_w=w),)),) for w in (12_000.0, 1303.0)
    )
    for at_s, told in ((1, first), (2, last)):
        await side.store.record(tick(at_s, epoch, current={LIMITS_TOLD: dumps(told).decode()}))
    await side.store.record(tick(3, epoch))
    assert (await side.store.load()).told == last


async def test_power_events_that_are_not_final_are_loaded(side: Side) -> None:
    """As they were written last, oldest first: a new leader goes on with their sums."""
    epoch = await side.store.claim("a", at=T0)
    span = Span(covered_s=12.5, draw_wh=20.0, limit_wh=21.0, commanded_wh=22.0, unused_wh=1.5)
    later, earlier = power_event(20), power_event(10, plan_sha256="5f" * 32, baseline_w=8000.0)
    await side.store.record(
        tick(30, epoch, power_events=(later, earlier, power_event(5, complied_at=after(6))))
    )
    grown = replace(earlier, during=span, held=replace(span, covered_s=3.0), least_w=4.0, ended_at=after(31))
    over = power_event(5, complied_at=after(6), is_final=True)
    await side.store.record(tick(31, epoch, power_events=(grown, over)))

    assert (await side.store.load()).power_events == (grown, later)


async def test_what_people_want_of_machines_comes_once_and_stays(side: Side) -> None:
    """All that stands, by group, whenever any of it is new; the next leader finds it too."""
    await side.store.claim("a", at=T0)
    before = (await side.store.load()).seq
    side.want("acme-1", "acme-2")
    wanted = {"acme": (("acme-1", Wish.PAUSED), ("acme-2", Wish.PAUSED))}
    news = await side.store.intents(before)
    assert news.miner_wishes == wanted
    assert (await side.store.intents(news.seq)).miner_wishes is None
    assert (await side.store.load()).miner_wishes == wanted

    side.want()
    assert (await side.store.intents(news.seq)).miner_wishes == {}

"""What a tick leaves behind for people: steps, losses, checkpoints, decisions, documents, and how the site did."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select
from sqlmodel import col

from scheduler.core.jobs import AttemptState, CommitRef, Job, JobState, Outcome
from scheduler.core.reasons import Event
from scheduler.errors import StoreError
from scheduler.records import QUARANTINED, CheckpointNote, TickRecord
from scheduler.store.database import reading
from scheduler.store.desk import Desk
from scheduler.store.recorder import SqlStore
from scheduler.store.tables import AttemptNodeRow, DecisionRow, EventRow, IntentRow, ManualLimitRow
from scheduler.store.views import CheckpointState
from scheduler.store.wishes import NewLimit
from tests.stores import KINDS, SITE, T0, after, attempt, database, new_job, order, power_event, tick


class Site:
    """A desk and a leader on one database, with one job."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.desk = Desk(engine, site=SITE, now=lambda: T0)
        self.store = SqlStore(engine, reaction_s=30.0)
        self.desk.submit([new_job()])

    async def tick(self, at_s: float, **changes: object) -> TickRecord:
        """Record a tick of the leader."""
        record = tick(at_s, 1, **changes)
        await self.store.record(record)
        return record

    async def job(self) -> Job:
        """The job as the leader loads it."""
        return (await self.store.load()).jobs[0]


@pytest.fixture(params=KINDS)
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    """A site whose leader has epoch 1."""
    with database(request.param, tmp_path) as engine:
        made = Site(engine)
        assert await made.store.claim("leader", at=T0) == 1
        yield made
        made.store.close()


def note(
    step: int, *, attempt_number: int = 1, at_s: float = 0.0, damaged: str = "", path: str = ""
) -> CheckpointNote:
    """A checkpoint of the job, sound or damaged."""
    return CheckpointNote(
        job_id="demo-1",
        attempt_id=f"demo-1.{attempt_number}",
        step=step,
        path=path or f"/c/step-{step}",
        at=after(at_s),
        damaged=damaged,
    )


# -- jobs and attempts -----------------------------------------------------------------------------------------------


async def test_the_first_running_attempt_starts_the_job(site: Site) -> None:
    """Later ones do not change when it started."""
    await site.tick(1, attempts=(attempt(running_at=after(0.5)),))
    await site.tick(2, attempts=(attempt(number=2, running_at=after(1.5)),))
    assert site.desk.get("demo-1").started_at == after(0.5)


async def test_a_final_job_has_an_end(site: Site) -> None:
    """It ended when it entered its final state."""
    job = await site.job()
    await site.tick(3, jobs=(replace(job, state=JobState.FAILED, since_at=after(2)),))
    assert site.desk.get("demo-1").ended_at == after(2)


async def test_steps_are_the_newest_attempts_word(site: Site) -> None:
    """An attempt that has not told yet does not hide what is known; one that begins again says from where."""
    await site.tick(1, attempts=(attempt(last_step=7, resumed_step=0),))
    assert site.desk.get("demo-1").step == 7
    ended = attempt(state=AttemptState.ENDED, outcome=Outcome.PREEMPTED, last_step=9, resumed_step=0)
    await site.tick(2, attempts=(attempt(number=2), ended))
    assert site.desk.get("demo-1").step == 9
    await site.tick(3, attempts=(attempt(number=2, resumed_step=5),))
    assert site.desk.get("demo-1").step == 5


async def test_lost_steps_are_settled_when_the_next_attempt_begins(site: Site) -> None:
    """First by the newest commit, then by where the job really went on."""
    job = replace(await site.job(), attempts=1, last_commit=CommitRef(path="/c/step-90", step=90))
    await site.tick(1, jobs=(job,), attempts=(attempt(last_step=100, resumed_step=0),))
    ended = attempt(state=AttemptState.ENDED, outcome=Outcome.LOST, last_step=100, resumed_step=0)
    await site.tick(2, jobs=(replace(job, state=JobState.PAUSED),), attempts=(ended,))
    assert site.desk.get("demo-1").lost_steps == 10
    await site.tick(3, attempts=(attempt(number=2, resumed_step=80),))
    assert site.desk.get("demo-1").lost_steps == 20
    assert [a.lost_steps for a in site.desk.attempts("demo-1")] == [20, 0]
    assert site.desk.summary().steps_lost == 20


async def test_a_new_leader_settles_losses_too(site: Site) -> None:
    """What a leader remembers to save itself work is not needed for the result."""
    ended = attempt(state=AttemptState.ENDED, outcome=Outcome.LOST, last_step=100, resumed_step=0)
    await site.tick(1, attempts=(ended,))
    another = SqlStore(site.engine)
    epoch = await another.claim("another", at=T0)
    await another.record(tick(2, epoch, attempts=(attempt(number=2, resumed_step=100),)))
    another.close()
    assert site.desk.summary().steps_lost == 0


async def test_the_nodes_of_an_attempt_are_written_once(site: Site) -> None:
    """However often its steps are."""
    for step in range(3):
        await site.tick(step, attempts=(attempt(last_step=step),))
    with reading(site.engine) as session:
        assert session.scalar(select(func.count()).select_from(AttemptNodeRow)) == 1


async def test_a_tick_about_an_unknown_job_is_refused_whole(site: Site) -> None:
    """An attempt of a job that does not exist is a mistake; nothing of that tick stays."""
    with pytest.raises(StoreError):
        await site.tick(1, attempts=(attempt("demo-9"),), orders={"node-1": order(1)})
    assert (await site.store.load()).open_orders == {}


# -- checkpoints -----------------------------------------------------------------------------------------------------


async def test_checkpoints_are_kept_with_their_time(site: Site) -> None:
    """Oldest first; one that is told again, as after a restart, is the same."""
    await site.tick(1, checkpoints=(note(10, at_s=1), note(20, at_s=1)))
    await site.tick(2, checkpoints=(note(10, at_s=2), note(20, attempt_number=2, at_s=2)))
    shown = [(c.step, c.state, c.verified_at) for c in site.desk.checkpoints("demo-1")]
    assert shown == [(10, CheckpointState.VERIFIED, after(1)), (20, CheckpointState.VERIFIED, after(1))]


async def test_a_damaged_checkpoint_is_quarantined(site: Site) -> None:
    """Under the path that it was verified under, with why; told again it is the same."""
    await site.tick(1, checkpoints=(note(10, at_s=1),))
    damage = note(
        10, attempt_number=2, at_s=2, damaged="step-10: hash of shard 0 differs", path="step-10.bad"
    )
    await site.tick(2, checkpoints=(damage,))
    await site.tick(3, checkpoints=(damage, note(10, at_s=3)))
    [shown] = site.desk.checkpoints("demo-1")
    assert (shown.state, shown.path) == (CheckpointState.QUARANTINED, "/c/step-10")
    assert (shown.verified_at, shown.damaged_at) == (after(1), after(2))
    assert shown.why == "step-10: hash of shard 0 differs"


async def test_damage_is_told_once_however_often_it_is_heard_of(site: Site) -> None:
    """A leader that begins anew hears all of it again from the guards."""
    damage = note(50, damaged="step-50: model.pt is damaged")
    told = Event(
        at=after(1),
        kind=QUARANTINED,
        text="demo-1: a damaged checkpoint was set aside",
        job_id="demo-1",
        data={"step": 50, "what": damage.damaged},
    )
    for at_s in (1.0, 2.0):
        await site.tick(at_s, checkpoints=(damage,), events=(told,))
    other = note(60, damaged="step-60: model.pt is damaged")
    await site.tick(
        3.0, checkpoints=(damage, other), events=(told, replace(told, data={"what": other.damaged}))
    )

    with reading(site.engine) as session:
        kinds = list(session.scalars(select(col(EventRow.kind))))
    assert kinds.count(QUARANTINED) == 2


async def test_a_step_that_is_saved_anew_is_another_checkpoint(site: Site) -> None:
    """The quarantined one stays on record, the new one is sound."""
    await site.tick(1, checkpoints=(note(10),))
    await site.tick(2, checkpoints=(note(10, attempt_number=2, damaged="flipped bit"),))
    await site.tick(3, checkpoints=(note(10, attempt_number=2, at_s=3),))
    states = [c.state for c in site.desk.checkpoints("demo-1")]
    assert states == [CheckpointState.QUARANTINED, CheckpointState.VERIFIED]
    summary = site.desk.summary()
    assert (summary.checkpoints_verified, summary.checkpoints_quarantined) == (2, 1)


async def test_damage_that_was_never_seen_sound_is_on_record(site: Site) -> None:
    """A checkpoint that was written while nobody looked."""
    await site.tick(1, checkpoints=(note(10, damaged="torn"),))
    [shown] = site.desk.checkpoints("demo-1")
    assert (shown.state, shown.verified_at, shown.why) == (CheckpointState.QUARANTINED, None, "torn")


# -- the site --------------------------------------------------------------------------------------------------------


async def test_documents_are_replaced(site: Site) -> None:
    """The API finds the newest of each, and when it was written."""
    assert site.desk.current("power") is None
    await site.tick(1, current={"power": "{}", "nodes": "[]"})
    await site.tick(2, current={"power": '{"limit_w":1}'})
    power, nodes = site.desk.current("power"), site.desk.current("nodes")
    assert power is not None
    assert nodes is not None
    assert (power.text, power.updated_at) == ('{"limit_w":1}', after(2))
    assert (nodes.text, nodes.updated_at) == ("[]", after(1))


async def test_the_leader_shows_when_it_last_wrote(site: Site) -> None:
    """Readiness is judged by that."""
    await site.tick(7)
    leader = site.desk.leader()
    assert (leader.epoch, leader.holder, leader.claimed_at, leader.ticked_at) == (1, "leader", T0, after(7))


async def test_decisions_are_found_around_a_time(site: Site) -> None:
    """As they were written, for replaying."""
    for at_s in (10, 20, 30):
        await site.tick(at_s, snapshot_json=b'{"at":%d}' % at_s, decision_json=b"{}")
    await site.tick(40)
    found = site.desk.decisions(after(25), before=1, after=5)
    assert [(d.at, d.epoch, d.snapshot_json, d.decision_json) for d in found] == [
        (after(20), 1, b'{"at":20}', b"{}"),
        (after(30), 1, b'{"at":30}', b"{}"),
    ]
    assert [d.at for d in site.desk.decisions(after(20), before=2, after=0)] == [after(10), after(20)]


async def test_withdrawals_are_counted_and_timed(site: Site) -> None:
    """Half of those complied with took no longer than p50; one that goes on is open. One that asks nothing is none."""
    falls = [power_event(i) for i in (10, 20, 30, 40)]
    asking_nothing = power_event(15, complied_at=after(15), draw_w=4000.0)
    await site.tick(41, power_events=(*falls, asking_nothing))
    complied = [
        replace(f, fall=replace(f.fall, complied_at=after(f.began_at.second + took_s)))
        for f, took_s in zip(falls, (2, 4, 9), strict=False)
    ]
    await site.tick(50, power_events=tuple(complied))
    summary = site.desk.summary()
    assert (summary.withdrawals, summary.withdrawals_open) == (4, 1)
    assert (summary.comply_p50_s, summary.comply_max_s) == (4.0, 9.0)


async def test_a_new_site_has_an_empty_summary(site: Site) -> None:
    """Zeros, and None for what was never measured."""
    summary = site.desk.summary()
    assert (summary.withdrawals, summary.comply_p50_s, summary.comply_max_s, summary.steps_lost) == (
        0,
        None,
        None,
        0,
    )
    assert (summary.over_limit_s, summary.energy.covered_s) == (0.0, 0.0)
    assert summary.jobs == {JobState.PENDING: 1}


async def test_what_is_kept_for_a_while_goes_after_it(site: Site) -> None:
    """Decisions and intents after a day; a limit whose time is up is closed, not forgotten."""
    site.desk.add_limit(NewLimit(limit_w=1.0, reason="test", by="asma", for_s=60.0))
    await site.tick(0, snapshot_json=b"{}")
    await site.tick(120)
    assert (await site.store.load()).limits == ()
    [limit] = site.desk.limits(standing=False)
    assert (limit.released_at, limit.release_reason) == (limit.ends_at, "its time was up")

    await site.tick(86_401 + 60, snapshot_json=b"{}")
    with reading(site.engine) as session:
        assert session.scalars(select(col(DecisionRow.at))).all() == [after(86_461)]
        assert session.scalars(select(IntentRow)).all() == []
        assert len(session.scalars(select(ManualLimitRow)).all()) == 1
    assert [j.id for j in (await site.store.load()).jobs] == ["demo-1"]


async def test_a_busy_day_does_not_fill_the_disk(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so many decisions are kept, the newest."""
    monkeypatch.setattr("scheduler.store.ticks.MOST_DECISIONS", 3)
    for at_s in range(6):
        await site.tick(at_s, snapshot_json=b"{}")
    await site.tick(60)
    with reading(site.engine) as session:
        assert session.scalars(select(col(DecisionRow.at))).all() == [after(3), after(4), after(5)]

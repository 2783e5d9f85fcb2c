"""What people do at the desk: submit, look, ask for something, be refused."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select, update
from sqlmodel import col

from scheduler.core.jobs import AttemptState, CommitRef, Desired, JobSpec, JobState, Placement
from scheduler.core.reasons import Reason
from scheduler.errors import StoreError
from scheduler.store.database import writing
from scheduler.store.desk import Desk
from scheduler.store.job_queries import VIRTUAL_STATES, JobFilter
from scheduler.store.recorder import SqlStore
from scheduler.store.refusals import InvalidField, JobIsFinal, JobNotFound, LimitNotFound
from scheduler.store.tables import IntentRow, JobRow
from scheduler.store.views import NewJob
from scheduler.store.wishes import NewLimit
from tests.stores import KINDS, SITE, T0, after, attempt, database, new_job, spec, tick


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An empty database of each kind."""
    with database(request.param, tmp_path) as opened:
        yield opened


@pytest.fixture
def desk(engine: Engine) -> Desk:
    """The desk of an empty site, where it is noon."""
    return Desk(engine, site=SITE, now=lambda: T0)


def become(engine: Engine, job_id: str, state: JobState) -> None:
    """Put a job into a state, as the leader would."""
    with writing(engine) as session:
        session.execute(update(JobRow).where(col(JobRow.id) == job_id).values(state=state.value))


def test_a_rehearsal_leaves_no_trace(desk: Desk, engine: Engine) -> None:
    """Nobody ever sees a limit, a stop or an event of it, nor is the leader asked to look; and it can be repeated."""
    desk.rehearse()
    desk.rehearse()
    assert desk.limits(standing=False) == ()
    assert desk.standing_stops() == ()
    assert desk.events() == ()
    with writing(engine) as session:
        assert session.scalars(select(IntentRow)).all() == []
    assert desk.engage_stop(by="ada", reason="smoke", stop_id="rehearsal").by == "ada"


# -- submitting ------------------------------------------------------------------------------------------------------


def test_a_job_gets_the_next_number_of_its_site(desk: Desk) -> None:
    """The id is known to whoever builds the job, for its directories."""
    first, second = desk.submit([new_job("a"), new_job("b", priority=3)])
    [third] = desk.submit([new_job("c")])
    assert [j.id for j in (first, second, third)] == ["demo-1", "demo-2", "demo-3"]
    assert second.spec.launch.checkpoint_dir == "/jobs/demo-2/checkpoints"
    assert second.spec.priority == 3


def test_a_new_job_is_pending_with_its_file_as_submitted(desk: Desk) -> None:
    """Nothing is known of it yet but what was asked for."""
    request = {"name": "ħ", "resources": {"gpus": 2}, "env": {"A": "1"}}
    [view] = desk.submit([NewJob(request=request, build=lambda _: spec("ħ", gpus=2))])
    assert view == desk.get(view.id)
    assert view.request == request
    assert (view.state, view.desired, view.submitted_at, view.since_at) == (
        JobState.PENDING,
        Desired.RUN,
        T0,
        T0,
    )
    assert (view.attempt, view.placements, view.step, view.reason, view.started_at) == (
        None,
        (),
        None,
        None,
        None,
    )
    assert (view.lost_steps, view.energy_wh, view.last_commit) == (0, None, None)


def test_all_jobs_are_taken_or_none(desk: Desk) -> None:
    """One that cannot be built takes the others with it, and no number is lost."""

    def broken(job_id: str) -> JobSpec:
        raise ValueError(f"{job_id}: no such directory")

    with pytest.raises(ValueError, match="demo-2: no such directory"):
        desk.submit([new_job(), NewJob(request={}, build=broken)])
    assert desk.list().jobs == ()
    assert desk.submit([new_job()])[0].id == "demo-1"


def test_no_jobs_at_all_are_no_error(desk: Desk) -> None:
    """An empty batch is an empty answer."""
    assert desk.submit([]) == ()


def test_a_dependency_must_have_been_submitted(desk: Desk) -> None:
    """Otherwise the job would wait for ever."""
    [first] = desk.submit([new_job()])
    assert desk.submit([new_job(dependencies=(first.id,))])[0].spec.dependencies == (first.id,)
    with pytest.raises(
        InvalidField, match="dependencies: 'demo-9' makes no sense; name a job that was submitted"
    ):
        desk.submit([new_job(dependencies=(first.id, "demo-9"))])


def test_many_hands_never_get_the_same_number(engine: Engine) -> None:
    """Threads and processes share one counter."""
    desks = [Desk(engine, site=SITE) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        batches = list(
            pool.map(lambda desk: [j.id for _ in range(5) for j in desk.submit([new_job()])], desks)
        )
    assert sorted(i for batch in batches for i in batch) == sorted(f"demo-{n}" for n in range(1, 21))


# -- looking ---------------------------------------------------------------------------------------------------------


def test_a_job_that_is_not_there_is_refused(desk: Desk) -> None:
    """By every question about it, with the same stable code."""
    questions = (desk.get, desk.attempts, desk.checkpoints, lambda i: desk.set_desired(i, Desired.HOLD))
    for ask in questions:
        with pytest.raises(JobNotFound, match="there is no job 'demo-1'; `barq jobs` lists them") as caught:
            ask("demo-1")
        assert caught.value.code == "job_not_found"


def test_a_list_comes_in_pages_newest_first(desk: Desk) -> None:
    """Each page says where the next begins; jobs submitted meanwhile do not shift it."""
    desk.submit([new_job() for _ in range(5)])
    first = desk.list(limit=2)
    desk.submit([new_job()])
    second = desk.list(limit=2, after=first.next)
    third = desk.list(limit=2, after=second.next)
    assert [[j.number for j in page.jobs] for page in (first, second, third)] == [[5, 4], [3, 2], [1]]
    assert third.next is None


def test_a_list_that_just_fits_has_no_next_page(desk: Desk) -> None:
    """No empty page is offered."""
    desk.submit([new_job(), new_job()])
    assert desk.list(limit=2).next is None


def test_a_list_is_filtered_by_name_project_and_state(desk: Desk, engine: Engine) -> None:
    """All filters given must fit."""
    desk.submit([new_job("a", project="x"), new_job("a", project="y"), new_job("b", project="x")])
    become(engine, "demo-2", JobState.RUNNING)

    def numbers(**which: str) -> list[int]:
        return [j.number for j in desk.list(JobFilter(**which)).jobs]

    assert numbers(name="a") == [2, 1]
    assert numbers(name="a", project="x") == [1]
    assert numbers(state="RUNNING") == numbers(state="running") == numbers(state="active") == [2]
    assert numbers(state="waiting", project="x") == [3, 1]
    assert numbers(state="finished") == []


def test_every_state_has_one_virtual_name() -> None:
    """Waiting, active and finished together are all jobs, each once."""
    assert sorted(s for states in VIRTUAL_STATES.values() for s in states) == sorted(JobState)


@pytest.mark.parametrize("cursor", ["", "!", "Zm9v", "bnVtYmVyOjE6Mg", "\N{SNOWMAN}"])
def test_a_cursor_that_nobody_gave_is_refused(desk: Desk, cursor: str) -> None:
    """It is opaque, not free text."""
    with pytest.raises(InvalidField, match=r"after: .* give the `next` of the page before"):
        desk.list(after=cursor)


def test_a_state_that_is_none_is_refused(desk: Desk) -> None:
    """The message lists those that there are."""
    with pytest.raises(
        InvalidField, match="state: 'asleep' makes no sense; use one of waiting, active, finished, "
    ):
        desk.list(JobFilter(state="asleep"))


async def test_a_running_job_shows_where_it_runs(desk: Desk, engine: Engine) -> None:
    """The attempt that goes on, its nodes in order of rank, its steps, its reason."""
    desk.submit([new_job()])
    store = SqlStore(engine)
    epoch = await store.claim("a", at=T0)
    [job] = (await store.load()).jobs
    placements = (
        Placement(node_id="node-2", gpu_ids=("1",)),
        Placement(node_id="node-1", gpu_ids=("0", "3")),
    )
    reason = Reason(code="Held", text="a person holds it", numbers={"by": 1.0}, expected_at=after(60))
    await store.record(
        tick(
            1,
            epoch,
            jobs=(
                replace(job, state=JobState.RUNNING, attempts=2, last_commit=CommitRef(path="/c/5", step=5)),
            ),
            attempts=(
                attempt(state=AttemptState.ENDED, last_step=6, running_at=after(0.2)),
                attempt(number=2, placements=placements, last_step=7, resumed_step=5, running_at=after(0.5)),
            ),
            reasons={job.id: reason},
        )
    )
    view = desk.get(job.id)
    assert (view.attempt, view.placements, view.step) == ("demo-1.2", placements, 7)
    assert (view.reason, view.last_commit) == (reason, CommitRef(path="/c/5", step=5))
    assert (view.started_at, view.ended_at) == (after(0.2), None)
    assert [(a.attempt.number, a.lost_steps) for a in desk.attempts(job.id)] == [(1, 1), (2, 0)]
    assert desk.attempts(job.id)[1].attempt.placements == placements
    await store.record(tick(2, epoch, reasons={job.id: None}))
    assert desk.get(job.id).reason is None
    store.close()


def test_a_row_of_another_version_is_the_stores_failure(desk: Desk, engine: Engine) -> None:
    """It names the job, and does not look like the caller's mistake."""
    desk.submit([new_job()])
    with writing(engine) as session:
        session.execute(update(JobRow).values(spec='{"name":"x","colour":"red"}'))
    with pytest.raises(StoreError, match=r"job demo-1 cannot be read: .*was it written by another version"):
        desk.get("demo-1")


# -- wishes ----------------------------------------------------------------------------------------------------------


def test_a_wish_is_kept_until_another(desk: Desk) -> None:
    """Held, released, held again; twice the same is no error."""
    desk.submit([new_job()])
    for wish in (Desired.HOLD, Desired.HOLD, Desired.RUN, Desired.HOLD):
        assert desk.set_desired("demo-1", wish).desired is wish


@pytest.mark.parametrize("state", sorted(VIRTUAL_STATES["finished"]))
@pytest.mark.parametrize("wish", [Desired.HOLD, Desired.RUN, Desired.CANCEL])
def test_what_has_ended_cannot_be_changed(desk: Desk, engine: Engine, state: JobState, wish: Desired) -> None:
    """The refusal says how it ended."""
    desk.submit([new_job()])
    become(engine, "demo-1", state)
    with pytest.raises(JobIsFinal, match=f"job demo-1 is {state.value}; submit it again to run it again"):
        desk.set_desired("demo-1", wish)


def test_a_cancelled_job_is_not_called_back(desk: Desk) -> None:
    """Its processes may be gone already."""
    desk.submit([new_job()])
    desk.set_desired("demo-1", Desired.CANCEL)
    for wish in (Desired.HOLD, Desired.RUN):
        with pytest.raises(JobIsFinal, match="job demo-1 is CANCELLING"):
            desk.set_desired("demo-1", wish)


def test_cancelling_again_is_no_error(desk: Desk, engine: Engine) -> None:
    """A client that lost the answer asks again, maybe after the job is gone."""
    desk.submit([new_job()])
    desk.set_desired("demo-1", Desired.CANCEL)
    assert desk.set_desired("demo-1", Desired.CANCEL).desired is Desired.CANCEL
    become(engine, "demo-1", JobState.CANCELLED)
    assert desk.set_desired("demo-1", Desired.CANCEL).state is JobState.CANCELLED


# -- limits ----------------------------------------------------------------------------------------------------------


def test_a_limit_stands_until_it_is_released(desk: Desk) -> None:
    """Released ones stay on record, with who, when and why."""
    standing = desk.add_limit(NewLimit(limit_w=200_000.0, reason="feeder work", by="asma"))
    assert desk.limits() == (standing,)
    assert (standing.limit_w, standing.reason, standing.by, standing.ends_at) == (
        200_000.0,
        "feeder work",
        "asma",
        None,
    )

    [released] = desk.release_limits(by="bilal", reason="work done")
    assert (released.id, released.released_at, released.released_by) == (standing.id, T0, "bilal")
    assert released.release_reason == "work done"
    assert desk.limits() == ()
    assert desk.limits(standing=False) == (released,)
    assert desk.release_limits(by="bilal") == ()


def test_a_limit_for_a_time_ends_by_itself(engine: Engine) -> None:
    """At its end it stands no more, and needs no release."""
    clock = [T0]
    desk = Desk(engine, site=SITE, now=lambda: clock[0])
    limit = desk.add_limit(NewLimit(limit_w=1.0, reason="test", by="asma", for_s=1800.0))
    assert limit.ends_at == T0 + timedelta(minutes=30)
    clock[0] = after(1799)
    assert desk.limits() == (limit,)
    clock[0] = after(1800)
    assert desk.limits() == ()
    assert desk.release_limits(by="asma") == ()


def test_one_of_several_limits_can_be_released(desk: Desk) -> None:
    """The others stand; a number that there never was is refused."""
    first, second = (desk.add_limit(NewLimit(limit_w=w, reason="r", by="b")) for w in (1.0, 2.0))
    assert [r.id for r in desk.release_limits(by="b", limit_id=first.id)] == [first.id]
    assert desk.release_limits(by="b", limit_id=first.id) == ()
    assert desk.limits() == (second,)
    with pytest.raises(LimitNotFound, match="there is no manual limit 99"):
        desk.release_limits(by="b", limit_id=99)


@pytest.mark.parametrize(
    "field, value, remedy",
    [
        ("limit_w", -1.0, "give watts, 0 or more"),
        ("limit_w", float("nan"), "give watts, 0 or more"),
        ("limit_w", float("inf"), "give watts, 0 or more"),
        ("reason", "  ", "say why"),
        ("for_s", 0.0, "more than 0"),
        ("for_s", float("inf"), "more than 0"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(desk: Desk, field: str, value: Any, remedy: str) -> None:
    """By field, value and remedy; nothing is kept of it."""
    plain = NewLimit(limit_w=1000.0, reason="feeder work", by="asma")
    with pytest.raises(InvalidField, match=remedy) as caught:
        desk.add_limit(replace(plain, **{field: value}))
    assert (caught.value.field, caught.value.code) == (field, "invalid_field")
    assert desk.limits(standing=False) == ()


# -- emergency stops -------------------------------------------------------------------------------------------------


def test_a_stop_and_its_release_are_on_record(desk: Desk) -> None:
    """Each with who and why, in the chained log, in the transaction that made it so."""
    stop = desk.engage_stop(by="ada", reason="smoke in hall 2")
    desk.engage_stop(by="bob", reason="smoke here too")
    assert {s.by for s in desk.standing_stops()} == {"ada", "bob"}

    released = desk.release_stops(by="eve", reason="false alarm")

    assert {s.id for s in released} >= {stop.id}
    assert desk.standing_stops() == ()
    assert [(e.kind, e.text, e.data["by"]) for e in desk.events()] == [
        ("estop.engaged", "emergency stop by ada: smoke in hall 2", "ada"),
        ("estop.engaged", "emergency stop by bob: smoke here too", "bob"),
        ("estop.released", "emergency stop released by eve: false alarm", "eve"),
    ]
    assert desk.verify_events() is None


def test_the_same_stop_is_one_stop(desk: Desk) -> None:
    """Guards were told it under this id already; whoever tells it again changes nothing."""
    desk.engage_stop(by="ada", reason="smoke", stop_id="s1")
    again = desk.engage_stop(by="bob", reason="fire", stop_id="s1")

    assert (again.by, again.reason) == ("ada", "smoke")
    assert len(desk.events()) == 1


def test_a_stop_needs_a_reason_and_so_does_its_release(desk: Desk) -> None:
    """Neither is done without."""
    with pytest.raises(InvalidField, match="reason"):
        desk.engage_stop(by="ada", reason=" ")
    desk.engage_stop(by="ada", reason="smoke", stop_id="s1")
    with pytest.raises(InvalidField, match="reason"):
        desk.release_stops(by="ada", reason="")
    desk.release_stops(by="ada", reason="false alarm")
    with pytest.raises(InvalidField, match="was released"):
        desk.engage_stop(by="ada", reason="smoke", stop_id="s1")
    assert desk.release_stops(by="ada", reason="once more") == ()

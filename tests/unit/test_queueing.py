"""The queue: kept up with the jobs, walked shape by shape, in the order that sorting them anew would give."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given, strategies as st

from scheduler.core.attained import OVERTAKEN
from scheduler.core.jobs import JobState
from scheduler.core.plan import Plan
from scheduler.core.queueing import Heads, Queue
from scheduler.core.reasons import Code
from tests.builders import SiteBuilder, site

FIRST_GPU_S = 4 * 3600.0


def queued(built: SiteBuilder) -> tuple[Queue, Plan]:
    """A queue of what waits."""
    plan, queue = Plan(built.snapshot()), Queue()
    queue.sync(plan, built.settled)
    return queue, plan


def follow(queue: Queue, plan: Plan, built: SiteBuilder) -> None:
    """What the next snapshot says."""
    plan.follow(built.snapshot())
    queue.sync(plan, built.settled)


def order(heads: Heads) -> list[str]:
    """Who comes when nobody is left out."""
    found = []
    while heads:
        found.append(heads.first().job_id)
        heads.go_on()
    return found


def test_priority_goes_before_service_and_service_before_arrival() -> None:
    """And a job that had less than the first level of service counts as one that had none."""
    built = site(little_service_gpu_h=4.0).node()
    built.job("old", gpus=2).job("new", gpus=1).job("little", gpus=1).job("much", gpus=1).job(
        "urgent", priority=1
    )
    built.jobs["old"] = replace(built.jobs["old"], ran_s=FIRST_GPU_S / 2)  # on two GPUs
    built.jobs["little"] = replace(built.jobs["little"], ran_s=FIRST_GPU_S - 1)
    built.jobs["much"] = replace(built.jobs["much"], ran_s=FIRST_GPU_S * 100)
    built.job("late", gpus=1)
    built.jobs["late"] = replace(built.jobs["late"], ran_s=FIRST_GPU_S * 2)

    assert order(queued(built)[0].heads()) == ["urgent", "new", "little", "old", "much", "late"]


def test_where_nothing_is_little_jobs_go_as_they_came() -> None:
    """Whatever they had, and however many GPUs they ask for."""
    built = (
        site(little_service_gpu_h=0.0).node().job("old", gpus=2).job("new", gpus=1).job("urgent", priority=1)
    )
    built.jobs["old"] = replace(built.jobs["old"], ran_s=1e6)

    assert order(queued(built)[0].heads()) == ["urgent", "old", "new"]


def test_who_was_overtaken_for_days_goes_as_he_came_again() -> None:
    """Time alone does that, and nobody else has to change; until then he resumes behind those who had little."""
    built = site().node().job("paused", gpus=2).job("new", gpus=1).job("newer", gpus=2)
    built.jobs["paused"] = replace(built.jobs["paused"], ran_s=1e6)
    queue, plan = queued(built)
    assert order(queue.heads()) == ["new", "newer", "paused"]
    assert queue.next_at() == built.jobs["paused"].since_at + OVERTAKEN

    built.passes(OVERTAKEN.total_seconds())
    follow(queue, plan, built)
    assert order(queue.heads()) == ["paused", "new", "newer"]


def test_a_shape_is_left_out_from_where_it_is() -> None:
    """Those before it were looked at; those of other shapes still come."""
    built = site().node()
    built.job("a1", gpus=1).job("b1", gpus=2).job("a2", gpus=1).job("b2", gpus=2).job("a3", gpus=1)
    heads = queued(built)[0].heads()
    heads.go_on()
    heads.go_on()

    assert heads.leave_out().ids() == ["a2", "a3"]
    assert order(heads) == ["b2"]


def test_nobody_of_a_smaller_priority_passes_one_that_stands_in_front() -> None:
    """Equals still come; the others are told of, once."""
    built = site().node()
    built.job("head", gpus=4).job("peer", gpus=1).job("late", gpus=1, priority=-1).job(
        "later", gpus=2, priority=-1
    )
    heads = queued(built)[0].heads()
    head = heads.first()
    heads.leave_out()

    assert sorted(name for left in heads.end_with(head) for name in left.ids()) == ["late", "later"]
    assert list(heads.end_with(head)) == []
    assert order(heads) == ["peer"]


def test_the_rest_is_everybody_who_was_not_passed() -> None:
    """Shape by shape."""
    built = site().node().job("a", gpus=1).job("b", gpus=2).job("c", gpus=1)
    heads = queued(built)[0].heads()
    heads.go_on()

    assert sorted(name for left in heads.rest() for name in left.ids()) == ["b", "c"]
    assert not heads


def test_time_alone_lets_a_job_in() -> None:
    """The instant is known before, and nothing else has to change."""
    built = site().node()
    built.job("j", begin_at=built.at + timedelta(seconds=9))
    queue, plan = queued(built)
    assert (order(queue.heads()), queue.barred["j"].code) == ([], Code.BEGIN_TIME)
    assert queue.next_at() == built.at + timedelta(seconds=9)

    built.passes(9)
    follow(queue, plan, built)

    assert (order(queue.heads()), queue.barred, queue.next_at()) == (["j"], {}, None)


def test_what_others_came_to_lets_a_job_in() -> None:
    """A job that depends on another waits for that alone, though it does not change itself."""
    built = site().node().running("first", "node-1").job("second", dependencies=("first",))
    queue, plan = queued(built)
    assert queue.barred["second"].code is Code.DEPENDENCY

    del built.jobs["first"], built.attempts["first.1"]
    built.settled["first"] = JobState.SUCCEEDED
    follow(queue, plan, built)

    assert order(queue.heads()) == ["second"]


def test_a_job_that_goes_while_nodes_come_leaves_the_queue() -> None:
    """When all are looked at anew, those that are not there any more are as well."""
    built = site().node().job("gone").job("held", state=JobState.HELD).job("stays")
    queue, plan = queued(built)

    del built.jobs["gone"], built.jobs["held"]
    follow(queue, plan, built.node("another"))

    assert (order(queue.heads()), queue.barred) == (["stays"], {})


def test_a_new_node_lets_a_job_in_that_fitted_nowhere() -> None:
    """And out again when it goes."""
    built = site().node(gpus=2).job("j", gpus=4)
    queue, plan = queued(built)
    assert queue.barred["j"].code is Code.NEVER_FITS

    follow(queue, plan, built.node("large", gpus=4))
    assert order(queue.heads()) == ["j"]

    del built.groups["large"]
    follow(queue, plan, built)
    assert queue.barred["j"].code is Code.NEVER_FITS


JOBS = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.integers(-1, 1),
        st.sampled_from([0.0, 3000.0, 90_000.0]),
        st.sampled_from([None, None, 3, 30, 31]),
    ),
    max_size=8,
)


@given(JOBS, st.lists(st.tuples(st.integers(0, 9), st.sampled_from([*JobState, None])), max_size=12))
def test_a_queue_that_was_kept_up_is_as_a_new_one(
    jobs: list[tuple[int, int, float, int | None]], changes: list[tuple[int, JobState | None]]
) -> None:
    """Whatever becomes of the jobs while time passes, and in the order that sorting gives."""
    built = site().node()
    for i, (gpus, priority, ran_s, due_s) in enumerate(jobs):
        deadline_at = None if due_s is None else built.at + timedelta(seconds=due_s)
        built.job(f"j{i}", gpus=gpus, priority=priority, deadline_at=deadline_at)
        built.jobs[f"j{i}"] = replace(built.jobs[f"j{i}"], ran_s=ran_s)
    queue, plan = queued(built)
    for i, state in changes:
        known = built.jobs.pop(f"j{i}", None)
        if known is not None and state is not None:
            built.jobs[f"j{i}"] = replace(known, state=state)
        follow(queue, plan, built.passes(4))

        fresh, _ = queued(built)
        assert (queue.ready, queue.barred) == (fresh.ready, fresh.barred)
        everybody = sorted(e for entries in fresh.ready.values() for e in entries)
        assert order(queue.heads()) == [e.job_id for e in everybody]

"""Any job and any attempt that the core can make survives the way into rows and back."""

from __future__ import annotations

from hypothesis import given, strategies as st

from scheduler.core.jobs import Attempt, Job
from scheduler.core.reasons import Reason
from scheduler.store.rows import attempt_nodes, attempt_of, attempt_values, job_changes, job_of, job_values
from scheduler.store.tables import AttemptNodeRow, AttemptRow, JobRow
from scheduler.wire import dumps, loads
from tests.core_values import values_of


@given(job=values_of(Job))
def test_a_job_comes_back_as_it_was(job: Job) -> None:
    """Every field: one that is added to the core and forgotten here fails this test."""
    assert job_of(JobRow(**job_values(job))) == job


@given(job=values_of(Job))
def test_the_leader_never_writes_what_people_want(job: Job) -> None:
    """What the loop changes of a job leaves out its submission and its wish."""
    kept = {"desired", "spec", "request", "number", "submitted_at"}
    assert kept.isdisjoint(job_changes(job))
    assert set(job_changes(job)) | kept <= set(job_values(job))


@given(attempt=values_of(Attempt), turned=st.booleans())
def test_an_attempt_comes_back_as_it_was(attempt: Attempt, turned: bool) -> None:
    """Every field, and the nodes of a gang in the order of their ranks, in whatever order they are read."""
    nodes = [AttemptNodeRow(**values) for values in attempt_nodes(attempt)]
    assert attempt_of(AttemptRow(**attempt_values(attempt)), nodes[::-1] if turned else nodes) == attempt


@given(reason=values_of(Reason))
def test_a_reason_comes_back_as_it_was(reason: Reason) -> None:
    """With its numbers and the time at which it may change."""
    assert loads(Reason, dumps(reason)) == reason

"""What a record that came late says is over stays over, whatever was cut meanwhile."""

from __future__ import annotations

from scheduler.core.jobs import AttemptState, JobState
from tests.unit.test_patience import a_busy_site, answered, hanging_record


async def test_a_job_that_ended_by_a_late_record_is_not_called_back_by_a_cut() -> None:
    """It ends once, on record and in what is known, though a cut came in between that took it to run."""
    there, store = await a_busy_site()
    there.guards["a"].ends("j", 0)
    before = len(store.records)
    async with hanging_record(store):
        await there.orders_after(1.0)
    there.limit_w(1500.0)
    await there.orders_after(1.0)
    await answered(store, before + 1)
    for _ in range(3):
        await there.orders_after(1.0)
    told = [(a.state, a.id) for r in store.records[before:] for a in r.attempts]
    assert told == [(AttemptState.ENDED, "j.1")]
    states = [j.state for r in store.records[before:] for j in r.jobs]
    assert states == [JobState.SUCCEEDED]
    kinds = [e.kind for r in store.records[before:] for e in r.events]
    assert kinds.count("job.succeeded") == 1
    assert not there.view.attempts
    assert not there.view.jobs

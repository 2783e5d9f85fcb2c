"""Jobs of one array: how many may hold GPUs at once, and what waits for all of them.

Kept up with the jobs and attempts one by one, so that an array of any length costs a round nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping

from scheduler.core.jobs import Attempt, Job, JobState
from scheduler.core.reasons import Code, Reason


class Arrays:
    """The arrays of a plan: which of their jobs have not ended, and which hold GPUs."""

    def __init__(self) -> None:
        self._unended: dict[str, set[str]] = {}
        self._holding: dict[str, set[str]] = {}  #: attempts, of arrays that limit them
        self._array_of: dict[str, str] = {}  #: by attempt: its job may be gone before it

    def enter(self, job: Job) -> None:
        """A job has not ended."""
        if job.spec.array is not None:
            self._unended.setdefault(job.spec.array.id, set()).add(job.id)

    def leave(self, job: Job) -> None:
        """A job has ended, or is gone."""
        if job.spec.array is not None:
            _take(self._unended, job.spec.array.id, job.id)

    def hold(self, attempt: Attempt, job: Job) -> None:
        """An attempt has GPUs, whether it runs, is suspended or on its way out."""
        place = job.spec.array
        array_id = None if place is None or place.most is None else place.id
        if self._array_of.get(attempt.id) == array_id:
            return
        self.let_go(attempt)
        if array_id is not None:
            self._holding.setdefault(array_id, set()).add(attempt.id)
            self._array_of[attempt.id] = array_id

    def let_go(self, attempt: Attempt) -> None:
        """An attempt has none any more."""
        array_id = self._array_of.pop(attempt.id, None)
        if array_id is not None:
            _take(self._holding, array_id, attempt.id)

    def unended(self, array_id: str) -> int:
        """How many jobs of an array have not ended."""
        return len(self._unended.get(array_id, ()))

    def may_start(self, job: Job, count: int) -> int:
        """How many of `count` waiting jobs, all alike, may start before another of their array lets go."""
        place = job.spec.array
        if place is None or place.most is None:
            return count
        return min(count, max(0, place.most - len(self._holding.get(place.id, ()))))

    def full(self, job: Job) -> Reason | None:
        """Why a job waits for others of its array, None if it does not."""
        place = job.spec.array
        if place is None or place.most is None or self.may_start(job, 1):
            return None
        holding = len(self._holding.get(place.id, ()))
        return Reason(
            code=Code.QUOTA_EXCEEDED,
            text=f"array {place.id} may hold GPUs with {place.most} of its {place.count} jobs at once; {holding} do",
            numbers={"most": place.most, "holding": holding, "count": place.count},
            remedy="it starts when one of them ends; an array with a larger number after % runs more at once",
        )


def settle(settled: MutableMapping[str, JobState], job: Job) -> None:
    """Note how a job ended. Under its array's id stands how those did that ended: one failure, and it has failed."""
    settled[job.id] = job.state
    if job.spec.array is not None:
        known = settled.get(job.spec.array.id, JobState.SUCCEEDED)
        settled[job.spec.array.id] = worse(known, job.state)


def still_needed(settled: Mapping[str, JobState], jobs: Iterable[Job]) -> dict[str, JobState]:
    """Of how jobs ended what others wait for that have not. Who is submitted later brings what it needs along."""
    needed = {job_id for job in jobs for job_id in job.spec.dependencies}
    return {job_id: settled[job_id] for job_id in needed if job_id in settled}


def worse(one: JobState, other: JobState) -> JobState:
    """Of two final states the one that says more of what is wrong."""
    return other if one is JobState.SUCCEEDED else one


def _take(known: dict[str, set[str]], array_id: str, member: str) -> None:
    members = known.get(array_id)
    if members is not None:
        members.discard(member)
        if not members:
            del known[array_id]

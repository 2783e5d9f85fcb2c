"""Waiting jobs in order, kept from round to round, so that a round costs what has changed.

It is a cache: what it holds follows from the jobs of the last look alone.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from scheduler.core.jobs import WAITING_STATES, Job

Rank = tuple[float, ...]


class Line:
    """The queue of one policy: jobs by rank, but for those that may not start before some time."""

    def __init__(self, rank: Callable[[Job], Rank], ready_at: Callable[[Job], datetime | None]) -> None:
        self._rank, self._ready_at = rank, ready_at
        self._jobs: dict[str, Job] = {}  #: all, as last seen
        self._line: list[tuple[Rank, str]] = []
        self._ranks: dict[str, Rank] = {}  #: of those in the line
        self.dependents: set[str] = set()  #: that wait for other jobs to succeed
        self._later: dict[str, datetime] = {}  #: of those not ready yet

    def __len__(self) -> int:
        return len(self._line)

    def __iter__(self) -> Iterator[Job]:
        return (self._jobs[job_id] for _, job_id in self._line)

    @property
    def next_at(self) -> datetime | None:
        """When the next job becomes ready, None if none will by itself."""
        return min(self._later.values(), default=None)

    def look(self, jobs: Mapping[str, Job], at: datetime) -> None:
        """Bring it up to the jobs of this round."""
        known = self._jobs
        changed = [job for job_id, job in jobs.items() if known.get(job_id) is not job]
        for job in changed:
            self._leave(job.id)
            known[job.id] = job
            if job.state in WAITING_STATES:
                self.dependents |= {job.id} if job.spec.dependencies else set()
                self._enter(job, at)
        if len(known) > len(jobs):
            for job_id in [i for i in known if i not in jobs]:
                self._leave(job_id)
                del known[job_id]
        for job_id in [i for i, ready_at in self._later.items() if ready_at <= at]:
            del self._later[job_id]
            self._enter(known[job_id], at)

    def _enter(self, job: Job, at: datetime) -> None:
        ready_at = self._ready_at(job)
        if ready_at is not None and ready_at > at:
            self._later[job.id] = ready_at
            return
        self._ranks[job.id] = rank = self._rank(job)
        insort(self._line, (rank, job.id))

    def _leave(self, job_id: str) -> None:
        self.dependents.discard(job_id)
        self._later.pop(job_id, None)
        rank = self._ranks.pop(job_id, None)
        if rank is not None:
            del self._line[bisect_left(self._line, (rank, job_id))]

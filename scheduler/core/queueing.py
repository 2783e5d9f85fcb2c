"""Who waits, in what order, and who may not start yet: kept up with the jobs, never sorted anew.

Larger priority first, then who had next to no service, then who came first. Jobs that ask for the same are one
*shape*: what holds for the first of a shape holds for all behind it, so that a round looks at the heads and no further.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping
from datetime import datetime
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from scheduler.core.attained import level_of, turn
from scheduler.core.jobs import WAITING_STATES, Job, JobState
from scheduler.core.placement import shape
from scheduler.core.plan import Plan
from scheduler.core.reasons import Reason
from scheduler.core.waiting import barred

Shape = tuple[object, ...]


class Entry(NamedTuple):
    """A waiting job in its order."""

    rank: int  #: less is sooner: its priority, negated
    turn: int  #: who had next to no service comes before who had some
    number: int
    job_id: str


class Queue:
    """All waiting jobs of a plan."""

    def __init__(self) -> None:
        self.ready: dict[Shape, list[Entry]] = {}
        self.barred: dict[str, Reason] = {}
        self._where: dict[str, tuple[Shape, Entry]] = {}
        self.dependents: set[str] = set()  #: waiting jobs that depend on others
        self._due: dict[str, datetime] = {}
        self._read = 0  #: how far the plan's log of jobs was read
        self._generation = -1

    def sync(self, plan: Plan, settled: Mapping[str, JobState]) -> None:
        """Take in what changed: jobs, nodes, what others depend on, and the time."""
        if plan.generation != self._generation:
            self._generation = plan.generation
            keys = plan.jobs.keys() | self._where.keys() | self.barred.keys()
        else:
            keys = set(plan.jobs.log[self._read :]) | self.dependents
            keys.update(k for k, at in self._due.items() if at <= plan.at)
        self._read = len(plan.jobs.log)
        for key in keys:
            self._leave(key)
            job = plan.jobs.get(key)
            if job is not None and (job.state in WAITING_STATES or job.state is JobState.HELD):
                self._enter(job, plan, settled)

    def rewind(self) -> None:
        """The plan began a new log, right after it followed: look at all jobs anew."""
        self._read, self._generation = 0, -1

    def _leave(self, job_id: str) -> None:
        self.barred.pop(job_id, None)
        self._due.pop(job_id, None)
        self.dependents.discard(job_id)
        known = self._where.pop(job_id, None)
        if known is not None:
            kind, entry = known
            entries = self.ready[kind]
            del entries[bisect_left(entries, entry)]
            if not entries:
                del self.ready[kind]

    def _enter(self, job: Job, plan: Plan, settled: Mapping[str, JobState]) -> None:
        if job.spec.dependencies:
            self.dependents.add(job.id)
        reason = barred(job, plan, settled)
        if reason is not None:
            self.barred[job.id] = reason
            if reason.expected_at is not None:
                self._due[job.id] = reason.expected_at
            return
        entry = Entry(-job.spec.priority, turn(level_of(job, None, plan.at)), job.number, job.id)
        kind = start_shape(job)
        insort(self.ready.setdefault(kind, []), entry)
        self._where[job.id] = (kind, entry)

    def next_at(self) -> datetime | None:
        """When time alone lets the next one in."""
        return min(self._due.values(), default=None)

    def heads(self) -> Heads:
        """The waiting jobs in order, shape by shape."""
        return Heads(self.ready)


class Left(NamedTuple):
    """Jobs of one shape, from one index to another."""

    entries: list[Entry]
    start: int
    end: int

    @property
    def jobs(self) -> int:
        """How many these are."""
        return self.end - self.start

    def ids(self) -> list[str]:
        """Who these are."""
        return [entry.job_id for entry in self.entries[self.start : self.end]]


class Heads:
    """A walk along the queue in order, in which whole shapes can be left out from where they are."""

    def __init__(self, ready: Mapping[Shape, list[Entry]]) -> None:
        self._ready = ready
        self._last_rank: int | None = None
        self._heap = [(entries[0], kind, 0) for kind, entries in ready.items()]
        heapify(self._heap)

    def __bool__(self) -> bool:
        return bool(self._heap)

    def first(self) -> Entry:
        """Who is next."""
        return self._heap[0][0]

    def go_on(self) -> None:
        """Past the first one."""
        _, kind, index = heappop(self._heap)
        if index + 1 < self._end(kind):
            heappush(self._heap, (self._ready[kind][index + 1], kind, index + 1))

    def leave_out(self) -> Left:
        """The first one and all of its shape behind it: those who are left out."""
        _, kind, index = heappop(self._heap)
        return Left(self._ready[kind], index, self._end(kind))

    def end_with(self, entry: Entry) -> Iterator[Left]:
        """Look at nobody of a smaller priority any more: those who are left out."""
        if self._last_rank is not None:
            return
        heads, self._heap = self._heap, []
        ends = {kind: self._end(kind) for _, kind, _ in heads}
        self._last_rank = entry.rank
        for first, kind, index in heads:
            end = max(index, self._end(kind))
            if end > index:
                self._heap.append((first, kind, index))
            if end < ends[kind]:
                yield Left(self._ready[kind], end, ends[kind])
        heapify(self._heap)

    def rest(self) -> Iterator[Left]:
        """All that are left, shape by shape."""
        while self._heap:
            yield self.leave_out()

    def _end(self, kind: Shape) -> int:
        entries = self._ready[kind]
        return len(entries) if self._last_rank is None else bisect_left(entries, (self._last_rank + 1,))


def start_shape(job: Job) -> Shape:
    """All that says where, and with how much power, a job can start."""
    spec = job.spec
    return (*shape(job), spec.flex, spec.cap_ok, spec.min_cap_w, spec.launch.checkpoint_interval_s)

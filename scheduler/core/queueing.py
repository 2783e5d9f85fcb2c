"""Who waits, in what order, and who may not start yet: kept up with the jobs, never sorted anew.

Who borrows nothing of another project first, whatever its priority, as what was borrowed is given back; then the
larger priority, then whose deadline is near, the nearest first, then whose project's turn it is, then who had next to
no service where the site says so, then who came first. Jobs that ask for the same are one *shape*: what holds for the
first of a shape holds for all behind it, so that a round looks at the heads and no further. Jobs of different
projects are never of one shape: a turn that changes sorts nothing anew.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from heapq import heapify, heappop, heappush, heapreplace
from math import inf
from typing import NamedTuple

from scheduler.core.alarms import Alarms
from scheduler.core.attained import moves_up_at, place
from scheduler.core.deadlines import changes_at, is_urgent
from scheduler.core.jobs import WAITING_STATES, Job, JobState
from scheduler.core.placement import shape
from scheduler.core.plan import Plan
from scheduler.core.projects import Project
from scheduler.core.reasons import Reason
from scheduler.core.waiting import barred

Shape = tuple[object, ...]
Borrows = Callable[[str], bool]
"""Whether the start of a job, by its id, would take GPUs that are another project's own."""


class Entry(NamedTuple):
    """A waiting job in its order."""

    rank: int  #: less is sooner: its priority, negated
    due: float  #: the deadline of one that is urgent, by the calendar in s; infinite for all others
    service: int  #: who had next to no service comes before who had some
    number: int
    job_id: str


class Queue:
    """All waiting jobs of a plan."""

    def __init__(self) -> None:
        self.ready: dict[Shape, list[Entry]] = {}
        self.barred: dict[str, Reason] = {}
        self._where: dict[str, tuple[Shape, Entry]] = {}
        self.dependents: set[str] = set()  #: waiting jobs that depend on others
        self._due = Alarms()  #: when time alone changes something for a job
        self._read = 0  #: how far the plan's log of jobs was read
        self._generation = -1
        self._projects: Mapping[str, Project] = {}
        self._turns: Mapping[str, int] = {}

    def sync(self, plan: Plan, settled: Mapping[str, JobState]) -> None:
        """Take in what changed: jobs, nodes, what others depend on, and the time."""
        self._turns = plan.tenants.turns
        if plan.fitting.generation != self._generation or plan.tenants.projects is not self._projects:
            self._generation, self._projects = plan.fitting.generation, plan.tenants.projects
            keys = plan.jobs.keys() | self._where.keys() | self.barred.keys()
        else:
            keys = set(plan.jobs.log[self._read :]) | self.dependents
            keys.update(self._due.due(plan.at))
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
        self._due.drop(job_id)
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
                self._due.set(job.id, reason.expected_at)
            return
        turns = (changes_at(job, plan.at, plan.site), moves_up_at(job, plan.at, plan.site))
        if (turns_at := min(filter(None, turns), default=None)) is not None:
            self._due.set(job.id, turns_at)
        entry = _entry(job, plan)
        kind = start_shape(job, plan)
        insort(self.ready.setdefault(kind, []), entry)
        self._where[job.id] = (kind, entry)

    def next_at(self) -> datetime | None:
        """When time alone lets the next one in, or moves it within the order."""
        return self._due.next_at()

    def would_enter(self, job: Job, plan: Plan, settled: Mapping[str, JobState]) -> Shape | None:
        """The shape as one of which a newcomer would wait; None if it would not, or could move within the order."""
        if (
            job.spec.dependencies
            or job.spec.deadline_at is not None
            or barred(job, plan, settled) is not None
        ):
            return None
        return start_shape(job, plan)

    def heads(self, borrows: Borrows | None = None) -> Heads:
        """The waiting jobs in order, shape by shape; last those whose start `borrows` by now."""
        return Heads(self.ready, self._turns, borrows)

    def turn(self, kind: Shape) -> int:
        """The turn of all jobs of a shape: less is sooner among equal priorities."""
        return self._turns.get(project_of(kind), 0)

    def waiting(self, plan: Plan) -> Iterator[tuple[str, int, int]]:
        """Who waits, shape by shape: project, GPUs of each job, how many jobs."""
        for kind, entries in self.ready.items():
            yield project_of(kind), plan.jobs[entries[0].job_id].spec.total_gpus, len(entries)


def _entry(job: Job, plan: Plan) -> Entry:
    due = job.spec.deadline_at if is_urgent(job, None, plan.at, plan.site) else None
    return Entry(
        rank=-job.spec.priority,
        due=inf if due is None else due.timestamp(),
        service=place(job, plan.at, plan.site),
        number=job.number,
        job_id=job.id,
    )


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


class _Head(NamedTuple):
    """The next job of a shape, in the order of the queue."""

    borrows: bool
    rank: int
    due: float
    turn: int
    entry: Entry
    kind: Shape
    at: int  #: in its shape


class Heads:
    """A walk along the queue in order, in which whole shapes can be left out from where they are."""

    def __init__(
        self, ready: Mapping[Shape, list[Entry]], turns: Mapping[str, int], borrows: Borrows | None = None
    ) -> None:
        self._ready, self._turns, self._borrows = ready, turns, borrows
        self._last_rank: int | None = None
        self._heap = [self._at(kind, 0) for kind in ready]
        self._lowest_rank = max((entries[-1].rank for entries in ready.values()), default=0)
        heapify(self._heap)

    def _at(self, kind: Shape, index: int) -> _Head:
        """In the order of the queue. No two have one entry, so that shapes are not compared."""
        entry = self._ready[kind][index]
        turn = self._turns.get(project_of(kind), 0) if self._turns else 0
        borrows = self._borrows is not None and self._borrows(entry.job_id)
        return _Head(borrows, entry.rank, entry.due, turn, entry, kind, index)

    def __bool__(self) -> bool:
        return bool(self._heap)

    def first(self) -> Entry:
        """Who is next. Whoever came to borrow by what started before goes behind those who do not."""
        borrows = self._borrows
        while borrows is not None and not (head := self._heap[0]).borrows and borrows(head.entry.job_id):
            heapreplace(self._heap, head._replace(borrows=True))
        return self._heap[0].entry

    def go_on(self) -> None:
        """Past the first one."""
        *_, kind, index = heappop(self._heap)
        if index + 1 < self._end(kind):
            heappush(self._heap, self._at(kind, index + 1))

    def leave_out(self) -> Left:
        """The first one and all of its shape behind it: those who are left out."""
        *_, kind, index = heappop(self._heap)
        entries = self._ready[kind]
        return Left(entries, index, len(entries) if self._last_rank is None else self._end(kind))

    def has_below(self, entry: Entry) -> bool:
        """Whether anybody of a smaller priority is still looked at. The first end leaves out all that a later would."""
        if self._last_rank is not None or entry.rank >= self._lowest_rank:
            return False
        return any(self._ready[head.kind][-1].rank > entry.rank for head in self._heap)

    def end_with(self, entry: Entry) -> Iterator[Left]:
        """Look at nobody of a smaller priority any more: those who are left out."""
        if self._last_rank is not None:
            return
        self._last_rank = entry.rank
        passed = [head for head in self._heap if self._ready[head.kind][-1].rank > entry.rank]
        self._heap = [head for head in self._heap if head.rank <= entry.rank]
        heapify(self._heap)
        for *_, kind, index in passed:
            yield Left(self._ready[kind], max(index, self._end(kind)), len(self._ready[kind]))

    def rest(self) -> Iterator[Left]:
        """All that are left, shape by shape."""
        while self._heap:
            yield self.leave_out()

    def _end(self, kind: Shape) -> int:
        entries = self._ready[kind]
        if self._last_rank is None or entries[-1].rank <= self._last_rank:
            return len(entries)
        return bisect_left(entries, (self._last_rank + 1,))


def start_shape(job: Job, plan: Plan) -> Shape:
    """All that says where, under whose quota, with how much power, and beside how many of its array a job can start."""
    spec, place = job.spec, job.spec.array
    power = (spec.flex, spec.cap_ok, spec.min_cap_w, spec.launch.checkpoint_interval_s)
    array_id = None if place is None or place.most is None else place.id
    return (*shape(job), *power, array_id, plan.tenants.of(job))


def project_of(kind: Shape) -> str:
    """What the jobs of a shape count as."""
    return str(kind[-1])

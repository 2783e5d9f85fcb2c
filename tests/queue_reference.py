"""Queues without power, nodes or delays, written down once more and quite differently, to hold the simulator against.

GPUs are one pool, jobs run as long as they say, nobody is preempted. The known orders: `fifo` (nothing passes the
head), `first-fit`, `sjf` (shortest first, what does not fit is passed) and `easy` (what ends before the head can start,
or fits beside it then, may pass it).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from itertools import takewhile

from scheduler.sim.workload import SimJob


class Queue:
    """One pool of GPUs and those who wait for it."""

    def __init__(self, order: str, gpus: int) -> None:
        self.order, self.free = order, gpus
        self.waiting: list[SimJob] = []
        self.ends: list[tuple[float, str, int]] = []  #: when, who, GPUs

    def finished(self, jobs: Sequence[SimJob]) -> dict[str, float]:
        """When each job is done, s since the window began."""
        coming, done = sorted(jobs, key=lambda j: (j.arrives_s, j.id), reverse=True), {}
        while coming or self.ends:
            now_s = min([*(j.arrives_s for j in coming[-1:]), *(end for end, _, _ in self.ends[:1])])
            while self.ends and self.ends[0][0] <= now_s:
                end_s, name, gpus = heapq.heappop(self.ends)
                done[name] = end_s
                self.free += gpus
            while coming and coming[-1].arrives_s <= now_s:
                self.waiting.append(coming.pop())
            for job in list(self.startable(now_s)):
                self.waiting.remove(job)
        return done

    def startable(self, now_s: float) -> Iterator[SimJob]:
        """Start what its order lets start now."""
        if self.order == "sjf":
            yield from self._first_fit(sorted(self.waiting, key=lambda j: j.work_s), now_s)
        elif self.order == "first-fit":
            yield from self._first_fit(self.waiting, now_s)
        else:
            first = list(takewhile(lambda j: self._starts(j, now_s), self.waiting))
            yield from first
            if self.order == "easy" and len(first) < len(self.waiting):
                yield from self._behind(self.waiting[len(first)], self.waiting[len(first) + 1 :], now_s)

    def _behind(self, head: SimJob, others: list[SimJob], now_s: float) -> Iterator[SimJob]:
        free_then, starts_s = self.free, now_s
        for end_s, _, gpus in sorted(self.ends):
            if free_then >= head.gpus:
                break
            free_then, starts_s = free_then + gpus, end_s
        beside = free_then - head.gpus
        for job in others:
            outlasts = now_s + job.work_s > starts_s
            if (not outlasts or job.gpus <= beside) and self._starts(job, now_s):
                beside -= job.gpus if outlasts else 0
                yield job

    def _first_fit(self, jobs: Sequence[SimJob], now_s: float) -> Iterator[SimJob]:
        return (job for job in jobs if self._starts(job, now_s))

    def _starts(self, job: SimJob, now_s: float) -> bool:
        if job.gpus > self.free:
            return False
        self.free -= job.gpus
        heapq.heappush(self.ends, (now_s + job.work_s, job.id, job.gpus))
        return True


def mean_flow_s(jobs: Sequence[SimJob], done: dict[str, float]) -> float:
    """From arrival to end, on average, s."""
    return sum(done[j.id] - j.arrives_s for j in jobs) / len(jobs)

"""Who lent gets back what is its own: borrowers save and leave as soon as the lender's jobs lack room, and no more.

A borrower is told to save and exit, never killed, and not before it ran for a while and has a verified checkpoint.
Whatever its priority: what was borrowed is to be given back. Nothing is asked for again while enough is on its way.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from math import inf

from scheduler.core.jobs import Attempt, Job, PauseCause
from scheduler.core.placement import may_use
from scheduler.core.plan import Plan
from scheduler.core.presence import LEAVING
from scheduler.core.quotas import Quotas
from scheduler.core.reclaiming import have_leave, may_leave, ranked, victims_of
from scheduler.core.room import Room
from scheduler.core.topology import within


class _FromBorrowers:
    """Who runs on borrowed GPUs: the least important first."""

    ahead: float = -inf
    most: float = inf

    def __init__(self, plan: Plan, candidates: Collection[str]) -> None:
        self._plan, self._candidates = plan, candidates

    def rank(self, attempt: Attempt) -> float | None:
        """By priority, the least first."""
        if attempt.id not in self._candidates or not may_leave(self._plan, attempt):
            return None
        return -self._plan.jobs[attempt.job_id].spec.priority


class Lenders:
    """What lenders are owed in one round."""

    def __init__(self, plan: Plan, room: Room, quotas: Quotas) -> None:
        self._plan, self._room, self._quotas = plan, room, quotas
        self._coming = room.leaving(plan)  #: GPUs that are on their way back
        self._owed: dict[str, int] = defaultdict(int)  #: GPUs, by lender
        self._borrowed = quotas.borrowed()  #: and not on their way back
        for attempt in plan.in_phase(*LEAVING):
            if (account := self._account(attempt)) in self._borrowed:
                self._borrowed[account] -= attempt.gpu_count

    def call_in(self, job: Job, jobs: int, *, lacks_gpus: bool, free_w: float) -> bool:
        """Have borrowers make room for the first of `jobs` alike that lack GPUs, or watts. Whether any was told to.

        Not where nodes in standby would do, and the watts for them are free: those are woken.
        """
        borrowed = {name: n for name, n in self._borrowed.items() if n > 0}
        if not borrowed or not self._is_owed(job, jobs):
            return False
        if self._coming >= sum(self._owed.values()) or (lacks_gpus and self._can_wake(job, free_w)):
            return False
        victims = self._victims(job, borrowed, lacks_gpus=lacks_gpus)
        have_leave(self._plan, victims, job, PauseCause.FAIR_SHARE_RECLAIM)
        for victim in victims:
            self._coming += victim.gpu_count
            self._borrowed[self._account(victim)] -= victim.gpu_count
        return bool(victims)

    def _is_owed(self, job: Job, jobs: int) -> bool:
        """Note what a lender is owed for these jobs: no more than its own in all. Whether it is anything."""
        project, gpus = self._plan.tenants.of(job), max(1, job.spec.total_gpus)
        lender, own = self._quotas.account(project), self._quotas.own_left(project)
        before = self._owed[lender]
        self._owed[lender] = min(own, before + min(own // gpus, jobs) * gpus)
        return self._owed[lender] > before

    def _can_wake(self, job: Job, free_w: float) -> bool:
        plan = self._plan
        off = [gid for gid in plan.groups if plan.is_off(gid) and may_use(job, gid, plan)]
        off = max(within(job, off, plan), key=lambda gids: _gpus_of(plan, gids), default=[])
        if _gpus_of(plan, off) < job.spec.total_gpus:
            return False
        wake_w = plan.site.overhead * max(plan.awake_w(gid) for gid in off)
        return plan.start_w(job) + wake_w <= free_w

    def _victims(self, job: Job, borrowed: dict[str, int], *, lacks_gpus: bool) -> list[Attempt]:
        """Where their GPUs help most; if that took more of a borrower than it borrowed, of the first in order only."""
        running = [a for a in self._plan.running() if self._account(a) in borrowed]
        everybody = _FromBorrowers(self._plan, {a.id for a in running})
        some = _FromBorrowers(self._plan, self._first(ranked(running, everybody), borrowed))
        for terms in (everybody, some):
            if lacks_gpus:
                victims = victims_of(self._plan, self._room, job, terms)
            else:
                victims = _enough((a for _, a in ranked(running, terms)), job.spec.total_gpus)
            if victims and self._is_fair(victims, borrowed):
                return victims
        return []

    def _first(self, order: list[tuple[float, Attempt]], borrowed: dict[str, int]) -> set[str]:
        """Those that it takes until nobody borrows."""
        left, found = dict(borrowed), set()
        for _, attempt in order:
            if left[self._account(attempt)] > 0:
                left[self._account(attempt)] -= attempt.gpu_count
                found.add(attempt.id)
        return found

    def _is_fair(self, victims: list[Attempt], borrowed: dict[str, int]) -> bool:
        """Whether each of them has to leave for its project to borrow less: the last may take it below its own."""
        sizes: dict[str, list[int]] = defaultdict(list)
        for victim in victims:
            sizes[self._account(victim)].append(victim.gpu_count)
        return all(sum(gpus) - min(gpus) < borrowed[account] for account, gpus in sizes.items())

    def _account(self, attempt: Attempt) -> str:
        return self._quotas.account(self._plan.tenants.of(self._plan.jobs[attempt.job_id]))


def _gpus_of(plan: Plan, nodes: Iterable[str]) -> int:
    return sum(len(plan.groups[gid].spec.gpus) for gid in nodes)


def _enough(order: Iterable[Attempt], gpus: int) -> list[Attempt]:
    """The first of these that have so many GPUs in all; nobody if all have not."""
    found, missing = [], gpus
    for attempt in order:
        if missing <= 0:
            break
        found.append(attempt)
        missing -= attempt.gpu_count
    return found if missing <= 0 else []

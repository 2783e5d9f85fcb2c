"""Room for a job that waits for GPUs which others hold: who can go on elsewhere moves, where free GPUs lie scattered.

Who borrowed gives back, however important it is. Who is less important gives way; where a site wants it, who has had
much service to who has had little. Each costs a save and a restart, so that nobody is moved soon after a start, and
only one job at a time is made room for. GPUs that stand idle until somebody is done would cost far more: nobody knows
when that will be.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import Protocol

from scheduler.core.attained import level_of
from scheduler.core.deadlines import is_urgent
from scheduler.core.floors import MOVABLE_TIER
from scheduler.core.jobs import Attempt, Job, PauseCause, Phase
from scheduler.core.overtaking import has_passed
from scheduler.core.pinning import by_place
from scheduler.core.placement import sizes, usable
from scheduler.core.plan import Plan
from scheduler.core.presence import LEAVING
from scheduler.core.quotas import Quotas
from scheduler.core.reasons import Event
from scheduler.core.room import Room
from scheduler.core.topology import within

_AHEAD = 2  #: levels that a victim must be behind
_MOST = 2  #: GPUs given up per GPU that is missing, at most
_WORTH = 0.5  #: GPUs moved per GPU that the job gains, at most
_FOR_ANOTHER = (PauseCause.FAIR_SHARE_RECLAIM, PauseCause.HIGHER_PRIORITY)
_BELOW = 1000.0  #: rank of who is less important, beyond any level of service


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offer:
    """What it takes to free GPUs of one node."""

    node_id: str
    victims: tuple[Attempt, ...]
    lower: int  #: GPUs of those who had more service than the job
    moved: int  #: GPUs of the others


class Terms(Protocol):
    """Who may be asked to leave for a job."""

    ahead: float  #: from this rank on one gives way; below, one only moves where it can go on elsewhere
    most: float  #: GPUs given up per GPU that is missing, at most

    def rank(self, attempt: Attempt) -> float | None:
        """How soon an attempt is asked, more = sooner. None = it is not."""
        ...


class ByTurn:
    """Who is less important, the least first; then who had more service. Nobody of a project that is within its own."""

    most: float = _MOST

    def __init__(self, plan: Plan, job: Job, quotas: Quotas | None = None, *, is_next: bool = False) -> None:
        self._plan, self._job, self._quotas, self._is_next = plan, job, quotas, is_next
        self._borrowers = quotas.borrowed() if quotas is not None else {}
        self._preempts = plan.site.little_service_preempts
        self.ahead: float = level_of(job, None, plan.at, plan.site) + _AHEAD if self._preempts else _BELOW

    def rank(self, attempt: Attempt) -> float | None:
        """By how much it is less important; else the level of its service, where that has anybody leave."""
        its_job, tenants = self._plan.jobs[attempt.job_id], self._plan.tenants
        more = self._job.spec.priority - its_job.spec.priority
        if more < 0 or not may_leave(self._plan, attempt):
            return None
        if more and self._plan.site.priority_preempts:
            return None if self._is_owed(its_job) else _BELOW + more
        if self._is_next and has_passed(self._plan, attempt, self._job):
            return None if self._is_owed(its_job) else _BELOW
        if tenants.turn(its_job) < tenants.turn(self._job) or self._is_owed(its_job):
            return None
        return level_of(its_job, attempt, self._plan.at, self._plan.site) if self._preempts else 0.0

    def _is_owed(self, its_job: Job) -> bool:
        """Whether it holds what is its project's own, and the job is of another."""
        if self._quotas is None:
            return False
        its, ours = (self._quotas.account(self._plan.tenants.of(j)) for j in (its_job, self._job))
        return its != ours and its not in self._borrowers


def is_reclaiming(plan: Plan) -> bool:
    """Whether somebody is on the way out for another job."""
    return any(a.pause_cause in _FOR_ANOTHER for a in plan.roster.each_in(*LEAVING))


def victims_for(
    plan: Plan, room: Room, job: Job, quotas: Quotas | None = None, *, is_next: bool = False
) -> list[Attempt]:
    """Those who are to save and leave so that `job` fits; nobody if that is not worth it.

    For who `is_next` those make room, too, who passed it.
    """
    return victims_of(plan, room, job, ByTurn(plan, job, quotas, is_next=is_next))


def make_room(plan: Plan, victims: Iterable[Attempt], job: Job) -> None:
    """Have these save and leave for `job`: for who is more important, or has had less."""
    for victim in victims:
        is_below = plan.jobs[victim.job_id].spec.priority < job.spec.priority
        cause = PauseCause.HIGHER_PRIORITY if is_below else PauseCause.FAIR_SHARE_RECLAIM
        have_leave(plan, [victim], job, cause)


class Others:
    """Those who run in one round, as far as it takes to tell for whom it is worth a look at each of them."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def may_leave_for(self, job: Job) -> bool:
        """Whether it can be that somebody leaves for a job. Who takes any GPUs needs nobody to move."""
        site = self._plan.site
        if not job.spec.scatter or site.little_service_preempts:
            return True
        return site.priority_preempts and self._least_important < job.spec.priority

    @cached_property
    def _least_important(self) -> float:
        plan = self._plan
        if len(+plan.priorities) <= 1:
            return inf  # they are all the same
        return min((plan.jobs[a.job_id].spec.priority for a in plan.roster.each_in(Phase.RUN)), default=inf)


def have_leave(plan: Plan, victims: Iterable[Attempt], job: Job, cause: PauseCause) -> None:
    """Have these save and leave, so that there is room for a job."""
    for victim in victims:
        plan.stop(victim, Phase.SAVE_EXIT, cause)
        text = f"{victim.job_id} told to save and make room for {job.id}"
        plan.events.append(
            Event(at=plan.at, kind="job.preempting", text=text, job_id=victim.job_id, attempt_id=victim.id)
        )


def victims_of(plan: Plan, room: Room, job: Job, terms: Terms) -> list[Attempt]:
    """Those within one place, and one rack if it asks for one, whose GPUs the job can use: as few GPUs as can be."""
    choose, nodes = _anywhere if job.spec.scatter else _on_nodes, usable(job, plan)
    places = by_place((node_id for node_id in room.free if node_id in nodes), plan)
    places = [nodes for place in places for nodes in within(job, place, plan)]
    found = [choose(plan, room, job, terms, place) for place in places]
    return min(filter(None, found), key=lambda victims: sum(v.gpu_count for v in victims), default=[])


def _anywhere(plan: Plan, room: Room, job: Job, terms: Terms, nodes: list[str]) -> list[Attempt]:
    """For a job that takes any GPUs of these: those with the most service, no more of them than it takes."""
    missing, here = job.spec.total_gpus - sum(len(room.free[n]) for n in nodes), set(nodes)
    victims = []
    for rank, attempt in ranked(plan.running(), terms):
        if missing <= 0 or rank < terms.ahead:
            break
        freed = sum(len(p.gpu_ids) for p in attempt.placements if p.node_id in here)
        if freed and attempt.gpu_count <= terms.most * missing:
            victims.append(attempt)
            missing -= freed
    return victims if missing <= 0 else []


def _on_nodes(plan: Plan, room: Room, job: Job, terms: Terms, nodes: list[str]) -> list[Attempt]:
    """For a job that needs whole members: on those of these nodes where the fewest GPUs have to be given up."""
    spec = job.spec
    offers = [
        offer
        for node_id in nodes
        if (offer := _offer(plan, node_id, len(room.free[node_id]), job, terms)) is not None
    ]
    if len(offers) < spec.nodes:
        return []
    offers.sort(key=lambda o: (o.moved + o.lower, o.moved, o.node_id))
    chosen = offers[: spec.nodes]
    missing = sum(max(0, sizes(job)[0] - len(room.free[o.node_id])) for o in chosen)
    victims = {v.id: v for o in chosen for v in o.victims}
    moved = [v for rank, v in ranked(victims.values(), terms) if rank < terms.ahead]
    moved_gpus = sum(v.gpu_count for v in moved)
    elsewhere = room.total - sum(len(room.free[o.node_id]) for o in chosen)
    if moved_gpus > elsewhere or moved_gpus > _WORTH * spec.total_gpus:
        return []
    if sum(v.gpu_count for v in victims.values()) > terms.most * missing:
        return []
    return [victims[k] for k in sorted(victims)]


def _offer(plan: Plan, node_id: str, free: int, job: Job, terms: Terms) -> _Offer | None:
    """The fewest GPUs that have to be given up on a node, those with the most service first."""
    missing = max(sizes(job)[0] - free, 0)
    victims, lower, moved = [], 0, 0
    for rank, attempt in ranked(plan.on(node_id), terms):
        if missing <= 0:
            break
        is_alone = len(attempt.placements) == 1
        if rank < terms.ahead and not is_alone:
            continue
        victims.append(attempt)
        missing -= sum(len(p.gpu_ids) for p in attempt.placements if p.node_id == node_id)
        if rank >= terms.ahead:
            lower += attempt.gpu_count
        else:
            moved += attempt.gpu_count
    return None if missing > 0 else _Offer(node_id=node_id, victims=tuple(victims), lower=lower, moved=moved)


def ranked(attempts: Iterable[Attempt], terms: Terms) -> list[tuple[float, Attempt]]:
    """Those that may be asked to leave, with their ranks: the first to be asked first, then the fewest GPUs."""
    found = [(rank, a) for a in attempts if (rank := terms.rank(a)) is not None]
    return sorted(found, key=lambda r: (-r[0], r[1].gpu_count, r[1].id))


def may_leave(plan: Plan, attempt: Attempt) -> bool:
    """Whether an attempt may be asked to leave for another: it runs for a while, may be paused, and saves.

    Who never made a verified commit would begin anew, and whose deadline is near would miss it: nobody's work is lost
    for the convenience of another.
    """
    its_job = plan.jobs[attempt.job_id]
    if attempt.phase is not Phase.RUN or its_job.last_commit is None or its_job.spec.flex < MOVABLE_TIER:
        return False
    if is_urgent(its_job, attempt, plan.at, plan.site):
        return False
    running_at = attempt.running_at
    return running_at is not None and (plan.at - running_at).total_seconds() >= plan.site.min_run_s

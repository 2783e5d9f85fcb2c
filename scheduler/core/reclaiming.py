"""Room for a job that waits for GPUs which others hold: who has had much service gives way to who has had little.

And who can go on elsewhere moves, where free GPUs lie scattered. Each costs a save and a restart, so that nobody is
moved soon after a start, and only one job at a time is made room for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from scheduler.core.attained import gpu_s, least_gpu_s, level_of
from scheduler.core.deadlines import is_urgent
from scheduler.core.jobs import Attempt, Job, PauseCause, Phase
from scheduler.core.pinning import by_place
from scheduler.core.placement import sizes, usable
from scheduler.core.plan import Plan
from scheduler.core.presence import LEAVING
from scheduler.core.reasons import Event
from scheduler.core.room import Room

_MOVABLE_TIER = 3  #: and above: a job may be paused, not only slowed
_AHEAD = 2  #: levels that a victim must be behind
_MOST = 2  #: GPUs given up per GPU that is missing, at most
_WORTH = 0.5  #: GPUs moved per GPU that the job gains, at most


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offer:
    """What it takes to free GPUs of one node."""

    node_id: str
    victims: tuple[Attempt, ...]
    lower: int  #: GPUs of those who had more service than the job
    moved: int  #: GPUs of the others


def is_reclaiming(plan: Plan) -> bool:
    """Whether somebody is on the way out for another job."""
    return any(a.pause_cause is PauseCause.FAIR_SHARE_RECLAIM for a in plan.in_phase(*LEAVING))


def reclaim(plan: Plan, room: Room, job: Job) -> bool:
    """Have enough attempts save and leave that `job` fits. False, and nothing changed, if that is not worth it."""
    victims = _victims(plan, room, job)
    for victim in victims:
        plan.stop(victim, Phase.SAVE_EXIT, PauseCause.FAIR_SHARE_RECLAIM)
        text = f"{victim.job_id} told to save and make room for {job.id}"
        plan.events.append(
            Event(at=plan.at, kind="job.preempting", text=text, job_id=victim.job_id, attempt_id=victim.id)
        )
    return bool(victims)


def _victims(plan: Plan, room: Room, job: Job) -> list[Attempt]:
    """Those within one place whose GPUs the job can use, as few GPUs as can be."""
    level, choose = level_of(job, None, plan.at), _anywhere if job.spec.scatter else _on_nodes
    nodes = usable(job, plan)
    places = by_place((node_id for node_id in room.free if node_id in nodes), plan)
    found = [choose(plan, room, job, level, place) for place in places]
    return min(filter(None, found), key=lambda victims: sum(v.gpu_count for v in victims), default=[])


def _anywhere(plan: Plan, room: Room, job: Job, level: int, nodes: list[str]) -> list[Attempt]:
    """For a job that takes any GPUs of these: those with the most service, no more of them than it takes."""
    missing, here = job.spec.total_gpus - sum(len(room.free[n]) for n in nodes), set(nodes)
    victims = []
    for _, attempt in _ranked(plan, plan.running(), job, at_least=level + _AHEAD):
        if missing <= 0:
            break
        freed = sum(len(p.gpu_ids) for p in attempt.placements if p.node_id in here)
        if freed and attempt.gpu_count <= _MOST * missing:
            victims.append(attempt)
            missing -= freed
    return victims if missing <= 0 else []


def _on_nodes(plan: Plan, room: Room, job: Job, level: int, nodes: list[str]) -> list[Attempt]:
    """For a job that needs whole members: on those of these nodes where the fewest GPUs have to be given up."""
    spec = job.spec
    offers = [
        offer
        for node_id in nodes
        if (offer := _offer(plan, node_id, len(room.free[node_id]), job, level)) is not None
    ]
    if len(offers) < spec.nodes:
        return []
    offers.sort(key=lambda o: (o.moved + o.lower, o.moved, o.node_id))
    chosen = offers[: spec.nodes]
    missing = sum(max(0, sizes(job)[0] - len(room.free[o.node_id])) for o in chosen)
    victims = {v.id: v for o in chosen for v in o.victims}
    moved = [v for v in victims.values() if level_of(plan.jobs[v.job_id], v, plan.at) < level + _AHEAD]
    moved_gpus = sum(v.gpu_count for v in moved)
    elsewhere = room.total - sum(len(room.free[o.node_id]) for o in chosen)
    if moved_gpus > elsewhere or moved_gpus > _WORTH * spec.total_gpus:
        return []
    if sum(v.gpu_count for v in victims.values()) > _MOST * missing:
        return []
    return [victims[k] for k in sorted(victims)]


def _offer(plan: Plan, node_id: str, free: int, job: Job, level: int) -> _Offer | None:
    """The fewest GPUs that have to be given up on a node, those with the most service first."""
    missing = max(sizes(job)[0] - free, 0)
    victims, lower, moved = [], 0, 0
    for its_level, attempt in _ranked(plan, plan.on(node_id), job):
        if missing <= 0:
            break
        is_alone = len(attempt.placements) == 1
        if its_level < level + _AHEAD and not is_alone:
            continue
        victims.append(attempt)
        missing -= sum(len(p.gpu_ids) for p in attempt.placements if p.node_id == node_id)
        if its_level >= level + _AHEAD:
            lower += attempt.gpu_count
        else:
            moved += attempt.gpu_count
    return None if missing > 0 else _Offer(node_id=node_id, victims=tuple(victims), lower=lower, moved=moved)


def _ranked(
    plan: Plan, attempts: Iterable[Attempt], job: Job, *, at_least: int = 0
) -> list[tuple[int, Attempt]]:
    """Those that may be asked to leave, with their levels: the most service first, then the fewest GPUs."""
    at, least = plan.at, least_gpu_s(at_least)
    movable = ((plan.jobs[a.job_id], a) for a in attempts if _may_move(plan, a, job))
    found = [(level_of(j, a, at), a) for j, a in movable if gpu_s(j, a, at) >= least]
    return sorted(found, key=lambda r: (-r[0], r[1].gpu_count, r[1].id))


def _may_move(plan: Plan, attempt: Attempt, job: Job) -> bool:
    """Whether an attempt may be asked to leave: it runs for a while, is no more important, may be paused, and saves.

    Who never made a verified commit would begin anew, and whose deadline is near would miss it: nobody's work is lost
    for the convenience of another.
    """
    its_job = plan.jobs[attempt.job_id]
    spec = its_job.spec
    if attempt.phase is not Phase.RUN or its_job.last_commit is None:
        return False
    if spec.flex < _MOVABLE_TIER or spec.priority > job.spec.priority:
        return False
    if is_urgent(its_job, attempt, plan.at, plan.site):
        return False
    running_at = attempt.running_at
    return running_at is not None and (plan.at - running_at).total_seconds() >= plan.site.min_run_s

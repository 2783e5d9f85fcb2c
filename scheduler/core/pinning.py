"""Where a job may go on: only where its checkpoints can be read.

Every node says by an id where its jobs keep their checkpoints; nodes with one id read the same directories. A job
belongs to a place from its first verified commit on. Until a node was heard of, what was last known of it holds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from scheduler.core.jobs import Attempt, Job
from scheduler.core.orders import GroupKind
from scheduler.core.plan import Plan
from scheduler.core.reasons import Event
from scheduler.core.snapshot import Group

REMEDY = (
    "put the jobs on storage that all nodes share (storage.jobs_dir in the site file), or wait for {names}"
)


def bind(plan: Plan, job: Job, attempt: Attempt) -> Job:
    """The job after an attempt of it had a verified commit: it belongs where that attempt keeps its checkpoints."""
    groups = [plan.groups[p.node_id] for p in attempt.placements if p.node_id in plan.groups]
    storage = next((g.storage for g in groups if g.storage), "")
    if job.last_commit is None or not storage or storage == job.storage:
        return job
    bound = replace(job, storage=storage, pinned_to=_readers(storage, job.pinned_to, plan.groups))
    if outside(bound, plan):
        plan.events.append(
            Event(at=plan.at, kind="job.pinned", text=f"{job.id}: {why_pinned(bound)}", job_id=job.id)
        )
    return bound


def refresh(plan: Plan) -> None:
    """Bring up to date who can read the checkpoints of each job: nodes come, go and mount."""
    keys = plan.jobs if plan.since.storage else plan.touched_jobs()
    for job in [j for k in list(keys) if (j := plan.jobs.get(k)) is not None and j.storage]:
        pinned_to = _readers(job.storage, job.pinned_to, plan.groups)
        if pinned_to != job.pinned_to:
            plan.jobs[job.id] = replace(job, pinned_to=pinned_to)


def may_read(job: Job, node_id: str, plan: Plan) -> bool:
    """Whether the job finds its checkpoints on that node."""
    storage = plan.groups[node_id].storage
    if job.storage and storage:
        return job.storage == storage
    return not job.pinned_to or node_id in job.pinned_to


def by_place(nodes: Iterable[str], plan: Plan) -> list[list[str]]:
    """The nodes, each list those that read the same checkpoints: a gang lives within one."""
    places: dict[str, list[str]] = defaultdict(list)
    for node_id in nodes:
        places[plan.groups[node_id].storage].append(node_id)
    return list(places.values())


def outside(job: Job, plan: Plan) -> list[str]:
    """The nodes of the site that cannot read the job's checkpoints; none for a job that has no place yet."""
    if not job.storage and not job.pinned_to:
        return []
    nodes = [gid for gid, g in plan.groups.items() if g.spec.kind is GroupKind.NODE]
    return [gid for gid in nodes if not may_read(job, gid, plan)]


def why_pinned(job: Job) -> str:
    """Where its checkpoints lie and who can read them, in words."""
    where = job.last_commit.path.rpartition("/")[0] if job.last_commit else "a directory"
    return f"its checkpoints lie in {where}, which only {names(job.pinned_to)} can read"


def names(nodes: Iterable[str]) -> str:
    """Node names in a sentence."""
    *others, last = [*nodes] or ["no node of this site"]
    return f"{', '.join(others)} and {last}" if others else last


def _readers(storage: str, known: tuple[str, ...], groups: Mapping[str, Group]) -> tuple[str, ...]:
    """Nodes that told that they read this place, and those known to that were not heard of yet."""
    told = {gid for gid, g in groups.items() if g.storage == storage and g.spec.kind is GroupKind.NODE}
    silent = {gid for gid in known if gid not in groups or not groups[gid].storage}
    return tuple(sorted(told | silent))

"""Where a gang fits: whole GPUs on enough nodes at once, or nowhere."""

from __future__ import annotations

from collections.abc import Mapping

from scheduler.core.jobs import Job, Placement
from scheduler.core.orders import GroupKind
from scheduler.core.pinning import by_place, may_read
from scheduler.core.plan import Plan
from scheduler.core.snapshot import Group


def reachable(group: Group, plan: Plan) -> bool:
    """Whether new work may be sent there: heard of lately, not cordoned, not fallen back."""
    if group.reported_at is None or group.cordoned:
        return False
    silent_s = (plan.at - group.reported_at).total_seconds()
    return silent_s <= plan.site.unreachable_after_s


def free_gpus(plan: Plan) -> dict[str, tuple[str, ...]]:
    """Per reachable node the GPUs that no attempt holds and on which no process was seen, in slot order."""
    free = {}
    for gid, group in plan.groups.items():
        if group.spec.kind is GroupKind.NODE and group.spec.gpus and reachable(group, plan):
            held = {g for a in plan.on(gid) for p in a.placements if p.node_id == gid for g in p.gpu_ids}
            busy = held | {r.gpu_id for r in group.gpus if r.processes}
            free[gid] = tuple(g.gpu_id for g in group.spec.gpus if g.gpu_id not in busy)
    return free


def place(job: Job, free: Mapping[str, tuple[str, ...]], plan: Plan) -> tuple[Placement, ...] | None:
    """Best fit: the nodes that keep the fewest GPUs free after it. None if the gang does not fit as a whole."""
    spec = job.spec
    fitting = [n for n, gpus in free.items() if len(gpus) >= spec.gpus and may_use(job, n, plan)]
    fitting.sort(key=lambda n: (len(free[n]), n))
    together = [place[: spec.nodes] for place in by_place(fitting, plan) if len(place) >= spec.nodes]
    if not together:
        return None
    chosen = min(together, key=lambda nodes: [(len(free[n]), n) for n in nodes])
    return tuple(Placement(node_id=n, gpu_ids=free[n][:k]) for n, k in zip(chosen, sizes(job), strict=True))


def sizes(job: Job) -> list[int]:
    """The GPUs of each member of a gang."""
    spec = job.spec
    last = spec.gpus if spec.last_gpus is None else spec.last_gpus
    return [*([spec.gpus] * (spec.nodes - 1)), last]


def may_use(job: Job, node_id: str, plan: Plan) -> bool:
    """Whether the node has the right GPU type and can read the job's checkpoints."""
    return has_type(job, node_id, plan) and may_read(job, node_id, plan)


def has_type(job: Job, node_id: str, plan: Plan) -> bool:
    """Whether the node has GPUs of the type that the job asks for, if it does."""
    model = plan.model_of(node_id)
    return job.spec.gpu_type is None or (model is not None and model.name == job.spec.gpu_type)


def shape(job: Job) -> tuple[object, ...]:
    """All that says where a job fits: what holds for one of a shape holds for each."""
    spec = job.spec
    return spec.gpus, spec.nodes, spec.last_gpus, spec.gpu_type, job.pinned_to, job.storage


def ever_fits(job: Job, plan: Plan) -> bool:
    """Whether the site, empty and with all power, could run the job."""
    known = plan.fitting_shapes.get(shape(job))
    if known is None:
        known = plan.fitting_shapes[shape(job)] = len(most_together(job, plan)) >= job.spec.nodes
    return known


def most_together(job: Job, plan: Plan) -> list[str]:
    """The nodes, empty or not, that could hold a member each and read the same checkpoints; one alone needs no other.

    A node that was never heard of may read them too.
    """
    nodes = [gid for gid, g in plan.groups.items() if g.spec.kind is GroupKind.NODE]
    fitting = [n for n in nodes if len(plan.groups[n].spec.gpus) >= job.spec.gpus and may_use(job, n, plan)]
    unheard = [n for n in fitting if not plan.groups[n].storage]
    known = by_place([n for n in fitting if plan.groups[n].storage], plan)
    return max(known, key=len, default=[]) + unheard

"""Where a gang fits: whole GPUs on enough nodes at once, or nowhere."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from scheduler.core.jobs import Job, Placement
from scheduler.core.orders import GroupKind
from scheduler.core.pinning import by_place, may_read
from scheduler.core.plan import Plan
from scheduler.core.room import Room


def place(
    job: Job, room: Room, plan: Plan, barred: AbstractSet[str] = frozenset()
) -> tuple[Placement, ...] | None:
    """Best fit: the nodes that keep the fewest GPUs free after it. None if the gang does not fit as a whole.

    On none of the nodes that are `barred`. An elastic gang takes as many nodes as there are for it, in the place where
    those are most.
    """
    if job.spec.total_gpus > room.total:
        return None
    placements = _as_asked(job, room, plan, barred)
    return _scattered(job, room, plan, barred) if placements is None and job.spec.scatter else placements


def _as_asked(job: Job, room: Room, plan: Plan, barred: AbstractSet[str]) -> tuple[Placement, ...] | None:
    spec, least, fit = job.spec, min(job.spec.gpus, sizes(job)[-1]), usable(job, plan)
    fitting = (n for n in room.fullest(least) if n in fit and n not in barred)
    if spec.most_nodes == 1:
        node = next(fitting, None)
        return None if node is None else (Placement(node_id=node, gpu_ids=room.free[node][: spec.gpus]),)
    together = [nodes for place in by_place(fitting, plan) if (nodes := _gang(job, place, room))]
    if not together:
        return None
    chosen = min(together, key=lambda nodes: (-len(nodes), [(len(room.free[n]), n) for n in nodes]))
    counts = sizes(job) if spec.max_nodes is None else [spec.gpus] * len(chosen)
    return tuple(Placement(node_id=n, gpu_ids=room.free[n][:k]) for n, k in zip(chosen, counts, strict=True))


def _scattered(job: Job, room: Room, plan: Plan, barred: AbstractSet[str]) -> tuple[Placement, ...] | None:
    """On the fewest nodes: those with the most free GPUs first, the last as full as can be."""
    fit = usable(job, plan)
    for place in by_place((n for n in room.fullest(1) if n in fit and n not in barred), plan):
        missing, chosen = job.spec.total_gpus, []
        for node_id in reversed(place):
            if missing == 0:
                break
            gpus = room.free[node_id][:missing]
            chosen.append(Placement(node_id=node_id, gpu_ids=gpus))
            missing -= len(gpus)
        if missing == 0:
            return tuple(chosen)
    return None


def _gang(job: Job, nodes: list[str], room: Room) -> list[str] | None:
    """The members' nodes among these, the last member where the fewest GPUs are left over; None if they do not do."""
    spec = job.spec
    large = [n for n in nodes if len(room.free[n]) >= spec.gpus]
    if spec.last_gpus is None:
        return large[: spec.most_nodes] if len(large) >= spec.nodes else None
    chosen = large[: spec.nodes - 1]
    last = next((n for n in nodes if n not in chosen), None)
    return None if len(chosen) < spec.nodes - 1 or last is None else [*chosen, last]


def sizes(job: Job) -> list[int]:
    """The GPUs of each member of a gang, at its least size."""
    spec = job.spec
    last = spec.gpus if spec.last_gpus is None else spec.last_gpus
    return [*([spec.gpus] * (spec.nodes - 1)), last]


def usable(job: Job, plan: Plan) -> AbstractSet[str]:
    """The nodes that the job may use, whatever is on them."""
    key = job.spec.gpu_type, job.storage, job.pinned_to
    known = plan.usable_nodes.get(key)
    if known is None:
        nodes = (gid for gid, g in plan.groups.items() if g.spec.kind is GroupKind.NODE)
        known = plan.usable_nodes[key] = frozenset(n for n in nodes if may_use(job, n, plan))
    return known


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
    sizes = spec.gpus, spec.nodes, spec.max_nodes, spec.last_gpus
    return *sizes, spec.scatter, spec.gpu_type, job.pinned_to, job.storage


def ever_fits(job: Job, plan: Plan) -> bool:
    """Whether the site, empty and with all power, could run the job."""
    known = plan.fitting_shapes.get(shape(job))
    if known is None:
        known = any(_would_hold(job, nodes, plan) for nodes in _places(job, plan))
        plan.fitting_shapes[shape(job)] = known
    return known


def _places(job: Job, plan: Plan) -> list[list[str]]:
    """The nodes, empty or not, that the job may use, each list those that may read the same checkpoints.

    A node that was never heard of may read any.
    """
    may_use = usable(job, plan)
    nodes = [gid for gid in plan.groups if gid in may_use]
    unheard = [n for n in nodes if not plan.groups[n].storage]
    known = by_place([n for n in nodes if plan.groups[n].storage], plan)
    return [[*place, *unheard] for place in known] or [unheard]


def _would_hold(job: Job, nodes: list[str], plan: Plan) -> bool:
    """Whether these nodes, empty, have room for each member, or for all GPUs where any will do."""
    spec, counts = job.spec, [len(plan.groups[n].spec.gpus) for n in nodes]
    if spec.scatter and sum(counts) >= spec.total_gpus:
        return True
    large, enough = (sum(n >= size for n in counts) for size in (spec.gpus, sizes(job)[-1]))
    return large >= spec.nodes - 1 and enough >= spec.nodes

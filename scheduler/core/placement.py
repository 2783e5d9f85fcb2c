"""Where a gang fits: whole GPUs on enough nodes at once, or nowhere."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from scheduler.core.jobs import Job, Placement
from scheduler.core.orders import GroupKind
from scheduler.core.pinning import by_place, may_read
from scheduler.core.plan import Plan
from scheduler.core.room import Room
from scheduler.core.topology import Nearness, outwards, within


def place(
    job: Job, room: Room, plan: Plan, barred: AbstractSet[str] = frozenset()
) -> tuple[Placement, ...] | None:
    """Best fit: the nodes that keep the fewest GPUs free after it. None if the gang does not fit as a whole.

    On none of the nodes that are `barred`. An elastic gang takes as many nodes as there are for it, in the place where
    those are most. A gang is within as few racks as can be, in one if it asks for that: `scheduler.core.topology`.
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
    places = (nodes for place in by_place(fitting, plan) for nodes in within(job, place, plan))
    together = [found for nodes in places if (found := _gang(job, nodes, room, plan)) is not None]
    if not together:
        return None
    chosen = min(together, key=lambda found: (-len(found[0]), found[1]))[0]
    counts = sizes(job) if spec.max_nodes is None else [spec.gpus] * len(chosen)
    return tuple(Placement(node_id=n, gpu_ids=room.free[n][:k]) for n, k in zip(chosen, counts, strict=True))


def _scattered(job: Job, room: Room, plan: Plan, barred: AbstractSet[str]) -> tuple[Placement, ...] | None:
    """Within the fullest part of the network that has so many, on the fewest nodes of it."""
    fit = usable(job, plan)
    for place in by_place((n for n in room.fullest(1) if n in fit and n not in barred), plan):
        for parts in (parts for nodes in within(job, place, plan) for parts in outwards(nodes, plan)):
            free = [(sum(len(room.free[n]) for n in nodes), nodes) for nodes in parts]
            enough = [one for one in free if one[0] >= job.spec.total_gpus]
            if enough:
                return _filled(job, min(enough)[1], room)
    return None


def _filled(job: Job, nodes: list[str], room: Room) -> tuple[Placement, ...]:
    """Those of these nodes with the most free GPUs first, the last as full as can be."""
    missing, chosen = job.spec.total_gpus, []
    for node_id in reversed(nodes):
        if missing == 0:
            break
        gpus = room.free[node_id][:missing]
        chosen.append(Placement(node_id=node_id, gpu_ids=gpus))
        missing -= len(gpus)
    return tuple(chosen)


_Gang = tuple[list[str], tuple[object, ...]]  #: the nodes of its members, and their rank: less is better


def _gang(job: Job, nodes: list[str], room: Room, plan: Plan) -> _Gang | None:
    """The members' nodes among these, as close to each other as can be; None if they do not do."""
    spec = job.spec
    if spec.last_gpus is not None:
        return _uneven_gang(job, nodes, room, plan)
    large = [n for n in nodes if len(room.free[n]) >= spec.gpus]
    if len(large) < spec.nodes:
        return None
    near = Nearness(job, large, plan, room.free)
    chosen = near.closest(min(len(large), spec.most_nodes))
    return chosen, near.rank(chosen)


def _uneven_gang(job: Job, nodes: list[str], room: Room, plan: Plan) -> _Gang | None:
    """The same, the last member where the fewest GPUs are left over."""
    near = Nearness(job, nodes, plan, room.free)
    for parts in outwards(nodes, plan):
        found = [chosen for part in parts if (chosen := _with_last(job, part, room)) is not None]
        if found:
            return min(((chosen, near.rank(chosen)) for chosen in found), key=lambda gang: gang[1])
    return None


def _with_last(job: Job, nodes: list[str], room: Room) -> list[str] | None:
    spec = job.spec
    chosen = [n for n in nodes if len(room.free[n]) >= spec.gpus][: spec.nodes - 1]
    last = next((n for n in nodes if n not in chosen), None)
    return None if len(chosen) < spec.nodes - 1 or last is None else [*chosen, last]


def sizes(job: Job) -> list[int]:
    """The GPUs of each member of a gang, at its least size."""
    spec = job.spec
    last = spec.gpus if spec.last_gpus is None else spec.last_gpus
    return [*([spec.gpus] * (spec.nodes - 1)), last]


def usable(job: Job, plan: Plan) -> AbstractSet[str]:
    """The nodes that the job may use, whatever is on them."""
    key = job.spec.gpu_type, job.spec.node, job.storage, job.pinned_to
    known = plan.fitting.usable.get(key)
    if known is None:
        nodes = (gid for gid, g in plan.groups.items() if g.spec.kind is GroupKind.NODE)
        known = plan.fitting.usable[key] = frozenset(n for n in nodes if may_use(job, n, plan))
    return known


def roomy(job: Job, plan: Plan) -> AbstractSet[str]:
    """Those of them that, empty, have GPUs enough for a member of the job."""
    least = 1 if job.spec.scatter else job.spec.gpus
    key = job.spec.gpu_type, job.storage, job.pinned_to, least
    known = plan.fitting.roomy.get(key)
    if known is None:
        nodes = (n for n in usable(job, plan) if len(plan.groups[n].spec.gpus) >= least)
        known = plan.fitting.roomy[key] = frozenset(nodes)
    return known


def may_use(job: Job, node_id: str, plan: Plan) -> bool:
    """Whether the node is one that the job asks for, and can read its checkpoints."""
    return has_type(job, node_id, plan) and may_read(job, node_id, plan)


def has_type(job: Job, node_id: str, plan: Plan) -> bool:
    """Whether the node has GPUs of the type that the job asks for, and is the one that it names, if it does."""
    if job.spec.node not in (None, node_id):
        return False
    model = plan.model_of(node_id)
    return job.spec.gpu_type is None or (model is not None and model.name == job.spec.gpu_type)


def shape(job: Job) -> tuple[object, ...]:
    """All that says where a job fits: what holds for one of a shape holds for each."""
    spec = job.spec
    sizes = spec.gpus, spec.nodes, spec.max_nodes, spec.last_gpus
    return *sizes, spec.scatter, spec.gpu_type, spec.node, spec.topology, job.pinned_to, job.storage


def ever_fits(job: Job, plan: Plan) -> bool:
    """Whether the site, empty and with all power, could run the job."""
    known = plan.fitting.shapes.get(shape(job))
    if known is None:
        places = (nodes for place in _places(job, plan) for nodes in within(job, place, plan))
        known = any(_would_hold(job, nodes, plan) for nodes in places)
        plan.fitting.shapes[shape(job)] = known
    return known


def would_fit_apart(job: Job, plan: Plan) -> bool:
    """Whether it could, if it did not have to be within one part of the network."""
    return any(_would_hold(job, place, plan) for place in _places(job, plan))


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

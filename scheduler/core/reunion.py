"""Why a job cannot come to its checkpoints now, or a gang not to one place, in sentences with names and a remedy."""

from __future__ import annotations

from collections.abc import Mapping

from scheduler.core.jobs import Job
from scheduler.core.orders import GroupKind
from scheduler.core.pinning import REMEDY, by_place, may_read, names, outside, why_pinned
from scheduler.core.placement import has_type
from scheduler.core.plan import Plan
from scheduler.core.reasons import Code, Reason

_SHARE = "put the jobs on storage that all nodes share (storage.jobs_dir in the site file)"


def pinned_away(job: Job, free: Mapping[str, tuple[str, ...]], plan: Plan) -> Reason | None:
    """Why a job waits whose checkpoints only some nodes can read, where those have no room; None if it is not that."""
    if not outside(job, plan):
        return None
    readers = [n for n in job.pinned_to if n in plan.groups]
    there = sum(len(gpus) for n, gpus in free.items() if may_read(job, n, plan))
    needed = job.spec.total_gpus
    silent = [n for n in readers if n not in free]
    state = f"{names(silent)} cannot take work now" if silent else f"{there} GPUs are free there"
    return Reason(
        code=Code.WAITING_FOR_RESOURCES,
        text=f"needs {needed} GPUs; {why_pinned(job)}; {state}",
        numbers={"needed_gpus": needed, "free_gpus": there},
        remedy=REMEDY.format(names=names(job.pinned_to)),
    )


def never_together(job: Job, plan: Plan) -> Reason | None:
    """Why a job never fits although its GPUs are there: too few nodes read its checkpoints, or the same ones."""
    spec = job.spec
    nodes = {gid: g.spec for gid, g in plan.groups.items() if g.spec.kind is GroupKind.NODE}
    large = [n for n, node in nodes.items() if len(node.gpus) >= spec.gpus and has_type(job, n, plan)]
    if len(large) < spec.nodes:
        return None
    if outside(job, plan):
        text = f"asks for {spec.gpus} GPUs on {spec.nodes} node(s); {why_pinned(job)}"
        remedy = f"bring {names(job.pinned_to)} back, or submit it anew"
    else:
        apart = "; ".join(names(place) for place in by_place(sorted(large), plan))
        text = (
            f"asks for {spec.gpus} GPUs on each of {spec.nodes} nodes that read the same checkpoints; "
            f"those that do are {apart}"
        )
        remedy = _SHARE
    return Reason(
        code=Code.NEVER_FITS, text=text, numbers={"gpus": spec.gpus, "nodes": spec.nodes}, remedy=remedy
    )

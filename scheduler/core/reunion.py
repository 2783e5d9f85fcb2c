"""Why a job cannot come to its checkpoints now, or a gang not to one place or rack: with names, numbers, a remedy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from scheduler.core.jobs import Job
from scheduler.core.orders import GroupKind
from scheduler.core.pinning import REMEDY, by_place, may_read, names, outside, why_pinned
from scheduler.core.placement import has_type, usable, would_fit_apart
from scheduler.core.plan import Plan
from scheduler.core.reasons import Code, Reason
from scheduler.core.room import Room
from scheduler.core.topology import name_of, parts_at, required_level, split

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


def apart(job: Job, room: Room, plan: Plan) -> Reason | None:
    """Why a job waits that has to be in one rack, where GPUs enough are free but not in one; None if it is not that."""
    level = required_level(job)
    if level is None or room.total < job.spec.total_gpus:
        return None
    wanted, fit = _wanted(job), usable(job, plan)
    free = {n: wanted.count(len(gpus)) for n, gpus in room.free.items() if n in fit}
    best, best_free = _best(level, free, plan)
    of = sum(wanted.count(len(plan.groups[n].spec.gpus)) for n in best)
    name = name_of(parts_at(level, plan)[best[0]]) if best else ""
    where = f"the best, {name}, has {best_free} of {of}" if best else "none takes work"
    return Reason(
        code=Code.TOPOLOGY_FRAGMENTED,
        text=f"needs {wanted.text} free in one {level}; {where}",
        numbers=wanted.numbers(free=best_free, of=of),
        remedy=f"topology: {{preferred: {level}}} in the job file, or a smaller job",
    )


def never_within(job: Job, plan: Plan) -> Reason | None:
    """Why a job never fits that would if it had not to be in one rack; None if it is not that."""
    level = required_level(job)
    if level is None or not would_fit_apart(job, plan):
        return None
    wanted, names = _wanted(job), plan.site.topology
    counts = {n: wanted.count(len(plan.groups[n].spec.gpus)) for n in sorted(usable(job, plan))}
    best, most = _best(level, counts, plan)
    if level in names:
        found = f"the largest, {name_of(parts_at(level, plan)[best[0]])}, has {most}"
    else:
        found = f"the levels of this site: {', '.join(names) or 'none'}"
    return Reason(
        code=Code.NEVER_FITS,
        text=f"asks for {wanted.text} in one {level}; {found}",
        numbers=wanted.numbers(largest=most),
        remedy=f"submit a smaller job, or one with topology: {{preferred: {level}}}",
    )


class _Wanted(NamedTuple):
    """What a job needs together: nodes with so many GPUs each, or (None) just GPUs."""

    number: int
    gpus: int | None

    @property
    def text(self) -> str:
        if self.gpus is None:
            return f"{self.number} GPUs"
        return f"{self.number} nodes with {self.gpus} GPUs each"

    def numbers(self, **found: int) -> dict[str, float]:
        """What is needed and what was found, by its unit."""
        unit = "gpus" if self.gpus is None else "nodes"
        return {f"{name}_{unit}": float(value) for name, value in {"needed": self.number, **found}.items()}

    def count(self, gpus: int) -> int:
        """How much of it a node with so many GPUs gives."""
        return gpus if self.gpus is None else int(gpus >= self.gpus)


def _wanted(job: Job) -> _Wanted:
    spec = job.spec
    return _Wanted(spec.total_gpus, None) if spec.scatter else _Wanted(spec.nodes, spec.gpus)


def _best(level: str, counts: Mapping[str, int], plan: Plan) -> tuple[list[str], int]:
    """The nodes of the part that has most of what is counted, and how much that is."""
    places = by_place(sorted(counts), plan)
    parts = [nodes for place in places for nodes in split(place, level, plan)]
    sums = [(sum(counts[n] for n in nodes), nodes) for nodes in parts]
    most, nodes = max(sums, key=lambda one: (one[0], len(one[1])), default=(0, []))
    return nodes, most

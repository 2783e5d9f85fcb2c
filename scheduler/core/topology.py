"""Where nodes are in the network: levels such as block and rack, and who is together at each of them.

A level has *parts*: one rack, one block. Nodes are in one part of a level if they have one name there and at all levels
above: rack r1 of block b1 is not rack r1 of b2. A node that does not say where it is at a level is alone there.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from scheduler.core.fitting import Part
from scheduler.core.jobs import Job
from scheduler.core.plan import Plan


def required_level(job: Job) -> str | None:
    """The level of which a job goes into one part, or waits; None = it may be anywhere."""
    asked, spec = job.spec.topology, job.spec
    if asked is None or not asked.is_required or (spec.most_nodes == 1 and not spec.scatter):
        return None
    return asked.level


def parts_at(level: str, plan: Plan) -> Mapping[str, Part]:
    """In which part of a level each node is."""
    names = plan.site.topology
    above = names[: names.index(level) + 1] if level in names else (level,)
    known = plan.fitting.parts.get(above)
    if known is None:
        is_known = level in names
        known = plan.fitting.parts[above] = {
            gid: _part(gid, dict(group.spec.topology) if is_known else {}, above)
            for gid, group in plan.groups.items()
        }
    return known


def _part(node_id: str, told: Mapping[str, str], levels: Sequence[str]) -> Part:
    path = tuple(told.get(level, "") for level in levels)
    return path if path[-1] else (*path, node_id)  # longer than any other of this level: nobody else is there


def name_of(part: Part) -> str:
    """A part in words: "b1/r1", or the node that is alone."""
    return "/".join(filter(None, part))


def split(nodes: Iterable[str], level: str, plan: Plan) -> list[list[str]]:
    """The nodes by the part of a level that they are in, each list in their order."""
    return _split(nodes, parts_at(level, plan))


def _split(nodes: Iterable[str], parts: Mapping[str, Part]) -> list[list[str]]:
    found: dict[Part, list[str]] = defaultdict(list)
    for node_id in nodes:
        found[parts[node_id]].append(node_id)
    return list(found.values())


def within(job: Job, nodes: list[str], plan: Plan) -> list[list[str]]:
    """The nodes, each list those that an attempt of the job may be on at once."""
    level = required_level(job)
    return [nodes] if level is None else split(nodes, level, plan)


def outwards(nodes: list[str], plan: Plan) -> Iterator[list[list[str]]]:
    """The nodes by parts of the innermost level, then of the next one, and so on; at last all of them together."""
    for level in reversed(plan.site.topology):
        yield split(nodes, level, plan)
    yield [nodes]


class Nearness:
    """Which of the nodes that could hold a gang's members are close to each other, and how close.

    Few parts come first, at the level that the job prefers, else at the outermost one, then at the others. Of as many,
    those count that leave the fewest nodes over, at the innermost level first: large gaps are kept for large gangs.
    """

    def __init__(self, job: Job, nodes: list[str], plan: Plan, free: Mapping[str, Sequence[str]]) -> None:
        self._nodes, self._free = nodes, free
        self._parts = [parts_at(level, plan) for level in _order(job, plan)]
        inwards = [parts_at(level, plan) for level in reversed(plan.site.topology)]
        self._sizes = [(parts, Counter(parts[n] for n in nodes)) for parts in inwards]

    def closest(self, count: int) -> list[str]:
        """So many of the nodes, those of one part beside each other. Not more than there are."""
        return self._closest(self._nodes, count, 0)

    def rank(self, chosen: Collection[str]) -> tuple[object, ...]:
        """How close some of the nodes are, less = closer; where that is the same, how full they are."""
        spans = tuple(len({parts[n] for n in chosen}) for parts in self._parts)
        over = tuple(sum(sizes[part] for part in {parts[n] for n in chosen}) for parts, sizes in self._sizes)
        return spans, over, [(len(self._free[n]), n) for n in chosen]

    def _closest(self, nodes: list[str], count: int, depth: int) -> list[str]:
        """Of these nodes, which are in one part of all levels before `depth` of the order."""
        if depth == len(self._parts):
            return nodes[:count]
        chosen: list[str] = []
        parts = sorted(_split(nodes, self._parts[depth]), key=len, reverse=True)
        for part in parts:
            missing = count - len(chosen)
            if len(part) < missing:
                chosen += self._closest(part, len(part), depth + 1)
                continue
            left = (p for p in parts if len(p) >= missing and p[0] not in chosen)
            return chosen + min((self._closest(p, missing, depth + 1) for p in left), key=self.rank)
        return chosen


def _order(job: Job, plan: Plan) -> Sequence[str]:
    """The levels, those first at which few parts matter most."""
    names, asked = plan.site.topology, job.spec.topology
    if asked is None or asked.is_required or asked.level not in names:
        return names
    at = names.index(asked.level)
    return *names[at:], *reversed(names[:at])

"""Nodes that are on and nodes in standby: nothing is kept on for which others lack watts, nothing off that has work.

A node takes minutes to come up and draws its base meanwhile. So nodes are woken when jobs wait that the watts would
carry once all ran at their knees, though they are spent on higher caps just now: those give way first. Nor are they
woken for jobs that could not start then: each is judged as its start will be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from scheduler.core.bare import can_rest, is_deserted
from scheduler.core.caps import is_below_floors
from scheduler.core.jobs import Job
from scheduler.core.lean import spare_w
from scheduler.core.placement import roomy, usable
from scheduler.core.plan import Plan
from scheduler.core.room import Room
from scheduler.core.topology import required_level, within
from scheduler.core.zoning import wake, workable

_SPARE_NODES = 2  #: that are kept on for newcomers while nobody waits


class Refused(NamedTuple):
    """The first of some jobs of one shape that were not started."""

    job: Job
    jobs: int
    lacks_gpus: bool  #: else it lacks watts


def switch_nodes(plan: Plan, room: Room, refused: Sequence[Refused], limit_w: float) -> float:
    """Wake nodes for jobs that lack GPUs where the watts would do; put empty ones to standby where they do not.

    The site watts that are to be kept for nodes which cannot be woken yet.
    """
    free_w, spare = limit_w - plan.at_knees_w(4), spare_w(plan, limit_w)
    lack_watts = any(not some.lacks_gpus for some in refused) if refused else is_below_floors(plan)
    if not lack_watts and all(
        plan.start_w(some.job) > free_w and plan.starts_w(some.job).least_w > spare for some in refused
    ):
        return 0.0  # there are no watts for any of them, and nobody lacks watts alone
    yard = _Yard(plan, room, limit_w)
    homeless = []
    for some in refused:
        if not yard.has_whole_nodes:
            break  # nobody else can be housed
        if some.lacks_gpus and yard.house(some) < some.jobs:
            homeless.append(some.job)
    if spare > 0:
        yard.squeeze(homeless)
    if lack_watts:
        for gid in yard.unused():
            plan.switch(gid, asleep=True)
    kept_w = 0.0
    for gid in yard.to_wake:
        wake_w = plan.site.overhead * plan.awake_w(gid)
        if plan.exposed_w() + wake_w > limit_w or not wake(plan, gid):
            kept_w += wake_w
    return kept_w


def spare_bases(plan: Plan, room: Room) -> None:
    """Put empty nodes to standby but for a few: to be called while nobody waits and what runs is capped.

    Their bases do more in higher caps: 1.6 kW lift others by what three GPUs do, and a newcomer waits minutes at most.
    """
    empty = [gid for gid in room.free if _is_empty(plan, room, gid) and can_rest(plan, gid)]
    for gid in sorted(empty)[_SPARE_NODES:]:
        plan.switch(gid, asleep=True)


def _is_empty(plan: Plan, room: Room, gid: str) -> bool:
    """Whether nothing is on a node or left on its GPUs, and no start that waits for watts has taken one of them."""
    if not is_deserted(plan, gid):
        return False
    return gid not in room.free or len(room.free[gid]) == len(plan.groups[gid].spec.gpus)


@dataclass(slots=True, kw_only=True)
class _Rack:
    """Whole nodes among which a job is housed."""

    ready: list[str]  #: that are on, or coming
    asleep: list[str]
    loose: int = 0  #: what others there give that are in use: as `_gives`


def _gives(job: Job, gpus: int) -> int:
    """What so many free GPUs of a node are to a job: GPUs where any will do, else room for a member."""
    return gpus if job.spec.scatter else int(gpus >= job.spec.gpus)


def _needs(job: Job) -> int:
    return job.spec.total_gpus if job.spec.scatter else job.spec.nodes


class _Yard:
    """Whole nodes that nobody uses, and the watts to use them."""

    def __init__(self, plan: Plan, room: Room, limit_w: float) -> None:
        self._plan, self._room = plan, room
        asleep, off, bare = plan.asleep(), plan.off, plan.occupants.bare
        barred = plan.cordoned | plan.faults.out(plan.at)  #: nothing starts there: nothing is gained by them
        coming = [gid for gid in sorted(off - asleep) if can_rest(plan, gid)]
        empty = (gid for gid in sorted(bare - asleep - off) if can_rest(plan, gid))
        self._empty = [gid for gid in empty if _is_empty(plan, room, gid)]  #: on, with nothing on them
        houses = [gid for gid in self._empty if gid in room.free]
        self._houses = frozenset(houses)
        self._ready = [*(gid for gid in coming if gid not in barred), *houses]
        self._asleep = list(workable(plan, [gid for gid in asleep.in_order() if gid not in barred]))
        self._used: set[str] = set()
        self.to_wake: list[str] = []
        self._loose = room.total - sum(
            len(room.free[gid]) for gid in houses
        )  #: GPUs free on nodes that are in use
        self._free_w = limit_w - plan.at_knees_w(4)
        self._lifts_w = plan.nodes_w() - plan.at_knees_w(4)  #: that all have use for above their knees
        self._rest_w = (
            plan.site.firm_w * (1.0 - plan.site.margin) - plan.fallback_w()
        )  #: as starts are judged

    @property
    def has_whole_nodes(self) -> bool:
        """Whether there are any left, on or asleep."""
        return len(self._used) < len(self._ready) + len(self._asleep)

    def unused(self) -> list[str]:
        """Empty nodes on which nobody is housed, but for those that somebody left in this round.

        These have watts to give once that is confirmed, which may do for who lacks them.
        """
        just_left = {p.node_id for attempt in self._plan.ended.values() for p in attempt.placements}
        return [gid for gid in self._empty if gid not in self._used and gid not in just_left]

    def house(self, refused: Refused) -> int:
        """Find whole nodes for as many jobs of a shape as the watts carry: coming ones, empty ones, then sleepers.

        How many these are.
        """
        start_w = self._plan.start_w(refused.job)
        if start_w > self._free_w:  # wherever it is
            self._take_loose(refused.job)
            return 0
        racks = self._whole_nodes(refused.job, refused.jobs)
        housed = 0
        while housed < refused.jobs and self._take_first(refused.job, racks, start_w):
            housed += 1
        self._lifts_w += housed * (self._plan.starts_w(refused.job).full_w - start_w)
        return housed

    def squeeze(self, jobs: Sequence[Job]) -> None:
        """Find whole nodes for the first of some that could start below its knee with watts that nobody has use for."""
        self._free_w -= self._lifts_w
        for job in jobs:
            start_w = self._plan.starts_w(job).least_w
            if start_w <= self._free_w and self._take_first(job, self._whole_nodes(job, 1), start_w):
                return

    def _whole_nodes(self, job: Job, jobs: int) -> list[_Rack]:
        """Where so many jobs of a shape could be."""
        nodes, used = roomy(job, self._plan), self._used
        # Who has no place to be in takes the first that are left, and no job more of them than it needs.
        most = None if required_level(job) else jobs * _needs(job)
        ready, asleep = (
            list(islice((g for g in gids if g in nodes and g not in used), most))
            for gids in (self._ready, self._asleep)
        )
        return self._racks(job, ready, asleep)

    def _take_first(self, job: Job, racks: list[_Rack], start_w: float) -> bool:
        racks.sort(key=lambda rack: -min(rack.loose + len(rack.ready), _needs(job)))
        return any(self._take(job, rack, start_w) for rack in racks)

    def _racks(self, job: Job, ready: list[str], asleep: list[str]) -> list[_Rack]:
        """Where the job could be as a whole: in any of the racks if it asks to be in one, else wherever it fits."""
        if required_level(job) is None:
            return [_Rack(ready=ready, asleep=asleep)]
        are_on, sleep, free = frozenset(ready), frozenset(asleep), self._room.free
        others = [n for n in usable(job, self._plan) if n in free and n not in self._houses]
        return [
            _Rack(
                ready=[n for n in nodes if n in are_on],
                asleep=[n for n in nodes if n in sleep],
                loose=sum(_gives(job, len(free[n])) for n in nodes if n not in are_on | sleep),
            )
            for nodes in within(job, [*ready, *asleep, *sorted(others)], self._plan)
        ]

    def _take(self, job: Job, rack: _Rack, start_w: float) -> bool:
        used, woken, missing = self._chosen(job, rack)
        wake_w = self._plan.site.overhead * sum(self._plan.awake_w(gid) for gid in woken)
        needed_w, rest_w = wake_w + start_w, wake_w + self._rest_of_w(job, [*used, *woken])
        if missing > 0 or needed_w > self._free_w or (woken and rest_w > self._rest_w):
            return False
        self._free_w -= needed_w
        self._rest_w -= rest_w
        self._used.update(used, woken)
        self.to_wake += woken
        del rack.ready[: len(used)], rack.asleep[: len(woken)]
        rack.loose = max(0, rack.loose - _needs(job))
        return True

    def _chosen(self, job: Job, rack: _Rack) -> tuple[list[str], list[str], int]:
        """Nodes that are on and sleepers that a job needs on top of what is free, and how much it still lacks."""
        by_gpus, used, woken = job.spec.scatter, list[str](), list[str]()
        missing = max(0, _needs(job) - rack.loose)
        if by_gpus and required_level(job) is None:
            missing = job.spec.total_gpus - self._take_loose(job)
        for gids, chosen in ((rack.ready, used), (rack.asleep, woken)):
            for gid in gids:
                if missing <= 0:
                    break
                chosen.append(gid)
                missing -= len(self._plan.groups[gid].spec.gpus) if by_gpus else 1
        return used, woken, missing

    def _take_loose(self, job: Job) -> int:
        """Have a job that takes any GPUs take those that are loose, and not the next one: how many these are."""
        takes_any = job.spec.scatter and required_level(job) is None
        taken = min(self._loose, job.spec.total_gpus) if takes_any else 0
        self._loose -= taken
        return taken

    def _rest_of_w(self, job: Job, nodes: list[str]) -> float:
        """Site watts that a job on these nodes adds to what is left when all orders have expired."""
        if not nodes:
            return 0.0
        kind = self._plan.kind_on(job, nodes[0])
        held_w = kind.model.charge_w(kind.knee_w) if kind.tier == 0 else kind.model.held_w()
        return self._plan.site.overhead * job.spec.total_gpus * (held_w - kind.model.idle_w)

"""What a round may still start: free GPUs and free watts. Both only get fewer while it lasts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property

from scheduler.core.jobs import Attempt, Job, JobState, Phase, Placement
from scheduler.core.placement import place, shape
from scheduler.core.plan import EPSILON_W, Plan
from scheduler.core.room import Gpus, Room as Nodes
from scheduler.core.starting import new_attempt
from scheduler.core.waiting import barred
from scheduler.sim.baselines.caps import Caps, slack_w

_Terms = tuple[object, ...]
"""What says, beside the number of GPUs, how many watts a job takes."""


def _terms(job: Job) -> _Terms:
    spec = job.spec
    return spec.flex == 0, spec.cap_ok, spec.min_cap_w, spec.gpu_type


_CHEAPEST: _Terms = (False, True, None, None)


class Room:
    """The room of one round. What is started is in the plan at once, at its lowest cap, and in `wanted`."""

    def __init__(self, plan: Plan, nodes: Nodes, caps: Caps, limit_w: float) -> None:
        self.plan, self.nodes = plan, nodes
        self.wanted: list[Attempt] = []  #: as they were: held, or not there
        self.settled: Mapping[str, JobState] = {}
        self.limit_w = limit_w
        self._caps = caps
        self._placeless: set[tuple[object, ...]] = set()  #: shapes that fit nowhere any more
        self._unpowered: dict[_Terms, int] = {}  #: GPUs that are too many for the watts

    @cached_property
    def slack_w(self) -> float:
        """What running work would give up by going to its lowest caps, W at the site."""
        return slack_w(self.plan, self._caps)

    @property
    def is_open(self) -> bool:
        """Whether the smallest job might still start."""
        return self.nodes.total > 0 and self._unpowered.get(_CHEAPEST, 2) > 1

    @property
    def left_w(self) -> float:
        """Site watts that are free once all that runs is at its lowest cap."""
        return self.limit_w + self.slack_w - self.plan.nodes_w()

    def resume(self, attempt: Attempt) -> bool:
        """Have a held attempt go on if its watts are free."""
        lowest_w = self._caps.lowest_w(self.plan.model(attempt), self.plan.jobs[attempt.job_id])
        self.plan.change(attempt, phase=Phase.RUN, cap_w=lowest_w)
        if self.left_w < -EPSILON_W:
            self.plan.put(attempt)
            return False
        self.wanted.append(attempt)
        return True

    def start(self, job: Job, *, within: Nodes | None = None) -> bool:
        """Start a job if its GPUs, those `within` if that is given, and its watts are free."""
        placements = self.where(job, within=within)
        if placements is None or not self.may_start(job):
            return False
        made = new_attempt(job, placements, self.plan)
        attempt = replace(made, cap_w=self._caps.lowest_w(self.plan.model(made), job))
        if not self._pays_for(attempt):
            self._unpowered[_terms(job)] = job.spec.total_gpus
            return False
        self.wanted.append(attempt)
        self.nodes.take(placements)
        return True

    def may_start(self, job: Job) -> bool:
        """Whether nothing but GPUs and watts keeps a job from starting."""
        return barred(job, self.plan, self.settled) is None

    def where(self, job: Job, *, within: Nodes | None = None) -> tuple[Placement, ...] | None:
        """Where it fits now, None if nowhere or if there are no watts for so many GPUs."""
        gpus = job.spec.total_gpus
        if gpus > self.nodes.total or gpus >= self._unpowered.get(_terms(job), gpus + 1):
            return None
        if shape(job) in self._placeless:
            return None
        found = place(job, within or self.nodes, self.plan)
        if found is None and within is None:
            self._placeless.add(shape(job))
        return found

    def need_w(self, job: Job, placements: Iterable[Placement]) -> float:
        """Site watts that a job takes beyond idle GPUs, at its lowest cap."""
        model = self.plan.model_of(next(iter(placements)).node_id)
        if model is None:
            return 0.0
        above_w = model.charge_w(self._caps.lowest_w(model, job)) - model.idle_w
        return self.plan.site.overhead * job.spec.total_gpus * above_w

    def _pays_for(self, attempt: Attempt) -> bool:
        """Put it into the plan, unless the limit, or the firm level on loss of signal, would not carry it."""
        plan = self.plan
        plan.put(attempt)
        firm_w = plan.site.firm_w * (1.0 - plan.site.margin)
        if self.left_w >= -EPSILON_W and plan.fallback_w() <= firm_w + EPSILON_W:
            return True
        plan.forget(attempt)
        return False


class Pool(Nodes):
    """Free GPUs by node that are not those of now: what a reservation leaves, or what will be free at some time."""

    def __init__(self, free: Mapping[str, Gpus]) -> None:
        self.free, self.total, self.gains, self._by_count, self._silent = {}, 0, 0, {}, set()
        for node_id, gpus in free.items():
            self._set(node_id, gpus)

    def give(self, placements: Iterable[Placement]) -> None:
        """These become free too; they are the first to be taken."""
        for placement in placements:
            there = self.free.get(placement.node_id, ())
            self._set(
                placement.node_id, (*placement.gpu_ids, *(g for g in there if g not in placement.gpu_ids))
            )

    @classmethod
    def beside(cls, nodes: Nodes, reserved: Iterable[Placement]) -> Pool:
        """What is free now, but for reserved GPUs."""
        gone = {(p.node_id, g) for p in reserved for g in p.gpu_ids}
        return cls({n: tuple(g for g in gpus if (n, g) not in gone) for n, gpus in nodes.free.items()})

"""The events as a site gets them: limits at the site meter, the jobs that run into them, and the site itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from scheduler.core.power import A100_SXM, site_w
from scheduler.sim.outcome import RunOutcome
from scheduler.sim.phoenix.mix import MixJob, full_w
from scheduler.sim.workload import PowerTrace, SimJob

_MINUTE_S = 60.0
_ENDLESS_S = 7 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PhoenixSite:
    """The cluster: 256 A100s in nodes of 8. Watts at the meter of the cluster, so no overhead of the hall is added."""

    node_base_w: float
    nodes: int = 32
    gpus_per_node: int = 8
    gpu_model: str = A100_SXM.name
    overhead: float = 1.0
    auxiliary_w: float = 0.0
    margin: float = 0.03  #: share of the limit kept free
    save_s: float = 30.0
    restart_s: float = 90.0  #: from a start order to the first step
    reaction_s: float = 30.0
    gpu_max_w: float = A100_SXM.tdp_w

    @property
    def contract_w(self) -> float:
        """The limit before and after the event: enough for every GPU without a cap."""
        it_w = self.nodes * (self.node_base_w + self.gpus_per_node * self.gpu_max_w)
        all_w = site_w(it_w=it_w, miners_w=0.0, overhead=self.overhead, auxiliary_w=self.auxiliary_w)
        return all_w / (1.0 - self.margin)

    @property
    def firm_w(self) -> float:
        """What it may always draw: half of the contract, which no event goes below."""
        return self.contract_w / 2


class Run(Protocol):
    """A simulator."""

    def __call__(
        self, jobs: Sequence[SimJob], power: PowerTrace, site: PhoenixSite, *, window_s: float
    ) -> RunOutcome:
        """What came of the jobs under this limit in the window. The same input gives the same outcome."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """From `starts_s` on, the limit goes to `cut` below the baseline, in even steps of a minute."""

    starts_s: float
    cut: float  #: share of the baseline
    ramp_s: float = 15 * _MINUTE_S

    @property
    def holds_s(self) -> float:
        """When the ramp is over."""
        return self.starts_s + self.ramp_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A cut in stages, each deeper than the one before, then the contract again."""

    name: str
    title: str
    stages: tuple[Stage, ...]
    release_s: float
    window_s: float

    @property
    def starts_s(self) -> float:
        """When the limit begins to fall."""
        return self.stages[0].starts_s

    def held_s(self, stage: Stage) -> tuple[float, float]:
        """From when to when a stage is held."""
        later = [s.starts_s for s in self.stages if s.starts_s > stage.starts_s]
        return stage.holds_s, min([*later, self.release_s])


#: SRP's: 25 % down for three hours (16:30 to 19:30), after a ramp of 15 minutes.
ONE_STEP = Event(
    name="phoenix-srp",
    title="25 % down for 3 h",
    stages=(Stage(starts_s=3600.0, cut=0.25),),
    release_s=15_300.0,
    window_s=18_900.0,
)

#: CAISO's: two steps, 165 and 137 minutes long as their trace shows them (15:05, 17:50, 20:07).
TWO_STEP = Event(
    name="phoenix-caiso",
    title="15 %, then 25 % down",
    stages=(Stage(starts_s=3600.0, cut=0.15), Stage(starts_s=13_500.0, cut=0.25)),
    release_s=21_720.0,
    window_s=25_320.0,
)


def flat_limit(site: PhoenixSite) -> PowerTrace:
    """No event at all."""
    return PowerTrace(name="no event", steps=((0.0, site.contract_w),))


def event_limit(event: Event, site: PhoenixSite, *, baseline_w: float) -> PowerTrace:
    """The limit of an event for a site that draws `baseline_w` without it."""
    steps = [(0.0, site.contract_w)]
    before = 0.0
    for stage in event.stages:
        count = max(1, round(stage.ramp_s / _MINUTE_S))
        cuts = (before + (stage.cut - before) * (i + 1) / count for i in range(count))
        last_s = stage.ramp_s / count
        steps += [(stage.starts_s + i * last_s, baseline_w * (1.0 - cut)) for i, cut in enumerate(cuts)]
        before = stage.cut
    return PowerTrace(name=event.name, steps=(*steps, (event.release_s, site.contract_w)))


def event_jobs(mix: Iterable[MixJob]) -> tuple[SimJob, ...]:
    """The jobs of the event; none ends by itself within it."""
    return tuple(
        SimJob(id=job.name, arrives_s=0.0, gpus=job.gpus, work_s=_ENDLESS_S, flex=job.tier) for job in mix
    )


def phoenix_site(mix: Sequence[MixJob], *, gpu_share: float) -> PhoenixSite:
    """The cluster whose GPUs, all at work without caps, draw `gpu_share` of all its power.

    Raises ValueError unless the jobs fill its nodes.
    """
    plain = PhoenixSite(node_base_w=0.0)
    gpus, slots = sum(job.gpus for job in mix), plain.nodes * plain.gpus_per_node
    if gpus != slots:
        raise ValueError(f"jobs: they hold {gpus} GPUs of {slots}; the event is about a full cluster")
    if not 0.0 < gpu_share <= 1.0:
        raise ValueError(f"gpu_share: {gpu_share:g} is no share; the measured cut must be the larger one")
    return PhoenixSite(node_base_w=full_w(mix) * (1.0 / gpu_share - 1.0) / plain.nodes)

"""A simulated site: its nodes, miners and pace. The default is the site of the standard grid."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final

from scheduler.core.hashprice import ChainFigures
from scheduler.core.jobs import TopologyRequest
from scheduler.core.machines import MachineKind
from scheduler.core.modes import AI_FIRST, Mode
from scheduler.core.orders import GpuSlot, GroupKind, GroupSpec, Standby
from scheduler.core.partners import Partner as Owner
from scheduler.core.power import A100_SXM, GPU_MODELS, GpuModel
from scheduler.core.projects import FAIR_SHARE, FairShare, Project
from scheduler.core.snapshot import SitePolicy

_DAY_S = 86_400.0
_NOTICED_S: Final = 0.001  #: so late at the most does a simulated guard notice that its lease has lapsed
EACH_SECOND: Final[dict[str, Any]] = {"heartbeat_s": 1.0, "meter_s": 1.0, "rest_s": 1.0}
"""Of `Timing`, where leases are real: guards report, the meter is read, the loop looks, as in the service."""
_STANDBY = Standby(draw_w=30.0, down_s=30.0, boot_s=180.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Partner:
    """A group of miners; `SimSite.owners` says whose."""

    name: str
    max_w: float  #: nameplate of all its miners
    base_w: float = 0.0  #: its controllers and fans at rest
    down_s: float = 2.0  #: until a lower target is followed
    up_s: float = 10.0  #: until a higher one is
    machine: MachineKind | None = None  #: of machines that run whole; None = they take any watt


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long things take on the nodes, s."""

    start_s: float = 0.0  #: a job's first start; its own loading is part of its work
    restore_s: float = 90.0  #: any later start: restore and restart
    save_s: float = 30.0  #: from the request to save and exit to the verified checkpoint and the end
    suspend_s: float = 1.0  #: from the request to the step boundary
    resume_s: float = 0.0
    checkpoint_interval_s: float = 1800.0  #: of computing, between two commits
    checkpoint_s: float = 0.0  #: for which each of them keeps a job from computing
    grace_s: float = 120.0  #: between a request to save and exit, and the kill, as jobs ask for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The loop's pace and the leases; `SitePolicy` says what each means. Leases outlast every window by default.

    With a short lease nodes have to be heard again and again: `heartbeat_s` is how often each reports without news.
    """

    lease_s: float = 60 * _DAY_S
    fall_s: float = 0.0
    clock_uncertainty_s: float = 0.0
    save_after_s: float = 5.0
    suspend_max_s: float = 5.0
    raise_delay_s: float = 10.0
    restart_s: float = 90.0
    unreachable_after_s: float = 60 * _DAY_S
    lost_after_s: float = 60 * _DAY_S
    patience_s: float = 300.0
    min_run_s: float = 900.0
    starts_at_once: int | None = None
    saves_at_once: int | None = None
    little_service_gpu_h: float = 16.0
    little_service_preempts: bool = False
    priority_preempts: bool = True
    heartbeat_s: float | None = None  #: None = a node that has nothing new to say says nothing
    meter_s: float | None = None  #: between two readings of the site meter; None = it is not read
    rest_s: float = 600.0  #: the longest between two rounds of the loop


@dataclass(frozen=True, slots=True, kw_only=True)
class SimSite:
    """All that a simulated site is. Raises KeyError for an unknown GPU model."""

    name: str = "grid"
    nodes: int = 64
    gpus: int = 8  #: of each node
    gpu_model: str = A100_SXM.name
    base_w: float = 1200.0  #: of each node, without its GPUs
    standby: Standby | None = _STANDBY
    topology: tuple[str, ...] = ()  #: levels of the network, the outermost first
    places: tuple[tuple[tuple[str, str], ...], ...] = ()  #: of its nodes, in their order; none = not known
    partners: tuple[Partner, ...] = (
        Partner(name="mine-a", max_w=200_000.0),
        Partner(name="mine-b", max_w=120_000.0),
        Partner(name="mine-c", max_w=80_000.0),
    )
    owners: tuple[Owner, ...] = (
        Owner(partner_id="mine-a", weight=5, groups=("mine-a",)),
        Owner(partner_id="mine-b", weight=3, groups=("mine-b",)),
        Owner(partner_id="mine-c", weight=2, groups=("mine-c",)),
    )
    """Of the miners. Who owns none that are there gets nothing."""
    mode: Mode = AI_FIRST
    chain: ChainFigures | None = (
        None  #: what hashing brings all the time, whatever their date; None = nobody knows
    )
    projects: tuple[Project, ...] = ()
    fair_share: FairShare = FAIR_SHARE
    reclaim_stranded: bool = True
    mining_ramp_up_w_per_s: float | None = None
    mining_ramp_down_w_per_s: float | None = None
    firm_w: float = 160_000.0
    overhead: float = 1.25
    scatter: bool = True  #: jobs may have any GPUs of any nodes: traces say how many, and no more
    together: TopologyRequest | None = None  #: what all jobs ask of the topology: traces do not say
    auxiliary_w: float = 0.0
    margin: float = 0.0  #: entitlements charge caps already
    reaction_s: float = 30.0
    checkpoint_auto: bool = False  #: jobs leave it to Barq how often they commit, and to no other policy
    notice_s: float = 0.0  #: how long before it binds a change of the limit is known
    forecast_error: float | None = (
        None  #: of the time until a change, by which it is foreseen; None = it is not
    )
    pace: Pace = field(default_factory=Pace)
    timing: Timing = field(default_factory=Timing)

    @property
    def model(self) -> GpuModel:
        """The power model of its GPUs."""
        return GPU_MODELS[self.gpu_model]

    @property
    def total_gpus(self) -> int:
        """GPUs of all nodes."""
        return self.nodes * self.gpus

    def policy(self) -> SitePolicy:
        """What decisions need of it."""
        t = self.timing
        return SitePolicy(
            name=self.name,
            firm_w=self.firm_w,
            overhead=self.overhead,
            auxiliary_w=self.auxiliary_w,
            margin=self.margin,
            reaction_s=self.reaction_s,
            lease_s=t.lease_s,
            fall_s=t.fall_s,
            clock_uncertainty_s=t.clock_uncertainty_s,
            save_after_s=t.save_after_s,
            suspend_max_s=t.suspend_max_s,
            raise_delay_s=t.raise_delay_s,
            restart_s=t.restart_s,
            unreachable_after_s=t.unreachable_after_s,
            lost_after_s=t.lost_after_s,
            patience_s=t.patience_s,
            min_run_s=t.min_run_s,
            starts_at_once=t.starts_at_once,
            saves_at_once=t.saves_at_once,
            little_service_gpu_h=t.little_service_gpu_h,
            little_service_preempts=t.little_service_preempts,
            priority_preempts=t.priority_preempts,
            partners=tuple(o for o in self.owners if any(p.name in o.groups for p in self.partners)),
            mode=self.mode,
            projects=self.projects,
            fair_share=self.fair_share,
            topology=self.topology,
            reclaim_stranded=self.reclaim_stranded,
            mining_ramp_up_w_per_s=self.mining_ramp_up_w_per_s,
            mining_ramp_down_w_per_s=self.mining_ramp_down_w_per_s,
        )

    def specs(self) -> dict[str, GroupSpec]:
        """Its device groups, by id: the nodes, then the miners."""
        slots = tuple(GpuSlot(gpu_id=str(i), model=self.gpu_model) for i in range(self.gpus))
        digits = len(str(self.nodes))
        nodes = [
            GroupSpec(
                group_id=f"node-{i + 1:0{digits}}",
                kind=GroupKind.NODE,
                base_w=self.base_w,
                gpus=slots,
                simulated=True,
                standby=self.standby,
                topology=self.places[i] if self.places else (),
            )
            for i in range(self.nodes)
        ]
        return {spec.group_id: spec for spec in [*nodes, *map(_miners, self.partners)]}


def with_real_leases(site: SimSite) -> SimSite:
    """The same where guards report each second, and who is silent is missed: what can go wrong needs that.

    Leases are those of a site that says nothing of them, unless they are real already. No work stops sooner than at
    its step boundary, and no miner sooner than it does, so that a guard's fall takes as long at least.
    """
    timing, usual = site.timing, SitePolicy(name=site.name, firm_w=site.firm_w)
    if timing.heartbeat_s is None:
        timing = replace(
            timing,
            lease_s=usual.lease_s,
            unreachable_after_s=usual.unreachable_after_s,
            lost_after_s=usual.lost_after_s,
            **EACH_SECOND,
        )
    slowest_s = max(site.pace.suspend_s, *(p.down_s for p in site.partners), 0.0) + _NOTICED_S
    return replace(site, timing=replace(timing, fall_s=max(timing.fall_s, slowest_s)))


def _miners(partner: Partner) -> GroupSpec:
    return GroupSpec(
        group_id=partner.name,
        kind=GroupKind.MINERS,
        base_w=partner.base_w,
        miners_max_w=partner.max_w - partner.base_w,
        machine=partner.machine,
        simulated=True,
    )

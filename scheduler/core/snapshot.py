"""Everything a decision is made from, at one instant, as plain values. A recorded snapshot replays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from scheduler.core.altered import altered, swift
from scheduler.core.credit import Owed
from scheduler.core.domains import Domain
from scheduler.core.envelope import Envelope
from scheduler.core.estop import EmergencyStop
from scheduler.core.faults import Faulted
from scheduler.core.forecast import LimitRecord
from scheduler.core.hashprice import ChainFigures
from scheduler.core.jobs import Attempt, Job, JobState
from scheduler.core.ledger import Account
from scheduler.core.modes import AI_FIRST, Mode
from scheduler.core.orders import (
    AttemptFacts,
    Draft,
    GpuReading,
    GroupSpec,
    MinerReading,
    MinerWishes,
    NodePower,
)
from scheduler.core.partners import NO_POOL, Partner, PoolTerms
from scheduler.core.projects import FAIR_SHARE, FairShare, Project, Used
from scheduler.core.proving import Margin
from scheduler.core.stranded import NOTHING_KNOWN, Useful
from scheduler.core.trim import Trimmed, TrimRule


@dataclass(frozen=True, slots=True, kw_only=True)
class SitePolicy:
    """The site's contract with the grid and its pace. Watts at the site meter unless said otherwise."""

    name: str
    firm_w: float  #: what the site may always draw; the level on loss of signal
    overhead: float = 1.25  #: PUE of the hall; does not apply to miners
    auxiliary_w: float = 0.0
    margin: float = 0.03  #: share of the limit kept free
    lease_s: float = 15.0  #: how long an order stands without the next
    fall_s: float = 3.0  #: p99 of a guard's fall after expiry or a lowering order
    reaction_s: float = 30.0  #: the shortest reaction time any source grants
    clock_uncertainty_s: float = 0.5
    save_after_s: float = 5.0  #: past expiry, held jobs are told to save and exit
    suspend_max_s: float = 60.0  #: suspended longer than this: save and release the GPUs
    raise_delay_s: float = 10.0  #: after a cut, nothing of AI is raised for this long
    restart_s: float = 20.0  #: from start order to the first step, for the window test
    horizon_s: float = 48 * 3600.0
    unreachable_after_s: float = 5.0  #: no report for this long: no new work there
    lost_after_s: float = 60.0  #: no report for this long: its attempts are lost
    patience_s: float = (
        300.0  #: a job that waited this long is made room for, and passed by no less important one
    )
    little_service_gpu_h: float = 16.0  #: a job that had less goes before its equals; 0 = all go as they came
    little_service_preempts: bool = (
        False  #: whether who had very much leaves for who had little and waited for long
    )
    priority_preempts: bool = (
        True  #: whether who is less important leaves for who has waited for GPUs that long
    )
    min_run_s: float = 900.0  #: nobody is asked to make room for another sooner after a start
    starts_at_once: int | None = (
        None  #: jobs that come up at a time, at most; None = as many as there is power for
    )
    saves_at_once: int | None = (
        None  #: attempts that save to one storage and leave at a time, at most; None = any number
    )
    """No bound for what has to leave for the limit, under an emergency stop, or because a person says so."""
    partners: tuple[Partner, ...] = ()  #: owners of miners; what none of them owns is the site's own
    house_pool: PoolTerms = NO_POOL  #: where the site's own miners hash
    domains: tuple[Domain, ...] = ()  #: below the site's meter: feeders, halls, racks
    topology: tuple[str, ...] = ()  #: levels of the network in which nodes are, the outermost first
    mode: Mode = AI_FIRST  #: how AI and mining share the surplus
    mining_ramp_up_w_per_s: float | None = None  #: of all miners together; None = as fast as they can
    mining_ramp_down_w_per_s: float | None = None  #: of reductions that no limit demands
    projects: tuple[Project, ...] = ()  #: that share the site; none = all jobs are alike
    fair_share: FairShare = FAIR_SHARE  #: how what projects use is remembered
    trim: TrimRule | None = None  #: how far its meter corrects the model; None = it has none of its own
    reclaim_stranded: bool = True  #: whether work is capped at what it has use for, and others get the rest

    @property
    def lead_s(self) -> float:
        """A known drop applies this much early: the fall plus the clock uncertainty."""
        return self.fall_s + self.clock_uncertainty_s


class Quality(StrEnum):
    """What a reading of the draw is worth."""

    GOOD = "good"  #: measured now
    ESTIMATED = "estimated"  #: not by the meter: the sum of what devices report
    STALE = "stale"  #: the meter does not answer, and this is what it showed last
    BAD = "bad"  #: what the meter answers was refused, and this is the last that was not


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterReading:
    """The site's draw as measured."""

    draw_w: float
    measured_at: datetime
    source: str = "simulated"
    quality: Quality = Quality.GOOD


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One device group (node or miner group) as last reported, with its account."""

    spec: GroupSpec
    account: Account
    reported_at: datetime | None = None  #: None = never heard of since this leader began
    reported_boottime_s: float = 0.0  #: its guard's clock then
    draw_w: float = 0.0
    guessed_w: float = 0.0  #: of that, what nobody read
    unguarded: bool = (
        False  #: of miners: no guard is known to hold them, so all that they can draw is in its base
    )
    gpus: tuple[GpuReading, ...] = ()
    miners: tuple[MinerReading, ...] = ()
    facts: tuple[AttemptFacts, ...] = ()
    facts_at: tuple[datetime, ...] = ()  #: since when each of these does what it does, by its guard's word
    in_fallback: bool = False
    unheeding_since_at: datetime | None = None  #: since when it speaks and takes no orders; None = it does
    is_deaf: bool = False  #: it did so for a whole lease: no order reaches it, though its word reaches us
    ordered: Draft | None = None  #: the last order that this leader sent
    ordered_at: datetime | None = None
    miners_target_w: float = 0.0  #: as last decided
    cordoned: bool = False
    faulted: Faulted | None = None  #: starts that failed on it of late; None = none did
    storage: str = ""  #: id of the place where its jobs keep their checkpoints; empty = not known
    stop: EmergencyStop | None = None  #: latched by its guard
    power: NodePower = NodePower.ON
    miner_wishes: MinerWishes = ()  #: what people want of its machines
    stirred_at: datetime | None = (
        None  #: when an attempt last began or ended on it; None = not under this leader
    )

    @property
    def is_asleep(self) -> bool:
        """Whether it is to be in standby: as last ordered, or as it is found where nothing was ordered yet."""
        return self.ordered.standby if self.ordered is not None else self.power is NodePower.STANDBY

    def told_at(self, attempt_id: str) -> datetime | None:
        """When its guard first told that an attempt does what it does; None = never, to this leader."""
        told = zip(self.facts, self.facts_at, strict=False)
        return next((at for fact, at in told if fact.attempt_id == attempt_id), None)

    def is_heard(self, at: datetime, site: SitePolicy) -> bool:
        """Whether it was heard of lately, so that it can be counted on to do what it is told."""
        seen_at = self.reported_at
        return seen_at is not None and (at - seen_at).total_seconds() <= site.unreachable_after_s


def with_faults(groups: Mapping[str, Group], faulted: Mapping[str, Faulted | None]) -> dict[str, Group]:
    """Those of the groups on which starts failed, or go well again, as they are now."""
    return {gid: altered(groups[gid], faulted=told) for gid, told in faulted.items() if gid in groups}


@swift
@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The input of `shed` and `decide`."""

    at: datetime
    site: SitePolicy
    envelopes: tuple[Envelope, ...] = ()
    below: tuple[Envelope, ...] = ()  #: of sources that limit a domain, not the site
    meter: MeterReading | None = None
    unmetered_w: float = 0.0  #: site watts that the meter keeps seeing beyond the books
    trim: Trimmed | None = (
        None  #: what the meter taught of the model's error; None = the site has no such meter
    )
    proven: Margin | None = None  #: what the meter shows to be margin enough; None = that of the site file
    useful: Useful = NOTHING_KNOWN  #: the caps that running work has use for, as far as it was watched
    groups: Mapping[str, Group] = field(default_factory=dict)
    jobs: Mapping[str, Job] = field(default_factory=dict)  #: not final
    attempts: Mapping[str, Attempt] = field(default_factory=dict)  #: not ended
    settled: Mapping[str, JobState] = field(default_factory=dict)
    """How jobs ended that others depend on, and, by the id of an array, how those of it did that ended."""
    epoch: int = 0  #: of this leader
    led_since_at: datetime | None = None  #: when this leader began to listen
    last_cut_at: datetime | None = None  #: when AI work was last cut for power
    raises_allowed: bool = True  #: False while the store is down or a new leader still counts old orders
    owed: Owed | None = None  #: between partners whose machines run whole; None = nothing was ever due
    stops: tuple[EmergencyStop, ...] = ()  #: not released, oldest first; their limit is among the envelopes
    released_stops: tuple[str, ...] = ()  #: ids of stops that guards still hold and a person released
    used: Used | None = None  #: what projects used; renewed once a minute, so that turns change seldom
    record: LimitRecord | None = None  #: what was seen of the limit so far
    chain: ChainFigures | None = (
        None  #: what hashing brings is reckoned from; None = nobody told, or nobody asks
    )

    spent: tuple[str, ...] = ()
    """Partners that were curtailed for as long this month as their contracts allow: shed last of their tier."""

    @property
    def margin(self) -> float:
        """The share of the limit that is kept free."""
        return self.site.margin if self.proven is None else self.proven.share

    @property
    def correction_w(self) -> float:
        """Site watts by which the model is corrected: taken off the room where above 0, given back where below.

        What stands beyond the books is excess whatever the trim makes of it, and ends every credit.
        """
        trim_w = self.trim.w if self.trim is not None else 0.0
        return max(self.unmetered_w, trim_w) if self.unmetered_w > 0 else trim_w

    @property
    def stop(self) -> EmergencyStop | None:
        """The emergency stop under which the site is, None if it is under none."""
        return self.stops[0] if self.stops else None

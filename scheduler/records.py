"""What the loop reads from and writes to the store: values between `reconcile` and the `Store` port."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from scheduler.core.altered import swift
from scheduler.core.counterfactual import Counterfactual
from scheduler.core.credit import Owed
from scheduler.core.dispatch import Answer, Instruction
from scheduler.core.envelope import Envelope
from scheduler.core.estop import EmergencyStop
from scheduler.core.faults import Faulted
from scheduler.core.forecast import LimitRecord
from scheduler.core.grants import Grant
from scheduler.core.interval import Running
from scheduler.core.inventory import Inventory
from scheduler.core.jobs import Attempt, Desired, Job, JobState
from scheduler.core.ledger import OpenOrder
from scheduler.core.orders import GroupSpec, MinerWishes
from scheduler.core.power_events import PowerEvent
from scheduler.core.projects import Used
from scheduler.core.reasons import Event, Reason
from scheduler.core.settlement import Closed, Measured
from scheduler.core.snapshot import Quality
from scheduler.core.so_far import Hours
from scheduler.core.trim import Trimmed

__all__ = ["CheckpointNote", "Intents", "Member", "PowerSample", "Stored", "TickRecord"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A node on another machine, or miners whose guard is there, that joined the site, as was agreed on."""

    spec: GroupSpec
    leaving: bool = False  #: no new work goes there


GroupWishes = Mapping[str, MinerWishes]
"""What people want of machines, by group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptInventory:
    """The newest inventory of a miner group: whose it is, and when it was so."""

    at: datetime
    partner: str
    inventory: Inventory


INVENTORY = "inventory:"
"""Before the name of a miner group: key of the document that holds its newest inventory."""
FAULTED = "faulted-nodes"
"""Key of the document that holds on which nodes starts failed of late."""
LIMIT_RECORD = "limit-record"
"""Key of the document that holds what was seen of the limit."""
LIMITS_TOLD = "limits-told"
"""Key of the document that holds what each source of the limit told last."""

SETTLING = "settling"
"""Key of the document that holds the running interval of settlement."""
MEASURED = "settling-measured"
"""Key of the document that holds intervals of settlement that are over and wait for their prices."""
QUARANTINED = "checkpoint.quarantined"
"""Kind of the event that tells of a damaged checkpoint; its data say which, as its note does."""
TRIM = "trim"
"""Key of the document that holds what the meter taught of the model's error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """All that a new leader starts from."""

    jobs: tuple[Job, ...]  #: not final
    attempts: tuple[Attempt, ...]  #: not ended
    settled: Mapping[str, JobState]  #: final states of jobs that others depend on
    open_orders: Mapping[str, tuple[OpenOrder, ...]]  #: per group, as recorded by earlier leaders
    limits: tuple[Envelope, ...]  #: manual limits that stand
    last_cut_at: datetime | None
    seq: int  #: of the newest intent contained in this
    members: tuple[Member, ...] = ()
    stops: tuple[EmergencyStop, ...] = ()  #: emergency stops that nobody released
    released_stops: frozenset[str] = frozenset()  #: ids of all that were
    used: Used | None = None  #: what projects used, as last recorded
    record: LimitRecord | None = None  #: what earlier leaders saw of the limit
    owed: Owed | None = None  #: between mining partners
    told: tuple[Envelope, ...] = ()  #: what each source of the limit told last
    instructions: tuple[Instruction, ...] = ()  #: that are not over
    last_instruction: int = 0  #: the highest number that any has
    trim: Trimmed | None = None  #: what the meter taught earlier leaders of the model's error
    power_events: tuple[PowerEvent, ...] = ()  #: that are not final
    miner_wishes: GroupWishes = field(default_factory=dict)  #: of people, of machines that mine
    settling: Running | None = None  #: the interval of settlement that was not over
    measured: tuple[Measured, ...] = ()  #: those that waited for their prices
    hours: Hours | None = None  #: for how long partners were curtailed in the month
    faulted: Mapping[str, Faulted] = field(default_factory=dict)  #: nodes on which starts failed of late


@dataclass(frozen=True, slots=True, kw_only=True)
class Intents:
    """What people did since: new jobs, wishes for old ones; the limits and stops that stand now (None = unchanged)."""

    seq: int
    jobs: tuple[Job, ...] = ()
    desired: Mapping[str, Desired] = field(default_factory=dict)
    limits: tuple[Envelope, ...] | None = None
    settled: Mapping[str, JobState] = field(default_factory=dict)  #: of the new jobs' dependencies
    members: tuple[Member, ...] | None = None  #: all that joined the site; None = unchanged
    stops: tuple[EmergencyStop, ...] | None = None
    released_stops: frozenset[str] = (
        frozenset()
    )  #: ids of all that were ever released, where `stops` is given
    answers: Mapping[str, Answer] = field(default_factory=dict)
    """What people said to dispatch instructions that are not over, by id; of all, where any is new."""
    miner_wishes: GroupWishes | None = None  #: all that stand; None = unchanged


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Something that a job's webhook is to be told."""

    id: str
    job_id: str
    event: str
    url: str
    secret: str = field(repr=False)
    body: str
    created_at: datetime
    tries: int  #: before this one


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What became of one try. `next_at` None = no other one."""

    at: datetime
    is_delivered: bool
    status: int | None = None
    error: str = ""
    next_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerSample:
    """One second of the site, W at the site meter."""

    at: datetime
    limit_w: float
    limit_source: str
    draw_w: float  #: measured
    ai_w: float  #: GPUs that run work, with overhead
    rest_w: float  #: node bases, idle and held GPUs, overhead, auxiliary
    miners_w: float
    committed_w: float  #: sum of exposures: what could be drawn at most
    over_limit: bool  #: over the limit outside the reaction time
    firm_w: float = 0.0
    quality: Quality | None = None  #: of the reading, None = there was none
    allowed: Grant | None = None  #: what the draw was judged by, None = that was not noted


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointNote:
    """A checkpoint that was verified, or found damaged."""

    job_id: str
    attempt_id: str
    step: int
    path: str
    at: datetime
    damaged: str = ""  #: why, empty = verified


@swift
@dataclass(frozen=True, slots=True, kw_only=True)
class TickRecord:
    """One tick, written in one transaction: deltas only."""

    at: datetime
    epoch: int
    jobs: tuple[Job, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    reasons: Mapping[str, Reason | None] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    orders: Mapping[str, OpenOrder] = field(default_factory=dict)  #: about to be sent, by group
    checkpoints: tuple[CheckpointNote, ...] = ()
    instructions: tuple[Instruction, ...] = ()  #: new or changed
    counterfactuals: tuple[
        Counterfactual, ...
    ] = ()  #: of falls of the limit, each told in the log with its hash
    power_events: tuple[PowerEvent, ...] = ()  #: that changed; keyed by began_at
    intervals: tuple[Closed, ...] = ()  #: of settlement, that are over
    sample: PowerSample | None = None
    last_cut_at: datetime | None = None
    owed: Owed | None = None  #: between mining partners, None = as before
    stops: tuple[
        EmergencyStop, ...
    ] = ()  #: that stand and may not be stored yet: guards may have told of them
    snapshot_json: bytes | None = None  #: when the decision changed something, and periodically
    decision_json: bytes | None = None
    used: Used | None = None  #: what projects used, where it was renewed
    current: Mapping[str, str] = field(default_factory=dict)
    """JSON documents by key: "power" and "nodes" for the API; `LIMIT_RECORD`, `LIMITS_TOLD`, `TRIM`, `SETTLING`,
    `MEASURED` and `FAULTED` for who is next."""

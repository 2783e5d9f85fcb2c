"""What travels between the scheduler and a guard: orders down, reports up.

An `Order` is the whole desired state of one device group (a node or a miner group), numbered and fenced by the leader's
epoch; a guard that missed ten needs only the eleventh. A `GuardReport` is the whole observed state. Both carry a
protocol version. All `*_boottime_s` are seconds of the *guard's* CLOCK_BOOTTIME.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from scheduler.core.altered import swift
from scheduler.core.estop import EmergencyStop
from scheduler.core.inventory import Wish
from scheduler.core.jobs import Launch, Phase
from scheduler.core.machines import MachineKind, Trim
from scheduler.core.power import GpuModel, PowerLimits, gpu_model

PROTOCOL = 1


class GroupKind(StrEnum):
    """What a guard looks after."""

    NODE = "node"
    MINERS = "miners"


class NodePower(StrEnum):
    """Whether a node's host is on."""

    ON = "on"
    BOOTING = "booting"  #: draws its base, takes no work
    STANDBY = "standby"  #: off but for what wakes it


class Observed(StrEnum):
    """What a guard sees of an attempt."""

    ABSENT = "absent"  #: never started here
    STARTING = "starting"
    RUNNING = "running"
    SUSPENDED = "suspended"  #: confirmed: processes hold, or are frozen
    SAVING = "saving"
    ENDED = "ended"  #: no process of it is left


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Fence:
    """Orders are accepted only in rising (epoch, seq)."""

    epoch: int
    seq: int


NO_FENCE = Fence(epoch=0, seq=0)

MinerWishes = tuple[tuple[str, Wish], ...]
"""What people want of single machines of a miner group, by miner id, sorted; who is not named inherits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rank:
    """What one node's member of a gang needs to find the others (torchrun's variables)."""

    node_rank: int = 0
    nodes: int = 1
    master_addr: str = "127.0.0.1"
    master_port: int = 0


@swift
@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptOrder:
    """The desired state of one attempt on one node."""

    attempt_id: str
    job_id: str
    number: int
    phase: Phase
    gpu_ids: tuple[str, ...]
    cap_w: float  #: per GPU while it runs; the guard caps at the minimum in every other phase
    tier: int
    priority: int = 0
    reason: str = ""  #: told to the job in pause.json
    launch: Launch
    resume_from: str = ""  #: verified commit, or empty
    rank: Rank = Rank()
    save_every_s: float | None = None  #: of computing between two saves; None = as its launch says


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackStep:
    """From `after_s` past the expiry on, the group may draw at most `limit_w`."""

    after_s: float
    limit_w: float


@swift
@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The whole desired state of one device group, valid until `expires_boottime_s` of the guard's clock."""

    protocol: int = PROTOCOL
    group_id: str
    boot_id: str  #: of the guard's host; an order for an earlier boot is refused
    fence: Fence
    expires_boottime_s: float
    entitlement_w: float  #: watts the group may draw while this order stands (before site overhead)
    fallback: tuple[FallbackStep, ...]  #: non-increasing
    attempts: tuple[AttemptOrder, ...] = ()
    miners_target_w: float = (
        0.0  #: what miners may draw above their rest, and a node's filler above that of its GPUs
    )
    stop: EmergencyStop | None = None  #: to be latched by a guard that is not latched yet
    released_stop: str = ""  #: id of the guard's own latch, once a person released it
    standby: bool = False  #: go to standby once nothing is left on it, or stay there; False = be on
    miner_wishes: MinerWishes = ()


@swift
@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An order without its number: the shell adds fence, boot id and the guard's clock."""

    group_id: str
    entitlement_w: float
    fallback: tuple[FallbackStep, ...]
    attempts: tuple[AttemptOrder, ...]
    miners_target_w: float
    expires_at: datetime
    stop: EmergencyStop | None = None
    released_stop: str = ""
    standby: bool = False
    miner_wishes: MinerWishes = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuSensors:
    """What else a real GPU tells of itself; None where it does not."""

    energy_wh: float | None = None  #: since its driver was loaded
    temperature_c: float | None = None
    sm_clock_mhz: float | None = None
    memory_clock_mhz: float | None = None
    memory_used_bytes: int | None = None  #: by its compute processes
    pids: tuple[int, ...] = ()  #: of its compute processes


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuReading:
    """One GPU as read back. `cap_w` is the *enforced* cap."""

    gpu_id: str
    draw_w: float
    cap_w: float
    processes: int  #: compute processes on it
    lost: bool = False  #: it does not answer: busy, at its last enforced cap, for all that is known
    sensors: GpuSensors | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MinerReading:
    """One miner as read back; watts are those above its rest.

    Machines of a mixed group tell their own limits; None = as the kind of their group says.
    """

    miner_id: str
    target_w: float
    draw_w: float
    switched_boottime_s: float | None = None  #: when it was last told to run or to sleep; None = not known
    joule_per_th: float = 0.0  #: as measured; 0 = not known
    max_w: int | None = None  #: at full work
    least_w: int | None = None  #: the lowest that it can be trimmed to; None = it cannot, or as its kind
    trim: Trim | None = None  #: how finely; None = as its kind
    obeys: bool = True  #: it may be counted on to do what it is told; else it is told to sleep
    is_worn: bool = False  #: it was cycled as often as it may be today: only an emergency switches it
    wish: Wish = Wish.INHERIT  #: as ordered


@swift
@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFacts:
    """What the supervisor of one attempt saw on one node. Facts, not judgements: core judges whole gangs."""

    attempt_id: str
    observed: Observed
    step: int | None = None  #: the job's claim of completed steps
    committed_step: int | None = None  #: step of the newest commit that *verified*
    committed_path: str | None = None
    resumed_step: int | None = None  #: step of the commit this attempt started from, 0 = from the start
    save_s: float | None = None  #: the job's claim of its last commit's seconds
    quarantined: tuple[str, ...] = ()  #: checkpoints found damaged, with why
    pause_seq: int = 0  #: last pause request that the supervisor wrote; 0 = never asked
    asked_to_exit: bool = False  #: save_and_exit was asked for before it ended
    says_done: bool = False  #: status.json says done
    killed: bool = False  #: we killed it (deadline or order)
    exit_code: int | None = None
    signal: int | None = None
    oom_killed: bool = False
    launch_error: str | None = None
    doing: str = ""  #: what is being done before the job can start, in words
    outputs_error: str | None = None  #: why not all outputs were copied to where they should be

    def does_as(self, last: AttemptFacts) -> bool:
        """Whether it is the attempt of earlier facts and does what that did, however far it has come."""
        return self is last or (self.observed is last.observed and self.attempt_id == last.attempt_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuSlot:
    """A GPU that a node offers."""

    gpu_id: str
    model: str  #: key of `scheduler.core.power.GPU_MODELS`, or what the device calls itself
    limits: PowerLimits | None = None  #: of a real device

    @property
    def power(self) -> GpuModel:
        """Its power model. Raises KeyError for an unknown model without limits."""
        return gpu_model(self.model, self.limits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standby:
    """What a node that can be put to standby draws there, and how long it takes to go and to come back."""

    draw_w: float
    down_s: float
    boot_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """That the guard of a group is not on the site's head: on which machine, and by what it was told."""

    machine: str  #: as the site file names it
    told: str = ""  #: digest of what the site file says of the group


@dataclass(frozen=True, slots=True, kw_only=True)
class FillerKind:
    """A program that mines on a node's GPUs while nobody else has them, and what it may make of one."""

    name: str
    partner: str = ""  #: whose it is; empty = the site's own
    gpu_ids: tuple[str, ...] = ()  #: on which it may run; none = on all
    least_cap_w: float = 0.0  #: below such a cap a GPU is not worth it
    most_cap_w: float | None = None  #: None = as much as the GPU takes
    told: str = ""  #: digest of how it is run, as the site file had it


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSpec:
    """How a group describes itself. Nodes have GPUs, miner groups have miners."""

    group_id: str
    kind: GroupKind
    base_w: float  #: node: everything but its GPUs; miner group: controllers and fans at rest
    gpus: tuple[GpuSlot, ...] = ()
    miners_max_w: float = 0.0  #: nameplate sum of the group's miners
    machine: MachineKind | None = None  #: of miners that sleep and wake whole; None = they take any watt
    address: str = "127.0.0.1"
    simulated: bool = False
    standby: Standby | None = None  #: None = it cannot be put to standby
    topology: tuple[tuple[str, str], ...] = ()  #: where a node is in the network: level, name
    elsewhere: Elsewhere | None = None  #: of miners: the machine that guards them; None = the head
    filler: FillerKind | None = None  #: what may run on GPUs of a node that nobody else has; None = nothing


@swift
@dataclass(frozen=True, slots=True, kw_only=True)
class GuardReport:
    """The whole observed state of a group. `version` rises with each change of substance."""

    protocol: int = PROTOCOL
    spec: GroupSpec
    boot_id: str
    boottime_s: float
    version: int
    accepted: Fence  #: the order now accepted
    expires_boottime_s: float  #: of the accepted order
    entitlement_w: float  #: of the accepted order (before its expiry)
    fallback: tuple[FallbackStep, ...]
    in_fallback: bool
    draw_w: float  #: measured, whole group
    gpus: tuple[GpuReading, ...] = ()
    miners: tuple[MinerReading, ...] = ()
    attempts: tuple[AttemptFacts, ...] = ()
    alarms: tuple[str, ...] = ()
    storage: str = ""  #: id of the place where its jobs keep their checkpoints; empty = not known
    stop: EmergencyStop | None = None  #: latched: the guard lives by its fallback, whatever is ordered
    power: NodePower = NodePower.ON
    inventory_version: int = 0  #: of the miner group's inventory, to be fetched where it is new; 0 = has none
    guessed_w: float = 0.0  #: of `draw_w`, what nobody read: machines that are lost count at their nameplate

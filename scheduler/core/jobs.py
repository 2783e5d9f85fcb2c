"""The vocabulary of work: jobs, their attempts, and where an attempt sits.

A *job* keeps its id for life. An *attempt* is one placement of it on one or more nodes.
What people want (`Desired`) is stored apart from what is (`JobState`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class JobState(StrEnum):
    """Where a job stands. The last three are final."""

    PENDING = "PENDING"  #: waiting to start; includes retry back-off
    STARTING = "STARTING"  #: placed, processes coming up
    RUNNING = "RUNNING"  #: at least one step is possible
    SUSPENDED = "SUSPENDED"  #: stopped at a step boundary, GPUs kept: watts are gone, memory is not
    PREEMPTING = "PREEMPTING"  #: saving, on the way to PAUSED
    PAUSED = "PAUSED"  #: GPUs released; resumes by itself from the last verified commit
    HELD = "HELD"  #: a person stopped it; only a person releases it
    CANCELLING = "CANCELLING"  #: a person cancelled it; its processes are being ended
    CANCELLED = "CANCELLED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


FINAL_STATES = frozenset({JobState.CANCELLED, JobState.SUCCEEDED, JobState.FAILED})
WAITING_STATES = frozenset({JobState.PENDING, JobState.PAUSED})


class Desired(StrEnum):
    """What people want of a job."""

    RUN = "RUN"
    HOLD = "HOLD"
    CANCEL = "CANCEL"


class AttemptState(StrEnum):
    """Where one placement of a job stands."""

    ALLOCATED = "ALLOCATED"  #: GPUs claimed, no process yet
    STARTING = "STARTING"  #: processes coming up
    RUNNING = "RUNNING"
    SUSPENDED = "SUSPENDED"
    PARKED = "PARKED"  #: GPU memory released, process alive
    SAVING = "SAVING"  #: asked to save and exit, not gone yet
    ENDED = "ENDED"


class Phase(StrEnum):
    """What a guard is told to make of an attempt."""

    RUN = "run"
    SUSPEND = "suspend"  #: hold at the step boundary, keep the GPUs, cap them at the minimum
    SAVE_EXIT = "save_exit"  #: save a verified checkpoint, exit, release the GPUs; killed at its deadline
    KILL = "kill"  #: end it now (cancelled, or rolled back)

    __hash__ = str.__hash__  # that of an enum is a call, and each round asks for it very often


class Outcome(StrEnum):
    """How an attempt ended."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    PREEMPTED = "PREEMPTED"
    CANCELLED = "CANCELLED"
    LOST = "LOST"


class Kind(StrEnum):
    """What sort of work a job is."""

    TRAINING = "training"
    BATCH = "batch"
    SERVICE = "service"
    MINING = "mining"


class FailureCause(StrEnum):
    """Why an attempt or job failed."""

    APP_ERROR = "AppError"
    OUT_OF_MEMORY = "OutOfMemory"
    TIME_LIMIT = "TimeLimit"
    DEADLINE_MISSED = "DeadlineMissed"
    NODE_LOST = "NodeLost"
    NODE_FAULT = "NodeFault"  #: a node could not start it, for no fault of the job. Spends no retry
    LAUNCH_FAILED = "LaunchFailed"
    CHECKPOINT_FAILED = "CheckpointFailed"
    RETRY_LIMIT = "RetryLimit"


class PauseCause(StrEnum):
    """Why an attempt was suspended or preempted. Never spends the retry budget."""

    POWER_WITHDRAWN = "PowerWithdrawn"
    POWER_FORECAST = "PowerForecast"
    HIGHER_PRIORITY = "HigherPriority"
    FAIR_SHARE_RECLAIM = "FairShareReclaim"
    GROWTH = "Growth"  #: an elastic gang goes on with more nodes
    MAINTENANCE = "Maintenance"
    OPERATOR = "Operator"
    EMERGENCY_STOP = "EmergencyStop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """The Python that a job finds first in its PATH; nothing said = the one that the site runs on."""

    requirements: str = ""  #: file in the working directory
    python: str = ""  #: absolute path on the node
    inherit: bool = False  #: the environment also sees what the site's Python has


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How to start the job's process on a node: what the supervisor needs, and no more."""

    command: tuple[str, ...]  #: argv; a shell entrypoint is ("/bin/sh", "-c", text)
    working_dir: str
    env: tuple[tuple[str, str], ...] = ()
    checkpoint_dir: str  #: the same path on every attempt
    output_dir: str
    log_path: str  #: stdout and stderr of all attempts, rotated
    checkpoint_interval_s: float = 300.0
    checkpoint_auto: bool = False  #: Barq may have it save more or less often than that
    keep: int = 2  #: verified checkpoints kept
    grace_s: float = 30.0  #: between a request to save and exit, and the kill
    package: str = ""  #: hash of an uploaded working directory, of which each attempt gets a copy
    runtime: Runtime = Runtime()
    inputs: tuple[tuple[str, str], ...] = ()  #: path in the working directory, URL that is fetched to it
    outputs: tuple[tuple[str, str], ...] = ()  #: path in the output folder, URL that it is copied to

    @property
    def needs_preparation(self) -> bool:
        """Whether there is something to do on the node before the command can start."""
        return bool(self.package or self.inputs) or self.runtime != Runtime()


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayPlace:
    """A job's place in the array that it was submitted with."""

    id: str  #: of the array; no job has it
    index: int  #: what this job is told to work on
    count: int  #: jobs of the array
    most: int | None = None  #: of them that may hold GPUs at once; None = any number


@dataclass(frozen=True, slots=True, kw_only=True)
class TopologyRequest:
    """That an attempt be within one part of a level of the site's topology, such as one rack."""

    level: str
    is_required: bool  #: or it waits; else it is in as few as there are


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """What was asked for, as far as decisions need it. A larger `priority` is sooner."""

    name: str
    launch: Launch
    gpus: int = 1  #: per node
    nodes: int = 1  #: of a gang; of an elastic one the least
    max_nodes: int | None = (
        None  #: of an elastic gang; each attempt takes what fits, and no fewer than `nodes`
    )
    last_gpus: int | None = None  #: on the last node, where that needs fewer than the others
    scatter: bool = False  #: any GPUs of any nodes will do, if they cannot be had as said
    gpu_type: str | None = None
    node: str | None = None  #: the one that it must be on
    topology: TopologyRequest | None = None
    priority: int = 0
    kind: Kind = Kind.TRAINING
    flex: int = 4  #: tier 0 (firm) .. 4 (may be paused at will)
    cap_ok: bool = True
    min_cap_w: float | None = None  #: per GPU; never capped below this while running
    max_failures: int = 0
    backoff_s: float = 1.0  #: doubles with each failure
    begin_at: datetime | None = None
    time_limit_s: float | None = None
    deadline_at: datetime | None = None  #: to be done by then; once it has passed the job goes on
    estimate_s: float | None = None  #: of work at full speed, as the user guesses
    dependencies: tuple[
        str, ...
    ] = ()  #: ids of jobs that must have SUCCEEDED, and of arrays of which all must
    array: ArrayPlace | None = None
    project: str = "default"
    queue: str = "default"

    @property
    def total_gpus(self) -> int:
        """GPUs over all nodes; of an elastic gang the fewest that it can start with."""
        return self.gpus * self.nodes - (0 if self.last_gpus is None else self.gpus - self.last_gpus)

    @property
    def most_nodes(self) -> int:
        """The most nodes that an attempt may take."""
        return self.nodes if self.max_nodes is None else self.max_nodes


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitRef:
    """A checkpoint that was verified against its manifest."""

    path: str
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job as the scheduler knows it."""

    id: str  #: prefixed with the site, e.g. "demo-12"
    number: int  #: order of submission
    spec: JobSpec
    submitted_at: datetime
    state: JobState
    since_at: datetime  #: when `state` was entered
    desired: Desired = Desired.RUN
    attempts: int = 0  #: how many were made
    failures: int = 0  #: attempts that spent the retry budget
    not_before_at: datetime | None = None  #: end of the retry back-off
    last_commit: CommitRef | None = None
    save_s: float | None = None  #: measured seconds of the last commit
    ran_s: float = 0.0  #: over ended attempts, for the time limit
    cut_at: datetime | None = None  #: when an attempt that has ended last gave way for want of power
    missed_at: datetime | None = None  #: when it was told that its deadline had passed
    storage: str = ""  #: id of the place where its checkpoints are; empty = not known, or none yet
    pinned_to: tuple[str, ...] = ()  #: nodes that can read its checkpoints, as last known; empty = all


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The GPUs of one node that an attempt holds."""

    node_id: str
    gpu_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One placement of a job. All its members live and end together. `phase` is ordered, `state` is observed."""

    id: str  #: "<job id>.<number>"
    job_id: str
    number: int
    state: AttemptState
    phase: Phase = Phase.RUN
    since_at: datetime  #: when `phase` was last changed
    placements: tuple[Placement, ...]
    cap_w: float  #: per GPU, as last decided
    resume_from: CommitRef | None = None
    created_at: datetime
    running_at: datetime | None = None
    pause_cause: PauseCause | None = None  #: set while suspended or saving
    outcome: Outcome | None = None
    cause: FailureCause | PauseCause | None = None
    ended_at: datetime | None = None
    last_step: int | None = None  #: the job's claim of completed steps
    resumed_step: int | None = None  #: where it started from, 0 = from the start
    cut_at: datetime | None = None  #: when it last gave way for want of power

    @property
    def gpu_count(self) -> int:
        """GPUs held over all nodes."""
        placements = self.placements
        if len(placements) == 1:
            return len(placements[0].gpu_ids)
        return sum(len(p.gpu_ids) for p in placements)

"""Why a job waits, is paused, or failed: a typed code with numbers that renders to one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Code(StrEnum):
    """Reasons for waiting, in order of precedence: the first that matches is shown."""

    HELD = "Held"
    MISCONFIGURED = "Misconfigured"
    NEVER_FITS = "NeverFits"
    BEGIN_TIME = "BeginTime"
    DEPENDENCY = "Dependency"
    QUEUE_STOPPED = "QueueStopped"
    QUOTA_EXCEEDED = "QuotaExceeded"
    EMERGENCY_STOP = "EmergencyStop"
    POWER_UNAVAILABLE = "PowerUnavailable"
    POWER_RAMP_LIMITED = "PowerRampLimited"
    WINDOW_TOO_SHORT = "WindowTooShort"
    NODE_BOOTING = "NodeBooting"
    TOPOLOGY_FRAGMENTED = "TopologyFragmented"
    WAITING_FOR_RESOURCES = "WaitingForResources"
    WAITING_FOR_PREEMPTED_JOBS = "WaitingForPreemptedJobs"
    CHECKPOINT_PENDING = "CheckpointPending"
    LOWER_PRIORITY = "LowerPriority"
    RETRY_BACKOFF = "RetryBackoff"
    PENDING_EVALUATION = "PendingEvaluation"
    PREPARING = "Preparing"  #: placed, and what it brings along is made ready
    CAPPED = "Capped"  #: it runs, slower than it could


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One reason: a stable code, one sentence, and the numbers in it (base units)."""

    code: str  #: a `Code`, `FailureCause` or `PauseCause` value
    text: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    expected_at: datetime | None = None  #: when it may change, where that is known
    remedy: str = ""  #: what would change it


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened, for the append-only log."""

    at: datetime
    kind: str  #: stable machine name, e.g. "job.paused", "limit.changed", "checkpoint.quarantined"
    text: str  #: one sentence for people
    job_id: str | None = None
    attempt_id: str | None = None
    data: Mapping[str, str | float | int | bool | None] = field(default_factory=dict)

"""Why a job waits, is paused, or failed: a typed code with numbers that renders to one sentence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, overload

JOB_FAILED: Final = "job.failed"
"""The kind of an event whose data say of what cause, and why in words."""


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


class Events(Sequence[Event]):
    """Events in order. Those that are told of many at once are spelled out when somebody reads them, and not before."""

    def __init__(self) -> None:
        self._told: list[Event] = []
        self._untold: list[Iterable[Event]] = []  #: after those

    def append(self, event: Event) -> None:
        """Tell of one more."""
        self._untold.append((event,))

    def extend(self, events: Iterable[Event]) -> None:
        """Tell of more, made of nothing that changes."""
        self._untold.append(events)

    def _all(self) -> list[Event]:
        for events in self._untold:
            self._told.extend(events)
        self._untold.clear()
        return self._told

    def __len__(self) -> int:
        return len(self._all())

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> list[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | list[Event]:
        return self._all()[index]

    def __iter__(self) -> Iterator[Event]:
        return iter(self._all())

    def __eq__(self, other: object) -> bool:
        """Equal to any sequence of the same events."""
        return isinstance(other, Sequence) and self._all() == list(other)

    __hash__ = None  # type: ignore[assignment]  # it grows

    def __repr__(self) -> str:
        return repr(self._all())

"""What the store shows: plain values, so that nobody outside sees a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from scheduler.core.jobs import (
    Attempt,
    CommitRef,
    Desired,
    JobSpec,
    JobState,
    Placement,
)
from scheduler.core.power_events import PowerEvent
from scheduler.core.reasons import Reason
from scheduler.store.tables import SITE_USER


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyTarget:
    """Whom to tell of a job, and of what: pause, resume, end."""

    url: str
    events: tuple[str, ...]
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationView:
    """Something that a job's webhook was told, or is to be told."""

    id: str
    event: str
    created_at: datetime
    tries: int
    delivered_at: datetime | None
    next_at: datetime | None  #: None = delivered, or given up
    status: int | None
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job to be submitted. `build` is called once, inside the transaction, with the id that the job got.

    Jobs of an array are submitted one after the other, and the number of the first is in their ids: "<site>-<n>_<i>".
    """

    request: Mapping[str, Any]  #: the job file as submitted; kept as it is
    build: Callable[[str], JobSpec]
    owner: str = SITE_USER  #: who submits it
    notify: NotifyTarget | None = None
    index: int | None = None  #: in its array; None = it is in none
    before: int = 0  #: jobs of the same array that come before it


@dataclass(frozen=True, slots=True, kw_only=True)
class JobView:
    """One job and where it runs."""

    id: str
    number: int
    owner: str  #: who submitted it
    state: JobState
    desired: Desired
    reason: Reason | None  #: why it waits, is paused or failed
    attempt: str | None  #: id of the attempt that goes on
    placements: tuple[Placement, ...]  #: of that attempt
    attempts: int
    failures: int
    step: int | None  #: completed steps, by the newest attempt's word
    last_commit: CommitRef | None
    lost_steps: int
    energy_wh: float | None  #: None = not known
    submitted_at: datetime
    since_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    spec: JobSpec
    request: Mapping[str, Any]  #: the job file as submitted
    is_shadow: bool = False  #: it never runs, only a twin of it does


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """Some jobs, newest first. `next` is where to go on, None at the end."""

    jobs: tuple[JobView, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayView:
    """Jobs that were submitted as one array, by state."""

    id: str
    name: str  #: without an index
    owner: str
    count: int
    most: int | None  #: that may hold GPUs at once
    submitted_at: datetime
    jobs: Mapping[JobState, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptView:
    """One attempt and what it cost."""

    attempt: Attempt
    lost_steps: int  #: completed, and done again by the next attempt


class CheckpointState(StrEnum):
    """Whether a checkpoint may be resumed from."""

    VERIFIED = "verified"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointView:
    """A checkpoint of a job. A quarantined one is never resumed from."""

    step: int
    path: str
    attempt_id: str
    state: CheckpointState
    verified_at: datetime | None
    damaged_at: datetime | None
    why: str  #: it is quarantined; empty otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class EventView:
    """One line of the log."""

    seq: int
    at: datetime
    kind: str
    text: str
    job_id: str | None
    attempt_id: str | None
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitView:
    """A limit that a person set."""

    id: int
    limit_w: float
    reason: str
    by: str
    created_at: datetime
    ends_at: datetime | None  #: None = until it is released
    released_at: datetime | None
    released_by: str | None
    release_reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A JSON document that the leader keeps for the API."""

    text: str
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaderView:
    """Who leads, and when it last wrote."""

    epoch: int
    holder: str
    claimed_at: datetime | None
    ticked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionView:
    """A decision and what it was made from, as recorded."""

    at: datetime
    epoch: int
    snapshot_json: bytes | None
    decision_json: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenView:
    """Who a token belongs to, and until when."""

    name: str
    user: str
    role: str
    created_at: datetime
    expires_at: datetime | None  #: None = never
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerPoint:
    """A stretch of the power series: where it begins, and its mean watts at the site meter."""

    at: datetime
    limit_w: float
    draw_w: float
    ai_w: float
    rest_w: float
    miners_w: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerEventView:
    """One fall of the limit and what it came to."""

    number: int
    event: PowerEvent
    plan_seq: int | None  #: of the line in the log that holds the hash of its plan


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerEventPage:
    """Some power events, newest first. `next` is where to go on, None at the end."""

    events: tuple[PowerEventView, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A line of the log with all that its hash was made of. Texts are as they are stored, to the byte."""

    seq: int
    at: str
    kind: str
    text: str
    job_id: str | None
    attempt_id: str | None
    data: str
    hash: str
    hash_before: str  #: of the line before it


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanProof:
    """What the site would have drawn without a fall of the limit, and the line of the log with its hash."""

    text: str
    made_at: datetime
    falls_at: datetime
    line: LogLine | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """Energy over the time that samples cover, Wh at the site meter."""

    covered_s: float = 0.0
    over_limit_s: float = 0.0
    offered_wh: float = 0.0  #: under the limit
    drawn_wh: float = 0.0
    ai_wh: float = 0.0
    miners_wh: float = 0.0
    overhead_wh: float = 0.0  #: node bases, idle and held GPUs, cooling, auxiliary
    unused_wh: float = 0.0  #: under the limit and drawn by nobody


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How the site did since its store was made."""

    withdrawals: int  #: power events that found the draw above the new limit
    withdrawals_open: int  #: neither complied with yet nor released
    comply_p50_s: float | None  #: None = there was none
    comply_max_s: float | None
    over_limit_s: float  #: beyond the reaction time
    steps_lost: int
    checkpoints_verified: int
    checkpoints_quarantined: int
    energy: Energy
    jobs: Mapping[JobState, int] = field(default_factory=dict)

"""The tables. They are not wire models: a `table=True` class takes wrong types silently; `rows` makes them.

Conventions: times are aware UTC and end in `_at`, units are in the names, JSON documents are text made by
`scheduler.wire`, enums are stored by value. Everything here works alike on SQLite and PostgreSQL.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from sqlalchemy import Index, LargeBinary, MetaData, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from scheduler.store.columns import BIG, UtcDateTime

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}
"""How constraints are called, so that a migration can find them again on every database."""


SITE_USER = "site"
"""Who the site's own token belongs to, and whose jobs those are that nobody submitted by a token of their own."""


class Table(SQLModel):
    """Root of the tables; keeps them apart from anybody else's SQLModel classes."""

    metadata: ClassVar[MetaData] = MetaData(naming_convention=NAMES)


class SiteRow(Table, table=True):
    """The site whose jobs these are. Who writes a wish locks this row, so that intents commit in order."""

    __tablename__ = "sites"
    name: str = Field(primary_key=True)
    next_number: int = Field(default=1, sa_type=BIG)


class JobRow(Table, table=True):
    """A job: the core's `Job`, flattened, and what the API shows beside it."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_state_number", "state", "number"),
        Index("ix_jobs_project_number", "project", "number"),
        Index("ix_jobs_name_number", "name", "number"),
        Index("ix_jobs_owner_number", "owner", "number"),
        Index("ix_jobs_array_id_number", "array_id", "number"),
    )
    id: str = Field(primary_key=True)
    number: int = Field(unique=True, sa_type=BIG)
    owner: str = SITE_USER  #: who submitted it
    name: str
    project: str
    queue: str
    kind: str
    priority: int
    flex: int
    gpus: int  #: per node
    nodes: int  #: of an elastic gang the least
    array_id: str | None = None  #: of the array that it is part of
    state: str
    desired: str  #: written by people's side only
    since_at: datetime = Field(sa_type=UtcDateTime)
    submitted_at: datetime = Field(sa_type=UtcDateTime)
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  #: first RUNNING
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    not_before_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    commit_step: int | None = Field(default=None, sa_type=BIG)
    commit_path: str | None = None
    save_s: float | None = None
    ran_s: float = 0.0
    cut_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    missed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  #: its deadline
    storage: str = ""  #: id of the place where its checkpoints are
    pinned_to: str = Field(default="[]", sa_type=Text)
    failures: int = 0
    attempts: int = 0
    step: int | None = Field(default=None, sa_type=BIG)  #: of the newest attempt
    lost_steps: int = Field(default=0, sa_type=BIG)
    energy_wh: float | None = None
    spec: str = Field(sa_type=Text)  #: the core's JobSpec
    request: str = Field(sa_type=Text)  #: the job file as submitted
    reason: str | None = Field(default=None, sa_type=Text)


class AttemptRow(Table, table=True):
    """One placement of a job."""

    __tablename__ = "attempts"
    __table_args__ = (UniqueConstraint("job_id", "number"),)
    id: str = Field(primary_key=True)
    job_id: str = Field(foreign_key="jobs.id")
    number: int
    state: str = Field(index=True)
    phase: str
    since_at: datetime = Field(sa_type=UtcDateTime)
    cap_w: float
    resume_step: int | None = Field(default=None, sa_type=BIG)
    resume_path: str | None = None
    created_at: datetime = Field(sa_type=UtcDateTime)
    running_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    pause_cause: str | None = None
    outcome: str | None = None
    cause: str | None = None
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_step: int | None = Field(default=None, sa_type=BIG)
    resumed_step: int | None = Field(default=None, sa_type=BIG)
    cut_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    lost_steps: int = Field(default=0, sa_type=BIG)


class AttemptNodeRow(Table, table=True):
    """The GPUs of one node that an attempt holds; never changes."""

    __tablename__ = "attempt_nodes"
    attempt_id: str = Field(primary_key=True, foreign_key="attempts.id")
    rank: int = Field(primary_key=True)
    node_id: str = Field(index=True)
    gpu_ids: str = Field(sa_type=Text)


class CheckpointRow(Table, table=True):
    """A checkpoint that was verified, found damaged, or first one and then the other."""

    __tablename__ = "checkpoints"
    __table_args__ = (Index("ix_checkpoints_job_id_step", "job_id", "step"),)
    id: int | None = Field(default=None, primary_key=True, sa_type=BIG)
    job_id: str = Field(foreign_key="jobs.id")
    attempt_id: str
    step: int = Field(sa_type=BIG)
    path: str
    verified_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    damaged_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    why: str = ""


class EventRow(Table, table=True):
    """What happened. Append-only; `hash` covers this row and the hash of the row before it."""

    __tablename__ = "events"
    __table_args__ = (
        Index("ix_events_job_id_seq", "job_id", "seq"),
        Index("ix_events_kind_at", "kind", "at"),
    )
    seq: int = Field(primary_key=True, sa_type=BIG, sa_column_kwargs={"autoincrement": False})
    at: datetime = Field(sa_type=UtcDateTime)
    kind: str
    text: str = Field(sa_type=Text)
    job_id: str | None = None
    attempt_id: str | None = None
    data: str = Field(sa_type=Text)
    hash: str


class IntentRow(Table, table=True):
    """Something a person did, for the leader to pick up. The content is in the table it points to."""

    __tablename__ = "intents"
    __table_args__ = ({"sqlite_autoincrement": True},)  # a number is never given twice
    seq: int | None = Field(default=None, primary_key=True, sa_type=BIG)
    kind: str
    job_id: str | None = None
    at: datetime = Field(sa_type=UtcDateTime)


class MemberRow(Table, table=True):
    """A node on another machine that joined the site, beside those of the site file."""

    __tablename__ = "members"
    name: str = Field(primary_key=True)
    spec: str = Field(sa_type=Text)  #: the core's GroupSpec
    leaving: bool = False  #: no new work goes there
    joined_at: datetime = Field(sa_type=UtcDateTime)
    joined_by: str


class ManualLimitRow(Table, table=True):
    """A limit that a person set. It stands from `created_at` until it ends or is released."""

    __tablename__ = "manual_limits"
    id: int | None = Field(default=None, primary_key=True, sa_type=BIG)
    limit_w: float
    reason: str
    by: str
    created_at: datetime = Field(sa_type=UtcDateTime)
    ends_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    released_at: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)
    released_by: str | None = None
    release_reason: str | None = None


class InstructionRow(Table, table=True):
    """A dispatch instruction: the core's `Instruction`, flattened. What people said is written by their side only."""

    __tablename__ = "dispatch_instructions"
    __table_args__ = (
        Index("ix_dispatch_instructions_state_number", "state", "number"),
        Index("ix_dispatch_instructions_source_number", "source", "number"),
    )
    number: int = Field(primary_key=True, sa_type=BIG, sa_column_kwargs={"autoincrement": False})
    source: str
    giver_id: str
    provenance: str = Field(sa_type=Text)
    issued_at: datetime = Field(sa_type=UtcDateTime)
    received_at: datetime = Field(sa_type=UtcDateTime)
    starts_at: datetime = Field(sa_type=UtcDateTime)
    due_at: datetime = Field(sa_type=UtcDateTime)
    ends_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    limit_w: float | None = None
    binding: bool
    state: str
    accepted_by: str
    why: str = Field(sa_type=Text)
    complied_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    complied_w: float | None = None
    breached_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    over_s: float
    over_at: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)  #: None = it goes on
    answer: str | None = None  #: a person's
    answered_by: str | None = None
    answered_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    note: str | None = Field(default=None, sa_type=Text)


class EmergencyStopRow(Table, table=True):
    """An emergency stop. It stands from `at` until a person releases it."""

    __tablename__ = "emergency_stops"
    id: str = Field(primary_key=True)
    reason: str
    by: str
    at: datetime = Field(sa_type=UtcDateTime)
    released_at: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)
    released_by: str | None = None
    release_reason: str | None = None


class NotifyTargetRow(Table, table=True):
    """Whom to tell of a job. The secret leaves this table only to sign; the row goes when all is told."""

    __tablename__ = "notify_targets"
    job_id: str = Field(primary_key=True, foreign_key="jobs.id")
    url: str
    events: str = Field(sa_type=Text)
    secret: str = Field(repr=False)
    is_paused: bool = False  #: it was told of a pause, or would have been, and not of the end of it


class NotificationRow(Table, table=True):
    """Something to tell, written with the tick that made it so: the outbox."""

    __tablename__ = "notifications"
    id: str = Field(primary_key=True)
    job_id: str = Field(foreign_key="jobs.id", index=True)
    event: str
    body: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=UtcDateTime)
    next_at: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)  #: None = it is settled
    tries: int = 0
    delivered_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    status: int | None = None  #: of the last answer
    error: str = ""  #: of the last try


class OpenOrdersRow(Table, table=True):
    """The orders that a group may still act on, as one document."""

    __tablename__ = "open_orders"
    group_id: str = Field(primary_key=True)
    orders: str = Field(sa_type=Text)
    recorded_at: datetime = Field(sa_type=UtcDateTime)


class LeaderRow(Table, table=True):
    """The one leader, by its epoch. The migration puts the single row there."""

    __tablename__ = "leader"
    id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    epoch: int = Field(default=0, sa_type=BIG)
    holder: str = ""
    claimed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ticked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    tick_digest: str = ""  #: of the newest tick, so that a repeated one is known
    last_cut_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    owed: str = Field(
        default="", sa_type=Text
    )  #: JSON: between mining partners; empty = nothing was ever due


class DecisionRow(Table, table=True):
    """A decision with what it was made from, both as zlib-compressed JSON."""

    __tablename__ = "decisions"
    id: int | None = Field(default=None, primary_key=True, sa_type=BIG)
    at: datetime = Field(sa_type=UtcDateTime, index=True)
    epoch: int = Field(sa_type=BIG)
    snapshot: bytes | None = Field(default=None, sa_type=LargeBinary)
    decision: bytes | None = Field(default=None, sa_type=LargeBinary)


class SampleRow(Table, table=True):
    """One second of the site, W at the site meter. Kept for an hour."""

    __tablename__ = "samples"
    at: datetime = Field(primary_key=True, sa_type=UtcDateTime)
    limit_w: float
    limit_source: str
    draw_w: float
    ai_w: float
    rest_w: float
    miners_w: float
    committed_w: float
    over_limit: bool
    firm_w: float = 0.0
    quality: str | None = None  #: of the reading, None = there was none
    allowed: str | None = Field(default=None, sa_type=Text)  #: JSON: the grant that the draw was judged by


class SampleMinuteRow(Table, table=True):
    """The energy of one minute over the seconds that samples cover. Mean watts = Wh x 3600 / covered_s.

    Kept for 90 days; quarters (`scheduler.store.quarters`) are kept for ever.
    """

    __tablename__ = "sample_minutes"
    minute_at: datetime = Field(primary_key=True, sa_type=UtcDateTime)
    covered_s: float
    limit_wh: float
    draw_wh: float
    ai_wh: float
    rest_wh: float
    miners_wh: float
    committed_wh: float
    unused_wh: float  #: under the limit and drawn by nobody
    over_limit_s: float


class CurrentRow(Table, table=True):
    """A JSON document that the leader keeps up to date for the API."""

    __tablename__ = "current"
    key: str = Field(primary_key=True)
    document: str = Field(sa_type=Text)
    updated_at: datetime = Field(sa_type=UtcDateTime)


class ForecastRow(Table, table=True):
    """A forecast that was made from the history of the limit, kept until it was held against what came."""

    __tablename__ = "forecasts"
    made_at: datetime = Field(primary_key=True, sa_type=UtcDateTime)
    document: str = Field(sa_type=Text)  #: JSON: `Made`


class TokenRow(Table, table=True):
    """A bearer token, known only by its SHA-256."""

    __tablename__ = "tokens"
    hash: str = Field(primary_key=True)
    name: str = Field(unique=True)
    user_name: str = SITE_USER
    role: str
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class RevokedTokenRow(Table, table=True):
    """A token that was taken back, so that whoever still has it is told so. Its name may be given again."""

    __tablename__ = "revoked_tokens"
    hash: str = Field(primary_key=True)
    name: str
    user_name: str
    role: str
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_at: datetime = Field(sa_type=UtcDateTime)

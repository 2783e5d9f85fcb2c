"""Jobs on the wire."""

from __future__ import annotations

from datetime import datetime
from pathlib import PurePosixPath
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, FailFast, Field, field_validator

from api.wire.outlook import DEADLINE, EXPECTED_START, LACKS, DeadlineView, ExpectedStart, Lacks
from api.wire.parts import Sent, Shown, example
from barq.request import JobRequest, Notify, Text

MAX_PAGE: Final = 1000
MAX_BATCH: Final = 10_000

PLACEMENT: Final[dict[str, Any]] = {"node_id": "node-1", "gpu_ids": ["0", "1"]}
REASON: Final[dict[str, Any]] = {
    "code": "PowerUnavailable",
    "text": "needs 2.8 kW, 1.1 kW are free until 14:00",
    "numbers": {"needed_w": 2800.0, "free_w": 1100.0},
    "remedy": "",
}
JOB: Final[dict[str, Any]] = {
    "id": "demo-12",
    "owner": "ada",
    "name": "char-transformer",
    "project": "default",
    "queue": "default",
    "kind": "training",
    "priority": 10,
    "flex": 4,
    "state": "PAUSED",
    "desired": "RUN",
    "reason": REASON,
    "gpus": 2,
    "nodes": 1,
    "max_nodes": 1,
    "array_id": None,
    "array_index": None,
    "placements": [],
    "attempt": 1,
    "attempts": 1,
    "failures": 0,
    "step": 340,
    "last_commit": {"step": 340, "path": "/srv/barq/jobs/demo-12/checkpoints/step-000000340"},
    "submitted_at": "2026-03-01T12:00:00Z",
    "since_at": "2026-03-01T13:20:05Z",
    "started_at": "2026-03-01T12:00:04Z",
    "ended_at": None,
    "deadline_at": None,
    "lost_steps": 0,
    "energy_wh": 1240.5,
    "shadow": False,
    "spec": {"name": "char-transformer", "entrypoint": "python train.py", "resources": {"gpus": 2}},
}


TWIN_ONLY: Final = "The site acts nothing: its command is never started, only a twin of it runs"
EVENT: Final[dict[str, Any]] = {
    "seq": 41,
    "at": "2026-03-01T13:20:05Z",
    "kind": "job.paused",
    "text": "demo-12 paused: the limit fell to 4.0 kW",
    "data": {"limit_w": 4000},
}
ATTEMPT: Final[dict[str, Any]] = {
    "id": "demo-12.1",
    "number": 1,
    "state": "ENDED",
    "outcome": "PREEMPTED",
    "cause": "PowerWithdrawn",
    "placements": [PLACEMENT],
    "started_at": "2026-03-01T12:00:04Z",
    "ended_at": "2026-03-01T13:20:05Z",
    "resumed_step": 0,
    "last_step": 340,
    "lost_steps": 0,
}
CHECKPOINT: Final[dict[str, Any]] = {
    "step": 340,
    "path": "/srv/barq/jobs/demo-12/checkpoints/step-000000340",
    "verified_at": "2026-03-01T13:20:04Z",
    "state": "verified",
    "why": None,
}


class SubmittedJob(JobRequest):
    """One job to queue: the fields of a job file, with an absolute `working_dir`, a `package`, or neither."""

    @field_validator("working_dir")
    @classmethod
    def _is_absolute(cls, path: str | None) -> str | None:
        if path is None or PurePosixPath(path).is_absolute():
            return path
        raise ValueError("send an absolute path on the nodes, or upload the folder and send its package")

    @field_validator("upload")
    @classmethod
    def _is_sent_already(cls, upload: bool | None) -> bool | None:  # noqa: FBT001 - pydantic calls it so
        if upload:
            raise ValueError("upload the folder first and send its package, as the command line does")
        return upload

    @field_validator("notify")
    @classmethod
    def _has_its_secret(cls, notify: Notify | None) -> Notify | None:
        if notify is not None and notify.secret is None:
            raise ValueError("send the secret itself; the command line reads secret_env")
        return notify


class SubmittedJobs(Sent):
    """Several jobs to queue, all or none, in this order."""

    model_config = ConfigDict(
        json_schema_extra=example(jobs=[{"entrypoint": "python train.py --seed 1"}, {"entrypoint": "true"}])
    )

    # Fails at the first bad job: errors of all of them would take more memory than the jobs.
    jobs: Annotated[list[SubmittedJob], FailFast(), Field(min_length=1, max_length=MAX_BATCH)]

    @field_validator("jobs")
    @classmethod
    def _can_be_looked_up(cls, jobs: list[SubmittedJob]) -> list[SubmittedJob]:
        count = sum(len(job.elements.indices) if job.elements else 1 for job in jobs)
        if count > MAX_BATCH:
            raise ValueError(f"arrays counted, these are {count} jobs; send at most {MAX_BATCH} in one batch")
        named = {entry for job in jobs for entry in job.dependencies}
        if len(named) > MAX_BATCH:
            raise ValueError(f"name at most {MAX_BATCH} different dependencies in one batch; split it")
        return jobs


class JobFilter(Sent):
    """Which jobs to list."""

    model_config = ConfigDict(strict=False)  # a query is text

    state: str | None = Field(
        None, max_length=20, description="A state, or `waiting`, `active`, `finished`", examples=["waiting"]
    )
    name: Text | None = Field(None, max_length=200, description="Exactly this name")
    project: Text | None = Field(None, max_length=200, description="Exactly this project")
    owner: Text | None = Field(None, max_length=200, description="Submitted by exactly this user")
    array: Text | None = Field(None, max_length=200, description="Part of exactly this array")
    limit: int = Field(100, ge=1, le=MAX_PAGE)
    after: str | None = Field(None, max_length=200, description="`next` of the page before")


class EventQuery(Sent):
    """Which events to tell."""

    model_config = ConfigDict(strict=False)  # a query is text

    after: int | None = Field(
        None, ge=0, lt=2**63, description="Only those after this `seq`, from the oldest"
    )
    limit: int = Field(1000, ge=1, le=MAX_PAGE, description="Without `after`, the newest of them")


class LogQuery(Sent):
    """Which part of a log to read."""

    model_config = ConfigDict(strict=False)  # a query is text

    follow: bool = Field(default=False, description="Go on until the job has ended")
    tail: int | None = Field(None, ge=0, le=1_000_000, description="Only the last lines of what there is")


class Reason(Shown):
    """Why a job waits, is paused or failed. The numbers are in base units."""

    model_config = ConfigDict(json_schema_extra=example(**REASON))

    code: str = Field(description="Stable, for programs")
    text: str
    numbers: dict[str, float] = Field(default_factory=dict)
    remedy: str = Field("", description="What would change it")


class Placement(Shown):
    """The GPUs of one node that an attempt holds."""

    model_config = ConfigDict(json_schema_extra=example(**PLACEMENT))

    node_id: str
    gpu_ids: list[str]


class Commit(Shown):
    """A verified checkpoint."""

    step: int
    path: str


class JobView(Shown):
    """One job. `gpus` is per node; `placements` are those of the running attempt."""

    model_config = ConfigDict(json_schema_extra=example(**JOB))

    id: str
    owner: str = Field(description="The user who submitted it")
    name: str
    project: str
    queue: str
    kind: str
    priority: int
    flex: int
    state: str
    desired: str
    reason: Reason | None
    gpus: int
    nodes: int = Field(description="Of a gang; of an elastic one the least")
    max_nodes: int = Field(description="The most that an attempt takes")
    array_id: str | None = Field(description="The array that it is part of")
    array_index: int | None = Field(description="Its place there, as `BARQ_ARRAY_INDEX` says")
    placements: list[Placement]
    attempt: int | None = Field(description="Number of the newest attempt")
    attempts: int
    failures: int
    step: int | None
    last_commit: Commit | None
    submitted_at: datetime
    since_at: datetime = Field(description="When `state` was entered")
    started_at: datetime | None
    ended_at: datetime | None
    deadline_at: datetime | None = Field(description="To be done by then")
    lost_steps: int
    energy_wh: float | None
    shadow: bool = Field(default=False, description=TWIN_ONLY)
    spec: dict[str, Any] = Field(
        description="The job file as submitted; of others' jobs only what says nothing of what they run"
    )


class JobPage(Shown):
    """Some jobs, newest first, and where the next page begins (null = there is none)."""

    model_config = ConfigDict(json_schema_extra=example(jobs=[JOB], next="12"))

    jobs: list[JobView]
    next: str | None


class JobList(Shown):
    """The jobs that were queued, in the order in which they were sent."""

    model_config = ConfigDict(json_schema_extra=example(jobs=[JOB]))

    jobs: list[JobView]


class EventView(Shown):
    """Something that happened."""

    model_config = ConfigDict(json_schema_extra=example(**EVENT))

    seq: int
    at: datetime
    kind: str = Field(description="Stable, for programs")
    text: str
    data: dict[str, str | float | int | bool | None]


class Events(Shown):
    """What happened to a job, or on the site, oldest first."""

    model_config = ConfigDict(json_schema_extra=example(events=[EVENT]))

    events: list[EventView]


class AttemptView(Shown):
    """One placement of a job."""

    model_config = ConfigDict(json_schema_extra=example(**ATTEMPT))

    id: str
    number: int
    state: str
    outcome: str | None
    cause: str | None
    placements: list[Placement]
    started_at: datetime | None
    ended_at: datetime | None
    resumed_step: int | None
    last_step: int | None
    lost_steps: int | None


class Attempts(Shown):
    """All placements of a job, oldest first."""

    model_config = ConfigDict(json_schema_extra=example(attempts=[ATTEMPT]))

    attempts: list[AttemptView]


class CheckpointView(Shown):
    """A checkpoint that was verified, or found damaged and set aside."""

    model_config = ConfigDict(json_schema_extra=example(**CHECKPOINT))

    step: int
    path: str
    verified_at: datetime | None
    state: Literal["verified", "quarantined"]
    why: str | None


class Checkpoints(Shown):
    """The checkpoints of a job."""

    model_config = ConfigDict(json_schema_extra=example(checkpoints=[CHECKPOINT]))

    checkpoints: list[CheckpointView]


class Expected(Shown):
    """When the reason may end, as far as is known."""

    at: datetime


class Resumes(Shown):
    """From where the job goes on, and what would be lost if its power went now without notice."""

    step: int | None = Field(description="Of the newest verified checkpoint, null = from the start")
    path: str | None
    interval_s: float = Field(
        description="Between periodic checkpoints: the most that is lost without notice"
    )


class WhyView(Shown):
    """Why a job is where it is, and what would change it."""

    model_config = ConfigDict(
        json_schema_extra=example(
            job_id="demo-12",
            state="PAUSED",
            reason=REASON,
            expected={"at": "2026-03-01T14:00:00Z"},
            position=3,
            waiting=12,
            ahead_gpus=10,
            overtaken_until="2026-03-04T13:40:00Z",
            lacks=LACKS,
            expected_start=EXPECTED_START,
            deadline=DEADLINE,
            judged_on=None,
            shadow=False,
            history=["demo-12 paused: the limit fell to 4.0 kW"],
            checkpoint={"step": 340, "path": "/srv/step-000000340", "interval_s": 300.0},
        )
    )

    job_id: str
    state: str
    reason: Reason | None
    expected: Expected | None
    position: int | None = Field(
        None, description="Among those that queue, 1 = next; null = it does not queue"
    )
    waiting: int | None = Field(None, description="How many queue")
    ahead_gpus: int | None = Field(None, description="GPUs that those ahead of it ask for")
    overtaken_until: datetime | None = Field(
        None,
        description="Until then jobs that had little service go first, even later ones; null = none does",
    )
    lacks: Lacks | None = None
    expected_start: ExpectedStart | None = Field(
        None, description="Null = it does not wait, or the scheduler has not looked at it yet"
    )
    deadline: DeadlineView | None = Field(None, description="Null = it has none, or has ended")
    judged_on: str | None = Field(None, description="Quantiles of a forecast; null = nothing is foreseen")
    shadow: bool = Field(default=False, description=TWIN_ONLY)
    history: list[str] = Field(description="The latest events, oldest first")
    checkpoint: Resumes | None

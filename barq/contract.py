"""What a job process and its supervisor agree on: variables, files and exit codes. Standard library only.

The supervisor owns the control directory, which is new for each attempt, and puts `pause.json` there before
it sends any signal. The job owns the status directory and puts `status.json` there. Both files are replaced
by rename, so that a reader sees an old one or a new one, never half of one. The later `seq` wins.

Exit codes and the status file are claims: the truth is the verified commit in the checkpoint directory.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, cast

from barq.small_files import fsync_directory, open_plain_file, overwrite, write_atomically, write_in_turn
from barq.strict_json import (
    MAX_COUNT,
    ContractError,
    check_file_name,
    check_integer,
    check_seconds,
    check_text,
    choice,
    field,
    parse_object,
)

__all__ = [
    "ENV_ARRAY_COUNT",
    "ENV_ARRAY_ID",
    "ENV_ARRAY_INDEX",
    "ENV_ATTEMPT",
    "ENV_CHECKPOINT_DIR",
    "ENV_CHECKPOINT_FIRST_S",
    "ENV_CHECKPOINT_INTERVAL_S",
    "ENV_CHECKPOINT_KEEP",
    "ENV_CONTROL_DIR",
    "ENV_EXIT_PAUSED",
    "ENV_GRACE_S",
    "ENV_JOB_ID",
    "ENV_LOCAL_RANK",
    "ENV_MASTER_ADDR",
    "ENV_MASTER_PORT",
    "ENV_OUTPUT_DIR",
    "ENV_PAUSE_SIGNAL",
    "ENV_RANK",
    "ENV_RESTART_COUNT",
    "ENV_RESUME_FROM",
    "ENV_STATUS_DIR",
    "ENV_WORLD_SIZE",
    "EXIT_PAUSED",
    "MAX_FILE_BYTES",
    "PAUSE_FILE",
    "PROTOCOL_VERSION",
    "REQUEUE_CODES",
    "STATUS_FILE",
    "Action",
    "ContractError",
    "JobPhase",
    "JobStatus",
    "PauseRequest",
    "dropped_bytes",
    "dropped_file",
    "fsync_directory",
    "open_plain_file",
    "overwrite",
    "read_pause_request",
    "read_status",
    "write_atomically",
    "write_in_turn",
    "write_pause_request",
    "write_status",
]

ENV_JOB_ID: Final = "BARQ_JOB_ID"
ENV_ATTEMPT: Final = "BARQ_ATTEMPT"
ENV_ARRAY_ID: Final = "BARQ_ARRAY_ID"
ENV_ARRAY_INDEX: Final = "BARQ_ARRAY_INDEX"
ENV_ARRAY_COUNT: Final = "BARQ_ARRAY_COUNT"
ENV_RESTART_COUNT: Final = "BARQ_RESTART_COUNT"
ENV_CHECKPOINT_DIR: Final = "BARQ_CHECKPOINT_DIR"
ENV_CHECKPOINT_INTERVAL_S: Final = "BARQ_CHECKPOINT_INTERVAL_S"
ENV_CHECKPOINT_FIRST_S: Final = "BARQ_CHECKPOINT_FIRST_S"  #: that interval, once, at an attempt's start
ENV_CHECKPOINT_KEEP: Final = "BARQ_CHECKPOINT_KEEP"
ENV_RESUME_FROM: Final = "BARQ_RESUME_FROM"
ENV_CONTROL_DIR: Final = "BARQ_CONTROL_DIR"
ENV_STATUS_DIR: Final = "BARQ_STATUS_DIR"
ENV_OUTPUT_DIR: Final = "BARQ_OUTPUT_DIR"
ENV_PAUSE_SIGNAL: Final = "BARQ_PAUSE_SIGNAL"
ENV_GRACE_S: Final = "BARQ_GRACE_S"
ENV_EXIT_PAUSED: Final = "BARQ_EXIT_PAUSED"
ENV_RANK: Final = "RANK"
ENV_LOCAL_RANK: Final = "LOCAL_RANK"
ENV_WORLD_SIZE: Final = "WORLD_SIZE"
ENV_MASTER_ADDR: Final = "MASTER_ADDR"
ENV_MASTER_PORT: Final = "MASTER_PORT"

EXIT_PAUSED: Final = 85
"""Exit code of a job that saved and wants to be started again (ERESTART)."""
REQUEUE_CODES: Final = frozenset({EXIT_PAUSED, 75, 99})
"""Exit codes that say "saved, start me again" and cost no retry (75 is EX_TEMPFAIL, 99 that of SGE)."""

PAUSE_FILE: Final = "pause.json"
STATUS_FILE: Final = "status.json"
PROTOCOL_VERSION: Final = 1
MAX_FILE_BYTES: Final = 64 * 1024
_LONGEST_COUNT: Final = 20  #: digits


class Action(StrEnum):
    """What the supervisor asks of the job, done at the next step boundary by all ranks at the same step."""

    SUSPEND = "suspend"
    """Hold at the step boundary with the memory kept, until a later request."""
    RESUME = "resume"
    """Go on, if held."""
    SAVE_AND_CONTINUE = "save_and_continue"
    """Commit, then carry on as before: running if it ran, held if it was held."""
    SAVE_AND_EXIT = "save_and_exit"
    """Commit, then exit with `EXIT_PAUSED`."""


class JobPhase(StrEnum):
    """What the job says that it is doing."""

    RUNNING = "running"
    SUSPENDED = "suspended"
    SAVING = "saving"
    COMMITTED = "committed"
    EXITING = "exiting"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseRequest:
    """One request of the supervisor, numbered from 1.

    `deadline_boottime_s` is on CLOCK_BOOTTIME, None means that there is no deadline; that of a save may come nearer
    with a later request, for which there is no other signal;
    `rung` is the rung of the pause ladder (0 cap, 1 suspend, 2 park, 3 save and exit, 4 kill).
    Raises ContractError on a value out of range.
    """

    seq: int
    action: Action
    deadline_boottime_s: float | None
    reason: str
    rung: int
    version: int = PROTOCOL_VERSION

    def __post_init__(self) -> None:
        check_integer("pause request", "version", self.version, PROTOCOL_VERSION, PROTOCOL_VERSION)
        check_integer("pause request", "seq", self.seq, 1, MAX_COUNT)
        check_seconds("pause request", "deadline_boottime_s", self.deadline_boottime_s)
        check_text("pause request", "reason", self.reason)
        check_integer("pause request", "rung", self.rung, 0, 4)

    def to_json(self) -> str:
        """Return the text of `pause.json`."""
        return json.dumps(
            {
                "seq": self.seq,
                "action": self.action,
                "deadline_boottime_s": self.deadline_boottime_s,
                "reason": self.reason,
                "rung": self.rung,
                "version": self.version,
            }
        )

    @classmethod
    def from_json(cls, text: str | bytes) -> PauseRequest:
        """Return the request in `text`; unknown fields are ignored. Raises ContractError on nonsense."""
        what = "pause request"
        record = parse_object(what, text, MAX_FILE_BYTES)
        return cls(
            version=cast("int", field(what, record, "version")),
            seq=cast("int", field(what, record, "seq")),
            action=choice(what, "action", field(what, record, "action"), Action),
            deadline_boottime_s=cast("float | None", field(what, record, "deadline_boottime_s")),
            reason=cast("str", field(what, record, "reason")),
            rung=cast("int", field(what, record, "rung")),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """What the job claims: the last request it obeyed (0 = none yet), phase, steps completed, newest commit.

    `commit` is the name of a directory in the checkpoint directory; `save_s` is how long that commit took, in
    seconds; `trouble` why the last one could not be made, for people. Raises ContractError on a value out of range.
    """

    seq: int
    state: JobPhase
    step: int
    commit: str | None = None
    save_s: float | None = None
    trouble: str | None = None

    def __post_init__(self) -> None:
        check_integer("job status", "seq", self.seq, 0, MAX_COUNT)
        check_integer("job status", "step", self.step, 0, MAX_COUNT)
        if self.commit is not None:
            check_file_name("job status", "commit", self.commit)
        check_seconds("job status", "save_s", self.save_s)
        if self.trouble is not None:
            check_text("job status", "trouble", self.trouble)

    def to_json(self) -> str:
        """Return the text of `status.json`."""
        record = asdict(self)
        for name in ("save_s", "trouble"):
            if record[name] is None:
                del record[name]
        return json.dumps(record)

    @classmethod
    def from_json(cls, text: str | bytes) -> JobStatus:
        """Return the status in `text`; unknown fields are ignored. Raises ContractError on nonsense."""
        what = "job status"
        record = parse_object(what, text, MAX_FILE_BYTES)
        return cls(
            seq=cast("int", field(what, record, "seq")),
            state=choice(what, "state", field(what, record, "state"), JobPhase),
            step=cast("int", field(what, record, "step")),
            commit=cast("str | None", field(what, record, "commit")),
            save_s=cast("float | None", record.get("save_s")),
            trouble=cast("str | None", record.get("trouble")),
        )


def read_pause_request(control_dir: Path) -> PauseRequest | None:
    """Return the request that stands in `control_dir`, if any. Raises ContractError on nonsense."""
    data = _read_small_file(f"{control_dir}/{PAUSE_FILE}")
    return None if data is None else PauseRequest.from_json(data)


def write_pause_request(control_dir: Path, request: PauseRequest) -> PauseRequest:
    """Put `request` into `control_dir` unless its seq or a later one stands there; return what stands."""
    try:
        standing = read_pause_request(control_dir)
    except ContractError:
        standing = None  # whoever reads nonsense is better served by a good request
    if standing is not None and standing.seq >= request.seq:
        return standing
    write_in_turn(f"{control_dir}/{PAUSE_FILE}", request.to_json().encode())
    return request


def read_status(status_dir: Path) -> JobStatus | None:
    """Return what the job claims, None if it never claimed anything. Raises ContractError on nonsense."""
    data = _read_small_file(f"{status_dir}/{STATUS_FILE}")
    return None if data is None else JobStatus.from_json(data)


def write_status(status_dir: Path, status: JobStatus) -> None:
    """Replace `status.json` in `status_dir`; it need not survive a power cut, so nothing is flushed."""
    write_in_turn(f"{status_dir}/{STATUS_FILE}", status.to_json().encode())


def _read_small_file(path: str) -> bytes | None:
    try:
        with open_plain_file(path) as file:
            return file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        message = f"{path}: cannot be read ({error.strerror}); replace it by a plain file"
        raise ContractError(message) from error


def dropped_file(log: Path) -> Path:
    """Where the supervisors of a job add up how many bytes went from the start of its `log`, which rolls over."""
    return log.with_name(f"{log.name}.dropped")


def dropped_bytes(log: Path) -> int:
    """How many bytes went from the start of `log`; 0 also where nobody knows, or the job wrote nonsense there."""
    try:
        with open_plain_file(dropped_file(log)) as file:
            return max(0, int(file.read(_LONGEST_COUNT)))
    except (OSError, ValueError):
        return 0

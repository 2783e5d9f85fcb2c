"""Where a job process finds itself: what the supervisor told it through the environment, checked once."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from barq import contract
from barq.strict_json import MAX_COUNT, MAX_SECONDS, ContractError

LOCAL: Final = "local"
"""Name of the job and of the attempt when nobody gave one: a run by hand."""
DEFAULT_INTERVAL_S: Final = 300.0
DEFAULT_KEEP: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnvironment:
    """What one rank of one attempt was told; a directory that nobody gave is None, except for checkpoints."""

    job_id: str
    attempt: str
    checkpoint_dir: Path
    resume_from: Path | None
    control_dir: Path | None
    status_dir: Path | None
    output_dir: Path | None
    pause_signal: signal.Signals
    interval_s: float
    first_s: float  #: of the attempt until its first commit; no longer than that
    keep: int
    rank: int
    world: int

    @classmethod
    def read(cls, checkpoint_dir: Path, environ: Mapping[str, str] = os.environ) -> JobEnvironment:
        """Return what `environ` says; `checkpoint_dir` is for a run outside Barq. Raises ContractError."""
        interval_s = _seconds(environ, contract.ENV_CHECKPOINT_INTERVAL_S, DEFAULT_INTERVAL_S)
        return cls(
            job_id=environ.get(contract.ENV_JOB_ID) or LOCAL,
            attempt=environ.get(contract.ENV_ATTEMPT) or LOCAL,
            checkpoint_dir=_directory(environ, contract.ENV_CHECKPOINT_DIR) or checkpoint_dir,
            resume_from=_directory(environ, contract.ENV_RESUME_FROM),
            control_dir=_directory(environ, contract.ENV_CONTROL_DIR),
            status_dir=_directory(environ, contract.ENV_STATUS_DIR),
            output_dir=_directory(environ, contract.ENV_OUTPUT_DIR),
            pause_signal=_signal(environ, contract.ENV_PAUSE_SIGNAL),
            interval_s=interval_s,
            first_s=min(interval_s, _seconds(environ, contract.ENV_CHECKPOINT_FIRST_S, interval_s)),
            keep=_integer(environ, contract.ENV_CHECKPOINT_KEEP, DEFAULT_KEEP, low=1),
            rank=_integer(environ, contract.ENV_RANK, 0, low=0),
            world=_integer(environ, contract.ENV_WORLD_SIZE, 1, low=1),
        )

    def __post_init__(self) -> None:
        if self.rank >= self.world:
            message = f"{contract.ENV_RANK}={self.rank}: must be below {contract.ENV_WORLD_SIZE}={self.world}"
            raise ContractError(message)


def _directory(environ: Mapping[str, str], name: str) -> Path | None:
    value = environ.get(name)
    return Path(value) if value else None


def _signal(environ: Mapping[str, str], name: str) -> signal.Signals:
    value = environ.get(name) or "SIGTERM"
    try:
        return signal.Signals[value]
    except KeyError as error:
        message = f"{name}={value!r}: is not a signal; give a name like SIGTERM or SIGUSR1"
        raise ContractError(message) from error


def _seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name) or str(default)
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value <= MAX_SECONDS:
        message = f"{name}={text!r}: is not a time; give seconds, more than 0"
        raise ContractError(message)
    return value


def _integer(environ: Mapping[str, str], name: str, default: int, *, low: int) -> int:
    text = environ.get(name) or str(default)
    is_short = len(text) <= len(str(MAX_COUNT))
    if not (is_short and text.isascii() and text.isdigit() and low <= int(text) <= MAX_COUNT):
        message = f"{name}={text!r}: give a whole number, at least {low}"
        raise ContractError(message)
    return int(text)

"""What is done for an attempt beside its job: before it starts (prepare) and after it ended (collect).

Each is a process of its own, for it may take long and load much: `python -P -m workers.prepare ATTEMPT_DIR`. It
leaves word in the attempt's directory, prints to the job's log, and is suspended and killed like the job.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from barq.checkpoint import make_directory
from barq.contract import ENV_CONTROL_DIR, write_atomically
from scheduler.core.jobs import Launch
from workers.attempt_files import AttemptFiles, Launching
from workers.job_process import JobProcess
from workers.wire import WireError, decode, encode

PREPARE = "workers.prepare"
COLLECT = "workers.collect"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """Where the job runs, and what it finds first in its PATH; or why it cannot."""

    working_dir: str = ""
    path: tuple[str, ...] = ()
    virtual_env: str = ""
    error: str | None = None
    is_hosts_fault: bool = False  #: the error


PLAIN = Prepared()  #: nothing had to be made ready


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What became of the outputs."""

    error: str | None = None


def start_beside(module: str, launching: Launching, files: AttemptFiles, output: int) -> JobProcess:
    """Start `module` for this attempt, with the site's own environment. Raises OSError.

    The job's variables come to it in launch.json: none of them may decide what Python imports here.
    """
    started = JobProcess()
    started.start(
        (sys.executable, "-P", "-m", module, str(files.path)),
        working_dir="/",
        environment=os.environ | {ENV_CONTROL_DIR: str(files.control_dir), "PYTHONUNBUFFERED": "1"},
        output=output,
        nice=launching.nice,
    )
    return started


def make_directories(launch: Launch) -> None:
    """Where the job leaves what it makes. Raises OSError."""
    Path(launch.output_dir).mkdir(parents=True, exist_ok=True)
    make_directory(Path(launch.checkpoint_dir))


def check_working_dir(path: Path) -> None:
    """Raise FileNotFoundError, in words that help, if the job has no folder to run in."""
    if not path.is_dir():
        raise FileNotFoundError(
            f"working_dir = {path} is no folder on this node; write it relative in the job file, and it is sent"
        )


def tell(files: AttemptFiles, doing: str) -> None:
    """Say what is being done: in the log, and for whoever asks why the job does not start yet. Raises OSError."""
    print(f"[barq] {doing}", flush=True)  # noqa: T201 - this is the job's log
    write_atomically(files.doing_path, doing.encode(), durable=False)


def read_doing(files: AttemptFiles) -> str:
    """What is being done now, "" if nobody said."""
    try:
        return files.doing_path.read_text(encoding="utf-8")
    except OSError:
        return ""


def leave_prepared(files: AttemptFiles, prepared: Prepared) -> None:
    """Say that it is done, or cannot be. Raises OSError."""
    write_atomically(files.path / "prepared.json", encode(prepared), durable=False)


def read_prepared(files: AttemptFiles) -> Prepared:
    """What the preparer left; that it left nothing is an error."""
    try:
        return decode(Prepared, (files.path / "prepared.json").read_bytes())
    except (OSError, WireError):
        return Prepared(error="the preparation ended without a word; see the job's log")


def leave_collected(files: AttemptFiles, collected: Collected) -> None:
    """Say what became of the outputs. Raises OSError."""
    write_atomically(files.path / "collected.json", encode(collected), durable=False)


def read_collected(files: AttemptFiles) -> Collected:
    """What the collector left; that it left nothing is an error."""
    try:
        return decode(Collected, (files.path / "collected.json").read_bytes())
    except (OSError, WireError):
        return Collected(error="there was no time to collect them all")

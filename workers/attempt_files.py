"""The directory in which a guard and the supervisor of one attempt leave each other word.

    launch.json         guard, once: all that the supervisor needs
    desired.json        guard: the phase that the attempt should be in
    supervisor.pid      supervisor, once: who it is. Whoever makes it first owns the attempt, so that none starts twice
    facts.json          supervisor: what it saw
    control/ status/    the job contract: pause.json of the supervisor, status.json of the job
                        and a request that the supervisor wrote ahead (workers/ahead.py)
    supervisor.log      what the supervisor itself has to say
    prepared.json       what the preparer made ready (workers/prepared.py); doing: what it does now; collected.json

The copy of a job's working directory lies apart, in work/ beside attempts/, for its supervisor to remove: it may be
large, and a guard has no time for that.

A reader finds each file whole, as it was or as it is. The directory outlives the guard: a new one adopts what it finds.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from barq.contract import open_plain_file, overwrite, write_atomically
from scheduler.core.jobs import Phase
from scheduler.core.orders import AttemptFacts, AttemptOrder
from workers.processes import ProcessId
from workers.wire import WireError, decode, encode

MAX_FILE_BYTES = 16 * 1024 * 1024  #: of what guard and supervisor tell each other

T = TypeVar("T")


class Freshness:
    """Whether a file was replaced since the last look, without reading it.

    Times of files are coarse and numbers are used again, so that a file replaced a moment ago may look like the one
    before: what is younger than `SETTLED_S` always counts as new.
    """

    SETTLED_S = 0.05

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._seen: tuple[int, int, int] | None = None

    def is_new(self) -> bool:
        """Whether to read it (again). False if there is none."""
        try:
            found = os.lstat(self._path)
        except OSError:  # none yet; or somebody took the directory away, and there is nothing to read
            return False
        seen = (found.st_ino, found.st_mtime_ns, found.st_size)
        is_new = seen != self._seen
        is_settled = time.time() - found.st_mtime > self.SETTLED_S
        self._seen = seen if is_settled else None
        return is_new


@dataclass(frozen=True, slots=True, kw_only=True)
class Launching:
    """What a supervisor needs to start and look after one attempt."""

    order: AttemptOrder
    guard_lock: str  #: held by the guard while it lives
    orphan_s: float  #: without a guard for this long, a job above tier 0 is suspended
    suspend_patience_s: float  #: a job that does not hold by itself within this is frozen
    legacy_after_s: float = 3.0  #: a job that says nothing for this long is taken to be running
    visible_devices: str = ""  #: for CUDA_VISIBLE_DEVICES
    nice: int = 0
    interface: str = ""  #: of the network that a gang talks over

    @property
    def state_dir(self) -> Path:
        """The state directory of this node: a guard lives in `groups/<id>` below it."""
        return Path(self.guard_lock).parent.parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """What the guard wants of the attempt; a later `seq` wins. The deadline is on CLOCK_BOOTTIME."""

    seq: int
    phase: Phase
    reason: str = ""
    deadline_boottime_s: float | None = None  #: of SAVE_EXIT: killed then
    save_every_s: float | None = None  #: between two commits, at the longest; None = as the job knows


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Who supervises the attempt, in which boot of the host."""

    process: ProcessId
    boot_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FactsFile:
    """What the supervisor saw, and what a guard needs to clean up after it."""

    facts: AttemptFacts
    job: ProcessId | None = None  #: the job's first process; its session has the same number
    notes: tuple[str, ...] = ()  #: what is odd about this job, for people
    is_final: bool = False  #: nothing will change any more


@dataclass(frozen=True, slots=True)
class AttemptFiles:
    """The directory of one attempt."""

    path: Path

    @property
    def control_dir(self) -> Path:
        """Where pause.json lies."""
        return self.path / "control"

    @property
    def status_dir(self) -> Path:
        """Where the job says how it is."""
        return self.path / "status"

    @property
    def facts_path(self) -> Path:
        """What changes whenever the supervisor has news."""
        return self.path / "facts.json"

    @property
    def log_path(self) -> Path:
        """The supervisor's own words."""
        return self.path / "supervisor.log"

    @property
    def doing_path(self) -> Path:
        """What is being done before the job starts, or after it ended, in words."""
        return self.path / "doing"

    @property
    def work_dir(self) -> Path:
        """The attempt's own copy of the job's working directory, if it has a package."""
        return self.path.parent.parent / "work" / self.path.name

    def create(self, launching: Launching) -> None:
        """Make the directory. Raises OSError; creating it again is harmless."""
        self.control_dir.mkdir(parents=True, exist_ok=True)
        self.status_dir.mkdir(exist_ok=True)
        self._write("launch.json", launching)

    def read_launching(self) -> Launching | None:
        """What to launch, None if the guard died before it said so. Raises WireError, OSError."""
        return self._read(Launching, "launch.json")

    def write_instruction(self, desired: Instruction) -> None:
        """Leave word for the supervisor; the caller signals it. Raises OSError."""
        overwrite(f"{self.path}/desired.json", encode(desired))

    def read_instruction(self) -> Instruction | None:
        """The guard's newest word. Raises WireError, OSError."""
        return self._read(Instruction, "desired.json")

    def write_facts(self, facts: FactsFile) -> None:
        """Leave word for the guard; final facts have reached the disk on return. Raises OSError."""
        if facts.is_final:
            write_atomically(self.facts_path, encode(facts), durable=True)
        else:
            overwrite(f"{self.path}/facts.json", encode(facts))

    def read_facts(self) -> FactsFile | None:
        """The supervisor's newest word. Raises WireError, OSError."""
        return self._read(FactsFile, "facts.json")

    def claim(self, claim: Claim) -> bool:
        """Take the attempt for good; False if another supervisor ever had it. Raises OSError."""
        draft = self.path / f".supervisor.{claim.process.pid}"
        draft.write_bytes(encode(claim))
        try:
            os.link(draft, self._claim_path)
        except FileExistsError:
            return False
        finally:
            draft.unlink()
        return True

    def read_claim(self) -> Claim | None:
        """Who supervises, None if nobody ever did. Raises WireError, OSError."""
        return self._read(Claim, "supervisor.pid")

    @property
    def _claim_path(self) -> Path:
        return self.path / "supervisor.pid"

    def _write(self, name: str, value: object) -> None:
        write_atomically(self.path / name, encode(value), durable=False)

    def _read(self, kind: type[T], name: str) -> T | None:
        try:
            with open_plain_file(f"{self.path}/{name}") as file:  # the job could have put a pipe there
                data = file.read(MAX_FILE_BYTES + 1)
        except FileNotFoundError:
            return None
        if len(data) > MAX_FILE_BYTES:
            raise WireError(f"{name}: more than {MAX_FILE_BYTES} bytes; it is not what was written there")
        return decode(kind, data)

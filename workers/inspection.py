"""Looking through checkpoints in a child process: hashing takes long, and the supervisor has deadlines to keep."""

from __future__ import annotations

import os
import signal
import stat
from dataclasses import dataclass
from pathlib import Path

from barq.checkpoint import DamagedCheckpoint, newest_verified, verify
from workers.parenthood import die_with_parent
from workers.wire import WireError, decode, encode

SMALL_BYTES = 4_000_000  #: some milliseconds
SMALL_FILES = 16
LONGEST_LOOK_S = 3600  #: some terabytes; a job could leave a file that takes for ever to read
_CHUNK_BYTES = 65536
_NICE = 5  #: who still saves and leaves comes before who is looked through


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a look at the checkpoints found; only what verified counts."""

    step: int | None = None
    path: str | None = None
    quarantined: tuple[str, ...] = ()  #: each with what was wrong
    error: str | None = None  #: why nothing is known


class Inspection:
    """One look in progress. Read `descriptor` until `advance` says that it is over; `findings` holds then.

    Whoever reaps children buries the child.
    """

    def __init__(self, checkpoint_dir: Path, *, only: str | None = None) -> None:
        """Look for the newest verified commit, or at the one named `only`. Raises OSError if it cannot fork."""
        self.descriptor, writer = os.pipe2(os.O_CLOEXEC)
        self._received = b""
        parent = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            _report(checkpoint_dir, only, writer, parent)
        os.close(writer)

    @property
    def findings(self) -> Findings:
        """What the child found out, once it is done."""
        try:
            return decode(Findings, self._received)
        except WireError as error:
            return Findings(error=f"looking through the checkpoints ended early: {error}")

    def advance(self) -> bool:
        """Take in what the child wrote, waiting for it; True when it is done."""
        data = os.read(self.descriptor, _CHUNK_BYTES)
        self._received += data
        return not data

    def close(self) -> None:
        """Let go of the pipe. A child that has not answered yet finds nobody to answer to, and ends."""
        os.close(self.descriptor)


def look(checkpoint_dir: Path, only: str | None = None) -> Findings:
    """The newest verified commit (damaged ones on the way are quarantined), or whether `only` verifies."""
    try:
        if only is not None:
            return Findings(step=verify(checkpoint_dir / only).step, path=str(checkpoint_dir / only))
        commit, quarantined = newest_verified(checkpoint_dir)
    except DamagedCheckpoint as damage:
        return Findings(error=str(damage))
    except OSError as error:
        return Findings(error=f"{checkpoint_dir}: cannot be read: {error}")
    damaged = tuple(f"{item.name}: {item.why}" for item in quarantined)
    if commit is None:
        return Findings(quarantined=damaged)
    return Findings(step=commit.step, path=str(commit.path), quarantined=damaged)


def is_small(commit: Path) -> bool:
    """Whether a directory holds a few small plain files and nothing else, so that verifying it takes no time."""
    size = 0
    try:
        with os.scandir(commit) as entries:
            for number, entry in enumerate(entries):
                found = entry.stat(follow_symlinks=False)
                size += found.st_size
                if number >= SMALL_FILES or size > SMALL_BYTES or not stat.S_ISREG(found.st_mode):
                    return False
    except OSError:
        return False
    return True


def _report(checkpoint_dir: Path, only: str | None, writer: int, parent: int) -> None:
    """The life of the child."""
    code = 1
    try:
        for signum in (signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD, signal.SIGALRM):
            signal.signal(signum, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        signal.alarm(LONGEST_LOOK_S)
        die_with_parent(parent)
        os.nice(_NICE)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        data = encode(look(checkpoint_dir, only))
        while data:
            data = data[os.write(writer, data) :]
        code = 0
    finally:
        os._exit(code)

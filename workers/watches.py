"""What a supervisor keeps an eye on: what the job says, whether it computes, whether there is still a guard."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from barq.contract import STATUS_FILE, ContractError, JobStatus, read_status
from workers.attempt_files import Freshness
from workers.job_process import JobProcess

#: A held job polls and its helpers finish what they have begun; more CPU than this share of a core is work.
COMPUTING_SHARE = 0.1
COMPUTING_WINDOW_S = 1.0


class StatusWatch:
    """The newest sensible thing that the job said of itself. Nonsense is remembered as a complaint, no more.

    So is the trouble that a sensible job has with its commits.
    """

    def __init__(self, status_dir: Path) -> None:
        self._dir = status_dir
        self._news = Freshness(status_dir / STATUS_FILE)
        self._bell = Bell(status_dir)
        self.status: JobStatus | None = None
        self.complaint: str | None = None

    @property
    def silent_s(self) -> float | None:
        """How long nothing can be missed without a look, s; None where no bell hangs."""
        return self._bell.silent_s

    def hang_bell(self) -> None:
        """From now on have SIGIO sent to this process when the job says something new, if the kernel can."""
        self._bell.hang()

    def hear_bell(self) -> None:
        """SIGIO came."""
        self._bell.is_wound = False

    def hush_bell(self) -> None:
        """From now on nothing that the job says is waited for: it is read when somebody looks."""
        self._bell.hush()

    def look(self) -> None:
        """Read status.json if it was replaced since the last look."""
        self._bell.wind()
        if not self._news.is_new():
            return
        try:
            self.status = read_status(self._dir) or self.status
            trouble = self.status.trouble if self.status else None
            self.complaint = "".join(c if c.isprintable() else " " for c in trouble) if trouble else None
        except ContractError as error:
            self.complaint = str(error)


class Bell:
    """A signal when a name in a directory is replaced: SIGIO, once for each time it is wound (F_NOTIFY).

    It is not wound again within `EVERY_S`, so that a job that never stops talking costs little.
    """

    EVERY_S = 0.02
    LONGEST_S = 1.0  #: what is written without a rename makes no sound, and a signal may be lost

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._descriptor: int | None = None
        self._wound_at_s = float("-inf")
        self._is_hushed = False
        self.is_wound = False

    @property
    def silent_s(self) -> float | None:
        """How long one may wait for it, s; None without a bell."""
        if self._descriptor is None:
            return None
        return self.LONGEST_S if self.is_wound or self._is_hushed else self.EVERY_S

    def hang(self) -> None:
        """Begin. Where the kernel has no bells, nothing changes."""
        try:
            self._descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return
        self.wind()

    def wind(self) -> None:
        """Have it ring for what comes after this, unless it would be too often: then at a later look."""
        now_s = time.monotonic()
        is_early = now_s - self._wound_at_s < self.EVERY_S
        if self._descriptor is None or self._is_hushed or self.is_wound or is_early:
            return
        try:
            fcntl.fcntl(self._descriptor, fcntl.F_NOTIFY, fcntl.DN_RENAME)
        except OSError:
            os.close(self._descriptor)
            self._descriptor = None
            return
        self._wound_at_s, self.is_wound = now_s, True

    def hush(self) -> None:
        """Have it never ring again."""
        if self._descriptor is not None:
            fcntl.fcntl(self._descriptor, fcntl.F_NOTIFY, 0)
            self._is_hushed = True


class ComputingWatch:
    """Whether the job uses the CPU in earnest: two windows in a row, so that a last effort does not count."""

    def __init__(self, job: JobProcess) -> None:
        self._job = job
        self._since_s: float | None = None
        self._spent_s = 0.0
        self._busy_windows = 0

    def rest(self) -> None:
        """Forget what was seen: nobody asks now."""
        self._since_s = None

    def is_computing(self, now_s: float) -> bool:
        """Ask this at every look while the job should hold."""
        if self._since_s is None:
            self._since_s, self._spent_s, self._busy_windows = now_s, self._job.cpu_s(), 0
        elif now_s - self._since_s >= COMPUTING_WINDOW_S:
            spent_s = self._job.cpu_s()
            is_busy = (spent_s - self._spent_s) / (now_s - self._since_s) >= COMPUTING_SHARE
            self._busy_windows = self._busy_windows + 1 if is_busy else 0
            self._since_s, self._spent_s = now_s, spent_s
        return self._busy_windows > 1


class GuardWatch:
    """Whether any guard lives: one holds the lock as long as it does."""

    def __init__(self, lock: Path, orphan_s: float) -> None:
        self._lock = lock
        self._orphan_s = orphan_s
        self._alone_since_s: float | None = None

    def is_orphaned(self, now_s: float) -> bool:
        """Whether at each look for the last `orphan_s` seconds no guard held the lock."""
        if self._is_held():
            self._alone_since_s = None
            return False
        if self._alone_since_s is None:
            self._alone_since_s = now_s
        return now_s - self._alone_since_s >= self._orphan_s

    def _is_held(self) -> bool:
        try:
            descriptor = os.open(self._lock, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(
                descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB
            )  # shared: supervisors do not see each other
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

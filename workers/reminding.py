"""When a job is to be reminded to commit: its order may want that more often than the job does so by itself."""

from __future__ import annotations

from hashlib import sha256

from barq.contract import JobPhase, JobStatus

_LEAST = 0.5  #: a commit sooner than that would cost more than it keeps


def first_share(attempt_id: str) -> float:
    """What the first interval of an attempt is of the others, a half to 1: the same on all its nodes, each time.

    Attempts that start together have it from all over that range, so that they do not write together ever after.
    """
    number = int.from_bytes(sha256(attempt_id.encode()).digest()[:4])
    return 1.0 - (1.0 - _LEAST) * number / 2**32


class Reminding:
    """The last commit of one job, as its supervisor sees it. Seconds are of CLOCK_BOOTTIME."""

    def __init__(self, share: float = 1.0) -> None:
        self._share = share  #: of the interval, until it commits or is reminded for the first time
        self._commit: str | None = None
        self._since_s: float | None = None  #: of the last commit, reminder or start

    def is_due(self, status: JobStatus | None, every_s: float | None, now_s: float) -> bool:
        """Whether to remind it now; if so, that counts as done, and the next time is `every_s` later."""
        if status is None:
            return False
        if self._since_s is None or status.commit != self._commit or status.state is not JobPhase.RUNNING:
            if self._since_s is not None and status.commit != self._commit:
                self._share = 1.0
            self._commit, self._since_s = status.commit, now_s
            return False
        if every_s is None or now_s - self._since_s < self._share * every_s:
            return False
        self._since_s, self._share = now_s, 1.0
        return True

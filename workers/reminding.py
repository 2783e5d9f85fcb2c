"""When a job is to be reminded to commit: its order may want that more often than the job does so by itself."""

from __future__ import annotations

from barq.contract import JobPhase, JobStatus


class Reminding:
    """The last commit of one job, as its supervisor sees it. Seconds are of CLOCK_BOOTTIME."""

    def __init__(self) -> None:
        self._commit: str | None = None
        self._since_s: float | None = None  #: of the last commit, reminder or start

    def is_due(self, status: JobStatus | None, every_s: float | None, now_s: float) -> bool:
        """Whether to remind it now; if so, that counts as done, and the next time is `every_s` later."""
        if status is None:
            return False
        if self._since_s is None or status.commit != self._commit or status.state is not JobPhase.RUNNING:
            self._commit, self._since_s = status.commit, now_s
            return False
        if every_s is None or now_s - self._since_s < every_s:
            return False
        self._since_s = now_s
        return True

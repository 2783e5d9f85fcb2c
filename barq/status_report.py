"""What the job tells its supervisor in `status.json`: changes at once, progress twice a second at most."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from barq.contract import JobStatus, write_status

PROGRESS_EVERY_S: Final = 0.5

log: Final = logging.getLogger("barq.job")


class StatusReport:
    """Writes into one status directory; without one (None) it keeps quiet."""

    def __init__(self, status_dir: Path | None) -> None:
        self._status_dir = status_dir
        self._last: JobStatus | None = None
        self._written_s = float("-inf")

    def tell(self, status: JobStatus) -> None:
        """Report `status`: at once, or with the next report if no more than the step changed a moment ago.

        A status is a claim that nothing depends on, so a disk that refuses it is logged and training goes on.
        """
        if self._status_dir is None or not self._is_news(status):
            return
        self._last, self._written_s = status, time.monotonic()
        try:
            write_status(self._status_dir, status)
        except OSError:
            log.exception(
                "the status could not be written to %s; check that it exists and has room", self._status_dir
            )

    def _is_news(self, status: JobStatus) -> bool:
        if self._last is None or replace(self._last, step=status.step) != status:
            return True
        return status.step != self._last.step and time.monotonic() - self._written_s >= PROGRESS_EVERY_S

"""Uploads that nobody needs any more are removed: 30 days after their last use, unless a job names them."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import Final

from barq.blobs import Blobs
from barq.package import is_hash
from scheduler.store import job_queries
from scheduler.store.desk import Desk

EVERY_S: Final = 86400.0
log = logging.getLogger(__name__)


def prune_sometimes(blobs: Blobs, desk: Desk) -> None:
    """Prune once a day at the most, whoever asks. Raises OSError, StoreError."""
    mark = blobs.root / ".pruned"
    if mark.exists() and time.time() - mark.stat().st_mtime < EVERY_S:
        return
    mark.touch()
    removed = blobs.prune(keep=set(_needed(desk)))
    log.info("%d files of uploads were removed: nobody has used them for 30 days", removed)


def _needed(desk: Desk) -> Iterator[str]:
    """The packages of jobs that have not ended. Those that wait twice: one may have been paused meanwhile."""
    for state in ("waiting", "active", "waiting"):
        after = None
        while True:
            which = job_queries.JobFilter(state=state)
            page = desk.list(which, limit=job_queries.MAX_PAGE, after=after)
            named = (str(view.request.get("package", "")) for view in page.jobs)
            yield from (name for name in named if is_hash(name))
            after = page.next
            if after is None:
                break

"""What can be told of jobs that wait, from the newest snapshot that the scheduler recorded.

A snapshot is recorded with each tick that had events, and once a minute. It is read at most once, by whoever asks
first; meanwhile others are told from the one before. How often is looked for a newer one is bounded by what reading
takes, so that no number of questions keeps the API busy with it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final

from api.wire.outlook import ExpectedStart, Lacks
from scheduler.core.decide import Decision
from scheduler.core.jobs import WAITING_STATES, JobState
from scheduler.core.outlook import Outlook, Prospect
from scheduler.core.rehearsal import after
from scheduler.core.snapshot import Snapshot
from scheduler.store.desk import Desk
from scheduler.store.views import JobView
from scheduler.wire import WireError, loads

log = logging.getLogger(__name__)

LOOK_AGAIN_S: Final = 0.5
PART_OF_TIME: Final = 10
"""A newer snapshot is looked for when so many times the seconds have passed that the last one took."""
_WAITS: Final = WAITING_STATES | {JobState.HELD}


@dataclass(frozen=True)
class Recorded:
    """A snapshot, what was decided from it, and what that means for those who wait."""

    number: int
    snapshot: Snapshot
    decision: Decision

    @cached_property
    def outlook(self) -> Outlook:
        """Made when somebody asks."""
        return Outlook(after(self.snapshot, self.decision))


class Outlooks:
    """Keeps the newest snapshot. May be used by several threads at once."""

    def __init__(self, desk: Desk, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._desk = desk
        self._clock = clock
        self._alone = threading.Lock()
        self._newest: Recorded | None = None
        self._bad = 0  #: number of one that could not be read
        self._look_again_at = 0.0

    def newest(self) -> Recorded | None:
        """The newest snapshot, None before there is one. Raises `StoreError`."""
        if not self._alone.acquire(blocking=self._newest is None):
            return self._newest
        try:
            began = self._clock()
            if began >= self._look_again_at:
                self._look()
                took_s = self._clock() - began
                self._look_again_at = began + max(LOOK_AGAIN_S, PART_OF_TIME * took_s)
            return self._newest
        finally:
            self._alone.release()

    def told(self, view: JobView) -> dict[str, Any]:
        """What an answer to "why" says of a job's start; nothing for one that does not wait. Raises `StoreError`."""
        recorded = self.newest() if view.state in _WAITS else None
        if recorded is None:
            return {}
        prospect = recorded.outlook.of(view.id, recorded.decision.reasons.get(view.id))
        return {} if prospect is None else shown(prospect, recorded.snapshot.at)

    def _look(self) -> None:
        since = max(self._bad, self._newest.number if self._newest else 0)
        found = self._desk.newest_decision(since=since)
        if found is None:
            return
        number, view = found
        try:
            snapshot = loads(Snapshot, view.snapshot_json or b"")
            decision = loads(Decision, view.decision_json or b"")
        except WireError as error:
            log.warning("the newest recorded decision cannot be read: %s", error)
            self._bad = number
            return
        self._newest = Recorded(number=number, snapshot=snapshot, decision=decision)
        _ = self._newest.outlook  # while nobody else has it


def shown(prospect: Prospect, snapshot_at: datetime) -> dict[str, Any]:
    """A job's prospect as the wire has it."""
    start = prospect.start
    return {
        "position": prospect.position,
        "waiting": prospect.waiting,
        "ahead_gpus": prospect.ahead_gpus,
        "lacks": Lacks(gpus=prospect.lacks_gpus, power_w=prospect.lacks_w),
        "expected_start": ExpectedStart(
            earliest_at=start.earliest_at,
            latest_at=start.latest_at,
            assumption=start.assumption,
            snapshot_at=snapshot_at,
            snapshot_age_s=age_s(snapshot_at),
        ),
    }


def age_s(at: datetime) -> float:
    """Seconds since a snapshot."""
    return round(max(0.0, (datetime.now(UTC) - at).total_seconds()), 1)

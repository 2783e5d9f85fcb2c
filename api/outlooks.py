"""What can be told of jobs that wait, from the newest snapshot that the scheduler recorded.

A snapshot is recorded with each tick that had events, and once a minute. Jobs that were submitted since are added to
it: they wait, or an event would have told of them. It is read at most once, by whoever asks first; meanwhile others are
told from the one before. How often is looked for a newer one is bounded by what reading takes, so that no number of
questions keeps the API busy with it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final

from api.deadlines import deadline_shown
from api.wire.outlook import ExpectedStart, Lacks
from scheduler.core.decide import Decision
from scheduler.core.jobs import WAITING_STATES, Job, JobState
from scheduler.core.lifecycle import is_final
from scheduler.core.outlook import Outlook, Prospect
from scheduler.core.rehearsal import after
from scheduler.core.snapshot import Snapshot
from scheduler.store.desk import Desk
from scheduler.store.job_queries import JobFilter
from scheduler.store.views import JobView
from scheduler.wire import WireError, loads

log = logging.getLogger(__name__)

LOOK_AGAIN_S: Final = 0.5
PART_OF_TIME: Final = 10
"""A newer snapshot is looked for when so many times the seconds have passed that the last one took."""
TAKEN_IN: Final = timedelta(seconds=10)
"""A job is with the scheduler so long after its submission, if one is at work."""
PAGE: Final = 1000
MOST_ADDED: Final = 20_000
_WAITS: Final = WAITING_STATES | {JobState.HELD}


@dataclass(frozen=True)
class Recorded:
    """A snapshot with the jobs that came since, what was decided from it, and what that means for those who wait."""

    number: int
    snapshot: Snapshot
    added: Mapping[str, Job]
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
        """What an answer to "why" says of a job's start, if it waits, and of its deadline. Raises `StoreError`."""
        waits = view.state in _WAITS
        has_deadline = view.spec.deadline_at is not None and not is_final(view.state)
        recorded = self.newest() if waits or has_deadline else None
        if recorded is None:
            return {}
        told = _deadline(recorded.outlook, view.id) if has_deadline else {}
        reason = view.reason or recorded.decision.reasons.get(view.id)
        prospect = recorded.outlook.of(view.id, reason) if waits else None
        if prospect is None:
            return told
        return told | shown(prospect, recorded.snapshot.at) | {"overtaken_until": prospect.overtaken_until}

    def _look(self) -> None:
        found = self._read() or self._newest
        if found is None:
            return
        kept = {k: job for k, job in found.snapshot.jobs.items() if k not in found.added}
        added = self._submitted_since(found.snapshot.at, kept)
        if found is self._newest and added.keys() == found.added.keys():
            return
        found = replace(found, snapshot=replace(found.snapshot, jobs={**kept, **added}), added=added)
        _ = found.outlook  # made before anybody else has it
        self._newest = found

    def _read(self) -> Recorded | None:
        """What was recorded since the last look, None if nothing was, or nothing that can be read."""
        since = max(self._bad, self._newest.number if self._newest else 0)
        newer = self._desk.newest_decision(since=since)
        if newer is None:
            return None
        number, view = newer
        try:
            snapshot = loads(Snapshot, view.snapshot_json or b"")
            decision = loads(Decision, view.decision_json or b"")
        except WireError as error:
            log.warning("the newest recorded decision cannot be read: %s", error)
            self._bad = number
            return None
        return Recorded(number=number, snapshot=snapshot, added={}, decision=decision)

    def _submitted_since(self, at: datetime, known: Mapping[str, Job]) -> dict[str, Job]:
        """Jobs that wait for the first time and that the scheduler had not taken in by then."""
        found: list[JobView] = []
        after_id: str | None = None
        while len(found) < MOST_ADDED:
            page = self._desk.list(JobFilter(state="waiting"), limit=PAGE, after=after_id)
            new = [v for v in page.jobs if v.submitted_at > at - TAKEN_IN]
            found += [v for v in new if v.id not in known and not v.attempts]
            after_id = page.next
            if after_id is None or len(new) < len(page.jobs):
                break
        return {view.id: _job(view) for view in found}


def _job(view: JobView) -> Job:
    """A job that never ran, as the scheduler will know it."""
    return Job(
        id=view.id,
        number=view.number,
        spec=view.spec,
        submitted_at=view.submitted_at,
        state=view.state,
        since_at=view.since_at,
        desired=view.desired,
    )


def _deadline(outlook: Outlook, job_id: str) -> dict[str, Any]:
    found = outlook.placed(job_id)
    if found is None:
        return {}
    job, attempt, site = found
    return {"deadline": deadline_shown(job, attempt, datetime.now(UTC), site)}


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
        "judged_on": prospect.judged_on,
    }


def age_s(at: datetime) -> float:
    """Seconds since a snapshot."""
    return round(max(0.0, (datetime.now(UTC) - at).total_seconds()), 1)

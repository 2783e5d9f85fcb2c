"""How often a job saves that leaves it to Barq: by what a save costs it, and how likely a loss is just then.

Young's interval, T = sqrt(2 d / rate) (CACM 17(9), 1974): d is what the job's last save took, and the rate that of
unwarned losses when a save that begins now would be over. So jobs save right before the hour at which power tends to go
and rest while it hardly ever does. Not all at once: some look up to a minute further ahead than others.

The interval that a job began with, and that its user was shown, is the longest: nobody loses more than that. Without
any loss on record nothing is said, and it is the only one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import floor, log2, sqrt

from scheduler.core.altered import swift
from scheduler.core.forecast import PART_S, LimitRecord, counted, loss_rate_per_s, part_of
from scheduler.core.jobs import Job
from scheduler.core.snapshot import Snapshot

DEFAULT_SAVE_S = 30.0  #: of a job that never saved
SHORTEST_S = 60.0
_LEADS_S = (60.0, 90.0, 120.0, 240.0, 480.0)
_STEPS = 2.0  #: of the interval to each doubling: orders change when it matters, and not with each breath


@swift
@dataclass(frozen=True, slots=True, kw_only=True)
class Tempo:
    """What decides the intervals of a round. It stays the same until `until_at` if the limit does."""

    record: LimitRecord | None
    since_at: datetime
    until_at: datetime | None = None  #: None = until there is something new on record
    doublings: tuple[
        int, ...
    ] = ()  #: of the rate of losses per second, by how far is looked ahead; empty = no say

    def holds(self, snapshot: Snapshot) -> bool:
        """Whether it is that of a snapshot, too."""
        at, is_same = snapshot.at, self.record is snapshot.record
        if self.until_at is None:
            return is_same
        return is_same and self.since_at <= at < self.until_at and part_of(at) == part_of(self.since_at)

    def save_every_s(self, job: Job) -> float | None:
        """How long a job computes between two saves; None = as it began."""
        if not self.doublings or not job.spec.launch.checkpoint_auto:
            return None
        save_s = job.save_s or DEFAULT_SAVE_S
        rate_per_s = 2.0 ** self.doublings[_looks(job, save_s)]
        wanted_s = max(SHORTEST_S, 2.0 * save_s, sqrt(2.0 * save_s / rate_per_s))
        every_s = SHORTEST_S * 2.0 ** (floor(_STEPS * log2(wanted_s / SHORTEST_S)) / _STEPS)
        return float(round(every_s)) if every_s < job.spec.launch.checkpoint_interval_s else None


def tempo(snapshot: Snapshot) -> Tempo:
    """The tempo of the present."""
    record, at = snapshot.record, snapshot.at
    if record is None or not record.has_losses or record.lit_since_at is None:
        return Tempo(record=record, since_at=at)
    found = _doublings(snapshot, record, at)
    for later_at in _next_looks(at):
        if _doublings(snapshot, record, later_at) != found:
            break
    return Tempo(record=record, since_at=at, until_at=later_at, doublings=found)


def _doublings(snapshot: Snapshot, record: LimitRecord, now: datetime) -> tuple[int, ...]:
    firm_w = snapshot.site.firm_w
    known = counted(record, part_of(now), firm_w=firm_w)
    ahead = (now + timedelta(seconds=lead_s) for lead_s in _LEADS_S)
    return tuple(round(log2(loss_rate_per_s(known, t, firm_w=firm_w))) for t in ahead)


def _next_looks(at: datetime) -> list[datetime]:
    """The next instants at which a rate may be another: a part of the hour begins, now or so far ahead."""
    part_at = part_of(at)
    begins = [part_at + timedelta(seconds=k * PART_S) for k in range(1, 5)]
    looks = {b - timedelta(seconds=s) for b in begins for s in (0.0, *_LEADS_S)}
    return sorted(t for t in looks if at < t <= begins[1])


def _looks(job: Job, save_s: float) -> int:
    """Which of the leads is a job's: long enough for its save, and not the same for all."""
    first = sum(1 for lead_s in _LEADS_S if lead_s < 2.0 * save_s)
    return min(len(_LEADS_S) - 1, first + (job.number % 3 if first == 0 else 0))

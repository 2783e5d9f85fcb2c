"""The `Store` port for simulated runs: arrivals come out of it, and of what ticks leave it keeps only the present."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from scheduler.core.decide import Decision
from scheduler.core.jobs import Attempt, AttemptState, Job
from scheduler.core.ledger import OpenOrder
from scheduler.core.lifecycle import is_final
from scheduler.core.snapshot import Snapshot
from scheduler.errors import StaleEpoch
from scheduler.ports import Store
from scheduler.records import Intents, Stored, TickRecord


class JobStore(Store, Protocol):
    """A store to which jobs can be given."""

    def submit(self, job: Job) -> None:
        """A job arrives."""
        ...


class SimStore:
    """The present, and no history. Orders are not kept: in a simulated run no leader follows another."""

    def __init__(self) -> None:
        self.epoch = 0
        self.jobs: dict[str, Job] = {}  #: not final
        self.attempts: dict[str, Attempt] = {}  #: not ended
        self.last_cut_at: datetime | None = None
        self._arrived: list[Job] = []
        self._nothing = Intents(seq=0)  #: the answer while nothing arrives

    def submit(self, job: Job) -> None:
        """A job arrives."""
        self._arrived.append(job)
        self.jobs[job.id] = job

    async def claim(self, holder: str, *, at: datetime, at_least: int = 0) -> int:
        """A new epoch, 1 + max(stored, `at_least`)."""
        del holder, at
        self.epoch = 1 + max(self.epoch, at_least)
        return self.epoch

    async def load(self) -> Stored:
        """Everything that the leader starts from."""
        return Stored(
            jobs=tuple(sorted(self.jobs.values(), key=lambda job: job.number)),
            attempts=tuple(self.attempts.values()),
            settled={},
            open_orders={},
            limits=(),
            last_cut_at=self.last_cut_at,
            seq=len(self._arrived),
        )

    async def intents(self, after: int) -> Intents:
        """Jobs that arrived after sequence number `after`."""
        seq = len(self._arrived)
        if seq > after:
            return Intents(seq=seq, jobs=tuple(self._arrived[after:]))
        if self._nothing.seq != seq:
            self._nothing = Intents(seq=seq)
        return self._nothing

    async def record(self, tick: TickRecord) -> None:
        """Take one tick. Raises `StaleEpoch`."""
        if tick.epoch != self.epoch:
            raise StaleEpoch(f"epoch {tick.epoch} is over: epoch {self.epoch} leads; this leader must stop")
        for job in tick.jobs:
            if is_final(job.state):
                self.jobs.pop(job.id, None)
            else:
                self.jobs[job.id] = job
        for attempt in tick.attempts:
            if attempt.state is AttemptState.ENDED:
                self.attempts.pop(attempt.id, None)
            else:
                self.attempts[attempt.id] = attempt
        self.last_cut_at = tick.last_cut_at or self.last_cut_at


class Listener(Protocol):
    """Whoever wants to see every decision of a run."""

    def __call__(self, snapshot: Snapshot, decision: Decision) -> None:
        """A decision was made."""
        ...


class SimRecorder:
    """Writes only what `SimStore` keeps."""

    def __init__(self, epoch: int, listener: Listener | None = None) -> None:
        self._epoch = epoch
        self._listener = listener

    def write(
        self,
        snapshot: Snapshot,
        decision: Decision,
        orders: Mapping[str, OpenOrder],
        alarms: Mapping[str, tuple[str, ...]],
    ) -> TickRecord:
        """The record of one tick."""
        del alarms
        if self._listener is not None:
            self._listener(snapshot, decision)
        return TickRecord(
            at=snapshot.at,
            epoch=self._epoch,
            jobs=tuple(decision.jobs.values()),
            attempts=tuple(decision.attempts.values()),
            orders=orders,
            last_cut_at=snapshot.at if decision.cut_work else None,
        )

"""`InMemoryStore`: the `Store` port without a database, for tests and simulations. One contract suite judges both."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

from scheduler.core.arrays import settle
from scheduler.core.credit import Owed
from scheduler.core.dispatch import Answer, Instruction
from scheduler.core.envelope import Envelope
from scheduler.core.estop import EmergencyStop
from scheduler.core.faults import Faulted
from scheduler.core.forecast import LimitRecord
from scheduler.core.jobs import Attempt, AttemptState, Desired, Job, JobState
from scheduler.core.ledger import OpenOrder
from scheduler.core.lifecycle import is_final
from scheduler.core.power_events import PowerEvent
from scheduler.core.projects import Used
from scheduler.core.reasons import Event, Reason
from scheduler.core.trim import Trimmed
from scheduler.errors import StaleEpoch, StoreError
from scheduler.records import (
    FAULTED,
    LIMIT_RECORD,
    LIMITS_TOLD,
    TRIM,
    GroupWishes,
    Intents,
    Member,
    Stored,
    TickRecord,
)
from scheduler.store.open_orders import still_open
from scheduler.store.wishes import ANSWERS, JOB, LIMITS, MACHINES, MEMBERS, STOPS, WISH
from scheduler.wire import loads


class InMemoryStore:
    """What the SQL store keeps between leaders, as values.

    People's side is `submit`, `wish`, `limit`, `engage`, `release` and `answer`. `up` = False makes every call of the
    port raise `StoreError`; `on_record` sees each tick before it is judged.
    """

    def __init__(self) -> None:
        self.up = True
        self.epoch = 0
        self.jobs: dict[str, Job] = {}
        self.attempts: dict[str, Attempt] = {}
        self.reasons: dict[str, Reason | None] = {}
        self.open_orders: dict[str, tuple[OpenOrder, ...]] = {}
        self.limits: tuple[Envelope, ...] = ()
        self.members: tuple[Member, ...] = ()
        self.last_cut_at: datetime | None = None
        self.used: Used | None = None
        self.limit_record: LimitRecord | None = None
        self.told: tuple[Envelope, ...] = ()
        self.owed: Owed | None = None
        self.faulted: dict[str, Faulted] = {}
        self.trim: Trimmed | None = None
        self.power_events: dict[datetime, PowerEvent] = {}
        self.stops: dict[str, EmergencyStop] = {}
        self.released_stops: frozenset[str] = frozenset()
        self.instructions: dict[str, Instruction] = {}
        self.miner_wishes: GroupWishes = {}
        self.events: list[Event] = []
        self.records: list[TickRecord] = []
        self.on_record: Callable[[TickRecord], None] = lambda _: None
        self._news: list[tuple[str, str]] = []  # kind of intent, job id

    # -- people --------------------------------------------------------------------------------------------------

    def submit(self, job: Job) -> None:
        """Add a job."""
        self.jobs[job.id] = job
        self._news.append((JOB, job.id))

    def wish(self, job_id: str, desired: Desired) -> None:
        """Say what is wanted of a job. What ended, or was cancelled, is let be."""
        job = self.jobs[job_id]
        if job.desired is not Desired.CANCEL and not is_final(job.state):
            self.jobs[job_id] = replace(job, desired=desired)
            self._news.append((WISH, job_id))

    def limit(self, *limits: Envelope) -> None:
        """Set the limits that stand by hand; none = release them."""
        self.limits = limits
        self._news.append((LIMITS, ""))

    def join(self, *members: Member) -> None:
        """Say which nodes of other machines belong to the site: all of them."""
        self.members = members
        self._news.append((MEMBERS, ""))

    def engage(self, stop: EmergencyStop) -> None:
        """Stop the site, until `release`."""
        self._learn(stop)
        self._news.append((STOPS, ""))

    def release(self) -> None:
        """Release every stop that stands."""
        self.released_stops = self.released_stops | self.stops.keys()
        self.stops = {}
        self._news.append((STOPS, ""))

    def answer(self, instruction_id: str, answer: Answer) -> None:
        """Say something to a dispatch instruction."""
        self.instructions[instruction_id] = replace(self.instructions[instruction_id], answer=answer)
        self._news.append((ANSWERS, ""))

    def want(self, wishes: GroupWishes) -> None:
        """Say all that people want of machines that mine."""
        self.miner_wishes = wishes
        self._news.append((MACHINES, ""))

    def _standing(self) -> tuple[Instruction, ...]:
        return tuple(i for i in self.instructions.values() if i.over_at is None)

    def _learn(self, stop: EmergencyStop) -> None:
        if stop.id not in self.released_stops:
            self.stops.setdefault(stop.id, stop)

    # -- the port ------------------------------------------------------------------------------------------------

    async def claim(self, holder: str, *, at: datetime, at_least: int = 0) -> int:
        """A new epoch, 1 + max(stored, `at_least`)."""
        del holder, at
        self._check()
        self.epoch = 1 + max(self.epoch, at_least)
        return self.epoch

    async def load(self) -> Stored:
        """Everything a new leader starts from."""
        self._check()
        jobs = _in_order(j for j in self.jobs.values() if not is_final(j.state))
        return Stored(
            jobs=jobs,
            attempts=tuple(a for a in self.attempts.values() if a.state is not AttemptState.ENDED),
            settled=self._settled(jobs),
            open_orders=dict(self.open_orders),
            limits=self.limits,
            last_cut_at=self.last_cut_at,
            owed=self.owed,
            seq=len(self._news),
            members=self.members,
            stops=tuple(self.stops.values()),
            released_stops=self.released_stops,
            used=self.used,
            record=self.limit_record,
            told=self.told,
            instructions=self._standing(),
            last_instruction=max((i.number for i in self.instructions.values()), default=0),
            trim=self.trim,
            power_events=tuple(e for _, e in sorted(self.power_events.items()) if not e.is_final),
            miner_wishes=self.miner_wishes,
            faulted=self.faulted,
        )

    async def intents(self, after: int) -> Intents:
        """What people did after sequence number `after`."""
        self._check()
        news = self._news[after:]
        named = {job_id for kind, job_id in news if kind == JOB}
        jobs = _in_order(j for j in self.jobs.values() if j.id in named and not is_final(j.state))
        stopped = (STOPS, "") in news
        return Intents(
            seq=max(after, len(self._news)),
            jobs=jobs,
            desired={job_id: self.jobs[job_id].desired for kind, job_id in news if kind == WISH},
            limits=self.limits if (LIMITS, "") in news else None,
            settled=self._settled(jobs),
            members=self.members if (MEMBERS, "") in news else None,
            stops=tuple(self.stops.values()) if stopped else None,
            released_stops=self.released_stops if stopped else frozenset(),
            answers={i.id: i.answer for i in self._standing() if i.answer} if (ANSWERS, "") in news else {},
            miner_wishes=self.miner_wishes if (MACHINES, "") in news else None,
        )

    async def record(self, tick: TickRecord) -> None:
        """Take one tick, once. Raises `StaleEpoch`."""
        self.on_record(tick)
        self._check()
        if tick.epoch != self.epoch:
            raise StaleEpoch(f"epoch {tick.epoch} is over: epoch {self.epoch} leads; this leader must stop")
        if self.records and self.records[-1] == tick:
            return
        self.records.append(tick)
        self.jobs.update({j.id: replace(j, desired=self._desired(j)) for j in tick.jobs})
        self.attempts.update({a.id: a for a in tick.attempts})
        self.reasons.update(tick.reasons)
        for stop in tick.stops:
            self._learn(stop)
        for instruction in tick.instructions:
            known = self.instructions.get(instruction.id)
            said = instruction.answer if known is None else known.answer
            self.instructions[instruction.id] = replace(instruction, answer=said)
        self.events.extend(tick.events)
        self.power_events.update({e.began_at: e for e in tick.power_events})
        self.last_cut_at = tick.last_cut_at or self.last_cut_at
        self.used = tick.used or self.used
        if (document := tick.current.get(LIMIT_RECORD)) is not None:
            self.limit_record = loads(LimitRecord, document)
        if (document := tick.current.get(LIMITS_TOLD)) is not None:
            self.told = loads(tuple[Envelope, ...], document)
        if (document := tick.current.get(TRIM)) is not None:
            self.trim = loads(Trimmed, document)
        if (document := tick.current.get(FAULTED)) is not None:
            self.faulted = loads(dict[str, Faulted], document)
        self.owed = tick.owed or self.owed
        for gid, order in tick.orders.items():
            self.open_orders[gid] = still_open((*self.open_orders.get(gid, ()), order), at=tick.at)

    def _desired(self, job: Job) -> Desired:
        """What people said last; the loop's word does not count."""
        known = self.jobs.get(job.id)
        return known.desired if known else job.desired

    def _settled(self, jobs: Iterable[Job]) -> dict[str, JobState]:
        needed = {job_id for job in jobs for job_id in job.spec.dependencies}
        found: dict[str, JobState] = {}
        for job in self.jobs.values():
            names = {job.id, job.spec.array.id} if job.spec.array else {job.id}
            if names & needed and is_final(job.state):
                settle(found, job)
        return {name: state for name, state in found.items() if name in needed}

    def _check(self) -> None:
        if not self.up:
            raise StoreError("the store is down")


def _in_order(jobs: Iterable[Job]) -> tuple[Job, ...]:
    return tuple(sorted(jobs, key=lambda job: job.number))

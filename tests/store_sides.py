"""A store and the people's side of it, whatever stands behind the port `Store`: in memory, or in a database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import Engine

from scheduler.core.dispatch import Answer
from scheduler.core.estop import EmergencyStop
from scheduler.core.inventory import Wish
from scheduler.core.jobs import Desired
from scheduler.ports import Store
from scheduler.records import KeptInventory, Member
from scheduler.store.desk import Desk
from scheduler.store.machines import SqlMachineBook
from scheduler.store.recorder import SqlStore
from scheduler.store.testing import InMemoryStore
from scheduler.store.wishes import NewLimit
from tests.machines import inventory, machine
from tests.stores import SITE, T0, job, new_job, spec


class Side(Protocol):
    """A store and the people's side of it."""

    @property
    def store(self) -> Store: ...

    def submit(self, *dependencies: str) -> str: ...

    def wish(self, job_id: str, desired: Desired) -> None: ...

    def limit(self, *watts: float) -> None: ...

    def join(self, *members: Member) -> None: ...
    def engage(self, stop: EmergencyStop) -> None: ...

    def release(self) -> None: ...

    def answer(self, instruction_id: str, answer: Answer) -> None: ...

    def want(self, *miner_ids: str) -> None: ...

    def events(self) -> Sequence[str]: ...


class Sql:
    def __init__(self, engine: Engine) -> None:
        self.store = SqlStore(engine, reaction_s=30.0)
        self._desk = Desk(engine, site=SITE, now=lambda: T0)
        self._book = SqlMachineBook(engine)

    def submit(self, *dependencies: str) -> str:
        return self._desk.submit([new_job(dependencies=dependencies)])[0].id

    def wish(self, job_id: str, desired: Desired) -> None:
        self._desk.set_desired(job_id, desired)

    def limit(self, *watts: float) -> None:
        self._desk.release_limits(by="ops")
        for w in watts:
            self._desk.add_limit(NewLimit(limit_w=w, reason="feeder work", by="ops"))

    def join(self, *members: Member) -> None:
        for gone in {m.spec.group_id for m in self._desk.members()} - {m.spec.group_id for m in members}:
            self._desk.forget(gone)
        for member in members:
            self._desk.join(member.spec, by="ops", check=lambda _: None)
            if member.leaving:
                self._desk.leave(member.spec.group_id)

    def engage(self, stop: EmergencyStop) -> None:
        self._desk.engage_stop(by=stop.by, reason=stop.reason, stop_id=stop.id)

    def release(self) -> None:
        self._desk.release_stops(by="bob", reason="false alarm")

    def answer(self, instruction_id: str, answer: Answer) -> None:
        self._desk.answer(instruction_id, answer.verdict, by=answer.by, note=answer.note)

    def want(self, *miner_ids: str) -> None:
        told = inventory(*(machine(n, miner_id=f"acme-{n}") for n in (1, 2)))
        self._book.keep(KeptInventory(at=T0, partner="house", inventory=told), epoch=self._epoch())
        standing = [wish.miner_id for wish in self._desk.machines.now().wishes]
        for ids, wish in ((standing, Wish.INHERIT), (miner_ids, Wish.PAUSED)):
            self._desk.machines.wish(ids, wish, by="ada", reason="heat")

    def _epoch(self) -> int:
        return self._desk.leader().epoch

    def events(self) -> Sequence[str]:
        return [e.text for e in self._desk.events()]


class Memory:
    def __init__(self) -> None:
        self.store = InMemoryStore()

    def submit(self, *dependencies: str) -> str:
        new = job(len(self.store.jobs) + 1, spec=spec(dependencies=dependencies))
        self.store.submit(new)
        return new.id

    def wish(self, job_id: str, desired: Desired) -> None:
        self.store.wish(job_id, desired)

    def limit(self, *watts: float) -> None:
        from scheduler.store.rows import limit_envelope
        from scheduler.store.tables import ManualLimitRow

        rows = [ManualLimitRow(limit_w=w, reason="feeder work", by="ops", created_at=T0) for w in watts]
        self.store.limit(*(limit_envelope(row, reaction_s=30.0) for row in rows))

    def join(self, *members: Member) -> None:
        self.store.join(*members)

    def engage(self, stop: EmergencyStop) -> None:
        self.store.engage(stop)

    def release(self) -> None:
        self.store.release()

    def answer(self, instruction_id: str, answer: Answer) -> None:
        self.store.answer(instruction_id, answer)

    def want(self, *miner_ids: str) -> None:
        self.store.want({"acme": tuple((i, Wish.PAUSED) for i in miner_ids)} if miner_ids else {})

    def events(self) -> Sequence[str]:
        return [e.text for e in self.store.events]

"""Values and databases for tests of the store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import Engine, text

from scheduler.core.compliance import Fall
from scheduler.core.jobs import Attempt, AttemptState, Job, JobSpec, JobState, Launch, Placement
from scheduler.core.ledger import OpenOrder
from scheduler.core.orders import FallbackStep, Fence
from scheduler.core.power_events import PowerEvent
from scheduler.core.reasons import Event
from scheduler.records import PowerSample, TickRecord
from scheduler.store.database import migrate, open_database, writing
from scheduler.store.tables import LeaderRow, Table
from scheduler.store.views import NewJob

T0 = datetime(2026, 1, 10, 12, 0, tzinfo=UTC)
SITE = "demo"
POSTGRES = os.environ.get("BARQ_TEST_POSTGRES", "")
KINDS = ["sqlite", *(["postgresql"] if POSTGRES else [])]
"""Databases to test on; `test_store_database.py` says once that PostgreSQL is left out."""


def after(seconds: float) -> datetime:
    """So many seconds into the story."""
    return T0 + timedelta(seconds=seconds)


@contextmanager
def database(kind: str, folder: Path) -> Iterator[Engine]:
    """A migrated, empty database: "sqlite" in `folder`, "postgresql" where `BARQ_TEST_POSTGRES` says."""
    engine = _emptied_postgres() if kind == "postgresql" else _copied_sqlite(folder / "barq.db")
    try:
        yield engine
    finally:
        engine.dispose()


def _copied_sqlite(path: Path) -> Engine:
    put_migrated(path)
    return open_database(path)


def put_migrated(path: Path) -> None:
    """A copy of a file that was migrated once: each test gets its own without waiting for the migrations."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(_migrated_file())


@cache
def _migrated_file() -> bytes:
    with TemporaryDirectory() as folder:
        engine = open_database(Path(folder) / "barq.db")
        migrate(engine)
        engine.dispose()
        return (Path(folder) / "barq.db").read_bytes()


def _emptied_postgres() -> Engine:
    engine = open_database(POSTGRES)
    migrate(engine)
    with writing(engine) as session:
        for table in Table.metadata.tables.values():
            session.execute(text(f'TRUNCATE "{table.name}" RESTART IDENTITY CASCADE'))
        session.add(LeaderRow(id=1))
    return engine


def spec(name: str = "train", **changes: Any) -> JobSpec:
    """A small job."""
    launch = Launch(command=("true",), working_dir="/", checkpoint_dir="/c", output_dir="/o", log_path="/l")
    return replace(JobSpec(name=name, launch=launch), **changes)


def new_job(name: str = "train", **changes: Any) -> NewJob:
    """A job to be submitted, with its id in its checkpoint directory."""

    def build(job_id: str) -> JobSpec:
        plain = spec(name, **changes)
        return replace(plain, launch=replace(plain.launch, checkpoint_dir=f"/jobs/{job_id}/checkpoints"))

    return NewJob(request={"name": name}, build=build)


def job(number: int = 1, **changes: Any) -> Job:
    """A pending job."""
    plain = Job(
        id=f"{SITE}-{number}",
        number=number,
        spec=spec(),
        submitted_at=T0,
        state=JobState.PENDING,
        since_at=T0,
    )
    return replace(plain, **changes)


def attempt(job_id: str = "demo-1", number: int = 1, **changes: Any) -> Attempt:
    """A running attempt on two GPUs of one node."""
    plain = Attempt(
        id=f"{job_id}.{number}",
        job_id=job_id,
        number=number,
        state=AttemptState.RUNNING,
        since_at=T0,
        placements=(Placement(node_id="node-1", gpu_ids=("0", "1")),),
        cap_w=400.0,
        created_at=T0,
    )
    return replace(plain, **changes)


def order(
    seq: int,
    *,
    entitlement_w: float = 3000.0,
    rests_w: float = 1000.0,
    expires_s: float = 15.0,
    epoch: int = 1,
) -> OpenOrder:
    """An order that was sent to some group."""
    return OpenOrder(
        fence=Fence(epoch=epoch, seq=seq),
        entitlement_w=entitlement_w,
        fallback=(FallbackStep(after_s=0.0, limit_w=rests_w),),
        expires_at=after(expires_s),
    )


def event(text: str, *, kind: str = "job.started", job_id: str | None = None, at_s: float = 0.0) -> Event:
    """Something that happened."""
    return Event(at=after(at_s), kind=kind, text=text, job_id=job_id, data={"watts": 400.5, "why": "ħ"})


def sample(at_s: float, **changes: Any) -> PowerSample:
    """A second in which 6 of 10 kW are drawn."""
    plain = PowerSample(
        at=after(at_s),
        limit_w=10_000.0,
        limit_source="grid",
        draw_w=6000.0,
        ai_w=3000.0,
        rest_w=2000.0,
        miners_w=1000.0,
        committed_w=7000.0,
        over_limit=False,
    )
    return replace(plain, **changes)


def power_event(
    at_s: float, *, draw_w: float = 9000.0, complied_at: datetime | None = None, **facts: Any
) -> PowerEvent:
    """A fall of the limit from 10 to 5 kW while the site drew 9."""
    fall = Fall(
        began_at=after(at_s),
        before_w=10_000.0,
        limit_w=5000.0,
        draw_w=draw_w,
        entitled_w=9000.0,
        reaction_s=30.0,
        complied_at=complied_at,
    )
    return PowerEvent(fall=fall, **{"source": "grid", "provenance": "feeder 7", **facts})


def tick(at_s: float, epoch: int, **changes: Any) -> TickRecord:
    """A tick with nothing in it but what is given."""
    return TickRecord(at=after(at_s), epoch=epoch, **changes)

"""A site in shadow mode: the real service, store and source, and nothing that is acted anywhere."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.admission import job_spec
from api.machines import standing
from barq.request import JobRequest
from scheduler.core.inventory import Condition, Wish
from scheduler.core.jobs import JobState
from scheduler.errors import SettingsError
from scheduler.service import Service
from scheduler.settings import load_site
from scheduler.shadow import SHADOW
from scheduler.store.database import open_database
from scheduler.store.desk import Desk
from scheduler.store.views import JobView, NewJob
from scheduler.wiring import assemble
from tests.modbus_peer import Peer, peer
from tests.stores import put_migrated
from tests.waiting import wait_until
from workers.processes import ProcessId, ProcessTable

PATIENCE_S = 60.0
REAL_W = 5000.0
STOPPED = {JobState.SUSPENDED, JobState.PREEMPTING, JobState.PAUSED}
SITE: dict[str, Any] = {
    "name": "t",
    "mode": "shadow",
    "power": {"firm_w": 4600, "overhead": 1.25, "auxiliary_w": 50, "reaction_s": 10},
    "timing": {
        "lease_s": 4,
        "fall_s": 1,
        "save_after_s": 1,
        "suspend_max_s": 60,
        "raise_delay_s": 0,
        "restart_s": 1,
        "lost_after_s": 60,
    },
    "nodes": [{"prefix": "node", "count": 2, "gpus": 4, "base_w": 600, "simulated": True}],
    "miners": [{"name": "miners", "count": 2, "max_w": 1000, "simulated": True}],
    "signals": [{"type": "schedule_file", "name": "feeder", "path": "feeder.csv", "poll_s": 0.1}],
}


class Shadow:
    """A shadow's state directory, and what people see of it."""

    def __init__(self, state: Path, meter: Peer) -> None:
        self.state = state
        (state / "run").mkdir(parents=True)
        metered = {"type": "modbus", "name": "main", "poll_s": 0.2, **meter.options()}
        (state / "site.yaml").write_text(yaml.safe_dump(SITE | {"meter": metered}), "utf-8")
        self.limit(12_000)
        self.site = load_site(state / "site.yaml")
        put_migrated(self.site.database(state))
        self.desk = Desk(open_database(self.site.database(state)), site="t-shadow", is_shadow=True)

    def limit(self, limit_w: float) -> None:
        """The source's file says so from now on."""
        now = datetime.now(UTC)
        rows = [f"{(now + timedelta(hours=h)).isoformat()},{limit_w},notice" for h in (-1, 24)]
        (self.state / "new.csv").write_text("\n".join(["time,limit,provenance", *rows]) + "\n", "utf-8")
        (self.state / "new.csv").rename(self.state / "feeder.csv")

    def submit(self, **fields: Any) -> str:
        """A job that would leave a file behind, if anybody ran it."""
        request = JobRequest.model_validate({"entrypoint": f"touch {self.state}/acted", **fields})

        def build(job_id: str) -> Any:
            return job_spec(request, job_id=job_id, jobs_dir=self.state / "jobs", at=datetime.now(UTC))

        (job,) = self.desk.submit([NewJob(request=request.model_dump(mode="json"), build=build)])
        return job.id

    def job(self, job_id: str) -> JobView:
        """As people see it."""
        return self.desk.get(job_id)

    def told(self, key: str) -> dict[str, Any]:
        """A document of the leader, empty before it wrote one."""
        document = self.desk.current(key)
        return json.loads(document.text) if document else {}

    @asynccontextmanager
    async def served(self) -> AsyncIterator[None]:
        """The scheduler runs, in this process."""
        service = Service(await assemble(self.state, "", holder="test"))
        running = asyncio.create_task(service.run())
        try:
            yield
        finally:
            service.stop()
            await running


@pytest.fixture
async def shadow(tmp_path: Path) -> AsyncIterator[Shadow]:
    """One with a real meter that shows `REAL_W`."""
    async with peer() as device:
        device.shows(REAL_W)
        yield Shadow(tmp_path / "state", device)


def children() -> set[ProcessId]:
    """Processes below this one."""
    table = ProcessTable()
    table.refresh()
    return {stat.id for stat in table.below(os.getpid())}


async def test_the_twin_sheds_and_nothing_else_happens(shadow: Shadow) -> None:
    """A limit that falls has the twin stop its jobs; the real site is only measured, and stays over the limit."""
    before = children()
    jobs = [shadow.submit(resources={"gpus": 4}, estimate="1h") for _ in range(2)]
    async with shadow.served():
        await wait_until(
            lambda: all(shadow.job(j).state is JobState.RUNNING for j in jobs), timeout_s=PATIENCE_S
        )
        shadow.limit(2600)
        await wait_until(lambda: all(shadow.job(j).state in STOPPED for j in jobs), timeout_s=PATIENCE_S)
        await wait_until(lambda: shadow.told("power")["draw_w"] <= 2600, timeout_s=PATIENCE_S)
        await wait_until(lambda: shadow.told(SHADOW).get("real_w") == REAL_W, timeout_s=PATIENCE_S)
        seen, power = shadow.told(SHADOW), shadow.told("power")
        assert children() == before

    assert power["draw_source"] == "twin"
    assert (seen["real_source"], seen["real_missing"]) == ("main", "")
    assert all(shadow.job(j).is_shadow and j.startswith("t-shadow-") for j in jobs)
    assert sorted(p.name for p in shadow.state.iterdir()) == [
        *("feeder.csv", "run", "shadow.db", "shadow.db-shm", "shadow.db-wal", "site.yaml")
    ]
    assert not [p for p in shadow.state.rglob("*") if p.is_socket() and p.name != "wake.sock"]


async def test_books_and_jobs_go_on_after_a_restart(shadow: Shadow) -> None:
    """A job of the twin does not begin anew, and the day counts on from what was written."""
    job_id = shadow.submit(resources={"gpus": 1}, estimate="1h")
    async with shadow.served():
        await wait_until(lambda: (shadow.job(job_id).step or 0) >= 1, timeout_s=PATIENCE_S)
        await wait_until(lambda: shadow.desk.shadow_days(limit=1), timeout_s=PATIENCE_S)
    (written,) = shadow.desk.shadow_days(limit=1)
    step = shadow.job(job_id).step or 0
    async with shadow.served():
        await wait_until(lambda: (shadow.job(job_id).step or 0) > step, timeout_s=PATIENCE_S)
        assert shadow.job(job_id).attempts == 1
        (kept,) = shadow.desk.shadow_days(limit=1)

    assert kept.twin.covered_s >= written.twin.covered_s


async def test_a_person_pauses_the_miners_of_the_twin(shadow: Shadow) -> None:
    """The service fetches machines from it, and carries the wish there and back."""

    def condition() -> str:
        return next((m.detail.condition for m in standing(shadow.desk.machines.now())), "")

    async with shadow.served():
        await wait_until(lambda: condition() == Condition.RUNNING, timeout_s=PATIENCE_S)
        shadow.desk.machines.wish(["miners"], Wish.PAUSED, by="ada", reason="heat")
        await wait_until(lambda: condition() == Condition.ASLEEP, timeout_s=PATIENCE_S)
        shadow.desk.machines.wish(["miners"], Wish.INHERIT, by="ada", reason="cool again")
        await wait_until(lambda: condition() == Condition.RUNNING, timeout_s=PATIENCE_S)

    assert [w.wish for w in shadow.desk.machines.wishes("miners")] == [Wish.INHERIT, Wish.PAUSED]
    assert shadow.desk.verify_events() is None


async def test_only_a_shadow_does_without_a_cluster(shadow: Shadow) -> None:
    """A live site that is given none refuses to start instead of acting on nothing in silence."""
    live = {**SITE, "mode": {"type": "ai-first"}}
    (shadow.state / "site.yaml").write_text(yaml.safe_dump(live), "utf-8")
    put_migrated(shadow.state / "barq.db")
    with pytest.raises(SettingsError, match="--ray-address"):
        await assemble(shadow.state, "", holder="test")

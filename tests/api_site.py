"""A site's API on a real database, and a scheduler's hand to write what only the scheduler writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

import httpx
from fastapi import FastAPI

from api.app import create_app
from api.context import Context
from api.settings import Settings
from scheduler.accounts import projects_document
from scheduler.core.decide import Offering
from scheduler.core.jobs import Attempt, AttemptState, Job, JobState, Placement
from scheduler.documents import nodes_document, power_document, sample
from scheduler.partner_documents import PARTNERS, Floors, told_of_partners
from scheduler.records import TickRecord
from scheduler.store.database import open_database
from scheduler.store.recorder import SqlStore
from scheduler.store.tokens import NewToken
from tests.builders import SiteBuilder, site
from tests.stores import put_migrated

PROBLEM = "application/problem+json"
NO_ALARMS: Mapping[str, tuple[str, ...]] = MappingProxyType({})
BAD_TOKENS: list[dict[str, str]] = [
    {},
    {"Authorization": "Bearer wrong"},
    {"Authorization": "Bearer "},
    {"Authorization": "Basic c2l0ZTpzaXRl"},
    {"Authorization": "Bearer " + "x" * 5000},
]


def refused(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem that the response must be."""
    assert response.headers["content-type"] == PROBLEM
    problem: dict[str, Any] = response.json()
    assert (response.status_code, problem["status"], problem["code"]) == (status, status, code), problem
    assert problem["type"] == f"urn:barq:problem:{code}"
    assert problem["title"]
    assert problem["detail"]
    return problem


def open_files(folder: Path) -> list[str]:
    """The files in `folder` that this process holds open."""
    files = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the one that lists the directory itself
            files.append(str(link.readlink()))
    return [file for file in files if file.startswith(str(folder))]


def log_of(site: ApiSite) -> Path:
    """Where the log of the first job is to be."""
    folder = site.state / "jobs" / "t-1"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "job.log"


class ApiSite:
    """One site named "t". Use as an async context manager; `client` and `record` are then ready."""

    def __init__(self, state: Path, settings: Settings | None = None) -> None:
        self.state = state
        state.mkdir(parents=True, exist_ok=True)
        (state / "run").mkdir(exist_ok=True)
        self.settings = settings or Settings(site="t", state_dir=state, database=state / "barq.db")
        put_migrated(state / "barq.db")
        self.app: FastAPI = create_app(self.settings)
        self.context: Context = self.app.state.context
        self.token = (state / "token").read_text("utf-8").strip()
        self.store = SqlStore(open_database(self.settings.database), reaction_s=30.0)
        self.client = self.client_with({"Authorization": f"Bearer {self.token}"})
        self.epoch = 0

    def client_with(self, headers: dict[str, str]) -> httpx.AsyncClient:
        """A client of the application, without a socket between; errors come as answers."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://site.test", headers=headers)

    def client_of(self, user: str, role: str) -> httpx.AsyncClient:
        """A client with a new token of that user and role."""
        _, text = self.context.desk.make_token(NewToken(user=user, role=role))
        return self.client_with({"Authorization": f"Bearer {text}"})

    async def __aenter__(self) -> Self:
        self._lifespan = self.app.router.lifespan_context(self.app)
        await self._lifespan.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.client.aclose()
        await self._lifespan.__aexit__(kind, error, trace)
        self.store.close()

    # -- as people do --------------------------------------------------------------------------------------------

    async def submit(self, **fields: Any) -> dict[str, Any]:
        """Queue a job that would do, but for `fields`."""
        response = await self.client.post("/api/v1/jobs", json={"entrypoint": "true", **fields})
        assert response.status_code == 201, response.text
        job: dict[str, Any] = response.json()
        return job

    async def get(self, path: str, **params: Any) -> Any:
        """The JSON of a GET below /api/v1 that works."""
        response = await self.client.get(f"/api/v1{path}", params=params)
        assert response.status_code == 200, response.text
        return response.json()

    # -- as the scheduler does -----------------------------------------------------------------------------------

    async def record(self, **facts: Any) -> None:
        """Write a tick with these facts, now."""
        if not self.epoch:
            self.epoch = await self.store.claim("test", at=datetime.now(UTC))
        await self.store.record(TickRecord(at=datetime.now(UTC), epoch=self.epoch, **facts))

    async def job(self, job_id: str) -> Job:
        """A job that has not ended, as the scheduler knows it."""
        stored = await self.store.load()
        [job] = [job for job in stored.jobs if job.id == job_id]
        return job

    async def run(self, job_id: str, **changes: Any) -> Attempt:
        """Have a job run on the first two GPUs of node-1 (its attempt changed by `changes`)."""
        job, now = await self.job(job_id), datetime.now(UTC)
        attempt = Attempt(
            id=f"{job_id}.1",
            job_id=job_id,
            number=1,
            state=AttemptState.RUNNING,
            since_at=now,
            placements=(Placement(node_id="node-1", gpu_ids=("0", "1")),),
            cap_w=300.0,
            created_at=now,
            running_at=now,
            resumed_step=0,
            last_step=40,
        )
        job = replace(job, state=JobState.RUNNING, since_at=now, attempts=1)
        await self.record(jobs=(job,), attempts=(replace(attempt, **changes),))
        return attempt

    async def end(self, job_id: str, state: JobState = JobState.SUCCEEDED) -> None:
        """Have a job end."""
        job = replace(await self.job(job_id), state=state, since_at=datetime.now(UTC))
        await self.record(jobs=(job,))

    async def show(self, world: SiteBuilder, *, alarms: Mapping[str, tuple[str, ...]] = NO_ALARMS) -> None:
        """Write the documents of a site, as the scheduler makes them."""
        snapshot, decision = world.snapshot(), world.decided()
        latest = sample(snapshot, decision, over_limit=False)
        offer = world.policy.offer() if isinstance(world.policy, Offering) else None
        power = power_document(snapshot, decision, latest, offer)
        nodes = nodes_document(world.snapshot(), alarms)
        found = {"power": power, "nodes": nodes, "projects": projects_document(world.snapshot())}
        found[PARTNERS] = told_of_partners(world.snapshot(), decision, {}, Floors())
        await self.record(sample=latest, current={key: json.dumps(value) for key, value in found.items()})


def two_nodes() -> SiteBuilder:
    """Two nodes of four GPUs, and miners."""
    return site(firm_w=3000).node("node-1", gpus=4).node("node-2", gpus=4).miners().limit_w(9000)

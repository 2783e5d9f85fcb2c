"""A site made of dictionaries: it answers as the API does, keeps what it was asked, and has no sockets."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx

from barq.client import Client

Answer = httpx.Response | BaseException


def job(number: int = 1, **fields: Any) -> dict[str, Any]:
    """A job as the API shows it, waiting for power but for what `fields` say."""
    reason = {
        "code": "PowerUnavailable",
        "text": "needs 4.2 kW, 1.1 kW are free",
        "numbers": {"needs_w": 4200.0, "free_w": 1100.0},
    }
    return {
        "id": f"demo-{number}",
        "name": "train",
        "project": "default",
        "queue": "default",
        "kind": "training",
        "priority": 0,
        "flex": 4,
        "state": "PENDING",
        "desired": "RUN",
        "reason": reason,
        "gpus": 2,
        "nodes": 1,
        "placements": [],
        "attempt": None,
        "attempts": 0,
        "failures": 0,
        "step": None,
        "last_commit": None,
        "submitted_at": "2026-03-01T11:50:00Z",
        "since_at": "2026-03-01T11:57:00Z",
        "started_at": None,
        "ended_at": None,
        "lost_steps": 0,
        "energy_wh": None,
        "spec": {"entrypoint": ["python", "train.py", "two words"], "working_dir": "/home/ada"},
        **fields,
    }


def running(number: int = 1, **fields: Any) -> dict[str, Any]:
    """A job that runs."""
    placements = [{"node_id": "node-1", "gpu_ids": ["0", "1"]}]
    return job(
        number, **{"state": "RUNNING", "reason": None, "placements": placements, "step": 420, **fields}
    )


def finished(number: int = 1, state: str = "SUCCEEDED", **fields: Any) -> dict[str, Any]:
    """A job that has ended."""
    return job(number, **{"state": state, "reason": None, "ended_at": "2026-03-01T11:57:00Z", **fields})


def problem(status: int, code: str, detail: str, **facts: Any) -> httpx.Response:
    """A refusal as the API writes it."""
    body = {"type": "about:blank", "title": detail, "status": status, "code": code, "detail": detail, **facts}
    return httpx.Response(status, json=body, headers={"content-type": "application/problem+json"})


class StubSite:
    """Answers what `on` was told, one after the other and the last for ever; jobs come from `jobs`."""

    def __init__(self, *jobs: dict[str, Any]) -> None:
        self.jobs = {one["id"]: one for one in jobs}
        self.requests: list[httpx.Request] = []
        self.slept_s: list[float] = []
        self._answers: dict[tuple[str, str], list[Answer]] = {}

    def on(
        self, method: str, path: str, *answers: Answer | dict[str, Any], below: str = "/api/v1"
    ) -> StubSite:
        """Answer `path` below /api/v1 by these, a dictionary being JSON."""
        told = [httpx.Response(200, json=one) if isinstance(one, dict) else one for one in answers]
        self._answers[method, f"{below}{path}"] = told
        return self

    def client(self, **options: Any) -> Client:
        """A client of this site, which never really sleeps."""
        options = {"transport": httpx.MockTransport(self.handle), "sleep": self.slept_s.append, **options}
        return Client("http://site.test", "secret", **options)

    def asked(self, method: str = "POST") -> list[tuple[str, Any]]:
        """Path and JSON of each request so far."""
        return [
            (request.url.path, json.loads(request.content) if request.content else None)
            for request in self.requests
            if request.method == method
        ]

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        self.requests.append(request)
        told = self._answers.get((request.method, request.url.path))
        if told is None:
            return self._default(request)
        answer = told.pop(0) if len(told) > 1 else told[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _default(self, request: httpx.Request) -> httpx.Response:
        match request.method, *request.url.path.removeprefix("/api/v1/").split("/"):
            case "GET", "jobs":
                return self._page(request)
            case "POST", ("jobs" | "jobs:batch") as path:
                return self._accept(path, json.loads(request.content))
            case "GET", "jobs", job_id:
                return self._one(job_id, lambda found: found)
            case "POST", "jobs", job_id, ("cancel" | "hold" | "release") as verb:
                wish = {"cancel": "CANCEL", "hold": "HOLD", "release": "RUN"}[verb]
                return self._one(job_id, lambda found: {**found, "desired": wish})
            case (_, "arrays", array_id, *_):
                return problem(404, "array_not_found", f"there is no array '{array_id}'")
            case _:
                return httpx.Response(404, text="no such page")

    def _page(self, request: httpx.Request) -> httpx.Response:
        wanted = request.url.params
        found = [one for one in self.jobs.values() if wanted.get("state") in (None, one["state"])]
        begin = int(wanted.get("after", "0"))
        end = begin + int(wanted["limit"])
        return httpx.Response(
            200, json={"jobs": found[begin:end], "next": str(end) if end < len(found) else None}
        )

    def _accept(self, path: str, body: Any) -> httpx.Response:
        made = [job(len(self.jobs) + 1 + i) for i, _ in enumerate(body.get("jobs", [body]))]
        self.jobs |= {one["id"]: one for one in made}
        return httpx.Response(201, json={"jobs": made} if path == "jobs:batch" else made[0])

    def _one(self, job_id: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> httpx.Response:
        if job_id not in self.jobs:
            return problem(
                404, "job_not_found", f"there is no job {job_id}", remedy="look at GET /api/v1/jobs"
            )
        return httpx.Response(200, json=change(self.jobs[job_id]))

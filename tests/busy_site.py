"""A site with something of everything, and `barq` typed at it at noon."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from barq.cli import app, facts
from barq.client import Client
from tests.stub_site import StubSite, finished, job, running

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIMIT = {
    "id": "3",
    "limit_w": 200_000.0,
    "reason": "feeder work",
    "set_at": "2026-03-01T11:00:00Z",
    "until_at": None,
}
POWER = {
    "at": "2026-03-01T12:00:00Z",
    "site": "demo",
    "limit_w": 412_000.0,
    "limit_source": "surplus",
    "limit_provenance": "feeder 7",
    "firm_w": 50_000.0,
    "draw_w": 388_000.0,
    "draw_measured_at": "2026-03-01T11:59:59Z",
    "committed_w": 400_000.0,
    "ai_w": 268_000.0,
    "rest_w": 0.0,
    "miners_w": 120_000.0,
    "unused_w": 24_000.0,
    "next_change": {"at": "2026-03-01T16:10:00Z", "limit_w": 50_000.0},
    "sources": [
        {
            "name": "surplus",
            "limit_w": 412_000.0,
            "provenance": "feeder 7",
            "age_s": 1.0,
            "stale": False,
            "valid_until": None,
        }
    ],
    "limits": [LIMIT],
    "over_limit_s": 0.0,
    "sentence": "Surplus 412 kW. GPUs 268, miners 120, unused 24. Firm until 16:10.",
}
NODE = {
    "id": "node-1",
    "kind": "node",
    "reachable": True,
    "in_fallback": False,
    "address": "10.0.0.1",
    "estop": None,
    "draw_w": 1500.0,
    "entitlement_w": 2200.0,
    "base_w": 400.0,
    "gpus": [
        {"id": "0", "model": "a100", "draw_w": 350.0, "cap_w": 400.0, "attempt_id": "demo-1.1"},
        {"id": "1", "model": "a100", "draw_w": 60.0, "cap_w": 250.0, "attempt_id": None},
    ],
    "miners": [],
    "last_report_at": "2026-03-01T11:59:58Z",
    "alarms": [],
}
MINERS = {
    **NODE,
    "id": "miners",
    "kind": "miners",
    "reachable": False,
    "gpus": [],
    "miners": [
        {"id": "m1", "target_w": 3000.0, "draw_w": 2990.0},
        {"id": "m2", "target_w": 0.0, "draw_w": 15.0},
    ],
    "alarms": ["m2 is on"],
}
WHY = {
    "job_id": "demo-1",
    "state": "PENDING",
    "reason": {**job()["reason"], "remedy": "a lower power need, or a higher limit"},
    "expected": {"at": "2026-03-01T12:20:00Z"},
    "history": ["demo-1 was paused: power was withdrawn"],
    "checkpoint": {"step": 420, "path": "/srv/step-420", "interval_s": 300.0},
}
PLAN = {
    "verdict": "starts_now",
    "placements": [{"node_id": "node-1", "gpu_ids": ["0", "1"]}],
    "cap_w": 350.0,
    "reason": None,
    "position": None,
    "waiting": None,
    "ahead_gpus": None,
    "lacks": None,
    "expected_start": None,
    "effects": [],
    "snapshot_at": "2026-03-01T11:59:48Z",
    "snapshot_age_s": 12.0,
}
ATTEMPT = {
    "id": "demo-1.1",
    "number": 1,
    "state": "ENDED",
    "outcome": "PREEMPTED",
    "cause": "PowerWithdrawn",
    "placements": [{"node_id": "node-1", "gpu_ids": ["0", "1"]}],
    "started_at": "2026-03-01T11:00:00Z",
    "ended_at": "2026-03-01T11:57:00Z",
    "resumed_step": 0,
    "last_step": 420,
    "lost_steps": 0,
}
CHECKPOINT = {
    "step": 420,
    "path": "/srv/step-420",
    "verified_at": "2026-03-01T11:57:00Z",
    "state": "quarantined",
    "why": "hash differs",
}
EVENT = {
    "seq": 7,
    "at": "2026-03-01T11:57:00Z",
    "kind": "job.paused",
    "text": "power was withdrawn",
    "data": {},
}


PROJECTS = {
    "half_life_s": 604_800.0,
    "energy_weight": 0.5,
    "used_at": "2026-03-01T11:59:30Z",
    "unassigned": {"nominal_gpus": 8, "used_gpus": 2, "borrowed_gpus": 0, "lent_gpus": 4},
    "projects": [
        {
            "name": "vision",
            "weight": 3.0,
            "nominal_gpus": 16,
            "borrowing_limit_gpus": 8,
            "lending_limit_gpus": None,
            "used_gpus": 20,
            "borrowed_gpus": 4,
            "lent_gpus": 0,
            "gpu_h": 812.5,
            "energy_wh": 260_000.0,
            "used_share": 0.8,
            "due_share": 0.75,
            "factor": 0.48,
            "rank": 2,
        },
        {
            "name": "others",
            "weight": 1.0,
            "nominal_gpus": None,
            "borrowing_limit_gpus": None,
            "lending_limit_gpus": None,
            "used_gpus": 2,
            "borrowed_gpus": None,
            "lent_gpus": None,
            "gpu_h": 203.1,
            "energy_wh": 65_000.0,
            "used_share": 0.2,
            "due_share": 0.25,
            "factor": 0.57,
            "rank": 1,
        },
    ],
}


def busy_site() -> StubSite:
    """A site with a waiting, a running and a finished job, a node, two miners, and a limit that a person set."""
    site = StubSite(job(1), running(2), finished(3))
    site.on("GET", "/power", POWER).on("GET", "/nodes", {"nodes": [NODE, MINERS]})
    site.on("GET", "/jobs/demo-1/why", WHY).on("GET", "/jobs/demo-1/events", {"events": [EVENT]})
    site.on("POST", "/jobs:plan", PLAN).on("GET", "/projects", PROJECTS)
    site.on("GET", "/jobs/demo-1/attempts", {"attempts": [ATTEMPT]})
    site.on("GET", "/jobs/demo-1/checkpoints", {"checkpoints": [CHECKPOINT]})
    site.on("GET", "/jobs/demo-1/logs", httpx.Response(200, text="step 1\nstep 2 ✓\n"))
    site.on("POST", "/power/limits", LIMIT).on("POST", "/power/release", {"released": [LIMIT]})
    return site


def barq(site: StubSite, *words: str, **options: Any) -> Result:
    """Type `barq` and these words at the site, at noon UTC."""
    with pytest.MonkeyPatch.context() as patch, _utc(patch):
        patch.setattr(Client, "from_environment", site.client)
        patch.setattr(facts, "utc_now", lambda: NOON)
        return CliRunner().invoke(app, words, prog_name="barq", **options)


@contextmanager
def _utc(patch: pytest.MonkeyPatch) -> Iterator[None]:
    try:
        with patch.context() as zone:
            zone.setenv("TZ", "UTC")
            time.tzset()
            yield
    finally:
        time.tzset()

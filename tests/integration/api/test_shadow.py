"""The API of a site in shadow mode says so in every answer, and takes nobody in."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from api.settings import Settings
from scheduler.core.shadow import Figures, ShadowDay
from scheduler.shadow import DAY, SHADOW
from scheduler.wire import dumps
from tests.api_site import ApiSite, refused, two_nodes

NOW = {
    "at": "2026-03-01T13:20:05Z",
    "limit_w": 9000.0,
    "twin_w": 4000.0,
    "real_w": 12_900.0,
    "real_at": "2026-03-01T13:20:04Z",
    "real_source": "main",
    "real_missing": "",
}


@pytest.fixture
async def shadow(tmp_path: Path) -> AsyncIterator[ApiSite]:
    """The same site as the others, in shadow mode."""
    state = tmp_path / "state"
    plain = Settings(site="t", state_dir=state, database=state / "barq.db")
    async with ApiSite(state, replace(plain, is_shadow=True)) as made:
        yield made


async def test_every_answer_says_that_nothing_is_acted(shadow: ApiSite) -> None:
    """Job, list, why, nodes, power and the page; the id of a job cannot be taken for another's."""
    await shadow.show(two_nodes())
    await shadow.record(current={SHADOW: json.dumps(NOW)})
    notify = {"url": "https://example.org/hook", "secret": "s" * 20}
    job = await shadow.submit(notify=notify)

    assert (job["id"], job["shadow"]) == ("t-shadow-1", True)
    assert [one["shadow"] for one in (await shadow.get("/jobs"))["jobs"]] == [True]
    assert (await shadow.get(f"/jobs/{job['id']}/why"))["shadow"] is True
    assert {node["shadow"] for node in (await shadow.get("/nodes"))["nodes"]} == {True}
    power = await shadow.get("/power")
    assert power["shadow"] == NOW
    assert power["sentence"].startswith("SHADOW: nothing is acted.")
    page = await shadow.client.get("/", headers={"Accept": "text/html"})
    assert "SHADOW: nothing is acted." in page.text
    await shadow.end(job["id"])
    assert (await shadow.get(f"/jobs/{job['id']}/notifications"))["notifications"] == []


async def test_days_are_compared_over_what_both_know(shadow: ApiSite) -> None:
    """The newest first; a day on which the real site was not measured has no difference."""
    today = datetime.now(UTC).date()
    real = Figures(covered_s=3600.0, drawn_wh=5000.0, over_s=60.0, over_wh=20.0, worst_over_w=900.0)
    twin = Figures(covered_s=7200.0, drawn_wh=9000.0)
    beside = Figures(covered_s=3600.0, drawn_wh=4500.0, complied=2, comply_s=3.0, comply_max_s=2.0)
    old = ShadowDay(day=datetime(2026, 3, 1, tzinfo=UTC).date(), twin=twin)
    days = (old, ShadowDay(day=today, real=real, twin=twin, beside=beside, paused=2))
    await shadow.record(current={f"{DAY}{d.day.isoformat()}": dumps(d).decode() for d in days})

    told = await shadow.get("/shadow/days")
    assert (told["shadow"], [d["day"] for d in told["days"]]) == (True, [today.isoformat(), "2026-03-01"])
    newest, older = told["days"]
    assert newest["difference"]["drawn_wh"] == -500.0
    assert (newest["difference"]["over_s"], newest["difference"]["compared_s"]) == (-60.0, 3600.0)
    assert (older["real"], older["difference"]) == (None, None)
    assert older["twin"]["uncovered_s"] == 86_400.0 - 7200.0
    only = await shadow.get("/shadow/days", day="2026-03-01")
    assert [d["day"] for d in only["days"]] == ["2026-03-01"]


async def test_no_machine_joins_it(shadow: ApiSite) -> None:
    """It would be told of a Ray that is not there."""
    node = {"name": "hall-1", "address": "192.0.2.7", "base_w": 600, "simulated": True}
    gpu = {"gpu_id": "0", "model": "a100-sxm-400w"}
    response = await shadow.client.post("/api/v1/nodes/join", json=node | {"gpus": [gpu]})
    refused(response, 409, "shadow")


async def test_a_site_that_acts_says_nothing_of_it(site: ApiSite) -> None:
    """And has no days."""
    await site.show(two_nodes())
    assert (await site.submit())["shadow"] is False
    assert (await site.get("/power"))["shadow"] is None
    assert await site.get("/shadow/days") == {"shadow": False, "days": []}

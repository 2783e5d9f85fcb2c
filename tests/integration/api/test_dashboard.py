"""The pages without a browser: who sees them, what is in them, and what the stream tells."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from api.dashboard import assets
from api.dashboard.feed import Feed
from api.dashboard.picture import Picture
from api.session import cookie_name
from scheduler.core.inventory import Condition
from scheduler.core.reasons import Event, Reason
from scheduler.records import KeptInventory
from scheduler.store.machines import SqlMachineBook
from tests.api_server import Process
from tests.api_site import ApiSite
from tests.builders import SiteBuilder, site as site_of
from tests.machines import inventory, machine
from tests.stores import T0

OURS = {"Origin": "http://site.test"}


def site_now() -> SiteBuilder:
    """Two nodes of four GPUs and miners, as of now: a page tells what is old."""
    made = site_of(firm_w=3000)
    made.at = datetime.now(UTC)
    return made.node("node-1", gpus=4).node("node-2", gpus=4).miners().limit_w(9000)


@pytest.fixture
async def browser(site: ApiSite) -> httpx.AsyncClient:
    """A browser that has logged in. The site closes nothing for it: there is no socket."""
    made = site.client_with({})
    answer = await made.post("/login", data={"token": site.token}, headers=OURS)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    return made


# -- who sees them -----------------------------------------------------------------------------------------------------


async def test_a_stranger_is_shown_the_way_to_log_in(site: ApiSite) -> None:
    """From pages; programs get a problem as ever. The page that was wanted comes after."""
    async with site.client_with({}) as stranger:
        front, job = await stranger.get("/"), await stranger.get("/jobs/t-1")
        assert [(a.status_code, a.headers["location"]) for a in (front, job)] == [
            (303, "/login?next=/"),
            (303, "/login?next=/jobs/t-1"),
        ]
        for path in ("/stream", "/chart.json", "/api/v1/power/history"):
            assert (await stranger.get(path)).status_code == 401
        assert 'name="next" value="/jobs/t-1"' in (await stranger.get("/login?next=/jobs/t-1")).text


async def test_the_token_is_kept_where_no_script_and_no_other_site_finds_it(site: ApiSite) -> None:
    """HttpOnly and SameSite=Strict; over TLS only, if it came that way."""
    for scheme in ("http", "https"):
        async with site.client_with({}) as stranger:
            url = f"{scheme}://site.test"
            answer = await stranger.post(f"{url}/login", data={"token": site.token}, headers={"Origin": url})
        cookie = answer.headers["set-cookie"].lower()
        assert cookie.startswith(f"{cookie_name('t')}={site.token.lower()};")
        assert {"httponly", "samesite=strict", "path=/"} <= set(cookie.split("; "))
        assert ("secure" in cookie.split("; ")) == (scheme == "https")


@pytest.mark.parametrize("wanted", ["//evil.test/", "https://evil.test/", "/\\evil.test", "/logout"])
async def test_after_the_login_comes_a_page_of_this_site(site: ApiSite, wanted: str) -> None:
    """Wherever the link that led to it points."""
    async with site.client_with({}) as stranger:
        form = {"token": site.token, "next": wanted}
        answer = await stranger.post("/login", data=form, headers=OURS)
    assert answer.headers["location"] == "/"


async def test_a_token_that_is_not_known_opens_nothing(site: ApiSite) -> None:
    """And it is not put into the page again."""
    async with site.client_with({}) as stranger:
        answer = await stranger.post("/login", data={"token": "barq_<wrong>"}, headers=OURS)
        assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)
        assert "does not know that token" in answer.text
        assert "barq_" not in answer.text
        assert (await stranger.get("/")).status_code == 303


@pytest.mark.parametrize(
    "headers, status",
    [
        ({"Sec-Fetch-Site": "same-origin"}, 201),
        ({"Origin": "http://site.test"}, 201),
        ({"Origin": "http://evil.test"}, 401),
        ({"Origin": "http://site.test", "Sec-Fetch-Site": "cross-site"}, 401),
        ({"Sec-Fetch-Site": "same-site"}, 401),
        ({"Origin": "null"}, 401),
        ({}, 401),
    ],
)
async def test_a_browser_changes_something_only_from_our_own_page(
    site: ApiSite, browser: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    """Its cookie alone is no consent; looking is free."""
    body = {"limit_w": 4000, "reason": "drill"}
    assert (await browser.get("/api/v1/power/limits")).status_code == 200
    assert (await browser.post("/api/v1/power/limits", json=body, headers=headers)).status_code == status
    assert len((await site.get("/power/limits"))["limits"]) == (status == 201)


async def test_a_request_speaks_for_one_person(browser: httpx.AsyncClient) -> None:
    """A header that is wrong is not made good by a cookie."""
    answer = await browser.get("/api/v1/jobs", headers={"Authorization": "Bearer wrong"})
    assert answer.status_code == 401


async def test_who_logs_out_is_forgotten(browser: httpx.AsyncClient) -> None:
    """The browser, not the token."""
    assert (await browser.post("/logout", headers=OURS)).headers["location"] == "/login"
    assert (await browser.get("/")).status_code == 303


async def test_pages_let_nothing_in(browser: httpx.AsyncClient) -> None:
    """Scripts and styles of this site alone, no inline script, no frame around it."""
    answer = await browser.get("/")
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))

    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|https?://", answer.text)


# -- what is in them ---------------------------------------------------------------------------------------------------


async def test_the_page_tells_the_site(site: ApiSite, browser: httpx.AsyncClient) -> None:
    """The sentence, nodes with draw and cap, jobs with state and reason, and what happened, all escaped."""
    running, waiting = [await site.submit(name=name) for name in ("train", "wait")]
    await site.run(running["id"])
    why = Reason(code="PowerUnavailable", text="needs <3 kW> & has 1")
    event = Event(
        at=T0, kind="limit.changed", text="operator allows 9.0 kW: <script>alert(1)</script> (alisher)"
    )
    await site.record(reasons={waiting["id"]: why}, events=(event,))
    await site.show(site_now().running("t-1", on="node-1", gpus=2))

    page = (await browser.get("/")).text

    assert "Surplus 9.0 kW" in _text(page)
    for part in ("node-1", "node-2", "miners", "GPU 0", "cap 100 W", "target 4 kW"):
        assert part in page
    rows = [_text(row) for row in re.findall(r'<tr id="job-.*?</tr>', page, re.DOTALL)]
    assert [(row.split()[1], row.split()[2]) for row in rows] == [("running", "t-1"), ("pending", "t-2")]
    assert "node-1 GPU 0, 1" in rows[0]
    assert "needs &lt;3 kW&gt; &amp; has 1" in page
    assert "&lt;script&gt;" in page
    assert "<script>alert" not in page


async def test_miners_are_counted_by_what_they_do_and_troubles_named(
    site: ApiSite, browser: httpx.AsyncClient
) -> None:
    """The first few; the rest is a number. All of it escaped."""
    await site.show(site_now())
    bad = {"condition": Condition.UNUSABLE, "trouble": "<b>locked</b>"}
    fleet = [machine(1), machine(2, condition=Condition.ASLEEP), *(machine(n, **bad) for n in range(3, 8))]
    kept = KeptInventory(at=T0, partner="house", inventory=inventory(*fleet, group_id="miners"))
    SqlMachineBook(site.context.desk._engine).keep(kept, epoch=site.epoch)

    page = _text((await browser.get("/")).text)

    assert "1 running, 1 asleep, 5 unusable" in page
    assert page.count("is unusable: &lt;b&gt;locked") == 3
    assert "2 more in trouble" in page


async def test_the_stop_is_offered_where_the_site_has_one(site: ApiSite) -> None:
    """To operators, never to those who only look."""
    site.app.openapi()["paths"]["/api/v1/power/estop"] = {}
    for role, offered in (("operator", True), ("admin", True), ("researcher", False), ("viewer", False)):
        token = site.context.desk.create_token(role, role)
        async with site.client_with({"Authorization": f"Bearer {token}"}) as person:
            assert ('id="estop"' in (await person.get("/")).text) is offered, role
    del site.app.openapi()["paths"]["/api/v1/power/estop"]
    assert 'id="estop"' not in (await site.client.get("/")).text


async def test_a_job_has_a_page(site: ApiSite, browser: httpx.AsyncClient) -> None:
    """With its attempts, checkpoints and events; one that is not there has none."""
    job = await site.submit(name="train")
    await site.run(job["id"])
    await site.record(events=(Event(at=T0, kind="job.started", text="t-1 started", job_id="t-1"),))

    page = await browser.get("/jobs/t-1")
    missing = await browser.get("/jobs/t-9")

    assert page.status_code == 200
    for part in ("running", "t-1 started", "node-1", "Checkpoints"):
        assert part in page.text
    assert (missing.status_code, "There is no job t-9" in missing.text) == (404, True)


async def test_before_the_scheduler_ran_the_page_says_so(browser: httpx.AsyncClient) -> None:
    """Nothing is made up."""
    page = (await browser.get("/")).text
    assert "The scheduler has not looked at the site yet" in page
    assert "No job was submitted yet" in page


async def test_bokeh_comes_from_its_package(site: ApiSite) -> None:
    """Its script and an empty figure, once somebody looks; another version's address leads nowhere."""
    version = assets.bokeh_version()
    script = await site.client.get(f"/static/bokeh/{version}/bokeh.min.js")
    figure = (await site.client.get("/chart.json")).json()

    assert script.headers["content-type"].startswith("text/javascript")
    assert "immutable" in script.headers["cache-control"]
    assert len(script.text) > 1_000_000
    assert figure["version"] == version
    assert (await site.client.get("/static/bokeh/0.0.0/bokeh.min.js")).status_code == 404
    assert (await site.client.get("/static/barq/site.js")).status_code == 200
    assert (await site.client.get("/static/barq/../../auth.py")).status_code == 404


# -- the power series --------------------------------------------------------------------------------------------------


async def test_the_power_series_is_told_in_columns(site: ApiSite) -> None:
    """One point for each step, and nothing for a time without samples."""
    await site.show(site_now())

    told = await site.get("/power/history")
    before = await site.get("/power/history", until=told["since"])

    assert told["resolution_s"] == 5
    assert (told["limit_w"], len(told["at"]), len(told["draw_w"])) == ([9000], 1, 1)
    assert before["at"] == []


@pytest.mark.parametrize(
    "query, field",
    [
        ({"since": "2026-01-01T00:00:00"}, "since"),
        ({"since": "yesterday"}, "since"),
        ({"since": "0001-01-01T00:00:00Z"}, "since"),
        ({"resolution": "0"}, "resolution"),
        ({"resolution": "1e3"}, "resolution"),
        ({"from": "x"}, "from"),
    ],
)
async def test_a_span_that_makes_no_sense_is_refused(
    site: ApiSite, query: dict[str, str], field: str
) -> None:
    """The field is named."""
    answer = await site.client.get("/api/v1/power/history", params=query)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


async def test_a_series_has_an_end(site: ApiSite) -> None:
    """Backwards, or more points than anybody draws, are refused; a long span alone becomes coarse."""
    year = {"since": "2025-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}
    for query in ({"since": year["until"], "until": year["since"]}, {**year, "resolution": "1"}):
        assert (await site.client.get("/api/v1/power/history", params=query)).status_code == 422
    assert (await site.get("/power/history", **year))["resolution_s"] > 3600


# -- the stream --------------------------------------------------------------------------------------------------------


def events_of(stream: httpx.Response) -> Iterator[dict[str, Any]]:
    """The news of a stream, as they come."""
    kind = ""
    for line in stream.iter_lines():
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: ") and kind == "news":
            yield json.loads(line.removeprefix("data: "))


def watcher(url: str, state: Path) -> httpx.Client:
    """A client of the site that is patient."""
    token = (state / "token").read_text("utf-8").strip()
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60)


def test_the_stream_tells_all_and_then_what_changes(state: Path, url: str) -> None:
    """A job that is submitted comes as one new row."""
    with watcher(url, state) as client, client.stream("GET", "/stream") as answer:
        news = events_of(answer)
        first = next(news)
        job = client.post("/api/v1/jobs", json={"entrypoint": "true"}).json()
        second = next(news)

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert {"headline", "balance", "counts", "summary", "limits"} <= set(first["html"])
    assert first["lists"] == {"nodes": [], "jobs": [], "events": [], "instructions": []}
    assert set(second["html"]) == {"counts", f"job-{job['id']}"}
    assert second["lists"] == {"jobs": [f"job-{job['id']}"]}


def test_streams_end_when_the_site_stops(state: Path, process: Process) -> None:
    """Nobody who watches keeps it from stopping in order."""
    with watcher(process.address()["api_url"], state) as client, client.stream("GET", "/stream") as answer:
        news = events_of(answer)
        next(news)
        code, output = process.stop()
        assert list(news) == []

    assert code == 0, output
    assert "Cancelled" not in output


async def test_any_number_of_watchers_cost_one_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes within the same second, here a long one, is shown the same picture."""
    monkeypatch.setattr("api.dashboard.feed.FRESH_S", 60.0)
    looks = []

    def look() -> Picture:
        looks.append(Picture(at=T0))
        return looks[-1]

    feed = Feed(look, is_stopping=lambda: False)
    async with anyio.create_task_group() as watchers:
        for _ in range(50):
            watchers.start_soon(feed.latest)

    assert len(looks) == 1


async def test_a_stream_ends_in_the_middle_of_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a site that stops grants to its answers is not spent on waiting for the next look."""
    monkeypatch.setattr("api.dashboard.feed.PERIOD_S", 3600.0)
    stopping = asyncio.Event()
    events = Feed(lambda: Picture(at=T0), is_stopping=stopping.is_set).follow()
    await anext(events)
    asyncio.get_running_loop().call_later(0.01, stopping.set)

    async with asyncio.timeout(60):
        assert len([event async for event in events]) <= 1


def _text(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", html))

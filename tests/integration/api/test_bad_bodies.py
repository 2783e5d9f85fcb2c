"""Bodies and queries that nobody sends by accident, or only by accident: refused by name, and nothing is stored."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
from collections.abc import AsyncIterator

import pytest

from api.strict_body import MAX_NAMES, MAX_VALUES
from tests.api_site import ApiSite, refused
from tests.stored import everything

JSON = {"Content-Type": "application/json"}
JOB = '{"entrypoint": "x"}'


@pytest.fixture
async def untouched(site: ApiSite) -> AsyncIterator[ApiSite]:
    """A site whose database must be the same, to the last row, when the test is over."""
    await site.submit()
    before = everything(site.state / "barq.db")
    yield site
    assert everything(site.state / "barq.db") == before


def fields(**changes: object) -> str:
    """A job that would do but for these."""
    return json.dumps({"entrypoint": "x", **changes})


DOUBTFUL: list[tuple[str, str, str]] = [
    ('{"entrypoint": "x", "entrypoint": "y"}', "invalid_json", "entrypoint"),
    ('{"entrypoint": "x", "resources": {"gpus": 1, "gpus": 8}}', "invalid_json", "gpus"),
    ('{"entrypoint": "x", "env": {"A": "1", "\\u0041": "2"}}', "invalid_json", "A"),
    ('{"entrypoint": "x", "priority": NaN}', "invalid_json", "body"),
    ('{"entrypoint": "x", "resources": {"cpus": Infinity}}', "invalid_json", "body"),
    ('{"entrypoint": "x", "resources": {"cpus": 1e999}}', "invalid_field", "resources.cpus"),
    ('{"entrypoint": "x", "priority": ' + "9" * 5000 + "}", "invalid_json", "body"),
    ('{"entrypoint": "x", "time_limit": 1e308}', "invalid_field", "time_limit"),
    ("[" * 100_000 + "]" * 100_000, "invalid_json", "body"),
    (JOB + JOB, "invalid_json", "body"),
    ("\ufeff" + JOB, "invalid_json", "body"),
    (fields(resources={"gpus": -1}), "invalid_field", "resources.gpus"),
    (fields(resources={"gpus": 10**9}), "invalid_field", "resources.gpus"),
    (fields(nodes=10**9), "invalid_field", "nodes"),
    (fields(priority=2**63), "invalid_field", "priority"),
    (fields(name="a\0b"), "invalid_field", "name"),
    (fields(working_dir="/srv/\0"), "invalid_field", "working_dir"),
    ('{"entrypoint": "\\ud800"}', "invalid_field", "entrypoint"),
    ('{"entrypoint": "x", "\\udfff": 1}', "invalid_field", "(document)"),
    (fields(working_dir="../../etc"), "invalid_field", "working_dir"),
    (fields(gpus=1), "unknown_field", "gpus"),
    (json.dumps({"entrypoint": "x", **{f"k{i}": 1 for i in range(MAX_NAMES)}}), "invalid_json", "body"),
]


async def test_a_doubtful_job_is_refused_at_its_field(untouched: ApiSite) -> None:
    """The problem names it, says what to do, and can be printed anywhere."""
    for text, code, field in DOUBTFUL:
        response = await untouched.client.post("/api/v1/jobs", content=text, headers=JSON)

        problem = refused(response, 422, code)
        assert problem["field"] == field, problem
        assert problem["remedy"]
        assert problem["detail"].isprintable()
        assert len(response.content) < 4000


PACKED: list[tuple[bytes, dict[str, str], str]] = [
    (gzip.compress(b" " * 10_000_000), {"Content-Encoding": "gzip"}, "content-encoding"),
    (JOB.encode(), {"Content-Encoding": "br"}, "content-encoding"),
    (JOB.encode("utf-16"), {"Content-Type": "application/json; charset=utf-16"}, "content-type"),
    (JOB.encode(), {"Content-Type": 'application/json; charset="latin-1"'}, "content-type"),
]


async def test_nothing_is_unpacked_or_guessed(untouched: ApiSite) -> None:
    """A body comes as it is, and JSON as UTF-8: Python's reader would guess."""
    for body, headers, field in PACKED:
        response = await untouched.client.post("/api/v1/jobs", content=body, headers=JSON | headers)
        problem = refused(response, 415, "unsupported_encoding")
        assert problem["field"] == field
        assert problem["value"]
        assert problem["remedy"]
    for body in (JOB.encode("utf-16"), JOB.encode("utf-32"), b'{"entrypoint": "\xff"}'):
        response = await untouched.client.post("/api/v1/jobs", content=body, headers=JSON)
        assert refused(response, 422, "invalid_json")["remedy"] in ("send JSON as UTF-8", "correct it")


MANY: list[tuple[str, str, str]] = [
    ('{"jobs": [' + ",".join([JOB] * 100_000) + "]}", "invalid_field", "jobs"),
    ('{"jobs": [' + ",".join(['{"a": 1}'] * 9000) + "]}", "invalid_field", "jobs[0].entrypoint"),
    ('{"jobs": [' + ",".join(["[]"] * MAX_VALUES) + "]}", "invalid_json", "body"),
    ('{"jobs": [' + ",".join(["1"] * (MAX_VALUES + 1)) + "]}", "invalid_json", "body"),
]


async def test_a_hundred_thousand_of_anything_is_refused(untouched: ApiSite) -> None:
    """At the first that is wrong, in a short answer."""
    for text, code, field in MANY:
        response = await untouched.client.post("/api/v1/jobs:batch", content=text, headers=JSON)
        assert refused(response, 422, code)["field"] == field
        assert len(response.content) < 4000


async def test_a_text_may_hold_any_number_of_commas(site: ApiSite) -> None:
    """Only values are counted."""
    body = json.dumps({"jobs": [{"entrypoint": '\\",' * 20_000}] * 30})
    assert body.count(",") > MAX_VALUES

    response = await site.client.post("/api/v1/jobs:batch", content=body, headers=JSON)

    assert response.status_code == 201


def cursor(text: str) -> str:
    """What the page before would have given."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


QUERIES: list[tuple[str, str, str]] = [
    ("/jobs?limit=1&limit=2", "invalid_field", "limit"),
    ("/jobs?state=waiting&state=active", "invalid_field", "state"),
    ("/jobs?colour=red", "unknown_field", "colour"),
    ("/nodes?colour=red", "unknown_field", "colour"),
    ("/jobs/t-1?colour=red", "unknown_field", "colour"),
    ("/jobs?%00=1", "unknown_field", "\\x00"),
    ("/jobs?limit=0", "invalid_field", "limit"),
    ("/jobs?limit=1e3", "invalid_field", "limit"),
    ("/jobs?limit=" + "9" * 5000, "invalid_field", "limit"),
    ("/jobs?name=%00", "invalid_field", "name"),
    ("/jobs?state=%ff", "invalid_field", "state"),
    ("/jobs?after=x", "invalid_field", "after"),
    ("/jobs?after=%F0%9F%98%80", "invalid_field", "after"),
    (f"/jobs?after={cursor('number:' + '9' * 99)}", "invalid_field", "after"),
    (f"/jobs?after={cursor('number:-1')}", "invalid_field", "after"),
    (f"/jobs?after={cursor('number:1.5')}", "invalid_field", "after"),
    ("/jobs/t-1/events?after=-1", "invalid_field", "after"),
    (f"/jobs/t-1/events?after={2**63}", "invalid_field", "after"),
    ("/jobs/t-1/logs?tail=" + "9" * 400, "invalid_field", "tail"),
    ("/jobs/t-1/logs?follow=perhaps", "invalid_field", "follow"),
]


async def test_a_query_that_makes_no_sense_is_refused(untouched: ApiSite) -> None:
    """At its field, with what it held and what to write."""
    for path, code, field in QUERIES:
        problem = refused(await untouched.client.get(f"/api/v1{path}"), 422, code)
        assert problem["field"] == field, path
        assert problem["value"]
        assert problem["remedy"]


ODD_IDS = ["%00", "%ff", "..%2f..%2fetc", "t-1%0d%0aX: y", "é" * 100, "a" * 5000, "'%20or%201=1", "t-1%00"]


async def test_an_odd_id_is_that_of_no_job(untouched: ApiSite) -> None:
    """Whatever is asked of it."""
    verbs = [("GET", ""), ("GET", "/why"), ("GET", "/logs"), ("POST", "/cancel"), ("POST", "/hold")]
    for job_id, (method, verb) in itertools.product(ODD_IDS, verbs):
        response = await untouched.client.request(method, f"/api/v1/jobs/{job_id}{verb}")
        problem = response.json()
        assert (response.status_code, problem["status"]) == (404, 404)
        assert problem["code"] in ("job_not_found", "not_found")

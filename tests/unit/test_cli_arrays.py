"""Arrays on the command line: one line for all of one, and one word to all of it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.busy_site import barq, busy_site
from tests.stub_site import StubSite, finished, job, problem

ARRAY: dict[str, Any] = {
    "id": "demo-12",
    "name": "x",
    "owner": "ada",
    "count": 3,
    "most": 2,
    "submitted_at": "2026-03-01T11:50:00Z",
    "jobs": {"PENDING": 1, "RUNNING": 2},
}


def element(index: int, **fields: Any) -> dict[str, Any]:
    """A job of the array."""
    return job(12, **{"id": f"demo-12_{index}", "array_id": "demo-12", "array_index": index, **fields})


def site_with_array() -> StubSite:
    """A site that knows one array."""
    site = busy_site().on("GET", "/arrays/demo-12", ARRAY)
    for verb in ("cancel", "hold", "release"):
        site.on("POST", f"/arrays/demo-12/{verb}", ARRAY)
    return site


@pytest.mark.parametrize(
    "options, said", [([], "demo-12 2 jobs, demo-12_0 to demo-12_1\n"), (["--quiet"], "demo-12\n")]
)
def test_a_new_array_is_told_as_one(options: list[str], said: str) -> None:
    """With its first and last job; an id alone is that of all."""
    made = httpx.Response(201, json={"jobs": [element(0), element(1)]})
    site = site_with_array().on("POST", "/jobs:batch", made)

    result = barq(site, "submit", *options, "--array", "0-1%2", "--nodes", "1..4", "--", "true")

    assert (result.exit_code, result.stdout) == (0, said)
    [(_, body)] = site.asked()
    assert (body["jobs"][0]["array"], body["jobs"][0]["nodes"]) == ("0-1%2", "1..4")


@pytest.mark.parametrize("verb", ["cancel", "hold", "release"])
def test_one_word_is_said_to_all_of_an_array(verb: str) -> None:
    """By its id, beside jobs."""
    site = site_with_array()

    result = barq(site, verb, "demo-12", "demo-1")

    assert result.stdout.splitlines()[0] == "demo-12 3 jobs: 1 PENDING, 2 RUNNING"
    assert [path for path, _ in site.asked()] == [
        f"/api/v1/arrays/demo-12/{verb}",
        f"/api/v1/jobs/demo-1/{verb}",
    ]


def test_an_array_that_has_ended_is_refused_as_a_job_is() -> None:
    """The rest is done."""
    site = site_with_array()
    site.on("POST", "/arrays/demo-12/hold", problem(409, "refused_final", "all jobs have ended"))

    result = barq(site, "hold", "demo-12", "demo-1")

    assert result.exit_code == 4
    assert "all jobs have ended" in result.stderr
    assert "demo-1 " in result.stdout


def test_an_array_is_shown_by_state() -> None:
    """With where its jobs are listed."""
    result = barq(site_with_array(), "show", "demo-12")

    assert result.exit_code == 0
    for text in ("demo-12", "at once", "PENDING", "RUNNING", "barq jobs --array demo-12"):
        assert text in result.stdout


def test_waiting_for_an_array_is_waiting_for_each_job() -> None:
    """All of them, by rising index, whatever page they come on."""
    site = site_with_array()
    elements = [finished(12, id=f"demo-12_{i}", array_id="demo-12", array_index=i) for i in (1, 0)]
    site.jobs = {one["id"]: one for one in elements}

    result = barq(site, "wait", "demo-12", "--quiet")

    assert (result.exit_code, result.stdout) == (0, "demo-12_0\ndemo-12_1\n")
    assert site.requests[2].url.params["array"] == "demo-12"


def test_who_comes_after_an_array_names_it() -> None:
    """As a job would be."""
    site = site_with_array()

    assert barq(site, "submit", "--after", "demo-12", "--", "true").exit_code == 0

    assert site.asked()[0][1]["dependencies"] == ["afterok:demo-12"]


def test_a_gang_is_listed_with_its_bounds() -> None:
    """And the jobs of one array by its id."""
    site = site_with_array()
    site.jobs = {"demo-12_0": element(0, nodes=2, max_nodes=8, gpus=4)}

    result = barq(site, "jobs", "--array", "demo-12")

    assert "2..8x4" in result.stdout
    assert site.requests[0].url.params["array"] == "demo-12"

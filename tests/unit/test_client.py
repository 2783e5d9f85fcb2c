"""The client: what it asks, what it returns, and what each refusal becomes."""

from __future__ import annotations

import os
from typing import Any

import httpx
import pytest

from barq.client import Client
from barq.errors import BarqError, InvalidInput, NotFound, Refused, ServerError, Unauthorized, Unreachable
from barq.request import JobRequest
from barq.transport import RETRY_DELAYS_S
from tests.stub_site import StubSite, finished, job, problem, running

DOWN = httpx.ConnectError("connection refused")
CUT = httpx.RemoteProtocolError("server disconnected")


def test_every_request_shows_the_token() -> None:
    """The token travels as a bearer token."""
    site = StubSite(job(1))

    site.client().job("demo-1")

    assert site.requests[0].headers["authorization"] == "Bearer secret"


def test_a_job_is_submitted_as_it_was_written() -> None:
    """A checked request sends the fields that were given and no defaults; a mapping is sent as it is."""
    site = StubSite()
    request = JobRequest.model_validate({"entrypoint": "true", "resources": {"gpus": 2}, "time_limit": "1h"})

    site.client().submit(request)
    site.client().submit({"entrypoint": "false"})

    asked = {"entrypoint": "true", "resources": {"gpus": 2}, "time_limit": 3600.0}
    assert site.asked() == [("/api/v1/jobs", asked), ("/api/v1/jobs", {"entrypoint": "false"})]


@pytest.mark.parametrize(
    "given, said",
    [
        (None, "None is no job; give a mapping of its fields"),
        ({"entrypoint": {"a"}}, "cannot be sent: Object of type set is not JSON serializable; give text"),
        ({"entrypoint": "x", "priority": float("nan")}, "finite numbers, lists and dictionaries only"),
    ],
    ids=["none", "set", "nan"],
)
def test_what_cannot_be_a_job_is_refused_before_it_is_sent(given: Any, said: str) -> None:
    """As what was written and makes no sense, like all that a site refuses."""
    site = StubSite()

    with pytest.raises(InvalidInput) as caught:
        site.client().submit(given)

    assert said in str(caught.value)
    assert site.requests == []


def test_an_empty_id_names_no_job() -> None:
    """Nor the list of all."""
    with pytest.raises(NotFound, match="there is no job ''"):
        StubSite().client().job("")


def test_several_jobs_are_one_request() -> None:
    """All or none: one batch, answered in order."""
    site = StubSite()

    made = site.client().submit_many([{"entrypoint": "a"}, {"entrypoint": "b"}])

    assert [one["id"] for one in made] == ["demo-1", "demo-2"]
    assert site.asked() == [("/api/v1/jobs:batch", {"jobs": [{"entrypoint": "a"}, {"entrypoint": "b"}]})]


def test_every_job_goes_through_all_pages() -> None:
    """Paging is the client's business."""
    site = StubSite(*(job(number) for number in range(1, 1202)))

    ids = [one["id"] for one in site.client().every_job(state="PENDING")]

    assert ids == [f"demo-{number}" for number in range(1, 1202)]
    assert [request.url.params.get("after") for request in site.requests] == [None, "500", "1000"]


@pytest.mark.parametrize(
    "text,found", [("demo-12", "demo-12"), ("12", "demo-12"), ("1", "demo-1"), ("lab", "lab-7")]
)
def test_a_job_is_found_by_less_than_its_id(text: str, found: str) -> None:
    """Its exact id, else its number, else the beginning of its id."""
    site = StubSite(job(1), job(12), job(7, id="lab-7"))

    assert site.client().find(text)["id"] == found


def test_a_beginning_that_fits_several_is_refused() -> None:
    """The candidates are named, a few of them."""
    site = StubSite(*(job(number) for number in range(1, 9)))

    with pytest.raises(InvalidInput, match=r"'demo' could be demo-1, .*, demo-5, …; write more of it"):
        site.client().find("demo")


def test_a_job_that_is_not_there_is_not_found() -> None:
    """No id, number or beginning fits."""
    with pytest.raises(NotFound, match="there is no job 99"):
        StubSite(job(1)).client().find("99")


def test_an_id_cannot_reach_another_path() -> None:
    """Whatever is in an id stays in its part of the path."""
    site = StubSite(job(1))

    with pytest.raises((NotFound, ServerError)):
        site.client().job("../power")

    assert site.requests[0].url.raw_path == b"/api/v1/jobs/..%2Fpower"


@pytest.mark.parametrize(
    "answer,kind",
    [
        (problem(401, "unauthorized", "no token"), Unauthorized),
        (problem(403, "forbidden", "not yours"), Refused),
        (problem(404, "job_not_found", "no job"), NotFound),
        (problem(409, "refused_final", "it has ended"), Refused),
        (problem(413, "body_too_large", "too large"), InvalidInput),
        (problem(422, "invalid_field", "bad"), InvalidInput),
        (problem(422, "never_fits", "no node has 9 GPUs"), Refused),
        (problem(500, "internal", "oops"), ServerError),
        (problem(503, "no_database", "oops"), ServerError),
        (httpx.Response(200, text="<html>hello"), ServerError),
        (httpx.Response(404, text="not here"), ServerError),
        (httpx.Response(302, headers={"location": "http://elsewhere.test"}), ServerError),
        (
            httpx.Response(500, content=b"[1]", headers={"content-type": "application/problem+json"}),
            ServerError,
        ),
    ],
)
def test_each_refusal_has_its_type(answer: httpx.Response, kind: type[BarqError]) -> None:
    """Status and code decide; what is no answer of a site says so."""
    site = StubSite().on("GET", "/power", answer)

    with pytest.raises(BarqError) as caught:
        site.client().power()

    assert type(caught.value) is kind


def test_a_refusal_keeps_its_facts() -> None:
    """Code, field, value and remedy of the site are attributes, and one line for people."""
    facts = {"field": "resources.gpus", "value": "-1", "remedy": "write a number of at least 0"}
    site = StubSite().on(
        "POST", "/jobs", problem(422, "invalid_field", "resources.gpus: -1 is refused", **facts)
    )

    with pytest.raises(InvalidInput) as caught:
        site.client().submit({"entrypoint": "true", "resources": {"gpus": -1}})

    error = caught.value
    assert (error.code, error.field, error.value) == ("invalid_field", "resources.gpus", "-1")
    assert str(error) == "resources.gpus: -1 is refused; write a number of at least 0"


def test_a_site_that_restarts_is_waited_for() -> None:
    """A refused connection sent nothing, so that even a submission is tried again."""
    site = StubSite().on("POST", "/jobs", DOWN, DOWN, httpx.Response(201, json=job(1)))

    assert site.client().submit({"entrypoint": "true"})["id"] == "demo-1"
    assert site.slept_s == list(RETRY_DELAYS_S[:2])


def test_a_site_that_stays_away_is_unreachable() -> None:
    """After about three seconds the address and the remedy are told."""
    site = StubSite().on("GET", "/power", DOWN)

    with pytest.raises(Unreachable, match=r"no site answers at http://site.test; check BARQ_URL.*`barq up`"):
        site.client().power()

    assert site.slept_s == list(RETRY_DELAYS_S)


def test_a_lost_answer_is_asked_for_again() -> None:
    """A GET changes nothing."""
    site = StubSite().on("GET", "/nodes", CUT, {"nodes": []})

    assert site.client().nodes() == []


def test_a_submission_whose_answer_is_lost_is_not_repeated() -> None:
    """It may have been queued: the person is told where to look."""
    site = StubSite().on("POST", "/jobs", CUT)

    with pytest.raises(Unreachable, match=r"broke off its answer; look at `barq jobs`") as caught:
        site.client().submit({"entrypoint": "true"})

    assert (caught.value.code, len(site.requests)) == ("answer_lost", 1)


def test_a_slow_site_is_not_asked_twice() -> None:
    """A timeout is told as one; the time was spent."""
    site = StubSite().on("GET", "/power", httpx.ReadTimeout("slow"))

    with pytest.raises(Unreachable, match="did not answer in time"):
        site.client().power()

    assert len(site.requests) == 1


@pytest.mark.parametrize(
    "url", ["", "site.test", "ftp://site.test", "http://", "http://[", "http://host:99999999"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    """The field, the value and the form of an address are named."""
    with pytest.raises(InvalidInput, match="write http://HOST:PORT") as caught:
        Client(url)

    assert (caught.value.field, caught.value.value) == ("url", url)


@pytest.mark.parametrize(
    "url,direct", [("http://127.0.0.1:1", True), ("http://localhost:1", True), ("http://10.0.0.1", False)]
)
def test_a_site_here_is_reached_without_a_proxy(
    monkeypatch: pytest.MonkeyPatch, url: str, *, direct: bool
) -> None:
    """A proxy could not reach this machine's loopback; other sites are reached as the environment says."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.test:3128")

    with Client(url) as site:
        assert (site._transport._http._mounts == {}) is direct


def test_logs_come_in_pieces() -> None:
    """What the job printed arrives as it comes, and `follow` and `tail` are asked for."""
    site = StubSite().on("GET", "/jobs/demo-1/logs", httpx.Response(200, text="step 1\nstep 2 ✓\n"))

    assert "".join(site.client().logs("demo-1", follow=True, tail=10)) == "step 1\nstep 2 ✓\n"
    assert dict(site.requests[0].url.params) == {"follow": "true", "tail": "10"}
    assert site.requests[0].extensions["timeout"]["read"] is None


def test_logs_of_a_job_that_is_not_there() -> None:
    """A stream is refused as anything else is."""
    site = StubSite().on("GET", "/jobs/demo-9/logs", problem(404, "job_not_found", "there is no job demo-9"))

    with pytest.raises(NotFound):
        list(site.client().logs("demo-9"))


def test_logs_that_break_off() -> None:
    """A site that goes away while it is followed is told, and what came before is kept."""

    class Broken(httpx.SyncByteStream):
        def __iter__(self) -> Any:
            yield b"step 1\n"
            raise httpx.ReadError("gone")

    site = StubSite().on("GET", "/jobs/demo-1/logs", httpx.Response(200, stream=Broken()))
    pieces = site.client().logs("demo-1", follow=True)

    assert next(pieces) == "step 1\n"
    with pytest.raises(Unreachable, match="broke off"):
        next(pieces)


def test_waiting_tells_changes_and_ends_with_the_job() -> None:
    """Each state is given once, and the wait is over when the job is."""
    site = StubSite().on("GET", "/jobs/demo-1", job(1), job(1), running(1), finished(1))

    assert [one["state"] for one in site.client().watch(["demo-1"])] == ["PENDING", "RUNNING", "SUCCEEDED"]


def test_waiting_returns_all_jobs_in_order() -> None:
    """The order is that of the question, each job as it ended."""
    site = StubSite(finished(1), finished(2, "FAILED"))

    states = [one["state"] for one in site.client().wait(["demo-2", "demo-1"])]

    assert states == ["FAILED", "SUCCEEDED"]


def test_one_job_may_be_waited_for_by_its_id_alone() -> None:
    """A text is not taken apart into letters."""
    (ended,) = StubSite(finished(1)).client().wait("demo-1")

    assert ended["id"] == "demo-1"


def test_waiting_rides_out_a_restart() -> None:
    """A site that is away for half a minute ends no wait."""
    away = [DOWN] * (10 * (len(RETRY_DELAYS_S) + 1))
    site = StubSite().on("GET", "/jobs/demo-1", job(1), *away, finished(1))

    assert site.client().wait(["demo-1"])[0]["state"] == "SUCCEEDED"


def test_waiting_gives_up_on_a_site_that_is_gone() -> None:
    """After about a minute without an answer the site is unreachable."""
    site = StubSite().on("GET", "/jobs/demo-1", DOWN)

    with pytest.raises(Unreachable):
        site.client().wait(["demo-1"])

    assert 50 < sum(site.slept_s) < 80


def test_waiting_ends_at_its_time_limit() -> None:
    """Jobs are returned as they are then."""
    site = StubSite(running(1))

    assert site.client().wait(["demo-1"], timeout_s=0)[0]["state"] == "RUNNING"


def test_a_limit_stands_until_released_unless_told() -> None:
    """`for_s` is sent only when it is asked for, a reason always."""
    limit = {"id": "limit-1", "limit_w": 2e5, "reason": "feeder work"}
    site = StubSite().on("POST", "/power/limits", limit).on("POST", "/power/release", {"released": [limit]})
    client = site.client()

    client.limit(2e5, reason="feeder work")
    client.limit(2e5, reason="feeder work", for_s=1800)
    assert client.release_limits(reason="done") == [limit]

    asked = {"limit_w": 2e5, "reason": "feeder work"}
    assert [body for _, body in site.asked()] == [asked, {**asked, "for_s": 1800}, {"reason": "done"}]


@pytest.mark.parametrize(
    "method,path,key",
    [
        ("events", "/jobs/demo-1/events", "events"),
        ("attempts", "/jobs/demo-1/attempts", "attempts"),
        ("checkpoints", "/jobs/demo-1/checkpoints", "checkpoints"),
    ],
)
def test_lists_of_a_job_come_without_their_wrapping(method: str, path: str, key: str) -> None:
    """The client returns the list that the answer holds."""
    site = StubSite().on("GET", path, {key: [{"seq": 1}]})

    assert getattr(site.client(), method)("demo-1") == [{"seq": 1}]


@pytest.mark.parametrize("verb", ["cancel", "hold", "release"])
def test_control_is_a_post_without_a_body(verb: str) -> None:
    """The verb is the path."""
    site = StubSite(job(1))

    getattr(site.client(), verb)("demo-1")

    assert site.asked() == [(f"/api/v1/jobs/demo-1/{verb}", None)]

"""A site from Python: submit jobs, watch them, ask why they wait, and limit the power.

    with Client.from_environment() as site:
        job = site.submit({"entrypoint": "python train.py", "resources": {"gpus": 2}})
        [job] = site.wait([job["id"]])

Methods are named after the verbs of the command line and return the site's JSON (`barq.views`). They raise
Unreachable, Unauthorized, NotFound, Refused, InvalidInput, ServerError (`barq.errors`).
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Final, Self, cast
from urllib.parse import quote

from barq.errors import InvalidInput, NotFound, Unreachable
from barq.location import find_site
from barq.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import httpx

    from barq.request import JobRequest
    from barq.views import (
        AttemptView,
        CheckpointView,
        EventView,
        JobPage,
        JobView,
        LimitView,
        NodeView,
        PowerView,
        SummaryView,
        WhyView,
    )

FINAL_STATES: Final = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})
PAGE_SIZE: Final = 500

_POLL_DELAYS_S: Final = (0.2, 0.2, 0.5, 1.0, 2.0)
_LOST_POLLS: Final = 20  # each has tried for three seconds by itself


class Client:
    """One site. Use as a context manager, or call `close`. Not for several threads at once."""

    def __init__(
        self,
        url: str,
        token: str | None = None,
        timeout_s: float = 30.0,
        *,
        transport: httpx.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._transport = Transport(url, token, timeout_s, transport=transport, sleep=sleep)
        self._sleep = sleep

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None, *, timeout_s: float = 30.0) -> Client:
        """Return a client of the site that BARQ_URL names, else of the one here. Raises Unreachable."""
        location = find_site(os.environ if environ is None else environ)
        return cls(location.url, location.token, timeout_s)

    @property
    def url(self) -> str:
        """The address of the site."""
        return self._transport.url

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def submit(self, job: JobRequest | Mapping[str, Any]) -> JobView:
        """Queue one job. A mapping has the fields of a job file."""
        return cast("JobView", self._post("/api/v1/jobs", _body(job)))

    def submit_many(self, jobs: Iterable[JobRequest | Mapping[str, Any]]) -> list[JobView]:
        """Queue several jobs, all or none, in this order."""
        answer = self._post("/api/v1/jobs:batch", {"jobs": [_body(job) for job in jobs]})
        return cast("list[JobView]", answer["jobs"])

    def jobs(
        self,
        *,
        state: str | None = None,
        name: str | None = None,
        project: str | None = None,
        limit: int = PAGE_SIZE,
        after: str | None = None,
    ) -> JobPage:
        """Return a page; `state` may be waiting|active|finished, `after` is the `next` of the page before."""
        params = {"state": state, "name": name, "project": project, "limit": limit, "after": after}
        return cast("JobPage", self._get("/api/v1/jobs", params))

    def every_job(
        self,
        *,
        state: str | None = None,
        name: str | None = None,
        project: str | None = None,
        page_size: int = PAGE_SIZE,
    ) -> Iterator[JobView]:
        """Go through all jobs that match, newest first, page by page."""
        after = None
        while True:
            page = self.jobs(state=state, name=name, project=project, limit=page_size, after=after)
            yield from page["jobs"]
            after = page["next"]
            if after is None:
                return

    def find(self, text: str) -> JobView:
        """Return the job with the id `text`, else the only one whose number it is or whose id begins with it.

        Raises NotFound if there is none, InvalidInput if there are several.
        """
        try:
            return self.job(text)
        except NotFound:
            if not text:
                raise
            candidates = list(self.every_job())
            numbered = [job for job in candidates if job["id"].rpartition("-")[2] == text]
            found = numbered or [job for job in candidates if job["id"].startswith(text)]
            if not found:
                raise
        if len(found) > 1:
            raise _ambiguous(text, [job["id"] for job in found])
        return found[0]

    def job(self, job_id: str) -> JobView:
        """Return one job."""
        return cast("JobView", self._get(_job_path(job_id)))

    def why(self, job_id: str) -> WhyView:
        """Return why a job is where it is, and what would change it."""
        return cast("WhyView", self._get(_job_path(job_id, "why")))

    def events(self, job_id: str) -> list[EventView]:
        """Return what happened to a job, oldest first."""
        return cast("list[EventView]", self._get(_job_path(job_id, "events"))["events"])

    def attempts(self, job_id: str) -> list[AttemptView]:
        """Return the placements of a job, oldest first."""
        return cast("list[AttemptView]", self._get(_job_path(job_id, "attempts"))["attempts"])

    def checkpoints(self, job_id: str) -> list[CheckpointView]:
        """Return the checkpoints of a job, verified and quarantined."""
        return cast("list[CheckpointView]", self._get(_job_path(job_id, "checkpoints"))["checkpoints"])

    def logs(self, job_id: str, *, follow: bool = False, tail: int | None = None) -> Iterator[str]:
        """Give a job's output in pieces as they come, not cut at line ends; `follow` until it has ended."""
        params = {"follow": "true" if follow else None, "tail": tail}
        with self._transport.stream(_job_path(job_id, "logs"), params=params) as pieces:
            yield from pieces

    def cancel(self, job_id: str) -> JobView:
        """End a job for good. Raises Refused if it has ended otherwise."""
        return self._control(job_id, "cancel")

    def hold(self, job_id: str) -> JobView:
        """Stop a job until it is released. Raises Refused if it has ended."""
        return self._control(job_id, "hold")

    def release(self, job_id: str) -> JobView:
        """Let a held job run again. Raises Refused if it has ended."""
        return self._control(job_id, "release")

    def watch(self, job_ids: Sequence[str], *, timeout_s: float | None = None) -> Iterator[JobView]:
        """Give each job now and whenever its state has changed, until all ended or `timeout_s` passed.

        Rides out a minute without an answer, so that a site may be restarted meanwhile.
        """
        give_up_at = None if timeout_s is None else time.monotonic() + timeout_s
        states: dict[str, str] = {}
        unfinished = list(dict.fromkeys(job_ids))
        for delay_s in _poll_delays():
            for job_id in unfinished:
                job = self._job_patiently(job_id)
                if states.get(job_id) != job["state"]:
                    states[job_id] = job["state"]
                    yield job
            unfinished = [job_id for job_id in unfinished if states[job_id] not in FINAL_STATES]
            if not unfinished or (give_up_at is not None and time.monotonic() >= give_up_at):
                return
            self._sleep(delay_s)

    def wait(self, job_ids: Sequence[str], timeout_s: float | None = None) -> list[JobView]:
        """Return the jobs in this order once all have ended; as they are if `timeout_s` passes before."""
        latest = {job["id"]: job for job in self.watch(job_ids, timeout_s=timeout_s)}
        jobs = (latest[job_id] for job_id in job_ids)
        return [job if job["state"] in FINAL_STATES else self.job(job["id"]) for job in jobs]

    def nodes(self) -> list[NodeView]:
        """Return the nodes and groups of miners, with what each draws and may draw."""
        return cast("list[NodeView]", self._get("/api/v1/nodes")["nodes"])

    def power(self) -> PowerView:
        """Return the site's power now: limit, draw, who uses it, what changes next."""
        return cast("PowerView", self._get("/api/v1/power"))

    def limits(self) -> list[LimitView]:
        """Return the manual limits that stand."""
        return cast("list[LimitView]", self._get("/api/v1/power/limits")["limits"])

    def limit(self, limit_w: float, *, reason: str, for_s: float | None = None) -> LimitView:
        """Limit the site to `limit_w`, until released or for `for_s` seconds."""
        body: dict[str, Any] = {"limit_w": limit_w, "reason": reason}
        if for_s is not None:
            body["for_s"] = for_s
        return cast("LimitView", self._post("/api/v1/power/limits", body))

    def release_limits(self, *, reason: str | None = None) -> list[LimitView]:
        """Release all manual limits; return them."""
        answer = self._post("/api/v1/power/release", {} if reason is None else {"reason": reason})
        return cast("list[LimitView]", answer["released"])

    def summary(self) -> SummaryView:
        """Return the site's counters: withdrawals, time to comply, steps lost, checkpoints, energy."""
        return cast("SummaryView", self._get("/api/v1/summary"))

    def _control(self, job_id: str, verb: str) -> JobView:
        return cast("JobView", self._post(_job_path(job_id, verb), None))

    def _job_patiently(self, job_id: str) -> JobView:
        for _ in range(_LOST_POLLS):
            try:
                return self.job(job_id)
            except Unreachable:
                self._sleep(_POLL_DELAYS_S[0])
        return self.job(job_id)

    def _get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON; callers cast
        return self._transport.send("GET", path, params=params)

    def _post(self, path: str, body: object) -> Any:  # noqa: ANN401 - JSON; callers cast
        return self._transport.send("POST", path, body=body)


def _body(job: JobRequest | Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that were given, as JSON."""
    return dict(job) if isinstance(job, dict) else _dumped(cast("JobRequest", job))


def _dumped(request: JobRequest) -> dict[str, Any]:
    return request.model_dump(mode="json", exclude_unset=True)


def _job_path(job_id: str, verb: str = "") -> str:
    return f"/api/v1/jobs/{quote(job_id, safe='', errors='replace')}" + (f"/{verb}" if verb else "")


def _poll_delays() -> Iterator[float]:
    yield from _POLL_DELAYS_S
    while True:
        yield _POLL_DELAYS_S[-1]


def _ambiguous(text: str, ids: Sequence[str]) -> InvalidInput:
    shown = ", ".join(ids[:5]) + (", …" if len(ids) > 5 else "")  # noqa: PLR2004 - enough to see what is meant
    message = f"id: {text!r} could be {shown}"
    return InvalidInput(message, code="ambiguous_id", field="id", value=text, remedy="write more of it")

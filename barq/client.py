"""A site from Python: submit jobs, watch them, ask why they wait, and limit the power.

    from barq import Client

    with Client.from_environment() as site:
        job = site.submit({"entrypoint": "python train.py", "resources": {"gpus": 2}})
        [job] = site.wait([job["id"]])

Methods are named after the verbs of the command line and return the site's JSON (`barq.views`). They raise
Unreachable, Unauthorized, NotFound, Refused, InvalidInput, ServerError (`barq.errors`). `barq.AsyncClient` has the
same ones to await. What they send is in `barq.calls`, what takes several requests in `barq.talks`.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from barq import calls, talks
from barq.calls import PAGE_SIZE, Call
from barq.errors import BarqError
from barq.location import find_site
from barq.miner_verbs import MinerVerbs
from barq.power_verbs import PowerVerbs
from barq.talks import FINAL_STATES, Item, Pause, Turns
from barq.transport import Transport
from barq.uploading import as_package, folder_to_send, upload, without_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import httpx

    from barq.calls import Job, Jobs
    from barq.forecast_views import ForecastView
    from barq.site_views import ProjectsView, SummaryView
    from barq.talks import Talk
    from barq.uploading import Progress
    from barq.views import (
        ArrayView,
        AttemptView,
        CheckpointView,
        EventView,
        JobPage,
        JobView,
        JoinedView,
        MadeTokenView,
        MeView,
        NodeView,
        NotificationView,
        PlanView,
        TokenView,
        WhyView,
    )

__all__ = ["FINAL_STATES", "PAGE_SIZE", "Client"]

T = TypeVar("T")


class Client(PowerVerbs, MinerVerbs):
    """One site: `with Client.from_environment() as site: job = site.submit("train.yaml")`.

    Use it as a context manager, or call `close`. Not for several threads at once.
    """

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
    def from_environment(
        cls, environ: Mapping[str, str] | None = None, *, profile: str | None = None, timeout_s: float = 30.0
    ) -> Client:
        """Return a client of the site of `profile`, else of the one that the environment leads to.

        `barq.location` says which that is. Raises Unreachable, and InvalidInput for an unknown profile.
        """
        location = find_site(os.environ if environ is None else environ, profile)
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

    def submit(self, job: Job) -> JobView:
        """Queue one job: a mapping with the fields of a job file, a JobRequest, or the path of a job file.

        A relative working_dir is uploaded first. Of one with an `array` the first of its jobs is returned.
        """
        return self._do(calls.submit(self._with_package(calls.body_of(job))))

    def submit_many(self, jobs: Jobs) -> list[JobView]:
        """Queue several jobs, or all those of a job file: all or none, in this order.

        An `array` stands for all its jobs.
        """
        bodies = [self._with_package(body) for body in calls.bodies_of(jobs)]
        return self._do(calls.submit_many(bodies))

    def plan(self, job: Job) -> PlanView:
        """Say what would become of a job if it were submitted now: the decision as a dry run. Nothing is sent or kept.

        Raises Refused for one that can never fit, InvalidInput for what a submission would be refused for.
        """
        return self._do(calls.plan(without_folder(calls.body_of(job))))

    def upload(self, folder: Path | str, *, progress: Progress | None = None) -> str:
        """Pack a folder (`.gitignore` is respected), send what the site lacks of it, and return its package.

        A job with that `package` runs in a copy of its own. `progress` hears a stage, bytes done and bytes in all.
        Raises InvalidInput for what cannot be packed: links that lead out, special files, too much.
        """
        return upload(self._transport, folder, progress)

    def jobs(
        self,
        *,
        state: str | None = None,
        name: str | None = None,
        project: str | None = None,
        owner: str | None = None,
        array: str | None = None,
        limit: int = PAGE_SIZE,
        after: str | None = None,
    ) -> JobPage:
        """Return a page; `state` may be waiting|active|finished, `after` is the `next` of the page before."""
        return self._do(
            calls.jobs(
                state=state, name=name, project=project, owner=owner, array=array, limit=limit, after=after
            )
        )

    def every_job(
        self,
        *,
        state: str | None = None,
        name: str | None = None,
        project: str | None = None,
        owner: str | None = None,
        array: str | None = None,
        page_size: int = PAGE_SIZE,
    ) -> Iterator[JobView]:
        """Go through all jobs that match, newest first, page by page."""
        return self._items(
            talks.every_job(
                state=state, name=name, project=project, owner=owner, array=array, page_size=page_size
            )
        )

    def find(self, text: str) -> JobView:
        """Return the job with the id `text`, else the only one whose number it is or whose id begins with it.

        Raises NotFound if there is none, InvalidInput if there are several.
        """
        return self._result(talks.find(text))

    def find_any(self, text: str) -> JobView | ArrayView:
        """Return the job or the array with the id `text`, else what `find` returns. Raises what `find` raises."""
        return self._result(talks.find_any(text))

    def job(self, job_id: str) -> JobView:
        """Return one job."""
        return self._do(calls.job(job_id))

    def show(self, job_id: str) -> JobView:
        """Return one job, as `job` does: the command line calls it so."""
        return self._do(calls.job(job_id))

    def why(self, job_id: str) -> WhyView:
        """Return why a job is where it is, and what would change it."""
        return self._do(calls.why(job_id))

    def events(self, job_id: str | None = None) -> list[EventView]:
        """Return what happened to a job, or lately on the site, oldest first."""
        return self._do(calls.events(job_id))

    def attempts(self, job_id: str) -> list[AttemptView]:
        """Return the placements of a job, oldest first."""
        return self._do(calls.attempts(job_id))

    def checkpoints(self, job_id: str) -> list[CheckpointView]:
        """Return the checkpoints of a job, verified and quarantined."""
        return self._do(calls.checkpoints(job_id))

    def notifications(self, job_id: str) -> list[NotificationView]:
        """Return what the job's webhook was told, or is to be told, oldest first."""
        return self._do(calls.notifications(job_id))

    def logs(
        self,
        job_id: str,
        *,
        follow: bool = False,
        tail: int | None = None,
        missing: Callable[[int], None] | None = None,
    ) -> Iterator[str]:
        """Give a job's output in pieces as they come, not cut at line ends; `follow` until it has ended.

        `missing` hears first how many bytes of its start are kept no longer, if that is where it was to begin.
        """
        with self._transport.stream(calls.logs(job_id, follow=follow, tail=tail), missing) as pieces:
            yield from pieces

    def cancel(self, job_id: str) -> JobView:
        """End a job for good. Raises Refused if it has ended otherwise."""
        return self._do(calls.control(job_id, "cancel"))

    def hold(self, job_id: str) -> JobView:
        """Stop a job until it is released. Raises Refused if it has ended."""
        return self._do(calls.control(job_id, "hold"))

    def release(self, job_id: str) -> JobView:
        """Let a held job run again. Raises Refused if it has ended."""
        return self._do(calls.control(job_id, "release"))

    def array(self, array_id: str) -> ArrayView:
        """Return in which states the jobs of an array are; `every_job(array=...)` gives the jobs."""
        return self._do(calls.array(array_id))

    def cancel_array(self, array_id: str) -> ArrayView:
        """End all jobs of an array for good. Raises Refused if all have ended otherwise."""
        return self._do(calls.control_array(array_id, "cancel"))

    def hold_array(self, array_id: str) -> ArrayView:
        """Stop all jobs of an array until they are released. Raises Refused if all have ended."""
        return self._do(calls.control_array(array_id, "hold"))

    def release_array(self, array_id: str) -> ArrayView:
        """Let the held jobs of an array run again. Raises Refused if all have ended."""
        return self._do(calls.control_array(array_id, "release"))

    def watch(self, job_ids: Sequence[str], *, timeout_s: float | None = None) -> Iterator[JobView]:
        """Give each job now and whenever its state has changed, until all ended or `timeout_s` passed.

        Rides out a minute without an answer, so that a site may be restarted meanwhile.
        """
        return self._items(talks.watch(job_ids, timeout_s=timeout_s))

    def wait(self, job_ids: Sequence[str], timeout_s: float | None = None) -> list[JobView]:
        """Return the jobs in this order once all have ended; as they are if `timeout_s` passes before."""
        return self._result(talks.wait(job_ids, timeout_s=timeout_s))

    def nodes(self) -> list[NodeView]:
        """Return the nodes and groups of miners, with what each draws and may draw."""
        return self._do(calls.nodes())

    def forecast(self, *, step_s: int = 900) -> ForecastView:
        """Return the limit of the next 48 hours, a row for each quarter, half or whole hour, and how good it was."""
        return self._do(calls.forecast(step_s=step_s))

    def projects(self) -> ProjectsView:
        """Return the projects: quotas, what they use, whose turn it is."""
        return self._do(calls.projects())

    def join_node(self, node: Mapping[str, Any]) -> JoinedView:
        """Take a node of another machine into the site. Raises Refused with numbers if it has no room for it."""
        return self._do(calls.join_node(node))

    def let_node_leave(self, name: str) -> None:
        """Have no new work sent to a node that joined. Raises NotFound."""
        self._do(calls.let_node_leave(name))

    def forget_node(self, name: str) -> None:
        """Count a node that joined no more. Raises NotFound, Refused while it may still follow an order."""
        self._do(calls.forget_node(name))

    def summary(self) -> SummaryView:
        """Return the site's counters: withdrawals, time to comply, steps lost, checkpoints, energy."""
        return self._do(calls.summary())

    def ready(self) -> None:
        """Return if the site works. Raises ServerError (`not_ready`) that says since when its scheduler is silent."""
        self._do(calls.ready())

    def me(self) -> MeView:
        """Return whose token this is, what it may do, and when it ends."""
        return self._do(calls.me())

    def tokens(self) -> list[TokenView]:
        """Return the tokens, without their texts."""
        return self._do(calls.tokens())

    def create_token(
        self, user: str, *, role: str, expires_in_s: float | None = None, name: str | None = None
    ) -> MadeTokenView:
        """Make a token; its text, under `token`, cannot be had again. Without `expires_in_s` it never ends."""
        return self._do(calls.create_token(user, role=role, expires_in_s=expires_in_s, name=name))

    def revoke_token(self, name: str) -> TokenView:
        """Take a token back: from now on it opens nothing."""
        return self._do(calls.revoke_token(name))

    def _with_package(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the job as the site takes it: a folder that is to be sent has become a package."""
        folder = folder_to_send(body)
        return body if folder is None else as_package(body, self.upload(folder))

    def _do(self, call: Call[T]) -> T:
        return call.result(self._transport.send(call))

    def _items(self, talk: Talk[Any]) -> Iterator[Any]:
        return self._lead(Turns(talk))

    def _result(self, talk: Talk[T]) -> T:
        turns = Turns(talk)
        for _ in self._lead(turns):
            pass
        return cast("T", turns.result)

    def _lead(self, turns: Turns) -> Iterator[Any]:
        """Do what a talk wants, turn by turn, and pass on what it has to give."""
        while (step := turns.step) is not None:
            answer = None
            if isinstance(step, Pause):
                self._sleep(step.seconds)
            elif isinstance(step, Item):
                yield step.value
            else:
                try:
                    answer = self._do(step)
                except BarqError as error:
                    turns.fail(error)
                    continue
            turns.answer(answer)

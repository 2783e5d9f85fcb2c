"""A site from Python code that awaits: the verbs of `barq.Client`, with the same names and arguments.

from barq import AsyncClient

async with AsyncClient.from_environment() as site:
job = await site.submit({"entrypoint": "python train.py", "resources": {"gpus": 2}})
async for piece in site.logs(job["id"], follow=True):
print(piece, end="")
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast

from barq import calls, talks
from barq.async_miner_verbs import AsyncMinerVerbs
from barq.async_power_verbs import AsyncPowerVerbs
from barq.calls import PAGE_SIZE, Call
from barq.errors import BarqError
from barq.location import find_site
from barq.talks import Item, Pause, Turns
from barq.transport import AsyncTransport, FromThreads
from barq.uploading import as_package, folder_to_send, upload, without_folder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
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

T = TypeVar("T")


class AsyncClient(AsyncPowerVerbs, AsyncMinerVerbs):
    """One site: `async with AsyncClient.from_environment() as site: job = await site.submit("train.yaml")`.

    Use it as an asynchronous context manager, or await `close`. For the tasks of one event loop.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        timeout_s: float = 30.0,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._transport = AsyncTransport(url, token, timeout_s, transport=transport, sleep=sleep)
        self._sleep = sleep

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str] | None = None, *, profile: str | None = None, timeout_s: float = 30.0
    ) -> AsyncClient:
        """Return a client of the site of `profile`, else of the one that the environment leads to.

        `barq.location` says which that is. Raises Unreachable, and InvalidInput for an unknown profile.
        """
        location = find_site(os.environ if environ is None else environ, profile)
        return cls(location.url, location.token, timeout_s)

    @property
    def url(self) -> str:
        """The address of the site."""
        return self._transport.url

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def submit(self, job: Job) -> JobView:
        """Queue one job: a mapping with the fields of a job file, a JobRequest, or the path of a job file.

        A relative working_dir is uploaded first. Of one with an `array` the first of its jobs is returned.
        """
        return await self._do(calls.submit(await self._with_package(calls.body_of(job))))

    async def submit_many(self, jobs: Jobs) -> list[JobView]:
        """Queue several jobs, or all those of a job file: all or none, in this order.

        An `array` stands for all its jobs.
        """
        bodies = [await self._with_package(body) for body in calls.bodies_of(jobs)]
        return await self._do(calls.submit_many(bodies))

    async def plan(self, job: Job) -> PlanView:
        """Say what would become of a job if it were submitted now: the decision as a dry run. Nothing is sent or kept.

        Raises Refused for one that can never fit, InvalidInput for what a submission would be refused for.
        """
        return await self._do(calls.plan(without_folder(calls.body_of(job))))

    async def upload(self, folder: Path | str, *, progress: Progress | None = None) -> str:
        """Pack a folder (`.gitignore` is respected), send what the site lacks of it, and return its package.

        A job with that `package` runs in a copy of its own. `progress` hears a stage, bytes done and bytes in all.
        Raises InvalidInput for what cannot be packed: links that lead out, special files, too much.
        """
        return await asyncio.to_thread(upload, FromThreads(self._transport), folder, progress)

    async def jobs(
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
        return await self._do(
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
    ) -> AsyncIterator[JobView]:
        """Go through all jobs that match, newest first, page by page."""
        return self._items(
            talks.every_job(
                state=state, name=name, project=project, owner=owner, array=array, page_size=page_size
            )
        )

    async def find(self, text: str) -> JobView:
        """Return the job with the id `text`, else the only one whose number it is or whose id begins with it.

        Raises NotFound if there is none, InvalidInput if there are several.
        """
        return await self._result(talks.find(text))

    async def find_any(self, text: str) -> JobView | ArrayView:
        """Return the job or the array with the id `text`, else what `find` returns. Raises what `find` raises."""
        return await self._result(talks.find_any(text))

    async def job(self, job_id: str) -> JobView:
        """Return one job."""
        return await self._do(calls.job(job_id))

    async def show(self, job_id: str) -> JobView:
        """Return one job, as `job` does: the command line calls it so."""
        return await self._do(calls.job(job_id))

    async def why(self, job_id: str) -> WhyView:
        """Return why a job is where it is, and what would change it."""
        return await self._do(calls.why(job_id))

    async def events(self, job_id: str | None = None) -> list[EventView]:
        """Return what happened to a job, or lately on the site, oldest first."""
        return await self._do(calls.events(job_id))

    async def attempts(self, job_id: str) -> list[AttemptView]:
        """Return the placements of a job, oldest first."""
        return await self._do(calls.attempts(job_id))

    async def checkpoints(self, job_id: str) -> list[CheckpointView]:
        """Return the checkpoints of a job, verified and quarantined."""
        return await self._do(calls.checkpoints(job_id))

    async def notifications(self, job_id: str) -> list[NotificationView]:
        """Return what the job's webhook was told, or is to be told, oldest first."""
        return await self._do(calls.notifications(job_id))

    async def logs(
        self,
        job_id: str,
        *,
        follow: bool = False,
        tail: int | None = None,
        missing: Callable[[int], None] | None = None,
    ) -> AsyncIterator[str]:
        """Give a job's output in pieces as they come, not cut at line ends; `follow` until it has ended.

        `missing` hears first how many bytes of its start are kept no longer, if that is where it was to begin.
        """
        async with self._transport.stream(calls.logs(job_id, follow=follow, tail=tail), missing) as pieces:
            async for piece in pieces:
                yield piece

    async def cancel(self, job_id: str) -> JobView:
        """End a job for good. Raises Refused if it has ended otherwise."""
        return await self._do(calls.control(job_id, "cancel"))

    async def hold(self, job_id: str) -> JobView:
        """Stop a job until it is released. Raises Refused if it has ended."""
        return await self._do(calls.control(job_id, "hold"))

    async def release(self, job_id: str) -> JobView:
        """Let a held job run again. Raises Refused if it has ended."""
        return await self._do(calls.control(job_id, "release"))

    async def array(self, array_id: str) -> ArrayView:
        """Return in which states the jobs of an array are; `every_job(array=...)` gives the jobs."""
        return await self._do(calls.array(array_id))

    async def cancel_array(self, array_id: str) -> ArrayView:
        """End all jobs of an array for good. Raises Refused if all have ended otherwise."""
        return await self._do(calls.control_array(array_id, "cancel"))

    async def hold_array(self, array_id: str) -> ArrayView:
        """Stop all jobs of an array until they are released. Raises Refused if all have ended."""
        return await self._do(calls.control_array(array_id, "hold"))

    async def release_array(self, array_id: str) -> ArrayView:
        """Let the held jobs of an array run again. Raises Refused if all have ended."""
        return await self._do(calls.control_array(array_id, "release"))

    def watch(self, job_ids: Sequence[str], *, timeout_s: float | None = None) -> AsyncIterator[JobView]:
        """Give each job now and whenever its state has changed, until all ended or `timeout_s` passed.

        Rides out a minute without an answer, so that a site may be restarted meanwhile.
        """
        return self._items(talks.watch(job_ids, timeout_s=timeout_s))

    async def wait(self, job_ids: Sequence[str], timeout_s: float | None = None) -> list[JobView]:
        """Return the jobs in this order once all have ended; as they are if `timeout_s` passes before."""
        return await self._result(talks.wait(job_ids, timeout_s=timeout_s))

    async def nodes(self) -> list[NodeView]:
        """Return the nodes and groups of miners, with what each draws and may draw."""
        return await self._do(calls.nodes())

    async def forecast(self, *, step_s: int = 900) -> ForecastView:
        """Return the limit of the next 48 hours, a row for each quarter, half or whole hour, and how good it was."""
        return await self._do(calls.forecast(step_s=step_s))

    async def projects(self) -> ProjectsView:
        """Return the projects: quotas, what they use, whose turn it is."""
        return await self._do(calls.projects())

    async def join_node(self, node: Mapping[str, Any]) -> JoinedView:
        """Take a node of another machine into the site. Raises Refused with numbers if it has no room for it."""
        return await self._do(calls.join_node(node))

    async def let_node_leave(self, name: str) -> None:
        """Have no new work sent to a node that joined. Raises NotFound."""
        await self._do(calls.let_node_leave(name))

    async def forget_node(self, name: str) -> None:
        """Count a node that joined no more. Raises NotFound, Refused while it may still follow an order."""
        await self._do(calls.forget_node(name))

    async def summary(self) -> SummaryView:
        """Return the site's counters: withdrawals, time to comply, steps lost, checkpoints, energy."""
        return await self._do(calls.summary())

    async def ready(self) -> None:
        """Return if the site works. Raises ServerError (`not_ready`) that says since when its scheduler is silent."""
        await self._do(calls.ready())

    async def me(self) -> MeView:
        """Return whose token this is, what it may do, and when it ends."""
        return await self._do(calls.me())

    async def tokens(self) -> list[TokenView]:
        """Return the tokens, without their texts."""
        return await self._do(calls.tokens())

    async def create_token(
        self, user: str, *, role: str, expires_in_s: float | None = None, name: str | None = None
    ) -> MadeTokenView:
        """Make a token; its text, under `token`, cannot be had again. Without `expires_in_s` it never ends."""
        return await self._do(calls.create_token(user, role=role, expires_in_s=expires_in_s, name=name))

    async def revoke_token(self, name: str) -> TokenView:
        """Take a token back: from now on it opens nothing."""
        return await self._do(calls.revoke_token(name))

    async def _with_package(self, body: dict[str, Any]) -> dict[str, Any]:
        """Return the job as the site takes it: a folder that is to be sent has become a package."""
        folder = folder_to_send(body)
        return body if folder is None else as_package(body, await self.upload(folder))

    async def _do(self, call: Call[T]) -> T:
        return call.result(await self._transport.send(call))

    def _items(self, talk: Talk[Any]) -> AsyncIterator[Any]:
        return self._lead(Turns(talk))

    async def _result(self, talk: Talk[T]) -> T:
        turns = Turns(talk)
        async for _ in self._lead(turns):
            pass
        return cast("T", turns.result)

    async def _lead(self, turns: Turns) -> AsyncIterator[Any]:
        """Do what a talk wants, turn by turn, and pass on what it has to give."""
        while (step := turns.step) is not None:
            answer = None
            if isinstance(step, Pause):
                await self._sleep(step.seconds)
            elif isinstance(step, Item):
                yield step.value
            else:
                try:
                    answer = await self._do(step)
                except BarqError as error:
                    turns.fail(error)
                    continue
            turns.answer(answer)

"""Jobs: submit, list, show, cancel, hold, release."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial, reduce
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query

from api.admission import deadline_at, dependencies, job_spec, notify_target
from api.context import Asking, Context, Here, JobId, OwnJob
from api.fitting import misfit
from api.openapi import errors
from api.problems import Refused
from api.roles import Caller
from api.routes.nodes import known_nodes
from api.routes.uploads import check_package
from api.wire import from_store
from api.wire.jobs import JobFilter, JobList, JobPage, JobView, SubmittedJob, SubmittedJobs
from scheduler.core.arrays import worse
from scheduler.core.jobs import Desired, JobSpec, JobState
from scheduler.core.lifecycle import is_final
from scheduler.store import job_queries, views
from scheduler.store.refusals import ArrayNotFound, InvalidField, JobNotFound
from scheduler.store.views import NewJob

router = APIRouter(tags=["jobs"])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Batch:
    """Jobs that are queued together. `where` leads to one in the body: "jobs[3]." or "" for a single one."""

    requests: Sequence[SubmittedJob]
    many: bool

    def where(self, index: int) -> str:
        return f"jobs[{index}]." if self.many else ""


@router.post("/jobs", status_code=201)
def submit_job(request: SubmittedJob, here: Here, asking: Asking) -> JobView:
    """Queue one job. It belongs to the user of the token.

    With `array` all its jobs are queued, all or none; the answer is the first, whose `array_id` leads to the others.
    """
    return submit_one(request, here, asking.caller)


@router.post("/jobs:batch", status_code=201)
def submit_jobs(body: SubmittedJobs, here: Here, asking: Asking) -> JobList:
    """Queue several jobs, all or none, in this order. An error names the job: `jobs[3].nodes`.

    An `array` stands for all its jobs, by rising index.
    """
    made = _submit(_Batch(requests=body.jobs, many=True), here, asking.caller)
    return JobList(jobs=[from_store.job(view, asking.caller) for view in made])


@router.get("/jobs")
def list_jobs(query: Annotated[JobFilter, Query()], here: Here, asking: Asking) -> JobPage:
    """List jobs, newest first, in pages. What others run, and with which variables, is for operators."""
    which = job_queries.JobFilter(
        state=query.state, name=query.name, project=query.project, owner=query.owner, array=query.array
    )
    page = here.desk.list(which, limit=query.limit, after=query.after)
    return JobPage(jobs=[from_store.job(view, asking.caller) for view in page.jobs], next=page.next)


@router.get("/jobs/{job_id}", responses=errors(404))
def show_job(job_id: JobId, here: Here, asking: Asking) -> JobView:
    """Show one job. What others run, and with which variables, is for operators."""
    return show(job_id, here, asking.caller)


@router.post("/jobs/{job_id}/cancel", responses=errors(404, 409))
def cancel_job(job_id: OwnJob, here: Here, asking: Asking) -> JobView:
    """End a job for good. Again is no change; 409 if it has ended otherwise."""
    return _wish(job_id, Desired.CANCEL, here, asking.caller)


@router.post("/jobs/{job_id}/hold", responses=errors(404, 409))
def hold_job(job_id: OwnJob, here: Here, asking: Asking) -> JobView:
    """Stop a job until it is released. Again is no change; 409 if it has ended."""
    return _wish(job_id, Desired.HOLD, here, asking.caller)


@router.post("/jobs/{job_id}/release", responses=errors(404, 409))
def release_job(job_id: OwnJob, here: Here, asking: Asking) -> JobView:
    """Let a held job run again. Again is no change; 409 if it has ended."""
    return _wish(job_id, Desired.RUN, here, asking.caller)


def submit_one(request: SubmittedJob, here: Context, caller: Caller) -> JobView:
    """The job, queued; of an array the first. Raises `Refused`, `StoreError` and what the store refuses."""
    return from_store.job(_submit(_Batch(requests=[request], many=False), here, caller)[0], caller)


def check_one(request: SubmittedJob, here: Context) -> dict[str, JobState]:
    """Raises `Refused` for what a submission would be refused for. Returns where the jobs are that it waits for."""
    batch = _Batch(requests=[request], many=False)
    _check_deadlines(batch, datetime.now(UTC))
    _check_fit(batch, here)
    _check_packages(batch, here)
    found = {}
    for job_id in dependencies(request):
        try:
            found[job_id] = _state_of(job_id, here)
        except ArrayNotFound as error:
            missing = InvalidField("dependencies", job_id, "name a job that was submitted before")
            raise _located(missing, batch) from error
    return found


def _state_of(job_id: str, here: Context) -> JobState:
    """Where a job is, or an array as a whole. Raises `ArrayNotFound` for what is neither."""
    try:
        return here.desk.get(job_id).state
    except JobNotFound:
        states = here.desk.array(job_id).jobs
        found = reduce(worse, filter(is_final, states), JobState.SUCCEEDED)
        return found if all(map(is_final, states)) or found is not JobState.SUCCEEDED else JobState.PENDING


def show(job_id: str, here: Context, caller: Caller) -> JobView:
    """The job as `caller` may see it. Raises `JobNotFound`, `StoreError`."""
    return from_store.job(here.desk.get(job_id), caller)


def _wish(job_id: str, desired: Desired, here: Context, caller: Caller) -> JobView:
    view = here.desk.set_desired(job_id, desired, by=caller.person)
    here.waker.wake()
    return from_store.job(view, caller)


def _submit(batch: _Batch, here: Context, caller: Caller) -> Sequence[views.JobView]:
    at = datetime.now(UTC)
    _check_deadlines(batch, at)
    _check_fit(batch, here)
    _check_packages(batch, here)
    new = [job for request in batch.requests for job in _new_jobs(request, here, caller.person, at)]
    try:
        made = here.desk.submit(new)
    except InvalidField as error:
        raise _located(error, batch) from error
    here.waker.wake()
    return made


def _new_jobs(request: SubmittedJob, here: Context, owner: str, at: datetime) -> Iterator[NewJob]:
    """The job, or those of its array; with its id, given when it is stored, each gets its folders."""
    asked = request.model_dump(mode="json", exclude_unset=True, exclude={"notify": {"secret"}})
    built, elements = partial(_built, request, here.settings.jobs_home, at), request.elements
    for before, index in enumerate(elements.indices if elements else (None,)):
        yield NewJob(
            request=asked,
            notify=None if here.settings.is_shadow else notify_target(request),
            build=partial(built, index),
            owner=owner,
            index=index,
            before=before,
        )


def _built(request: SubmittedJob, jobs_dir: Path, at: datetime, index: int | None, job_id: str) -> JobSpec:
    return job_spec(request, job_id=job_id, jobs_dir=jobs_dir, at=at, index=index)


def _check_deadlines(batch: _Batch, at: datetime) -> None:
    """Refuse a deadline that has passed. One that cannot be met any more is the user's to know."""
    for index, request in enumerate(batch.requests):
        due_at = deadline_at(request, at)
        if due_at is not None and due_at <= at:
            detail = (
                f"the deadline, {due_at:%Y-%m-%d %H:%M:%S} UTC, has passed: it is {at:%Y-%m-%d %H:%M:%S} UTC"
            )
            raise Refused(
                422,
                "invalid_field",
                detail,
                field=f"{batch.where(index)}deadline",
                value=due_at.isoformat(),
                remedy='write a time to come, or how long after the submission, such as "6h"',
            )


def _check_fit(batch: _Batch, here: Context) -> None:
    """Refuse what could not run even on an empty site with all power."""
    nodes = known_nodes(here.desk)
    for index, request in enumerate(batch.requests):
        if found := misfit(request, nodes):
            field = batch.where(index) + found.field
            raise Refused(422, found.code, found.detail, field=field, value=found.value, remedy=found.remedy)


def _check_packages(batch: _Batch, here: Context) -> None:
    """Refuse a job whose working directory is not here."""
    named = {request.package: index for index, request in reversed(list(enumerate(batch.requests)))}
    for name, index in named.items():
        if name is not None:
            check_package(name, here, field=batch.where(index) + "package")


def _located(error: InvalidField, batch: _Batch) -> Refused:
    """The store's refusal with the way to the job that it is about: the first one with that dependency."""
    index = next((i for i, r in enumerate(batch.requests) if error.value in dependencies(r)), 0)
    field = batch.where(index) + error.field
    detail = f"{field} names {error.value}, which is no job here"
    return Refused(422, error.code, detail, field=field, value=error.value, remedy=error.remedy)

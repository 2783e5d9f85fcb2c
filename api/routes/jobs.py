"""Jobs: submit, list, show, cancel, hold, release."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
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
from scheduler.core.jobs import Desired, JobState
from scheduler.store import job_queries
from scheduler.store.refusals import InvalidField, JobNotFound
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
    """Queue one job. It belongs to the user of the token."""
    return submit_one(request, here, asking.caller)


@router.post("/jobs:batch", status_code=201)
def submit_jobs(body: SubmittedJobs, here: Here, asking: Asking) -> JobList:
    """Queue several jobs, all or none, in this order. An error names the job: `jobs[3].nodes`."""
    return JobList(jobs=_submit(_Batch(requests=body.jobs, many=True), here, asking.caller))


@router.get("/jobs")
def list_jobs(query: Annotated[JobFilter, Query()], here: Here, asking: Asking) -> JobPage:
    """List jobs, newest first, in pages. What others run, and with which variables, is for operators."""
    which = job_queries.JobFilter(
        state=query.state, name=query.name, project=query.project, owner=query.owner
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
    """The job, queued. Raises `Refused`, `StoreError` and what the store refuses; then it is not."""
    return _submit(_Batch(requests=[request], many=False), here, caller)[0]


def check_one(request: SubmittedJob, here: Context) -> dict[str, JobState]:
    """Raises `Refused` for what a submission would be refused for. Returns where the jobs are that it waits for."""
    batch = _Batch(requests=[request], many=False)
    _check_deadlines(batch, datetime.now(UTC))
    _check_fit(batch, here)
    _check_packages(batch, here)
    found = {}
    for job_id in dependencies(request):
        try:
            found[job_id] = here.desk.get(job_id).state
        except JobNotFound as error:
            missing = InvalidField("dependencies", job_id, "name a job that was submitted before")
            raise _located(missing, batch) from error
    return found


def show(job_id: str, here: Context, caller: Caller) -> JobView:
    """The job as `caller` may see it. Raises `JobNotFound`, `StoreError`."""
    return from_store.job(here.desk.get(job_id), caller)


def _wish(job_id: str, desired: Desired, here: Context, caller: Caller) -> JobView:
    view = here.desk.set_desired(job_id, desired, by=caller.person)
    here.waker.wake()
    return from_store.job(view, caller)


def _submit(batch: _Batch, here: Context, caller: Caller) -> list[JobView]:
    at = datetime.now(UTC)
    _check_deadlines(batch, at)
    _check_fit(batch, here)
    _check_packages(batch, here)
    new = [_new_job(request, here, caller.person, at) for request in batch.requests]
    try:
        views = here.desk.submit(new)
    except InvalidField as error:
        raise _located(error, batch) from error
    here.waker.wake()
    return [from_store.job(view, caller) for view in views]


def _new_job(request: SubmittedJob, here: Context, owner: str, at: datetime) -> NewJob:
    """The job; with its id, given when it is stored, it gets its folders."""
    return NewJob(
        request=request.model_dump(mode="json", exclude_unset=True, exclude={"notify": {"secret"}}),
        notify=notify_target(request),
        build=lambda job_id: job_spec(request, job_id=job_id, jobs_dir=here.settings.jobs_home, at=at),
        owner=owner,
    )


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
            raise Refused(
                422, "never_fits", found.detail, field=field, value=found.value, remedy=found.remedy
            )


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

"""Jobs: submit, list, show, cancel, hold, release."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query

from api.admission import dependencies, job_spec, notify_target
from api.context import Context, Here, JobId
from api.fitting import misfit
from api.openapi import errors
from api.problems import Refused
from api.routes.nodes import known_nodes
from api.wire import from_store
from api.wire.jobs import JobFilter, JobList, JobPage, JobView, SubmittedJob, SubmittedJobs
from scheduler.core.jobs import Desired
from scheduler.store import job_queries
from scheduler.store.refusals import InvalidField
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
def submit_job(request: SubmittedJob, here: Here) -> JobView:
    """Queue one job."""
    return _submit(_Batch(requests=[request], many=False), here)[0]


@router.post("/jobs:batch", status_code=201)
def submit_jobs(body: SubmittedJobs, here: Here) -> JobList:
    """Queue several jobs, all or none, in this order. An error names the job: `jobs[3].nodes`."""
    return JobList(jobs=_submit(_Batch(requests=body.jobs, many=True), here))


@router.get("/jobs")
def list_jobs(query: Annotated[JobFilter, Query()], here: Here) -> JobPage:
    """List jobs, newest first, in pages."""
    which = job_queries.JobFilter(state=query.state, name=query.name, project=query.project)
    page = here.desk.list(which, limit=query.limit, after=query.after)
    return JobPage(jobs=[from_store.job(view) for view in page.jobs], next=page.next)


@router.get("/jobs/{job_id}", responses=errors(404))
def show_job(job_id: JobId, here: Here) -> JobView:
    """Show one job."""
    return from_store.job(here.desk.get(job_id))


@router.post("/jobs/{job_id}/cancel", responses=errors(404, 409))
def cancel_job(job_id: JobId, here: Here) -> JobView:
    """End a job for good. Again is no change; 409 if it has ended otherwise."""
    return _wish(job_id, Desired.CANCEL, here)


@router.post("/jobs/{job_id}/hold", responses=errors(404, 409))
def hold_job(job_id: JobId, here: Here) -> JobView:
    """Stop a job until it is released. Again is no change; 409 if it has ended."""
    return _wish(job_id, Desired.HOLD, here)


@router.post("/jobs/{job_id}/release", responses=errors(404, 409))
def release_job(job_id: JobId, here: Here) -> JobView:
    """Let a held job run again. Again is no change; 409 if it has ended."""
    return _wish(job_id, Desired.RUN, here)


def _wish(job_id: str, desired: Desired, here: Context) -> JobView:
    view = here.desk.set_desired(job_id, desired)
    here.waker.wake()
    return from_store.job(view)


def _submit(batch: _Batch, here: Context) -> list[JobView]:
    _check_fit(batch, here)
    new = [_new_job(request, here) for request in batch.requests]
    try:
        views = here.desk.submit(new)
    except InvalidField as error:
        raise _located(error, batch) from error
    here.waker.wake()
    return [from_store.job(view) for view in views]


def _new_job(request: SubmittedJob, here: Context) -> NewJob:
    """The job; with its id, given when it is stored, it gets its folders."""
    return NewJob(
        request=request.model_dump(mode="json", exclude_unset=True, exclude={"notify": {"secret"}}),
        notify=notify_target(request),
        build=lambda job_id: job_spec(request, job_id=job_id, state_dir=here.settings.state_dir),
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


def _located(error: InvalidField, batch: _Batch) -> Refused:
    """The store's refusal with the way to the job that it is about: the first one with that dependency."""
    index = next((i for i, r in enumerate(batch.requests) if error.value in dependencies(r)), 0)
    field = batch.where(index) + error.field
    detail = f"{field} names {error.value}, which is no job here"
    return Refused(422, error.code, detail, field=field, value=error.value, remedy=error.remedy)

"""Dry runs: what would become of a job."""

from __future__ import annotations

from datetime import UTC, datetime

from anyio.to_thread import run_sync
from fastapi import APIRouter

from api.admission import job_spec
from api.context import Context, Here
from api.deadlines import deadline_shown
from api.outlooks import age_s, shown
from api.problems import Refused
from api.routes.jobs import check_one
from api.wire import from_store
from api.wire.jobs import SubmittedJob
from api.wire.plans import EffectView, PlanView
from scheduler.core.lifecycle import is_final
from scheduler.core.rehearsal import PLANNED, rehearse

router = APIRouter(tags=["jobs"])


@router.post("/jobs:plan")
async def plan_job(request: SubmittedJob, here: Here) -> PlanView:
    """Say what would become of a job if it were submitted now: the same decision as a dry run. Nothing is stored.

    Of an array it is the first of its jobs.
    """
    return await run_sync(_plan, request, here, limiter=here.rehearsing)


def _plan(request: SubmittedJob, here: Context) -> PlanView:
    states = check_one(request, here)
    recorded = here.outlooks.newest()
    if recorded is None:
        remedy = "wait until /readyz says ready"
        raise Refused(503, "not_ready", "the scheduler has not looked at the site yet", remedy=remedy)
    jobs_dir, at = here.settings.jobs_home, datetime.now(UTC)
    index = request.elements.indices[0] if request.elements else None
    job_id = f"{here.settings.site}-{PLANNED}" + ("" if index is None else f"_{index}")
    spec = job_spec(request, job_id=job_id, jobs_dir=jobs_dir, at=at, index=index)
    settled = {job_id: state for job_id, state in states.items() if is_final(state)}
    snapshot = recorded.snapshot
    found = rehearse(snapshot, spec, settled=settled)
    return PlanView(
        verdict=found.verdict.value,
        placements=from_store.placements_shown(found.attempt.placements) if found.attempt else [],
        cap_w=found.attempt.cap_w if found.attempt else None,
        reason=from_store.reason_shown(found.reason),
        effects=[EffectView(job_id=e.job_id, text=e.text) for e in found.effects],
        deadline=deadline_shown(found.job, None, at, snapshot.site),
        snapshot_at=snapshot.at,
        snapshot_age_s=age_s(snapshot.at),
        **(shown(found.prospect, snapshot.at) if found.prospect else {"judged_on": found.judged_on}),
    )

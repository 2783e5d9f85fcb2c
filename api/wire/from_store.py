"""From what the store knows to what the wire shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from api.roles import Caller
from api.wire import jobs as wire, notifications, site, stops
from api.wire.history import PowerHistory
from api.wire.power_events import PowerEventView
from scheduler.core.estop import EmergencyStop
from scheduler.core.jobs import CommitRef, JobState, Placement
from scheduler.core.power_events import figures_of
from scheduler.core.reasons import Code, Reason
from scheduler.store import views

HISTORY: Final = 5
"""Events that an answer to "why" tells."""
_SCHEDULING: Final = (
    "project queue priority kind resources nodes topology array dependencies begin deadline estimate time_limit retry "
    "flex"
)
_PUBLIC: Final = frozenset(("name", "checkpoint", "power", *_SCHEDULING.split()))
"""Fields of a job file that tell nothing of what the job runs. One that is not here is for the owner and operators."""
_NOT_LOOKED_AT: Final = Reason(
    code=Code.PENDING_EVALUATION.value, text="the scheduler has not looked at it yet", remedy=""
)


def job(view: views.JobView, caller: Caller | None = None) -> wire.JobView:
    """One job, as `caller` may see it; without one, as somebody whose business it is not."""
    spec, commit, reason = view.spec, view.last_commit, reason_of(view)
    return wire.JobView(
        id=view.id,
        owner=view.owner,
        name=spec.name,
        project=spec.project,
        queue=spec.queue,
        kind=spec.kind.value,
        priority=spec.priority,
        flex=spec.flex,
        state=view.state.value,
        desired=view.desired.value,
        reason=reason_shown(reason),
        gpus=spec.gpus,
        nodes=spec.nodes,
        max_nodes=spec.most_nodes,
        array_id=spec.array.id if spec.array else None,
        array_index=spec.array.index if spec.array else None,
        placements=placements_shown(view.placements),
        attempt=_number(view.attempt),
        attempts=view.attempts,
        failures=view.failures,
        step=view.step,
        last_commit=wire.Commit(step=commit.step, path=commit.path) if commit else None,
        submitted_at=view.submitted_at,
        since_at=view.since_at,
        started_at=view.started_at,
        ended_at=view.ended_at,
        deadline_at=spec.deadline_at,
        lost_steps=view.lost_steps,
        energy_wh=view.energy_wh,
        shadow=view.is_shadow,
        spec=_request(view, caller),
    )


def reason_of(view: views.JobView) -> Reason | None:
    """Why the job is where it is. One that nobody looked at yet has that as its reason."""
    if view.reason is None and view.state is JobState.PENDING:
        return _NOT_LOOKED_AT
    return view.reason


def why(
    view: views.JobView, events: Sequence[views.EventView], outlook: Mapping[str, Any] | None = None
) -> wire.WhyView:
    """Why a job is where it is, from the job, its events, oldest first, and what is told of its start."""
    reason = reason_of(view)
    expected_at = reason.expected_at if reason else None
    return wire.WhyView(
        job_id=view.id,
        state=view.state.value,
        shadow=view.is_shadow,
        reason=reason_shown(reason),
        expected=wire.Expected(at=expected_at) if expected_at else None,
        history=[event.text for event in events[-HISTORY:]],
        checkpoint=_resumes(view.last_commit, view.spec.launch.checkpoint_interval_s),
        **(outlook or {}),
    )


def event(view: views.EventView) -> wire.EventView:
    """Something that happened."""
    return wire.EventView(seq=view.seq, at=view.at, kind=view.kind, text=view.text, data=dict(view.data))


def power_event(view: views.PowerEventView) -> PowerEventView:
    """One fall of the limit and what it came to."""
    event, fall, figures = view.event, view.event.fall, figures_of(view.event)
    return PowerEventView(
        id=str(view.number),
        began_at=event.began_at,
        ended_at=event.ended_at,
        is_final=event.is_final,
        source=event.source,
        provenance=event.provenance,
        reaction_s=fall.reaction_s,
        limit_before_w=fall.before_w,
        limit_w=fall.limit_w,
        draw_at_fall_w=fall.draw_w,
        entitled_w=fall.entitled_w,
        baseline_w=event.baseline_w,
        baseline_since_at=event.baseline_since_at,
        baseline_covered_s=event.baseline_s,
        commanded_w=figures.commanded_w,
        measured_mean_w=figures.measured_w,
        measured_min_w=event.least_w,
        measured_max_w=event.most_w,
        complied_at=fall.complied_at,
        released_at=fall.released_at,
        time_to_comply_s=figures.time_to_comply_s,
        held_mean_w=figures.held_w,
        depth_w=figures.depth_w,
        depth_share=figures.depth_share,
        duration_s=figures.duration_s,
        covered_s=event.during.covered_s,
        unmetered_s=event.unmetered_s,
        drawn_wh=event.during.draw_wh,
        not_drawn_wh=figures.not_drawn_wh,
        over_curtailment_w=figures.over_curtailment_w,
        over_curtailment_share=figures.over_curtailment_share,
        over_limit_s=event.over_limit_s,
        after_covered_s=event.after_s,
        after_peak_w=event.after_peak_w,
        rebound_ratio=figures.rebound_ratio,
        plan_sha256=event.plan_sha256 or None,
        plan_seq=view.plan_seq,
    )


def attempt(view: views.AttemptView) -> wire.AttemptView:
    """One placement of a job. It starts when its first process runs."""
    made = view.attempt
    cause = made.cause or made.pause_cause
    return wire.AttemptView(
        id=made.id,
        number=made.number,
        state=made.state.value,
        outcome=made.outcome.value if made.outcome else None,
        cause=cause.value if cause else None,
        placements=placements_shown(made.placements),
        started_at=made.running_at,
        ended_at=made.ended_at,
        resumed_step=made.resumed_step,
        last_step=made.last_step,
        lost_steps=view.lost_steps,
    )


def checkpoint(view: views.CheckpointView) -> wire.CheckpointView:
    """A checkpoint that was verified, or found damaged."""
    return wire.CheckpointView(
        step=view.step,
        path=view.path,
        verified_at=view.verified_at,
        state=view.state.value,
        why=view.why or None,
    )


def notification(view: views.NotificationView) -> notifications.NotificationView:
    """Something that a webhook was told, or is to be told."""
    failed = "waiting" if view.next_at else "given_up"
    return notifications.NotificationView(
        id=view.id,
        event=view.event,
        state="delivered" if view.delivered_at else failed,
        created_at=view.created_at,
        tries=view.tries,
        delivered_at=view.delivered_at,
        next_at=view.next_at,
        status=view.status,
        error=view.error or None,
    )


def limit(view: views.LimitView) -> site.LimitView:
    """A limit that a person set."""
    return site.LimitView(
        id=str(view.id),
        limit_w=view.limit_w,
        reason=view.reason,
        set_by=view.by,
        set_at=view.created_at,
        until_at=view.ends_at,
    )


def stop(view: EmergencyStop, *, engaged: bool = True) -> stops.StopView:
    """An emergency stop."""
    return stops.StopView(engaged=engaged, id=view.id, reason=view.reason, by=view.by, at=view.at)


def summary(view: views.Summary) -> site.SummaryView:
    """The site's counters."""
    return site.SummaryView.model_validate(view)


def _request(view: views.JobView, caller: Caller | None) -> dict[str, Any]:
    if caller is not None and caller.may_touch(view.owner):
        return dict(view.request)
    return {name: value for name, value in view.request.items() if name in _PUBLIC}


def history(
    points: Sequence[views.PowerPoint], *, since: datetime, until: datetime, resolution_s: int
) -> PowerHistory:
    """The power series in columns, in whole watts."""
    uses = ("limit_w", "draw_w", "ai_w", "rest_w", "miners_w")
    columns = {name: [round(getattr(point, name)) for point in points] for name in uses}
    return PowerHistory.model_validate(
        {
            "since": since,
            "until": until,
            "resolution_s": resolution_s,
            "at": [p.at for p in points],
            **columns,
        }
    )


def reason_shown(reason: Reason | None) -> wire.Reason | None:
    """A reason, as it is shown."""
    if reason is None:
        return None
    numbers = dict(reason.numbers)
    return wire.Reason(code=reason.code, text=reason.text, numbers=numbers, remedy=reason.remedy)


def placements_shown(placements: Sequence[Placement]) -> list[wire.Placement]:
    """Where an attempt sits, as it is shown."""
    return [wire.Placement(node_id=p.node_id, gpu_ids=list(p.gpu_ids)) for p in placements]


def _number(attempt_id: str | None) -> int | None:
    """The attempt's number, from its id "<job id>.<number>"."""
    return int(attempt_id.rpartition(".")[2]) if attempt_id else None


def _resumes(commit: CommitRef | None, interval_s: float) -> wire.Resumes:
    return wire.Resumes(
        step=commit.step if commit else None, path=commit.path if commit else None, interval_s=interval_s
    )

"""Raises: resume what is suspended, start what waits, lift caps.

Each only where the plan *and* every open order leave room.

Miners do not stand in the way of the plan, for they will give their watts back; but nothing is raised before they have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from scheduler.core.caps import fitting_caps
from scheduler.core.envelope import window_s
from scheduler.core.floors import floor_cap_w
from scheduler.core.jobs import Attempt, AttemptState, Job, JobState, PauseCause, Phase, Placement
from scheduler.core.lifecycle import moved
from scheduler.core.placement import free_gpus, place, shape
from scheduler.core.plan import Plan
from scheduler.core.presence import LEAVING
from scheduler.core.reasons import Event, Reason
from scheduler.core.reunion import pinned_away
from scheduler.core.snapshot import Snapshot
from scheduler.core.waiting import behind, no_firm_power, no_gpus, no_power, ramping, releasing, short_window

_TEMPORARY = (PauseCause.POWER_WITHDRAWN, PauseCause.EMERGENCY_STOP)
"""What an attempt is suspended for that goes on by itself once there is power."""


@dataclass(slots=True)
class Raises:
    """What the raises of one round came to."""

    reasons: dict[str, Reason] = field(default_factory=dict)  #: of jobs that were not raised
    reserved_w: float = 0.0  #: site watts kept for raises that wait for confirmed room


def dwell(snapshot: Snapshot) -> Reason | None:
    """Why nothing of AI may be raised yet, while the dwell time after a cut lasts."""
    if snapshot.last_cut_at is None:
        return None
    since_s = (snapshot.at - snapshot.last_cut_at).total_seconds()
    return ramping(snapshot.site, snapshot.last_cut_at) if since_s < snapshot.site.raise_delay_s else None


def raise_work(plan: Plan, snapshot: Snapshot, queue: list[Job], limit_w: float) -> Raises:
    """Resume, start and lift caps, in this order, as far as `limit_w` and the firm level go."""
    raises = Raises()
    caps_before = {a.id: a.cap_w for a in plan.running()}
    wanted = _resumable(plan, raises, limit_w)
    wanted += _startable(plan, snapshot, queue, raises, limit_w)
    _settle(plan, raises, wanted, caps_before, limit_w)
    return raises


# -- who is wanted: judged with all peers at their floors, because caps go before pauses ---


def _resumable(plan: Plan, raises: Raises, limit_w: float) -> list[Attempt]:
    """Suspended attempts, put back to running in the plan, firmest tier first."""
    held = [a for a in plan.in_phase(Phase.SUSPEND) if a.pause_cause in _TEMPORARY]
    wanted = []
    for attempt in sorted(
        held, key=lambda a: (plan.tier(a), -plan.jobs[a.job_id].spec.priority, a.created_at)
    ):
        job = plan.jobs[attempt.job_id]
        tried = plan.change(attempt, phase=Phase.RUN, cap_w=floor_cap_w(plan.model(attempt), job))
        over_w = plan.floors_w(job.spec.flex) - limit_w
        if over_w > 0:
            plan.put(attempt)
            needed_w = -plan.freed_w(attempt, plan.model(attempt).charge_w(tried.cap_w))
            raises.reasons[job.id] = no_power(needed_w, needed_w - over_w)
        else:
            wanted.append(attempt)
    return wanted


def _startable(
    plan: Plan, snapshot: Snapshot, queue: list[Job], raises: Raises, limit_w: float
) -> list[Attempt]:
    """Waiting jobs that fit, in queue order, put into the plan as new attempts."""
    room, wanted = _Room(plan), []
    blocked: Job | None = None
    for job in queue:
        if blocked is not None:
            raises.reasons[job.id] = behind(blocked)
            continue
        placements = room.place(job)
        attempt = None if placements is None else new_attempt(job, placements, plan)
        reason = (
            room.lacking(job) if attempt is None else _unaffordable(plan, snapshot, job, attempt, limit_w)
        )
        if reason is not None:
            raises.reasons[job.id] = reason
            blocked = job if _waited_s(job, plan.at) > plan.site.patience_s else None
        elif attempt is not None:
            wanted.append(attempt)
            room.take(attempt)
    return wanted


class _Room:
    """The free GPUs of a round. They only get fewer, so that a shape of job that did not fit is not tried again."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._free = free_gpus(plan)
        self._total = sum(map(len, self._free.values()))
        self._leaving = sum(a.gpu_count for a in plan.attempts.values() if a.phase in LEAVING)
        self._reasons: dict[tuple[object, ...], Reason | None] = {}  #: by shape that does not fit

    def place(self, job: Job) -> tuple[Placement, ...] | None:
        """Where it fits, None if nowhere."""
        if shape(job) in self._reasons:
            return None
        placements = place(job, self._free, self._plan)
        if placements is None:
            self._reasons[shape(job)] = None
        return placements

    def lacking(self, job: Job) -> Reason:
        """What a job that does not fit lacks."""
        if self._free and (pinned := pinned_away(job, self._free, self._plan)) is not None:
            return pinned
        reason = self._reasons.get(shape(job))
        if reason is None:
            reason = no_gpus(job, nodes=len(self._free), free=self._total, leaving=self._leaving)
            self._reasons[shape(job)] = reason
        return reason

    def take(self, attempt: Attempt) -> None:
        """These are not free any more."""
        for placement in attempt.placements:
            left = self._free[placement.node_id]
            self._free[placement.node_id] = tuple(g for g in left if g not in placement.gpu_ids)
        self._total -= attempt.gpu_count
        self._reasons = dict.fromkeys(self._reasons)  # the numbers in them have changed


def _unaffordable(
    plan: Plan, snapshot: Snapshot, job: Job, attempt: Attempt, limit_w: float
) -> Reason | None:
    """Why there is no power for this attempt, having taken it out again; None = it is in the plan now."""
    before_w, rest_w = plan.nodes_w(), plan.fallback_w()
    plan.put(attempt)
    reason = _power_reason(plan, snapshot, job, limit_w, before_w, rest_w)
    if reason is not None:
        plan.end(attempt)
        plan.ended.pop(attempt.id)
    return reason


def _power_reason(
    plan: Plan, snapshot: Snapshot, job: Job, limit_w: float, before_w: float, rest_w: float
) -> Reason | None:
    needed_w = plan.nodes_w() - before_w
    over_w = plan.floors_w(job.spec.flex) - limit_w
    if over_w > 0:
        return no_power(needed_w, needed_w - over_w)
    firm_w = plan.site.firm_w * (1.0 - plan.site.margin)  # or a limit at the firm level would end firm work
    if plan.fallback_w() > firm_w:
        return no_firm_power(plan.fallback_w() - rest_w, firm_w - rest_w)
    return _window_reason(plan, snapshot, job)


def _window_reason(plan: Plan, snapshot: Snapshot, job: Job) -> Reason | None:
    needed_s = plan.site.restart_s + job.spec.launch.checkpoint_interval_s
    limit_needed_w = plan.floors_w(job.spec.flex) / (1.0 - plan.site.margin)
    lasts_s = window_s(
        snapshot.envelopes, limit_needed_w, now=plan.at, horizon_s=needed_s, firm_w=plan.site.firm_w
    )
    return None if lasts_s is None or lasts_s >= needed_s else short_window(plan, lasts_s, needed_s)


def _waited_s(job: Job, at: datetime) -> float:
    return (at - job.since_at).total_seconds()


def new_attempt(job: Job, placements: tuple[Placement, ...], plan: Plan) -> Attempt:
    """The next attempt of a job, at its floor cap for now."""
    model = plan.model_of(placements[0].node_id)
    number = job.attempts + 1
    return Attempt(
        id=f"{job.id}.{number}",
        job_id=job.id,
        number=number,
        state=AttemptState.ALLOCATED,
        since_at=plan.at,
        placements=placements,
        cap_w=floor_cap_w(model, job) if model else 0.0,
        resume_from=job.last_commit,
        created_at=plan.at,
    )


# -- what is admitted now: only what fits beside every order that may still stand ---


def _settle(
    plan: Plan, raises: Raises, wanted: list[Attempt], before: Mapping[str, float], limit_w: float
) -> None:
    """Give all their caps, then take back each raise that does not fit yet, and keep its watts reserved for it."""
    caps = fitting_caps(plan, limit_w, plan.running())
    for attempt in plan.running():
        cap_w = min(before.get(attempt.id, caps[attempt.id]), caps[attempt.id])
        if cap_w != attempt.cap_w:
            plan.change(attempt, cap_w=cap_w)
    exposed_w = plan.exposed_w()
    for original in reversed(wanted):
        if exposed_w <= limit_w:
            break
        _take_back(plan, raises, original, exposed_w)
        exposed_w = plan.exposed_w()
    for original in wanted:
        if original.id in plan.attempts and plan.attempts[original.id].phase is Phase.RUN:
            _confirm(plan, plan.attempts[original.id], resumed=original.phase is Phase.SUSPEND)
    _lift_caps(plan, raises, before, caps, limit_w)


def _take_back(plan: Plan, raises: Raises, original: Attempt, exposed_w: float) -> None:
    before_w = plan.nodes_w()
    if original.phase is Phase.SUSPEND:
        plan.put(original)
    else:
        plan.end(original)
        plan.ended.pop(original.id)
    kept_w = before_w - plan.nodes_w()
    raises.reserved_w += kept_w
    raises.reasons[original.job_id] = releasing(kept_w, exposed_w)


def _confirm(plan: Plan, attempt: Attempt, *, resumed: bool) -> None:
    job = plan.jobs[attempt.job_id]
    if resumed:
        plan.change(attempt, pause_cause=None)
    else:
        plan.jobs[job.id] = replace(
            moved(job, JobState.STARTING, plan.at), attempts=attempt.number, not_before_at=None
        )
    nodes = ", ".join(p.node_id for p in attempt.placements)
    step = f" from step {attempt.resume_from.step}" if attempt.resume_from and not resumed else ""
    plan.events.append(
        Event(
            at=plan.at,
            kind="job.resumed" if resumed else "job.starting",
            text=f"{job.id} {'goes on' if resumed else 'starts'} on {nodes}{step} at {attempt.cap_w:.0f} W per GPU",
            job_id=job.id,
            attempt_id=attempt.id,
            data={"cap_w": attempt.cap_w, "gpus": attempt.gpu_count},
        )
    )


def _lift_caps(
    plan: Plan, raises: Raises, before: Mapping[str, float], caps: Mapping[str, float], limit_w: float
) -> None:
    """Lift caps one attempt at a time, firmest tier first, while all open orders leave room."""
    lower = [a for a in plan.running() if a.id in before and a.cap_w < caps[a.id]]
    for attempt in sorted(lower, key=lambda a: (plan.tier(a), a.created_at)):
        lifted = plan.change(attempt, cap_w=caps[attempt.id])
        if plan.exposed_w() > limit_w:
            raises.reserved_w += plan.freed_w(lifted, plan.model(attempt).charge_w(attempt.cap_w))
            plan.put(attempt)

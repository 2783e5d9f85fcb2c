"""Raises: resume what is suspended, start what waits, lift caps.

Each only where the plan *and* every open order leave room.

Miners do not stand in the way of the plan, for they will give their watts back; but nothing is raised before they have.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

from scheduler.core.caps import fitting_caps
from scheduler.core.deadlines import is_urgent
from scheduler.core.envelope import window_s
from scheduler.core.jobs import Attempt, AttemptState, Job, JobState, PauseCause, Phase, Placement
from scheduler.core.lifecycle import moved
from scheduler.core.lifting import lift_caps, make_way
from scheduler.core.placement import place
from scheduler.core.plan import Plan
from scheduler.core.queueing import Left, Queue
from scheduler.core.reasons import Code, Event, Reason
from scheduler.core.reclaiming import is_reclaiming, reclaim
from scheduler.core.reunion import pinned_away
from scheduler.core.room import Room
from scheduler.core.snapshot import Snapshot
from scheduler.core.switching import Refused, spare_bases, switch_nodes
from scheduler.core.tenancy import Tenancy
from scheduler.core.waiting import (
    behind,
    coming_up,
    no_firm_power,
    no_gpus,
    no_power,
    ramping,
    releasing,
    short_window,
)
from scheduler.core.zoning import Kept, full_for, held_in_zones, is_exposed, make_way_in_zones

_RELATIVE = 0.5  #: who has run waits this share of that longer before others have to make room
_LACKS_GPUS = frozenset(
    {Code.WAITING_FOR_RESOURCES, Code.TOPOLOGY_FRAGMENTED, Code.WAITING_FOR_PREEMPTED_JOBS, Code.NODE_BOOTING}
)
_TEMPORARY = (PauseCause.POWER_WITHDRAWN, PauseCause.EMERGENCY_STOP)
"""What an attempt is suspended for that goes on by itself once there is power."""


@dataclass(slots=True)
class Raises:
    """What the raises of one round came to."""

    explains: bool = True  #: whether anybody wants to know why each job waits
    reasons: dict[str, Reason] = field(default_factory=dict)  #: of jobs that were not raised
    expected_at: datetime | None = None  #: the earliest instant that any of the reasons names
    reserved_w: float = 0.0  #: site watts kept for raises that wait for confirmed room
    zones: Kept = field(default_factory=Kept)  #: the same in the domains below the site
    free_gpus: int = 0  #: that are left over
    refused: list[Refused] = field(default_factory=list)  #: who waits and was not started, in order

    def refuse(self, left: Left, reason: Reason) -> None:
        """Note why jobs of one shape were not raised."""
        self.expect(reason)
        if self.explains:
            self.reasons.update(dict.fromkeys(left.ids(), reason))

    def refuse_all(self, shapes: Iterable[Left], reason: Reason) -> None:
        """Note it of jobs of many shapes."""
        for left in shapes:
            self.refuse(left, reason)

    def expect(self, reason: Reason) -> None:
        """Note when a reason may be over."""
        found = [t for t in (self.expected_at, reason.expected_at) if t is not None]
        self.expected_at = min(found, default=None)


def dwell(snapshot: Snapshot) -> Reason | None:
    """Why nothing of AI may be raised yet, while the dwell time after a cut lasts."""
    if snapshot.last_cut_at is None:
        return None
    since_s = (snapshot.at - snapshot.last_cut_at).total_seconds()
    return ramping(snapshot.site, snapshot.last_cut_at) if since_s < snapshot.site.raise_delay_s else None


def raise_work(
    plan: Plan, room: Room, queue: Queue, snapshot: Snapshot, limit_w: float, *, explains: bool
) -> Raises:
    """Resume, start and lift caps, in this order, as far as `limit_w` and the firm level go."""
    raises = Raises(explains=explains)
    wanted = _resumable(plan, raises, limit_w)
    wanted += _startable(plan, room, queue, snapshot, raises, limit_w)
    caps = fitting_caps(plan, limit_w, to_knee=True)
    if wanted:
        make_way(plan, caps, {a.id for a in wanted}, limit_w)
        make_way_in_zones(plan)
        _admit(plan, raises, wanted, limit_w)
    raises.free_gpus = room.total
    if not queue.ready and room.total and _is_capped(plan):
        spare_bases(plan, room)
    kept_w = switch_nodes(plan, room, raises.refused, limit_w - raises.reserved_w)
    if kept_w:
        make_way(plan, caps, frozenset(), limit_w - raises.reserved_w - kept_w)
    raises.reserved_w += kept_w
    raises.reserved_w += lift_caps(plan, caps, limit_w - raises.reserved_w, raises.zones)
    if held_down := held_in_zones(plan, caps):  # which leaves more for the others
        caps = fitting_caps(plan, limit_w, to_knee=True, fixed=held_down)
        raises.reserved_w += lift_caps(plan, caps, limit_w - raises.reserved_w, raises.zones)
    return raises


def _is_capped(plan: Plan) -> bool:
    """Whether any flexible work runs below its full power."""
    counted = plan.roster.gpus().items()
    return any(kind.tier > 0 and min(caps) < kind.model.tdp_w for kind, caps in counted if caps)


# -- who is wanted: judged with all peers at their knees, because caps go before pauses ---


def _resumable(plan: Plan, raises: Raises, limit_w: float) -> list[Attempt]:
    """Suspended attempts, put back to running in the plan, firmest tier first."""
    held = [a for a in plan.in_phase(Phase.SUSPEND) if a.pause_cause in _TEMPORARY]
    wanted = []
    for attempt in sorted(held, key=lambda a: _turn(plan, a)):
        job = plan.jobs[attempt.job_id]
        cap_w = plan.knee_w(attempt)
        needed_w = -plan.freed_w(attempt, plan.model(attempt).charge_w(cap_w))
        free_w = limit_w - plan.floors_w(job.spec.flex)
        if needed_w > free_w:
            raises.reasons[job.id] = no_power(needed_w, free_w)
            raises.refused.append(Refused(job, 1, lacks_gpus=False))
            continue
        resumed = plan.change(attempt, phase=Phase.RUN, cap_w=cap_w)
        if (full := full_for(plan, resumed)) is not None:
            plan.put(attempt)
            raises.reasons[job.id] = full[1]
        else:
            wanted.append(attempt)
    return wanted


def _turn(plan: Plan, attempt: Attempt) -> tuple[int, int, bool, datetime, str]:
    job = plan.jobs[attempt.job_id]
    waits = not is_urgent(job, attempt, plan.at, plan.site)
    return plan.tier(attempt), -job.spec.priority, waits, attempt.created_at, attempt.id


def _startable(
    plan: Plan, room: Room, queue: Queue, snapshot: Snapshot, raises: Raises, limit_w: float
) -> list[Attempt]:
    """Waiting jobs that fit, in queue order, put into the plan as new attempts."""
    heads, wanted = queue.heads(), []
    may_reclaim, tenancy = not is_reclaiming(plan), Tenancy(plan, room, queue)
    while heads:
        if (staggered := _staggered(plan)) is not None:
            raises.refuse_all(heads.rest(), staggered)
            break
        entry = heads.first()
        job = plan.jobs[entry.job_id]
        if (full := plan.arrays.full(job)) is not None:
            raises.refuse(heads.leave_out(), full)
            continue
        tried = tenancy.exceeded(job) or _try(plan, room, snapshot, job, limit_w)
        if isinstance(tried, Attempt):
            wanted.append(tried)
            room.take(tried.placements)
            tenancy.start(job)
            heads.go_on()
            continue
        left = heads.leave_out()
        raises.refuse(left, tried)
        if tried.code is Code.QUOTA_EXCEEDED:
            continue  # it keeps nobody of another project from anything
        if tenancy.call_in(job, left.jobs, lacks_gpus=tried.code in _LACKS_GPUS, limit_w=limit_w):
            may_reclaim = False
        if tried.code is not Code.WINDOW_TOO_SHORT:  # what lacks time alone lacks neither nodes nor watts
            might = plan.arrays.may_start(job, left.jobs)
            raises.refused.append(Refused(job, might, tried.code in _LACKS_GPUS))
        if not _has_waited_long(plan, job):
            continue
        is_carried = plan.start_w(job) <= limit_w - plan.floors_w(job.spec.flex)
        if may_reclaim and tried.code in _LACKS_GPUS and is_carried:
            may_reclaim = not reclaim(plan, room, job, tenancy.quotas)
        raises.refuse_all(heads.end_with(entry), behind(job))
    return wanted


def _has_waited_long(plan: Plan, job: Job) -> bool:
    """Whether others make room for a job, and nobody less important passes it any more."""
    waited_s = (plan.at - job.since_at).total_seconds()
    return waited_s > plan.site.patience_s and waited_s >= plan.site.patience_s + _RELATIVE * job.ran_s


def _staggered(plan: Plan) -> Reason | None:
    """Why nothing more is started before some of those that come up have, None if more may be."""
    most = plan.site.starts_at_once
    return None if most is None or len(plan.coming) < most else coming_up(len(plan.coming), most)


def _try(plan: Plan, room: Room, snapshot: Snapshot, job: Job, limit_w: float) -> Attempt | Reason:
    """A new attempt, in the plan by now, or why there is none."""
    barred: frozenset[str] = frozenset()  #: nodes in domains that are full
    lacks: Reason | None = None
    while (placements := place(job, room, plan, barred)) is not None:
        tried = _on(plan, snapshot, job, placements, limit_w)
        if isinstance(tried, Reason):
            return tried
        full = full_for(plan, tried)
        if full is None:
            return tried
        plan.forget(tried)
        zone, lacks = full
        barred |= zone.factors.keys()
    return lacks or _lacking(plan, room, job)


def _on(
    plan: Plan, snapshot: Snapshot, job: Job, placements: tuple[Placement, ...], limit_w: float
) -> Attempt | Reason:
    """A new attempt on these nodes, in the plan by now, or why there is no power for it."""
    attempt = new_attempt(job, placements, plan)
    reason = _unaffordable(plan, snapshot, job, attempt, limit_w)
    if reason is None or len(placements) <= job.spec.nodes or job.spec.max_nodes is None:
        return reason or attempt
    return _smaller(plan, snapshot, job, placements, limit_w)


def _smaller(
    plan: Plan, snapshot: Snapshot, job: Job, placements: tuple[Placement, ...], limit_w: float
) -> Attempt | Reason:
    """The largest gang on fewer of these nodes that there is power for, in the plan by now; or what the least lacks."""
    fits, too_many = job.spec.nodes, len(placements)
    attempt = new_attempt(job, placements[:fits], plan)
    reason = _unaffordable(plan, snapshot, job, attempt, limit_w)
    if reason is not None:
        return reason
    plan.forget(attempt)
    while too_many - fits > 1:
        size = (fits + too_many) // 2
        larger = new_attempt(job, placements[:size], plan)
        if _unaffordable(plan, snapshot, job, larger, limit_w) is None:
            plan.forget(larger)
            attempt, fits = larger, size
        else:
            too_many = size
    plan.put(attempt)
    return attempt


def _lacking(plan: Plan, room: Room, job: Job) -> Reason:
    """What a job that does not fit lacks."""
    if room.free and (pinned := pinned_away(job, room.free, plan)) is not None:
        return pinned
    off = 0 if room.free else sum(plan.is_off(gid) for gid in plan.groups)
    return no_gpus(job, nodes=len(room.free), free=room.total, leaving=room.leaving(plan), off=off)


def _unaffordable(
    plan: Plan, snapshot: Snapshot, job: Job, attempt: Attempt, limit_w: float
) -> Reason | None:
    """Why there is no power for this attempt; None = it is in the plan now."""
    model, site = plan.model(attempt), plan.site
    needed_w = site.overhead * attempt.gpu_count * (model.charge_w(attempt.cap_w) - model.idle_w)
    free_w = limit_w - plan.floors_w(job.spec.flex)
    if needed_w > free_w:
        return no_power(needed_w, free_w)
    rest_w = plan.fallback_w()
    plan.put(attempt)
    reason = _weak(plan, rest_w) or _window_reason(plan, snapshot, job)
    if reason is not None:
        plan.forget(attempt)
    return reason


def _weak(plan: Plan, rest_w: float) -> Reason | None:
    """Why its part in the fallback does not fit, None if it does."""
    firm_w = plan.site.firm_w * (1.0 - plan.site.margin)  # or a limit at the firm level would end firm work
    if plan.fallback_w() > firm_w:
        return no_firm_power(plan.fallback_w() - rest_w, firm_w - rest_w)
    return None


def _window_reason(plan: Plan, snapshot: Snapshot, job: Job) -> Reason | None:
    needed_s = plan.site.restart_s + job.spec.launch.checkpoint_interval_s
    needed_w = plan.floors_w(job.spec.flex) - plan.kept_w  # under a lower limit mining gives way
    limit_needed_w = needed_w / (1.0 - plan.site.margin)
    lasts_s = window_s(
        snapshot.envelopes, limit_needed_w, now=plan.at, horizon_s=needed_s, firm_w=plan.site.firm_w
    )
    return None if lasts_s is None or lasts_s >= needed_s else short_window(plan, lasts_s, needed_s)


def new_attempt(job: Job, placements: tuple[Placement, ...], plan: Plan) -> Attempt:
    """The next attempt of a job, at its knee for now."""
    node_id, number = placements[0].node_id, job.attempts + 1
    return Attempt(
        id=f"{job.id}.{number}",
        job_id=job.id,
        number=number,
        state=AttemptState.ALLOCATED,
        since_at=plan.at,
        placements=placements,
        cap_w=plan.kind_on(job, node_id).knee_w if plan.model_of(node_id) else 0.0,
        resume_from=job.last_commit,
        created_at=plan.at,
    )


# -- what is admitted now: only what fits beside every order that may still stand ---


def _admit(plan: Plan, raises: Raises, wanted: list[Attempt], limit_w: float) -> None:
    """Take back each raise that does not fit yet, and keep its watts reserved for it."""
    exposed_w = plan.exposed_w()
    for original in reversed(wanted):
        if exposed_w <= limit_w:
            break
        _take_back(plan, raises, original, exposed_w)
        exposed_w = plan.exposed_w()
    for original in reversed(wanted):
        raised = plan.attempts.get(original.id)
        if raised is not None and raised.phase is Phase.RUN and is_exposed(plan, raised):
            _take_back(plan, raises, original, exposed_w)
    for original in wanted:
        if original.id in plan.attempts and plan.attempts[original.id].phase is Phase.RUN:
            _confirm(plan, plan.attempts[original.id], resumed=original.phase is Phase.SUSPEND)


def _take_back(plan: Plan, raises: Raises, original: Attempt, exposed_w: float) -> None:
    before_w, nodes = plan.nodes_w(), [p.node_id for p in original.placements]
    planned_w = {gid: plan.group_bounds_w(gid).planned_w for gid in nodes if gid in plan.groups}
    if original.phase is Phase.SUSPEND:
        plan.put(original)
    else:
        plan.forget(plan.attempts[original.id])
    kept_w = before_w - plan.nodes_w()
    raises.reserved_w += kept_w
    risen_w = {gid: w - plan.group_bounds_w(gid).planned_w for gid, w in planned_w.items()}
    raises.zones.keep(plan, original, risen_w)
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

"""Raises: resume what is suspended, start what waits, lift caps.

Each only where the plan *and* every open order leave room.

Miners do not stand in the way of the plan, for they will give their watts back; but nothing is raised before they have.
"""

from __future__ import annotations

from datetime import datetime

from scheduler.core.altered import altered
from scheduler.core.caps import is_capped, level_caps
from scheduler.core.deadlines import is_urgent
from scheduler.core.jobs import Attempt, JobState, PauseCause, Phase
from scheduler.core.lean import is_lean, lean_cap_w, spare_w
from scheduler.core.lifecycle import moved
from scheduler.core.lifting import fill_up, lift_caps, make_way, regain
from scheduler.core.plan import EPSILON_W, Plan
from scheduler.core.queueing import Queue
from scheduler.core.raises import Raises
from scheduler.core.reasons import Event, Reason
from scheduler.core.room import Room
from scheduler.core.snapshot import Snapshot
from scheduler.core.starting import startable
from scheduler.core.switching import Refused, spare_bases, switch_nodes
from scheduler.core.waiting import (
    no_power,
    ramping,
    releasing,
)
from scheduler.core.zoning import full_for, held_in_zones, is_exposed, make_way_in_zones

TEMPORARY = (PauseCause.POWER_WITHDRAWN, PauseCause.EMERGENCY_STOP)
"""What an attempt is suspended for that goes on by itself once there is power."""


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
    wanted += startable(plan, room, queue, snapshot, raises, limit_w - _promised_w(plan))
    caps = level_caps(plan, limit_w)
    if wanted:
        make_way(plan, caps, {a.id for a in wanted if not is_lean(plan, a.id)}, limit_w)
        make_way_in_zones(plan)
        _admit(plan, raises, wanted, limit_w)
    raises.free_gpus = room.total
    if not queue.ready and room.total and is_capped(plan):
        spare_bases(plan, room)
    kept_w = switch_nodes(plan, room, raises.refused, limit_w - raises.reserved_w)
    if kept_w:
        make_way(plan, caps, frozenset(), limit_w - raises.reserved_w - kept_w)
    raises.reserved_w += kept_w
    raises.reserved_w += regain(plan, caps, limit_w - raises.reserved_w, raises.zones)
    raises.reserved_w += lift_caps(plan, caps, limit_w - raises.reserved_w, raises.zones)
    if held_down := held_in_zones(plan, caps):  # which leaves more for the others
        caps = level_caps(plan, limit_w, fixed=held_down)
        raises.reserved_w += lift_caps(plan, caps, limit_w - raises.reserved_w, raises.zones)
    raises.reserved_w += fill_up(plan, caps, limit_w - raises.reserved_w, raises.zones)
    return raises


# -- who is wanted: judged with all peers at their knees, because caps go before pauses ---


def _resumable(plan: Plan, raises: Raises, limit_w: float) -> list[Attempt]:
    """Suspended attempts, put back to running in the plan, firmest tier first."""
    held = [
        a for a in plan.in_phase(Phase.SUSPEND) if a.pause_cause in TEMPORARY and a.id not in plan.given_up
    ]
    wanted, lacking = [], []
    for attempt in sorted(held, key=lambda a: _turn(plan, a)):
        job, cap_w = plan.jobs[attempt.job_id], plan.knee_w(attempt)
        needed_w = _lacking_w(plan, attempt)
        free_w = limit_w - plan.at_knees_w(job.spec.flex)
        if needed_w > free_w:
            lacking.append((attempt, no_power(plan, needed_w, free_w)))
        elif _is_resumed(plan, raises, attempt, cap_w):
            wanted.append(attempt)
    for attempt, lacks in lacking:
        cap = lean_cap_w(plan, attempt, spare_w(plan, limit_w), from_w=plan.model(attempt).held_w())
        if cap is not None and _is_resumed(plan, raises, attempt, cap):
            wanted.append(attempt)
        elif cap is None:
            raises.reasons[attempt.job_id] = lacks
            raises.refused.append(Refused(plan.jobs[attempt.job_id], 1, lacks_gpus=False))
    return wanted


def _promised_w(plan: Plan) -> float:
    """Site watts that suspended attempts lack for which others have left: nobody starts with them."""
    held = (a for a in plan.in_phase(Phase.SUSPEND) if a.id in plan.promised)
    return sum((_lacking_w(plan, a) for a in held), 0.0)


def _lacking_w(plan: Plan, attempt: Attempt) -> float:
    """Site watts that a suspended attempt draws more once it goes on at its knee."""
    return -plan.freed_w(attempt, plan.model(attempt).charge_w(plan.knee_w(attempt)))


def _is_resumed(plan: Plan, raises: Raises, attempt: Attempt, cap_w: float) -> bool:
    """Put a suspended attempt back to running in the plan, unless its domains do not take it."""
    resumed = plan.change(attempt, phase=Phase.RUN, cap_w=cap_w)
    if (full := full_for(plan, resumed)) is not None:
        plan.put(attempt)
        raises.reasons[attempt.job_id] = full[1]
    return full is None


def _turn(plan: Plan, attempt: Attempt) -> tuple[int, int, bool, datetime, str]:
    job = plan.jobs[attempt.job_id]
    waits = not is_urgent(job, attempt, plan.at, plan.site)
    return plan.tier(attempt), -job.spec.priority, waits, attempt.created_at, attempt.id


# -- what is admitted now: only what fits beside every order that may still stand ---


def _admit(plan: Plan, raises: Raises, wanted: list[Attempt], limit_w: float) -> None:
    """Take back each raise that does not fit yet, and keep its watts reserved for it."""
    exposed_w = plan.exposed_w()
    for original in reversed(wanted):
        if exposed_w <= limit_w + EPSILON_W:
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
        plan.jobs[job.id] = altered(
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

"""From a plan to what goes out: per group the whole desired state, and how long it may stand."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from scheduler.core.envelope import changes, lowest
from scheduler.core.estop import EmergencyStop
from scheduler.core.jobs import Attempt, PauseCause, Phase, Placement
from scheduler.core.orders import AttemptOrder, FallbackStep, Rank
from scheduler.core.plan import EPSILON_W, Plan, limit_now, usable_w
from scheduler.core.snapshot import Group, Snapshot

_ALONE = Rank()
_PORTS = range(20_000, 30_000)  #: rendezvous ports of gangs, below the kernel's ephemeral range


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An order without its number: the shell adds fence, boot id and the guard's clock."""

    group_id: str
    entitlement_w: float
    fallback: tuple[FallbackStep, ...]
    attempts: tuple[AttemptOrder, ...]
    miners_target_w: float
    expires_at: datetime
    stop: EmergencyStop | None = None
    released_stop: str = ""
    standby: bool = False


def drafts(plan: Plan, snapshot: Snapshot) -> dict[str, Draft]:
    """One draft per group that was heard of within a lease. What would raise waits until the books have room for it."""
    is_full = plan.exposed_w() > usable_w(snapshot, limit_now(snapshot)) + EPSILON_W
    end = lease_end(plan, snapshot)
    ends = {gid: _group_end(g, end, plan) for gid, g in plan.groups.items()}
    return {
        gid: _draft(plan, snapshot, gid, expires_at)
        for gid, expires_at in ends.items()
        if expires_at > plan.at and not (is_full and plan.raises(gid))
    }


def _group_end(group: Group, end: datetime, plan: Plan) -> datetime:
    """No lease outlives the last report by more than `lease_s`: orders may reach whom no report comes back from."""
    last = group.reported_at
    return plan.at if last is None else min(end, last + timedelta(seconds=plan.site.lease_s))


def lease_end(plan: Plan, snapshot: Snapshot) -> datetime:
    """A lease after now, or earlier where the limit is known to fall below the plan before that.

    What falls within the lead was planned for already: an order that lapses before it would only cut less.
    """
    site = snapshot.site
    planned_w = plan.site_w()
    full, fall = snapshot.at + timedelta(seconds=site.lease_s), timedelta(seconds=site.fall_s)
    lead = timedelta(seconds=site.lead_s)
    for t in changes(snapshot.envelopes, after=snapshot.at + lead, until=full + fall):
        if lowest(snapshot.envelopes, t, now=snapshot.at, firm_w=site.firm_w).limit_w < planned_w:
            return min(full, t - fall)
    return full


def _draft(plan: Plan, snapshot: Snapshot, group_id: str, expires_at: datetime) -> Draft:
    members = sorted(plan.on(group_id), key=lambda a: a.id)
    held = snapshot.groups[group_id].stop
    return Draft(
        group_id=group_id,
        entitlement_w=plan.group_w(group_id),
        fallback=plan.fallback_of(group_id),
        attempts=tuple(_attempt_order(plan, a, group_id) for a in members),
        miners_target_w=plan.miners_w.get(group_id, 0.0),
        expires_at=expires_at,
        stop=snapshot.stop,
        released_stop=held.id if held is not None and held.id in snapshot.released_stops else "",
    )


def _attempt_order(plan: Plan, attempt: Attempt, group_id: str) -> AttemptOrder:
    spec = plan.jobs[attempt.job_id].spec
    index, placement = _member(attempt, group_id)
    grace_s = _grace_s(plan, attempt, spec.launch.grace_s)
    return AttemptOrder(
        attempt_id=attempt.id,
        job_id=attempt.job_id,
        number=attempt.number,
        phase=attempt.phase,
        gpu_ids=placement.gpu_ids,
        cap_w=attempt.cap_w,
        tier=spec.flex,
        priority=spec.priority,
        reason=attempt.pause_cause or "",
        launch=spec.launch if grace_s == spec.launch.grace_s else replace(spec.launch, grace_s=grace_s),
        resume_from=attempt.resume_from.path if attempt.resume_from else "",
        rank=_rank(plan, attempt, index),
    )


def _grace_s(plan: Plan, attempt: Attempt, asked_s: float) -> float:
    """A save that power forces must be over within the reaction time; any other gets what the job asked for.

    The lead is what the order may take on its way, the fall what the devices take after the kill.
    """
    forced = attempt.phase is Phase.SAVE_EXIT and attempt.pause_cause is PauseCause.POWER_WITHDRAWN
    left_s = plan.site.reaction_s - plan.site.lead_s - plan.site.fall_s
    return min(asked_s, max(1.0, left_s)) if forced else asked_s


def _member(attempt: Attempt, group_id: str) -> tuple[int, Placement]:
    first = attempt.placements[0]
    if first.node_id == group_id:
        return 0, first
    return next((i, p) for i, p in enumerate(attempt.placements) if p.node_id == group_id)


def _rank(plan: Plan, attempt: Attempt, index: int) -> Rank:
    if len(attempt.placements) == 1:
        return _ALONE
    job, master = plan.jobs[attempt.job_id], plan.groups.get(attempt.placements[0].node_id)
    return Rank(
        node_rank=index,
        nodes=len(attempt.placements),
        master_addr=master.spec.address if master else "",
        master_port=_PORTS[(job.number * 13 + attempt.number) % len(_PORTS)],
    )

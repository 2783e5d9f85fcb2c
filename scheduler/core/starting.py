"""Who starts: the queue from its head on, each where it fits, as long as the watts last.

Judged with all peers at their knees, because caps go before pauses; on GPUs that are free beside others, with all at
their floors, because the base of such a node is spent in any case; and one more by what these have no use for
(`scheduler.core.lean`). Whether it is admitted yet is another matter: `scheduler.core.raising`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from scheduler.core.altered import altered
from scheduler.core.bare import Reach
from scheduler.core.clearing import Clearing
from scheduler.core.jobs import Attempt, AttemptState, Job, Phase, Placement
from scheduler.core.lean import lean_cap_w, spare_w
from scheduler.core.leaving import exit_s, hold_exit, leave_s
from scheduler.core.placement import place, usable
from scheduler.core.plan import EPSILON_W, Plan
from scheduler.core.presence import LEAVING
from scheduler.core.queueing import Entry, Heads, Queue
from scheduler.core.raises import Raises
from scheduler.core.reasons import Code, Reason
from scheduler.core.reunion import apart, pinned_away
from scheduler.core.room import Room
from scheduler.core.snapshot import Snapshot
from scheduler.core.switching import Refused
from scheduler.core.tenancy import Tenancy
from scheduler.core.waiting import (
    behind,
    clearing,
    coming_up,
    is_foreseen,
    no_firm_power,
    no_gpus,
    no_power,
    no_turn,
    passed_over,
)
from scheduler.core.windows import pays_off_s, too_short
from scheduler.core.zone_starts import refused_by

_Way = Callable[[Plan, Snapshot, Job, tuple[Placement, ...], float], Attempt | Reason]
"""How a start on some nodes is judged: the attempt, in the plan by now, or why there is none."""

_RELATIVE = 0.5  #: who has run waits this share of that longer before others have to make room
_LACKS_GPUS = frozenset(
    {Code.WAITING_FOR_RESOURCES, Code.TOPOLOGY_FRAGMENTED, Code.WAITING_FOR_PREEMPTED_JOBS, Code.NODE_BOOTING}
)


def startable(
    plan: Plan, room: Room, queue: Queue, snapshot: Snapshot, raises: Raises, limit_w: float
) -> list[Attempt]:
    """Waiting jobs that fit, in queue order, put into the plan as new attempts."""
    tenancy, reach = Tenancy(plan, room, queue), Reach(plan, limit_w)
    heads, wanted = queue.heads(tenancy.borrows), []
    clearing = Clearing(plan, room, tenancy, snapshot, limit_w)
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
        if isinstance(tried, Reason) and tried.code is Code.POWER_UNAVAILABLE:
            tried = _beside(plan, room, snapshot, job, limit_w) or tried
        if isinstance(tried, Attempt):
            wanted.append(tried)
            _count_in(plan, room, tenancy, tried)
            heads.go_on()
            continue
        left = heads.leave_out()
        raises.refuse(left, tried)
        if tried.code is Code.QUOTA_EXCEEDED or is_foreseen(tried):
            continue  # what it waits for, nobody else can give it: it keeps nobody from anything
        lacks_gpus = tried.code in _LACKS_GPUS
        clearing.call_in(job, left.jobs, lacks_gpus=lacks_gpus)
        if tried.code is not Code.WINDOW_TOO_SHORT:  # what lacks time alone lacks neither nodes nor watts
            might = plan.arrays.may_start(job, left.jobs)
            raises.refused.append(Refused(job, might, lacks_gpus))
        if not _has_waited_long(plan, job):
            continue
        if lacks_gpus and clearing.is_all_for(job):
            raises.refuse_all(heads.rest(), behind(job))
            break
        _hold_back(heads, entry, job, reach, raises)
    lean = _lean(plan, room, snapshot, raises, tenancy, limit_w)
    return wanted if lean is None else [*wanted, lean]


def _count_in(plan: Plan, room: Room, tenancy: Tenancy, attempt: Attempt) -> None:
    """Count a start that is in the plan wherever else it counts."""
    room.take(attempt.placements)
    tenancy.start(plan.jobs[attempt.job_id])
    hold_exit(plan, attempt)


def _beside(plan: Plan, room: Room, snapshot: Snapshot, job: Job, limit_w: float) -> Attempt | Reason | None:
    """A new attempt on GPUs that are free beside others, in the plan by now, if all may have less for it.

    Else what it lacks for that; None if it is not watts.
    """
    bare = frozenset(room.free.keys() & plan.occupants.bare)
    if job.spec.total_gpus > room.total - sum(len(room.free[node_id]) for node_id in bare):
        return None
    needed_w, free_w = plan.starts_w(job).at_floor_w, limit_w - plan.at_floors_w(job.spec.flex)
    if needed_w > free_w + EPSILON_W:
        return no_power(plan, needed_w, free_w)
    tried = _try(plan, room, snapshot, job, limit_w, way=_beside_on, barred=bare)
    return tried if isinstance(tried, Attempt) else None


def _lean(
    plan: Plan, room: Room, snapshot: Snapshot, raises: Raises, tenancy: Tenancy, limit_w: float
) -> Attempt | None:
    """The first that waits for watts alone and fits below its knee, with those that nobody who runs has use for."""
    spare = spare_w(plan, limit_w)
    if spare <= 0 or _staggered(plan) is not None:
        return None
    for some in [r for r in raises.refused if not r.lacks_gpus and plan.of(r.job.id) is None]:
        job = some.job
        if plan.arrays.full(job) is not None or tenancy.exceeded(job) is not None:
            continue
        tried = _try(plan, room, snapshot, job, limit_w, way=partial(_lean_on, spare=spare))
        if isinstance(tried, Attempt):
            _count_in(plan, room, tenancy, tried)
            raises.started(some)
            return tried
        if tried.code is Code.WINDOW_TOO_SHORT:  # not for watts, so that no node goes to standby for it
            raises.refused.remove(some)
    return None


def _hold_back(heads: Heads, entry: Entry, job: Job, reach: Reach, raises: Raises) -> None:
    """Let nobody less important pass a job that has waited long, if a start of it is in reach."""
    if heads.has_below(entry) and reach.has(job):
        raises.refuse_all(list(heads.end_with(entry)), behind(job))


def _has_waited_long(plan: Plan, job: Job) -> bool:
    """Whether others make room for a job, and nobody less important passes it any more."""
    waited_s, patience_s = (plan.at - job.since_at).total_seconds(), plan.site.patience_s
    return waited_s > patience_s and waited_s >= patience_s + _RELATIVE * job.ran_s


def _staggered(plan: Plan) -> Reason | None:
    """Why nothing more is started before some of those that come up have, or those that leave; None if more may be.

    Who starts on a node that is being cleared would be given up in turn, over and over.
    """
    if plan.is_clearing:
        staying = sum(
            a.phase not in LEAVING for k in plan.given_up if (a := plan.attempts.get(k)) is not None
        )
        return clearing(staying, plan.roster.count(Phase.SAVE_EXIT))
    most = plan.site.starts_at_once
    return None if most is None or len(plan.coming) < most else coming_up(len(plan.coming), most)


def _try(
    plan: Plan,
    room: Room,
    snapshot: Snapshot,
    job: Job,
    limit_w: float,
    *,
    way: _Way | None = None,
    barred: frozenset[str] = frozenset(),
) -> Attempt | Reason:
    """A new attempt on nodes that are not `barred`, in the plan by now, or why there is none.

    At its knee, or in another way.
    """
    if job.spec.total_gpus > room.total:
        return _lacking(plan, room, job)
    lacks: Reason | None = None
    while (
        placements := place(job, room, plan, barred)
    ) is not None:  # some are in domains that do not take it
        tried = (way or _on)(plan, snapshot, job, placements, limit_w)
        if isinstance(tried, Reason):
            return tried
        full = refused_by(plan, snapshot, tried)
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


def _beside_on(
    plan: Plan, snapshot: Snapshot, job: Job, placements: tuple[Placement, ...], limit_w: float
) -> Attempt | Reason:
    """The same, judged with all at their floors."""
    attempt = new_attempt(job, _fewest(job, placements), plan)
    return _unaffordable(plan, snapshot, job, attempt, limit_w, at_floors=True) or attempt


def _fewest(job: Job, placements: tuple[Placement, ...]) -> tuple[Placement, ...]:
    """Of an elastic gang the smallest. Who takes any GPUs has all of these."""
    return placements if job.spec.max_nodes is None else placements[: job.spec.nodes]


def _lean_on(
    plan: Plan,
    snapshot: Snapshot,
    job: Job,
    placements: tuple[Placement, ...],
    limit_w: float,
    *,
    spare: float,
) -> Attempt | Reason:
    """The same below its knee, with no more than `spare`."""
    attempt = new_attempt(job, _fewest(job, placements), plan)
    cap_w = lean_cap_w(plan, attempt, spare, from_w=plan.model(attempt).idle_w)
    if cap_w is None:
        return no_power(plan, plan.starts_w(job).least_w, spare)
    attempt = altered(attempt, cap_w=cap_w)
    return _unaffordable(plan, snapshot, job, attempt, limit_w, at_floors=True) or attempt


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
    """What a job that does not fit lacks, and which of the nodes that it may use are passed over."""
    here = plan.faults.out(plan.at)
    out = sorted(here & usable(job, plan)) if here else []
    lacks = _what_lacks(plan, room, job, any_out=bool(out))
    return passed_over(lacks, {node_id: plan.faults.known[node_id] for node_id in out}) if out else lacks


def _what_lacks(plan: Plan, room: Room, job: Job, *, any_out: bool) -> Reason:
    if room.free and (pinned := pinned_away(job, room.free, plan)) is not None:
        return pinned
    if (scattered := apart(job, room, plan)) is not None:
        return scattered
    off = 0 if room.free else sum(plan.is_off(gid) for gid in plan.groups)
    nodes = len(room.free) + any_out
    return no_gpus(job, nodes=nodes, free=room.total, leaving=room.leaving(plan), off=off)


def _unaffordable(
    plan: Plan, snapshot: Snapshot, job: Job, attempt: Attempt, limit_w: float, *, at_floors: bool = False
) -> Reason | None:
    """Why there is no power for this attempt with all at their knees, or floors; None = it is in the plan now."""
    model, site = plan.model(attempt), plan.site
    kind = plan.kind_of(attempt)
    cap_w = min(attempt.cap_w, kind.floor_w) if at_floors and kind is not None else attempt.cap_w
    needed_w = site.overhead * attempt.gpu_count * (model.charge_w(cap_w) - model.idle_w)
    free_w = limit_w - (plan.at_floors_w if at_floors else plan.at_knees_w)(job.spec.flex)
    if needed_w > free_w + EPSILON_W:
        return no_power(plan, needed_w, free_w)
    rest_w = plan.fallback_w()
    plan.put(attempt)
    more_w = plan.at_floors_w(job.spec.flex) - plan.at_knees_w(job.spec.flex) if at_floors else 0.0
    reason = (
        _weak(plan, rest_w) or too_short(plan, snapshot, job, more_w=more_w) or _no_turn(plan, job, attempt)
    )
    if reason is not None:
        plan.forget(attempt)
    return reason


def _weak(plan: Plan, rest_w: float) -> Reason | None:
    """Why its part in the fallback does not fit, None if it does."""
    firm_w = plan.site.firm_w * (1.0 - plan.site.margin)  # or a limit at the firm level would end firm work
    if plan.fallback_w() > firm_w:
        return no_firm_power(plan, plan.fallback_w() - rest_w, firm_w - rest_w)
    return None


def _no_turn(plan: Plan, job: Job, attempt: Attempt) -> Reason | None:
    """Why its save would not be over before a blackout, after those of others; None if it would."""
    if plan.dark_at is None:
        return None
    out_s, left_s = pays_off_s(plan, job) + leave_s(plan, job), (plan.dark_at - plan.at).total_seconds()
    turns_s = exit_s(plan, attempt)
    return no_turn(plan, plan.dark_at, turns_s, out_s) if left_s < out_s + turns_s else None


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

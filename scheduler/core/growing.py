"""When a running elastic gang saves, leaves and starts anew on more nodes: where that pays, and nobody else waits.

Growing takes the whole gang off its GPUs for a save and a restart. From n nodes to n + m it loses
n (save_s + restart_s) node-seconds and wins m for each second after: it has paid after

    n (save_s + restart_s) / m   seconds.

It is done only if that is within `min_run_s`, for which nobody makes it move again, and the time limit and the limit
that is announced and foreseen leave that long. Its n nodes, and the m that are free, must have been as they are for
`min_run_s`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from scheduler.core.floors import MOVABLE_TIER
from scheduler.core.jobs import Attempt, AttemptState, Job, PauseCause, Phase
from scheduler.core.pinning import by_place
from scheduler.core.placement import may_use
from scheduler.core.plan import Plan
from scheduler.core.presence import LEAVING
from scheduler.core.room import Room
from scheduler.core.snapshot import Snapshot
from scheduler.core.telling import told
from scheduler.core.topology import parts_at, required_level
from scheduler.core.victims import UNMEASURED_SAVE_S
from scheduler.core.windows import falls_short


def grow(plan: Plan, room: Room, snapshot: Snapshot, limit_w: float) -> None:
    """Have one gang save and leave that is to come back larger, if there is one; not while another does."""
    if not plan.elastic or any(a.pause_cause is PauseCause.GROWTH for a in plan.in_phase(*LEAVING)):
        return
    for attempt, job in _candidates(plan):
        more = _affordable(plan, job, attempt, _free_for(plan, room, snapshot, job, attempt), limit_w)
        if more > 0 and _pays(plan, snapshot, job, attempt, more):
            _send_off(plan, attempt, more)
            return


def next_growth_at(plan: Plan) -> datetime | None:
    """When the next gang has run for long enough to be looked at; None = there is none."""
    dwell = timedelta(seconds=plan.site.min_run_s)
    known = (plan.attempts[key].running_at for key in plan.elastic)
    return min((at + dwell for at in known if at is not None and at + dwell > plan.at), default=None)


def payback_s(*, nodes: int, more: int, save_s: float, restart_s: float) -> float:
    """Seconds after its restart until a gang of `nodes` has won back what it lost by taking `more`."""
    return nodes * (save_s + restart_s) / more


def _candidates(plan: Plan) -> Iterator[tuple[Attempt, Job]]:
    """Gangs below their most that have run for a while, may be paused and have a commit: the most important first."""
    found = [(plan.attempts[key], plan.jobs[plan.attempts[key].job_id]) for key in plan.elastic]
    for attempt, job in sorted(found, key=lambda f: (-f[1].spec.priority, f[0].created_at, f[0].id)):
        is_calm = attempt.phase is Phase.RUN and attempt.state is AttemptState.RUNNING
        ran_s = 0.0 if attempt.running_at is None else (plan.at - attempt.running_at).total_seconds()
        is_movable = job.spec.flex >= MOVABLE_TIER and job.last_commit is not None
        if is_calm and is_movable and ran_s >= plan.site.min_run_s:
            yield attempt, job


def _free_for(plan: Plan, room: Room, snapshot: Snapshot, job: Job, attempt: Attempt) -> int:
    """Nodes on which it could be besides its own, on which nothing has changed for a while.

    They are in the same place, and in the same rack if it asks for that.
    """
    own = {p.node_id for p in attempt.placements}
    free = (
        n
        for n in room.fullest(job.spec.gpus)
        if n not in own and may_use(job, n, plan) and _is_calm(plan, snapshot, n)
    )
    storage = plan.groups[attempt.placements[0].node_id].storage
    places = by_place(free, plan)
    here = next((place for place in places if plan.groups[place[0]].storage == storage), [])
    if (level := required_level(job)) is not None:
        parts = parts_at(level, plan)
        here = [n for n in here if parts[n] == parts[attempt.placements[0].node_id]]
    return min(len(here), job.spec.most_nodes - len(attempt.placements))


def _is_calm(plan: Plan, snapshot: Snapshot, node_id: str) -> bool:
    since_at = plan.groups[node_id].stirred_at or snapshot.led_since_at
    return since_at is not None and (plan.at - since_at).total_seconds() >= plan.site.min_run_s


def _affordable(plan: Plan, job: Job, attempt: Attempt, more: int, limit_w: float) -> int:
    """As many of `more` nodes as power carries once all others are at their knees."""
    model, knee_w = plan.model(attempt), _new_knee_w(plan, job, attempt)
    more_w = model.charge_w(knee_w) - model.charge_w(plan.knee_w(attempt))
    free_w = limit_w - plan.at_knees_w(job.spec.flex) - plan.site.overhead * attempt.gpu_count * more_w
    each_w = plan.site.overhead * job.spec.gpus * (model.charge_w(knee_w) - model.idle_w)
    return more if each_w <= 0 else min(more, max(0, int(free_w // each_w)))


def _new_knee_w(plan: Plan, job: Job, attempt: Attempt) -> float:
    """The cap at which it starts again, whatever is known of what it has use for now."""
    node_id = attempt.placements[0].node_id
    return plan.kind_on(job, node_id).knee_w if plan.model_of(node_id) else plan.knee_w(attempt)


def _pays(plan: Plan, snapshot: Snapshot, job: Job, attempt: Attempt, more: int) -> bool:
    site, save_s = plan.site, job.save_s or UNMEASURED_SAVE_S
    pays_s = payback_s(nodes=len(attempt.placements), more=more, save_s=save_s, restart_s=site.restart_s)
    needed_s = save_s + site.restart_s + pays_s
    if pays_s > site.min_run_s or _left_s(plan, job, attempt) < needed_s:
        return False
    model = plan.model(attempt)
    rise_w = more * job.spec.gpus * (model.charge_w(_new_knee_w(plan, job, attempt)) - model.idle_w)
    more_w = site.overhead * rise_w
    return falls_short(plan, snapshot, job.spec.flex, needed_s=needed_s, more_w=more_w) is None


def _left_s(plan: Plan, job: Job, attempt: Attempt) -> float:
    """Seconds that its time limit leaves; without one it is thought to run on for as long as it has run."""
    running_at = attempt.running_at or plan.at
    ran_s = job.ran_s + (plan.at - running_at).total_seconds()
    return ran_s if job.spec.time_limit_s is None else job.spec.time_limit_s - ran_s


def _send_off(plan: Plan, attempt: Attempt, more: int) -> None:
    plan.stop(attempt, Phase.SAVE_EXIT, PauseCause.GROWTH)
    nodes = len(attempt.placements)
    what = f"told to save and to go on with {nodes + more} nodes instead of {nodes}"
    plan.events.append(told(plan.at, attempt, "job.preempting", what, {"nodes": nodes, "more": more}))

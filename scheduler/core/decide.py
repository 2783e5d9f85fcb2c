"""The decision: from a snapshot to what every job, node and miner does next. Same input, same answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from scheduler.core.compose import Draft, drafts
from scheduler.core.envelope import Limit, changes
from scheduler.core.estop import stopped
from scheduler.core.jobs import WAITING_STATES, Attempt, Job, JobState, PauseCause, Phase
from scheduler.core.plan import Plan, limit_now, usable_w
from scheduler.core.progress import settle_facts
from scheduler.core.raising import Raises, dwell, raise_work
from scheduler.core.reasons import Event, Reason
from scheduler.core.shedding import cut, halt, release
from scheduler.core.snapshot import Snapshot
from scheduler.core.waiting import barred, ramping
from scheduler.core.wishes import fulfil
from scheduler.core.wording import capped_reason, paused_reason, preparing_reasons


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was decided: changed jobs and attempts, the drafts of all orders, reasons, events, when to look again."""

    limit: Limit
    drafts: Mapping[str, Draft] = field(default_factory=dict)
    jobs: Mapping[str, Job] = field(default_factory=dict)  #: changed ones
    attempts: Mapping[str, Attempt] = field(default_factory=dict)  #: changed or new ones, ended ones included
    reasons: Mapping[str, Reason] = field(default_factory=dict)  #: of every job that waits or is paused
    events: tuple[Event, ...] = ()
    cut_work: bool = False  #: AI work was cut for power in this round
    planned_w: float = 0.0  #: site watts by entitlement once all is confirmed
    exposed_w: float = 0.0  #: site watts that could be drawn at most right now
    wake_at: datetime | None = None


class Policy(Protocol):
    """How a site is run. The loop knows no more of it than this."""

    name: str

    def shed(self, snapshot: Snapshot) -> Decision | None:
        """The reductions that the limit in force demands at once, None where none is."""
        ...

    def decide(self, snapshot: Snapshot) -> Decision:
        """Everything else, after them. What it remembers is a cache: a fresh one decides the same."""
        ...


class PowerAware:
    """Barq's own policy."""

    name = "barq"

    def shed(self, snapshot: Snapshot) -> Decision | None:
        """See `shed`."""
        return shed(snapshot)

    def decide(self, snapshot: Snapshot) -> Decision:
        """See `decide`."""
        return decide(snapshot)


def shed(snapshot: Snapshot) -> Decision | None:
    """The reductions that a stop or the limit in force demand, None where none is. Raises nothing, ever."""
    plan, limit = Plan(snapshot), limit_now(snapshot)
    usable = usable_w(snapshot, limit)
    halted = _halt(plan, snapshot)
    if plan.site_w() <= usable and not halted:
        return None
    cut_work = cut(plan, usable) or halted
    return _decision(plan, snapshot, limit, {}, cut_work=cut_work)


def _halt(plan: Plan, snapshot: Snapshot) -> bool:
    return snapshot.stop is not None and halt(plan, snapshot.stop)


def decide(snapshot: Snapshot) -> Decision:
    """Everything: facts, wishes, reductions, raises, miners, reasons."""
    # 1. What became of the attempts, and what people want of the jobs.
    plan, limit = Plan(snapshot), limit_now(snapshot)
    usable = usable_w(snapshot, limit)
    settle_facts(plan, snapshot)
    fulfil(plan, snapshot)
    # 2. To the fallback under an emergency stop, and under the limit, first.
    halted = _halt(plan, snapshot)
    cut_work = cut(plan, usable) or halted
    # 3. What has been suspended for long gives its GPUs back, with a verified checkpoint.
    _release_long_suspended(plan, snapshot, usable)
    # 4. Then up: resume, start, lift caps.
    queue, reasons = _queue(plan, snapshot)
    raises = _raise(plan, snapshot, queue, usable, cut_work=cut_work)
    # 5. Miners take what is left.
    _feed_miners(plan, snapshot, usable - raises.reserved_w)
    # 6. Nobody wonders why.
    reasons |= raises.reasons
    reasons |= _placed_reasons(plan, snapshot, limit, raises)
    reasons |= preparing_reasons(plan, snapshot)
    return _decision(plan, snapshot, limit, reasons, cut_work=cut_work)


def _placed_reasons(plan: Plan, snapshot: Snapshot, limit: Limit, raises: Raises) -> dict[str, Reason]:
    """Why jobs that hold GPUs stand still, or run slower than they could."""
    reasons = {}
    for attempt in plan.attempts.values():
        state = plan.jobs[attempt.job_id].state
        if snapshot.stop and state in (JobState.SUSPENDED, JobState.PREEMPTING):
            reasons[attempt.job_id] = stopped(snapshot.stop)
        elif state is JobState.SUSPENDED:
            reasons[attempt.job_id] = paused_reason(plan, attempt, limit, raises.reasons.get(attempt.job_id))
        elif attempt.phase is Phase.RUN and (capped := capped_reason(plan, attempt, limit)):
            reasons[attempt.job_id] = capped
    return reasons


def _release_long_suspended(plan: Plan, snapshot: Snapshot, limit_w: float) -> None:
    """Under an emergency stop as soon as guards on their own would have it."""
    site = plan.site
    long_s = min(site.suspend_max_s, site.save_after_s) if snapshot.stop else site.suspend_max_s
    for attempt in plan.in_phase(Phase.SUSPEND):
        if (plan.at - attempt.since_at).total_seconds() >= long_s:
            release(plan, attempt, attempt.pause_cause or PauseCause.POWER_WITHDRAWN, limit_w)


def _queue(plan: Plan, snapshot: Snapshot) -> tuple[list[Job], dict[str, Reason]]:
    """Waiting jobs that may start, larger priority first, then the oldest; and why the others may not."""
    queue, reasons = [], {}
    for job in plan.jobs.values():
        if job.state in WAITING_STATES or job.state is JobState.HELD:
            reason = barred(job, plan, snapshot.settled)
            if reason is None:
                queue.append(job)
            else:
                reasons[job.id] = reason
    return sorted(queue, key=lambda j: (-j.spec.priority, j.number)), reasons


def _raise(plan: Plan, snapshot: Snapshot, queue: list[Job], limit_w: float, *, cut_work: bool) -> Raises:
    waiting = stopped(snapshot.stop) if snapshot.stop else None
    waiting = waiting or (None if snapshot.raises_allowed else _not_yet())
    waiting = waiting or (ramping(snapshot.site, snapshot.at) if cut_work else dwell(snapshot))
    if waiting is not None:
        return Raises(reasons={j.id: waiting for j in queue})
    return raise_work(plan, snapshot, queue, limit_w)


def _not_yet() -> Reason:
    text = "orders of an earlier leader may still stand; nothing is raised yet"
    return Reason(code="PendingEvaluation", text=text)


def _feed_miners(plan: Plan, snapshot: Snapshot, limit_w: float) -> None:
    """Give miners what the nodes leave, in proportion to their size; raise only beside all open orders."""
    room_w = max(0.0, limit_w - plan.nodes_w())
    sizes = {gid: plan.groups[gid].spec.miners_max_w for gid in plan.miners_w}
    total_w = sum(sizes.values())
    if total_w <= 0:
        return
    wanted = {gid: min(size_w, room_w * size_w / total_w) for gid, size_w in sizes.items()}
    known = dict(plan.miners_w)
    plan.miners_w.update({gid: min(w, known[gid]) for gid, w in wanted.items()})
    spare_w = limit_w - plan.exposed_w()
    raise_w = sum(max(0.0, w - known[gid]) for gid, w in wanted.items())
    if snapshot.stop or not snapshot.raises_allowed or spare_w <= 0 or raise_w <= 0:
        return
    share = min(1.0, spare_w / raise_w)
    for gid, target_w in wanted.items():
        if target_w > known[gid]:
            plan.miners_w[gid] = known[gid] + share * (target_w - known[gid])


def _decision(
    plan: Plan, snapshot: Snapshot, limit: Limit, reasons: dict[str, Reason], *, cut_work: bool
) -> Decision:
    return Decision(
        limit=limit,
        drafts=drafts(plan, snapshot),
        jobs={j.id: j for j in plan.jobs.values() if j is not snapshot.jobs.get(j.id)},
        attempts={a.id: a for a in _changed(plan, snapshot)},
        reasons=reasons,
        events=tuple(plan.events),
        cut_work=cut_work,
        planned_w=plan.site_w(),
        exposed_w=plan.exposed_w(),
        wake_at=_wake_at(snapshot, reasons),
    )


def _changed(plan: Plan, snapshot: Snapshot) -> list[Attempt]:
    everything = [*plan.attempts.values(), *plan.ended.values()]
    known = snapshot.attempts
    return [a for a in everything if a is not (old := known.get(a.id)) and a != old]


def _wake_at(snapshot: Snapshot, reasons: Mapping[str, Reason]) -> datetime | None:
    """The next instant at which time alone changes something: a known limit step, a wait that ends."""
    lead = timedelta(seconds=snapshot.site.lead_s)
    steps = changes(snapshot.envelopes, after=snapshot.at, until=snapshot.at + timedelta(hours=1))
    ends = [r.expected_at for r in reasons.values() if r.expected_at is not None]
    coming = [t for s in steps for t in (s - lead, s)] + ends
    return min((t for t in coming if t > snapshot.at), default=None)

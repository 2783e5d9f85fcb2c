"""What all baselines share: facts, wishes, the limit, orders. They differ in who gives way, who starts, at what cap.

Like Barq's own policy a baseline lowers at once, raises only beside everything that open orders still allow, keeps the
site's dwell time after a cut, its firm level on loss of signal and its emergency stop, and lets go of firm work last.
It puts no node to standby, looks at no forecast, and gives no reasons: nobody waits for its jobs but a simulator.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from scheduler.core.compose import drafts, lease_end, withheld
from scheduler.core.decide import Decision
from scheduler.core.envelope import Limit, changes
from scheduler.core.estop import sentence
from scheduler.core.jobs import Attempt, Job, PauseCause, Phase
from scheduler.core.mining import feed_miners
from scheduler.core.news import News
from scheduler.core.plan import Plan, limit_now, usable_w
from scheduler.core.progress import settle_facts
from scheduler.core.room import Room as Nodes
from scheduler.core.shedding import cut_miners, halt
from scheduler.core.snapshot import Snapshot
from scheduler.core.wishes import fulfil
from scheduler.sim.baselines.caps import Caps, FullCaps
from scheduler.sim.baselines.line import Line
from scheduler.sim.baselines.raising import Raising, told
from scheduler.sim.baselines.room import Room

_LOOK_AHEAD = timedelta(hours=1)


class Baseline:
    """A policy in the frame. A subclass names itself and its source, and overrides what is its own."""

    name = "baseline"
    caps: Caps = FullCaps()
    saves = True  #: who gives way saves a checkpoint first; False = is killed, and rolls back to its last one
    is_strict = False  #: nothing passes a job that does not fit

    def __init__(self, estimates_s: Mapping[str, float] | None = None) -> None:
        """`estimates_s` = by job id, what users said that their jobs take; nobody is held to it."""
        self._estimates_s = dict(estimates_s or {})
        self._line = Line(self.rank, self.ready_at)
        self._plan: Plan | None = None
        self._nodes: Nodes | None = None

    def estimate_s(self, job: Job) -> float:
        """How long a job runs as far as its user said: an estimate, else its time limit, else without end."""
        limit_s = job.spec.time_limit_s
        return self._estimates_s.get(job.id, float("inf") if limit_s is None else limit_s)

    # -- what a baseline decides for itself ----------------------------------------------------------------------

    def rank(self, job: Job) -> tuple[float, ...]:
        """Its place in the queue; the smallest is first."""
        return (job.number,)

    def victims(self, plan: Plan, attempts: Iterable[Attempt]) -> list[Attempt]:
        """Who gives way, in this order."""
        return youngest_first(plan, attempts)

    def ready_at(self, job: Job) -> datetime | None:
        """When a waiting job may start again, None = now."""
        return job.not_before_at

    def start(self, queue: Iterable[Job], room: Room) -> None:
        """Start what fits: first fit in the order of the queue."""
        for job in queue:
            if not room.is_open:
                return
            if not room.start(job) and self.is_strict and room.may_start(job):
                return

    # -- the policy ----------------------------------------------------------------------------------------------

    def shed(self, snapshot: Snapshot) -> Decision | None:
        """The reductions that a stop or the limit in force demand, None where none is."""
        plan, limit = self._follow(snapshot), limit_now(snapshot)
        usable = usable_w(snapshot, limit)
        halted = snapshot.stop is not None and halt(plan, snapshot.stop)
        if plan.site_w() <= usable and not halted:
            return None
        cut_work = self._reduce(plan, usable) or halted
        return _decision(plan, snapshot, limit, usable, cut_work=cut_work)

    def decide(self, snapshot: Snapshot) -> Decision:
        """Facts, wishes, reductions; then raises, unless work was cut just now; miners take the rest."""
        plan, limit = self._follow(snapshot), limit_now(snapshot)
        usable = usable_w(snapshot, limit)
        settle_facts(plan, snapshot)
        fulfil(plan, snapshot, self._line.dependents)
        halted = snapshot.stop is not None and halt(plan, snapshot.stop)
        cut_work = self._reduce(plan, usable) or halted
        self._release_long_held(plan, snapshot)
        self._line.look(plan.jobs, plan.at)
        wakes = [_dwell_end(snapshot, cut_work=cut_work)]
        reserved_w = 0.0
        if wakes[0] is None and snapshot.stop is None and snapshot.raises_allowed:
            reserved_w = self._raise(plan, snapshot, usable, wakes)
        feed_miners(plan, snapshot, usable - reserved_w)
        plan.since = News()
        return _decision(plan, snapshot, limit, usable, cut_work=cut_work, wakes=wakes)

    def _follow(self, snapshot: Snapshot) -> Plan:
        """The plan of the last round, brought up to this one: a cache, as with Barq's own policy."""
        if self._plan is None:
            self._plan = Plan(snapshot)
        else:
            self._plan.follow(snapshot)
            self._plan.trim()
        return self._plan

    # -- down ----------------------------------------------------------------------------------------------------

    def _reduce(self, plan: Plan, limit_w: float) -> bool:
        """Mining first, then caps as far as the baseline has any, then whole jobs. Whether AI work was cut."""
        cut_miners(plan, limit_w)
        if plan.site_w() <= limit_w:
            return False
        cut_work = self._lower_caps(plan, limit_w)
        if plan.site_w() <= limit_w:
            return cut_work
        victims = self.victims(plan, plan.in_phase(Phase.RUN, Phase.SUSPEND))
        for attempt in victims:
            if plan.settled_w() <= limit_w:
                break
            _give_way(plan, attempt, saves=self.saves)
            cut_work = True
        return (self.saves and _hold_meanwhile(plan, victims, limit_w)) or cut_work

    def _lower_caps(self, plan: Plan, limit_w: float) -> bool:
        caps = self.caps.targets(plan, limit_w)
        lower = [a for a in plan.running() if caps[a.id] < a.cap_w]
        for attempt in lower:
            plan.change(attempt, cap_w=caps[attempt.id])
        return bool(lower)

    def _release_long_held(self, plan: Plan, snapshot: Snapshot) -> None:
        """What was held for long gives its GPUs back; under an emergency stop as soon as guards would have it."""
        site = plan.site
        long_s = min(site.suspend_max_s, site.save_after_s) if snapshot.stop else site.suspend_max_s
        for attempt in plan.in_phase(Phase.SUSPEND):
            if (plan.at - attempt.since_at).total_seconds() >= long_s:
                why = f": {sentence(snapshot.stop)}" if snapshot.stop else ""
                cause = PauseCause.EMERGENCY_STOP if snapshot.stop else PauseCause.POWER_FORECAST
                plan.stop(attempt, Phase.SAVE_EXIT, cause)
                plan.events.append(told(plan, attempt, "job.preempting", f"saves and releases its GPUs{why}"))

    # -- up ------------------------------------------------------------------------------------------------------

    def _raise(self, plan: Plan, snapshot: Snapshot, limit_w: float, wakes: list[datetime | None]) -> float:
        """Resume what is held, start what waits, lift caps: the watts kept for what has to wait for confirmed room."""
        if self._nodes is None:
            self._nodes = Nodes(plan)
        else:
            self._nodes.refresh(plan)
        raising = Raising(plan, self._nodes, self.caps, limit_w)
        raising.resume()
        wakes.append(self._line.next_at)
        if len(self._line) and raising.room.is_open:
            raising.room.settled = snapshot.settled
            self.start(self._line, raising.room)
        return raising.settle()


def youngest_first(plan: Plan, attempts: Iterable[Attempt]) -> list[Attempt]:
    """The jobs that came last are first; firm ones after all others."""
    return sorted(attempts, key=lambda a: (plan.tier(a) == 0, -plan.jobs[a.job_id].number))


def _give_way(plan: Plan, attempt: Attempt, *, saves: bool) -> None:
    """A job that gives way for good.

    Its save is not under `POWER_WITHDRAWN`, which would shorten its grace to the reaction time: what else could be over
    the limit is held meanwhile.
    """
    if saves:
        plan.stop(attempt, Phase.SAVE_EXIT, PauseCause.POWER_FORECAST)
        plan.events.append(told(plan, attempt, "job.preempting", "saves and releases its GPUs: less power"))
    else:
        plan.stop(attempt, Phase.KILL, PauseCause.POWER_WITHDRAWN)
        plan.events.append(told(plan, attempt, "job.preempting", "is killed and requeued: less power"))


def _hold_meanwhile(plan: Plan, victims: list[Attempt], limit_w: float) -> bool:
    """While those who save still hold their GPUs, others stand still as far as it takes. Whether any does newly."""
    held = False
    for victim in victims:
        if plan.site_w() <= limit_w:
            break
        attempt = plan.attempts[victim.id]
        held_w = plan.model(attempt).held_w()
        if attempt.phase is Phase.RUN and plan.tier(attempt) > 0 and plan.freed_w(attempt, held_w) > 0:
            plan.stop(attempt, Phase.SUSPEND, PauseCause.POWER_WITHDRAWN)
            held = True
    return held


def _dwell_end(snapshot: Snapshot, *, cut_work: bool) -> datetime | None:
    """Until when nothing of AI is raised after a cut, None if it may be."""
    cut_at = snapshot.at if cut_work else snapshot.last_cut_at
    if cut_at is None:
        return None
    end_at = cut_at + timedelta(seconds=snapshot.site.raise_delay_s)
    return end_at if cut_work or end_at > snapshot.at else None


def _decision(
    plan: Plan,
    snapshot: Snapshot,
    limit: Limit,
    limit_w: float,
    *,
    cut_work: bool,
    wakes: Iterable[datetime | None] = (),
) -> Decision:
    held = withheld(plan, limit_w)
    return Decision(
        limit=limit,
        drafts=drafts(plan, snapshot, held),
        withheld=held,
        jobs=plan.changed_jobs(),
        attempts=plan.changed_attempts(),
        events=tuple(plan.events),
        cut_work=cut_work,
        miners_w=dict(plan.miners_w),
        planned_w=plan.site_w(),
        exposed_w=plan.exposed_w(),
        lease_end=lease_end(plan, snapshot),
        wake_at=_wake_at(plan, snapshot, wakes),
    )


def _wake_at(plan: Plan, snapshot: Snapshot, wakes: Iterable[datetime | None]) -> datetime | None:
    """The next instant at which time alone changes something: a limit step, the end of a wait, a hold that is long."""
    at, lead = snapshot.at, timedelta(seconds=snapshot.site.lead_s)
    long = timedelta(seconds=snapshot.site.suspend_max_s)
    steps = changes(snapshot.envelopes, after=at, until=at + _LOOK_AHEAD)
    holds = [a.since_at + long for a in plan.in_phase(Phase.SUSPEND)]
    coming = [*(t for s in steps for t in (s - lead, s)), *holds, *(t for t in wakes if t is not None)]
    return min((t for t in coming if t > at), default=None)

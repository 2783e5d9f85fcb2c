"""The decision: from a snapshot to what every job, node and miner does next. Same input, same answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from scheduler.core.addable import up
from scheduler.core.altered import altered, swift
from scheduler.core.bare import late_w, rouses
from scheduler.core.caps import is_capped
from scheduler.core.compose import drafts, lease_end, withheld
from scheduler.core.consolidating import consolidate
from scheduler.core.credit import Owed
from scheduler.core.deadlines import note_missed
from scheduler.core.dividing import kept_for_mining
from scheduler.core.envelope import Limit, changes
from scheduler.core.estop import stopped
from scheduler.core.explaining import Explainer
from scheduler.core.faults import Faulted
from scheduler.core.filling import fill_idle
from scheduler.core.flexibility import FlexOffer
from scheduler.core.foresight import turns
from scheduler.core.growing import grow, next_growth_at
from scheduler.core.jobs import Attempt, Job, PauseCause, Phase
from scheduler.core.leaving import leave_in_time
from scheduler.core.lifting import lower_to_tops
from scheduler.core.mining import Fed, feed_miners, is_short
from scheduler.core.newcomers import would_wait
from scheduler.core.news import News
from scheduler.core.orders import Draft
from scheduler.core.plan import Plan, limit_now, usable_w
from scheduler.core.presence import LEAVING
from scheduler.core.progress import settle_facts
from scheduler.core.queueing import Queue
from scheduler.core.raises import Raises
from scheduler.core.raising import dwell, raise_work
from scheduler.core.reasons import Code, Event, Reason
from scheduler.core.room import Room
from scheduler.core.sheddable import down
from scheduler.core.shedding import cut, halt, release
from scheduler.core.snapshot import Snapshot
from scheduler.core.waiting import ramping
from scheduler.core.wishes import fulfil
from scheduler.core.zoning import cut_zones, is_over


@swift
@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was decided: changed jobs and attempts, the drafts of all orders, reasons, events, when to look again."""

    limit: Limit
    drafts: Mapping[str, Draft] = field(default_factory=dict)
    withheld: frozenset[str] = frozenset()  #: groups to which nothing may go out now, no renewal either
    jobs: Mapping[str, Job] = field(default_factory=dict)  #: changed ones
    attempts: Mapping[str, Attempt] = field(default_factory=dict)  #: changed or new ones, ended ones included
    reasons: Mapping[str, Reason] = field(default_factory=dict)  #: of every job that waits or is paused
    events: Sequence[Event] = ()
    faulted: Mapping[str, Faulted | None] = field(
        default_factory=dict
    )  #: nodes on which starts failed, or go well
    cut_work: bool = False  #: AI work was cut for power in this round
    miners_w: Mapping[str, float] = field(default_factory=dict)  #: target of each miner group
    fillers_w: Mapping[str, float] = field(default_factory=dict)  #: of what fills idle GPUs, by node
    planned_w: float = 0.0  #: site watts by entitlement once all is confirmed
    filled_w: float = 0.0  #: of these, what fills idle GPUs, the hall's overhead included
    exposed_w: float = 0.0  #: site watts that could be drawn at most right now
    sharing: tuple[Reason, ...] = ()  #: how the surplus is divided, where partners or a mode are named
    partners_w: Mapping[str, int] = field(default_factory=dict)  #: what that gives each partner
    owed: Owed | None = None  #: what partners are owed from now on, where machines run whole
    lease_end: datetime | None = None  #: how long the orders of this round may stand at most
    wake_at: datetime | None = None
    awaits_room: bool = True  #: something waits until the books have room for it
    awaits_watts: bool = True  #: somebody would take watts that the plan counts for another
    awaits_word: bool = (
        True  #: something waits for a guard's word that it took its order, whatever room that leaves
    )
    awaits_start: bool = True  #: something hangs on whether work that comes up has begun


class Policy(Protocol):
    """How a site is run. The loop knows no more of it than this."""

    name: str

    def shed(self, snapshot: Snapshot) -> Decision | None:
        """The reductions that the limit in force demands at once, None where none is."""
        ...

    def decide(self, snapshot: Snapshot) -> Decision:
        """Everything else, after them. What it remembers is a cache: a fresh one decides the same."""
        ...


@runtime_checkable
class Offering(Protocol):
    """A policy that can tell by how much the draw could be changed at short notice."""

    def offer(self) -> FlexOffer | None:
        """What holds right after the last decision, None before the first and once anything was shed since."""
        ...


@runtime_checkable
class Foreseeing(Protocol):
    """A policy that can tell of which newcomers nothing would follow."""

    def would_wait(self, job: Job) -> bool:
        """Whether a job that came right after the last decision would wait, and change nothing for anybody else."""
        ...


class PowerAware:
    """Barq's own policy.

    It remembers the plan of the last round and what can be read off it. That is a cache and no more: a new one comes
    to the same decision from the same snapshot.
    """

    name = "barq"

    def __init__(self, *, explains: bool = True) -> None:
        self.explains = explains  #: whether anybody wants to know why each job waits
        self._plan: Plan | None = None
        self._room: Room | None = None
        self._queue = Queue()
        self._explainer = Explainer()
        self._last: tuple[Snapshot, Raises] | None = None  #: of the decision that the plan is of
        self._begun: tuple[Snapshot, Plan, Limit, float] | None = (
            None  #: what the plan is of while it is untouched
        )

    def shed(self, snapshot: Snapshot) -> Decision | None:
        """The reductions that a stop or the limit in force demand, None where none is. Raises nothing, ever."""
        self._last = None
        plan, limit, usable = self._begin(snapshot)
        halted = _halt(plan, snapshot)
        if plan.site_w() + late_w(plan) <= usable and not halted and not is_over(plan):
            return None
        self._begun = None
        cut_work = _cut(plan, usable) or halted
        plan.is_tried = True  # the decision that follows takes the same step from the present
        return _decision(plan, snapshot, limit, usable, cut_work=cut_work, wake_at=_wake_at(snapshot))

    def decide(self, snapshot: Snapshot) -> Decision:
        """Everything: facts, wishes, reductions, raises, miners, reasons."""
        # 1. What became of the attempts, and what people want of the jobs.
        plan, limit, usable = self._begin(snapshot)
        self._begun = None
        settle_facts(plan, snapshot)
        fulfil(plan, snapshot, self._queue.dependents)
        note_missed(plan)
        # 2. To the fallback under an emergency stop, and under the limit, first.
        halted = _halt(plan, snapshot)
        cut_work = _cut(plan, usable) or halted
        # 3. What has been suspended for long gives its GPUs back, with a verified checkpoint. All do before a blackout.
        # Who has a cap above what he has use for gives the rest back.
        leaves_at = _release(plan, snapshot, usable)
        lower_to_tops(plan)
        # 4. Then up: resume, start, wake nodes or put them to standby, lift caps, let gangs grow.
        self._queue.sync(plan, snapshot.settled)
        plan.kept_w, filled_w = kept_for_mining(plan, self._queue, usable), plan.empty()
        raises = self._raise(plan, snapshot, usable, cut_work=cut_work)
        # 5. Miners take what is left; what they leave, programs that mine on idle GPUs.
        plan.kept_w = 0.0
        fed = feed_miners(plan, snapshot, usable, raises)
        fill_idle(
            plan, snapshot, usable - max(0.0, fed.wanted_w - sum(plan.miners_w.values())), raises, filled_w
        )
        # 6. Nobody wonders why.
        reasons = self._reasons(plan, snapshot, limit, raises)
        plan.since, self._last = News(), (snapshot, raises)
        wake_at = _wake_at(snapshot, leaves_at, fed.wake_at, *self._coming(plan, snapshot, raises))
        made = _decision(plan, snapshot, limit, usable, reasons=reasons, cut_work=cut_work, wake_at=wake_at)
        return altered(
            made,
            awaits_room=_awaits_room(plan, raises, fed),
            awaits_watts=_awaits_watts(plan, raises, fed),
            awaits_word=_awaits_word(plan, snapshot, made),
            awaits_start=_awaits_start(plan),
            events=tuple(plan.events),
            faulted=dict(plan.faults.news),
            sharing=fed.reasons,
            partners_w=fed.partners_w,
            owed=fed.owed,
        )

    def offer(self) -> FlexOffer | None:
        """What could go and what could be added, by the plan of the last decision."""
        plan, last = self._plan, self._last
        if plan is None or last is None:
            return None
        snapshot, raises = last
        return FlexOffer(
            at=plan.at,
            planned_w=plan.site_w(),
            down=down(plan),
            up=up(plan, snapshot, raises.refused, raises.free_gpus),
        )

    def would_wait(self, job: Job) -> bool:
        """If it is behind its like. Nothing is foreseen before the first decision, nor once anything was shed since."""
        plan, last = self._plan, self._last
        if plan is None or last is None:
            return False
        snapshot, raises = last
        return would_wait(job, plan, raises, self._queue, snapshot.settled)

    def _coming(self, plan: Plan, snapshot: Snapshot, raises: Raises) -> Iterator[datetime | None]:
        """When waits of jobs and nodes end."""
        yield raises.expected_at
        yield self._queue.next_at()
        yield _next_release_at(plan)
        yield plan.deadlines.next_at()
        yield next_growth_at(plan)
        yield plan.tempo(snapshot).until_at
        yield plan.faults.next_at(plan.at)

    def _begin(self, snapshot: Snapshot) -> tuple[Plan, Limit, float]:
        """The plan of what the snapshot says is being done, the limit, and what of that may be entitled."""
        if self._begun is None or self._begun[0] is not snapshot:
            plan, limit = self._follow(snapshot), limit_now(snapshot)
            self._begun = snapshot, plan, limit, usable_w(snapshot, limit)
        return self._begun[1:]

    def _follow(self, snapshot: Snapshot) -> Plan:
        if self._plan is None:
            self._plan = Plan(snapshot)
        else:
            self._plan.follow(snapshot)
            if self._plan.trim():
                self._queue.rewind()
        return self._plan

    def _raise(self, plan: Plan, snapshot: Snapshot, limit_w: float, *, cut_work: bool) -> Raises:
        waiting = stopped(snapshot.stop) if snapshot.stop else None
        waiting = waiting or (None if snapshot.raises_allowed else _not_yet())
        waiting = waiting or (ramping(snapshot.site, snapshot.at) if cut_work else dwell(snapshot))
        if waiting is not None:
            raises = Raises(explains=self.explains)
            for left in self._queue.heads().rest():
                raises.refuse(left, waiting)
            return raises
        if self._room is None:
            self._room = Room(plan)
        else:
            self._room.refresh(plan)
        raises = raise_work(plan, self._room, self._queue, snapshot, limit_w, explains=self.explains)
        if not raises.refused and not raises.reserved_w:
            grow(plan, self._room, snapshot, limit_w)
        return raises

    def _reasons(self, plan: Plan, snapshot: Snapshot, limit: Limit, raises: Raises) -> dict[str, Reason]:
        if not self.explains:
            return {}
        return (
            self._queue.barred
            | raises.reasons
            | self._explainer.of_placed(plan, snapshot, limit, raises.reasons)
        )


def shed(snapshot: Snapshot) -> Decision | None:
    """The reductions of Barq's own policy, from nothing but a snapshot."""
    return PowerAware().shed(snapshot)


def decide(snapshot: Snapshot) -> Decision:
    """The decision of Barq's own policy, from nothing but a snapshot."""
    return PowerAware().decide(snapshot)


def _cut(plan: Plan, usable_w: float) -> bool:
    """Under the site's limit, and those of the domains below it."""
    return any((cut(plan, usable_w), cut_zones(plan)))


def _halt(plan: Plan, snapshot: Snapshot) -> bool:
    return snapshot.stop is not None and halt(plan, snapshot.stop)


def _release(plan: Plan, snapshot: Snapshot, limit_w: float) -> datetime | None:
    """Have those save and leave whose time or turn it is. When it is time for the next one, None = not known.

    Where they take turns, who has to be out by a certain time comes before who only frees watts.
    """
    plan.save_lines, plan.is_clearing = {}, False
    plan.given_up = plan.promised = frozenset()
    if plan.site.saves_at_once is None:
        _release_suspended(plan, snapshot, limit_w)
        return leave_in_time(plan, snapshot)
    leaves_at = leave_in_time(plan, snapshot)
    _release_suspended(plan, snapshot, limit_w)
    return leaves_at


def _release_suspended(plan: Plan, snapshot: Snapshot, limit_w: float) -> None:
    """Under an emergency stop as soon as guards on their own would have it."""
    site = plan.site
    if snapshot.stop is None:
        consolidate(plan, limit_w, site.suspend_max_s)
        return
    for attempt in plan.in_phase(Phase.SUSPEND):
        if (plan.at - attempt.since_at).total_seconds() >= min(site.suspend_max_s, site.save_after_s):
            release(plan, attempt, attempt.pause_cause or PauseCause.POWER_WITHDRAWN, limit_w)


def _not_yet() -> Reason:
    text = "orders of an earlier leader may still stand; nothing is raised yet"
    return Reason(code=Code.PENDING_EVALUATION, text=text)


def _decision(
    plan: Plan,
    snapshot: Snapshot,
    limit: Limit,
    usable_w: float,
    *,
    cut_work: bool,
    wake_at: datetime | None,
    reasons: Mapping[str, Reason] | None = None,
) -> Decision:
    held, end = withheld(plan, usable_w), lease_end(plan, snapshot)
    return Decision(
        limit=limit,
        drafts=drafts(plan, snapshot, held, end),
        withheld=held,
        jobs=plan.changed_jobs(),
        attempts=plan.changed_attempts(),
        reasons=reasons or {},
        events=plan.events,
        cut_work=cut_work,
        miners_w=dict(plan.miners_w),
        fillers_w=dict(plan.fillers_w),
        planned_w=plan.site_w(),
        filled_w=plan.filled_w(),
        exposed_w=plan.exposed_w(),
        lease_end=end,
        wake_at=wake_at,
    )


def _awaits_room(plan: Plan, raises: Raises, fed: Fed) -> bool:
    """Whether more would be raised if only open orders left room for it."""
    return raises.reserved_w > 0 or is_short(plan, fed) or bool(plan.fillers_w)


def _awaits_watts(plan: Plan, raises: Raises, fed: Fed) -> bool:
    """Whether more would run, or run at higher caps, if the plan counted less for others."""
    lack_watts = any(not refused.lacks_gpus for refused in raises.refused)
    return lack_watts or _awaits_room(plan, raises, fed) or bool(plan.elastic) or is_capped(plan)


def _awaits_word(plan: Plan, snapshot: Snapshot, made: Decision) -> bool:
    """Whether anything hangs on acknowledgements: raises, orders that are withheld, the end of who never began.

    A node that is kept on while it goes down has GPUs again at once, and tells nothing else.
    """
    if not snapshot.raises_allowed or made.withheld or rouses(plan):
        return True
    return any(map(plan.roster.count, LEAVING))


def _awaits_start(plan: Plan) -> bool:
    """Whether more may start once some have, or one is coming up whose time is reckoned from its begin."""
    if plan.site.starts_at_once is not None:
        return bool(plan.coming)
    return any(
        key in plan.elastic or key in plan.timed or plan.jobs[plan.attempts[key].job_id].spec.deadline_at
        for key in plan.coming
    )


def _next_release_at(plan: Plan) -> datetime | None:
    """When the first of the suspended has been so for long, of those that do not wait for a turn already."""
    waits = {a.id for line in plan.save_lines.values() for a in line}
    since_at = min(
        (a.since_at for a in plan.roster.each_in(Phase.SUSPEND) if a.id not in waits), default=None
    )
    return None if since_at is None else since_at + timedelta(seconds=plan.site.suspend_max_s)


def _wake_at(snapshot: Snapshot, *expected: datetime | None) -> datetime | None:
    """The next instant at which time alone changes something: a known limit step, a wait that ends."""
    lead = timedelta(seconds=snapshot.site.lead_s)
    ahead = {"after": snapshot.at, "until": snapshot.at + timedelta(hours=1)}
    steps = changes((*snapshot.envelopes, *snapshot.below), **ahead)
    coming = [t for s in steps for t in (s - lead, s)] + [t for t in expected if t is not None]
    coming += turns(snapshot.envelopes, **ahead)
    return min((t for t in coming if t > snapshot.at), default=None)

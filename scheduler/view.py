"""The live cache that ticks are decided from: filled by pollers and reports, never waits for a peer or the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType

from scheduler.core.altered import altered
from scheduler.core.arrays import settle, still_needed
from scheduler.core.credit import Owed
from scheduler.core.decide import Decision
from scheduler.core.envelope import (
    OPERATOR,
    Envelope,
    begun,
    is_stale,
    lowest,
    of_domain,
    unheard,
    unheard_since,
)
from scheduler.core.estop import envelope_of
from scheduler.core.forecast import LimitRecord, noted, resumed
from scheduler.core.hashprice import ChainFigures
from scheduler.core.inventory import Inventory
from scheduler.core.jobs import Attempt, AttemptState, Desired, Job, JobState
from scheduler.core.ledger import OpenOrder, pruned, sent, unsent
from scheduler.core.lifecycle import is_final
from scheduler.core.orders import Draft, Fence, GroupSpec, GuardReport
from scheduler.core.snapshot import Group, MeterReading, SitePolicy, Snapshot, with_faults
from scheduler.core.tracked import Tracked
from scheduler.dispatching import DispatchBook
from scheduler.following import Following
from scheduler.heard import (
    as_heard,
    as_heeding,
    deafness,
    fallen_silent,
    recalled,
    unheard_of,
    without_guard,
)
from scheduler.hindsight import Hindsight
from scheduler.lessons import Lessons
from scheduler.links import Links
from scheduler.records import GroupWishes, Intents, Member, Stored
from scheduler.roll import Roll
from scheduler.stops import Stops
from scheduler.usage import UsageBook
from scheduler.watching import Watching

MOST_SETTLED = 1000  #: jobs that ended, before those are looked for that nobody waits for


class View:
    """Jobs, attempts, groups and envelopes as now known. One writer: the scheduler's event loop."""

    def __init__(
        self,
        site: SitePolicy,
        specs: Mapping[str, GroupSpec],
        *,
        epoch: int,
        at: datetime,
        sources: Iterable[str] = (),
        voluntary: Iterable[str] = (),
        bound: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.site = site
        self.epoch = epoch
        self.led_since_at = at
        self.seq = 0  #: of the newest intent that was taken in
        self._jobs: Tracked[Job] = Tracked()
        self._attempts: Tracked[Attempt] = Tracked()
        self.settled: dict[str, JobState] = {}
        self._most_settled = MOST_SETTLED  #: of these, before it is looked which are needed
        self.bound = bound  #: the domain of each source that limits one, not the site
        self.envelopes: dict[str, Envelope] = {
            name: unheard(name, at=at, reaction_s=site.reaction_s, domain=bound.get(name)) for name in sources
        }
        self.hindsight = Hindsight()
        self.manual: tuple[Envelope, ...] = ()
        self.dispatch = DispatchBook(reaction_s=site.reaction_s, voluntary=voluntary)
        self.stops = Stops()
        self.lessons = Lessons(site, at)  #: of the site's meter
        self.watching = Watching(site)
        self.usage = UsageBook(site, at)
        self.last_cut_at: datetime | None = None
        self.owed: Owed | None = None
        self.store_up = True
        self.record: LimitRecord | None = None
        self.chain: ChainFigures | None = None
        self.spent: tuple[str, ...] = ()  #: partners whose month has no more hours of curtailment
        self.links = Links()
        self._groups: Tracked[Group] = Tracked({gid: unheard_of(spec) for gid, spec in specs.items()})
        self._following = Following()
        self.alarms: dict[str, tuple[str, ...]] = {}
        self.undelivered: dict[str, str] = {}  #: why a group did not take its last order
        self.roll = Roll(specs)
        self.inventories: dict[str, Inventory] = {}  #: the newest of each miner group, as fetched
        self._shown = Snapshot(at=at, site=site)  #: the last snapshot

    @property
    def jobs(self) -> Tracked[Job]:
        """All that are not final."""
        return self._jobs

    @jobs.setter
    def jobs(self, jobs: Mapping[str, Job]) -> None:
        self._jobs = Tracked(jobs)

    @property
    def attempts(self) -> Tracked[Attempt]:
        """All that have not ended."""
        return self._attempts

    @attempts.setter
    def attempts(self, attempts: Mapping[str, Attempt]) -> None:
        self._attempts = Tracked(attempts)

    @property
    def groups(self) -> Tracked[Group]:
        """All nodes and miner groups of the site."""
        return self._groups

    @groups.setter
    def groups(self, groups: Mapping[str, Group]) -> None:
        self._groups = Tracked(groups)

    # -- what comes in -------------------------------------------------------------------------------------------

    def restore(self, stored: Stored) -> None:
        """Begin from what earlier leaders recorded: their open orders count until they are fenced off or fall."""
        self.jobs, self.attempts = {j.id: j for j in stored.jobs}, {a.id: a for a in stored.attempts}
        self.settled = dict(stored.settled)
        self.seq = stored.seq
        self.manual = tuple(begun(limit, self.led_since_at) for limit in stored.limits)
        self.stops.take(stored.stops, stored.released_stops)
        self.last_cut_at = stored.last_cut_at
        self.record = None if stored.record is None else resumed(stored.record, self.led_since_at)
        self.owed = stored.owed and stored.owed.resumed(self.led_since_at)
        self.lessons.resume(stored.trim, self.led_since_at)
        told = (of_domain(e, self.bound.get(e.source)) for e in stored.told if e.source in self.envelopes)
        self.envelopes |= {e.source: unheard_since(e) for e in told}
        self._take_members(stored.members)
        self._take_wishes(stored.miner_wishes)
        self.dispatch.restore(stored.instructions, last_number=stored.last_instruction, at=self.led_since_at)
        self.dispatch.give_up_unknown([*self.envelopes.keys() - self.bound, OPERATOR], self.led_since_at)
        for gid, orders in stored.open_orders.items():
            if gid in self.groups:
                account = self.groups[gid].account
                lasting = tuple(self._renewed(o) for o in orders)
                self.groups[gid] = replace(self.groups[gid], account=replace(account, open=lasting))
        self.groups.update(with_faults(self.groups, stored.faulted))
        self.watching.begin(self.attempts, self.led_since_at)
        self.usage.begin(stored.used, self.attempts, self.jobs, self.groups)

    def _renewed(self, order: OpenOrder) -> OpenOrder:
        """A recorded order as it may have been renewed, unrecorded, until this leader took over."""
        end = self.led_since_at + timedelta(seconds=self.site.lease_s)
        return replace(order, expires_at=max(order.expires_at, end))

    def lead(self, epoch: int, at: datetime) -> None:
        """Lead with a new epoch from now on; nothing is raised until all guards follow it."""
        self.epoch, self.led_since_at = epoch, at

    def take_intents(self, intents: Intents) -> bool:
        """Take in what people did. Whether anything changed."""
        self.jobs.update({j.id: j for j in intents.jobs})
        self.settled.update(intents.settled)
        for job_id, wish in intents.desired.items():
            self._wish(job_id, wish)
        if intents.limits is not None:
            self.manual = intents.limits
        if intents.members is not None:
            self._take_members(intents.members)
        if intents.stops is not None:
            self.stops.take(intents.stops, intents.released_stops)
        if intents.miner_wishes is not None:
            self._take_wishes(intents.miner_wishes)
        self.dispatch.answer(intents.answers)
        news = (intents.limits, intents.members, intents.stops, intents.miner_wishes)
        return bool(intents.jobs or intents.desired or any(n is not None for n in news))

    def _take_members(self, members: Iterable[Member]) -> None:
        """Count the nodes that joined from now on, and those that left no more."""
        for gid in self.roll.call(members):
            self.groups.pop(gid, None)
            self.links.forget(gid)
            self.alarms.pop(gid, None)
        self.links.forget_boots(self.roll.moved)
        for gid, spec in self.roll.agreed.items():
            group = self.groups.get(gid) or unheard_of(spec)
            self.groups[gid] = replace(group, cordoned=self.roll.is_barred(group.spec))

    def _take_wishes(self, wishes: GroupWishes) -> None:
        """From now on people want this of machines, and nothing else."""
        for gid, group in list(self.groups.items()):
            if group.miner_wishes != (wanted := wishes.get(gid, ())):
                self.groups[gid] = altered(group, miner_wishes=wanted)

    def _wish(self, job_id: str, wish: Desired) -> None:
        job = self.jobs.get(job_id)
        if job is not None and job.desired is not Desired.CANCEL:  # nobody calls back what is on its way out
            self.jobs[job_id] = replace(job, desired=wish)

    def take_report(self, report: GuardReport, *, at: datetime, heard_s: float) -> bool:
        """Take in a guard's report unless a newer one came first. Whether it told something new."""
        gid = report.spec.group_id
        known = self.links.newest.get(gid)
        link = self.links.take(report, heard_s=heard_s)
        if link is None:
            return False
        report, on_filler = self.roll.held_to_filler(report)
        group = recalled(self.groups.get(gid), known, report)
        heard = as_heard(group, report, at, cordoned=self.roll.is_barred(report.spec))
        heeding = as_heeding(heard, group, at, self.site)
        is_guarded = self.roll.guarded(report.spec)
        self.groups[gid] = heeding if is_guarded else without_guard(heeding, self.roll.agreed[gid])
        self.watching.hear(self.groups[gid], self.attempts, at)
        complaints = self.roll.complaints(report.spec)
        deaf = deafness(heeding, self.undelivered.get(gid))
        self.alarms[gid] = (*report.alarms, *complaints, *on_filler, *deaf)
        if report.stop is not None:
            self.stops.take((report.stop,))
        return link.tells_more_than(known)

    def take_meter(self, reading: MeterReading) -> None:
        """Take in a reading of the site meter."""
        if self.lessons.take(reading, self.groups.values(), self._limit_w(reading.measured_at)):
            self.dispatch.measure(reading.draw_w, reading.measured_at)

    def apply(self, decision: Decision, at: datetime) -> None:
        """Make a decision that was made `at` the present."""
        self.jobs.update(decision.jobs)
        self.usage.pass_to(at, decision.attempts, self.jobs, self.groups)
        for job in decision.jobs.values():
            if is_final(job.state):
                settle(self.settled, job)
                del self.jobs[job.id]
        if len(self.settled) > self._most_settled:
            self.settled = still_needed(self.settled, self.jobs.values())
            self._most_settled = max(MOST_SETTLED, 2 * len(self.settled))
        for attempt in decision.attempts.values():
            if attempt.state is AttemptState.ENDED or attempt.id not in self.attempts:
                self._stir(attempt, at)
            if attempt.state is AttemptState.ENDED:
                self.attempts.pop(attempt.id, None)
            else:
                self.attempts[attempt.id] = attempt
        for gid, target_w in (*decision.miners_w.items(), *decision.fillers_w.items()):
            if self.groups[gid].miners_target_w != target_w:
                self.groups[gid] = altered(self.groups[gid], miners_target_w=target_w)
        self.watching.follow(decision)
        if decision.cut_work:
            self.last_cut_at = at
        self.owed = decision.owed or self.owed
        self.groups.update(with_faults(self.groups, decision.faulted))

    def _stir(self, attempt: Attempt, at: datetime) -> None:
        """An attempt begins or ends on its nodes."""
        for placement in attempt.placements:
            if (group := self.groups.get(placement.node_id)) is not None:
                self.groups[placement.node_id] = altered(group, stirred_at=at)

    def went_out(self, group_id: str, draft: Draft, at: datetime) -> None:
        """Remember what was ordered last, and forget orders that it makes up for."""
        group = self.groups[group_id]
        account = pruned(group.account, at, fall_s=self.site.fall_s)
        self.groups[group_id] = altered(group, ordered=draft, ordered_at=at, account=account)

    def opened(self, group_id: str, order: OpenOrder) -> None:
        """Count an order that is about to go out."""
        group = self.groups[group_id]
        self.groups[group_id] = altered(group, account=sent(group.account, order))

    def dropped(self, group_id: str, order: OpenOrder) -> None:
        """Count an order no more that did not go out after all."""
        account = unsent(self.groups[group_id].account, order.fence)
        self.groups[group_id] = replace(self.groups[group_id], account=account)

    def hear(self, told: Envelope, at: datetime, *, counts: Envelope | None = None) -> None:
        """Take in what a source tells, and what of it counts; None = all of it. For a domain it is no instruction."""
        self.envelopes[told.source] = of_domain(counts or told, self.bound.get(told.source))
        if told.source not in self.bound:
            self.dispatch.hear(told.source, (told,), at)

    def note_given(self, at: datetime) -> None:
        """Keep up the book of what givers tell: people among them, and what ends by itself."""
        self.dispatch.hear(OPERATOR, self.manual, at)
        self.dispatch.pass_to(at)

    def note_limit(self, at: datetime) -> None:
        """Keep on record what the limit is. A silent source is no blackout, and neither is a stop of ours."""
        envelopes = self.counted
        if not any(is_stale(e, at) for e in envelopes):
            self.record = noted(self.record, (*envelopes, *self.manual), at=at, firm_w=self.site.firm_w)

    @property
    def counted(self) -> tuple[Envelope, ...]:
        """What sources tell of the site, without what does not bind and was refused."""
        return tuple(self.dispatch.counted([e for e in self.envelopes.values() if e.domain is None]))

    # -- what goes out -------------------------------------------------------------------------------------------

    def snapshot(self, at: datetime) -> Snapshot:
        """Everything as known at `at`: the same object as long as neither time passes nor anything comes in."""
        made = self._as_known(at)
        if made != self._shown:
            self._shown = made
        return self._shown

    def _as_known(self, at: datetime) -> Snapshot:
        stops = self.stops.standing()
        limit_w = self._limit_w(at) if self.site.trim is not None else 0.0
        trim = self.lessons.trimmed(at, limit_w)
        firm_w, reaction_s = self.site.firm_w, self.site.reaction_s
        stopped = [envelope_of(s, firm_w=firm_w, reaction_s=reaction_s, known_at=at) for s in stops[:1]]
        return Snapshot(
            at=at,
            site=self.site,
            envelopes=(*stopped, *self.hindsight.over(self.counted, at), *self.manual),
            below=tuple(e for e in self.envelopes.values() if e.domain is not None),
            meter=self.lessons.reading,
            unmetered_w=self.lessons.unmetered_w,
            trim=trim,
            proven=self.lessons.proven(at, limit_w, trim),
            useful=self.watching.known(at),
            groups=self.groups.shot(),
            jobs=self.jobs.shot(),
            attempts=self.attempts.shot(),
            settled=self.settled,
            epoch=self.epoch,
            led_since_at=self.led_since_at,
            last_cut_at=self.last_cut_at,
            owed=self.owed,
            raises_allowed=self.store_up and self.leads(at),
            stops=stops,
            released_stops=self.stops.released_but_held(self.groups.values()),
            used=self.usage.used,
            record=self.record,
            chain=self.chain,
            spent=self.spent,
        )

    def _limit_w(self, at: datetime) -> float:
        told = (e for e in self.envelopes.values() if e.domain is None)
        return lowest((*told, *self.manual), at, now=at, firm_w=self.site.firm_w).limit_w

    def leads(self, at: datetime) -> bool:
        """Whether every group acknowledged this leader, or can no longer follow an earlier one."""
        if (at - self.led_since_at).total_seconds() > self.site.lease_s + self.site.fall_s:
            return True
        return self.following(self.groups.shot()).all_follow(self.epoch)

    def following(self, groups: Mapping[str, Group]) -> Following:
        """Whom the groups of a snapshot follow."""
        self._following.follow(groups)
        return self._following

    def give_up_silent(self, at: datetime) -> None:
        """Once any earlier order must have fallen, a group that was never heard of counts at rest."""
        if self.leads(at):
            for gid in sorted(self.following(self.groups.shot()).unknown):
                group = self.groups[gid]
                self.groups[gid] = replace(group, account=replace(group.account, known=True))
        for gid in self.roll.elsewhere:
            self._give_up_guard(gid, at)

    def _give_up_guard(self, group_id: str, at: datetime) -> None:
        """Miners elsewhere whose guard was silent for a lease may be without one: they go on without it."""
        group = self.groups[group_id]
        since_at = group.reported_at or self.led_since_at
        if (at - since_at).total_seconds() >= self.site.lease_s:
            if (lone := fallen_silent(group, self.roll.agreed[group_id])) is not group:
                self.groups[group_id] = lone
            heard = group.reported_at is not None
            self.alarms[group_id] = (self.roll.missing(group_id, heard=heard),)

    def next_fence(self, group_id: str) -> Fence:
        """The number of the next order to a group."""
        last = self.groups[group_id].account.sent
        return Fence(epoch=self.epoch, seq=last.seq + 1 if last.epoch == self.epoch else 1)

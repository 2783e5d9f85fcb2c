"""The present as a plan follows it: from snapshot to snapshot, so that a round costs what changed since the last one.

What is known beyond the newest snapshot are sums and indexes, which a new plan would find just so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence, Set as AbstractSet
from datetime import UTC, datetime
from math import inf

from scheduler.core.contents import Contents
from scheduler.core.credit import Owed
from scheduler.core.domains import Zones
from scheduler.core.entitlement import idle_w, spared_w
from scheduler.core.exits import Exits
from scheduler.core.feeding import limits_now
from scheduler.core.fitting import Fitting
from scheduler.core.hashprice import ChainFigures
from scheduler.core.jobs import Attempt, Job
from scheduler.core.ledger import exposure_w, fallback_exposure_w, final_w, next_change_at, resting_w
from scheduler.core.listed import Listed
from scheduler.core.news import News, frees_or_takes, is_ordered_otherwise, tells_more
from scheduler.core.node_tally import Bounds
from scheduler.core.occupants import Occupants
from scheduler.core.ordered import Ordered
from scheduler.core.orders import AttemptFacts, GroupKind, NodePower
from scheduler.core.power import GpuModel
from scheduler.core.reasons import Events
from scheduler.core.roster import Kind, Rise, Roster
from scheduler.core.silence import Silence
from scheduler.core.snapshot import Group, Snapshot
from scheduler.core.stranded import NOTHING_KNOWN, Useful, otherwise_known
from scheduler.core.tally import Tally
from scheduler.core.tracked import Tracked, changed

_NEVER = datetime.max.replace(tzinfo=UTC)
_LONG = 200_000  #: entries of the logs before new ones are begun


class Followed(Listed):
    """What is being done, as a plan starts from it: kept from snapshot to snapshot, with sums and indexes."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self.groups: Mapping[str, Group] = {}
        self.jobs: Tracked[Job] = Tracked()
        self.attempts: Tracked[Attempt] = Tracked()
        self.ended: dict[str, Attempt] = {}
        self.events = Events()
        self.miners_w: dict[str, float] = {}
        self.owed: Owed | None = None  #: between mining partners, as it stood in the last round
        self.chain: ChainFigures | None = None  #: what hashing brings is reckoned from
        self.spent: tuple[str, ...] = ()  #: partners that are shed last of their tier
        self.dark_at: datetime | None = None  #: when the limit is known to be too low for the bare hosts
        self.exits: dict[str, Exits] = {}  #: of each storage, where saves before that take turns
        self.save_lines: dict[str, list[Attempt]] = {}  #: of each storage, who waits for a turn to save
        self.is_clearing = False  #: nodes are cleared for the watts that others are to have
        self.given_up: AbstractSet[str] = frozenset()  #: attempts whose watts others or standby are to have
        self.promised: AbstractSet[str] = frozenset()  #: suspended ones that are to have them
        self.kept_w = 0.0  #: site watts that are mining's while AI is raised: they count as taken
        self.useful = NOTHING_KNOWN  #: what caps running work has use for
        self.roster = Roster(snapshot.site.overhead)
        self.silence = Silence()
        self.since = News()
        self.is_tried = False  #: what was changed since the last snapshot was only tried: nothing came of it
        self.touched: set[str] = set()  #: groups whose free GPUs have to be counted anew
        self.fitting = Fitting()  #: where jobs fit, as far as anybody looked
        self.looked: dict[str, tuple[Attempt, Job, list[AttemptFacts]]] = {}  #: what `progress` made of them
        self.unsettled: set[str] = set()  #: groups to which an order may be due
        self._tally = Tally()
        self.occupants = Occupants()
        self.off: set[str] = set()  #: nodes in standby, or on their way there or back
        self.down: set[str] = set()  #: of these, those in standby
        self.contents = Contents(self.occupants.on)
        self._living: dict[str, str] = {}  #: attempt of a job
        self._models: dict[str, GpuModel] = {}
        self._spared_w: dict[str, float] = {}
        self._rests_w: dict[str, tuple[float, float]] = {}  #: of nodes with nothing on them: on, in standby
        self._rises: dict[tuple[object, ...], Rise] = {}  #: of what starts
        self._miner_bounds: dict[str, Bounds] = {}
        self._bases_w: dict[str, float] = {}  #: of miner groups at rest
        self._idle_mines_w: dict[str, float] = {}
        self._rebook_at: dict[str, datetime] = {}
        self._first_rebook_at = _NEVER  #: none of those is earlier
        self._zones: tuple[object, Zones] | None = None
        self._asleep = Ordered()
        self.switched: set[str] = set()  #: nodes ordered to standby or up since the snapshot
        self._jobs_seen: Mapping[str, Job] = {}
        self._attempts_seen: Mapping[str, Attempt] = {}
        self._marks = (0, 0)
        self.follow(snapshot)

    # -- from snapshot to snapshot ---------------------------------------------------------------------------------

    def follow(self, snapshot: Snapshot) -> None:
        """Make this the plan of what the snapshot says is being done."""
        self.at, self.site, self._unmetered_w = snapshot.at, snapshot.site, snapshot.correction_w
        self.events, self.ended, self.owed = Events(), {}, snapshot.owed
        self.chain, self.spent = snapshot.chain, snapshot.spent
        self.tenants.follow(snapshot.site, snapshot.used)
        self.below = limits_now(snapshot)
        attempts = changed(self._attempts_seen, snapshot.attempts) | set(self.attempts.log[self._marks[1] :])
        self._follow_jobs(snapshot.jobs)
        for gone in sorted(a for a in attempts if a in self.attempts and a not in snapshot.attempts):
            self.since.attempts.add(gone)
            self.forget(self.attempts[gone])
        self._follow_groups(snapshot.groups)
        undone = self._undo(attempts, snapshot.attempts) if self.is_tried else set()
        for key in sorted(a for a in attempts - undone if a in snapshot.attempts):
            if self.attempts.get(key) is not snapshot.attempts[key]:
                self.since.attempts.add(key)
                self.put(snapshot.attempts[key])
        self._follow_useful(snapshot.useful)
        self.is_tried = False
        self._jobs_seen, self._attempts_seen = snapshot.jobs, snapshot.attempts
        self._marks = (len(self.jobs.log), len(self.attempts.log))

    def _follow_useful(self, useful: Useful) -> None:
        old, self.useful = self.useful, useful
        for attempt in (self.attempts[k] for k in otherwise_known(old, useful) if k in self.attempts):
            self.roster.take(attempt.id)  # its kind is another now
            self.put(attempt)

    def _undo(self, attempts: set[str], present: Mapping[str, Attempt]) -> set[str]:
        """Take back what was only tried on attempts that are as they were: nobody has seen it, so it is no news.

        The ids of these.
        """
        seen = self._attempts_seen
        tried = [k for k in sorted(attempts) if (a := present.get(k)) is not None and a is seen.get(k)]
        tried = [k for k in tried if self.roster.where(k) is not None]
        self.put_all([present[k] for k in tried if self.attempts.get(k) is not present[k]])
        return set(tried)

    def _follow_jobs(self, jobs: Mapping[str, Job]) -> None:
        for key in changed(self._jobs_seen, jobs) | set(self.jobs.log[self._marks[0] :]):
            job = jobs.get(key)
            known = self.jobs.get(key)
            if known is job:
                continue
            self.since.jobs.add(key)
            self._list_job(key, known, job)
            if job is None:
                del self.jobs[key]
                continue
            self.jobs[key] = job
            if known is not None and (attempt := self.of(key)) is not None:
                if known.spec is not job.spec:
                    self._remade(attempt)
                elif known.save_s != job.save_s:
                    self.recompose(attempt)

    def _follow_groups(self, groups: Mapping[str, Group]) -> None:
        old, self.groups = self.groups, groups
        keys = changed(old, groups)
        self.faults.begin(groups)
        self.since.groups.update(k for k in keys if tells_more(old.get(k), groups.get(k)))
        for gid in sorted(keys):
            self._regroup(gid, old.get(gid), groups.get(gid))
        if self._first_rebook_at <= self.at:
            for gid in [g for g, at in self._rebook_at.items() if at <= self.at]:
                self._rebook(groups[gid])
            self._first_rebook_at = min(self._rebook_at.values(), default=_NEVER)
        for gid in self.switched - keys:
            self._switch(gid, asleep=groups[gid].is_asleep)
        self.switched = set()
        self.miners_w = {gid: groups[gid].miners_target_w for gid in self._miner_bounds}
        for gid in self._tally.fillers_w:
            self._tally.fill(gid, groups[gid].miners_target_w)

    def _regroup(self, group_id: str, old: Group | None, new: Group | None) -> None:
        if frees_or_takes(old, new):
            self.touched.add(group_id)
        self.unsettled.add(group_id)
        if old is None or new is None or old.stop != new.stop:
            self.contents.reopen([group_id])
        elif old.ordered is not new.ordered:
            self.contents.unjudged.add(group_id)
        if old is None or new is None or old.storage != new.storage:
            self.since.storage = True
            self.fitting.site_changed()
        power = NodePower.ON if new is None else new.power
        (self.off.discard if power is NodePower.ON else self.off.add)(group_id)
        (self.down.add if power is NodePower.STANDBY else self.down.discard)(group_id)
        (self.deaf.add if new is not None and new.is_deaf else self.deaf.discard)(group_id)
        (self.cordoned.add if new is not None and new.cordoned else self.cordoned.discard)(group_id)
        self.faults.take(group_id, new)
        is_known = old is not None and new is not None and (old.spec is new.spec or old.spec == new.spec)
        if not is_known:
            self._remake(group_id, new)
        if new is not None:
            self._rebook(new)
            self.silence.note(new)
            if new.spec.kind is GroupKind.NODE:
                self._switch(group_id, asleep=new.is_asleep)
        if not is_known:
            for attempt in list(self.on(group_id)):
                self._remade(attempt)

    def _remade(self, attempt: Attempt) -> None:
        """What an attempt is charged by, or ordered by, is another than it was."""
        self.roster.take(attempt.id)  # its kind may be another now
        self.put(attempt)
        self.occupants.reopen(p.node_id for p in attempt.placements)
        self.recompose(attempt)

    def recompose(self, attempt: Attempt) -> None:
        """What is ordered of an attempt may be another than it was."""
        self.contents.reopen(p.node_id for p in attempt.placements)

    def _remake(self, group_id: str, group: Group | None) -> None:
        """A group came, went, or is another than it was."""
        self._tally.drop(group_id)
        self.tenants.count(group_id, 0 if group is None else len(group.spec.gpus))
        self.fitting.site_changed()
        self.contents.reopen_all()  # its address is in the orders of others
        for known in (self._models, self._spared_w, self._rests_w, self._miner_bounds, self._rebook_at):
            known.pop(group_id, None)
        self._idle_mines_w.clear()
        self._rises.clear()
        self._asleep.discard(group_id)
        self.contents.drop(group_id)
        if group is None:
            self.occupants.dismiss(group_id)
            return
        self.occupants.admit(group_id)
        if group.spec.kind is GroupKind.MINERS:
            bounds = {**self._miner_bounds, group_id: self._bounds(group)}
            self._miner_bounds = dict(sorted(bounds.items()))  # sums come out the same whoever came first
            self._bases_w[group_id] = idle_w(group.spec)
            return
        self._tally.add(group_id, group.spec)
        on_w, standby = idle_w(group.spec), group.spec.standby
        self._rests_w[group_id] = on_w, on_w if standby is None else standby.draw_w
        if group.spec.gpus:
            self._models[group_id] = group.spec.gpus[0].power
            self._spared_w[group_id] = spared_w(group.spec)

    def _rebook(self, group: Group) -> None:
        """Take in what the books say of a group now, and until when they say so."""
        gid, bounds = group.spec.group_id, self._bounds(group)
        if gid in self._miner_bounds:
            self._miner_bounds[gid] = bounds
            self._idle_mines_w.clear()
        else:
            self._tally.book(gid, bounds)
        until_at = next_change_at(group.account, self.at, fall_s=self.site.fall_s)
        if until_at is None:
            self._rebook_at.pop(gid, None)
        else:
            self._rebook_at[gid] = until_at
            self._first_rebook_at = min(self._first_rebook_at, until_at)

    def _bounds(self, group: Group) -> Bounds:
        account, at, fall_s = group.account, self.at, self.site.fall_s
        return Bounds(
            exposure_w=exposure_w(account, at, fall_s=fall_s),
            resting_w=resting_w(account, at, fall_s=fall_s),
            final_w=final_w(account),
            fallback_w=fallback_exposure_w(account),
        )

    def changed_jobs(self) -> dict[str, Job]:
        """The jobs that are other than in the snapshot."""
        touched = dict.fromkeys(self.jobs.log[self._marks[0] :])
        found = {k: self.jobs[k] for k in touched if k in self.jobs}
        return {k: job for k, job in found.items() if job is not self._jobs_seen.get(k)}

    def changed_attempts(self) -> dict[str, Attempt]:
        """The attempts that are other than in the snapshot, new ones and ended ones among them."""
        known, living, ended = self._attempts_seen, self.attempts, self.ended
        found = {}
        for key in dict.fromkeys(self.attempts.log[self._marks[1] :]):
            new, old = living.get(key) or ended.get(key), known.get(key)
            if new is None or new is old:
                continue
            if old is None or old.phase is not new.phase or old.cap_w != new.cap_w or old != new:
                found[key] = new  # what differs most often is looked at first
        return found

    def trim(self) -> bool:
        """Begin new logs where they have grown long. Only right after `follow`. Whether it was done."""
        if len(self.jobs.log) + len(self.attempts.log) < _LONG:
            return False
        self.jobs.log.clear()
        self.attempts.log.clear()
        self._marks = (0, 0)
        return True

    # -- attempts ------------------------------------------------------------------------------------------------

    def put(self, attempt: Attempt) -> None:
        """Add an attempt, or replace it by a changed one."""
        attempt_id = attempt.id
        known = self.attempts.get(attempt_id)
        self.attempts[attempt_id] = attempt
        self._living[attempt.job_id] = attempt_id
        where = self.roster.where(attempt_id)
        if known is None or where is None or known.placements is not attempt.placements:
            self._place(known, attempt)
            return
        if known.state is not attempt.state or known.running_at is not attempt.running_at:
            self._list_start(attempt)
        self._note_on(attempt, is_news=is_ordered_otherwise(known, attempt))
        if known.phase is not attempt.phase or known.cap_w != attempt.cap_w:
            self._tally.put(attempt, where.kind.tier)
            self.roster.put(attempt, where.kind, where.gpus)
        else:
            self.roster.renew(attempt)

    def put_all(self, attempts: Sequence[Attempt]) -> None:
        """Replace many that are on nodes of the site at once, ordered otherwise than they were, and else the same."""
        self.attempts.update({a.id: a for a in attempts})
        by_node: dict[str, dict[str, Attempt]] = defaultdict(dict)
        for attempt in attempts:
            for placement in attempt.placements:
                by_node[placement.node_id][attempt.id] = attempt
        for node_id, here in by_node.items():
            self.occupants.put(node_id, here)
        self._shuffle(by_node)
        self.roster.put_all(attempts)
        self._tally.put_all(by_node)

    def _place(self, known: Attempt | None, attempt: Attempt) -> None:
        """Count one that is new, or held elsewhere, or otherwise, than before."""
        job = self.jobs[attempt.job_id]
        self._list(attempt, job)
        self._note_on(attempt, is_news=known is None or is_ordered_otherwise(known, attempt))
        self._tally.put(attempt, job.spec.flex)
        self.roster.put(attempt, self._kind(attempt), self._gpus_here(attempt))

    def _note_on(self, attempt: Attempt, *, is_news: bool) -> None:
        """Note it on its nodes, and whether their orders have to be put together anew."""
        node_ids = [p.node_id for p in attempt.placements]
        for node_id in node_ids:
            self.occupants.put(node_id, {attempt.id: attempt})
        if is_news:
            self._shuffle(node_ids)

    def _shuffle(self, node_ids: Collection[str]) -> None:
        """The orders of nodes have to be put together anew, and their free GPUs counted."""
        self.touched.update(node_ids)
        self.contents.shuffle(node_ids)

    def forget(self, attempt: Attempt) -> None:
        """Take an attempt out: its GPUs are free."""
        del self.attempts[attempt.id]
        if self._living.get(attempt.job_id) == attempt.id:
            del self._living[attempt.job_id]
        self._unlist(attempt)
        self.looked.pop(attempt.id, None)
        self._tally.take(attempt)
        self.roster.take(attempt.id)
        for placement in attempt.placements:
            self.occupants.take(placement.node_id, attempt.id)
        self._shuffle([p.node_id for p in attempt.placements])

    def on(self, group_id: str) -> Collection[Attempt]:
        """Attempts with a member on this group, by id."""
        return self.occupants.on.get(group_id, {}).values()

    def of(self, job_id: str) -> Attempt | None:
        """The living attempt of a job."""
        return self.attempts.get(self._living.get(job_id, ""))

    def tier(self, attempt: Attempt) -> int:
        """Its job's flex tier."""
        return self.jobs[attempt.job_id].spec.flex

    def kind_on(self, job: Job, node_id: str, useful_w: float = inf) -> Kind:
        """How a job's GPUs on a node count: by its tier, their model, the floor, the knee and the top of its caps."""
        spec, model, spared = job.spec, self._models[node_id], self._spared_w[node_id]
        return Kind.of(model, spared, spec.flex, spec.min_cap_w, can_cap=spec.cap_ok, useful_w=useful_w)

    def _kind(self, attempt: Attempt) -> Kind | None:
        known = self.roster.kind_of(attempt.id)
        return known if known is not None else self._new_kind(attempt)

    def _new_kind(self, attempt: Attempt) -> Kind | None:
        for placement in attempt.placements:
            if placement.node_id in self._models:
                useful_w = self.useful.caps_w.get(attempt.id, inf)
                return self.kind_on(self.jobs[attempt.job_id], placement.node_id, useful_w)
        return None

    def _switch(self, group_id: str, *, asleep: bool) -> None:
        if asleep == (group_id in self._asleep):
            return
        (self._asleep.add if asleep else self._asleep.discard)(group_id)
        standby = self.groups[group_id].spec.standby
        self._tally.rest(group_id, standby.draw_w if asleep and standby is not None else None)
        self.touched.add(group_id)
        self.contents.reopen([group_id])

    def _gpus_here(self, attempt: Attempt) -> int:
        """Its GPUs on nodes that still are part of the site."""
        models = self._models
        return sum([len(p.gpu_ids) for p in attempt.placements if p.node_id in models])

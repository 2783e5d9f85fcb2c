"""A decision in the making: what each attempt and miner group is to do, and the watts that follow from it.

The one mutable thing in core. It follows from snapshot to snapshot, so that a round costs what changed since the last
one: what it knows beyond the newest snapshot are sums and indexes, which a new plan would find just so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set as AbstractSet
from datetime import datetime
from typing import Any

from scheduler.core.altered import altered
from scheduler.core.entitlement import idle_w
from scheduler.core.envelope import Limit, lowest_within
from scheduler.core.floors import above_floor_w, floor_cap_w, knee_cap_w
from scheduler.core.jobs import Attempt, AttemptState, Job, PauseCause, Phase
from scheduler.core.ledger import (
    confirmed_w,
    exposure_w,
    fallback_exposure_w,
    final_w,
    next_change_at,
    resting_w,
)
from scheduler.core.orders import Draft, FallbackStep, GroupKind, GroupSpec, NodePower
from scheduler.core.power import CapPoint, GpuModel, site_w
from scheduler.core.reasons import Event
from scheduler.core.roster import Kind, Roster
from scheduler.core.snapshot import Group, Snapshot
from scheduler.core.tally import Bounds, Tally
from scheduler.core.tracked import Tracked, changed

EPSILON_W = 1e-6  #: what sums of watts may differ by
GRACE_S = 30.0  #: least time counted between a request to save and exit, and the kill
_LONG = 200_000  #: entries of the logs before new ones are begun
_NOWHERE = GpuModel(
    name="unknown", tdp_w=0.0, idle_w=0.0, context_w=0.0, curve=(CapPoint(cap_w=0.0, speed=1.0, draw_w=0.0),)
)


class News:
    """What changed since the last whole decision, by id."""

    __slots__ = ("attempts", "groups", "jobs", "storage")

    def __init__(self) -> None:
        self.jobs: set[str] = set()
        self.attempts: set[str] = set()
        self.groups: set[str] = set()  #: that tell something else of their attempts, or came, or went
        self.storage = False  #: some node reads its checkpoints elsewhere than before, or came, or went


class Plan:
    """The desired state of the site while a decision is being made. Watts are entitlements, never draws."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.groups: Mapping[str, Group] = {}
        self.jobs: Tracked[Job] = Tracked()
        self.attempts: Tracked[Attempt] = Tracked()
        self.ended: dict[str, Attempt] = {}
        self.events: list[Event] = []
        self.miners_w: dict[str, float] = {}
        self.roster = Roster()
        self.since = News()
        self.news: set[str] = set()  #: groups of which something else is desired than was ordered
        self.touched: set[str] = set()  #: groups whose free GPUs have to be counted anew
        self.generation = 0  #: rises when nodes come, go, or read other checkpoints
        self.fitting_shapes: dict[tuple[object, ...], bool] = {}  #: what `placement.ever_fits` found out
        self.unsettled: set[str] = set()  #: groups to which an order may be due
        self._tally = Tally()
        self._on: dict[str, dict[str, Attempt]] = {}
        self._living: dict[str, str] = {}  #: attempt of a job
        self.starting: set[str] = set()  #: attempts whose processes come up
        self.timed: set[str] = set()  #: attempts of jobs with a time limit
        self._models: dict[str, GpuModel] = {}
        self._spared_w: dict[str, float] = {}
        self._miner_bounds: dict[str, Bounds] = {}
        self._bases_w: dict[str, float] = {}  #: of miner groups at rest
        self._idle_mines_w: dict[str, float] = {}
        self._rebook_at: dict[str, datetime] = {}
        self._asleep: set[str] = set()
        self._switched: set[str] = set()
        self._contents: dict[str, Draft] = {}
        self._uncomposed: set[str] = set()
        self._unjudged: set[str] = (
            set()
        )  #: groups of which it is to be seen whether they were ordered what is desired
        self._stopped: tuple[object, ...] = ()
        self._jobs_seen: Mapping[str, Job] = {}
        self._attempts_seen: Mapping[str, Attempt] = {}
        self._marks = (0, 0)
        self.follow(snapshot)

    # -- from snapshot to snapshot ---------------------------------------------------------------------------------

    def follow(self, snapshot: Snapshot) -> None:
        """Make this the plan of what the snapshot says is being done."""
        self.at, self.site, self._unmetered_w = snapshot.at, snapshot.site, snapshot.unmetered_w
        self.events, self.ended = [], {}
        attempts = changed(self._attempts_seen, snapshot.attempts) | set(self.attempts.log[self._marks[1] :])
        self._follow_jobs(snapshot.jobs)
        for gone in sorted(a for a in attempts if a in self.attempts and a not in snapshot.attempts):
            self.since.attempts.add(gone)
            self.forget(self.attempts[gone])
        self._follow_groups(snapshot.groups)
        for key in sorted(a for a in attempts if a in snapshot.attempts):
            if self.attempts.get(key) is not snapshot.attempts[key]:
                self.since.attempts.add(key)
                self.put(snapshot.attempts[key])
        self._jobs_seen, self._attempts_seen = snapshot.jobs, snapshot.attempts
        self._marks = (len(self.jobs.log), len(self.attempts.log))

    def _follow_jobs(self, jobs: Mapping[str, Job]) -> None:
        for key in changed(self._jobs_seen, jobs) | set(self.jobs.log[self._marks[0] :]):
            job = jobs.get(key)
            known = self.jobs.get(key)
            if known is job:
                continue
            self.since.jobs.add(key)
            if job is None:
                del self.jobs[key]
                continue
            self.jobs[key] = job
            if known is not None and known.spec is not job.spec and (attempt := self.of(key)) is not None:
                self.roster.take(attempt.id)  # its kind may be another now
                self.put(attempt)

    def _follow_groups(self, groups: Mapping[str, Group]) -> None:
        old, self.groups = self.groups, groups
        keys = changed(old, groups)
        self.since.groups.update(k for k in keys if _tells_more(old.get(k), groups.get(k)))
        for gid in sorted(keys):
            self._regroup(gid, old.get(gid), groups.get(gid))
        for gid in [g for g, at in self._rebook_at.items() if at <= self.at]:
            self._rebook(groups[gid])
        for gid in self._switched - keys:
            self._switch(gid, asleep=_is_asleep(groups[gid]))
        self._switched = set()
        self.miners_w = {gid: groups[gid].miners_target_w for gid in self._miner_bounds}

    def _regroup(self, group_id: str, old: Group | None, new: Group | None) -> None:
        self.touched.add(group_id)
        self.unsettled.add(group_id)
        if old is None or new is None or old.stop != new.stop:
            self._uncomposed.add(group_id)
        elif old.ordered is not new.ordered:
            self._unjudged.add(group_id)
        if old is None or new is None or old.storage != new.storage:
            self.since.storage = True
            self.generation += 1
            self.fitting_shapes.clear()
        is_known = old is not None and new is not None and (old.spec is new.spec or old.spec == new.spec)
        if not is_known:
            self._remake(group_id, new)
        if new is not None:
            self._rebook(new)
            if new.spec.kind is GroupKind.NODE:
                self._switch(group_id, asleep=_is_asleep(new))
        if not is_known:
            for attempt in list(self._on.get(group_id, {}).values()):
                self.roster.take(attempt.id)  # its kind may be another now
                self.put(attempt)

    def _remake(self, group_id: str, group: Group | None) -> None:
        """A group came, went, or is another than it was."""
        self._tally.drop(group_id)
        self.generation += 1
        self.fitting_shapes.clear()
        self._uncomposed |= self._contents.keys()  # its address is in the orders of others
        for known in (self._models, self._spared_w, self._miner_bounds, self._rebook_at, self._contents):
            known.pop(group_id, None)
        self._idle_mines_w.clear()
        self._asleep.discard(group_id)
        self.news.discard(group_id)
        self._uncomposed.add(group_id)
        if group is None:
            return
        if group.spec.kind is GroupKind.MINERS:
            self._miner_bounds[group_id] = self._bounds(group)
            self._bases_w[group_id] = idle_w(group.spec)
            return
        self._tally.add(group_id, group.spec)
        if group.spec.gpus:
            self._models[group_id] = group.spec.gpus[0].power
            self._spared_w[group_id] = _spared_w(group.spec)

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
        touched = dict.fromkeys(self.attempts.log[self._marks[1] :])
        found = {k: a for k in touched if (a := self.attempts.get(k) or self.ended.get(k)) is not None}
        known = self._attempts_seen
        return {k: a for k, a in found.items() if a is not (old := known.get(k)) and a != old}

    def trim(self) -> bool:
        """Begin new logs where they have grown long. Only right after `follow`. Whether it was done."""
        if len(self.jobs.log) + len(self.attempts.log) < _LONG:
            return False
        self.jobs.log.clear()
        self.attempts.log.clear()
        self._marks = (0, 0)
        return True

    # -- what is composed ------------------------------------------------------------------------------------------

    def uncomposed(self, *stop: object) -> set[str]:
        """The groups whose orders have to be put together anew; all of them once a stop comes or goes."""
        if stop != self._stopped:
            self._stopped = stop
            self._uncomposed |= self.groups.keys()
        return self._uncomposed | self._miner_bounds.keys()

    def composed(self, group_id: str, content: Draft) -> None:
        """Keep what is desired of a group."""
        self._contents[group_id] = content
        self._uncomposed.discard(group_id)
        self._unjudged.add(group_id)

    def unjudged(self) -> list[str]:
        """The groups of which it is not known whether what is desired is what was ordered."""
        return list(self._unjudged)

    def judged(self, group_id: str, *, is_news: bool) -> None:
        """Keep whether what is desired of a group is something else than was ordered."""
        self._unjudged.discard(group_id)
        if is_news:
            self.unsettled.add(group_id)
        (self.news.add if is_news else self.news.discard)(group_id)

    def content(self, group_id: str) -> Draft | None:
        """What is desired of a group, if that is still so."""
        return None if group_id in self._uncomposed else self._contents.get(group_id)

    # -- attempts ------------------------------------------------------------------------------------------------

    def put(self, attempt: Attempt) -> None:
        """Add an attempt, or replace it by a changed one."""
        attempt_id = attempt.id
        self.attempts[attempt_id] = attempt
        self._living[attempt.job_id] = attempt_id
        (self.starting.add if attempt.state is AttemptState.STARTING else self.starting.discard)(attempt_id)
        spec = self.jobs[attempt.job_id].spec
        if spec.time_limit_s is not None:
            self.timed.add(attempt_id)
        for placement in attempt.placements:
            self._on.setdefault(placement.node_id, {})[attempt_id] = attempt
            self.touched.add(placement.node_id)
            self._uncomposed.add(placement.node_id)
        kind, gpus = self._kind(attempt, spec.flex), self._gpus_here(attempt)
        self._tally.put(attempt, spec.flex)
        self._tally.above_floor(attempt_id, spec.flex, self._above_knee_w(attempt, kind, gpus))
        self.roster.put(attempt, kind, gpus)

    def forget(self, attempt: Attempt) -> None:
        """Take an attempt out: its GPUs are free."""
        del self.attempts[attempt.id]
        if self._living.get(attempt.job_id) == attempt.id:
            del self._living[attempt.job_id]
        self.starting.discard(attempt.id)
        self.timed.discard(attempt.id)
        self._tally.take(attempt)
        self.roster.take(attempt.id)
        for placement in attempt.placements:
            self._on.get(placement.node_id, {}).pop(attempt.id, None)
            self.touched.add(placement.node_id)
            self._uncomposed.add(placement.node_id)

    def end(self, attempt: Attempt) -> None:
        """Take an ended attempt out, and tell of it."""
        self.ended[attempt.id] = attempt
        if attempt.id in self.attempts:
            self.forget(self.attempts[attempt.id])

    def change(self, attempt: Attempt, **changes: Any) -> Attempt:  # noqa: ANN401 - as in dataclasses.replace
        """Replace an attempt by itself with `changes`; a new phase starts now."""
        if "phase" in changes and changes["phase"] is not attempt.phase:
            changes["since_at"] = self.at
        changed_one = altered(attempt, **changes)
        self.put(changed_one)
        return changed_one

    def stop(self, attempt: Attempt, phase: Phase, cause: PauseCause | None) -> Attempt:
        """Order an attempt held, saved or killed."""
        return self.change(attempt, phase=phase, pause_cause=cause)

    def running(self) -> list[Attempt]:
        """Attempts ordered to run, on nodes of this site, by id."""
        return self.in_phase(Phase.RUN)

    def in_phase(self, *phases: Phase) -> list[Attempt]:
        """Attempts ordered into one of these phases, on nodes of this site, by id."""
        return self.roster.in_phase(*phases)

    def on(self, group_id: str) -> Iterable[Attempt]:
        """Attempts with a member on this group."""
        return self._on.get(group_id, {}).values()

    def of(self, job_id: str) -> Attempt | None:
        """The living attempt of a job."""
        return self.attempts.get(self._living.get(job_id, ""))

    def touched_jobs(self) -> list[str]:
        """Ids of jobs that were changed in this round, or are other than they were in the last one."""
        return sorted(self.since.jobs | set(self.jobs.log[self._marks[0] :]))

    def away(self) -> list[str]:
        """Nodes with attempts that are not part of the site."""
        return [gid for gid, members in self._on.items() if members and gid not in self.groups]

    def tier(self, attempt: Attempt) -> int:
        """Its job's flex tier."""
        return self.jobs[attempt.job_id].spec.flex

    def model(self, attempt: Attempt) -> GpuModel:
        """The GPU model it runs on; one without watts where its nodes are not part of the site any more."""
        for placement in attempt.placements:
            if model := self._models.get(placement.node_id):
                return model
        return _NOWHERE

    def model_of(self, group_id: str) -> GpuModel | None:
        """The GPU model of a node, None where it has no GPU."""
        return self._models.get(group_id)

    def kind_on(self, job: Job, node_id: str) -> Kind:
        """How a job's GPUs on a node count: by its tier, their model, the floor and the knee of its caps."""
        model = self._models[node_id]
        floor_w = floor_cap_w(model, job)
        return Kind(
            tier=job.spec.flex,
            model=model,
            floor_w=floor_w,
            knee_w=knee_cap_w(model, floor_w, self._spared_w[node_id]) if job.spec.cap_ok else floor_w,
        )

    def knee_w(self, attempt: Attempt) -> float:
        """The cap per GPU at which it is judged whether there is power for it."""
        kind = self._kind(attempt, self.tier(attempt))
        return kind.knee_w if kind is not None else 0.0

    def _kind(self, attempt: Attempt, tier: int) -> Kind | None:
        known = self.roster.kind_of(attempt.id)
        return known if known is not None else self._new_kind(attempt, tier)

    def _new_kind(self, attempt: Attempt, tier: int) -> Kind | None:
        for placement in attempt.placements:
            if placement.node_id in self._models:
                return self.kind_on(self.jobs[attempt.job_id], placement.node_id)
        here = any(p.node_id in self._models for p in attempt.placements)
        return Kind(tier=tier, model=_NOWHERE, floor_w=0.0, knee_w=0.0) if here else None

    # -- nodes on and in standby -----------------------------------------------------------------------------------

    def is_standby(self, group_id: str) -> bool:
        """Whether a node is to be in standby."""
        return group_id in self._asleep

    def asleep(self) -> AbstractSet[str]:
        """Nodes that are to be in standby."""
        return self._asleep

    def bare_w(self, group_id: str) -> float:
        """What a node draws with nothing on it, in standby if it can be put there, W."""
        spec = self.groups[group_id].spec
        return idle_w(spec) if spec.standby is None else spec.standby.draw_w

    def awake_w(self, group_id: str) -> float:
        """What a node draws more than that while it is on, W."""
        return idle_w(self.groups[group_id].spec) - self.bare_w(group_id) if group_id in self.groups else 0.0

    def start_w(self, job: Job) -> float:
        """Site watts that a job's GPUs draw more than idle at its knee, on the first node that has any."""
        node_id = next(iter(self._models), None)
        if node_id is None:
            return 0.0
        kind = self.kind_on(job, node_id)
        rise_w = kind.model.charge_w(kind.knee_w) - kind.model.idle_w
        return self.site.overhead * job.spec.total_gpus * rise_w

    def switch(self, group_id: str, *, asleep: bool) -> None:
        """Have a node go to standby, or come back from it."""
        self._switched.add(group_id)
        self._switch(group_id, asleep=asleep)

    def _switch(self, group_id: str, *, asleep: bool) -> None:
        if asleep == (group_id in self._asleep):
            return
        (self._asleep.add if asleep else self._asleep.discard)(group_id)
        standby = self.groups[group_id].spec.standby
        self._tally.rest(group_id, standby.draw_w if asleep and standby is not None else None)
        self.touched.add(group_id)
        self._uncomposed.add(group_id)

    # -- watts ---------------------------------------------------------------------------------------------------

    def nodes_w(self) -> float:
        """Site watts of everything but miners, by entitlement.

        A guard may never hear of a lower one: no group counts less than it comes down to by itself.
        """
        return self._site_w(self._tally.planned_it_w, self._idle_miners_w("resting_w")) + self._unmetered_w

    def settled_w(self) -> float:
        """Site watts once all that were told to leave have left, miners at their targets."""
        settled_w = self._site_w(self._tally.settled_it_w, self._idle_miners_w("final_w"))
        return settled_w + self._unmetered_w + sum(self.miners_w.values())

    def site_w(self) -> float:
        """Site watts by entitlement, miners at their targets."""
        return self.nodes_w() + sum(self.miners_w.values())

    def exposed_w(self) -> float:
        """Site watts that could be drawn at most: the plan, or what open orders and readings still allow."""
        bounds = self._miner_bounds.items()
        mine_w = sum(max(b.exposure_w, self.group_w(gid)) for gid, b in bounds)
        return self._site_w(self._tally.exposed_it_w, mine_w) + self._unmetered_w

    def floors_w(self, tier: int) -> float:
        """Site watts of the nodes if everything as flexible as `tier`, or more, ran at its knee."""
        return self.nodes_w() - self._tally.above_floors_w(tier)

    def raises(self, group_id: str) -> bool:
        """Whether an order under this plan would entitle a group to more than it is known to be allowed already."""
        account = self.groups[group_id].account
        known_w = confirmed_w(account, self.at, fall_s=self.site.fall_s)
        return self.group_w(group_id) > known_w + EPSILON_W

    def fallback_w(self) -> float:
        """Site watts that are left when every order has expired, over the plan and all open orders."""
        return self._site_w(self._tally.fallback_it_w, self._idle_miners_w("fallback_w"))

    def fallback_of(self, group_id: str) -> tuple[FallbackStep, ...]:
        """The fallback profile of a group under this plan."""
        if group_id in self._miner_bounds:
            return (FallbackStep(after_s=0.0, limit_w=self._bases_w[group_id]),)
        first_w, last_w = self._tally.fallback_w(group_id)
        first = FallbackStep(after_s=0.0, limit_w=first_w)
        if last_w >= first_w:
            return (first,)
        grace_s = max(self.grace_s(a) for a in self.on(group_id))
        return first, FallbackStep(after_s=self.site.save_after_s + grace_s, limit_w=last_w)

    def grace_s(self, attempt: Attempt) -> float:
        """The longest that it may take from a request to save and exit to its end."""
        return max(GRACE_S, self.jobs[attempt.job_id].spec.launch.grace_s)

    def group_w(self, group_id: str) -> float:
        """What an order under this plan entitles a group to."""
        if group_id in self._miner_bounds:
            return self._bases_w[group_id] + self.miners_w[group_id]
        return self._tally.planned_w(group_id)

    def freed_w(self, attempt: Attempt, to_w: float) -> float:
        """Site watts that a change of all its GPUs from the present charge to `to_w` each would free."""
        model = self.model(attempt)
        now_w = model.charge_w(attempt.cap_w) if attempt.phase is Phase.RUN else model.held_w()
        return self.site.overhead * self._gpus_here(attempt) * (now_w - to_w)

    def held_frees_w(self, attempt: Attempt, cap_w: float) -> float:
        """Site watts that holding an attempt that runs under this cap frees at most."""
        model = self.model(attempt)
        return self.site.overhead * self._gpus_here(attempt) * (model.charge_w(cap_w) - model.held_w())

    def nodes_w_with(self, attempt: Attempt) -> float:
        """`nodes_w` if this attempt ran under its cap."""
        return self.nodes_w() + self.site.overhead * self._tally.rise_w(
            attempt, self.tier(attempt), Phase.RUN
        )

    def is_plain(self) -> bool:
        """Whether no change of an attempt moves the plan by more than `freed_w`: all nodes have GPUs of one type."""
        return self._tally.is_plain()

    def _gpus_here(self, attempt: Attempt) -> int:
        """Its GPUs on nodes that still are part of the site."""
        models = self._models
        return sum([len(p.gpu_ids) for p in attempt.placements if p.node_id in models])

    def _above_knee_w(self, attempt: Attempt, kind: Kind | None, gpus: int) -> float:
        """Site watts that an attempt is charged above its knee while it runs."""
        if attempt.phase is not Phase.RUN or kind is None:
            return 0.0
        above_w = above_floor_w(kind.model, attempt.cap_w, kind.knee_w)
        return self.site.overhead * gpus * above_w if above_w > 0 else 0.0

    def _idle_miners_w(self, bound: str) -> float:
        """Watts of the miner groups at rest, or what the books say where that is more."""
        known = self._idle_mines_w.get(bound)
        if known is None:
            groups = ((self._bases_w[gid], b) for gid, b in self._miner_bounds.items())
            known = sum((max(float(getattr(b, bound)), base_w) for base_w, b in groups), 0.0)
            self._idle_mines_w[bound] = known
        return known

    def _site_w(self, it_w: float, miners_w: float) -> float:
        site = self.site
        return site_w(it_w=it_w, miners_w=miners_w, overhead=site.overhead, auxiliary_w=site.auxiliary_w)


def _tells_more(old: Group | None, new: Group | None) -> bool:
    """Whether what was heard of a group may change what is known of its attempts."""
    if old is None or new is None:
        return True
    return (old.facts, old.storage, old.spec) != (new.facts, new.storage, new.spec)


def _is_asleep(group: Group) -> bool:
    """Whether a node is to be in standby: as last ordered, and as it is found where nothing was ordered yet."""
    if group.ordered is not None:
        return group.ordered.standby
    return group.power is NodePower.STANDBY


def _spared_w(spec: GroupSpec) -> float:
    """What each GPU of a node spares on top of its own idle draw once the node is in standby; 0 if it cannot be."""
    if spec.standby is None:
        return 0.0
    return max(0.0, idle_w(spec) - spec.standby.draw_w) / len(spec.gpus)


def limit_now(snapshot: Snapshot) -> Limit:
    """The lowest limit known from now to the lead: drops that are known apply early."""
    site = snapshot.site
    return lowest_within(
        snapshot.envelopes, snapshot.at, lead_s=site.lead_s, now=snapshot.at, firm_w=site.firm_w
    )


def usable_w(snapshot: Snapshot, limit: Limit) -> float:
    """The part of a limit that may be entitled: less the margin."""
    return limit.limit_w * (1.0 - snapshot.site.margin)

"""A decision in the making: what each attempt and miner group is to do, and the watts that follow from it.

The one mutable thing in core, beside what it follows the present by.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from math import inf
from typing import Any, NamedTuple

from scheduler.core.altered import altered, altering
from scheduler.core.domains import Zones, zones_of
from scheduler.core.envelope import Envelope, Limit, lowest_within
from scheduler.core.followed import Followed
from scheduler.core.jobs import Attempt, Job, PauseCause, Phase
from scheduler.core.ledger import is_confirmed
from scheduler.core.node_tally import Depth
from scheduler.core.ordered import Ordered
from scheduler.core.orders import FallbackStep
from scheduler.core.power import CapPoint, GpuModel, site_w
from scheduler.core.roster import Kind, Rise, Where, rise_of
from scheduler.core.snapshot import SitePolicy, Snapshot

EPSILON_W = 1e-6  #: what sums of watts may differ by
_LEAST_SHARE = 0.001  #: of the limit: a raise of less is not worth telling anybody about
_LEAST_SHARE_METERED = 0.0005  #: the same where a meter proves how close to the limit the site may go
GRACE_S = 30.0  #: least time counted between a request to save and exit, and the kill
_FOR_POWER = (PauseCause.POWER_WITHDRAWN, PauseCause.POWER_FORECAST)
_NOWHERE = GpuModel(
    name="unknown", tdp_w=0.0, idle_w=0.0, context_w=0.0, curve=(CapPoint(cap_w=0.0, speed=1.0, draw_w=0.0),)
)


class GroupWatts(NamedTuple):
    """A group's part in the watts of the site; none below what the books say."""

    planned_w: float
    settled_w: float  #: once all that were told to leave have left
    exposed_w: float  #: by the plan, or by what still stands


class Plan(Followed):
    """The desired state of the site while a decision is being made. Watts are entitlements, never draws."""

    @property
    def zones(self) -> Zones:
        """The limited domains below the site, and who is behind them."""
        made_of = self.site.domains, self.fitting.generation, self.below
        if self._zones is None or self._zones[0] != made_of:
            self._zones = made_of, zones_of(self.site.domains, self.groups, self.below)
        return self._zones[1]

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

    def change_all(
        self, attempts: Iterable[Attempt], phase: Phase, cause: PauseCause, caps: Mapping[Kind, float]
    ) -> None:
        """Order many that run into another phase at once, each under the cap of its kind there if that is lower."""
        at, is_cut, where_of = self.at, cause in _FOR_POWER, self.roster.where
        told = altering(Attempt, "phase", "since_at", "pause_cause", "cap_w", "cut_at")
        judged, most_w, changed = None, inf, []
        for a in attempts:
            if (where := where_of(a.id)) is not judged:  # the next one is most often like the last
                judged, most_w = where, caps.get(where.kind, inf) if where else inf
            cap_w = min(a.cap_w, most_w)
            changed.append(told(a, phase, at, cause, cap_w, at if is_cut else a.cut_at))
        self.put_all(changed)

    def stop(self, attempt: Attempt, phase: Phase, cause: PauseCause | None) -> Attempt:
        """Order an attempt held, saved or killed. Who gives way for want of power is remembered for it."""
        cut = {"cut_at": self.at} if attempt.phase is Phase.RUN and cause in _FOR_POWER else {}
        return self.change(attempt, phase=phase, pause_cause=cause, **cut)

    def running(self) -> list[Attempt]:
        """Attempts ordered to run, on nodes of this site, by id."""
        return self.in_phase(Phase.RUN)

    def flexible(self) -> list[Attempt]:
        """Those of them that may give way for power, by id."""
        if all(kind.tier > 0 for kind in self.roster.gpus()):
            return self.running()
        return [a for a in self.running() if self.tier(a) > 0]

    def in_phase(self, *phases: Phase) -> list[Attempt]:
        """Attempts ordered into one of these phases, on nodes of this site, by id."""
        return self.roster.in_phase(*phases)

    def touched_jobs(self) -> list[str]:
        """Ids of jobs that were changed in this round, or are other than they were in the last one."""
        return sorted(self.since.jobs | set(self.jobs.log[self._marks[0] :]))

    def away(self) -> list[str]:
        """Nodes with attempts that are not part of the site."""
        return self.occupants.away()

    def model(self, attempt: Attempt) -> GpuModel:
        """The GPU model it runs on; one without watts where its nodes are not part of the site any more."""
        for placement in attempt.placements:
            if model := self._models.get(placement.node_id):
                return model
        return _NOWHERE

    def model_of(self, group_id: str) -> GpuModel | None:
        """The GPU model of a node, None where it has no GPU."""
        return self._models.get(group_id)

    def kind_of(self, attempt: Attempt) -> Kind | None:
        """How its GPUs count; None where its nodes are not part of the site any more."""
        return self._kind(attempt)

    def knee_w(self, attempt: Attempt) -> float:
        """The cap per GPU at which it is judged whether there is power for it."""
        kind = self._kind(attempt)
        return kind.knee_w if kind is not None else 0.0

    def top_w(self, attempt: Attempt) -> float:
        """The highest cap per GPU that it has use for."""
        kind = self._kind(attempt)
        return kind.top_w if kind is not None else 0.0

    # -- nodes on and in standby -----------------------------------------------------------------------------------

    def is_standby(self, group_id: str) -> bool:
        """Whether a node is to be in standby."""
        return group_id in self._asleep

    def is_off(self, group_id: str) -> bool:
        """Whether a node is in standby, or on its way there or back."""
        return group_id in self._asleep or group_id in self.off

    def asleep(self) -> Ordered:
        """Nodes that are to be in standby."""
        return self._asleep

    def bare_w(self, group_id: str) -> float:
        """What a node draws with nothing on it, in standby if it can be put there, W."""
        return self._rests_w[group_id][1]

    def awake_w(self, group_id: str) -> float:
        """What a node draws more than that while it is on, W."""
        on_w, bare_w = self._rests_w.get(group_id, (0.0, 0.0))
        return on_w - bare_w

    def start_w(self, job: Job) -> float:
        """Site watts that a job's GPUs draw more than idle at its knee, on those nodes where that is most."""
        return self.site.overhead * job.spec.total_gpus * self._rise_of(job).at_knee_w

    def starts_w(self, job: Job) -> Rise:
        """The same under each of the caps by which starts are judged."""
        each_w = self.site.overhead * job.spec.total_gpus
        return Rise(*(each_w * rise_w for rise_w in self._rise_of(job)))

    def _rise_of(self, job: Job) -> Rise:
        spec = job.spec
        key = spec.gpu_type, spec.flex, spec.min_cap_w, spec.cap_ok
        known = self._rises.get(key)
        if known is None:
            known = self._rises[key] = self._found_rise(job)
        return known

    def _found_rise(self, job: Job) -> Rise:
        models = self._models.items()
        sorts = {(model, self._spared_w[gid]): gid for gid, model in models}.values()  # one node of each sort
        kinds = (self.kind_on(job, gid) for gid in sorts)
        return rise_of([k for k in kinds if job.spec.gpu_type in (None, k.model.name)])

    def switch(self, group_id: str, *, asleep: bool) -> None:
        """Have a node go to standby, or come back from it."""
        self.switched.add(group_id)
        self._switch(group_id, asleep=asleep)

    # -- watts ---------------------------------------------------------------------------------------------------

    def nodes_w(self) -> float:
        """Site watts of everything but miners and fillers, by entitlement.

        A guard may never hear of a lower one: no group counts less than it comes down to by itself.
        """
        taken_w = self._unmetered_w + self.kept_w
        return self._site_w(self._tally.planned_it_w, self._idle_miners_w("resting_w")) + taken_w

    def settled_w(self) -> float:
        """Site watts once all that were told to leave have left, miners at their targets."""
        settled_w = self._site_w(self._tally.settled_it_w, self._idle_miners_w("final_w"))
        return settled_w + self._unmetered_w + self.mined_w()

    def site_w(self) -> float:
        """Site watts by entitlement, miners at their targets."""
        return self.nodes_w() + self.mined_w()

    def least_rise_w(self, limit_w: float) -> float:
        """The least that is worth telling nodes or miners about, site watts under such a limit."""
        return limit_w * (_LEAST_SHARE if self.site.trim is None else _LEAST_SHARE_METERED)

    def mined_w(self) -> float:
        """Site watts of all that mines: miners at their targets, and what fills idle GPUs."""
        return sum(self.miners_w.values()) + self.filled_w()

    # -- what fills idle GPUs --------------------------------------------------------------------------------------

    @property
    def fillers_w(self) -> Mapping[str, float]:
        """By node that has a filler, what that may draw above the rest of its GPUs, W of the node."""
        return self._tally.fillers_w

    def filled_w(self) -> float:
        """Site watts of all fillers."""
        fillers_w = self._tally.fillers_w
        return self.site.overhead * sum(fillers_w.values()) if fillers_w else 0.0

    def fill(self, group_id: str, filler_w: float) -> None:
        """Let the filler of a node draw so much above the rest of its GPUs."""
        self._tally.fill(group_id, filler_w)

    def empty(self) -> dict[str, float]:
        """Let no filler draw anything. What each that could did before."""
        before = {gid: w for gid, w in self._tally.fillers_w.items() if w}
        for gid in before:
            self._tally.fill(gid, 0.0)
        return before

    # -- what others draw ------------------------------------------------------------------------------------------

    def exposed_w(self) -> float:
        """Site watts that could be drawn at most: the plan, or what open orders and readings still allow."""
        return self._exposed_w(self._tally.exposed_it_w)

    def exposed_rise(self, attempt: Attempt, where: Where, cap_w: float) -> int:
        """Microwatts by which the nodes of an attempt that is counted so could draw more at most under that cap."""
        return self._tally.exposed_rise(attempt, where.kind.tier, cap_w)

    def exposed_w_risen(self, rise: int) -> float:
        """`exposed_w` if the nodes could draw so many microwatts more."""
        return self._exposed_w(self._tally.exposed_it_w_risen(rise))

    def _exposed_w(self, it_w: float) -> float:
        bounds = self._miner_bounds.items()
        mine_w = sum(max(b.exposure_w, self.group_w(gid)) for gid, b in bounds)
        mine_w = max(mine_w, self._idle_miners_w("resting_w") + self.kept_w) if self.kept_w else mine_w
        return self._site_w(it_w, mine_w) + self._unmetered_w

    def at_knees_w(self, tier: int) -> float:
        """Site watts of the nodes if everything as flexible as `tier`, or more, ran at its knee.

        As it is counts who is below its floor, and below its knee where the limit of a domain may keep it there.
        """
        lacking_w = 0.0 if self.zones.limited else self.roster.below_knees_w(tier)
        return self.nodes_w() - self.roster.above_knees_w(tier) + lacking_w

    def at_floors_w(self, tier: int) -> float:
        """The same if all of that ran at its floor: less than that is left only by pausing some."""
        return self.nodes_w() - self.roster.above_floors_w(tier)

    def raises(self, group_id: str) -> bool:
        """Whether an order under this plan would entitle a group to more than it is known to be allowed already."""
        account, load_w, fall_s = self.groups[group_id].account, self.group_w(group_id), self.site.fall_s
        return not is_confirmed(account, load_w, self.at, fall_s=fall_s, within_w=EPSILON_W)

    def fallback_w(self) -> float:
        """Site watts that are left when every order has expired, over the plan and all open orders."""
        return self._site_w(self._tally.fallback_it_w, self._idle_miners_w("fallback_w"))

    def fallback_of(self, group_id: str) -> tuple[FallbackStep, ...]:
        """The fallback profile of a group under this plan."""
        if group_id in self._miner_bounds:
            return (FallbackStep(after_s=0.0, limit_w=self._bases_w[group_id]),)
        first_w, last_w = self._tally.fallback_w(group_id)
        if last_w >= first_w:
            return _falling(first_w, 0.0, first_w)
        return _falling(first_w, self.site.save_after_s + self._longest_grace_s(group_id), last_w)

    def _longest_grace_s(self, group_id: str) -> float:
        """The longest that it may take all on a node to save and exit."""
        known = self.occupants.graces_s.get(group_id)
        if known is None:
            known = max([GRACE_S, *[self.grace_s(a) for a in self.on(group_id)]])
            self.occupants.graces_s[group_id] = known
        return known

    def grace_s(self, attempt: Attempt) -> float:
        """The longest that it may take from a request to save and exit to its end."""
        return self.grace_of_s(self.jobs[attempt.job_id])

    @staticmethod
    def grace_of_s(job: Job) -> float:
        """The same, of whatever attempt of a job."""
        return max(GRACE_S, job.spec.launch.grace_s)

    def group_w(self, group_id: str) -> float:
        """What an order under this plan entitles a group to."""
        if group_id in self._miner_bounds:
            return self._bases_w[group_id] + self.miners_w[group_id]
        return self._tally.planned_w(group_id)

    def group_bounds_w(self, group_id: str) -> GroupWatts:
        """What a group is planned, settled and exposed at, by itself."""
        if group_id not in self._miner_bounds:
            planned_w, settled_w, exposed_w = self._tally.bounds_w(group_id)
            filler_w = self._tally.fillers_w.get(group_id, 0.0)
            return GroupWatts(planned_w + filler_w, settled_w + filler_w, exposed_w)
        bounds, target_w, base_w = (
            self._miner_bounds[group_id],
            self.miners_w[group_id],
            self._bases_w[group_id],
        )
        return GroupWatts(
            planned_w=max(bounds.resting_w, base_w) + target_w,
            settled_w=max(bounds.final_w, base_w) + target_w,
            exposed_w=max(bounds.exposure_w, base_w + target_w),
        )

    def group_fallback_w(self, group_id: str) -> float:
        """A group's part in what is left when every order has expired, over the plan and all open orders."""
        if group_id in self._miner_bounds:
            return max(self._bases_w[group_id], self._miner_bounds[group_id].fallback_w)
        return self._tally.fallback_bound_w(group_id)

    def depths(self) -> Iterator[tuple[str, Depth]]:
        """How deep each node can be lowered without a loss of firm work. Costs a look at every node."""
        return self._tally.depths()

    def freed_w(self, attempt: Attempt, to_w: float) -> float:
        """Site watts that a change of all its GPUs from the present charge to `to_w` each would free."""
        model = self.model(attempt)
        now_w = model.charge_w(attempt.cap_w) if attempt.phase is Phase.RUN else model.held_w()
        return self.site.overhead * self._gpus_here(attempt) * (now_w - to_w)

    def lifted_w(self, where: Where, cap_w: float) -> float:
        """Site watts that the GPUs of an attempt that runs are charged more under that cap."""
        model = where.kind.model
        return self.site.overhead * where.gpus * (model.charge_w(cap_w) - model.charge_w(where.cap_w))

    def resumed_w(self, where: Where) -> float:
        """Site watts that the GPUs of an attempt are charged more once it goes on than while it is held."""
        model = where.kind.model
        return self.site.overhead * where.gpus * (model.charge_w(where.cap_w) - model.held_w())

    def slack_w(self) -> float:
        """Site watts by which any one node rises less at most than what is planned on it, as the books are."""
        return self.site.overhead * self._tally.slack_w()

    def nodes_w_with(self, attempt: Attempt) -> float:
        """`nodes_w` if this attempt ran under its cap."""
        return self.nodes_w() + self.site.overhead * self._tally.rise_w(
            attempt, self.tier(attempt), Phase.RUN
        )

    def is_plain(self) -> bool:
        """Whether no change of an attempt moves the plan by more than `freed_w`: all nodes have GPUs of one type."""
        return self._tally.is_plain()

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


@lru_cache(maxsize=4096)  # most nodes fall alike
def _falling(first_w: float, after_s: float, last_w: float) -> tuple[FallbackStep, ...]:
    """A fallback profile in two steps, or in one where that is the last."""
    first = FallbackStep(after_s=0.0, limit_w=first_w)
    return (first, FallbackStep(after_s=after_s, limit_w=last_w)) if after_s else (first,)


def limit_now(snapshot: Snapshot) -> Limit:
    """The lowest limit known from now to the lead: drops that are known apply early."""
    return limit_under(snapshot.envelopes, snapshot.site, snapshot.at)


def limit_under(envelopes: Sequence[Envelope], site: SitePolicy, at: datetime) -> Limit:
    """The same, of what is told at that moment."""
    return lowest_within(envelopes, at, lead_s=site.lead_s, now=at, firm_w=site.firm_w)


def usable_w(snapshot: Snapshot, limit: Limit) -> float:
    """The part of a limit that may be entitled: less the margin."""
    return limit.limit_w * (1.0 - snapshot.margin)

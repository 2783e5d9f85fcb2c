"""A decision in the making: what each attempt and miner group is to do, and the watts that follow from it.

The one mutable thing in core. `shed` and `decide` build it from a snapshot, change it step by step, and read it out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from scheduler.core.entitlement import idle_w
from scheduler.core.envelope import Limit, lowest_within
from scheduler.core.floors import above_floor_w, floor_cap_w
from scheduler.core.jobs import Attempt, Job, PauseCause, Phase
from scheduler.core.ledger import confirmed_w, exposure_w, fallback_exposure_w, final_w, resting_w
from scheduler.core.orders import FallbackStep, GroupKind
from scheduler.core.power import CapPoint, GpuModel, site_w
from scheduler.core.reasons import Event
from scheduler.core.snapshot import Group, Snapshot
from scheduler.core.tally import Bounds, Tally

EPSILON_W = 1e-6  #: what sums of watts may differ by
GRACE_S = 30.0  #: least time counted between a request to save and exit, and the kill
_NOWHERE = GpuModel(
    name="unknown", tdp_w=0.0, idle_w=0.0, context_w=0.0, curve=(CapPoint(cap_w=0.0, speed=1.0, draw_w=0.0),)
)


class Plan:
    """The desired state of the site while a decision is being made. Watts are entitlements, never draws."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.at = snapshot.at
        self.site = snapshot.site
        self.groups: Mapping[str, Group] = snapshot.groups
        self.jobs: dict[str, Job] = dict(snapshot.jobs)
        self.attempts: dict[str, Attempt] = {}
        self.ended: dict[str, Attempt] = {}
        self.events: list[Event] = []
        self.miners_w: dict[str, float] = {
            g.spec.group_id: g.miners_target_w
            for g in snapshot.groups.values()
            if g.spec.kind is GroupKind.MINERS
        }
        self._models = {gid: g.spec.gpus[0].power for gid, g in snapshot.groups.items() if g.spec.gpus}
        self._unmetered_w = snapshot.unmetered_w
        self.fitting_shapes: dict[tuple[object, ...], bool] = {}  #: what `placement.ever_fits` found out
        bounds = {gid: self._bounds(g) for gid, g in snapshot.groups.items()}
        self._miner_bounds = {gid: bounds.pop(gid) for gid in self.miners_w}
        self._tally = Tally({gid: snapshot.groups[gid].spec for gid in bounds}, bounds)
        for attempt in snapshot.attempts.values():
            self.put(attempt)

    def _bounds(self, group: Group) -> Bounds:
        account, at, fall_s = group.account, self.at, self.site.fall_s
        return Bounds(
            exposure_w=exposure_w(account, at, fall_s=fall_s),
            resting_w=resting_w(account, at, fall_s=fall_s),
            final_w=final_w(account),
            fallback_w=fallback_exposure_w(account),
        )

    # -- attempts ------------------------------------------------------------------------------------------------

    def put(self, attempt: Attempt) -> None:
        """Add an attempt, or replace it by a changed one."""
        self.attempts[attempt.id] = attempt
        tier = self.tier(attempt)
        self._tally.put(attempt, tier)
        self._tally.above_floor(attempt.id, tier, self._above_floor_w(attempt))

    def end(self, attempt: Attempt) -> None:
        """Take an ended attempt out: its GPUs are free."""
        self.ended[attempt.id] = attempt
        self.attempts.pop(attempt.id, None)
        self._tally.take(attempt)

    def change(self, attempt: Attempt, **changes: Any) -> Attempt:  # noqa: ANN401 - as in dataclasses.replace
        """Replace an attempt by itself with `changes`; a new phase starts now."""
        if "phase" in changes and changes["phase"] is not attempt.phase:
            changes["since_at"] = self.at
        changed = replace(attempt, **changes)
        self.put(changed)
        return changed

    def stop(self, attempt: Attempt, phase: Phase, cause: PauseCause | None) -> Attempt:
        """Order an attempt held, saved or killed."""
        return self.change(attempt, phase=phase, pause_cause=cause)

    def running(self) -> list[Attempt]:
        """Attempts ordered to run, on nodes of this site."""
        return self.in_phase(Phase.RUN)

    def in_phase(self, *phases: Phase) -> list[Attempt]:
        """Attempts ordered into one of these phases, on nodes of this site."""
        return [a for a in self.attempts.values() if a.phase in phases and self._is_here(a)]

    def on(self, group_id: str) -> Iterable[Attempt]:
        """Attempts with a member on this group."""
        return self._tally.members(group_id)

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
        """Site watts of the nodes if everything as flexible as `tier`, or more, ran at its floor."""
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
        if group_id in self.miners_w:
            return (FallbackStep(after_s=0.0, limit_w=idle_w(self.groups[group_id].spec)),)
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
        if group_id in self.miners_w:
            return idle_w(self.groups[group_id].spec) + self.miners_w[group_id]
        return self._tally.planned_w(group_id)

    def freed_w(self, attempt: Attempt, to_w: float) -> float:
        """Site watts that a change of all its GPUs from the present charge to `to_w` each would free."""
        model = self.model(attempt)
        now_w = model.charge_w(attempt.cap_w) if attempt.phase is Phase.RUN else model.held_w()
        return self.site.overhead * self._gpus_here(attempt) * (now_w - to_w)

    def nodes_w_with(self, attempt: Attempt) -> float:
        """`nodes_w` if this attempt replaced the one of the plan."""
        return self.nodes_w() + self.site.overhead * self._tally.rise_w(attempt, self.tier(attempt))

    def _gpus_here(self, attempt: Attempt) -> int:
        """Its GPUs on nodes that still are part of the site."""
        models = self._models
        return sum([len(p.gpu_ids) for p in attempt.placements if p.node_id in models])

    def _above_floor_w(self, attempt: Attempt) -> float:
        """Site watts that an attempt is charged above its floor while it runs."""
        if attempt.phase is not Phase.RUN:
            return 0.0
        model = self.model(attempt)
        above_w = above_floor_w(model, attempt.cap_w, floor_cap_w(model, self.jobs[attempt.job_id]))
        return self.site.overhead * self._gpus_here(attempt) * above_w if above_w > 0 else 0.0

    def _is_here(self, attempt: Attempt) -> bool:
        """Whether any of its nodes still is part of the site."""
        placements, models = attempt.placements, self._models
        return bool(placements) and (
            placements[0].node_id in models or any(p.node_id in models for p in placements)
        )

    def _idle_miners_w(self, bound: str) -> float:
        """Watts of the miner groups at rest, or what the books say where that is more."""
        groups = ((self.groups[gid].spec, b) for gid, b in self._miner_bounds.items())
        return sum((max(float(getattr(b, bound)), idle_w(spec)) for spec, b in groups), 0.0)

    def _site_w(self, it_w: float, miners_w: float) -> float:
        site = self.site
        return site_w(it_w=it_w, miners_w=miners_w, overhead=site.overhead, auxiliary_w=site.auxiliary_w)


def limit_now(snapshot: Snapshot) -> Limit:
    """The lowest limit known from now to the lead: drops that are known apply early."""
    site = snapshot.site
    return lowest_within(
        snapshot.envelopes, snapshot.at, lead_s=site.lead_s, now=snapshot.at, firm_w=site.firm_w
    )


def usable_w(snapshot: Snapshot, limit: Limit) -> float:
    """The part of a limit that may be entitled: less the margin."""
    return limit.limit_w * (1.0 - snapshot.site.margin)

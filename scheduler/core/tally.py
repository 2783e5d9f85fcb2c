"""The watts of a plan as running totals: a change of one attempt costs no look at any other.

Totals are whole microwatts, so that they do not drift and come out the same in whatever order changes were made.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from scheduler.core.altered import altered
from scheduler.core.entitlement import entitlement_w, fallback_profile, idle_w
from scheduler.core.jobs import Attempt, Phase, Placement
from scheduler.core.orders import GroupSpec
from scheduler.core.power import GpuModel
from scheduler.core.presence import LEAVING

_MICRO = 1_000_000


def whole_uw(power_w: float) -> int:
    """Watts in whole microwatts."""
    return round(power_w * _MICRO)


def watts(power_uw: int) -> float:
    """Microwatts in watts."""
    return power_uw / _MICRO


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What the books say of one node whatever is planned, W. See `scheduler.core.ledger`."""

    exposure_w: float
    resting_w: float
    final_w: float
    fallback_w: float


NO_BOUNDS = Bounds(exposure_w=0.0, resting_w=0.0, final_w=0.0, fallback_w=0.0)

_Share = tuple[int, int, int, int]
"""What one attempt adds to a node above idle, in microwatts.

Planned; settled, without those that leave; in fallback, first and last.
"""
_NOTHING: _Share = (0, 0, 0, 0)


class NodeTally:
    """One node: what is planned on it, settled on it, and left of it when its order has expired, in microwatts."""

    __slots__ = (
        "_asleep",
        "_bounds",
        "_idle",
        "_is_alike",
        "_is_plain",
        "_members",
        "_model",
        "_shares",
        "_spec",
        "_sums",
        "totals",
    )

    def __init__(self, spec: GroupSpec, bounds: Bounds = NO_BOUNDS) -> None:
        self._spec = spec
        models = {(slot.model, slot.limits) for slot in spec.gpus}
        self._model = spec.gpus[0].power if spec.gpus else None
        self._is_alike = len(models) <= 1
        self._is_plain = self._is_alike  #: GPUs of one type, each held by one attempt at most: sums will do
        self._members: dict[str, tuple[Attempt, int]] = {}
        self._shares: dict[str, _Share] = {}
        self._idle = whole_uw(idle_w(spec))
        self._asleep = 0  #: what it draws less than idle, in standby
        self._sums = (self._idle,) * 4
        self.totals = (0, 0, 0, 0)
        """Its part in the site's: planned, settled, exposed, in fallback, none below what the books say."""
        self.book(bounds)

    def book(self, bounds: Bounds) -> None:
        """Take in what the books say now."""
        b = bounds
        self._bounds = (
            whole_uw(b.resting_w),
            whole_uw(b.final_w),
            whole_uw(b.exposure_w),
            whole_uw(b.fallback_w),
        )
        self._add_up()

    def rest(self, standby_w: float | None) -> None:
        """Have it go to standby, where it draws so much; None = back on."""
        asleep = 0 if standby_w is None else self._idle - whole_uw(standby_w)
        less, s = asleep - self._asleep, self._sums
        self._asleep = asleep
        self._sums = (s[0] - less, s[1] - less, s[2] - less, s[3] - less)
        self._add_up()

    @property
    def is_plain(self) -> bool:
        """Whether its watts are a sum over its attempts: GPUs of one type, each held by one at most."""
        return self._is_plain

    @property
    def members(self) -> Iterable[Attempt]:
        """The attempts on it."""
        return [attempt for attempt, _ in self._members.values()]

    @property
    def planned(self) -> int:
        """What an order under this plan entitles it to."""
        return self._sums[0]

    @property
    def fallback(self) -> tuple[int, int]:
        """What it may draw when its order has expired: at once, and when all that is not firm has saved and left."""
        return self._sums[2], self._sums[3]

    def _add_up(self) -> None:
        planned, settled, first, _ = self._sums
        resting, final, exposure, fallback = self._bounds
        self.totals = (
            max(resting, planned),
            max(final, settled),
            max(planned, exposure),
            max(first, fallback),
        )

    def put(self, attempt: Attempt, placement: Placement, tier: int) -> None:
        """Add an attempt, or replace it by a changed one."""
        is_new = attempt.id not in self._members
        self._members[attempt.id] = (attempt, tier)
        if is_new:
            self._is_plain = self._is_plain and self._has_own(attempt.id, placement)
        if self._is_plain and self._model is not None:
            gpus = len(placement.gpu_ids)
            self._exchange(attempt.id, _share(self._model, gpus, attempt.phase, attempt.cap_w, tier == 0))
        else:
            self._recount()

    def rise(self, attempt: Attempt, placement: Placement, tier: int, phase: Phase) -> int:
        """What the site's planned watts would rise by with this attempt, in that phase, in place of the one there."""
        resting, before = self._bounds[0], self.totals[0]
        if self._is_plain and self._model is not None and attempt.id in self._shares:
            share = _share(self._model, len(placement.gpu_ids), phase, attempt.cap_w, tier == 0)
            planned = self._sums[0] + share[0] - self._shares[attempt.id][0]
        else:
            members = {a.id: a for a in self.members} | {attempt.id: altered(attempt, phase=phase)}
            planned = whole_uw(entitlement_w(self._spec, members.values())) - self._asleep
        return max(planned, resting) - before

    def take(self, attempt_id: str) -> None:
        """Take an attempt out."""
        self._members.pop(attempt_id, None)
        if self._is_plain:
            self._exchange(attempt_id, _NOTHING)
            self._shares.pop(attempt_id, None)
        elif self._is_alike and all(self._has_own(a.id, p) for a in self.members for p in self._here(a)):
            self._begin_anew()
        else:
            self._recount()

    def _begin_anew(self) -> None:
        """Nobody holds another's GPUs any more: sums will do again."""
        self._is_plain, self._shares, self._sums = True, {}, (self._idle - self._asleep,) * 4
        self._add_up()
        for attempt, tier in list(self._members.values()):
            for placement in self._here(attempt):
                self.put(attempt, placement, tier)

    def _here(self, attempt: Attempt) -> list[Placement]:
        return [p for p in attempt.placements if p.node_id == self._spec.group_id]

    def _has_own(self, attempt_id: str, placement: Placement) -> bool:
        """Whether nobody else holds its GPUs."""
        node_id = self._spec.group_id
        held = {
            g
            for a, _ in self._members.values()
            if a.id != attempt_id
            for p in a.placements
            if p.node_id == node_id
            for g in p.gpu_ids
        }
        return held.isdisjoint(placement.gpu_ids)

    def _exchange(self, attempt_id: str, share: _Share) -> None:
        old, sums = self._shares.get(attempt_id, _NOTHING), self._sums
        if old is share:
            return
        self._shares[attempt_id] = share
        self._sums = (
            sums[0] + share[0] - old[0],
            sums[1] + share[1] - old[1],
            sums[2] + share[2] - old[2],
            sums[3] + share[3] - old[3],
        )
        self._add_up()

    def _recount(self) -> None:
        """For the odd node: GPU by GPU."""
        members = self.members
        stay = [a for a in members if a.phase not in LEAVING]
        tiers = {a.job_id: tier for a, tier in self._members.values()}
        profile = fallback_profile(self._spec, members, tiers, save_after_s=0.0, grace_s=0.0)
        planned_w, settled_w = entitlement_w(self._spec, members), entitlement_w(self._spec, stay)
        first, last = whole_uw(profile[0].limit_w), whole_uw(profile[-1].limit_w)
        less = self._asleep
        self._sums = (whole_uw(planned_w) - less, whole_uw(settled_w) - less, first - less, last - less)
        self._add_up()


@lru_cache(maxsize=4096)
def _share(model: GpuModel, gpus: int, phase: Phase, cap_w: float, is_firm: bool) -> _Share:  # noqa: FBT001 - cached
    idle, held = whole_uw(model.idle_w), whole_uw(model.held_w())
    ordered = whole_uw(model.charge_w(cap_w)) if phase is Phase.RUN else held
    leaves = phase in LEAVING
    first = ordered if is_firm and not leaves else held
    planned = gpus * (ordered - idle)
    last = gpus * (first - idle) if is_firm and not leaves else 0
    return planned, 0 if leaves else planned, gpus * (first - idle), last


class Tally:
    """All nodes of a site together."""

    def __init__(self) -> None:
        self._nodes: dict[str, NodeTally] = {}
        self._totals = (0, 0, 0, 0)
        self._above_floor: dict[str, tuple[int, int]] = {}
        self._above_floors: dict[int, int] = defaultdict(int)

    def add(self, node_id: str, spec: GroupSpec) -> None:
        """Count a node from now on."""
        node = self._nodes[node_id] = NodeTally(spec)
        self._move((0, 0, 0, 0), node.totals)

    def drop(self, node_id: str) -> None:
        """Count a node no more, if it was counted."""
        if node := self._nodes.pop(node_id, None):
            self._move(node.totals, (0, 0, 0, 0))

    def book(self, node_id: str, bounds: Bounds) -> None:
        """Take in what the books say of a node now."""
        node = self._nodes[node_id]
        before = node.totals
        node.book(bounds)
        self._move(before, node.totals)

    def rest(self, node_id: str, standby_w: float | None) -> None:
        """Have a node go to standby, where it draws so much; None = back on."""
        node = self._nodes[node_id]
        before = node.totals
        node.rest(standby_w)
        self._move(before, node.totals)

    def is_plain(self) -> bool:
        """Whether the watts of each node are a sum over its attempts."""
        return all(node.is_plain for node in self._nodes.values())

    def planned_w(self, node_id: str) -> float:
        """What an order under this plan entitles a node to."""
        return watts(self._nodes[node_id].planned)

    def bounds_w(self, node_id: str) -> tuple[float, float, float]:
        """A node's part in the site's watts: planned, settled, exposed."""
        planned, settled, exposed, _ = self._nodes[node_id].totals
        return watts(planned), watts(settled), watts(exposed)

    def fallback_w(self, node_id: str) -> tuple[float, float]:
        """What a node may draw when its order has expired: at once, and once all that is not firm has left."""
        first, last = self._nodes[node_id].fallback
        return watts(first), watts(last)

    @property
    def planned_it_w(self) -> float:
        """Watts of all nodes under the plan."""
        return watts(self._totals[0])

    @property
    def settled_it_w(self) -> float:
        """Watts of all nodes once those that were told to leave have left."""
        return watts(self._totals[1])

    @property
    def exposed_it_w(self) -> float:
        """Watts that all nodes could draw at most, by the plan or by what still stands."""
        return watts(self._totals[2])

    @property
    def fallback_it_w(self) -> float:
        """Watts of all nodes when every order has expired."""
        return watts(self._totals[3])

    def put(self, attempt: Attempt, tier: int) -> None:
        """Add an attempt, or replace it by a changed one."""
        for placement in attempt.placements:
            if node := self._nodes.get(placement.node_id):
                before = node.totals
                node.put(attempt, placement, tier)
                self._move(before, node.totals)

    def rise_w(self, attempt: Attempt, tier: int, phase: Phase | None = None) -> float:
        """What the nodes' planned watts would rise by with this attempt, in its phase or another, in place of now."""
        rise = 0
        for placement in attempt.placements:
            if node := self._nodes.get(placement.node_id):
                rise += node.rise(attempt, placement, tier, phase or attempt.phase)
        return watts(rise)

    def take(self, attempt: Attempt) -> None:
        """Take an attempt out."""
        for placement in attempt.placements:
            if node := self._nodes.get(placement.node_id):
                before = node.totals
                node.take(attempt.id)
                self._move(before, node.totals)
        self.above_floor(attempt.id, 0, 0.0)

    def above_floor(self, attempt_id: str, tier: int, above_w: float) -> None:
        """Note what a running attempt of a tier is charged above its floor."""
        if (known := self._above_floor.pop(attempt_id, None)) is not None:
            self._above_floors[known[0]] -= known[1]
        if above_w > 0:
            above = whole_uw(above_w)
            self._above_floor[attempt_id] = (tier, above)
            self._above_floors[tier] += above

    def above_floors_w(self, tier: int) -> float:
        """What all that runs and is as flexible as `tier`, or more, is charged above its floors."""
        return watts(sum(above for t, above in self._above_floors.items() if t >= tier))

    def _move(self, before: tuple[int, int, int, int], after: tuple[int, int, int, int]) -> None:
        if before is not after and before != after:
            t = self._totals
            self._totals = (
                t[0] + after[0] - before[0],
                t[1] + after[1] - before[1],
                t[2] + after[2] - before[2],
                t[3] + after[3] - before[3],
            )

"""The watts of one node of a plan as running totals, in whole microwatts. See `scheduler.core.tally`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from scheduler.core.altered import altered, swift
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


@swift
@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What the books say of one node whatever is planned, W. See `scheduler.core.ledger`."""

    exposure_w: float
    resting_w: float
    final_w: float
    fallback_w: float


NO_BOUNDS = Bounds(exposure_w=0.0, resting_w=0.0, final_w=0.0, fallback_w=0.0)


class Depth(NamedTuple):
    """How deep one node can be lowered, W; none below what the books say."""

    planned_w: float
    held_w: float  #: once all flexible work on it is held
    left_w: float  #: once that has left, too
    clears: bool  #: whether nothing is on it then


class _Share(NamedTuple):
    """What one attempt adds to a node above idle, in microwatts, and by what."""

    planned: int
    settled: int  #: once all that leave have left
    first: int  #: in fallback, at once
    last: int  #: and once all that is not firm has left
    gpus: int = 0
    is_firm: bool = False


_NOTHING = _Share(planned=0, settled=0, first=0, last=0)


class NodeTally:
    """One node: what is planned on it, settled on it, and left of it when its order has expired, in microwatts."""

    __slots__ = (
        "_asleep",
        "_bounds",
        "_filler",
        "_idle",
        "_is_alike",
        "_is_plain",
        "_members",
        "_model",
        "_shares",
        "_spec",
        "_sums",
        "_tiers",
        "totals",
    )

    def __init__(self, spec: GroupSpec, bounds: Bounds = NO_BOUNDS) -> None:
        self._spec = spec
        models = {(slot.model, slot.limits) for slot in spec.gpus}
        self._model = spec.gpus[0].power if spec.gpus else None
        self._is_alike = len(models) <= 1
        self._is_plain = self._is_alike  #: GPUs of one type, each held by one attempt at most: sums will do
        self._members: dict[str, Attempt] = {}
        self._tiers: dict[str, int] = {}
        self._shares: dict[str, _Share] = {}
        self._idle = whole_uw(idle_w(spec))
        self._asleep = 0  #: what it draws less than idle, in standby
        self._filler = 0  #: what fills its idle GPUs, above their rest
        self._sums = (self._idle,) * 4
        self.totals = (0, 0, 0, 0)
        """Its part in the site's: planned, settled, exposed, in fallback, none below what the books say.

        Only the exposed counts what fills idle GPUs: that gives way to all else.
        """
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

    def fill(self, filler: int) -> None:
        """Have its idle GPUs draw so much above their rest, for what fills them."""
        self._filler = filler
        self._add_up()

    @property
    def is_plain(self) -> bool:
        """Whether its watts are a sum over its attempts: GPUs of one type, each held by one at most."""
        return self._is_plain

    @property
    def members(self) -> Iterable[Attempt]:
        """The attempts on it."""
        return list(self._members.values())

    @property
    def planned(self) -> int:
        """What an order under this plan entitles it to."""
        return self._sums[0] + self._filler

    @property
    def slack(self) -> int:
        """How much more may be planned on it at no cost, because the books hold it to come down to no less."""
        return max(0, self._bounds[0] - self._sums[0])

    @property
    def fallback(self) -> tuple[int, int]:
        """What it may draw when its order has expired: at once, and when all that is not firm has saved and left."""
        return self._sums[2], self._sums[3]

    @property
    def depth(self) -> Depth:
        """How deep it can be lowered without a loss of firm work."""
        _, _, first, last = self._sums
        resting, final, _, _ = self._bounds
        return Depth(
            planned_w=watts(self.totals[0]),
            held_w=watts(max(resting, first)),
            left_w=watts(max(final, last)),
            clears=last == self._idle - self._asleep,
        )

    def _add_up(self) -> None:
        planned, settled, first, _ = self._sums
        resting, final, exposure, fallback = self._bounds
        self.totals = (
            max(resting, planned),
            max(final, settled),
            max(planned + self._filler, exposure),
            max(first, fallback),
        )

    def put(self, attempt: Attempt, placement: Placement, tier: int) -> None:
        """Add an attempt, or replace it by a changed one."""
        attempt_id, model = attempt.id, self._model
        if attempt_id not in self._members:
            self._is_plain = self._is_plain and self._has_own(attempt_id, placement)
        self._members[attempt_id] = attempt
        self._tiers[attempt_id] = tier
        if self._is_plain and model is not None:
            share = _share(model, len(placement.gpu_ids), attempt.phase, attempt.cap_w, tier == 0)
            self._exchange(attempt_id, share)
        else:
            self._recount()

    def put_all(self, changed: Mapping[str, Attempt]) -> None:
        """Replace attempts that are here, by id, by changed ones of the same tiers and GPUs, and add up once."""
        self._members.update(changed)
        model, shares = self._model, self._shares
        if not self._is_plain or model is None:
            self._recount()
            return
        was, phase, cap_w, share, alike = _NOTHING, None, -1.0, _NOTHING, 0
        for attempt_id, attempt in changed.items():
            old = shares[attempt_id]
            if old is not was or attempt.phase is not phase or attempt.cap_w != cap_w:  # most change alike
                self._add(was, share, alike)
                was, phase, cap_w, alike = old, attempt.phase, attempt.cap_w, 0
                share = _share(model, old.gpus, phase, cap_w, old.is_firm)
            shares[attempt_id] = share
            alike += 1
        self._add(was, share, alike)
        self._add_up()

    def _add(self, old: _Share, new: _Share, times: int) -> None:
        """So many of one share have another now."""
        p, s, f, last = self._sums
        self._sums = (
            p + times * (new.planned - old.planned),
            s + times * (new.settled - old.settled),
            f + times * (new.first - old.first),
            last + times * (new.last - old.last),
        )

    def rise(self, attempt: Attempt, placement: Placement, tier: int, phase: Phase) -> int:
        """What the site's planned watts would rise by with this attempt, in that phase, in place of the one there."""
        planned = self._planned_with(attempt, placement, tier, phase, attempt.cap_w)
        return max(planned, self._bounds[0]) - self.totals[0]

    def exposed_rise(self, attempt: Attempt, placement: Placement, tier: int, cap_w: float) -> int:
        """What could be drawn at most would rise by with this attempt, under that cap, in place of the one there."""
        planned = self._planned_with(attempt, placement, tier, attempt.phase, cap_w)
        return max(planned + self._filler, self._bounds[2]) - self.totals[2]

    def _planned_with(
        self, attempt: Attempt, placement: Placement, tier: int, phase: Phase, cap_w: float
    ) -> int:
        attempt_id, model = attempt.id, self._model
        if self._is_plain and model is not None and attempt_id in self._shares:
            share = _share(model, len(placement.gpu_ids), phase, cap_w, tier == 0)
            return self._sums[0] + share.planned - self._shares[attempt_id].planned
        members = {a.id: a for a in self.members} | {attempt_id: altered(attempt, phase=phase, cap_w=cap_w)}
        return whole_uw(entitlement_w(self._spec, members.values())) - self._asleep

    def take(self, attempt_id: str) -> None:
        """Take an attempt out."""
        self._members.pop(attempt_id, None)
        self._tiers.pop(attempt_id, None)
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
        for attempt in self.members:
            for placement in self._here(attempt):
                self.put(attempt, placement, self._tiers[attempt.id])

    def _here(self, attempt: Attempt) -> list[Placement]:
        return [p for p in attempt.placements if p.node_id == self._spec.group_id]

    def _has_own(self, attempt_id: str, placement: Placement) -> bool:
        """Whether nobody else holds its GPUs."""
        node_id = self._spec.group_id
        held = {
            g
            for a in self._members.values()
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
            sums[0] + share.planned - old.planned,
            sums[1] + share.settled - old.settled,
            sums[2] + share.first - old.first,
            sums[3] + share.last - old.last,
        )
        self._add_up()

    def _recount(self) -> None:
        """For the odd node: GPU by GPU."""
        members = self.members
        stay = [a for a in members if a.phase not in LEAVING]
        tiers = {a.job_id: self._tiers[a.id] for a in members}
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
    return _Share(
        planned=planned,
        settled=0 if leaves else planned,
        first=gpus * (first - idle),
        last=gpus * (first - idle) if is_firm and not leaves else 0,
        gpus=gpus,
        is_firm=is_firm,
    )

"""What should hold on a device group within its entitlement: what is ordered, less what has to be shed.

The order of shedding is the usual one: mining, caps, suspend, save and exit; tiers descending, tier 0 after
all others. A suspended GPU is charged with its rest, little less than a running one at its minimum cap, so
suspending only bridges the time until those who were told to leave are gone. Tier 0 is capped and, in the end,
saved; never merely held up for others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from scheduler.core.jobs import Phase
from scheduler.core.lease import Standing
from scheduler.core.orders import AttemptOrder, GroupKind
from scheduler.core.presence import LEAVING, Present, Seen

EPSILON_W = 1e-6

NOT_ORDERED = "this attempt is not in the order that stands"


@dataclass(slots=True, kw_only=True)
class Restraint:
    """The phase and the cap that each present attempt should have, and the miners' target.

    `over_w` tells how far it stays over the entitlement even so.
    """

    seen: Seen
    limit_w: float
    phases: dict[str, Phase] = field(default_factory=dict)
    caps_w: dict[str, float] = field(default_factory=dict)  #: by attempt, per GPU while it runs
    reasons: dict[str, str] = field(default_factory=dict)
    miners_target_w: float = 0.0

    def cap_w(self, gpu_id: str) -> float:
        """The cap that a GPU should have: the minimum unless everything that holds it runs."""
        wanted_w = [self._wanted_w(a) for a in self.seen.holders(gpu_id)]
        return self.seen.clamp_w(gpu_id, min(wanted_w, default=0.0))

    def total_w(self, *, later: bool = False) -> float:
        """The group's charge under these phases and caps, or `later`, when those told to leave are gone."""
        gpus_w = sum(self._gpu_w(g.gpu_id, later=later) for g in self.seen.spec.gpus)
        return self.seen.spec.base_w + gpus_w + self.miners_target_w

    @property
    def over_w(self) -> float:
        """Watts over the entitlement when all is shed that can be."""
        return max(0.0, self.total_w(later=True) - self.limit_w)

    def change(self, attempt: Present, phase: Phase) -> None:
        """Shed one attempt to `phase`."""
        self.phases[attempt.attempt_id] = phase
        self.reasons[attempt.attempt_id] = (
            f"the group may draw {self.limit_w:.0f} W, too little for all that was started on it"
        )

    def _wanted_w(self, attempt: Present) -> float:
        runs = self.phases[attempt.attempt_id] is Phase.RUN
        return self.caps_w[attempt.attempt_id] if runs else 0.0

    def _gpu_w(self, gpu_id: str, *, later: bool) -> float:
        model = self.seen.model(gpu_id)
        holders = self.seen.holders(gpu_id)
        stays = [a for a in holders if not (later and self.phases[a.attempt_id] in LEAVING)]
        is_foreign = not holders and self.seen.is_busy(gpu_id)
        is_dying = bool(holders) and not later
        if (stays or is_dying) and not any(self.phases[a.attempt_id] is Phase.RUN for a in holders):
            return model.held_w()
        return model.charge_w(self.cap_w(gpu_id)) if stays or is_foreign or is_dying else model.idle_w


def restrain(standing: Standing, seen: Seen) -> Restraint:
    """What should hold now. Unless something is shed it is what is ordered; who was told to leave stays told."""
    draft = _as_ordered(standing, seen)
    others = [a for a in _victims(seen.attempts) if a.tier > 0]
    firm = [a for a in _victims(seen.attempts) if a.tier == 0]
    _lower_miners(draft)
    _lower_caps(draft, others)
    _let_leave(draft, others)
    _hold(draft, others)
    _lower_caps(draft, firm)
    _let_leave(draft, firm)
    return draft


def _as_ordered(standing: Standing, seen: Seen) -> Restraint:
    draft = Restraint(seen=seen, limit_w=standing.entitlement_w)
    ordered = {o.attempt_id: o for o in standing.attempts}
    for attempt in seen.attempts:
        order = ordered.get(attempt.attempt_id)
        draft.phases[attempt.attempt_id] = _wanted_phase(attempt, order)
        draft.caps_w[attempt.attempt_id] = _ordered_cap_w(seen, attempt, order)
        draft.reasons[attempt.attempt_id] = order.reason if order else NOT_ORDERED
    if seen.spec.kind is GroupKind.MINERS:
        draft.miners_target_w = min(max(standing.miners_target_w, 0.0), seen.spec.miners_max_w)
    elif seen.spec.filler is not None:
        draft.miners_target_w = max(standing.miners_target_w, 0.0)
    return draft


def _ordered_cap_w(seen: Seen, attempt: Present, order: AttemptOrder | None) -> float:
    """The ordered cap, no more than the devices know: what is above would not count when it is lowered."""
    if order is None:
        return 0.0
    return min((order.cap_w, *(seen.model(g).tdp_w for g in attempt.gpu_ids if seen.has(g))))


def _wanted_phase(attempt: Present, order: AttemptOrder | None) -> Phase:
    if order is None or attempt.phase is Phase.KILL:
        return Phase.KILL
    if attempt.phase is Phase.SAVE_EXIT and order.phase is not Phase.KILL:
        return Phase.SAVE_EXIT
    return order.phase


def _victims(attempts: Iterable[Present]) -> list[Present]:
    """Who gives way first: the most flexible, then the least important."""
    return sorted(attempts, key=lambda a: (-a.tier, a.priority, a.attempt_id))


def _lower_miners(draft: Restraint) -> None:
    if not draft.miners_target_w:
        return
    spare_w = max(0.0, draft.limit_w - (draft.total_w() - draft.miners_target_w))
    draft.miners_target_w = min(draft.miners_target_w, spare_w)


def _lower_caps(draft: Restraint, victims: list[Present]) -> None:
    """Cap one after another, each no deeper than it takes, until the charge as it is now fits."""
    for victim in victims:
        over_w = draft.total_w() - draft.limit_w
        if over_w <= EPSILON_W:
            return
        if draft.phases[victim.attempt_id] is Phase.RUN and victim.gpu_ids:
            draft.caps_w[victim.attempt_id] -= over_w / len(victim.gpu_ids)
            if draft.total_w() - draft.limit_w > EPSILON_W:
                draft.caps_w[victim.attempt_id] = 0.0  # as low as the device goes


def _let_leave(draft: Restraint, victims: list[Present]) -> None:
    """Tell one after another to save and exit until what stays fits."""
    for victim in victims:
        if draft.total_w(later=True) - draft.limit_w <= EPSILON_W:
            return
        if draft.phases[victim.attempt_id] not in LEAVING:
            draft.change(victim, Phase.SAVE_EXIT)


def _hold(draft: Restraint, victims: list[Present]) -> None:
    """While those who leave still hold their GPUs and it does not fit, nobody else computes."""
    if draft.total_w() - draft.limit_w <= EPSILON_W:
        return
    for victim in victims:
        if draft.phases[victim.attempt_id] is Phase.RUN:
            draft.change(victim, Phase.SUSPEND)

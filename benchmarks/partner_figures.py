"""What a simulated month of mining partners comes to; docs/metrics.md says what each figure means."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.simulate import DAY_S
from scheduler.core.decide import Decision, Policy
from scheduler.core.fleets import AWAKE_W
from scheduler.core.machines import MachineKind
from scheduler.core.orders import MinerReading
from scheduler.core.partners import Partner as Owner
from scheduler.core.snapshot import Snapshot
from scheduler.sim.capacity import Floats
from scheduler.sim.clock import US, us_of
from scheduler.sim.outcome import RunOutcome
from scheduler.sim.power_figures import WS_PER_KWH, violations
from scheduler.sim.readings import Readings
from scheduler.sim.site import SimSite

_CLOCK_S = 1e-3  #: a guard's clock and ours may round differently


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """A machine was told to run, or to sleep."""

    at_s: float
    group_id: str
    runs: bool
    is_early: bool = False  #: before its minimum time off or on was over
    over_w: float = 0.0  #: if early: how far those that had to run on, trimmed, were above the room


@dataclass
class Watch:
    """A policy, and every switch of a machine as its guard tells it."""

    policy: Policy
    name: str = "barq"
    switches: list[Switch] = field(default_factory=list)
    needed: int = 0  #: how many machines had to sleep before their time at the least
    _seen: dict[str, tuple[MinerReading, ...]] = field(default_factory=dict)
    _room_w: dict[float, float] = field(default_factory=dict)  #: by the time of a decision
    _kinds: dict[str, MachineKind] = field(default_factory=dict)
    _since: dict[tuple[str, str], tuple[float, bool]] = field(default_factory=dict)

    def shed(self, snapshot: Snapshot) -> Decision | None:
        """As the policy does."""
        self._look(snapshot)
        return self._noted(snapshot, self.policy.shed(snapshot))

    def decide(self, snapshot: Snapshot) -> Decision:
        """As the policy does."""
        self._look(snapshot)
        decision = self.policy.decide(snapshot)
        self._noted(snapshot, decision)
        return decision

    def _noted(self, snapshot: Snapshot, decision: Decision | None) -> Decision | None:
        """With what it had for machines: what the limit leaves beside everything that AI may draw."""
        if decision is not None:
            at_s = us_of(snapshot.at) / US
            room_w = decision.limit.limit_w - decision.planned_w + sum(decision.miners_w.values())
            self._room_w[at_s] = min(room_w, self._room_w.get(at_s, math.inf))
        return decision

    def _look(self, snapshot: Snapshot) -> None:
        """Nobody can switch twice between two reports: each wakes the loop."""
        found: list[tuple[float, tuple[str, str], bool]] = []
        for gid, group in snapshot.groups.items():
            if group.spec.machine is None or self._seen.get(gid) is group.miners:
                continue
            self._seen[gid], self._kinds[gid] = group.miners, group.spec.machine
            for miner in group.miners:
                at_s, key = miner.switched_boottime_s, (gid, miner.miner_id)
                if at_s is not None and at_s != self._since.get(key, (None, False))[0]:
                    found.append((at_s, key, miner.target_w > AWAKE_W))
        self.switches += (told := [self._switch(*one) for one in found])
        self.needed += sum(self._needed(at_s) for at_s in {s.at_s for s in told if s.is_early and not s.runs})
        self._since |= {key: (at_s, runs) for at_s, key, runs in found}

    def _switch(self, at_s: float, key: tuple[str, str], runs: bool) -> Switch:
        kind, since = self._kinds[key[0]], self._since.get(key)
        least_s = kind.min_off_s if runs else kind.min_on_s
        is_early = since is not None and at_s - since[0] < least_s - _CLOCK_S
        over_w = sum(self._bound_w(at_s)) - self._room_w.get(at_s, math.inf) if is_early else 0.0
        return Switch(at_s=at_s, group_id=key[0], runs=runs, is_early=is_early, over_w=over_w)

    def _needed(self, at_s: float) -> int:
        """How many had to sleep too soon then at the least, whoever's they are: the largest first."""
        over_w, slept = sum(self._bound_w(at_s)) - self._room_w.get(at_s, math.inf), 0
        for watts in sorted(self._bound_w(at_s), reverse=True):
            slept, over_w = (slept + 1, over_w - watts) if over_w > 0 else (slept, over_w)
        return slept

    def _bound_w(self, at_s: float) -> list[float]:
        """What each that had to run on would have drawn, trimmed as far as it can be."""
        kinds = [(self._kinds[gid], since) for (gid, _), (since, runs) in self._since.items() if runs]
        return [kind.least_w or kind.max_w for kind, since in kinds if at_s - since < kind.min_on_s]


def figures(outcome: RunOutcome, site: SimSite, owners: Sequence[Owner], watch: Watch) -> dict[str, Any]:
    """All of them, and a table by partner."""
    seen, switches = Readings.of(outcome), watch.switches
    over, left_w = violations(seen, outcome.reaction_s), _left_w(seen, site)
    most_w = np.minimum(left_w, sum(o.cap_w or 0 for o in owners))
    used_w = np.minimum(seen.mined_w - sum(p.base_w for p in site.partners), most_w)
    partners = _by_partner(seen, site, owners, switches)
    early = [s for s in switches if s.is_early]
    return {
        "violation_s": over["violation_s"],
        "violation_kwh": over["violation_kwh"],
        "left_kwh": seen.total(most_w) / WS_PER_KWH,
        "used_kwh": seen.total(used_w) / WS_PER_KWH,
        "used_share": seen.total(used_w) / max(1e-9, seen.total(most_w)),
        "worst_weight_error": max(abs(p["weight_error"]) for p in partners.values()),
        "early": len(early),
        "early_needed": watch.needed,
        "early_outside_emergencies": sum(s.runs or s.over_w <= 0 for s in early),
        "cycles_per_machine_day": len(switches) / 2 / _machines(site) / (outcome.window_s / DAY_S),
        "ai_kwh": seen.total(seen.ai_w) / WS_PER_KWH,
        "partners": partners,
    }


def _left_w(seen: Readings, site: SimSite) -> Floats:
    """What AI and the nodes leave of the limit of the instant above what all machines draw asleep."""
    rest_w = sum(p.base_w for p in site.partners)
    left: Floats = np.maximum(0.0, seen.limit_w - seen.ai_w - seen.idle_w - rest_w)
    return left


def _by_partner(
    seen: Readings, site: SimSite, owners: Sequence[Owner], switches: Sequence[Switch]
) -> dict[str, dict[str, float]]:
    counted = Counter(s.group_id for s in switches)
    early = Counter(s.group_id for s in switches if s.is_early)
    mined_kwh = {p.name: seen.total(seen.miners_w[p.name] - p.base_w) / WS_PER_KWH for p in site.partners}
    all_kwh, weights = sum(mined_kwh.values()), sum(o.weight for o in owners)
    days = (seen.ends_s - float(seen.starts_s[0])) / DAY_S
    table = {}
    for owner in owners:
        own_kwh, due = sum(mined_kwh[g] for g in owner.groups), owner.weight / weights
        machines = _machines(site, owner.groups)
        table[owner.partner_id] = {
            "weight": owner.weight,
            "machines": machines,
            "kwh": own_kwh,
            "share": own_kwh / all_kwh if all_kwh else 0.0,
            "due_share": due,
            "weight_error": own_kwh / (all_kwh * due) - 1.0 if all_kwh else 0.0,
            "cycles_per_machine_day": sum(counted[g] for g in owner.groups) / 2 / machines / days,
            "early": sum(early[g] for g in owner.groups),
        }
    return table


def _machines(site: SimSite, groups: Sequence[str] | None = None) -> int:
    """Of these groups, or of all."""
    own: Mapping[str, int] = {
        p.name: round((p.max_w - p.base_w) / p.machine.max_w) for p in site.partners if p.machine
    }
    return sum(own.values()) if groups is None else sum(own[g] for g in groups)

"""One group's machines under one target: who sleeps, who runs, who is trimmed, without ever exceeding it on the way.

The guard of a miner group asks this at each step, with its scheduler and without. Watts are those above rest. The
machines of a group may be of many kinds: each reading may bring its own limits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from scheduler.core.inventory import Wish
from scheduler.core.machines import Machine, MachineKind, MachineState, Trim, landed
from scheduler.core.orders import GroupSpec, MinerReading

AWAKE_W = 0.5  #: who is told less than this sleeps
_EPSILON_W = 1e-6
_BOOT = datetime(1970, 1, 1, tzinfo=UTC)  #: a guard knows the time since boot, and needs no other


def fleet_of(
    kind: MachineKind, miners: Sequence[MinerReading], at: datetime, *, boottime_s: float, prefix: str = ""
) -> tuple[Machine, ...]:
    """The machines as read back, `at` being `boottime_s` of their guard's clock.

    One that was switched before the guard's last boot, or nobody knows when, was switched long ago.
    """
    return tuple(_machine(kind, m, prefix, _switched_at(m, at, boottime_s)) for m in miners)


def most_taken_w(kind: MachineKind, miners: Sequence[MinerReading]) -> int:
    """What all machines take that may be given watts."""
    return sum(_max_w(kind, m) for m in miners if m.obeys and m.wish is not Wish.PAUSED)


def full_w(spec: GroupSpec, miners: Sequence[MinerReading]) -> float:
    """What all machines that are there take above their rest, whoever may be given watts."""
    if spec.machine is None:
        return spec.miners_max_w
    return float(sum(_max_w(spec.machine, m) for m in miners))


def paused_w(spec: GroupSpec, miners: Sequence[MinerReading]) -> float:
    """What the machines of a group would take that people want to pause."""
    paused = [m for m in miners if m.wish is Wish.PAUSED]
    if not paused:
        return 0.0
    if spec.machine is None:
        return spec.miners_max_w * len(paused) / len(miners)
    return float(sum(_max_w(spec.machine, m) for m in paused))


@dataclass(frozen=True, slots=True, kw_only=True)
class WakePace:
    """How fast a group's machines are woken: a big fleet that starts at once would be a blow to its feeder."""

    share: float = 0.05  #: of what all its machines take,
    every_s: float = 10.0  #: so much in each such time; one machine at least


def once_told(fleet: Sequence[Machine], total_w: float, at: datetime) -> tuple[Machine, ...]:
    """The machines as they will be under a total that is on its way: who sleeps by it is not to be had for a while."""
    targets_w = landed(fleet, whole(total_w), at).targets_w
    return tuple(
        replace(m, state=MachineState.ASLEEP, changed_at=at)
        if m.runs and targets_w[m.machine_id] <= m.rest_w
        else m
        for m in fleet
    )


def whole(total_w: float) -> int:
    """Its whole watts; what only the adding of floats lacks to one is no loss."""
    return math.floor(max(0.0, total_w) + _EPSILON_W)


def next_targets_w(
    kind: MachineKind,
    miners: Sequence[MinerReading],
    total_w: float,
    *,
    boottime_s: float,
    pace: WakePace | None = None,
) -> dict[str, float]:
    """What each miner is told now, so that all together never draw more than `total_w`.

    Who is lowered is lowered at once; who is raised waits until the others' draw has made room for it, and with a
    `pace` until it is his turn to wake. Machines are cycled faster than their minimum times only where `total_w` cannot
    be kept otherwise.
    """
    if whole(total_w) == 0:  # all sleep, whatever else holds: that is to be said at once
        return {m.miner_id: 0.0 for m in miners}
    at = _BOOT + timedelta(seconds=boottime_s)
    fleet = fleet_of(kind, miners, at, boottime_s=boottime_s)
    wanted_w = landed(fleet, whole(total_w), at).targets_w
    if pace is not None:
        wanted_w = _paced(pace, kind, miners, wanted_w, boottime_s)
    return _one_way(miners, wanted_w, total_w)


def state_word(kind: MachineKind, miner: MinerReading) -> str:
    """asleep, trimmed or running, as it was told."""
    if miner.target_w <= AWAKE_W:
        return "asleep"
    return "running" if miner.target_w >= _max_w(kind, miner) - AWAKE_W else "trimmed"


def _max_w(kind: MachineKind, miner: MinerReading) -> int:
    return kind.max_w if miner.max_w is None else miner.max_w


def _machine(kind: MachineKind, miner: MinerReading, prefix: str, changed_at: datetime | None) -> Machine:
    state = MachineState.RUNNING if miner.target_w > AWAKE_W else MachineState.ASLEEP
    machine = kind.machine(prefix + miner.miner_id, state, changed_at, joule_per_th=miner.joule_per_th)
    if miner.max_w is not None:
        trim = miner.trim or Trim.NONE
        least_w = None if trim is Trim.NONE else miner.least_w
        machine = replace(machine, nameplate_w=miner.max_w, trim=trim, least_w=least_w)
    if not miner.obeys:
        worst_w = math.ceil(max(miner.target_w, miner.draw_w))
        machine = replace(machine, state=MachineState.STALE, metered_w=worst_w)
    if miner.is_worn or miner.wish is not Wish.INHERIT:
        machine = replace(machine, is_worn=miner.is_worn, wish=miner.wish)
    return machine


def _paced(
    pace: WakePace,
    kind: MachineKind,
    miners: Sequence[MinerReading],
    wanted_w: Mapping[str, int],
    boottime_s: float,
) -> dict[str, int]:
    """Without those who are not to wake yet: the protected first, then the most efficient."""
    woken_w = sum(m.target_w for m in miners if _is_woken_since(m, boottime_s, pace.every_s))
    most_w, paced_w = pace.share * most_taken_w(kind, miners), dict(wanted_w)
    wake = [m for m in miners if m.target_w <= AWAKE_W < wanted_w[m.miner_id]]
    for miner in sorted(wake, key=lambda m: (m.wish is not Wish.PROTECTED, m.joule_per_th, m.miner_id)):
        target_w = wanted_w[miner.miner_id]
        if woken_w and woken_w + target_w > most_w:
            paced_w[miner.miner_id] = 0
        else:
            woken_w += target_w
    return paced_w


def _is_woken_since(miner: MinerReading, boottime_s: float, since_s: float) -> bool:
    switched_s = miner.switched_boottime_s
    return miner.target_w > AWAKE_W and switched_s is not None and 0 <= boottime_s - switched_s < since_s


def _one_way(miners: Sequence[MinerReading], wanted_w: Mapping[str, int], total_w: float) -> dict[str, float]:
    targets_w = {m.miner_id: min(m.target_w, float(wanted_w[m.miner_id])) for m in miners}
    charged_w = {m.miner_id: max(targets_w[m.miner_id], m.draw_w) for m in miners}
    left_w = total_w - sum(charged_w.values())
    for name, target_w in wanted_w.items():
        cost_w = max(0.0, target_w - charged_w[name])
        if target_w > targets_w[name] and cost_w <= left_w + _EPSILON_W:
            targets_w[name] = float(target_w)
            left_w -= cost_w
    return targets_w


def _switched_at(miner: MinerReading, at: datetime, boottime_s: float) -> datetime | None:
    switched_s = miner.switched_boottime_s
    if switched_s is None or switched_s > boottime_s:
        return None
    return at - timedelta(seconds=boottime_s - switched_s)

"""One group's machines under one target: who sleeps, who runs, who is trimmed, without ever exceeding it on the way.

The guard of a miner group asks this at each step, with its scheduler and without. Watts are those above rest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from scheduler.core.machines import Machine, MachineKind, MachineState, landed
from scheduler.core.orders import MinerReading

AWAKE_W = 0.5  #: who is told less than this sleeps
_EPSILON_W = 1e-6
_BOOT = datetime(1970, 1, 1, tzinfo=UTC)  #: a guard knows the time since boot, and needs no other


def fleet_of(
    kind: MachineKind, miners: Sequence[MinerReading], at: datetime, *, boottime_s: float, prefix: str = ""
) -> tuple[Machine, ...]:
    """The machines as read back, `at` being `boottime_s` of their guard's clock.

    One that was switched before the guard's last boot, or nobody knows when, was switched long ago.
    """
    return tuple(
        kind.machine(
            prefix + miner.miner_id,
            MachineState.RUNNING if miner.target_w > AWAKE_W else MachineState.ASLEEP,
            _switched_at(miner, at, boottime_s),
            joule_per_th=miner.joule_per_th,
        )
        for miner in miners
    )


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
    kind: MachineKind, miners: Sequence[MinerReading], total_w: float, *, boottime_s: float
) -> dict[str, float]:
    """What each miner is told now, so that all together never draw more than `total_w`.

    Who is lowered is lowered at once; who is raised waits until the others' draw has made room for it. Machines are
    cycled faster than their minimum times only where `total_w` cannot be kept otherwise.
    """
    at = _BOOT + timedelta(seconds=boottime_s)
    fleet = fleet_of(kind, miners, at, boottime_s=boottime_s)
    wanted_w = landed(fleet, whole(total_w), at).targets_w
    return _one_way(miners, wanted_w, total_w)


def state_word(kind: MachineKind, miner: MinerReading) -> str:
    """asleep, trimmed or running, as it was told."""
    if miner.target_w <= AWAKE_W:
        return "asleep"
    return "running" if miner.target_w >= kind.max_w - AWAKE_W else "trimmed"


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

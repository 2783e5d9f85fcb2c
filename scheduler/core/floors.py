"""The least cap at which a job runs: what its flex tier promises, and what it asks for itself."""

from __future__ import annotations

from functools import lru_cache

from scheduler.core.jobs import Job
from scheduler.core.power import GpuModel

#: Least speed (of uncapped) that each flex tier keeps while it runs. Below the knee (about 0.6 on A100 pre-training)
#: pausing some loses less than capping all, so tiers 3 and 4 stop there too.
SPEED_FLOOR = {0: 1.0, 1: 0.9, 2: 0.75, 3: 0.6, 4: 0.6}
MOVABLE_TIER = 3  #: and above: may be paused, not only slowed
STEP_W = 5.0  #: caps are whole multiples of this


def floor_cap_w(model: GpuModel, job: Job) -> float:
    """The lowest cap at which the job may run: what its tier and its own `min_cap_w` allow."""
    if not job.spec.cap_ok:
        return model.tdp_w
    return capped_floor_w(model, job.spec.flex, job.spec.min_cap_w)


def capped_floor_w(model: GpuModel, tier: int, min_cap_w: float | None) -> float:
    """The same, of one that may be capped."""
    return min(model.tdp_w, max(tier_floor_w(model, tier), min_cap_w or 0.0))


def lean_floor_w(model: GpuModel, tier: int, min_cap_w: float | None) -> float:
    """The lowest cap at which one that may be capped may start or go on rather than wait.

    Who may be paused at will, or for half of the time, loses nothing by a speed below its floor while it would stand
    still: the watts above rest do as much there as at the floor.
    """
    if tier < MOVABLE_TIER:
        return capped_floor_w(model, tier, min_cap_w)
    return min(model.tdp_w, max(model.min_cap_w, min_cap_w or 0.0))


@lru_cache(maxsize=4096)
def knee_cap_w(model: GpuModel, floor_w: float, spared_w: float) -> float:
    """The cap with the most speed per watt, no lower than the floor, where `spared_w` is what standby spares per GPU.

    Below it, stopping some and capping the others higher does more with the same watts. Where nothing can be put to
    standby the base of a node is spent anyway, and that is so only below the floor.
    """
    if spared_w <= 0 or floor_w >= model.tdp_w:
        return floor_w
    steps = int((model.tdp_w - floor_w) // STEP_W)
    caps = (*(floor_w + i * STEP_W for i in range(steps + 1)), model.tdp_w)
    return max(caps, key=lambda cap_w: model.speed(cap_w) / (model.charge_w(cap_w) - model.idle_w + spared_w))


@lru_cache(maxsize=1024)
def tier_floor_w(model: GpuModel, tier: int) -> float:
    """The lowest cap at which a tier keeps its speed, W."""
    steps = int((model.tdp_w - model.min_cap_w) // STEP_W)
    caps = (model.min_cap_w + i * STEP_W for i in range(steps + 1))
    return next((cap for cap in caps if model.speed(cap) >= SPEED_FLOOR[tier]), model.tdp_w)


@lru_cache(maxsize=4096)
def above_floor_w(model: GpuModel, cap_w: float, floor_w: float) -> float:
    """What a GPU under a cap is charged above one at the floor, W."""
    return model.charge_w(cap_w) - model.charge_w(min(cap_w, floor_w))

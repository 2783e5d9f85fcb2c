"""What one GPU may draw for a filler: a program that mines on GPUs while nobody else has them.

Watts of a filler are those above the rest of its GPUs, whole ones; caps are those of the device.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from scheduler.core.machines import MachineKind
from scheduler.core.orders import FillerKind, GpuSlot, GroupSpec
from scheduler.core.power import GpuModel

_EPSILON_W = 1e-6
MIN_OFF_S = 30.0  #: a program that was ended is not started again on that GPU sooner

StatedFiller = Callable[[str], FillerKind | None]
"""The filler of a node by its id, as the site file says now; None = it has none."""


class Range(NamedTuple):
    """What one GPU draws for a filler, above its rest: at its least cap, and at its highest."""

    least_w: int
    most_w: int


def miner_id(group_id: str, gpu_id: str) -> str:
    """How a filler on one GPU is called among all that mines on the site."""
    return f"{group_id}-{gpu_id}" if gpu_id.lower().startswith("gpu") else f"{group_id}-gpu-{gpu_id}"


def range_of(filler: FillerKind, model: GpuModel) -> Range | None:
    """What a filler may make of one GPU, None where its caps leave nothing."""
    least_cap_w = max(model.min_cap_w, filler.least_cap_w)
    most_cap_w = model.tdp_w if filler.most_cap_w is None else min(model.tdp_w, filler.most_cap_w)
    least_w = math.ceil(model.charge_w(least_cap_w) - model.idle_w - _EPSILON_W)
    most_w = math.floor(model.charge_w(most_cap_w) - model.idle_w + _EPSILON_W)
    return Range(least_w, most_w) if 0 < least_w <= most_w and least_cap_w <= most_cap_w else None


def cap_w(model: GpuModel, filler_w: float) -> float:
    """The cap under which a GPU draws no more than that above its rest: in whole watts, or the lowest that it takes."""
    most_w = model.idle_w + filler_w + _EPSILON_W
    cap_w = float(math.floor(min(most_w, model.tdp_w)))
    while cap_w > model.min_cap_w and model.charge_w(cap_w) > most_w:
        cap_w -= 1.0
    return max(cap_w, model.min_cap_w)


def slots(spec: GroupSpec) -> Iterator[tuple[GpuSlot, Range]]:
    """The GPUs of a node that a filler may have, and what it may make of each."""
    filler = spec.filler
    for slot in spec.gpus if filler is not None else ():
        if filler is None or (filler.gpu_ids and slot.gpu_id not in filler.gpu_ids):
            continue
        if (found := range_of(filler, slot.power)) is not None:
            yield slot, found


def machine_of(found: Range) -> MachineKind:
    """A GPU as a machine that mines: it can be trimmed to the watt, down to its least."""
    least_w = found.least_w if found.least_w < found.most_w else None
    return MachineKind(max_w=found.most_w, least_w=least_w, min_on_s=0.0, min_off_s=MIN_OFF_S)


def kind_of(spec: GroupSpec) -> MachineKind | None:
    """What the GPUs that a node's filler may have are like, where they do not say otherwise; None = it has none."""
    return next((machine_of(found) for _, found in slots(spec)), None)


def lowered_w(spec: GroupSpec, filler_w: float, by_w: float) -> float:
    """What is left to the filler of a node that is to give up so much: nothing, where no GPU runs on less."""
    left_w = math.floor(filler_w - by_w + _EPSILON_W)
    least_w = min((found.least_w for _, found in slots(spec)), default=0)
    return float(left_w) if left_w >= max(least_w, 1) else 0.0

"""The GPUs of this machine: which a node of Barq can use, which not and why, and how they count."""

from __future__ import annotations

import math
import re
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from scheduler.core.orders import GpuSlot, GroupKind, GroupSpec
from scheduler.core.power import A100_SXM, GPU_MODELS, PowerLimits
from workers.nvml.aside import Aside
from workers.nvml.device import Device
from workers.nvml.errors import GpuError, GpuForbidden, GpuLost, NoNvml
from workers.nvml.library import Nvml

PATIENCE_S: Final = 20.0  #: a machine of eight GPUs whose driver has to wake up first takes a few seconds

#: Devices whose cap curve was measured, by the name that NVML gives them.
MEASURED: Final = {
    "NVIDIA A100-SXM4-40GB": A100_SXM.name,
    "NVIDIA A100-SXM4-80GB": A100_SXM.name,
}
#: Of the uncapped limit, for a device of which no free one could be measured: more than idle GPUs were seen to draw.
IDLE_SHARE: Final = 0.25
#: A measured idle draw is taken a little higher, and in steps, so that it does not drift from start to start.
IDLE_MARGIN: Final = 1.1
IDLE_STEP_W: Final = 5.0
#: A GPU whose last process has just ended keeps its clocks, and draws half as much again, for seconds.
SETTLE_S: Final = 5.0
_LOOK_AGAIN_S: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalGpu:
    """One GPU as it was found."""

    index: int
    uuid: str
    name: str
    model: str  #: what `gpu_type` in a job file asks for
    limits: PowerLimits
    default_w: float
    enforced_w: float
    draw_source: str
    persists: bool | None
    processes: int
    obstacle: str | None = None  #: why it is left out
    cap_problem: str | None = None  #: why nobody here may cap it


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """All that NVML says of this machine."""

    driver: str = ""
    gpus: tuple[LocalGpu, ...] = ()
    silent: tuple[str, ...] = ()  #: GPUs that are there and do not answer, each with why
    problem: str | None = None  #: why nothing is known at all

    @property
    def usable(self) -> tuple[LocalGpu, ...]:
        """Those that a node offers."""
        return tuple(g for g in self.gpus if g.obstacle is None)

    @property
    def left_out(self) -> tuple[LocalGpu, ...]:
        """Those that it does not; they draw all the same."""
        return tuple(g for g in self.gpus if g.obstacle is not None)

    def spec(self, group_id: str, *, base_w: float) -> GroupSpec:
        """This machine as a node: its usable GPUs, and in its base all that the others may draw."""
        slots = tuple(GpuSlot(gpu_id=g.uuid, model=g.model, limits=g.limits) for g in self.usable)
        others_w = sum(g.enforced_w for g in self.left_out)
        return GroupSpec(group_id=group_id, kind=GroupKind.NODE, base_w=base_w + others_w, gpus=slots)


def local_gpus(
    open_nvml: Callable[[], Nvml] = Nvml, *, patience_s: float = PATIENCE_S, settle_s: float = 0.0
) -> Machine:
    """Find the GPUs of this machine. Raises nothing: what is wrong stands in the answer.

    Free ones are watched for `settle_s`: the lowest draw counts, for they may have been at work just now.
    """
    aside = Aside("NVML")
    try:
        return aside.ask(lambda: _look(open_nvml, settle_s), patience_s=patience_s + settle_s)
    except GpuError as error:
        return Machine(problem=str(error))
    except Exception as error:  # noqa: BLE001 - whatever a strange device or library does, a site can be simulated
        return Machine(problem=f"{type(error).__name__}: {error}")
    finally:
        aside.close()


def _look(open_nvml: Callable[[], Nvml], settle_s: float) -> Machine:
    nvml = open_nvml()
    try:
        return _machine(nvml, settle_s)
    finally:
        nvml.close()


def _machine(nvml: Nvml, settle_s: float) -> Machine:
    found: list[LocalGpu] = []
    silent: list[str] = []
    free: list[_Free] = []
    for index, handle in enumerate(nvml.handles()):
        try:
            if isinstance(handle, GpuError):
                raise handle
            device = Device(nvml, handle)
            gpu = _inspect(device, index)
            if not gpu.processes:
                free.append(_Free(name=gpu.name, device=device, lowest_w=device.draw_w()))
        except GpuError as error:
            silent.append(f"GPU {index}: {error}")
            continue
        found.append(gpu)
    _watch(free, settle_s)
    gpus = _of_one_kind([_at_rest(g, [f.lowest_w for f in free if f.name == g.name]) for g in found])
    return Machine(driver=nvml.driver(), gpus=tuple(gpus), silent=tuple(silent))


@dataclass(slots=True, kw_only=True)
class _Free:
    """A GPU without a process, and the lowest draw that it was seen at."""

    name: str
    device: Device
    lowest_w: float


def _watch(free: Sequence[_Free], seconds: float) -> None:
    """Let them come to rest. What a reading does not say in between, the others do."""
    until_s = time.monotonic() + seconds
    while free and time.monotonic() < until_s:
        time.sleep(_LOOK_AGAIN_S)
        for gpu in free:
            with suppress(GpuError):
                gpu.lowest_w = min(gpu.lowest_w, gpu.device.draw_w())


def _inspect(device: Device, index: int) -> LocalGpu:
    """One GPU as it is; its idle draw is still to be found."""
    nature, enforced_w, processes = device.nature, device.enforced_w(), len(device.processes())
    cap_problem = _cap_problem(device)
    lowest_w, highest_w = (enforced_w, enforced_w) if cap_problem else (nature.min_w, nature.max_w)
    return LocalGpu(
        index=index,
        uuid=nature.uuid,
        name=nature.name,
        model=_model(nature.name, nature.min_w, nature.max_w),
        limits=PowerLimits(min_w=lowest_w, max_w=highest_w, idle_w=lowest_w),
        default_w=nature.default_w,
        enforced_w=enforced_w,
        draw_source=device.draw_source,
        persists=device.persists(),
        processes=processes,
        obstacle=device.obstacle(),
        cap_problem=cap_problem,
    )


def _cap_problem(device: Device) -> str | None:
    try:
        device.check_permission()
    except GpuForbidden:
        return "only root may set its power limit"
    except (GpuLost, NoNvml):
        raise
    except GpuError as error:
        return str(error)
    if device.nature.min_w >= device.nature.max_w:
        return "it takes one power limit only"
    return None


def _at_rest(gpu: LocalGpu, idle_w: Sequence[float]) -> LocalGpu:
    """The GPU with the idle draw of its kind: the highest of the free ones, never above its lowest cap."""
    steps = math.ceil(max(idle_w) * IDLE_MARGIN / IDLE_STEP_W) if idle_w else 0
    resting_w = steps * IDLE_STEP_W if steps else IDLE_SHARE * gpu.limits.max_w
    return replace(gpu, limits=replace(gpu.limits, idle_w=min(resting_w, gpu.limits.min_w)))


def _of_one_kind(gpus: Sequence[LocalGpu]) -> list[LocalGpu]:
    """A node counts and places its GPUs alike, so only the kind that together may draw most is used."""
    total_w: dict[tuple[str, float], float] = defaultdict(float)
    for gpu in gpus:
        if gpu.obstacle is None:
            total_w[_kind(gpu)] += gpu.limits.max_w
    chosen = max(total_w, key=lambda kind: total_w[kind], default=None)
    return [
        replace(g, obstacle=f"the node's GPUs are {chosen[0]}; one node offers one kind")
        if chosen and g.obstacle is None and _kind(g) != chosen
        else g
        for g in gpus
    ]


def _kind(gpu: LocalGpu) -> tuple[str, float]:
    return gpu.name, gpu.limits.max_w


def _model(name: str, min_w: float, max_w: float) -> str:
    """A measured model within the limits that it was measured in, else NVML's name as a job file can write it."""
    measured = GPU_MODELS.get(MEASURED.get(name, ""))
    if measured is not None and (measured.min_cap_w, measured.tdp_w) == (min_w, max_w):
        return measured.name
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower().removeprefix("nvidia").removeprefix(" geforce")).strip(
        "-"
    )
    return plain[:32].strip("-") or "gpu"

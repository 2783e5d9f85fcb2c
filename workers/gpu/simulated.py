"""Simulated GPUs: devices that draw what the work given to them would draw on real ones.

The physics of one GPU, in W, with the figures of its `GpuModel`:

    no process holds it                          idle_w
    processes hold it and compute nothing        idle_w + context_w
    processes hold it and compute                busy_w(cap), never more than charge_w(cap)

Whether processes compute is *observed*, from the CPU time that their whole tree used over the last full window: at
least `busy_share` of one core. What a job claims counts for nothing; processes that are all stopped compute nothing;
until a first window has passed, any process counts as computing. The draw follows each change as a first-order lag
with time constant `lag_s`. Enforced caps are kept in a file, so that a restarted guard reads them back as from a
device; a new device is uncapped (TDP).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from barq.contract import write_atomically
from scheduler.core.orders import GpuReading, GpuSlot
from scheduler.core.power import GpuModel
from workers.clock import boottime_s
from workers.processes import ProcessTree
from workers.wire import WireError, decode, encode

_CAP_BYTES = 64  #: more than one cap takes


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuPhysics:
    """How fast and how sensitive simulated GPUs are."""

    window_s: float = 0.4
    busy_share: float = 0.05  #: of one core
    lag_s: float = 0.1


class SimulatedGpus:
    """The GPUs of one simulated node."""

    def __init__(
        self,
        slots: Sequence[GpuSlot],
        state_path: Path,
        *,
        physics: GpuPhysics = GpuPhysics(),
        clock: Callable[[], float] = boottime_s,
    ) -> None:
        self._state_path = state_path
        self._physics = physics
        self._clock = clock
        self._activities: list[_Activity] = []
        self._length = 0
        caps_w = _read_caps(state_path)
        self._gpus = {s.gpu_id: _Gpu(s, s.power, caps_w.get(s.gpu_id)) for s in slots}

    def slots(self) -> tuple[GpuSlot, ...]:
        """The GPUs that there are."""
        return tuple(gpu.slot for gpu in self._gpus.values())

    def readings(self) -> tuple[GpuReading, ...]:
        """Draw, enforced cap and processes of each GPU now."""
        self._activities = [a for a in self._activities if not a.tree.is_gone]
        for activity in self._activities:
            activity.look(self._physics)
        return tuple(self._read(gpu) for gpu in self._gpus.values())

    def set_cap(self, gpu_id: str, cap_w: float) -> float:
        """Cap a GPU and return the cap that it enforces. Raises KeyError, OSError."""
        gpu = self._gpus[gpu_id]
        self._settle(gpu)
        gpu.cap_w = min(max(cap_w, gpu.model.min_cap_w), gpu.model.tdp_w)
        caps_w = {known.slot.gpu_id: known.cap_w for known in self._gpus.values()}
        self._remember(encode(caps_w))
        return gpu.cap_w

    def _remember(self, caps: bytes) -> None:
        """Replace what the file says in one write of a fixed length: a device is quicker than a new file."""
        fixed = caps.ljust((len(self._gpus) + 1) * _CAP_BYTES)
        if len(fixed) != self._length:
            write_atomically(self._state_path, fixed, durable=False)
            self._length = len(fixed)
            return
        with self._state_path.open("r+b", buffering=0) as file:
            file.write(fixed)

    def attach(self, gpu_ids: Sequence[str], tree: ProcessTree) -> None:
        """Learn that these processes were given these GPUs."""
        self._activities.append(_Activity(frozenset(gpu_ids), tree))

    def _read(self, gpu: _Gpu) -> GpuReading:
        self._settle(gpu)
        holders = [a.tree for a in self._activities if gpu.slot.gpu_id in a.gpu_ids]
        processes = sum(len(tree.members) for tree in holders)
        return GpuReading(gpu_id=gpu.slot.gpu_id, draw_w=gpu.draw_w, cap_w=gpu.cap_w, processes=processes)

    def _settle(self, gpu: _Gpu) -> None:
        """Let the draw follow until now what it was heading for, then see where it heads from here."""
        now_s = self._clock()
        if gpu.settled_at_s is None:
            gpu.draw_w = self._heading_w(gpu)
        else:
            share = math.exp(-(now_s - gpu.settled_at_s) / self._physics.lag_s)
            gpu.draw_w = gpu.heading_w + (gpu.draw_w - gpu.heading_w) * share
        gpu.settled_at_s = now_s
        gpu.heading_w = self._heading_w(gpu)

    def _heading_w(self, gpu: _Gpu) -> float:
        holders = [a for a in self._activities if gpu.slot.gpu_id in a.gpu_ids and a.tree.members]
        if not holders:
            return gpu.model.idle_w
        if any(a.is_computing for a in holders):
            return min(gpu.model.busy_w(gpu.cap_w), gpu.model.charge_w(gpu.cap_w))
        return min(gpu.model.idle_w + gpu.model.context_w, gpu.model.charge_w(gpu.cap_w))


class _Gpu:
    """One device."""

    def __init__(self, slot: GpuSlot, model: GpuModel, cap_w: float | None) -> None:
        self.slot = slot
        self.model = model
        self.cap_w = model.tdp_w if cap_w is None else cap_w
        self.draw_w = model.idle_w
        self.heading_w = model.idle_w
        self.settled_at_s: float | None = None


class _Activity:
    """Whether one tree of processes computes."""

    def __init__(self, gpu_ids: frozenset[str], tree: ProcessTree) -> None:
        self.gpu_ids = gpu_ids
        self.tree = tree
        self.is_computing = True
        self._since_s: float | None = None
        self._spent_s = 0.0

    def look(self, physics: GpuPhysics) -> None:
        """Judge the last window once it is full."""
        now_s, spent_s = self.tree.sampled_at_s, self.tree.spent_s
        if now_s == float("-inf"):
            return  # nobody has looked at it yet
        if self._since_s is None:
            self._since_s, self._spent_s = now_s, spent_s
        elif now_s - self._since_s >= physics.window_s:
            self.is_computing = spent_s - self._spent_s >= physics.busy_share * (now_s - self._since_s)
            self._since_s, self._spent_s = now_s, spent_s
        if self.tree.members and self.tree.is_stopped:
            self.is_computing = False


def _read_caps(path: Path) -> dict[str, float]:
    """The caps that were enforced last; none for devices that are new, or whose memory is damaged."""
    try:
        return decode(dict[str, float], path.read_bytes())
    except (FileNotFoundError, WireError):
        return {}

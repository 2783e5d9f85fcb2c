"""What a guard needs of the GPUs of its node. Each kind of device is one driver; all pass one contract suite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from scheduler.core.orders import GpuReading, GpuSlot
from workers.processes import ProcessTree


class GpuDriver(Protocol):
    """The GPUs of one node. Caps survive the guard, as they do in the device."""

    def slots(self) -> tuple[GpuSlot, ...]:
        """The GPUs that there are."""
        ...

    def readings(self) -> tuple[GpuReading, ...]:
        """Draw, enforced cap and processes of each GPU now; a GPU that does not answer is left out."""
        ...

    def set_cap(self, gpu_id: str, cap_w: float) -> float:
        """Cap a GPU and return the cap that it enforces from now on, as read back, W.

        What lies outside of the device's range becomes the nearest that it takes.
        Raises KeyError for an unknown GPU, OSError if the device does not obey.
        """
        ...

    def attach(self, gpu_ids: Sequence[str], tree: ProcessTree) -> None:
        """Learn that these processes were given these GPUs. A driver that sees processes by itself ignores it."""
        ...

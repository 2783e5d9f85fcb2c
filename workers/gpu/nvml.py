"""NVIDIA GPUs through NVML.

A call to the driver may block for seconds, or for good when a GPU falls off the bus. Each GPU is therefore asked from
a thread of its own, with patience: the guard goes on. A GPU that does not answer is a value, a reading that is `lost`:
busy, at the last cap that it was read back to enforce. It is looked for again every few seconds.

Caps outlive this process as long as the driver stays loaded, so the persistence mode is turned on where allowed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

from scheduler.core.orders import GpuReading, GpuSensors, GpuSlot
from workers.nvml.aside import Aside
from workers.nvml.device import Device
from workers.nvml.errors import GpuError, GpuLost, GpuUnsupported, NoNvml
from workers.nvml.library import Nvml
from workers.processes import ProcessTree

log = logging.getLogger("barq.guard")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a GPU is waited for, s."""

    opening_s: float = 10.0  #: at first: a driver without persistence mode has to wake up
    reading_s: float = 0.4
    setting_s: float = 1.0
    stale_s: float = 2.0  #: a last reading stands this long for one that did not come in time
    return_s: float = 5.0  #: a lost GPU is looked for this often
    sensors_s: float = 1.0  #: heat, clocks and energy change slowly


class NvmlGpus:
    """The GPUs of one node, by UUID. The library is loaded when they are first looked at."""

    def __init__(
        self,
        slots: Sequence[GpuSlot],
        *,
        open_nvml: Callable[[], Nvml] = Nvml,
        patience: Patience = Patience(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patience = patience
        self._is_new = True
        self._gpus = {slot.gpu_id: _Gpu(slot, open_nvml, patience, clock) for slot in slots}

    def slots(self) -> tuple[GpuSlot, ...]:
        """The GPUs that there are."""
        return tuple(gpu.slot for gpu in self._gpus.values())

    def readings(self) -> tuple[GpuReading, ...]:
        """Draw, enforced cap and processes of each GPU now; all are asked at once, and none is left out."""
        patience_s = self._patience.opening_s if self._is_new else self._patience.reading_s
        self._is_new = False
        give_up_s = time.monotonic() + patience_s
        asked = [(gpu, gpu.begin()) for gpu in self._gpus.values()]
        return tuple(gpu.outcome(begun, give_up_s - time.monotonic()) for gpu, begun in asked)

    def set_cap(self, gpu_id: str, cap_w: float) -> float:
        """Cap a GPU and return the cap that it enforces, as read back. Raises KeyError, GpuError."""
        return self._gpus[gpu_id].set_cap(cap_w)

    def attach(self, gpu_ids: Sequence[str], tree: ProcessTree) -> None:
        """Nothing: the driver knows who computes."""

    def close(self) -> None:
        """Let the threads end."""
        for gpu in self._gpus.values():
            gpu.aside.close()


class _Gpu:
    """One device, and what was last known of it. Methods that end in `_there` run in its own thread."""

    def __init__(
        self,
        slot: GpuSlot,
        open_nvml: Callable[[], Nvml],
        patience: Patience,
        clock: Callable[[], float],
    ) -> None:
        self.slot = slot
        self.aside = Aside(f"gpu {slot.gpu_id}")
        self._open_nvml = open_nvml
        self._patience = patience
        self._clock = clock
        self._nvml: Nvml | None = None
        self._device: Device | None = None
        self._sensors: GpuSensors | None = None
        self._sensed_at_s = float("-inf")
        self._last: GpuReading | None = None
        self._read_at_s = float("-inf")
        self._cap_w = slot.power.tdp_w  #: as last read back
        self._begun: Future[GpuReading] | None = None
        self._is_late = False
        self._lost_because: str | None = None
        self._look_again_at_s = float("-inf")

    def begin(self) -> Future[GpuReading] | None:
        """Ask for a reading; None if it is of no use to ask now."""
        if self._begun is None and self._clock() >= self._look_again_at_s and not self.aside.is_stuck:
            self._begun, self._is_late = self.aside.begin(self._read_there), False
        return self._begun

    def outcome(self, begun: Future[GpuReading] | None, patience_s: float) -> GpuReading:
        """The reading, or what stands for it."""
        if begun is None:
            return self._stand_in(self._lost_because or "its driver hangs")
        try:
            reading = self.aside.outcome(begun, patience_s=0.0 if self._is_late else patience_s)
        except (GpuLost, NoNvml) as error:
            self._read_at_s = float("-inf")  # no doubt, so nothing stands in
            return self._stand_in(str(error))
        except Exception as error:  # noqa: BLE001 - whatever the library does, the guard goes on
            return self._stand_in(str(error) or type(error).__name__)
        finally:
            self._is_late = not begun.done()  # one that comes late is taken then, and not waited for again
            self._begun = begun if self._is_late else None
        return self._found(reading)

    def set_cap(self, cap_w: float) -> float:
        """Set and read back. Raises GpuError.

        One that does not come back may yet take effect: until the next reading the higher of both counts.
        """
        if self._lost_because is not None:
            raise GpuLost(f"it is lost: {self._lost_because}")
        self._cap_w = max(self._cap_w, min(cap_w, self.slot.power.tdp_w))
        self._last = None if self._last is None else replace(self._last, cap_w=self._cap_w)
        self._begun = None if self._begun is None or self._begun.done() else self._begun
        try:
            self._cap_w = self.aside.ask(lambda: self._cap_there(cap_w), patience_s=self._patience.setting_s)
        except GpuError:
            raise
        except Exception as error:
            raise GpuError(f"{type(error).__name__}: {error}") from error
        self._last = None if self._last is None else replace(self._last, cap_w=self._cap_w)
        return self._cap_w

    # -- on this side --------------------------------------------------------------------------------------------

    def _found(self, reading: GpuReading) -> GpuReading:
        if self._lost_because is not None:
            log.warning("GPU %s is back", self.slot.gpu_id)
        self._lost_because, self._look_again_at_s = None, float("-inf")
        self._last, self._read_at_s, self._cap_w = reading, self._clock(), reading.cap_w
        return reading

    def _stand_in(self, why: str) -> GpuReading:
        """The last reading while it is fresh; after that the GPU is lost."""
        now_s = self._clock()
        if self._last is not None and now_s - self._read_at_s <= self._patience.stale_s:
            return self._last
        if self._lost_because is None:
            log.warning("GPU %s is lost: %s", self.slot.gpu_id, why)
        if now_s >= self._look_again_at_s:
            self._look_again_at_s = now_s + self._patience.return_s
        self._lost_because = why
        return GpuReading(
            gpu_id=self.slot.gpu_id, draw_w=self._cap_w, cap_w=self._cap_w, processes=1, lost=True
        )

    # -- in the thread -------------------------------------------------------------------------------------------

    def _read_there(self) -> GpuReading:
        try:
            device = self._device_there()
            cap_w, processes = device.enforced_w(), device.processes()
            known = None if self._sensors is None else self._sensors.pids
            if (
                known != tuple(sorted(processes))
                or self._clock() - self._sensed_at_s >= self._patience.sensors_s
            ):
                self._sensors, self._sensed_at_s = device.sensors(processes), self._clock()
        except (GpuLost, NoNvml):
            self._device = None  # its handle may be worth nothing when it comes back
            raise
        return GpuReading(
            gpu_id=self.slot.gpu_id,
            draw_w=_draw_w(device, cap_w),
            cap_w=cap_w,
            processes=len(processes),
            sensors=self._sensors,
        )

    def _cap_there(self, cap_w: float) -> float:
        device = self._device_there()
        limits = self.slot.limits
        if limits is not None and not limits.may_cap:
            return device.enforced_w()
        return device.set_limit_w(cap_w)

    def _device_there(self) -> Device:
        if self._device is None:
            self._nvml = self._nvml or self._open_nvml()
            self._device = Device.of(self._nvml, self.slot.gpu_id)
            _persist(self._device, self.slot.gpu_id)
        return self._device


def _draw_w(device: Device, cap_w: float) -> float:
    """What it draws; one that does not tell counts as drawing all that it may."""
    try:
        return device.draw_w()
    except GpuUnsupported:
        return cap_w


def _persist(device: Device, gpu_id: str) -> None:
    try:
        if device.persists() is False:
            device.persist()
    except GpuError as error:
        log.warning("GPU %s: its caps are lost when its driver unloads: %s", gpu_id, error)

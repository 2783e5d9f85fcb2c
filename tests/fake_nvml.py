"""NVIDIA's library without a GPU: stands below the real `pynvml`, where the driver's own `libnvidia-ml.so.1` would be.

So pynvml's constants, errors, structures and conversions are the real ones. The fake answers the C functions: it fills
in what it is given by reference and returns NVML's codes. A fault is one code for one function of one GPU, or a hang.
"""

from __future__ import annotations

import ctypes
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from typing import Any

import pynvml

from workers.nvml.recording import FIELDS, QUESTIONS, WITH_PARAMETER

OLD = frozenset(
    {"nvmlDeviceGetFieldValues", "nvmlDeviceGetArchitecture"}
)  #: what an old driver does not know


@dataclass
class FakeGpu:
    """One GPU: what it would say of itself, in NVML's units."""

    uuid: str = "GPU-00000000-0000-0000-0000-000000000000"
    name: str = "NVIDIA A100-SXM4-80GB"
    architecture: int = pynvml.NVML_DEVICE_ARCH_AMPERE
    min_mw: int = 100_000
    max_mw: int = 400_000
    default_mw: int = 400_000
    limit_mw: int = 400_000  #: as requested
    out_of_band_mw: int = 1_000_000  #: somebody else's limit, from outside of the machine
    instant_mw: int = 60_000
    module_mw: int = 0  #: of the whole module, 0 = there is no such sensor
    average_mw: int = 65_000
    energy_mj: int = 7_200_000
    temperature_c: int = 41
    sm_clock_mhz: int = 210
    memory_clock_mhz: int = 1593
    mig: tuple[int, int] = (0, 0)
    virtualization: int = pynvml.NVML_GPU_VIRTUALIZATION_MODE_NONE
    persistence: int = 0
    processes: Callable[[], dict[int, int]] = dict  #: PID -> bytes of GPU memory
    faults: dict[str, int] = field(default_factory=dict)  #: function (or "*") -> NVML code
    hangs: threading.Event | None = None  #: every call waits for it

    @property
    def enforced_mw(self) -> int:
        """The lowest of all limits."""
        return min(self.limit_mw, self.out_of_band_mw)


class FakeLibrary:
    """What `ctypes.CDLL` would have loaded."""

    def __init__(self, *gpus: FakeGpu, driver: str = "550.54.15", is_root: bool = True) -> None:
        self.gpus = list(gpus)
        self.driver = driver
        self.is_root = is_root
        self.missing: frozenset[str] = frozenset()  #: functions that this driver does not have
        self.faults: dict[str, int] = {}  #: of functions that are no GPU's
        self.calls: list[str] = []
        self.opened = 0

    def __getattr__(self, name: str) -> Callable[..., int]:
        """A C function. Raises AttributeError for one that is not exported, as ctypes does."""
        function = getattr(type(self), f"_{name}", None)
        if function is None or name in self.missing or name.removesuffix("_v2") in self.missing:
            raise AttributeError(name)

        def called(*arguments: Any) -> int:
            self.calls.append(name)
            return self.faults.get(name) or function(self, *arguments) or 0

        return called

    # -- the library ---------------------------------------------------------------------------------------------

    def _nvmlInitWithFlags(self, flags: Any) -> None:  # noqa: N802
        self.opened += 1

    def _nvmlShutdown(self) -> None:  # noqa: N802
        self.opened -= 1

    def _nvmlErrorString(self, code: int) -> bytes:  # noqa: N802
        return b"an error without a name"

    def _nvmlSystemGetDriverVersion(self, text: Any, size: Any) -> None:  # noqa: N802
        text.value = self.driver.encode()

    def _nvmlDeviceGetCount_v2(self, count: Any) -> None:  # noqa: N802
        count._obj.value = len(self.gpus)

    def _nvmlDeviceGetHandleByIndex_v2(self, index: Any, handle: Any) -> int:  # noqa: N802
        return self._handle(index.value, handle, "nvmlDeviceGetHandleByIndex")

    def _nvmlDeviceGetHandleByUUID(self, uuid: Any, handle: Any) -> int:  # noqa: N802
        found = [i for i, gpu in enumerate(self.gpus) if gpu.uuid.encode() == uuid.value]
        return (
            self._handle(found[0], handle, "nvmlDeviceGetHandleByUUID")
            if found
            else pynvml.NVML_ERROR_NOT_FOUND
        )

    def _handle(self, index: int, handle: Any, function: str) -> int:
        address = ctypes.cast(ctypes.pointer(handle._obj), ctypes.POINTER(ctypes.c_void_p))
        address.contents.value = index + 1
        gpu = self.gpus[index]
        if gpu.hangs is not None:
            gpu.hangs.wait(60)
        return gpu.faults.get(function) or gpu.faults.get("*", 0)

    # -- one GPU -------------------------------------------------------------------------------------------------

    def _about(self, handle: Any, function: str) -> tuple[FakeGpu, int]:
        gpu = self.gpus[(ctypes.cast(handle, ctypes.c_void_p).value or 0) - 1]
        if gpu.hangs is not None:
            gpu.hangs.wait(60)
        return gpu, gpu.faults.get(function) or gpu.faults.get("*", 0)

    def _tell(self, handle: Any, function: str, out: Any, value: Callable[[FakeGpu], int]) -> int:
        gpu, code = self._about(handle, function)
        if not code:
            out._obj.value = value(gpu)
        return code

    def _nvmlDeviceGetUUID(self, handle: Any, text: Any, size: Any) -> int:  # noqa: N802
        gpu, code = self._about(handle, "nvmlDeviceGetUUID")
        text.value = gpu.uuid.encode()
        return code

    def _nvmlDeviceGetName(self, handle: Any, text: Any, size: Any) -> int:  # noqa: N802
        gpu, code = self._about(handle, "nvmlDeviceGetName")
        text.value = gpu.name.encode()
        return code

    def _nvmlDeviceGetArchitecture(self, handle: Any, out: Any) -> int:  # noqa: N802
        return self._tell(handle, "nvmlDeviceGetArchitecture", out, lambda g: g.architecture)

    def _nvmlDeviceGetPowerUsage(self, handle: Any, out: Any) -> int:  # noqa: N802
        return self._tell(handle, "nvmlDeviceGetPowerUsage", out, lambda g: g.average_mw)

    def _nvmlDeviceGetTotalEnergyConsumption(self, handle: Any, out: Any) -> int:  # noqa: N802
        return self._tell(handle, "nvmlDeviceGetTotalEnergyConsumption", out, lambda g: g.energy_mj)

    def _nvmlDeviceGetTemperature(self, handle: Any, sensor: Any, out: Any) -> int:  # noqa: N802
        return self._tell(handle, "nvmlDeviceGetTemperature", out, lambda g: g.temperature_c)

    def _nvmlDeviceGetClockInfo(self, handle: Any, kind: Any, out: Any) -> int:  # noqa: N802
        is_sm = kind.value == pynvml.NVML_CLOCK_SM
        return self._tell(
            handle, "nvmlDeviceGetClockInfo", out, lambda g: g.sm_clock_mhz if is_sm else g.memory_clock_mhz
        )

    def _nvmlDeviceGetEnforcedPowerLimit(self, handle: Any, out: Any) -> int:  # noqa: N802
        return self._tell(handle, "nvmlDeviceGetEnforcedPowerLimit", out, lambda g: g.enforced_mw)

    def _nvmlDeviceGetPowerManagementLimit(self, handle: Any, out: Any) -> int:  # noqa: N802
        return self._tell(handle, "nvmlDeviceGetPowerManagementLimit", out, lambda g: g.limit_mw)

    def _nvmlDeviceGetPowerManagementDefaultLimit(self, handle: Any, out: Any) -> int:  # noqa: N802
        return self._tell(handle, "nvmlDeviceGetPowerManagementDefaultLimit", out, lambda g: g.default_mw)

    def _nvmlDeviceGetPersistenceMode(self, handle: Any, out: Any) -> int:  # noqa: N802
        return self._tell(handle, "nvmlDeviceGetPersistenceMode", out, lambda g: g.persistence)

    def _nvmlDeviceGetVirtualizationMode(self, handle: Any, out: Any) -> int:  # noqa: N802
        return self._tell(handle, "nvmlDeviceGetVirtualizationMode", out, lambda g: g.virtualization)

    def _nvmlDeviceGetPowerManagementLimitConstraints(self, handle: Any, low: Any, high: Any) -> int:  # noqa: N802
        name = "nvmlDeviceGetPowerManagementLimitConstraints"
        return self._tell(handle, name, low, lambda g: g.min_mw) or self._tell(
            handle, name, high, lambda g: g.max_mw
        )

    def _nvmlDeviceGetMigMode(self, handle: Any, now: Any, pending: Any) -> int:  # noqa: N802
        name = "nvmlDeviceGetMigMode"
        return self._tell(handle, name, now, lambda g: g.mig[0]) or self._tell(
            handle, name, pending, lambda g: g.mig[1]
        )

    def _nvmlDeviceSetPowerManagementLimit(self, handle: Any, limit: Any) -> int:  # noqa: N802
        gpu, code = self._about(handle, "nvmlDeviceSetPowerManagementLimit")
        if code or not self.is_root:
            return code or pynvml.NVML_ERROR_NO_PERMISSION
        if not gpu.min_mw <= limit.value <= gpu.max_mw:
            return int(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        gpu.limit_mw = limit.value
        return 0

    def _nvmlDeviceSetPersistenceMode(self, handle: Any, mode: Any) -> int:  # noqa: N802
        gpu, code = self._about(handle, "nvmlDeviceSetPersistenceMode")
        if code or not self.is_root:
            return code or pynvml.NVML_ERROR_NO_PERMISSION
        gpu.persistence = mode.value
        return 0

    def _nvmlDeviceGetComputeRunningProcesses_v3(self, handle: Any, count: Any, out: Any) -> int:  # noqa: N802
        gpu, code = self._about(handle, "nvmlDeviceGetComputeRunningProcesses")
        running = list(gpu.processes().items())
        room, count._obj.value = count._obj.value, len(running)
        if code or not running:
            return code
        if out is None or room < len(running):
            return int(pynvml.NVML_ERROR_INSUFFICIENT_SIZE)
        for place, (pid, used) in zip(out, running, strict=False):
            place.pid, place.usedGpuMemory = pid, used
        return 0

    def _nvmlDeviceGetFieldValues(self, handle: Any, count: Any, out: Any) -> int:  # noqa: N802
        gpu, code = self._about(handle, "nvmlDeviceGetFieldValues")
        for value in out._obj:
            sensors = {
                pynvml.NVML_POWER_SCOPE_GPU: gpu.instant_mw,
                pynvml.NVML_POWER_SCOPE_MODULE: gpu.module_mw,
            }
            drawn = sensors.get(value.scopeId, 0) if value.fieldId == pynvml.NVML_FI_DEV_POWER_INSTANT else 0
            value.nvmlReturn = pynvml.NVML_SUCCESS if drawn else pynvml.NVML_ERROR_NOT_SUPPORTED
            value.valueType, value.value.uiVal = pynvml.NVML_VALUE_TYPE_UNSIGNED_INT, drawn
        return code


def gpus(number: int, **said: Any) -> list[FakeGpu]:
    """Like GPUs, told apart by their UUIDs."""
    return [FakeGpu(uuid=f"GPU-00000000-0000-0000-0000-{i:012d}", **said) for i in range(number)]


def replayed(recording: str) -> FakeLibrary:
    """A machine that answers, and fails, as a recorded one did (`barq doctor --record`)."""
    recorded = json.loads(recording)
    return FakeLibrary(
        *(
            replace(_replayed(answers), uuid=gpu.uuid)
            for gpu, answers in zip(gpus(99), recorded["gpus"], strict=False)
        ),
        driver=recorded["driver"],
    )


def _replayed(answers: dict[str, Any]) -> FakeGpu:
    failed = {name: said["error"] for name, said in answers.items() if isinstance(said, dict)}
    functions = QUESTIONS | {name: function for name, (function, _) in WITH_PARAMETER.items()}
    plain = {f.name for f in fields(FakeGpu)} & set(answers) - set(failed) - {"processes"}
    said = {name: answers[name] for name in plain} | dict.fromkeys(FIELDS.keys() & failed.keys(), 0)
    if "constraints_mw" not in failed:
        said["min_mw"], said["max_mw"] = answers["constraints_mw"]
    said["mig"] = tuple(said.get("mig", (0, 0)))
    return FakeGpu(
        **said,
        out_of_band_mw=answers["enforced_mw"],
        processes=lambda: dict.fromkeys(range(1, 1 + answers["processes"]), 0),
        faults={
            functions[n]: int(text.split()[-1].rstrip(")")) for n, text in failed.items() if n in functions
        },
    )


@contextmanager
def installed(library: FakeLibrary | None) -> Iterator[None]:
    """The fake in the place of the driver's library; None: a machine without one."""
    before = pynvml.nvmlLib, dict(pynvml._nvmlGetFunctionPointer_cache)
    pynvml._nvmlGetFunctionPointer_cache.clear()
    pynvml.nvmlLib = library
    try:
        yield
    finally:
        pynvml.nvmlLib = before[0]
        pynvml._nvmlGetFunctionPointer_cache.clear()
        pynvml._nvmlGetFunctionPointer_cache.update(before[1])

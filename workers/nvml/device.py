"""One GPU through NVML: what it is, what it draws, and the limit that it enforces.

Which draw. NVML has three readings, and they differ by up to a second of delay:

    NVML_FI_DEV_POWER_INSTANT   the sensor's newest sample (every 20-100 ms): what Barq takes where it is
    NVML_FI_DEV_POWER_AVERAGE   the mean of the last second
    nvmlDeviceGetPowerUsage     the mean of the last second from Ampere on, but the newest sample on GA100 and before

A guard waits for watts to fall before it lets others rise, so it wants the newest sample: an average still shows a
second of work that has ended. Without that field (an older driver or architecture) it takes nvmlDeviceGetPowerUsage,
and says which of both meanings that has. On Grace Hopper some drivers know the module's sensor only; it includes the
CPU, so it errs on the safe side. A reading of 0 W is no reading: a GPU that is powered draws more.
For energy over time the device's own counter is right, never a sum of readings.

A limit that was set is worth what is *read back as enforced*: other hands (BMC, another program) may hold it lower,
and a driver may round it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from scheduler.core.orders import GpuSensors
from workers.nvml.errors import GpuUnsupported
from workers.nvml.library import Nvml

T = TypeVar("T")

MW_PER_W: Final = 1000.0
MJ_PER_WH: Final = 3.6e6  #: millijoules
SETTLED_W: Final = 0.5
SETTLE_S: Final = (
    0.3  #: a new limit is enforced within this; hundreds of ms were seen for the draw, not the limit
)
_LOOK_AGAIN_S: Final = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Nature:
    """What does not change while the driver is loaded."""

    uuid: str
    name: str
    architecture: int  #: NVML_DEVICE_ARCH_*
    min_w: float  #: the range of limits that it takes; all three alike where it takes none
    max_w: float
    default_w: float


class Device:
    """One GPU. Every method raises GpuError, and may block.

    `draw_source` names the reading that `draw_w` takes: `instant`, `instant (module)`, `newest sample` or
    `1 s average`.
    """

    def __init__(self, nvml: Nvml, handle: Any) -> None:  # noqa: ANN401 - a pointer of the library
        self._nvml = nvml
        self._handle = handle
        self.nature = self._nature()
        self.draw_source, self._read_draw = self._best_source()

    @classmethod
    def of(cls, nvml: Nvml, uuid: str) -> Device:
        """The GPU of that UUID."""
        return cls(nvml, nvml.ask("nvmlDeviceGetHandleByUUID", uuid))

    # -- what it is ----------------------------------------------------------------------------------------------

    def obstacle(self) -> str | None:
        """Why its watts and its work cannot be told apart as Barq needs it; None if they can."""
        modes = self._optional("nvmlDeviceGetMigMode") or (0, 0)
        if self._nvml.value("NVML_DEVICE_MIG_ENABLE") in tuple(modes):
            return (
                "MIG splits it into instances that share one power limit and one meter; "
                "turn it off (nvidia-smi -mig 0) and restart the GPU"
            )
        names = ("VGPU", "HOST_VGPU", "HOST_VSGA")
        shared = [self._nvml.value(f"NVML_GPU_VIRTUALIZATION_MODE_{name}") for name in names]
        if self._optional("nvmlDeviceGetVirtualizationMode") in shared:
            return (
                "it is shared as a vGPU: power limit and meter belong to the host; pass it through as a whole"
            )
        return None

    def persists(self) -> bool | None:
        """Whether its driver stays loaded, and so keeps limits, while no process uses it; None if it does not say."""
        mode = self._optional("nvmlDeviceGetPersistenceMode")
        return None if mode is None else mode == self._nvml.value("NVML_FEATURE_ENABLED")

    def persist(self) -> None:
        """Keep its driver loaded."""
        self._ask("nvmlDeviceSetPersistenceMode", self._nvml.value("NVML_FEATURE_ENABLED"))

    def check_permission(self) -> None:
        """Set the limit that is set already, which changes nothing. Raises as if it were a new one."""
        self._ask("nvmlDeviceSetPowerManagementLimit", self._ask("nvmlDeviceGetPowerManagementLimit"))

    # -- what it does --------------------------------------------------------------------------------------------

    def draw_w(self) -> float:
        """The draw now; the head of this module says which."""
        if drawn_mw := self._read_draw():
            return drawn_mw / MW_PER_W
        raise GpuUnsupported("it tells no draw")

    def enforced_w(self) -> float:
        """The limit that holds, whoever set it."""
        return float(self._ask("nvmlDeviceGetEnforcedPowerLimit")) / MW_PER_W

    def set_limit_w(self, limit_w: float) -> float:
        """Set the nearest limit that it takes, and return the one that it enforces from now on, as read back."""
        wanted_w = min(max(limit_w, self.nature.min_w), self.nature.max_w)
        self._ask("nvmlDeviceSetPowerManagementLimit", round(wanted_w * MW_PER_W))
        give_up_s = time.monotonic() + SETTLE_S
        while (enforced_w := self.enforced_w()) > wanted_w + SETTLED_W and time.monotonic() < give_up_s:
            time.sleep(_LOOK_AGAIN_S)
        return enforced_w

    def processes(self) -> dict[int, int]:
        """GPU memory in bytes of each compute process, by PID; 0 where it is not told."""
        found = self._ask("nvmlDeviceGetComputeRunningProcesses")
        return {int(p.pid): int(p.usedGpuMemory or 0) for p in found}

    def sensors(self, processes: dict[int, int]) -> GpuSensors:
        """What else it tells."""
        clocks = [
            self._optional("nvmlDeviceGetClockInfo", self._nvml.value(f"NVML_CLOCK_{name}"))
            for name in ("SM", "MEM")
        ]
        energy_mj = self._optional("nvmlDeviceGetTotalEnergyConsumption")
        heat_c = self._optional("nvmlDeviceGetTemperature", self._nvml.value("NVML_TEMPERATURE_GPU"))
        return GpuSensors(
            energy_wh=None if energy_mj is None else energy_mj / MJ_PER_WH,
            temperature_c=None if heat_c is None else float(heat_c),
            sm_clock_mhz=None if clocks[0] is None else float(clocks[0]),
            memory_clock_mhz=None if clocks[1] is None else float(clocks[1]),
            memory_used_bytes=sum(processes.values()),
            pids=tuple(sorted(processes)),
        )

    # -- asking --------------------------------------------------------------------------------------------------

    def _ask(self, function: str, *arguments: object) -> Any:  # noqa: ANN401 - as Nvml.ask
        return self._nvml.ask(function, self._handle, *arguments)

    def _optional(self, function: str, *arguments: object) -> Any:  # noqa: ANN401 - as Nvml.ask
        """None where this GPU or this driver knows no such thing."""
        try:
            return self._ask(function, *arguments)
        except GpuUnsupported:
            return None

    def _nature(self) -> Nature:
        enforced_mw = self._ask("nvmlDeviceGetEnforcedPowerLimit")
        lowest_mw, highest_mw = (
            self._optional("nvmlDeviceGetPowerManagementLimitConstraints") or (enforced_mw,) * 2
        )
        default_mw = self._optional("nvmlDeviceGetPowerManagementDefaultLimit") or highest_mw
        architecture = self._optional("nvmlDeviceGetArchitecture")
        return Nature(
            uuid=str(self._ask("nvmlDeviceGetUUID")),
            name=str(self._ask("nvmlDeviceGetName")),
            architecture=self._nvml.value("NVML_DEVICE_ARCH_UNKNOWN")
            if architecture is None
            else architecture,
            min_w=lowest_mw / MW_PER_W,
            max_w=highest_mw / MW_PER_W,
            default_w=default_mw / MW_PER_W,
        )

    def _best_source(self) -> tuple[str, Callable[[], int]]:
        """The name of the first reading of its draw that it has, and how to take it, mW."""

        def instant(scope: str) -> Callable[[], int]:
            return lambda: self._nvml.field(self._handle, "NVML_FI_DEV_POWER_INSTANT", scope)

        sources: list[tuple[str, Callable[[], int]]] = [
            ("instant", instant("NVML_POWER_SCOPE_GPU")),
            ("instant (module)", instant("NVML_POWER_SCOPE_MODULE")),
            (self._usage_is(), lambda: int(self._ask("nvmlDeviceGetPowerUsage"))),
        ]
        return next((s for s in sources if _answers(s[1])), sources[-1])

    def _usage_is(self) -> str:
        """What nvmlDeviceGetPowerUsage means here; GA100 is told by its name, for its architecture has others too."""
        ampere = self._nvml.value("NVML_DEVICE_ARCH_AMPERE")
        averages = self.nature.architecture >= ampere and not any(
            x in self.nature.name for x in ("A100", "A30", "A800")
        )
        return "1 s average" if averages else "newest sample"


def _answers(source: Callable[[], int]) -> bool:
    try:
        return source() > 0
    except GpuUnsupported:
        return False

"""The raw answers of this machine's GPUs, for a test to replay: nothing in them tells which machine it was."""

from __future__ import annotations

import json
from typing import Any, Final

from workers.nvml.aside import Aside
from workers.nvml.errors import GpuError
from workers.nvml.library import Nvml

PATIENCE_S: Final = 20.0

#: Questions without a parameter, by the name under which the answer is kept. UUIDs, serials and PIDs are never asked.
QUESTIONS: Final = {
    "name": "nvmlDeviceGetName",
    "architecture": "nvmlDeviceGetArchitecture",
    "default_mw": "nvmlDeviceGetPowerManagementDefaultLimit",
    "limit_mw": "nvmlDeviceGetPowerManagementLimit",
    "enforced_mw": "nvmlDeviceGetEnforcedPowerLimit",
    "average_mw": "nvmlDeviceGetPowerUsage",
    "energy_mj": "nvmlDeviceGetTotalEnergyConsumption",
    "mig": "nvmlDeviceGetMigMode",
    "constraints_mw": "nvmlDeviceGetPowerManagementLimitConstraints",
    "virtualization": "nvmlDeviceGetVirtualizationMode",
    "persistence": "nvmlDeviceGetPersistenceMode",
}
#: Questions with one parameter, a constant of the library.
WITH_PARAMETER: Final = {
    "temperature_c": ("nvmlDeviceGetTemperature", "NVML_TEMPERATURE_GPU"),
    "sm_clock_mhz": ("nvmlDeviceGetClockInfo", "NVML_CLOCK_SM"),
    "memory_clock_mhz": ("nvmlDeviceGetClockInfo", "NVML_CLOCK_MEM"),
}
#: Draws by scope.
FIELDS: Final = {"instant_mw": "NVML_POWER_SCOPE_GPU", "module_mw": "NVML_POWER_SCOPE_MODULE"}


def record_gpus() -> str:
    """JSON: the driver's version, and for each GPU its answers or its errors. Raises GpuError."""
    aside = Aside("NVML")
    try:
        return json.dumps(aside.ask(_record, patience_s=PATIENCE_S), indent=1) + "\n"
    finally:
        aside.close()


def _record() -> dict[str, Any]:
    nvml = Nvml()
    gpus = [_answers(nvml, handle) for handle in nvml.handles() if not isinstance(handle, GpuError)]
    recorded = {"driver": nvml.driver(), "gpus": gpus}
    nvml.close()
    return recorded


def _answers(nvml: Nvml, handle: object) -> dict[str, Any]:
    """By name: the answer, or {"error": what NVML said}."""
    found: dict[str, Any] = {}
    for name, function in QUESTIONS.items():
        found[name] = _answer(nvml, function, handle)
    for name, (function, parameter) in WITH_PARAMETER.items():
        found[name] = _answer(nvml, function, handle, nvml.value(parameter))
    for name, scope in FIELDS.items():
        try:
            found[name] = nvml.field(handle, "NVML_FI_DEV_POWER_INSTANT", scope)
        except GpuError as error:
            found[name] = {"error": str(error)}
    processes = _answer(nvml, "nvmlDeviceGetComputeRunningProcesses", handle)
    found["processes"] = len(processes) if isinstance(processes, list) else processes
    return found


def _answer(nvml: Nvml, function: str, *arguments: object) -> Any:  # noqa: ANN401 - each answers its own kind
    try:
        return nvml.ask(function, *arguments)
    except GpuError as error:
        return {"error": str(error)}

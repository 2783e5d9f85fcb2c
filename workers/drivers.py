"""Which driver stands behind which port of a guard: the one place that knows."""

from __future__ import annotations

from pathlib import Path

from workers.gpu.nvml import NvmlGpus
from workers.gpu.port import GpuDriver
from workers.gpu.simulated import SimulatedGpus
from workers.group_config import GroupConfig
from workers.miners.port import MinerDriver
from workers.miners.simulated import SimulatedMiners


def open_gpus(config: GroupConfig, directory: Path) -> GpuDriver:
    """The GPUs of a group: real ones unless it says that they are simulated. Touches no device yet."""
    spec = config.spec
    if spec.gpus and not spec.simulated:
        return NvmlGpus(spec.gpus)
    return SimulatedGpus(spec.gpus, directory / "gpus.json", physics=config.physics)


def open_miners(config: GroupConfig, directory: Path) -> MinerDriver:
    """The miners of a group. Only simulated ones so far."""
    return SimulatedMiners(config.miners, directory / "miners.json")

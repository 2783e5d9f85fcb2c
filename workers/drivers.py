"""Which driver stands behind which port of a guard: the one place that knows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from workers.gpu.nvml import NvmlGpus
from workers.gpu.port import GpuDriver
from workers.gpu.simulated import SimulatedGpus
from workers.group_config import GroupConfig
from workers.miners.port import MinerDriver
from workers.miners.simulated import SimulatedMiners

if TYPE_CHECKING:
    from workers.fillers.fillers import Fillers


def open_gpus(config: GroupConfig, directory: Path) -> GpuDriver:
    """The GPUs of a group: real ones unless it says that they are simulated. Touches no device yet."""
    spec = config.spec
    if spec.gpus and not spec.simulated:
        return NvmlGpus(spec.gpus)
    return SimulatedGpus(spec.gpus, directory / "gpus.json", physics=config.physics)


def open_fillers(config: GroupConfig, directory: Path, gpus: GpuDriver) -> Fillers | None:
    """The programs that mine on idle GPUs of a node, None where it has no such thing. Starts none yet."""
    if config.filler is None:
        return None
    from workers.fillers.fillers import Fillers  # noqa: PLC0415 - as below

    return Fillers(config.spec, config.filler, directory, gpus.attach)


def open_miners(config: GroupConfig, directory: Path) -> MinerDriver:
    """The miners of a group: real ones where it has a LAN. Looks for them at once, and waits for none."""
    if config.lan is not None:
        # Only here: what speaks to machines takes cryptography and HTTP along, which each supervisor would inherit.
        from workers.fleet.lan import LanMiners  # noqa: PLC0415
        from workers.outlet_opening import open_outlets  # noqa: PLC0415

        return LanMiners(config.lan, directory / "lan", outlets=open_outlets(config.lan.outlets))
    return SimulatedMiners(config.miners, directory / "miners.json")

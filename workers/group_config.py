"""group.json: what a guard is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from scheduler.core.orders import GpuSlot, GroupSpec
from scheduler.core.power import GPU_MODELS
from workers.fillers.config import FillerConfig
from workers.fleet.config import LanConfig
from workers.gpu.simulated import GpuPhysics
from workers.miners.simulated import MinerModel
from workers.wire import WireError, decode

_ROUNDING_W = 0.5


class ConfigError(ValueError):
    """group.json cannot be used; the message names the field, the value and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupConfig:
    """One device group, and how its guard behaves. The directory of group.json is the guard's own."""

    spec: GroupSpec
    save_after_s: float = 5.0  #: past the expiry of the lease, held jobs are told to save and exit
    orphan_s: float = 20.0  #: a supervisor without a guard suspends its job after this: a lease and a little
    poll_s: float = 0.15
    suspend_patience_s: float = 2.0
    job_nice: int = 0  #: added to the niceness of jobs, so that simulated GPUs leave a small host some air
    physics: GpuPhysics = field(default_factory=GpuPhysics)
    miners: tuple[MinerModel, ...] = ()
    lan: LanConfig | None = None  #: of real miners
    filler: FillerConfig | None = None  #: of a node: the program that its spec names
    jobs_dir: str = (
        ""  #: below which the site keeps its jobs' directories; empty = wherever their launch says
    )
    own_jobs_dir: str = ""  #: where this machine keeps them when it cannot use that

    def __post_init__(self) -> None:
        for name in ("save_after_s", "orphan_s", "poll_s", "suspend_patience_s"):
            value = getattr(self, name)
            if value <= 0:
                raise ConfigError(f"{name}={value}: is not a time; give seconds, more than 0")
        for slot in self.spec.gpus:
            _check_power(slot)
        if (self.filler is None) is not (self.spec.filler is None):
            raise ConfigError(
                "filler: what runs and what it may take go together; give spec.filler and filler, or none"
            )
        self._check_miners()

    def _check_miners(self) -> None:
        rest_w = sum(miner.idle_w for miner in self.miners)
        max_w = sum(miner.max_w for miner in self.miners)
        if self.lan is not None:
            rest_w, max_w = (
                self.lan.count * self.lan.rest_w,
                self.lan.count * (self.lan.max_w - self.lan.rest_w),
            )
        if self.spec.base_w < rest_w - _ROUNDING_W:
            raise ConfigError(
                f"spec.base_w={self.spec.base_w:g}: the group's miners alone rest at {rest_w:g} W; give at least that"
            )
        if abs(self.spec.miners_max_w - max_w) > _ROUNDING_W:
            raise ConfigError(
                f"spec.miners_max_w={self.spec.miners_max_w:g}: its miners draw {max_w:g} W above their rest; give that"
            )
        if self.spec.machine is not None and any(m.max_w < self.spec.machine.max_w for m in self.miners):
            raise ConfigError(
                f"spec.machine.max_w={self.spec.machine.max_w}: is more than one of its miners draws above its rest; "
                "give what the smallest draws"
            )


def _check_power(slot: GpuSlot) -> None:
    """A GPU counts by a measured model, or by the limits of the device itself."""
    if slot.limits is None:
        if slot.model not in GPU_MODELS:
            raise ConfigError(
                f"spec.gpus.model={slot.model!r}: is unknown; give one of {', '.join(GPU_MODELS)}, or its limits"
            )
    elif not 0 <= slot.limits.idle_w <= slot.limits.min_w <= slot.limits.max_w or slot.limits.max_w <= 0:
        raise ConfigError(
            f"spec.gpus.limits={slot.limits}: make sense only as 0 <= idle_w <= min_w <= max_w; "
            "start the site again, so that the GPUs are discovered anew"
        )


def load(path: Path) -> GroupConfig:
    """The configuration in `path`. Raises ConfigError, OSError."""
    try:
        return decode(GroupConfig, path.read_bytes())
    except WireError as error:
        raise ConfigError(f"{path}: {error}") from error

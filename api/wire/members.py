"""Nodes, and guards of miners, that join from other machines, on the wire."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Annotated, Any, Final, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from api.wire.parts import Sent, Shown, example
from barq.topology import LEVEL, MAX_LEVELS, PLACE

MAX_W = 1e6
MAX_GPU_W = 1e5
MAX_GPUS = 64
Level = Annotated[str, Field(pattern=LEVEL)]
Place = Annotated[str, Field(pattern=PLACE)]
NAME = r"^[a-z0-9][a-z0-9-]{0,31}$"


def _address(value: object) -> object:
    """Text becomes an address; JSON has no other way to write one."""
    return IPv4Address(value) if isinstance(value, str) else value


Address = Annotated[
    IPv4Address,
    BeforeValidator(_address),
    Field(description="By which the other machines reach it"),
]


class GpuLimits(Sent):
    """What a real GPU says of its own power."""

    min_w: float = Field(gt=0, le=MAX_GPU_W, description="The lowest cap that it takes, W; max_w if none")
    max_w: float = Field(gt=0, le=MAX_GPU_W, description="What it enforces uncapped, W")
    idle_w: float = Field(ge=0, le=MAX_GPU_W, description="Without a process on it, W")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_w > self.max_w or self.idle_w > self.max_w:
            raise ValueError(
                f"min_w = {self.min_w:g} and idle_w = {self.idle_w:g} cannot exceed max_w = {self.max_w:g}; "
                "give what the device says"
            )
        return self


class JoiningGpu(Sent):
    """One GPU that the node offers."""

    gpu_id: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")
    model: str = Field(min_length=1, max_length=64)
    limits: GpuLimits | None = Field(None, description="Of a real device; absent for a simulated one")


class Join(Sent):
    """A node asks to join: what it has, and what it draws with nothing on it."""

    model_config = ConfigDict(
        json_schema_extra=example(
            name="hall-2",
            address="10.0.0.2",
            base_w=1200.0,
            gpus=[{"gpu_id": "0", "model": "a100-sxm-400w"}],
            simulated=True,
        )
    )

    name: str = Field(pattern=NAME, description="Of the node, new to the site or coming back")
    address: Address
    base_w: float = Field(gt=0, le=MAX_W, description="Everything but its GPUs, W")
    gpus: list[JoiningGpu] = Field(min_length=1, max_length=MAX_GPUS)
    simulated: bool = False
    topology: dict[Level, Place] = Field(
        {}, max_length=MAX_LEVELS, description="Where it is, by levels of the site", examples=[{"rack": "r4"}]
    )


class GuardSettings(Shown):
    """How the guard of a node behaves, alike on every machine."""

    save_after_s: float
    orphan_s: float
    job_nice: int
    jobs_dir: str = Field(description="Where the site keeps its jobs, if this machine can use it")


_TOLD: Final[dict[str, Any]] = {
    "site": "demo",
    "ray_address": "10.0.0.1:7481",
    "ray_token": "5f2c...",
    "token": "barq_...",
    "guard": {"save_after_s": 5.0, "orphan_s": 18.0, "job_nice": 5, "jobs_dir": "/shared/barq/jobs"},
}
"""An example of what each machine that joins is told."""


class Admitted(Shown):
    """What a machine needs to be part of the site. Holds two secrets: Ray's token and its own."""

    site: str
    ray_address: str
    ray_token: str
    token: str = Field(
        "",
        description="Of this machine until it is forgotten, for it outlives its ticket; empty = as it has it",
    )
    guard: GuardSettings


class Joined(Admitted):
    """What a node needs to be part of the site. Holds two secrets: Ray's token and its own."""

    model_config = ConfigDict(json_schema_extra=example(**_TOLD))

    filler: dict[str, Any] | None = Field(
        None, description="What may mine on its GPUs while nobody else has them: its kind, and how it is run"
    )


class JoinGuard(Sent):
    """A machine on a LAN of miners asks for the groups whose guard the site file leaves to it."""

    model_config = ConfigDict(json_schema_extra=example(name="hut-1", address="10.20.0.2"))

    name: str = Field(pattern=NAME, description="Of the machine, as `guard_on` in the site file has it")
    address: Address
    again: bool = Field(
        default=False,
        description="It took them on before, and starts again: what is heard may be its own guard",
    )


class GuardedGroup(Shown):
    """A group of miners, and what its guard has to know of it."""

    name: str
    told: dict[str, Any] = Field(
        description="As the site file describes it. Secrets are named by their place on the machine that joins"
    )


class JoinedGuard(Admitted):
    """What a machine needs to guard miners of the site. Holds two secrets: Ray's token and its own."""

    model_config = ConfigDict(
        json_schema_extra=example(
            **_TOLD,
            groups=[{"name": "hall-a", "told": {"name": "hall-a", "guard_on": "hut-1", "count": 12}}],
        )
    )

    groups: list[GuardedGroup]


class Left(Shown):
    """A node, or a group of miners, that leaves, or has left."""

    model_config = ConfigDict(json_schema_extra=example(name="hall-2"))

    name: str

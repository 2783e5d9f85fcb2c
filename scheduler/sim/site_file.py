"""A simulated site from a site file: the very file that `barq up` takes, and what only a simulation needs to know.

That stands under `simulation:` and may be left out. Leases are taken to outlast the window, for nobody is silent in a
run without faults; `simulation.leases: real` keeps the file's own.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from scheduler.complaints import complaints
from scheduler.core.jobs import TopologyRequest
from scheduler.core.orders import Standby
from scheduler.core.power import GPU_MODELS
from scheduler.equipment import DEFAULT_MODEL, Miners, Name, Nodes, Watts
from scheduler.errors import SettingsError
from scheduler.plain_yaml import read_yaml
from scheduler.settings import SIMULATION, Site, site_of
from scheduler.signal_settings import Seconds
from scheduler.sim.site import EACH_SECOND, Pace, Partner, SimSite, Timing
from scheduler.strict import Strict

Delay = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
_PACE = Pace()


class StandbySettings(Strict):
    """What a node draws in standby, and how long it takes to go there and back."""

    draw_w: Watts
    down_s: Delay
    boot_s: Delay


class PaceSettings(Strict):
    """How long things take; `Pace` says what each means."""

    start_s: Delay = _PACE.start_s
    restore_s: Delay = _PACE.restore_s
    save_s: Delay = _PACE.save_s
    suspend_s: Delay = _PACE.suspend_s
    resume_s: Delay = _PACE.resume_s
    checkpoint_interval_s: Seconds = _PACE.checkpoint_interval_s
    checkpoint_s: Delay = _PACE.checkpoint_s
    grace_s: Seconds = _PACE.grace_s


class TopologySettings(Strict):
    """What all jobs of a simulation ask of the topology: a level within one part of which each is, or is if it can."""

    required: Name | None = None
    preferred: Name | None = None

    @model_validator(mode="after")
    def _says_one(self) -> Self:
        if (self.required is None) == (self.preferred is None):
            raise ValueError("give either required or preferred, with the name of a level")
        return self

    def request(self) -> TopologyRequest:
        """As decisions take it."""
        level = self.required or self.preferred or ""
        return TopologyRequest(level=level, is_required=self.required is not None)


class Simulation(Strict):
    """What only a simulation needs to know."""

    notice_s: Delay = 0.0
    forecast_error: Annotated[float, Field(ge=0, le=1)] | None = None
    checkpoint_auto: bool = False
    standby: StandbySettings | None = None
    pace: PaceSettings = PaceSettings()
    topology: TopologySettings | None = None
    leases: Literal["long", "real"] = "long"


def load_sim_site(path: Path, *, has_faults: bool = False) -> SimSite:
    """Read a site file; with faults its leases count. Raises `SettingsError` that names file, field, value, remedy."""
    document = read_yaml(path)
    if not isinstance(document, dict):
        raise SettingsError(f"{path}: a site file is a mapping with at least name, power and nodes")
    document = dict(document)
    told = document.pop(SIMULATION, None) or {}
    site = site_of(document, path)
    try:
        simulation = Simulation.model_validate(told)
    except ValidationError as error:
        raise SettingsError(complaints(path, error, below=SIMULATION)) from error
    if has_faults:
        simulation = simulation.model_copy(update={"leases": "real"})
    return _simulated(site, simulation, path)


def _simulated(site: Site, simulation: Simulation, path: Path) -> SimSite:
    first = _alike(site.nodes, path)
    standby = simulation.standby
    return SimSite(
        name=site.name,
        nodes=sum(n.count for n in site.nodes),
        gpus=first.gpus or 0,
        gpu_model=first.gpu_model or DEFAULT_MODEL,
        base_w=first.base_w,
        standby=Standby(**standby.model_dump()) if standby else None,
        topology=site.topology,
        together=_together(site, simulation, path),
        places=tuple(n.place_of(gid) for n in site.nodes for gid in n.ids()) if site.topology else (),
        partners=tuple(_partner(m) for m in site.miners),
        owners=site.mining_partners(),
        chain=site.revenue.told(),
        **site.sharing(),
        **site.power.model_dump(),
        notice_s=simulation.notice_s,
        forecast_error=simulation.forecast_error,
        checkpoint_auto=simulation.checkpoint_auto,
        pace=Pace(**simulation.pace.model_dump()),
        timing=_timing(site, simulation),
    )


def _together(site: Site, simulation: Simulation, path: Path) -> TopologyRequest | None:
    asked = None if simulation.topology is None else simulation.topology.request()
    if asked is not None and asked.level not in site.topology:
        known = ", ".join(site.topology) or "none"
        raise SettingsError(
            f"{path}: simulation.topology: {asked.level!r} is no level of this site; name it under topology, which "
            f"has {known}"
        )
    return asked


def _alike(nodes: tuple[Nodes, ...], path: Path) -> Nodes:
    """The one kind of node there is."""
    kinds = {(n.gpus, n.gpu_model or DEFAULT_MODEL, n.base_w) for n in nodes}
    if len(kinds) != 1:
        raise SettingsError(
            f"{path}: nodes: {len(kinds)} kinds of node are given; a simulated site has one: give all the same "
            "gpus, gpu_model and base_w"
        )
    gpus, model, _ = next(iter(kinds))
    if not gpus:
        raise SettingsError(f"{path}: nodes.gpus: is missing; say how many GPUs each node has")
    if model not in GPU_MODELS:
        raise SettingsError(
            f"{path}: nodes.gpu_model: {model!r} is not known; use one of {sorted(GPU_MODELS)}"
        )
    return nodes[0]


def _partner(miners: Miners) -> Partner:
    span_w = miners.max_w - miners.rest_w
    return Partner(
        name=miners.name,
        max_w=miners.count * miners.max_w,
        base_w=miners.count * miners.rest_w,
        down_s=span_w / miners.ramp_down_w_per_s,
        up_s=span_w / miners.ramp_up_w_per_s,
        machine=miners.kind(),
    )


def _timing(site: Site, simulation: Simulation) -> Timing:
    told: dict[str, Any] = site.timing.model_dump()
    if simulation.leases == "real":
        return Timing(**told, **EACH_SECOND)
    long = asdict(Timing())
    kept = ("lease_s", "unreachable_after_s", "lost_after_s")
    return Timing(**told | {name: long[name] for name in kept})

"""What a site file says of devices and wires: nodes, miners, the feeders and racks that they are behind."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from scheduler.connections.bmc_options import BmcSettings
from scheduler.connections.registers import ModbusOptions
from scheduler.core.domains import Domain
from scheduler.core.machines import MachineKind
from scheduler.core.orders import Elsewhere, GpuSlot, GroupKind, GroupSpec
from scheduler.core.steady import SteadyRule
from scheduler.core.trim import BAND, TrimRule
from scheduler.core.trust import Trust
from scheduler.lan_settings import LanSettings
from scheduler.outlet_settings import OutletSettings
from scheduler.strict import Strict

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")]
Watts = Annotated[float, Field(ge=0, le=1e10, allow_inf_nan=False)]
WholeWatts = Annotated[int, Field(ge=0, le=10**10)]
Ramp = Annotated[float, Field(gt=0, le=1e10, allow_inf_nan=False)]  #: W/s; at 0 no watt ever comes back
PLACE = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$"  #: name of a rack
MAX_LEVELS = 8
_PLACE = re.compile(PLACE, re.ASCII)
DEFAULT_MODEL = "a100-sxm-400w"  #: of simulated GPUs
TRIM_MAX = 0.02  #: share of the limit that a meter gives back where the site file says nothing


class DomainSettings(Strict):
    """One power domain below the site's meter; `scheduler.core.domains` says what each field means."""

    name: Name
    parent: Name | None = None
    limit_w: Annotated[float, Field(gt=0, le=1e10, allow_inf_nan=False)] | None = None
    firm_w: Annotated[float, Field(gt=0, le=1e10, allow_inf_nan=False)] | None = None
    margin: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.0
    overhead: Annotated[float, Field(ge=1.0, le=3.0)] = 1.0
    groups: tuple[Annotated[str, Field(pattern=r"^[a-z0-9*?][a-z0-9*?-]{0,31}$")], ...] = ()

    def domain(self) -> Domain:
        """As the core knows it."""
        return Domain(**self.model_dump())


class MachineSettings(Strict):
    """How finely, and how often, the miners of a group can be told what to draw, where not any watt will do."""

    least_w: WholeWatts | None = (
        None  #: of one, rest included: the lowest it can be trimmed to; None = it cannot
    )
    joule_per_th: Annotated[float, Field(ge=0, le=1e4, allow_inf_nan=False)] = 0.0  #: 0 = not known
    min_on_s: Annotated[float, Field(ge=0, le=86_400)] = 600.0  #: who was woken runs this long
    min_off_s: Annotated[float, Field(ge=0, le=86_400)] = 300.0  #: who was put to sleep sleeps this long

    def kind(self, *, max_w: float, rest_w: float) -> MachineKind:
        """What each is like above its rest. Raises ValueError."""
        least_w = None if self.least_w is None else math.ceil(self.least_w - rest_w)
        above_w = math.floor(max_w - rest_w)
        if above_w < 1 or (least_w is not None and not 0 < least_w <= above_w):
            raise ValueError(
                f"machines.least_w = {self.least_w}: max_w = {max_w:g} W and rest_w = {rest_w:g} W; give more than "
                "rest_w and at most max_w, or leave it out if they cannot be trimmed"
            )
        return MachineKind(
            max_w=above_w,
            least_w=least_w,
            joule_per_th=self.joule_per_th,
            min_on_s=self.min_on_s,
            min_off_s=self.min_off_s,
        )


class Per(Strict):
    """So many nodes share one, in the order of their numbers."""

    per: Annotated[int, Field(ge=1, le=1000)]


def _placed(value: object) -> object:
    """The name of a rack, or how many nodes share one. Raises ValueError."""
    if isinstance(value, str) and _PLACE.fullmatch(value):
        return value
    try:
        return Per.model_validate(value)
    except ValueError as error:
        raise ValueError("write a name, such as r4, or {per: 4} for four nodes each") from error


class Nodes(Strict):
    """A number of like simulated nodes; or, not simulated, this machine with the GPUs that are found in it."""

    prefix: Name = "node"
    count: Annotated[int, Field(ge=1, le=1000)] = 1
    gpus: Annotated[int, Field(ge=1, le=64)] | None = None  #: of each
    gpu_model: str | None = None
    base_w: Watts = 1200.0
    topology: dict[Name, Annotated[str | Per, BeforeValidator(_placed)]] = Field(default_factory=dict)
    """By level: in which they are."""
    simulated: bool

    @model_validator(mode="after")
    def _says_what_cannot_be_found(self) -> Self:
        if self.simulated and self.gpus is None:
            raise ValueError("gpus: is missing; say how many GPUs each simulated node has")
        if not self.simulated and (self.gpus, self.gpu_model) != (None, None):
            raise ValueError("gpus and gpu_model: real GPUs are found by themselves; remove these keys")
        if not self.simulated and self.count != 1:
            raise ValueError(
                f"count = {self.count}: this machine is one node; other machines join by `barq node join`"
            )
        return self

    def ids(self) -> list[str]:
        """The ids of their groups."""
        return [f"{self.prefix}-{i + 1}" for i in range(self.count)]

    def place_of(self, group_id: str) -> tuple[tuple[str, str], ...]:
        """Where one of them is, by level. Racks that so many share are called after them: a-rack-1, a-rack-2 ..."""
        index = int(group_id.removeprefix(f"{self.prefix}-")) - 1
        return tuple(
            (level, place if isinstance(place, str) else f"{self.prefix}-{level}-{index // place.per + 1}")
            for level, place in self.topology.items()
        )


class Miners(Strict):
    """A group of co-located miners that follow a watt target: simulated, or the machines of a LAN."""

    name: Name = "miners"
    count: Annotated[int, Field(ge=1, le=10_000)]
    max_w: Watts  #: nameplate of one
    rest_w: Watts = 20.0  #: of one, asleep
    ramp_down_w_per_s: Ramp = 2000.0  #: of one
    ramp_up_w_per_s: Ramp = 500.0
    machines: MachineSettings | None = None  #: they sleep and wake whole; None = each takes any watt
    lan: LanSettings | None = None  #: where real ones are
    outlets: OutletSettings = Field(default_factory=OutletSettings)  #: that feed them, of switched PDUs
    guard_on: Name | None = (
        None  #: the machine that their guard runs on, by `barq miners join`; None = this one
    )
    simulated: bool

    @model_validator(mode="before")
    @classmethod
    def _counts_what_is_written(cls, said: object) -> object:
        """Where each machine has its address, so many are expected."""
        if isinstance(said, dict) and "count" not in said and isinstance(said.get("lan"), dict):
            expected = LanSettings.model_validate(said["lan"]).expected
            if expected is not None:
                return said | {"count": expected}
        return said

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        if self.simulated and self.lan is not None:
            raise ValueError("lan: simulated miners are on none; remove it, or say simulated: false")
        if not self.simulated and self.lan is None:
            raise ValueError(
                "lan: is missing; say at which addresses the miners are, as in configs/sites/lan.yaml"
            )
        return self

    @model_validator(mode="after")
    def _rests_below_its_nameplate(self) -> Self:
        if self.rest_w > self.max_w:
            raise ValueError(
                f"rest_w = {self.rest_w:g} W is above max_w = {self.max_w:g} W: a miner at rest draws less than "
                "at work; correct one of them"
            )
        self.kind()
        return self

    def kind(self) -> MachineKind | None:
        """What each is like above its rest, None where it takes any watt. Raises ValueError."""
        machines = self.machines or (MachineSettings() if self.lan is not None else None)
        return machines.kind(max_w=self.max_w, rest_w=self.rest_w) if machines is not None else None

    def digest(self) -> str:
        """By which one knows whether a guard was told just this: 16 hexadecimal digits."""
        return sha256(json.dumps(self.told(), sort_keys=True).encode()).hexdigest()[:16]

    def told(self) -> dict[str, Any]:
        """As plain data from which it can be made again; what goes without saying is left out, for other versions."""
        return self.model_dump(mode="json", exclude_defaults=True)

    def models(self) -> list[dict[str, object]]:
        """What the guard of simulated ones is told of each."""
        joule_per_th = self.machines.joule_per_th if self.machines else 0.0
        return [
            {
                "miner_id": f"{self.name}-{i + 1}",
                "nameplate_w": self.max_w,
                "idle_w": self.rest_w,
                "joule_per_th": joule_per_th,
                "fall_w_per_s": self.ramp_down_w_per_s,
                "rise_w_per_s": self.ramp_up_w_per_s,
            }
            for i in range(self.count if self.simulated else 0)
        ]

    def lan_config(self, base: Path) -> Mapping[str, object] | None:
        """What the guard of real ones is told of their LAN. Relative files are below `base`."""
        if self.lan is None:
            return None
        outlets = self.outlets.plain(base)
        return self.lan.config(outlets, base, count=self.count, max_w=self.max_w, rest_w=self.rest_w)


class SumOfReports(Strict):
    """No meter of its own: the draw is what nodes and miners report, with the overhead of the hall."""

    type: Literal["simulated"] = "simulated"

    def trim(self, margin: float) -> TrimRule | None:
        """None: what is reckoned by the model cannot correct it."""
        del margin
        return None


class _Watched(Strict):
    """How a meter is read; docs/metering.md says what counts when it cannot be."""

    name: Name = "meter"
    poll_s: Annotated[float, Field(ge=0.1, le=60)] = 1.0
    stale_after_s: Annotated[float, Field(gt=0, le=3600)] = (
        5.0  #: then the next meter counts, or the sum of reports
    )
    tolerance: Annotated[float, Field(ge=0, le=1)] = 0.1  #: share that meter and reports may differ by,
    tolerance_w: Watts = 1000.0  #: or so many W, whichever is more
    disagree_after_s: Annotated[float, Field(ge=0, le=3600)] = 15.0  #: for so long before it is an alarm

    @model_validator(mode="after")
    def _can_be_fresh(self) -> Self:
        if self.stale_after_s < 2 * self.poll_s:
            raise ValueError(
                f"stale_after_s = {self.stale_after_s:g} is less than two readings, one every poll_s = "
                f"{self.poll_s:g} s; raise it, or read more often"
            )
        return self

    def trust(self) -> Trust:
        """As the core knows it."""
        return Trust(
            fresh_s=2 * self.poll_s,
            stale_after_s=self.stale_after_s,
            tolerance=self.tolerance,
            tolerance_w=self.tolerance_w,
            disagree_after_s=self.disagree_after_s,
        )


class SteadySettings(Strict):
    """How rises of a source are held back; `scheduler.core.steady` says what each means."""

    rise_w_per_s: Ramp | None = None
    settle_s: Annotated[float, Field(ge=0, le=86_400)] = 0.0
    turns: Annotated[int, Field(ge=1, le=1000)] | None = 10
    within_s: Annotated[float, Field(ge=1, le=86_400)] = 600.0
    hold_s: Annotated[float, Field(ge=0, le=86_400)] = 60.0

    def rule(self) -> SteadyRule:
        """As the core knows it."""
        return SteadyRule(**self.model_dump())


class ModbusMeterSettings(ModbusOptions, _Watched):
    """The site's meter, read over Modbus TCP."""

    type: Literal["modbus"]
    trim_max: Annotated[float, Field(ge=0, le=0.2)] | None = None
    """Share of the limit that is given back at most where the model says too much; None = 0.02, within the margin."""
    trim_s: Annotated[float, Field(ge=60, le=86_400)] = 300.0  #: time constant of giving it back
    accuracy: Annotated[float, Field(ge=0, le=0.1)] = 0.01  #: share by which it may be off: class 1
    margin_least: Annotated[float, Field(ge=0, lt=0.5)] | None = None
    """Share of the limit that stays free, whatever the meter proves; None = `accuracy` + 0.002."""

    def trim(self, margin: float) -> TrimRule:
        """How far it corrects the model of a site that keeps `margin` of its limit free."""
        most = min(TRIM_MAX, margin) if self.trim_max is None else self.trim_max
        return TrimRule(
            most=most,
            give_s=self.trim_s,
            tolerance=self.tolerance,
            tolerance_w=self.tolerance_w,
            accuracy=self.accuracy if most > 0 else None,
            least=self.accuracy + BAND if self.margin_least is None else self.margin_least,
            fresh_s=2 * self.poll_s,
        )


class RedfishMeterSettings(_Watched):
    """The sum of what the nodes' own controllers read, see `bmcs`."""

    type: Literal["redfish"]
    name: Name = "bmcs"
    poll_s: Annotated[float, Field(ge=0.1, le=60)] = 2.0  #: controllers are slow
    stale_after_s: Annotated[float, Field(gt=0, le=3600)] = 10.0

    def trim(self, margin: float) -> TrimRule | None:
        """None: controllers do not see the hall, of whose model there is something to learn."""
        del margin
        return None


WatchedMeter = Annotated[ModbusMeterSettings | RedfishMeterSettings, Field(discriminator="type")]
MeterSettings = Annotated[
    SumOfReports | ModbusMeterSettings | RedfishMeterSettings, Field(discriminator="type")
]


def check_meters(meter: MeterSettings, behind: Sequence[WatchedMeter], bmcs: Sequence[BmcSettings]) -> None:
    """Whether these go together. Raises ValueError."""
    if behind and isinstance(meter, SumOfReports):
        raise ValueError("meters_behind: there is no meter before them; make the first of them meter")
    watched = [m for m in (meter, *behind) if not isinstance(m, SumOfReports)]
    names = [m.name for m in watched]
    if len(set(names)) < len(names):
        raise ValueError(f"meters_behind.name: two meters are called alike, {names}; give each its own name")
    if any(isinstance(m, RedfishMeterSettings) for m in watched) and not bmcs:
        raise ValueError("meter.type: redfish reads the controllers of nodes, and there are none; add bmcs")


def node_spec(nodes: Nodes, group_id: str) -> GroupSpec:
    """One of these nodes, as it describes itself."""
    model = nodes.gpu_model or DEFAULT_MODEL
    return GroupSpec(
        group_id=group_id,
        kind=GroupKind.NODE,
        base_w=nodes.base_w,
        gpus=tuple(GpuSlot(gpu_id=str(i), model=model) for i in range(nodes.gpus or 0)),
        simulated=nodes.simulated,
        topology=nodes.place_of(group_id),
    )


def miners_spec(miners: Miners) -> GroupSpec:
    """The group of these miners, as it describes itself."""
    return GroupSpec(
        group_id=miners.name,
        kind=GroupKind.MINERS,
        base_w=miners.count * miners.rest_w,
        miners_max_w=miners.count * (miners.max_w - miners.rest_w),
        machine=miners.kind(),
        simulated=miners.simulated,
        elsewhere=None
        if miners.guard_on is None
        else Elsewhere(machine=miners.guard_on, told=miners.digest()),
    )

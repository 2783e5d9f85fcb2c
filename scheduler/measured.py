"""What `barq commission` measured of a site, and what of it counts: the more careful of both figures, unless accepted.

The site file stays the operator's. A measured overhead, base or restart that is higher than there counts at once; one
that is lower would let the site draw more, and counts only where the operator accepts that figure by its name, and
only for the very devices that were measured. A fall that took longer than `timing.fall_s` promises is refused: every
guard of the site would be late.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from scheduler.equipment import Miners, Nodes
from scheduler.errors import SettingsError
from scheduler.plain_yaml import read_yaml
from scheduler.strict import Strict

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,90}\.ya?ml", re.ASCII)
_TAKEN: Final = ("site.yaml", "found-site.yaml")
Figure = Literal["overhead", "base_w", "restart_s"]
_Watts = Annotated[float, Field(ge=0, le=1e10, allow_inf_nan=False)]
_Seconds = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


def _beside(name: str) -> str:
    """The name of a file that may lie in a site's own directory. Raises ValueError."""
    if not _NAME.fullmatch(name) or name in _TAKEN:
        raise ValueError("name a file beside the site file, such as measured.yaml")
    return name


class MeasuredSettings(Strict):
    """The site file's word on it: the file beside it, and which lower figures count."""

    file: Annotated[str, AfterValidator(_beside)]  #: in the directory of the site file
    accept: tuple[Figure, ...] = ()


class Figures(BaseModel):
    """What was measured, in the words of the site file. What else the file tells is for people."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    overhead: Annotated[float, Field(gt=0, le=3.0, allow_inf_nan=False)] | None = (
        None  #: None = no node was measured
    )
    base_w: Mapping[str, _Watts] = {}  #: of one node, by prefix
    fall_s: _Seconds | None = None  #: the longest of all that were seen
    fall_least_s: _Seconds | None = None  #: what of it is certain, for all that the meter can tell
    restart_s: _Seconds | None = None


class Devices(Strict):
    """For what devices it was measured, as the site file described them."""

    nodes: Mapping[str, Mapping[str, Any]] = {}
    miners: Mapping[str, Mapping[str, Any]] = {}


class Measured(BaseModel):
    """The file `measured.yaml`."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    version: Literal[1]
    site: str
    measured_at: AwareDatetime
    devices: Devices
    figures: Figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """The same figures as the site file has them."""

    name: str
    overhead: float
    base_w: Mapping[str, float]  #: by prefix, in the order of the file
    devices: Devices
    fall_s: float = 0.0
    restart_s: float = 0.0


MeasuredKey = Annotated[
    MeasuredSettings, BeforeValidator(lambda value: {"file": value} if isinstance(value, str) else value)
]


def read_measured(path: Path) -> Measured:
    """What a file says that `barq commission` wrote. Raises SettingsError."""
    try:
        return Measured.model_validate(read_yaml(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise SettingsError(
            f"{path}: {field}: {first['msg']}; write it anew with `barq commission`, or remove `measured` from the "
            "site file"
        ) from error


def counting(settings: MeasuredSettings, measured: Measured, said: Told) -> Told:
    """The figures that count. Raises SettingsError for a fall that is too long, and for what cannot be accepted."""
    is_same = measured.devices == said.devices and measured.site == said.name
    if settings.accept and not is_same:
        raise SettingsError(
            f"measured.accept: {settings.file} was measured at {measured.site} on other devices than the site file "
            "describes; measure again with `barq commission`, or remove measured.accept"
        )
    figures = measured.figures
    if figures.fall_least_s is not None and figures.fall_least_s > said.fall_s:
        raise SettingsError(
            f"timing.fall_s = {said.fall_s:g} s, and {settings.file} has a fall that took {figures.fall_least_s:.1f} s "
            f"at least; set it to {figures.fall_s or figures.fall_least_s:.1f}, and the lease so much shorter that "
            "lease_s + fall_s stay within power.reaction_s"
        )
    return Told(
        name=said.name,
        overhead=max(1.0, _counted("overhead", figures.overhead, said.overhead, settings)),
        base_w={
            prefix: _counted("base_w", figures.base_w.get(prefix), w, settings)
            for prefix, w in said.base_w.items()
        },
        fall_s=said.fall_s,
        restart_s=_counted("restart_s", figures.restart_s, said.restart_s, settings),
        devices=said.devices,
    )


def _counted(name: Figure, measured: float | None, told: float, settings: MeasuredSettings) -> float:
    if measured is None:
        return told
    return measured if name in settings.accept else max(measured, told)


def told(nodes: Iterable[Nodes], miners: Iterable[Miners], *, name: str, overhead: float) -> Told:
    """What a site file says of these."""
    of_nodes, nodes = {"count", "gpus", "gpu_model", "simulated"}, tuple(nodes)
    devices = Devices(
        nodes={n.prefix: n.model_dump(mode="json", include=of_nodes) for n in nodes},
        miners={m.name: m.model_dump(mode="json", include={"count", "max_w"}) for m in miners},
    )
    return Told(name=name, overhead=overhead, base_w={n.prefix: n.base_w for n in nodes}, devices=devices)


def as_measured(
    document: Mapping[str, Any], directory: Path, settings: MeasuredSettings, said: Told
) -> dict[str, Any]:
    """A site file's mapping with the figures that count. Raises SettingsError."""
    counted = counting(settings, read_measured(directory / settings.file), said)
    nodes = [
        {**node, "base_w": base_w}
        for node, base_w in zip(document["nodes"], counted.base_w.values(), strict=True)
    ]
    power = {**document["power"], "overhead": counted.overhead}
    timing = {**(document.get("timing") or {}), "restart_s": counted.restart_s}
    return {**document, "nodes": nodes, "power": power, "timing": timing}


def differences(measured: Measured, said: Told) -> list[str]:
    """What a person has to look at, in words: where file and measurement are apart, and what it was measured on."""
    figures, found = measured.figures, []
    if measured.devices != said.devices or measured.site != said.name:
        found.append(f"it was measured at {measured.site} on other devices")
    pairs = [("power.overhead", figures.overhead, said.overhead)]
    pairs += [(f"base_w of {p}", figures.base_w.get(p), w) for p, w in said.base_w.items()]
    pairs += [("timing.restart_s", figures.restart_s, said.restart_s)]
    found += [
        f"{name} = {has:g}, measured {seen:g}" for name, seen, has in pairs if seen is not None and seen > has
    ]
    if figures.fall_s is not None and figures.fall_s > said.fall_s:
        found.append(f"timing.fall_s = {said.fall_s:g}, measured up to {figures.fall_s:g}")
    return found

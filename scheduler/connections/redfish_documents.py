"""What a Redfish service says, read from its documents. Pure: JSON values in; numbers, states and paths out.

Whatever a document holds, each function answers or raises `Refused` with the reason. Names and shapes are those of
DMTF's schemas (DSP2046): EnvironmentMetrics, Power, PowerSupplyMetrics, Sensor, ComputerSystem.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from scheduler.connections.messages import Refused, number, power_w, shown

Document = Mapping[str, Any]

_PATH: Final = re.compile(r"/redfish/v1(/[A-Za-z0-9._~:@!$&'()*+,;=%#-]+)*/?", re.ASCII)
_ABSENT: Final = frozenset({"Absent", "Disabled", "UnavailableOffline"})
RESET: Final = "#ComputerSystem.Reset"


class HostState(StrEnum):
    """Whether a machine is on, by its own controller's word."""

    ON = "on"
    OFF = "off"
    CHANGING = "changing"  #: on its way up or down


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """Where a machine is switched, and how it can be."""

    target: str
    allowed: frozenset[str]  #: empty = the controller does not say


def link(document: Document, *names: str) -> str | None:
    """The path under `names`, one in the other; None where there is none. Raises `Refused` for one that leads away."""
    value: object = document
    for name in (*names, "@odata.id"):
        if not isinstance(value, Mapping) or name not in value:
            return None
        value = value[name]
    return _path(value, ".".join(names))


def members(document: Document, field: str = "Members") -> list[str]:
    """The paths of a collection."""
    listed = document.get(field)
    if not isinstance(listed, list):
        raise Refused(f"its collection has no list {field}; is this a Redfish service?")
    return [_path(m.get("@odata.id") if isinstance(m, Mapping) else None, field) for m in listed]


def chosen(paths: Sequence[str], wanted: str, what: str) -> str:
    """The path with the id that is wanted, or the only one."""
    found = [p for p in paths if p.rstrip("/").rsplit("/", 1)[-1] == wanted] if wanted else list(paths)
    if len(found) == 1:
        return found[0]
    ids = ", ".join(p.rstrip("/").rsplit("/", 1)[-1] for p in paths[:8]) or "none"
    raise Refused(f"{what}: {shown(wanted) if wanted else 'not given'}, and it has {ids}; name one of them")


def host_state(system: Document) -> HostState:
    """Whether the machine is on."""
    match system.get("PowerState"):
        case "On" | "Paused":
            return HostState.ON
        case "Off":
            return HostState.OFF
        case "PoweringOn" | "PoweringOff":
            return HostState.CHANGING
        case other:
            raise Refused(f"PowerState is {shown(other)}; expected On, Off, PoweringOn or PoweringOff")


def reset_of(system: Document) -> Reset:
    """Where and how the machine is switched."""
    actions = system.get("Actions")
    action = actions.get(RESET) if isinstance(actions, Mapping) else None
    if not isinstance(action, Mapping):
        raise Refused(f"it has no action {RESET}; give the site's user the right to switch this machine")
    allowed = action.get("ResetType@Redfish.AllowableValues")
    values = frozenset(v for v in allowed if isinstance(v, str)) if isinstance(allowed, list) else frozenset()
    return Reset(target=_path(action.get("target"), "target"), allowed=values)


# -- readings ----------------------------------------------------------------------------------------------------------


def metrics_w(document: Document, *, max_w: float) -> float | None:
    """The reading of EnvironmentMetrics, None where it has none at all."""
    excerpt = document.get("PowerWatts")
    if not isinstance(excerpt, Mapping):
        return None
    return _watts(excerpt.get("Reading"), "PowerWatts.Reading", max_w)


def control_w(document: Document, *, max_w: float) -> float | None:
    """The reading of Power: that of its first control, which is the whole chassis; others may be parts of it."""
    control = first_control(document)
    if control is None:
        return None
    return _watts(control.get("PowerConsumedWatts"), "PowerControl[0].PowerConsumedWatts", max_w)


def sensor_w(document: Document, *, max_w: float) -> float:
    """The reading of a sensor of power."""
    if document.get("ReadingType") not in ("Power", None):
        raise Refused(f"ReadingType is {shown(document.get('ReadingType'))}, not Power; name another sensor")
    return _watts(document.get("Reading"), "Reading", max_w)


def supply_w(document: Document, *, max_w: float) -> float:
    """What one power supply takes, by its metrics."""
    excerpt = document.get("InputPowerWatts")
    reading = excerpt.get("Reading") if isinstance(excerpt, Mapping) else None
    return _watts(reading, "InputPowerWatts.Reading", max_w)


def is_fitted(document: Document) -> bool:
    """Whether a part is there and in use."""
    status = document.get("Status")
    return not (isinstance(status, Mapping) and status.get("State") in _ABSENT)


def first_control(document: Document) -> Document | None:
    """The power control of the whole chassis."""
    controls = document.get("PowerControl")
    first = controls[0] if isinstance(controls, list) and controls else None
    return first if isinstance(first, Mapping) else None


# -- limits ------------------------------------------------------------------------------------------------------------


def metrics_limit_w(document: Document) -> float | None:
    """The limit that EnvironmentMetrics shows as set, None where none is."""
    excerpt = document.get("PowerLimitWatts")
    if not isinstance(excerpt, Mapping) or excerpt.get("ControlMode") == "Disabled":
        return None
    return _limit(excerpt.get("SetPoint"), "PowerLimitWatts.SetPoint")


def control_limit_w(document: Document) -> float | None:
    """The limit that Power shows as set, None where none is."""
    limit = (first_control(document) or {}).get("PowerLimit")
    return (
        _limit(limit.get("LimitInWatts"), "PowerLimit.LimitInWatts") if isinstance(limit, Mapping) else None
    )


def check_limit(document: Document, limit_w: float) -> None:
    """Raises `Refused` where EnvironmentMetrics says that such a limit cannot be."""
    excerpt = document.get("PowerLimitWatts")
    bounds = {} if not isinstance(excerpt, Mapping) else excerpt
    for key, sign in (("AllowableMin", 1.0), ("AllowableMax", -1.0)):
        if bounds.get(key) is None:
            continue
        bound_w = number(bounds[key], f"PowerLimitWatts.{key}")
        if sign * (bound_w - limit_w) > 0:
            raise Refused(f"a limit of {limit_w:g} W is beyond its {key}, {bound_w:g} W; give another")


def metrics_order(limit_w: float | None) -> dict[str, Any]:
    """What sets a limit by EnvironmentMetrics, or ends it."""
    if limit_w is None:
        return {"PowerLimitWatts": {"ControlMode": "Disabled"}}
    return {"PowerLimitWatts": {"ControlMode": "Automatic", "SetPoint": limit_w}}


def control_order(limit_w: float | None) -> dict[str, Any]:
    """What sets a limit by Power, or ends it."""
    return {"PowerControl": [{"PowerLimit": {"LimitInWatts": limit_w}}]}


def _watts(value: object, what: str, max_w: float) -> float:
    if value is None:
        raise Refused(f"{what} is missing: the controller has no reading now; see its own pages")
    return power_w(value, what, unit="W", watts=1.0, max_w=max_w)


def _limit(value: object, what: str) -> float | None:
    return None if value is None else number(value, what)


def _path(value: object, what: str) -> str:
    """A path of this service. One that names another server would be sent our credentials."""
    if not isinstance(value, str) or not _PATH.fullmatch(value) or ".." in value:
        raise Refused(
            f"{what} leads to {shown(value)}, no path below /redfish/v1; is this a Redfish service?"
        )
    return value

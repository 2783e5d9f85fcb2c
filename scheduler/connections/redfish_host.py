"""A machine's power by its own controller: read, limited, switched. Works while the machine hangs, or is off.

Where a reading is found is looked for once and remembered: `EnvironmentMetrics` first, then the older `Power`, then the
sum of the power supplies. What is set is read back: a controller that accepts and does nothing is found out.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from scheduler.connections.bmc_options import BmcOptions
from scheduler.connections.messages import Refused
from scheduler.connections.redfish import ROOT, Bmc, Changed, Gone
from scheduler.connections.redfish_documents import (
    Document,
    HostState,
    check_limit,
    chosen,
    control_limit_w,
    control_order,
    control_w,
    first_control,
    host_state,
    is_fitted,
    link,
    members,
    metrics_limit_w,
    metrics_order,
    metrics_w,
    reset_of,
    sensor_w,
    supply_w,
)
from scheduler.errors import HostRefused

T = TypeVar("T")

SAME_W: Final = 1.0  #: a limit is taken for what was asked up to this: controllers have whole watts
MOST_SUPPLIES: Final = 16
PATCHES: Final = 3  #: tries to set a limit while the document changes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Places:
    """Where things are."""

    system: str
    metrics: str | None = None
    power: str | None = None
    sensor: str | None = None
    supplies: tuple[str, ...] = ()  #: their metrics
    has_metrics_w: bool = False  #: EnvironmentMetrics shows the draw
    limits_by_metrics: bool = False


class RedfishHost:
    """Implements the port `HostPower`. Every method raises `HostError`."""

    def __init__(
        self, name: str, options: BmcOptions, *, base: Path, bmc: Callable[..., Bmc] | None = None
    ) -> None:
        self._options = options
        self._bmc = (bmc or Bmc)(name, options, base=base)
        self._known: _Places | None = None

    @property
    def name(self) -> str:
        """Of its node."""
        return self._bmc.name

    async def read_w(self) -> float:
        """What the machine draws now, W. Raises `HostRefused` where there is no reading, or one that cannot be."""
        return await self._at_its_place(self._read_w)

    async def state(self) -> HostState:
        """Whether it is on."""
        return await self._at_its_place(self._state)

    async def limit_w(self) -> float | None:
        """The limit that stands, W; None where none does."""
        return await self._at_its_place(self._limit_w)

    async def set_limit_w(self, limit_w: float | None) -> None:
        """Limit what it draws, None = no more. Raises `HostRefused` where it cannot, or says it did and did not."""
        await self._at_its_place(lambda places: self._set_limit_w(places, limit_w))

    async def turn_on(self) -> None:
        """Have it switched on. That it was accepted says nothing of whether it is done: see `state`."""
        await self._at_its_place(lambda places: self._switch(places, "On", "ForceOn"))

    async def turn_off(self, *, force: bool = False) -> None:
        """Have its system shut down, or its power cut."""
        await self._at_its_place(
            lambda places: self._switch(places, "ForceOff" if force else "GracefulShutdown")
        )

    async def close(self) -> None:
        """End what was opened for it."""
        self._known = None
        await self._bmc.close()

    # -- where things are ------------------------------------------------------------------------------------------

    async def _at_its_place(self, ask: Callable[[_Places], Awaitable[T]]) -> T:
        """Asked where it was found before; looked for anew where it is not there any more."""
        was_known = self._known is not None
        try:
            self._known = self._known or await self._find()
            return await ask(self._known)
        except Gone:
            self._known = None
            if not was_known:
                raise
            self._known = await self._find()
            return await ask(self._known)
        except Refused as error:
            raise HostRefused(f"{self.name}: {error}") from error

    async def _find(self) -> _Places:
        root = await self._bmc.get(ROOT)
        system = chosen(await self._collection(root, "Systems"), self._options.system, "system")
        path = await self._chassis(root, await self._bmc.get(system))
        return await self._in_chassis(_Places(system=system), path, await self._bmc.get(path))

    async def _collection(self, document: Document, name: str) -> list[str]:
        path = link(document, name)
        return [] if path is None else members(await self._bmc.get(path))

    async def _chassis(self, root: Document, system: Document) -> str:
        """The one that is named; else the first that the machine says it is in, which is its own."""
        of_system = system.get("Links")
        named = (
            members(of_system, "Chassis") if isinstance(of_system, dict) and "Chassis" in of_system else []
        )
        if self._options.chassis or not named:
            return chosen(await self._collection(root, "Chassis"), self._options.chassis, "chassis")
        return named[0]

    async def _in_chassis(self, places: _Places, path: str, chassis: Document) -> _Places:
        if self._options.sensor:
            places = replace(places, sensor=f"{path.rstrip('/')}/Sensors/{self._options.sensor}")
        metrics, power = link(chassis, "EnvironmentMetrics"), link(chassis, "Power")
        if metrics is not None:
            document = await self._bmc.get(metrics)
            places = replace(
                places,
                metrics=metrics,
                has_metrics_w=isinstance(document.get("PowerWatts"), dict),
                limits_by_metrics=isinstance(document.get("PowerLimitWatts"), dict),
            )
        if power is not None:
            places = replace(places, power=power)
        if not (places.has_metrics_w or places.power or places.sensor):
            places = replace(places, supplies=await self._supplies(chassis))
        return places

    async def _supplies(self, chassis: Document) -> tuple[str, ...]:
        """The metrics of each power supply that is fitted. One without any would be missing from the sum."""
        subsystem = link(chassis, "PowerSubsystem")
        if subsystem is None:
            return ()
        found = []
        for path in (await self._collection(await self._bmc.get(subsystem), "PowerSupplies"))[:MOST_SUPPLIES]:
            supply = await self._bmc.get(path)
            if is_fitted(supply):
                metrics = link(supply, "Metrics")
                if metrics is None:
                    raise Refused(f"{path} has no Metrics, and without them the sum would be too low")
                found.append(metrics)
        return tuple(found)

    # -- what is asked there ---------------------------------------------------------------------------------------

    async def _state(self, places: _Places) -> HostState:
        return host_state(await self._bmc.get(places.system))

    async def _read_w(self, places: _Places) -> float:
        max_w = self._options.max_w
        if places.sensor is not None:
            return sensor_w(await self._bmc.get(places.sensor), max_w=max_w)
        draw_w = None
        if places.metrics is not None and places.has_metrics_w:
            draw_w = metrics_w(await self._bmc.get(places.metrics), max_w=max_w)
        elif places.power is not None:
            draw_w = control_w(await self._bmc.get(places.power), max_w=max_w)
        elif places.supplies:
            draw_w = sum([supply_w(await self._bmc.get(path), max_w=max_w) for path in places.supplies])
        if draw_w is None:
            self._known = None  # some show none while the machine is off, and where to read it only then
            raise Refused("its chassis shows no power; name another chassis or a sensor, if it has one")
        return draw_w

    async def _limit_w(self, places: _Places) -> float | None:
        if places.limits_by_metrics and places.metrics is not None:
            return metrics_limit_w(await self._bmc.get(places.metrics))
        if places.power is None:
            raise Refused("its chassis has no limit of power that could be set")
        return control_limit_w(await self._bmc.get(places.power))

    async def _set_limit_w(self, places: _Places, limit_w: float | None) -> None:
        """As it was read just now: its tag goes with the order, so that nobody's change is overwritten unseen."""
        if limit_w is not None and not 0 < limit_w <= self._options.max_w:
            raise Refused(f"a limit of {limit_w:g} W is not within 0 and max_w = {self._options.max_w:g} W")
        for attempt in range(PATCHES):
            try:
                await self._patch_limit(places, limit_w)
                break
            except Changed:
                if attempt == PATCHES - 1:
                    raise
        found_w = await self._limit_w(places)
        if (found_w is None) != (limit_w is None) or abs((found_w or 0.0) - (limit_w or 0.0)) > SAME_W:
            raise Refused(f"it accepted a limit of {_said(limit_w)}, and shows {_said(found_w)}")

    async def _patch_limit(self, places: _Places, limit_w: float | None) -> None:
        if places.limits_by_metrics and places.metrics is not None:
            document = await self._bmc.get(places.metrics)
            if limit_w is not None:
                check_limit(document, limit_w)
            await self._bmc.patch(places.metrics, metrics_order(limit_w))
        elif places.power is not None:
            if first_control(await self._bmc.get(places.power)) is None:
                raise Refused("its chassis has no power control, so no limit can be set")
            await self._bmc.patch(places.power, control_order(limit_w))

    async def _switch(self, places: _Places, *ways: str) -> None:
        """In the first of these ways that it knows."""
        reset = reset_of(await self._bmc.get(places.system))
        way = next((w for w in ways if w in reset.allowed or not reset.allowed), None)
        if way is None:
            raise Refused(
                f"it can be switched by {', '.join(sorted(reset.allowed))}, and not by {' or '.join(ways)}"
            )
        await self._bmc.post(reset.target, {"ResetType": way})


def _said(limit_w: float | None) -> str:
    return "none" if limit_w is None else f"{limit_w:g} W"

"""The machines of a site by their own controllers: opened once each, when they are first asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from scheduler.connections.bmc_options import BmcSettings, bmc_of
from scheduler.core.ledger import exposure_w
from scheduler.core.orders import GroupKind
from scheduler.ports import Clock, HostPower
from scheduler.view import View

OpenHost = Callable[[str, BmcSettings, Path], HostPower]


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A node or a miner group, as one who adds up draws needs it."""

    group_id: str
    kind: GroupKind
    host: HostPower | None  #: None = it has no controller that we know of
    reported_w: float  #: by its guard, when last heard
    at_most_w: float  #: what its orders, and its last readings, let it draw


class Hosts:
    """The controllers that a site file names, by node."""

    def __init__(self, bmcs: Sequence[BmcSettings], base: Path, open_host: OpenHost | None = None) -> None:
        self._bmcs, self._base, self._open = tuple(bmcs), base, open_host or _over_redfish
        self._opened: dict[str, HostPower | None] = {}

    def of(self, node: str) -> HostPower | None:
        """The controller of a node, None where none is named. Raises `SettingsError` for one that makes no sense."""
        if node not in self._opened:
            bmc = bmc_of(self._bmcs, node)
            self._opened[node] = None if bmc is None else self._open(node, bmc, self._base)
        return self._opened[node]

    async def close(self) -> None:
        """End what was opened."""
        opened, self._opened = [h for h in self._opened.values() if h is not None], {}
        await asyncio.gather(*(h.close() for h in opened))


def devices(view: View, hosts: Hosts, clock: Clock) -> list[Device]:
    """All nodes and miner groups of the site as they are now."""
    at, fall_s = clock.now(), view.site.fall_s
    return [
        Device(
            group_id=gid,
            kind=group.spec.kind,
            host=hosts.of(gid) if group.spec.kind is GroupKind.NODE else None,
            reported_w=group.draw_w,
            at_most_w=exposure_w(group.account, at, fall_s=fall_s),
        )
        for gid, group in view.groups.items()
    ]


def _over_redfish(node: str, bmc: BmcSettings, base: Path) -> HostPower:
    # Only a site that has controllers imports their client.
    driver = import_module("scheduler.connections.redfish_host")
    host: HostPower = driver.RedfishHost(node, bmc.of(node), base=base)
    return host

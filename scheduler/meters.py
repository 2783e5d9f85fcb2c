"""Which driver stands behind the meters of a site file, and what devices report together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from importlib import import_module

from scheduler.core.ledger import exposure_w
from scheduler.core.orders import GroupKind
from scheduler.core.power import site_w
from scheduler.core.reasons import Event
from scheduler.core.snapshot import Group
from scheduler.equipment import ModbusMeterSettings, SumOfReports, WatchedMeter
from scheduler.errors import MeterError
from scheduler.hosts import Device
from scheduler.ports import Clock, Meter
from scheduler.settings import Site
from scheduler.signals.meter_simulated import SimulatedMeter
from scheduler.signals.meter_trusted import Link, TrustedMeter
from scheduler.view import View


def open_meter(
    site: Site,
    reports: Callable[[], float],
    *,
    devices: Callable[[], Sequence[Device]] = tuple,
    tell: Callable[[Event], None],
) -> Meter:
    """The meters that the site file describes, in their order; `reports` are the watts that devices report."""
    if isinstance(site.meter, SumOfReports):
        return SimulatedMeter(reports)
    links = [
        Link(name=m.name, meter=_driver(m, site, devices, tell), trust=m.trust(), poll_s=m.poll_s)
        for m in (site.meter, *site.meters_behind)
    ]
    return TrustedMeter(links, SimulatedMeter(reports, source="reports"), tell=tell)


def _driver(
    meter: WatchedMeter, site: Site, devices: Callable[[], Sequence[Device]], tell: Callable[[Event], None]
) -> Meter:
    if isinstance(meter, ModbusMeterSettings):
        return modbus_meter(meter)
    driver = import_module("scheduler.signals.meter_redfish")
    read: Meter = driver.RedfishMeter(meter.name, devices, site.policy(), tell=tell)
    return read


def modbus_meter(meter: ModbusMeterSettings) -> Meter:
    """The driver of a meter on Modbus TCP. Only a site that has one imports the client."""
    driver = import_module("scheduler.signals.meter_modbus")  # it reads of the options what the device needs
    read: Meter = driver.ModbusMeter(meter.name, meter)
    return read


def sum_of_reports(view: View, site: Site, clock: Clock) -> Callable[[], float]:
    """What the devices draw, with the hall's overhead.

    Raises `MeterError` until all were heard of since the start, for who is missing would count as 0 W; for no longer
    than a lease after the first was.
    """
    heard_at: datetime | None = None  # when the first was heard of

    def draw_w() -> float:
        nonlocal heard_at
        groups, at = view.groups.values(), clock.now()
        missing = [g.spec.group_id for g in groups if g.reported_at is None]
        if heard_at is None and len(missing) < len(groups):
            heard_at = at
        if missing and (heard_at is None or (at - heard_at).total_seconds() < view.site.lease_s):
            raise MeterError(f"{missing[0]} has not reported yet, so what the site draws is not known")
        it_w = sum(_drawn_w(g, at, view) for g in groups if g.spec.kind is GroupKind.NODE)
        miners_w = sum(_drawn_w(g, at, view) for g in groups if g.spec.kind is GroupKind.MINERS)
        power = site.power
        return site_w(it_w=it_w, miners_w=miners_w, overhead=power.overhead, auxiliary_w=power.auxiliary_w)

    return draw_w


def _drawn_w(group: Group, at: datetime, view: View) -> float:
    """As last told; a group that fell silent draws no more than what is left of its orders."""
    silent_s = (at - group.reported_at).total_seconds() if group.reported_at else 0.0
    if silent_s <= view.site.unreachable_after_s:
        return group.draw_w
    return min(group.draw_w, exposure_w(group.account, at, fall_s=view.site.fall_s))

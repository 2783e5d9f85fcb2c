"""What stands behind the ports in shadow mode: the twin in place of the cluster, and a judge beside each meter.

No driver of a device is opened here but the site's real meter, which is only read. Webhooks are not told either: for
whoever listens, a pause of the twin is none.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final

from scheduler.core.envelope import Limit
from scheduler.documents import in_force
from scheduler.equipment import ModbusMeterSettings
from scheduler.meters import modbus_meter
from scheduler.ports import Clock, Meter, Store
from scheduler.settings import Site
from scheduler.shadow import Books, RealMeter, ShadowStore, Watch
from scheduler.signals.meter_simulated import SimulatedMeter
from scheduler.store.desk import Desk
from scheduler.twin import Twin, works_of
from scheduler.view import View

_DAYS_KEPT_OPEN: Final = timedelta(days=1)


Run = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The parts of a service that are others in shadow mode."""

    twin: Twin
    store: Store
    meter: Meter  #: of the twin: what decisions are made from
    watch: Watch
    beside: tuple[Run, ...]


def set_stage(view: View, site: Site, store: Store, desk: Desk, clock: Clock) -> Stage:
    """The twin of all groups that the view knows, and the books where an earlier scheduler left them."""
    twin = Twin({gid: g.spec for gid, g in view.groups.items()}, site, works=works_of(view), clock=clock)
    real, read = _real_meter(site, clock)
    at = clock.now()
    days = {at.date(), (at - _DAYS_KEPT_OPEN).date()}
    kept = [books for day in days for books in desk.shadow_days(limit=1, day=day)]
    watch = Watch(
        Books(kept, view.attempts.values()),
        twin.draw,
        real,
        partial(_limit, view, clock),
        clock,
        reaction_s=site.power.reaction_s,
    )
    return Stage(
        twin=twin,
        store=ShadowStore(store, watch),
        meter=SimulatedMeter(lambda: twin.draw().draw_w, now=clock.now, source="twin"),
        watch=watch,
        beside=(twin.run, watch.run, *read),
    )


def _real_meter(site: Site, clock: Clock) -> tuple[RealMeter, tuple[Run, ...]]:
    """The site's own, alone, and who reads it: what the twin draws is no word on what the site does."""
    meter = site.meter
    if not isinstance(
        meter, ModbusMeterSettings
    ):  # what controllers of nodes read is held beside their orders
        return RealMeter(clock), ()
    real = RealMeter(clock, stale_after_s=meter.stale_after_s)
    return real, (partial(real.run, modbus_meter(meter), meter.poll_s),)


def _limit(view: View, clock: Clock) -> Limit:
    return in_force(view.snapshot(clock.now()))

"""Puts the parts of the service together: the only place that knows which driver stands behind which port."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from scheduler.clock import SystemClock
from scheduler.cluster import RayCluster
from scheduler.core.ledger import exposure_w
from scheduler.core.orders import GroupKind
from scheduler.core.power import site_w
from scheduler.core.reasons import Event
from scheduler.core.snapshot import Group
from scheduler.core.steady import AT_ONCE, SteadyRule
from scheduler.equipment import SumOfReports
from scheduler.errors import SettingsError
from scheduler.notify import Notifier
from scheduler.ports import Clock, Cluster, LimitSource, Meter
from scheduler.reconcile import Reconciler
from scheduler.settings import SignalSettings, Site, load_site
from scheduler.signals.meter_simulated import SimulatedMeter
from scheduler.signals.meter_trusted import TrustedMeter
from scheduler.steadying import Steadying
from scheduler.store.database import open_database
from scheduler.store.outbox import SqlOutbox
from scheduler.store.recorder import SqlStore
from scheduler.telling import Telling
from scheduler.view import View

#: type in the site file -> module with `open_source(name, options, *, base, reaction_s) -> LimitSource`
SOURCES: Mapping[str, str] = {
    "constant": "scheduler.signals.constant",
    "schedule_file": "scheduler.signals.schedule_file",
    "openadr3": "scheduler.signals.openadr3",
    "replay": "scheduler.signals.replay",
    "synthetic_day": "scheduler.signals.synthetic_day",
    "mqtt": "scheduler.signals.mqtt",
    "dsx_flex": "scheduler.signals.dsx_flex",
    "http_poll": "scheduler.signals.http_poll",
    "http_push": "scheduler.signals.http_push",
    "price": "scheduler.signals.price",
    "surplus": "scheduler.signals.surplus",
}
FLOORED = frozenset({"surplus"})  #: sources that are never below the firm level, unless they say otherwise
PLAYED = frozenset({"replay", "synthetic_day"})  #: sources that need to know when their day began
UNWATCHED = PLAYED | {"constant", "surplus"}  #: that never jump about, do on purpose, or climb by themselves


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A service, ready to run."""

    state: Path
    view: View
    reconciler: Reconciler
    cluster: Cluster
    store: SqlStore
    meter: Meter
    clock: Clock
    notifier: Notifier
    telling: Telling
    sources: tuple[tuple[LimitSource, float], ...]  #: with their poll periods, s
    steadying: Steadying  #: holds their rises back


async def assemble(state: Path, ray_address: str, *, holder: str) -> Parts:
    """Open the store, become leader, restore the view, connect to the guards."""
    site = load_site(state / "site.yaml")
    clock = SystemClock()
    engine = open_database(state / "barq.db")
    store = SqlStore(engine)
    epoch = await store.claim(holder, at=clock.now())
    sources = tuple((open_source(s, site, state), s.poll_s) for s in site.signals)
    names = [source.name for source, _ in sources]
    groups = site.groups(site.found_before(state))
    rules = {s.name or s.type: steady_rule(s) for s in site.signals}
    view = View(
        site.policy(),
        groups,
        epoch=epoch,
        at=clock.now(),
        sources=names,
        voluntary=site.voluntary_sources(),
        bound=site.bound_sources(),
    )
    stored = await store.load()
    view.restore(stored)
    cluster = await RayCluster.open(ray_address)
    reconciler = Reconciler(view=view, store=store, cluster=cluster, clock=clock, holder=holder)
    return Parts(
        state=state,
        view=view,
        reconciler=reconciler,
        cluster=cluster,
        store=store,
        meter=open_meter(site, _sum_of_reports(view, site, clock), tell=reconciler.watchman.tell),
        clock=clock,
        notifier=Notifier(SqlOutbox(engine), clock, allow_private=site.notify.allow_private),
        telling=Telling(
            [source for source, _ in sources],
            clock,
            snapshot=lambda: view.snapshot(clock.now()),
            offer=reconciler.offer,
            tell=reconciler.watchman.tell,
        ),
        sources=sources,
        steadying=Steadying(
            rules, reconciler.watchman.tell, firm_w=site.power.firm_w, firms_w=site.firm_of_bound_w()
        ),
    )


def steady_rule(settings: SignalSettings) -> SteadyRule:
    """How rises of a source are held back: as the site file says, or if it turns too often."""
    if settings.steady is not None:
        return settings.steady.rule()
    return AT_ONCE if settings.type in UNWATCHED else SteadyRule()


def open_source(settings: SignalSettings, site: Site, base: Path) -> LimitSource:
    """The source that a part of the site file describes. Raises `SettingsError` on an unknown type."""
    if settings.type not in SOURCES:
        raise SettingsError(f"signals.type: {settings.type!r} is not known; use one of {sorted(SOURCES)}")
    name, options = settings.name or settings.type, settings.options()
    if settings.type in PLAYED and "began_at" not in options:
        options["began_at"] = _first_opened(base, name).isoformat()
    if settings.type in FLOORED:
        options.setdefault("floor_w", site.firm_of_bound_w().get(name, site.power.firm_w))
    module = import_module(SOURCES[settings.type])
    source: LimitSource = module.open_source(name, options, base=base, reaction_s=site.power.reaction_s)
    return source


def _first_opened(base: Path, name: str) -> datetime:
    """When this site first opened a played source: a restarted scheduler goes on where the day is."""
    path = base / "run" / f"began-{name}.json"
    if not path.exists():
        path.write_text(json.dumps(datetime.now(UTC).isoformat()), encoding="utf-8")
    return datetime.fromisoformat(json.loads(path.read_text(encoding="utf-8")))


def open_meter(site: Site, reports: Callable[[], float], *, tell: Callable[[Event], None]) -> Meter:
    """The meter that the site file describes; `reports` are the watts that devices report, as far as it has none."""
    meter = site.meter
    if isinstance(meter, SumOfReports):
        return SimulatedMeter(reports)
    # Only a site that has one imports the client. The driver reads of the options what the device needs.
    driver = import_module("scheduler.signals.meter_modbus")
    metered: Meter = driver.ModbusMeter(meter.name, meter)
    reported = SimulatedMeter(reports, source="reports")
    return TrustedMeter(metered, reported, meter.trust(), name=meter.name, poll_s=meter.poll_s, tell=tell)


def _sum_of_reports(view: View, site: Site, clock: Clock) -> Callable[[], float]:
    """What the devices draw, with the hall's overhead."""

    def draw_w() -> float:
        groups, at = view.groups.values(), clock.now()
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


def wake_socket(state: Path) -> socket.socket:
    """The datagram socket on which the API says that something was written.

    It is named through its directory, for the kernel takes no long paths.
    """
    (state / "run" / "wake.sock").unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    directory = os.open(state / "run", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sock.bind(f"/proc/self/fd/{directory}/wake.sock")
    finally:
        os.close(directory)
    return sock

"""Puts the parts of the service together: the only place that knows which driver stands behind which port."""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from scheduler.clock import SystemClock, boot_id
from scheduler.cluster import RayCluster
from scheduler.core.hashprice import ChainFigures
from scheduler.core.steady import AT_ONCE, SteadyRule
from scheduler.errors import SettingsError
from scheduler.figures import open_sources
from scheduler.figures.keeping import FiguresKeeping
from scheduler.filler_settings import stated
from scheduler.forecasting.forecaster import Forecaster
from scheduler.hosts import Hosts, devices
from scheduler.inventories import Inventories
from scheduler.meters import open_meter, sum_of_reports
from scheduler.notify import Notifier
from scheduler.patience import PatientStore
from scheduler.ports import Clock, Cluster, FiguresBook, LimitSource, Meter, Prices
from scheduler.price_files import SitePrices
from scheduler.pricing import Pricing
from scheduler.reconcile import Reconciler
from scheduler.records import Stored
from scheduler.settings import Site, load_site
from scheduler.signal_settings import SignalSettings
from scheduler.stage import Run, set_stage
from scheduler.standby import StandbyCluster, Yard
from scheduler.steadying import Steadying
from scheduler.store.clocks import Reckoning
from scheduler.store.database import open_database
from scheduler.store.desk import Desk
from scheduler.store.figures import SqlFigures
from scheduler.store.forecasts import SqlForecasts
from scheduler.store.machines import SqlMachineBook
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

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A service, ready to run."""

    state: Path
    view: View
    reconciler: Reconciler
    cluster: Cluster
    store: SqlStore
    meter: Meter
    hosts: Hosts
    clock: Clock
    telling: Telling
    sources: tuple[tuple[LimitSource, float], ...]  #: with their poll periods, s
    steadying: Steadying  #: holds their rises back
    beside: tuple[Callable[[], Coroutine[Any, Any, None]], ...]  #: what else runs as long as the service does
    feeders: Mapping[str, str] = field(default_factory=dict)  #: that the site file names, by source


@dataclass(frozen=True, slots=True, kw_only=True)
class Acting:
    """What is another one in shadow mode, where nothing is acted."""

    loop: Reconciler
    meter: Meter
    machines: Inventories
    beside: tuple[Callable[[], Coroutine[Any, Any, None]], ...]
    told: tuple[LimitSource, ...]  #: sources that are told what the site does: never what a twin does


async def assemble(state: Path, ray_address: str, *, holder: str) -> Parts:
    """Open the store, become leader, restore the view, connect to the guards."""
    site = load_site(state / "site.yaml")
    clock = SystemClock()
    engine = open_database(site.database(state))
    store = SqlStore(engine)
    epoch = await _claim(store, clock, holder)
    sources = tuple((open_source(s, site, state), s.poll_s) for s in site.signals)
    view = _view(site, state, epoch, clock.now(), sources=[source.name for source, _ in sources])
    stored = await store.load()
    view.restore(stored)
    hosts = Hosts(site.bmcs, state)
    machines = partial(Inventories, book=SqlMachineBook(engine), view=view, clock=clock)
    lead = partial(Reconciler, view=view, clock=clock, holder=holder)
    if site.is_shadow:
        stage = set_stage(view, site, store, Desk(engine, site=site.name), clock)
        loop = lead(store=PatientStore(stage.store), cluster=stage.twin)
        acts = Acting(
            loop=loop, meter=stage.meter, machines=machines(stage.twin), beside=stage.beside, told=()
        )
    else:
        ray = await _connect(ray_address)
        standby = _standby(ray, hosts, site, view, clock, state)
        loop = lead(store=PatientStore(store), cluster=standby or ray)
        loop.standby_takes = standby is not None
        notifier = Notifier(SqlOutbox(engine), clock, allow_private=site.notify.allow_private)
        acts = Acting(
            loop=loop,
            meter=_meter(site, loop, hosts),
            machines=machines(ray),
            beside=(notifier.run, *(() if standby is None else (standby.run,))),
            told=tuple(source for source, _ in sources),
        )
        prices = SitePrices(site.price_series, state, figures=SqlFigures(engine).figures_at)
        acts = replace(acts, beside=(*acts.beside, _settle(loop, site, stored, prices)))
    loop.watchman.restore(stored.power_events)
    forecaster = Forecaster(site.forecast, SqlForecasts(engine), view.hindsight, clock, state=state)
    if site.reckons_revenue:
        keeping = _figures(site, SqlFigures(engine), loop, state)
        await keeping.look()  # so that the first decision has them
        acts = replace(acts, beside=(*acts.beside, keeping.run))
    return _parts(acts, forecaster, state=state, site=site, store=store, hosts=hosts, sources=sources)


def _view(site: Site, state: Path, epoch: int, at: datetime, *, sources: list[str]) -> View:
    """What is known before anything was heard: what the site file says."""
    view = View(
        site.policy(),
        site.groups(site.found_before(state)),
        epoch=epoch,
        at=at,
        sources=sources,
        voluntary=site.voluntary_sources(),
        bound=site.bound_sources(),
    )
    view.roll.stated_filler = stated(() if site.is_shadow else site.fillers)
    return view


async def _claim(store: SqlStore, clock: SystemClock, holder: str) -> int:
    """Become leader. What runs already began by the clock as it is now, if that was set meanwhile."""
    epoch = await store.claim(holder, at=clock.now())
    clock_of_now = Reckoning(boot_id=boot_id(), offset_s=clock.offset_s)
    by_s = await store.reckon(clock_of_now, at=clock.now())
    if by_s:
        log.warning("the clock was set by %+.1f s since the last leader: so is when its work began", by_s)
    return epoch


def _figures(site: Site, book: FiguresBook, loop: Reconciler, state: Path) -> FiguresKeeping:
    def take(figures: ChainFigures | None) -> None:
        loop.view.chain = figures

    sources = open_sources(site.revenue, base=state)
    return FiguresKeeping(sources, book, loop.clock, take=take, tell=loop.watchman.tell)


def _settle(loop: Reconciler, site: Site, stored: Stored, prices: Prices) -> Run:
    """Go on with the books of partners; returns what prices them."""
    running, measured = stored.settling, stored.measured
    loop.settling.open(site.contracts(), running=running, measured=measured, hours=stored.hours)
    return Pricing(loop.settling, prices, loop.clock).run


def _meter(site: Site, loop: Reconciler, hosts: Hosts) -> Meter:
    view, clock = loop.view, loop.clock
    reports = sum_of_reports(view, site, clock)
    return open_meter(site, reports, devices=lambda: devices(view, hosts, clock), tell=loop.watchman.tell)


def _parts(
    acts: Acting,
    forecaster: Forecaster,
    *,
    state: Path,
    site: Site,
    store: SqlStore,
    hosts: Hosts,
    sources: tuple[tuple[LimitSource, float], ...],
) -> Parts:
    """All together: the loop, what it reads, and what runs beside it."""
    loop = acts.loop
    view, clock, tell = loop.view, loop.clock, loop.watchman.tell
    telling = Telling(
        acts.told, clock, snapshot=lambda: view.snapshot(clock.now()), offer=loop.offer, tell=tell
    )
    rules = {s.name or s.type: steady_rule(s) for s in site.signals}
    return Parts(
        state=state,
        view=view,
        reconciler=loop,
        cluster=loop.cluster,
        store=store,
        meter=acts.meter,
        hosts=hosts,
        clock=clock,
        sources=sources,
        steadying=Steadying(rules, tell, firm_w=site.power.firm_w, firms_w=site.firm_of_bound_w()),
        telling=telling,
        beside=(*acts.beside, telling.run, forecaster.run, acts.machines.run),
        feeders={s.name or s.type: s.feeder for s in site.signals},
    )


async def _connect(ray_address: str) -> RayCluster:
    if not ray_address:
        raise SettingsError("--ray-address: is missing; only a site in shadow mode does without")
    return await RayCluster.open(ray_address)


def steady_rule(settings: SignalSettings) -> SteadyRule:
    """How rises of a source are held back: as the site file says, or if it turns too often."""
    if settings.steady is not None:
        return settings.steady.rule()
    return AT_ONCE if settings.type in UNWATCHED else SteadyRule()


def _standby(
    cluster: Cluster, hosts: Hosts, site: Site, view: View, clock: Clock, state: Path
) -> StandbyCluster | None:
    """Nodes of the site file are this machine, and so is what has its address: neither is ever switched off."""
    if not any(b.standby for b in site.bmcs):
        return None
    own = site.groups()
    here = frozenset({"127.0.0.1", "::1", "localhost", str(site.listen)})

    def is_member(gid: str) -> bool:
        """Of those that are leaving none is switched: somebody is at them."""
        return gid not in own and gid in view.roll.agreed and not view.groups[gid].cordoned

    yard = Yard(bmcs=site.bmcs, here=here, is_member=is_member)
    return StandbyCluster(cluster, hosts, yard, clock=clock, folder=state)


def check_sources(site: Site, base: Path) -> None:
    """Make each source as it will be opened, and keep none. Raises `SettingsError`, `OSError`."""
    for settings in site.signals:
        open_source(settings, site, base, first_at=datetime.now(UTC))


def open_source(
    settings: SignalSettings, site: Site, base: Path, *, first_at: datetime | None = None
) -> LimitSource:
    """The source that a part of the site file describes. Raises `SettingsError` on an unknown type.

    `first_at` = when a played day begins, None = when this site first opened it.
    """
    if settings.type not in SOURCES:
        raise SettingsError(f"signals.type: {settings.type!r} is not known; use one of {sorted(SOURCES)}")
    name, options = settings.name or settings.type, settings.options()
    if settings.type in PLAYED and "began_at" not in options:
        options["began_at"] = (first_at or _first_opened(base, name)).isoformat()
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

"""How soon the site acts on what a real peer says: `python -m benchmarks.sources --latency`.

The service itself (its poll loop, its loop of decisions, a database) in one process with a real peer of each source:
Mosquitto, HTTP servers, a VTN, pymodbus's server, files, the API. The cluster is a stub that writes down when each
order is handed to it; no Ray, no device. Seconds, by one clock:

    p50_s, p100_s   the giver's stamp, taken just before it tells a lower limit -> the order that lowers goes out
    bound_s         1 s where the giver says it; one period of asking and 1 s where it is asked
    silent_s        peer killed (or silent from then on) -> the order that goes down to min(last, firm)
    stale_after_s   as set here; the bound of `silent_s` is that, a period and 1 s more
"""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any, Final

from benchmarks.real_peers import FIRM_W, HIGH_W, PEERS, POLL_S, PeerKind
from scheduler.clock import SystemClock
from scheduler.core.orders import GroupKind, GroupSpec, GuardReport, Order
from scheduler.core.snapshot import SitePolicy
from scheduler.core.steady import AT_ONCE
from scheduler.hosts import Hosts
from scheduler.notify import Notifier
from scheduler.ports import LimitSource, ReportListener
from scheduler.reconcile import Reconciler
from scheduler.service import Service
from scheduler.signals.meter_simulated import SimulatedMeter
from scheduler.steadying import Steadying
from scheduler.store.database import open_database
from scheduler.store.outbox import SqlOutbox
from scheduler.store.recorder import SqlStore
from scheduler.telling import Telling
from scheduler.view import View
from scheduler.wiring import SOURCES, Parts
from tests.greedy_guard import GreedyGuard
from tests.stores import put_migrated

PATIENCE_S: Final = 60.0
REACTION_S: Final = 30.0
BEAT_S: Final = 0.5
POLICY: Final = SitePolicy(
    name="latency", firm_w=FIRM_W, margin=0.0, overhead=1.0, raise_delay_s=0.0, clock_uncertainty_s=0.0
)
SPEC: Final = GroupSpec(group_id="miners", kind=GroupKind.MINERS, base_w=0.0, miners_max_w=10_000.0)


class WritingCluster:
    """Writes down every order and when it was handed over; one guard that obeys at once."""

    def __init__(self) -> None:
        self.sent: list[tuple[float, float]] = []  #: (when, entitlement in W)
        self._guard = GreedyGuard(spec=SPEC, save_after_s=5.0, lag_ms=0)
        self._began_s = time.monotonic()
        self._listener: ReportListener | None = None

    async def deliver(self, orders: Sequence[Order], *, timeout_s: float) -> dict[str, GuardReport | str]:
        """The time is taken first."""
        del timeout_s
        at_s = time.time()
        for order in orders:
            self.sent.append((at_s, order.entitlement_w))
            self._guard.take(order, self._now_ms())
        return {order.group_id: self.report() for order in orders}

    def listen(self, on_report: ReportListener) -> None:
        self._listener = on_report

    async def close(self) -> None:
        self._listener = None

    async def beat(self) -> None:
        """The guard reports by itself."""
        while True:
            if self._listener is not None:
                self._listener(self.report())
            await asyncio.sleep(BEAT_S)

    def report(self) -> GuardReport:
        """What the guard says."""
        return self._guard.report(self._now_ms())

    def draw_w(self) -> float:
        """What it draws: all that it may."""
        return self.report().draw_w

    async def until(self, holds: Any, since_s: float) -> float:
        """When the first order went out, since then, for which that holds."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for at_s, watts in self.sent:
                    if at_s >= since_s and holds(watts):
                        return at_s
                await asyncio.sleep(0.005)

    def _now_ms(self) -> int:
        return round((time.monotonic() - self._began_s) * 1000)


async def parts_of(state: Path, cluster: WritingCluster, source: LimitSource) -> Parts:
    """A service over that source."""
    put_migrated(state / "barq.db")
    (state / "run").mkdir(exist_ok=True)
    clock, engine = SystemClock(), open_database(state / "barq.db")
    store = SqlStore(engine)
    epoch = await store.claim("latency", at=clock.now())
    view = View(POLICY, {SPEC.group_id: SPEC}, epoch=epoch, at=clock.now(), sources=[source.name])
    reconciler = Reconciler(view=view, store=store, cluster=cluster, clock=clock)
    tell = reconciler.watchman.tell
    telling = Telling(
        [source], clock, snapshot=lambda: view.snapshot(clock.now()), offer=reconciler.offer, tell=tell
    )
    return Parts(
        state=state,
        view=view,
        reconciler=reconciler,
        cluster=cluster,
        store=store,
        meter=SimulatedMeter(cluster.draw_w),
        clock=clock,
        hosts=Hosts((), state),
        telling=telling,
        beside=(Notifier(SqlOutbox(engine), clock).run, telling.run),
        sources=((source, POLL_S),),
        steadying=Steadying({source.name: AT_ONCE}, tell, firm_w=FIRM_W),
    )


async def measured(kind: type[PeerKind], *, falls: int, seed: int) -> dict[str, Any]:
    """The figures of one peer."""
    with tempfile.TemporaryDirectory(prefix="latency-") as folder:
        state, cluster = Path(folder), WritingCluster()
        (state / "run").mkdir()
        peer = kind(state, cluster.draw_w)
        async with peer.running() as options:
            name = options.get("name", kind.type)
            keys = {k: v for k, v in options.items() if k != "name"}
            module = import_module(SOURCES[kind.type])
            source = module.open_source(name, keys, base=state, reaction_s=REACTION_S)
            service = Service(await parts_of(state, cluster, source))
            tasks = [asyncio.ensure_future(t) for t in (service.run(), cluster.beat())]
            try:
                seconds = await _falls(peer, cluster, falls, random.Random(seed))
                silent_s = await _silence(peer, cluster)
            finally:
                service.stop()
                with suppress(asyncio.CancelledError):
                    await tasks[0]
                tasks[1].cancel()
    return {
        "source": kind.name,
        "falls": falls,
        "p50_s": round(median(seconds), 3),
        "p100_s": round(max(seconds), 3),
        "bound_s": 1.0 if kind.is_push else kind.period_s + 1.0,
        "silent_s": None if silent_s is None else round(silent_s, 2),
        "stale_after_s": kind.stale_after_s,
    }


async def _falls(peer: PeerKind, cluster: WritingCluster, falls: int, chance: random.Random) -> list[float]:
    seconds = []
    await cluster.until(lambda w: w >= 0.9 * HIGH_W, 0.0)
    for number in range(falls):
        await _repeated(peer, HIGH_W, chance.uniform(0.3, 1.5))
        limit_w = FIRM_W if number % 5 == 0 or "price" in peer.name else 100.0 * chance.randrange(20, 80)
        at_s = await peer.tell(limit_w)
        seconds.append(await cluster.until(lambda w, most_w=limit_w: w <= most_w, at_s) - at_s)
        at_s = await peer.tell(HIGH_W)
        await cluster.until(lambda w: w >= 0.9 * HIGH_W, at_s)
    return seconds


async def _repeated(peer: PeerKind, limit_w: float, rest_s: float) -> None:
    """Let so much time pass, in which the giver says it again as often as it does."""
    if peer.repeat_s is not None:
        await peer.say(limit_w)
    await asyncio.sleep(rest_s)


async def _silence(peer: PeerKind, cluster: WritingCluster) -> float | None:
    """None for one that is never stale."""
    if peer.stale_after_s is None:
        return None
    await _repeated(peer, HIGH_W, 0.0)
    at_s = time.time()
    await peer.kill()
    return await cluster.until(lambda w: w <= FIRM_W, at_s) - at_s


def run_latency(*, falls: int, seed: int, as_json: bool, only: Sequence[str]) -> int:
    """All peers, or those named. 0 when every one is within its bounds."""
    row = "{:<14} {:>5} {:>7} {:>7} {:>7} {:>9} {:>13}"
    keys = ("falls", "p50_s", "p100_s", "bound_s", "silent_s", "stale_after_s")
    if not as_json:
        print(row.format("source", *keys))
    late = 0
    for kind in PEERS:
        if only and kind.type not in only and kind.name not in only:
            continue
        figures = asyncio.run(measured(kind, falls=falls, seed=seed))
        shown = ["-" if figures[k] is None else figures[k] for k in keys]
        print(json.dumps(figures) if as_json else row.format(kind.name, *shown), flush=True)
        late += figures["p100_s"] > figures["bound_s"]
        if figures["silent_s"] is not None:
            late += figures["silent_s"] > figures["stale_after_s"] + kind.period_s + 1.0
    return 1 if late else 0

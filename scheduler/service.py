"""The scheduler's process: `python -m scheduler.service --state DIR --ray-address HOST:PORT`.

Becomes leader, then ticks: at least once a second, and at once when woken by a report, a limit, a person or the clock.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import socket
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from scheduler.core.envelope import at_feeder
from scheduler.core.given import Refusal
from scheduler.core.orders import GuardReport
from scheduler.errors import ClockWasSet, MeterError, SignalError, StaleEpoch
from scheduler.garbage import sweep, uncollected
from scheduler.hearing import Hearing
from scheduler.ports import LimitSource, ListeningSource, PushedSource
from scheduler.wiring import Parts, assemble, wake_socket

log = logging.getLogger(__name__)

TICK_S = 1.0
GATHER_S = 0.05  #: events that come within this long share a tick
BURST_GAP_S = 0.03  #: requests that follow each other this closely are one burst: they share a tick, too,
BURST_S = (
    2 * TICK_S
)  #: up to this long: whoever starts jobs meanwhile takes the processor from who submits them
SWEEP_S = 60.0
METER_S = 0.25
CLOCK_WAS_SET = 4  #: exit code: whoever keeps the service starts another, by the new time
NEWS_GAP_S = (
    0.1  #: between readings of a source that says when it has news: one that never stops is no burden
)


class Service:
    """Feeds the view from its pollers and runs the loop."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._woken = asyncio.Event()
        self._urged = asyncio.Event()
        self._stopped = asyncio.Event()
        self._requests = self._seen_requests = 0
        self._swept_s = float("-inf")
        self._hearing = Hearing(parts.reconciler.watchman.tell, self._note_refused)

    def wake(self, *, at_once: bool = False) -> None:
        """Have the next tick soon; `at_once` for a limit. Losing this costs one period, never correctness."""
        self._woken.set()
        if at_once:
            self._urged.set()

    def stop(self) -> None:
        """End after the tick in progress."""
        self._stopped.set()
        self.wake(at_once=True)

    async def run(self) -> None:
        """Tick until stopped, or until another leader takes over. What breaks beside a source ends the service too."""
        self.parts.cluster.listen(self._on_report)
        pollers = [self._poll(s, poll_s) for s, poll_s in self.parts.sources]
        work = [self._tick_until_stopped(), *pollers, self._poll_meter(), self._hear_wakes()]
        work += [run() for run in self.parts.beside]
        tasks = [asyncio.ensure_future(w) for w in work]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await self._close(tasks)

    async def _close(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._close_sources()
        await self.parts.reconciler.close()
        await self.parts.cluster.close()
        self.parts.store.close()

    async def _close_sources(self) -> None:
        listening = [s for s, _ in self.parts.sources if isinstance(s, ListeningSource)]
        ended = await asyncio.gather(*(s.close() for s in listening), return_exceptions=True)
        for source, error in zip(listening, ended, strict=True):
            if isinstance(error, BaseException):
                log.warning("source %s: cannot be closed: %s", source.name, error)
        await self.parts.meter.close()
        await self.parts.hosts.close()

    async def _tick_until_stopped(self) -> None:
        while not self._stopped.is_set():
            self._woken.clear()
            self._urged.clear()
            with uncollected():
                decision = await self.parts.reconciler.tick()
            self.parts.telling.decided(decision)
            self._sweep()
            await self._rest(decision.wake_at)

    def _sweep(self) -> None:
        """Look for garbage between decisions now and then, so that no decision stops to look through the whole site."""
        now_s = self.parts.clock.monotonic_s()
        if now_s - self._swept_s >= SWEEP_S:
            self._swept_s = now_s
            sweep()

    async def _rest(self, wake_at: datetime | None) -> None:
        """Until woken, or a second, or the instant that the decision named."""
        clock = self.parts.clock
        until_s = (
            TICK_S if wake_at is None else min(TICK_S, max(0.0, (wake_at - clock.now()).total_seconds()))
        )
        with suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), timeout=until_s)
        await self._gather(wake_at)

    async def _gather(self, wake_at: datetime | None = None) -> None:
        """Let what comes together share a tick, also all of a burst of requests. What is urgent waits for nothing.

        A burst holds up no tick that is due at `wake_at`, as for a limit that falls then.
        """
        clock, begun_s, before = self.parts.clock, self.parts.clock.monotonic_s(), self._seen_requests
        longest_s = BURST_S if wake_at is None else min(BURST_S, (wake_at - clock.now()).total_seconds())
        while not self._urged.is_set():
            is_burst = self._requests != before
            before = self._requests
            with suppress(TimeoutError):
                await asyncio.wait_for(self._urged.wait(), timeout=BURST_GAP_S if is_burst else GATHER_S)
            if self._requests == before or clock.monotonic_s() - begun_s >= longest_s:
                break
        self._seen_requests = self._requests

    def _on_report(self, report: GuardReport) -> None:
        if self.parts.reconciler.on_report(report):
            self.wake()

    def _note_refused(self, source: str, refusal: Refusal, at: datetime) -> None:
        if source not in self.parts.view.bound:  # what is told of a domain instructs nobody
            self.parts.view.dispatch.note_refused(source, refusal.giver_id, str(refusal), at)

    # -- pollers -------------------------------------------------------------------------------------------------

    async def _poll(self, source: LimitSource, poll_s: float) -> None:
        """Keep one source's envelope fresh. One that cannot be read goes stale by itself: that is a value."""
        while True:
            await self.look(source)
            await self._until_next(source, poll_s)

    async def look(self, source: LimitSource) -> None:
        """Read a source once, and take in what it says, or that it says nothing."""
        try:
            await self._read(source)
        except SignalError as error:
            log.warning("source %s: %s", source.name, error)
            self._hearing.failed(source, error, self.parts.clock.now())
        except ClockWasSet:
            raise
        except Exception as error:  # a fault of ours in one source: it goes stale, the others stand
            log.exception("source %s: reading it failed", source.name)
            why = f"an error in Barq: {type(error).__name__}; see the scheduler's log, and report it"
            self._hearing.failed(source, SignalError(why), self.parts.clock.now())

    async def _until_next(self, source: LimitSource, poll_s: float) -> None:
        """For `poll_s`, or less where the source says that there is something new."""
        if not isinstance(source, PushedSource):
            await self.parts.clock.sleep_s(poll_s)
            return
        await self.parts.clock.sleep_s(min(NEWS_GAP_S, poll_s))
        with suppress(TimeoutError):
            await asyncio.wait_for(source.news(), timeout=max(0.0, poll_s - NEWS_GAP_S))

    async def _read(self, source: LimitSource) -> None:
        view = self.parts.view
        told = await source.read(self.parts.clock.now())
        told = at_feeder(told, self.parts.feeders.get(source.name, ""))
        self._hearing.heard(source, self.parts.clock.now())
        known = view.envelopes.get(source.name)
        envelope = self.parts.steadying.taken(told, self.parts.clock.now(), known=known)
        view.hear(told, self.parts.clock.now(), counts=envelope)
        if known is None or (known.segments, known.valid_until) != (envelope.segments, envelope.valid_until):
            self.wake(at_once=True)

    async def _poll_meter(self) -> None:
        said = ""
        while True:
            try:
                await self._read_meter()
                said = ""
            except MeterError as error:
                if said != (said := str(error)):  # four times a second it would say the same
                    log.warning("meter: %s", error)
            await self.parts.clock.sleep_s(METER_S)

    async def _read_meter(self) -> None:
        reading = await self.parts.meter.read()
        self.parts.reconciler.on_meter(reading)
        self.parts.telling.measured(reading)

    async def _hear_wakes(self) -> None:
        """Datagrams from the API: only that something was written, never what."""
        loop = asyncio.get_running_loop()
        with wake_socket(self.parts.state) as sock:
            while True:
                word = await loop.sock_recv(sock, 64)
                self._requests += 1
                self.wake(at_once=word == b"now")


async def serve(state: Path, ray_address: str) -> int:
    """Run the service until SIGTERM. Returns the exit code: 3 when another leader took over, or `CLOCK_WAS_SET`."""
    parts = await assemble(state, ray_address, holder=f"{socket.gethostname()}")
    service = Service(parts)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, service.stop)
    try:
        await service.run()
    except StaleEpoch as error:
        log.warning("stopping: %s", error)
        return 3
    except ClockWasSet as error:
        log.warning("%s", error)
        return CLOCK_WAS_SET
    return 0


def main() -> int:
    """Entry point of the process."""
    parser = argparse.ArgumentParser(description="Barq's scheduler service")
    parser.add_argument("--state", type=Path, required=True, help="state directory of the site")
    parser.add_argument(
        "--ray-address", default="", help="HOST:PORT of the site's own Ray; a shadow has none"
    )
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    return asyncio.run(serve(args.state, args.ray_address))


if __name__ == "__main__":
    raise SystemExit(main())

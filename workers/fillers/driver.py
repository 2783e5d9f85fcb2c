"""The program on one GPU, started and ended beside the guard, which never waits for it.

The guard says what it wants and looks at what is so; the program is dealt with on an event loop of another thread. A
program that ends by itself, or cannot be started, is tried again later, each time after twice as long.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from scheduler.core.orders import GpuReading
from workers.miners.gpu_miner import Filler, GpuMiner
from workers.miners.port import MachineReading, MinerError, MinerState
from workers.processes import ProcessId

_READ_S: Final = 1.0
_VACATE_S: Final = 5.0
_RETRY_S: Final = 10.0
_LONGEST_RETRY_S: Final = 320.0
_STEADY_S: Final = 60.0  #: who ran so long begins anew with `_RETRY_S`
_LOG_BYTES: Final = (
    8 << 20
)  #: a log that grew beyond is cut to its end: the guard needs the disk for its memory
_LOG_KEPT_BYTES: Final = 1 << 16

log = logging.getLogger("barq.fillers")


class Driver:
    """What is wanted of a program is said from the guard's thread, all else is done on `loop`."""

    def __init__(
        self, filler: Filler, gpus: Callable[[], Sequence[GpuReading]], loop: asyncio.AbstractEventLoop
    ) -> None:
        self.filler = filler
        self._miner = GpuMiner(filler, gpus)
        self._loop = loop
        self._bell = asyncio.Event()
        self._lock = threading.Lock()
        self._is_wanted = False
        self._is_there = True  #: until it was looked for
        self._retry_at_s = 0.0
        self._retry_s = _RETRY_S
        self._began_s = 0.0
        self.needs_proof = False  #: it ran, so that its GPU must be seen to be free
        self.fault = ""  #: why it did not run when it was last to
        self.why = ""  #: why its GPU is not free although it was ended
        self.reading: MachineReading | None = None

    @property
    def main(self) -> ProcessId | None:
        """Its first process."""
        return self._miner.main

    @property
    def is_gone(self) -> bool:
        """Whether no process of it is left, and none will come."""
        return not self._is_there

    @property
    def is_ready(self) -> bool:
        """Whether it may be started, or runs: not for a while after it failed."""
        return time.monotonic() >= self._retry_at_s

    def start(self) -> None:
        """Have it run."""
        with self._lock:
            self._is_wanted = self._is_there = self.needs_proof = True
        self._loop.call_soon_threadsafe(self._bell.set)

    def end(self) -> None:
        """Have it end, with all that it started."""
        with self._lock:
            self._is_wanted = False
        self._loop.call_soon_threadsafe(self._bell.set)

    async def run(self, ended: asyncio.Event) -> None:
        """Bring about what is wanted, until `ended`; then end the program."""
        while not ended.is_set():
            self._bell.clear()
            try:
                await (self._keep_up() if self._is_wanted else self._clear())
            except Exception:
                log.exception("%s: looked at again in %g s", self.filler.name, _READ_S)
            try:
                await asyncio.wait_for(self._bell.wait(), _READ_S)
            except TimeoutError:
                continue
        self.end()
        await self._miner.end(patience_s=_VACATE_S)  # nobody reads the GPUs any more
        await self._miner.close()

    def wake(self) -> None:
        """Look again at once."""
        self._bell.set()

    async def _keep_up(self) -> None:
        """See that it runs. Who ended is not started again before it was cleared away."""
        if not self.is_ready:
            return
        if self._began_s == 0.0:
            self._began_s = time.monotonic()
            log.info("%s: starts", self.filler.name)
            try:
                await self._miner.wake()
            except (MinerError, OSError) as error:
                self._failed(str(error))
                return
        keep_end(self.filler.log_path, _LOG_BYTES, _LOG_KEPT_BYTES)
        reading = await self._miner.read()
        if reading.state is MinerState.FAULTED:
            self._failed(f"{self.filler.name}: {reading.fault}")
            return
        self.reading = reading
        if time.monotonic() - self._began_s >= _STEADY_S:
            self.fault, self._retry_s = "", _RETRY_S

    async def _clear(self) -> None:
        self.reading = None
        if not self._is_there:
            return
        if self._miner.is_there():
            self.needs_proof = True
        if self.needs_proof:
            vacancy = await self._miner.vacate(patience_s=_VACATE_S)
            self.why = vacancy.why
        self._began_s = 0.0
        with self._lock:
            if not self._is_wanted and not self._miner.is_there():
                self._is_there = False

    def _failed(self, why: str) -> None:
        log.warning("%s; tried again in %g s", why, self._retry_s)
        self.fault = f"{why}; tried again after {self._retry_s:g} s"
        self._retry_at_s = time.monotonic() + self._retry_s
        self._retry_s = min(2 * self._retry_s, _LONGEST_RETRY_S)


def keep_end(path: Path, most_bytes: int, kept_bytes: int) -> None:
    """Cut a file that others append to, once it is longer than `most_bytes`. Raises OSError."""
    if not path.exists():  # a person took it away
        return
    with path.open("r+b") as file:
        length = file.seek(0, os.SEEK_END)
        if length <= most_bytes:
            return
        file.seek(length - kept_bytes)
        kept = file.read(kept_bytes)
        file.truncate(0)
        file.seek(0)
        file.write(kept)

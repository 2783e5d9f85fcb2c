"""The program on one GPU, dealt with beside the guard: real processes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from scheduler.core.orders import GpuReading
from tests.waiting import wait_until
from workers.fillers.driver import Driver
from workers.miners.gpu_miner import Filler

PATIENCE_S = 60.0
NUMBERS = iter(range(1000))


def rest() -> list[GpuReading]:
    """A GPU that nobody has."""
    return [GpuReading(gpu_id="g0", draw_w=55.0, cap_w=100.0, processes=0)]


@asynccontextmanager
async def driven(
    log_path: Path, *command: str, gpus: Callable[[], list[GpuReading]] = rest
) -> AsyncIterator[Driver]:
    """A driver at work, until the test is over."""
    name = f"test-driver-{os.getpid()}-{next(NUMBERS)}"
    filler = Filler(name=name, command=command, gpu_ids=("g0",), log_path=log_path, term_s=0.2)
    driver, ended = Driver(filler, gpus, asyncio.get_running_loop()), asyncio.Event()
    works = asyncio.create_task(driver.run(ended))
    try:
        yield driver
    finally:
        ended.set()
        driver.wake()
        await works


async def test_one_that_cannot_be_started_at_all_is_told_of(tmp_path: Path) -> None:
    """Its GPU is not kept for it meanwhile."""
    async with driven(tmp_path / "no-such-directory" / "log", "sleep", "600") as driver:
        driver.start()
        await wait_until(lambda: driver.fault, timeout_s=PATIENCE_S)

        assert not driver.is_ready
        assert "no-such-directory" in driver.fault


async def test_what_it_says_does_not_fill_the_disk(tmp_path: Path) -> None:
    """It is cut while the program goes on writing."""
    log = tmp_path / "log"
    log.write_bytes(b"old" * 20_000_000)
    async with driven(log, "sh", "-c", "while :; do echo newest; sleep 0.1; done") as driver:
        driver.start()
        await wait_until(
            lambda: log.stat().st_size < 10_000_000 and b"newest" in log.read_bytes(), timeout_s=PATIENCE_S
        )

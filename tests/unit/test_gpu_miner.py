"""A mining program on idle GPUs: real processes, real signals, and GPUs that free their memory late."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scheduler.core.orders import GpuReading, GpuSensors
from tests.waiting import wait_for, wait_until
from workers.miners.gpu_miner import MARK, Filler, GpuMiner, HttpApi
from workers.miners.port import Capabilities, MachineReading, MinerState, Refused
from workers.processes import ProcessId, ProcessTable, carrying, is_alive, send

PATIENCE_S = 60.0
PROGRAM = str(Path(__file__).parent.parent / "miners" / "xmrig.py")
TOKEN = "secret"  # noqa: S105 (of an emulated program)


class Gpus:
    """One GPU: used by whatever bears the mark, and a little longer."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.others = 0
        self.frees_after = 0  #: looks at it, once the program is gone
        self.is_lost = False
        self._held = 0

    def __call__(self) -> list[GpuReading]:
        runs = bool(bearing(self.name))
        self._held = self.frees_after if runs else max(0, self._held - 1)
        used = GpuSensors(memory_used_bytes=2 << 30 if runs or self._held else 0, pids=(4711,) * self.others)
        return [
            GpuReading(
                gpu_id="GPU-0",
                draw_w=300.0 if runs else 50.0,
                cap_w=700.0,
                processes=self.others + runs,
                lost=self.is_lost,
                sensors=used,
            )
        ]


@pytest.fixture
def name() -> Iterator[str]:
    """A name that no other test has; whatever bears it ends with the test."""
    name = f"test-{os.getpid()}-{next(NUMBERS)}"
    yield name
    for process in bearing(name):
        send(process, signal.SIGKILL)


NUMBERS = iter(range(1000))


@pytest.fixture
def gpus(name: str) -> Gpus:
    """Idle at first."""
    return Gpus(name)


def filler(name: str, directory: Path, *how: str, api: bool = True, term_s: float = PATIENCE_S) -> Filler:
    """The emulated XMRig, or with `how` another program."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = int(taken.getsockname()[1])
    command = how if how[:1] == ("sh",) else (sys.executable, PROGRAM, str(port), TOKEN, *how)
    return Filler(
        name=name,
        command=command,
        gpu_ids=("GPU-0",),
        log_path=directory / "filler.log",
        api=HttpApi(port=port, token=TOKEN) if api else None,
        term_s=term_s,
    )


async def seen(miner: GpuMiner, holds: Callable[[MachineReading], object]) -> MachineReading:
    """The first reading of which it holds."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds(reading := await miner.read()):  # noqa: ASYNC110 - programs start without a word
            await asyncio.sleep(0.02)
    return reading


def bearing(name: str) -> set[ProcessId]:
    """The processes of a filler."""
    return carrying(f"{MARK}={name}")


def environment_of(process: ProcessId) -> list[bytes]:
    """What it was started with."""
    return Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")


async def test_it_mines_sleeps_and_makes_room(name: str, gpus: Gpus, tmp_path: Path) -> None:
    """By the draw of the GPUs that it was given. Paused it keeps its memory; for an AI job that is seen to be free."""
    miner = GpuMiner(filler(name, tmp_path), gpus, deadline_s=30.0)
    await miner.wake()
    mining = await seen(miner, lambda reading: reading.hashrate_th)
    assert (mining.state, mining.draw_w, mining.is_metered) == (MinerState.RUNNING, 300, True)
    assert mining.hashrate_th == pytest.approx(12e-9)
    assert [pool.url for pool in mining.pools] == ["pool.example:3333"]
    [process] = bearing(name)
    assert b"CUDA_VISIBLE_DEVICES=GPU-0" in environment_of(process)

    await miner.sleep()
    assert (await miner.read()).state is MinerState.ASLEEP
    await miner.wake()
    assert (await miner.read()).state is MinerState.RUNNING
    assert bearing(name) == {process}

    gpus.frees_after = 4
    await miner.sleep()
    vacancy = await miner.vacate(patience_s=PATIENCE_S)
    assert vacancy.is_free, vacancy
    assert not bearing(name)
    resting = await miner.read()
    assert (resting.state, resting.draw_w) == (MinerState.ASLEEP, 0)
    await miner.close()


async def test_memory_that_stays_in_use_is_told(name: str, gpus: Gpus, tmp_path: Path) -> None:
    """No AI job starts on it; so it is with a GPU that does not answer."""
    gpus.others = 1
    vacancy = await GpuMiner(filler(name, tmp_path), gpus).vacate(patience_s=0.1)
    assert (vacancy.is_free, "1 processes (PID 4711)" in vacancy.why) == (False, True)

    gpus.is_lost = True
    assert "does not answer" in (await GpuMiner(filler(name, tmp_path), gpus).vacate(patience_s=0.1)).why


async def test_it_starts_on_idle_gpus_alone(name: str, gpus: Gpus, tmp_path: Path) -> None:
    """Where somebody computes it stays out."""
    gpus.others = 1
    with pytest.raises(Refused, match="idle GPUs alone"):
        await GpuMiner(filler(name, tmp_path), gpus).wake()
    assert not bearing(name)


async def test_one_that_cannot_be_paused_is_ended(name: str, gpus: Gpus, tmp_path: Path) -> None:
    """With SIGKILL where SIGTERM does not help."""
    spec = filler(name, tmp_path, "stubborn", "restricted", term_s=0.1)
    miner = GpuMiner(spec, gpus, deadline_s=30.0)
    await miner.wake()
    await seen(miner, lambda reading: reading.hashrate_th)
    await miner.sleep()

    await wait_until(lambda: not bearing(name), timeout_s=PATIENCE_S)
    assert (await miner.vacate(patience_s=PATIENCE_S)).is_free
    assert (await miner.read()).state is MinerState.ASLEEP
    await miner.close()


async def test_one_that_ended_by_itself_is_faulted(name: str, gpus: Gpus, tmp_path: Path) -> None:
    """With its exit code and where to look; it can be started again."""
    miner = GpuMiner(filler(name, tmp_path, "sh", "-c", "echo no GPU; exit 3", api=False), gpus)
    await miner.wake()
    ended = await seen(miner, lambda reading: "with 3" in reading.fault)

    assert ended.state is MinerState.FAULTED
    assert (tmp_path / "filler.log").read_text() == "no GPU\n"
    await miner.wake()
    assert (await miner.vacate(patience_s=PATIENCE_S)).is_free


async def test_a_program_that_is_not_there_is_refused(name: str, gpus: Gpus, tmp_path: Path) -> None:
    """By its name."""
    spec = Filler(name=name, command=("no-such-miner",), gpu_ids=("GPU-0",), log_path=tmp_path / "log")
    with pytest.raises(Refused, match="no-such-miner"):
        await GpuMiner(spec, gpus).wake()


async def test_what_its_children_started_ends_too(name: str, gpus: Gpus, tmp_path: Path) -> None:
    """Even in a session of its own, and with the first process gone."""
    spec = filler(name, tmp_path, "sh", "-c", "setsid sleep 600 & exit 0", api=False)
    miner = GpuMiner(spec, gpus)
    await miner.wake()
    await wait_until(lambda: len(bearing(name)) == 1, timeout_s=PATIENCE_S)
    assert (await miner.read()).state is MinerState.RUNNING

    again = GpuMiner(spec, gpus)  # as after the guard was started anew
    assert (await again.vacate(patience_s=PATIENCE_S)).is_free
    assert (await miner.vacate(patience_s=PATIENCE_S)).is_free


DETACHED = "(env -i setsid sleep 600 & ) ; sleep 0.1; exec env -i sleep 600"


@pytest.mark.parametrize("how", ["exec env -i sleep 600", DETACHED])
async def test_one_that_wipes_its_mark_ends_too(name: str, gpus: Gpus, tmp_path: Path, how: str) -> None:
    """Also with its parent gone and in a session of its own: all that it started stays below its keeper."""
    miner = GpuMiner(filler(name, tmp_path, "sh", "-c", how, api=False, term_s=0.5), gpus)
    await miner.wake()
    assert miner.main is not None
    started = await wait_until(
        lambda: unmarked(name, miner.main, how.count("sleep 600")), timeout_s=PATIENCE_S, what="they detached"
    )
    assert (await miner.read()).state is MinerState.RUNNING
    await miner.vacate(patience_s=PATIENCE_S)
    left = {process for process in started if is_alive(process)}
    for process in left:
        send(process, signal.SIGKILL)

    assert left == set()
    assert not miner.is_there()


def unmarked(name: str, keeper: ProcessId | None, count: int) -> set[ProcessId]:
    """The keeper's descendants, once they are so many and none bears the mark any more."""
    assert keeper is not None
    table = ProcessTable()
    table.refresh(is_full=True)
    below = {stat.id for stat in table.below(keeper.pid)}
    return below if len(below) == count and not bearing(name) else set()


GUARD = """
import asyncio, sys
from pathlib import Path
from scheduler.core.orders import GpuReading
from workers.miners.gpu_miner import Filler, GpuMiner
async def main():
    gpus = lambda: [GpuReading(gpu_id="GPU-0", draw_w=50.0, cap_w=700.0, processes=0)]
    deaf = ("sh", "-c", "trap '' TERM; sleep 600 & wait; sleep 600")
    spec = Filler(
        name=sys.argv[1], command=deaf, gpu_ids=("GPU-0",), log_path=Path(sys.argv[2]), term_s=0.1
    )
    await GpuMiner(spec, gpus).wake()
    print("mines", flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


def test_it_dies_with_the_guard(name: str, tmp_path: Path) -> None:
    """With all that it started: a guard that is killed leaves nobody who could let it sleep."""
    command = [sys.executable, "-c", GUARD, name, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as guard:
        assert guard.stdout is not None
        assert guard.stdout.readline() == b"mines\n"
        wait_for(lambda: len(bearing(name)) > 1, timeout_s=PATIENCE_S, what="its child runs")
        guard.kill()

    wait_for(lambda: not bearing(name), timeout_s=PATIENCE_S)


@pytest.mark.parametrize("order", ["set_target_w", "set_percent"])
async def test_it_takes_no_watts(gpus: Gpus, tmp_path: Path, order: str) -> None:
    """Its GPUs have caps; it can sleep and no more."""
    miner = GpuMiner(filler("never-started", tmp_path), gpus)

    assert (await miner.identify()).capabilities == Capabilities(pause=True)
    with pytest.raises(Refused, match="cap its GPUs"):
        await getattr(miner, order)(80.0)

"""NVIDIA GPUs keep the contract of GPU drivers, over a fake of the driver's library, and survive what it does."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pynvml
import pytest

from scheduler.core.orders import GpuReading, GpuSlot
from scheduler.core.power import A100_SXM, PowerLimits
from tests.contract.gpu_driver import GpuDriverContract
from tests.fake_nvml import OLD, FakeLibrary, gpus, installed
from tests.waiting import wait_for
from workers.gpu.nvml import NvmlGpus, Patience
from workers.gpu.port import GpuDriver
from workers.nvml.errors import GpuForbidden, GpuLost, GpuSilent
from workers.processes import ProcessTree

LIMITS = PowerLimits(min_w=100.0, max_w=400.0, idle_w=60.0)
QUICK = Patience(opening_s=30.0, reading_s=30.0, setting_s=30.0, stale_s=2.0, return_s=5.0)
HASTY = replace(QUICK, opening_s=0.05, reading_s=0.05, setting_s=0.05)


class Clock:
    """Moves when it is told."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    """The driver's own time."""
    return Clock()


@pytest.fixture
def library() -> Iterator[FakeLibrary]:
    """A machine with three A100."""
    library = FakeLibrary(*gpus(3))
    with installed(library):
        yield library


@pytest.fixture
def opened(library: FakeLibrary, clock: Clock) -> Iterator[Callable[..., NvmlGpus]]:
    """Opens drivers for the GPUs of the machine, and lets their threads end."""
    drivers: list[NvmlGpus] = []

    def opened(patience: Patience = QUICK, limits: PowerLimits = LIMITS) -> NvmlGpus:
        slots = [GpuSlot(gpu_id=g.uuid, model=A100_SXM.name, limits=limits) for g in library.gpus]
        drivers.append(NvmlGpus(slots, patience=patience, clock=clock))
        return drivers[-1]

    yield opened
    for driver in drivers:
        driver.close()
    wait_for(
        lambda: not any(t.name.startswith("gpu ") for t in threading.enumerate()),
        timeout_s=60,
        what="no thread is left",
    )


def first(driver: NvmlGpus) -> GpuReading:
    """The reading of the first GPU."""
    return driver.readings()[0]


class TestNvmlGpus(GpuDriverContract):
    """NVIDIA GPUs as drivers."""

    @pytest.fixture
    def driver(self, opened: Callable[..., NvmlGpus], library: FakeLibrary) -> NvmlGpus:
        """Three free GPUs."""
        self.library = library
        return opened()

    def occupy(self, driver: GpuDriver, gpu_id: str, tree: ProcessTree) -> None:
        """The library sees processes by itself."""
        gpu = next(g for g in self.library.gpus if g.uuid == gpu_id)
        gpu.processes = lambda: {p.id.pid: 1 << 30 for p in tree.members}


def test_all_that_a_gpu_tells_is_read(library: FakeLibrary, opened: Callable[..., NvmlGpus]) -> None:
    """Draw, enforced cap, energy, heat, clocks, and who computes with how much memory."""
    library.gpus[0].processes = lambda: {7: 1000, 4: 24}
    reading = first(opened())

    assert (reading.draw_w, reading.cap_w, reading.processes, reading.lost) == (60.0, 400.0, 2, False)
    assert reading.sensors is not None
    assert (reading.sensors.energy_wh, reading.sensors.temperature_c) == (2.0, 41.0)
    assert (reading.sensors.sm_clock_mhz, reading.sensors.memory_clock_mhz) == (210.0, 1593.0)
    assert (reading.sensors.pids, reading.sensors.memory_used_bytes) == ((4, 7), 1024)


def test_memory_is_told_of_those_who_compute_now(
    library: FakeLibrary, opened: Callable[..., NvmlGpus]
) -> None:
    """What else it tells may be a second old: whoever waits until a GPU is free waits for nothing more."""
    driver = opened()
    library.gpus[0].processes = lambda: {7: 1000}
    before = first(driver)
    library.gpus[0].processes = dict
    after = first(driver)

    assert before.sensors is not None
    assert after.sensors is not None
    assert (before.sensors.memory_used_bytes, before.sensors.pids) == (1000, (7,))
    assert (after.processes, after.sensors.memory_used_bytes, after.sensors.pids) == (0, 0, ())


@pytest.mark.parametrize(
    "said, missing, draw_w",
    [
        ({}, frozenset(), 60.0),
        ({"instant_mw": 0, "module_mw": 310_000}, frozenset(), 310.0),
        ({"instant_mw": 0}, frozenset(), 65.0),
        ({}, OLD, 65.0),
        ({"instant_mw": 0, "average_mw": 0}, frozenset(), 400.0),
    ],
    ids=["instant", "module", "no instant", "old driver", "no sensor: all that it may"],
)
def test_the_draw_is_the_newest_that_the_device_has(
    library: FakeLibrary,
    opened: Callable[..., NvmlGpus],
    said: dict[str, int],
    missing: frozenset[str],
    draw_w: float,
) -> None:
    """The instant reading, else that of the module, else the driver's own."""
    library.missing = missing
    for name, value in said.items():
        setattr(library.gpus[0], name, value)

    assert first(opened()).draw_w == draw_w


def test_what_is_enforced_counts_and_not_what_was_asked(
    library: FakeLibrary, opened: Callable[..., NvmlGpus]
) -> None:
    """A limit from outside of the machine holds the device lower, and that is what comes back."""
    library.gpus[0].out_of_band_mw = 250_000
    driver = opened()

    assert driver.set_cap(library.gpus[0].uuid, 300.0) == 250.0
    assert first(driver).cap_w == 250.0
    assert driver.set_cap(library.gpus[0].uuid, 200.0) == 200.0


def test_caps_are_kept_while_nothing_uses_the_device(
    library: FakeLibrary, opened: Callable[..., NvmlGpus]
) -> None:
    """The driver is told to stay loaded; where only root may, the GPUs are read all the same."""
    opened().readings()
    assert [g.persistence for g in library.gpus] == [1, 1, 1]

    library.is_root = False
    library.gpus[0].persistence = 0
    assert not first(opened()).lost
    assert library.gpus[0].persistence == 0


def test_without_permission_a_cap_is_an_error_and_the_device_counts_as_it_is(
    library: FakeLibrary, opened: Callable[..., NvmlGpus]
) -> None:
    """The guard then counts it at what it enforces."""
    library.is_root = False
    driver = opened()

    with pytest.raises(GpuForbidden, match="nvmlDeviceSetPowerManagementLimit"):
        driver.set_cap(library.gpus[0].uuid, 200.0)
    assert first(driver).cap_w == 400.0


def test_a_device_that_nobody_may_cap_is_not_told_to(
    library: FakeLibrary, opened: Callable[..., NvmlGpus]
) -> None:
    """What it enforces is read, and no more is tried."""
    driver = opened(QUICK, PowerLimits(min_w=400.0, max_w=400.0, idle_w=60.0))

    assert driver.set_cap(library.gpus[0].uuid, 200.0) == 400.0
    assert "nvmlDeviceSetPowerManagementLimit" not in library.calls


def test_a_lost_gpu_is_a_value_and_comes_back(
    library: FakeLibrary, opened: Callable[..., NvmlGpus], clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Busy at its last enforced cap, said once; looked for again after a while; the others go on."""
    driver = opened()
    driver.set_cap(library.gpus[0].uuid, 150.0)
    driver.readings()
    library.gpus[0].faults["*"] = pynvml.NVML_ERROR_GPU_IS_LOST

    with caplog.at_level(logging.WARNING, "barq.guard"):
        lost, other, _ = driver.readings()
        driver.readings()
    assert (lost.lost, lost.cap_w, lost.draw_w, lost.processes) == (True, 150.0, 150.0, 1)
    assert not other.lost
    assert len(caplog.messages) == 1
    assert "GPU is lost" in caplog.text
    with pytest.raises(GpuLost):
        driver.set_cap(library.gpus[0].uuid, 300.0)

    library.gpus[0].faults.clear()
    assert first(driver).lost
    clock.now_s += QUICK.return_s
    assert not first(driver).lost
    assert driver.set_cap(library.gpus[0].uuid, 300.0) == 300.0


def test_a_short_silence_is_bridged_by_the_last_reading(
    library: FakeLibrary, opened: Callable[..., NvmlGpus], clock: Clock
) -> None:
    """A single time-out is no loss; one that goes on is."""
    driver = opened()
    before = first(driver)
    library.gpus[0].faults["nvmlDeviceGetEnforcedPowerLimit"] = pynvml.NVML_ERROR_TIMEOUT

    assert first(driver) == before
    clock.now_s += QUICK.stale_s + 0.1
    assert first(driver).lost


def test_a_driver_that_hangs_holds_up_nobody(
    library: FakeLibrary, opened: Callable[..., NvmlGpus], clock: Clock
) -> None:
    """One GPU hangs in the kernel: it stands as it was, then counts as lost; what came late is taken."""
    driver = opened(replace(HASTY, opening_s=30.0))
    driver.readings()
    released = library.gpus[0].hangs = threading.Event()

    def look() -> list[bool]:
        clock.now_s += HASTY.return_s
        return [r.lost for r in driver.readings()]

    try:
        assert not first(driver).lost
        with pytest.raises(GpuSilent):
            driver.set_cap(library.gpus[0].uuid, 100.0)
        assert [r.lost for r in driver.readings()] == [False, False, False]
        wait_for(lambda: look() == [True, False, False], timeout_s=60, what="only one is lost")
    finally:
        library.gpus[0].hangs = None
        released.set()

    wait_for(lambda: look() == [False, False, False], timeout_s=60, what="it is back")


def test_a_raise_that_does_not_come_back_counts(
    library: FakeLibrary, opened: Callable[..., NvmlGpus], clock: Clock
) -> None:
    """It may yet take effect, so the higher cap counts until the device was read again."""
    driver = opened(replace(HASTY, opening_s=30.0, reading_s=30.0))
    library.gpus[0].limit_mw = 150_000
    assert first(driver).cap_w == 150.0
    released = library.gpus[0].hangs = threading.Event()
    try:
        with pytest.raises(GpuSilent):
            driver.set_cap(library.gpus[0].uuid, 350.0)
        assert first(driver).cap_w == 350.0
        clock.now_s += HASTY.stale_s + 0.1
        assert first(driver).cap_w == 350.0
    finally:
        library.gpus[0].hangs = None
        released.set()


def test_without_a_driver_the_gpus_are_lost_and_uncapped(clock: Clock) -> None:
    """A guard that starts on a machine whose driver is gone counts them at the most that they may draw."""
    slot = GpuSlot(gpu_id="GPU-1", model=A100_SXM.name, limits=LIMITS)
    driver = NvmlGpus([slot], patience=QUICK, clock=clock)
    with installed(None):
        reading = first(driver)
    driver.close()

    assert (reading.lost, reading.cap_w, reading.processes) == (True, 400.0, 1)


def test_a_strange_answer_is_no_crash(library: FakeLibrary, opened: Callable[..., NvmlGpus]) -> None:
    """Whatever the library does, the guard goes on."""
    library.gpus[0].processes = lambda: {"nonsense": 1}  # type: ignore[dict-item]

    assert [r.lost for r in opened().readings()] == [True, False, False]

"""What NVML says of the real GPUs of this machine holds together. Nothing is set; without a GPU it is skipped."""

from __future__ import annotations

import pytest

from scheduler.core.orders import GpuSlot
from tests.fake_nvml import installed, replayed
from workers.gpu.nvml import NvmlGpus
from workers.nvml.device import Device
from workers.nvml.errors import GpuForbidden
from workers.nvml.library import Nvml
from workers.nvml.machine import Machine, local_gpus
from workers.nvml.recording import record_gpus


@pytest.fixture(scope="module")
def machine() -> Machine:
    """This machine, if it has GPUs that a node could use."""
    machine = local_gpus()
    if not machine.usable:
        pytest.skip(f"no GPU is of use here: {machine.problem or machine.silent or machine.left_out}")
    return machine


def test_each_gpu_is_found_whole(machine: Machine) -> None:
    """By UUID and name, with limits that contain the one in force, and an idle draw under them."""
    assert not machine.silent
    for gpu in machine.gpus:
        assert gpu.uuid.startswith("GPU-")
        assert gpu.name
        assert 0 < gpu.limits.idle_w <= gpu.limits.min_w <= gpu.limits.max_w
        assert gpu.limits.min_w <= gpu.enforced_w <= max(gpu.limits.max_w, gpu.default_w)


def test_a_guard_reads_them(machine: Machine) -> None:
    """Draw and cap are of this device, and energy, heat, clocks and memory are told where it has them."""
    slots = [GpuSlot(gpu_id=g.uuid, model=g.model, limits=g.limits) for g in machine.usable]
    driver = NvmlGpus(slots)
    readings = driver.readings()
    driver.close()

    assert [r.gpu_id for r in readings] == [s.gpu_id for s in slots]
    for reading, gpu in zip(readings, machine.usable, strict=True):
        assert not reading.lost
        assert 0 < reading.draw_w <= 1.3 * gpu.default_w
        assert reading.cap_w == pytest.approx(gpu.enforced_w, abs=1.0)
        assert reading.sensors is not None
        assert reading.sensors.energy_wh is None or reading.sensors.energy_wh > 0
        assert reading.sensors.temperature_c is None or 0 < reading.sensors.temperature_c < 120


def test_the_counter_of_energy_only_rises(machine: Machine) -> None:
    """It is what energy over time is taken from."""
    nvml = Nvml()
    device = Device.of(nvml, machine.usable[0].uuid)
    counted = [device.sensors({}).energy_wh for _ in range(20)]
    nvml.close()

    known = [wh for wh in counted if wh is not None]
    assert known == sorted(known)


def test_who_may_cap_is_said_as_the_driver_says_it(machine: Machine) -> None:
    """Where the driver forbids it, the GPU counts at what it enforces, and none other is promised."""
    nvml = Nvml()
    for gpu in machine.usable:
        device = Device.of(nvml, gpu.uuid)
        if gpu.cap_problem == "only root may set its power limit":
            with pytest.raises(GpuForbidden):
                device.check_permission()
        if gpu.cap_problem is not None:
            assert gpu.limits.min_w == gpu.limits.max_w == gpu.enforced_w
    nvml.close()


def test_what_is_recorded_of_them_replays(machine: Machine) -> None:
    """A recording of this machine gives a fake one with the same GPUs, and tells nobody which machine it was."""
    recorded = record_gpus()
    assert not any(g.uuid.removeprefix("GPU-") in recorded for g in machine.gpus)
    with installed(replayed(recorded)):
        again = local_gpus()

    assert [(g.name, g.default_w, g.enforced_w, g.draw_source) for g in again.gpus] == [
        (g.name, g.default_w, g.enforced_w, g.draw_source) for g in machine.gpus
    ]

"""The caps that GPUs had before Barq: remembered over restarts, and put back once nobody computes there."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from scheduler.core.orders import GpuReading
from tests.unit.test_devices import FakeGpus, FakeMiners
from workers.devices import Devices
from workers.found_caps import FoundCaps


def capped(gpus: FakeGpus, path: Path) -> Devices:
    """Devices that set a cap of 150 W."""
    devices = Devices(gpus, FakeMiners(), found=FoundCaps(path))
    devices.set_caps({"g0": 150.0}, devices.gpu_readings())
    return devices


class Shared(FakeGpus):
    """Somebody else computes on it."""

    def readings(self) -> tuple[GpuReading, ...]:
        return (GpuReading(gpu_id="g0", draw_w=140.0, cap_w=self.cap_w, processes=2),)


def test_a_later_guard_puts_back_what_the_first_one_found(tmp_path: Path) -> None:
    """What the second finds is Barq's own cap; the file of the first says better, and goes when it is done."""
    gpus, path = FakeGpus(), tmp_path / "found-caps.json"
    gpus.cap_w = 350.0  # an operator's own
    capped(gpus, path)
    capped(gpus, path).put_caps_back()

    assert gpus.cap_w == 350.0
    assert not path.exists()


def test_a_gpu_that_somebody_computes_on_stays_capped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its draw would rise; the log says so, and the next guard still knows."""
    gpus, path = Shared(), tmp_path / "found-caps.json"
    with caplog.at_level(logging.WARNING, logger="barq.guard"):
        capped(gpus, path).put_caps_back()
    assert gpus.cap_w == 150.0
    assert "stays at its cap of 150 W, it had 400 W before: 2 processes compute on it" in caplog.text

    free = FakeGpus()
    free.cap_w = 150.0
    Devices(free, FakeMiners(), found=FoundCaps(path)).put_caps_back()
    assert free.cap_w == 400.0


def test_a_gpu_that_does_not_obey_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The end of a guard is no failure for it."""
    gpus = FakeGpus()
    devices = capped(gpus, tmp_path / "found-caps.json")
    gpus.obeys = False
    with caplog.at_level(logging.WARNING, logger="barq.guard"):
        devices.put_caps_back()
    assert "stays at its cap of 150 W, it had 400 W before: [Errno 5] the bus is down" in caplog.text


def test_a_lost_gpu_is_not_taken_for_capped(tmp_path: Path) -> None:
    """What stands in for its reading is no cap that it was found at."""
    found, gpus = FoundCaps(tmp_path / "found-caps.json"), FakeGpus()
    lost = GpuReading(gpu_id="g0", draw_w=400.0, cap_w=400.0, processes=1, lost=True)
    found.note((lost,))
    back = GpuReading(gpu_id="g0", draw_w=55.0, cap_w=300.0, processes=0)
    found.note((back,))
    found.put_back((back,), gpus.set_cap)
    assert gpus.told == [300.0]


@pytest.mark.parametrize("content", [b"\xff{", b'{"g0": "much"}', b"[]"])
def test_a_damaged_file_is_as_good_as_none(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said, and no guard fails for it."""
    path = tmp_path / "found-caps.json"
    path.write_bytes(content)
    gpus = FakeGpus()
    with caplog.at_level(logging.WARNING, logger="barq.guard"):
        capped(gpus, path).put_caps_back()
    assert gpus.cap_w == 400.0
    assert "which caps the GPUs had is forgotten" in caplog.text


def test_a_file_that_cannot_be_read_is_as_good_as_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A node is worth more than what its GPUs were capped at before."""
    path = tmp_path / "found-caps.json"
    path.mkdir()
    with caplog.at_level(logging.WARNING, logger="barq.guard"):
        FoundCaps(path)
    assert "which caps the GPUs had is forgotten" in caplog.text


def test_a_full_disk_keeps_nobody_from_capping(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Then it is remembered by this guard alone."""
    gpus = FakeGpus()
    with caplog.at_level(logging.WARNING, logger="barq.guard"):
        devices = capped(gpus, tmp_path / "no-folder" / "found-caps.json")
    assert gpus.cap_w == 150.0
    assert "not remembered over a restart" in caplog.text
    devices.put_caps_back()
    assert gpus.cap_w == 400.0

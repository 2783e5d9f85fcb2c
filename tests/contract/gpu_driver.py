"""What every GPU driver must do: a suite to derive from, with a fixture `driver` that makes one."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.children import Children
from tests.waiting import wait_for
from workers.gpu.port import GpuDriver
from workers.processes import ProcessTable, ProcessTree


class GpuDriverContract:
    """Derive, and give a fixture `driver` whose GPUs are free."""

    @pytest.fixture
    def children(self) -> Iterator[Children]:
        """Processes to put on GPUs, all ended with the test."""
        with Children() as children:
            yield children

    def occupy(self, driver: GpuDriver, gpu_id: str, tree: ProcessTree) -> None:
        """Put these processes on a GPU, as their guard and, on a real one, they themselves would."""
        driver.attach([gpu_id], tree)

    def test_each_gpu_is_read(self, driver: GpuDriver) -> None:
        """There is one reading for each slot, of a known model, within the physics of that model."""
        slots = {slot.gpu_id: slot.power for slot in driver.slots()}

        readings = driver.readings()
        assert [reading.gpu_id for reading in readings] == list(slots)
        for reading in readings:
            model = slots[reading.gpu_id]
            assert model.min_cap_w <= reading.cap_w <= model.tdp_w
            assert 0 <= reading.draw_w <= model.tdp_w
            assert reading.processes == 0

    def test_a_cap_is_enforced_and_read_back(self, driver: GpuDriver) -> None:
        """What setting a cap returns is what the next reading shows."""
        slot = driver.slots()[0]
        model = slot.power
        middle_w = (model.min_cap_w + model.tdp_w) / 2

        enforced_w = driver.set_cap(slot.gpu_id, middle_w)
        assert enforced_w == pytest.approx(middle_w, abs=1.0)
        assert driver.readings()[0].cap_w == enforced_w

    def test_a_cap_out_of_range_becomes_the_nearest(self, driver: GpuDriver) -> None:
        """The device takes no less than its minimum and no more than its TDP, and says so."""
        slot = driver.slots()[0]
        model = slot.power

        assert driver.set_cap(slot.gpu_id, 0.0) == pytest.approx(model.min_cap_w, abs=1.0)
        assert driver.set_cap(slot.gpu_id, 1e6) == pytest.approx(model.tdp_w, abs=1.0)

    def test_the_gpus_are_capped_one_by_one(self, driver: GpuDriver) -> None:
        """A cap on one GPU leaves the others alone."""
        before = driver.readings()
        driver.set_cap(before[0].gpu_id, 150.0)

        assert [r.cap_w for r in driver.readings()][1:] == [r.cap_w for r in before][1:]

    def test_an_unknown_gpu_is_an_error(self, driver: GpuDriver) -> None:
        """Nobody caps what is not there."""
        with pytest.raises(KeyError):
            driver.set_cap("no-such-gpu", 200.0)

    def test_processes_are_counted_and_leave(self, driver: GpuDriver, children: Children) -> None:
        """A GPU shows the processes that were given it, until they are gone."""
        tree = ProcessTree(children.parent, ProcessTable())
        self.occupy(driver, driver.slots()[0].gpu_id, tree)

        child = children.start("import time; time.sleep(99)")
        wait_for(lambda: _processes(driver, tree) == 1, timeout_s=60, what="one process")
        assert driver.readings()[0].draw_w >= driver.slots()[0].power.idle_w
        os.kill(child.pid, signal.SIGKILL)
        wait_for(lambda: _processes(driver, tree) == 0, timeout_s=60, what="none is left")


def _processes(driver: GpuDriver, tree: ProcessTree) -> int:
    tree.refresh()
    return driver.readings()[0].processes

"""The simulated GPUs keep the contract of GPU drivers, and their own physics on real processes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from scheduler.core.orders import GpuSlot
from scheduler.core.power import A100_SXM
from tests.children import Children
from tests.contract.gpu_driver import GpuDriverContract
from tests.waiting import wait_for
from workers.gpu.simulated import SimulatedGpus
from workers.processes import ProcessTable, ProcessTree

SLOTS = tuple(GpuSlot(gpu_id=f"g{i}", model=A100_SXM.name) for i in range(3))


class TestSimulatedGpus(GpuDriverContract):
    """Simulated GPUs as drivers."""

    @pytest.fixture
    def driver(self, tmp_path: Path) -> SimulatedGpus:
        """Three free GPUs."""
        return SimulatedGpus(SLOTS, tmp_path / "gpus.json")

    def test_new_devices_are_uncapped_and_old_ones_remember(
        self, driver: SimulatedGpus, tmp_path: Path
    ) -> None:
        """A cap outlives the process that set it; a damaged memory is that of a new device."""
        assert [r.cap_w for r in driver.readings()] == [A100_SXM.tdp_w] * 3
        driver.set_cap("g1", 150.0)

        again = SimulatedGpus(SLOTS, tmp_path / "gpus.json")
        assert [r.cap_w for r in again.readings()] == [400.0, 150.0, 400.0]
        (tmp_path / "gpus.json").write_text("{")
        fresh = SimulatedGpus(SLOTS, tmp_path / "gpus.json")
        assert [r.cap_w for r in fresh.readings()] == [400.0, 400.0, 400.0]

    def test_the_draw_follows_what_the_processes_really_do(
        self, driver: SimulatedGpus, children: Children
    ) -> None:
        """Work draws by the cap's curve, stopped or waiting processes draw the context, none draw idle watts."""
        tree = ProcessTree(children.parent, ProcessTable())
        driver.attach(["g0", "g1"], tree)

        def draws(*expected_w: float) -> bool:
            tree.refresh()
            return [round(r.draw_w) for r in driver.readings()] == list(expected_w)

        driver.set_cap("g0", 200.0)
        driver.set_cap("g1", 400.0)
        worker = children.start("while True: pass")
        wait_for(lambda: draws(197, 382, 55), timeout_s=60, what="both GPUs draw what work draws")
        os.kill(worker.pid, signal.SIGSTOP)
        wait_for(lambda: draws(95, 95, 55), timeout_s=60, what="a frozen tree draws idle and context")
        os.kill(worker.pid, signal.SIGCONT)
        wait_for(lambda: draws(197, 382, 55), timeout_s=60, what="it works again")
        driver.set_cap("g1", 250.0)
        wait_for(lambda: draws(197, 245, 55), timeout_s=60, what="the draw follows the cap")
        os.kill(worker.pid, signal.SIGKILL)
        idler = children.start("import time; time.sleep(99)")
        wait_for(lambda: draws(95, 95, 55), timeout_s=60, what="a waiting process draws idle and context")
        os.kill(idler.pid, signal.SIGKILL)
        wait_for(lambda: draws(55, 55, 55), timeout_s=60, what="a free GPU draws idle watts")

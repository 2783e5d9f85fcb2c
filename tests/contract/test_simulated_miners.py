"""The simulated miners keep the contract of miner drivers, and their own ramps."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contract.miner_driver import MinerDriverContract
from workers.miners.simulated import MinerModel, SimulatedMiners

FAST = tuple(
    MinerModel(miner_id=f"m{i}", nameplate_w=3300.0, idle_w=300.0, fall_w_per_s=9e4, rise_w_per_s=3e4)
    for i in range(2)
)
SLOW = MinerModel(miner_id="m0", nameplate_w=3000.0, fall_w_per_s=1000.0, rise_w_per_s=100.0)


class TestSimulatedMiners(MinerDriverContract):
    """Simulated miners as drivers."""

    @pytest.fixture
    def driver(self, tmp_path: Path) -> SimulatedMiners:
        """Two miners at rest."""
        return SimulatedMiners(FAST, tmp_path / "miners.json")

    def test_nameplates_count_above_rest(self, driver: SimulatedMiners) -> None:
        """What a miner draws at rest belongs to the base of its group."""
        assert driver.max_w() == {"m0": 3000.0, "m1": 3000.0}


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_miner_falls_fast_and_rises_slowly(tmp_path: Path) -> None:
    """The ramps are straight lines, from wherever the miner is when it is told."""
    clock = Clock()
    miners = SimulatedMiners([SLOW], tmp_path / "miners.json", clock=clock)
    miners.set_target("m0", 2000.0)
    clock.now_s += 10.0
    assert miners.now().readings[0].draw_w == 1000.0
    miners.set_target("m0", 500.0)
    clock.now_s += 0.25
    assert miners.now().readings[0].draw_w == 750.0
    clock.now_s += 99.0
    assert miners.now().readings[0].draw_w == 500.0


def test_miners_go_on_while_nobody_watches(tmp_path: Path) -> None:
    """A new driver finds them where their ramps have led by then; after a reboot they begin where they were."""
    clock = Clock()
    SimulatedMiners([SLOW], tmp_path / "miners.json", clock=clock).set_target("m0", 2000.0)
    clock.now_s += 5.0
    again = SimulatedMiners([SLOW], tmp_path / "miners.json", clock=clock)
    assert (again.now().readings[0].target_w, again.now().readings[0].draw_w) == (2000.0, 500.0)

    clock.now_s = 1.0
    rebooted = SimulatedMiners([SLOW], tmp_path / "miners.json", clock=clock)
    assert rebooted.now().readings[0].draw_w == 0.0


def test_a_damaged_memory_is_that_of_miners_at_rest(tmp_path: Path) -> None:
    """A state file that makes no sense does not stop the guard."""
    (tmp_path / "miners.json").write_text("[")

    assert SimulatedMiners([SLOW], tmp_path / "miners.json").now().readings[0].draw_w == 0.0

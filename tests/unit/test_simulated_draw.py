"""How the draw of a simulated GPU moves, on a clock of our own."""

from __future__ import annotations

import math
from pathlib import Path
from typing import cast

import pytest

from scheduler.core.orders import GpuSlot
from scheduler.core.power import A100_SXM
from workers.gpu.simulated import GpuPhysics, SimulatedGpus
from workers.processes import ProcessTree

SLOT = GpuSlot(gpu_id="g0", model=A100_SXM.name)


class FakeTree:
    """A process tree that uses the CPU as told."""

    def __init__(self) -> None:
        self.members = ["somebody"]
        self.is_stopped = False
        self.is_gone = False
        self.spent_s = 0.0
        self.sampled_at_s = 0.0

    def work(self, seconds: float, share: float) -> None:
        """Let time pass, using this share of a core."""
        self.sampled_at_s += seconds
        self.spent_s += seconds * share


class Bench:
    """One GPU, one tree, one clock."""

    def __init__(self, path: Path) -> None:
        self.now_s = 0.0
        self.tree = FakeTree()
        self.gpus = SimulatedGpus(
            [SLOT],
            path,
            physics=GpuPhysics(window_s=0.4, busy_share=0.05, lag_s=0.1),
            clock=lambda: self.now_s,
        )

    def draw_w(self, *, after_s: float) -> float:
        """The draw once some time has passed, looked at on both ends of it."""
        self.gpus.readings()
        self.now_s += after_s
        return self.gpus.readings()[0].draw_w


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A free GPU."""
    return Bench(tmp_path / "gpus.json")


def test_the_draw_follows_a_cap_as_a_first_order_lag(bench: Bench) -> None:
    """One time constant after a cap is lowered, 1/e of the way is left."""
    bench.gpus.attach(["g0"], cast("ProcessTree", bench.tree))
    assert bench.draw_w(after_s=9.0) == pytest.approx(382.0)

    bench.gpus.set_cap("g0", 100.0)
    assert bench.draw_w(after_s=0.1) == pytest.approx(102.0 + 280.0 / math.e)
    assert bench.draw_w(after_s=9.0) == pytest.approx(102.0)


def test_a_tree_counts_as_computing_until_a_window_says_otherwise(bench: Bench) -> None:
    """What is not known yet counts at its most; less than the share over a full window is waiting."""
    bench.gpus.attach(["g0"], cast("ProcessTree", bench.tree))
    assert bench.draw_w(after_s=9.0) == pytest.approx(382.0)

    bench.tree.work(0.3, 0.0)
    assert bench.draw_w(after_s=9.0) == pytest.approx(382.0)  # the window is not full
    bench.tree.work(0.3, 0.0)
    assert bench.draw_w(after_s=9.0) == pytest.approx(95.0)


def test_a_tree_that_nobody_looked_at_has_no_window_yet(bench: Bench) -> None:
    """The first window begins with the first look at the processes, not before."""
    bench.tree.sampled_at_s = float("-inf")
    bench.gpus.attach(["g0"], cast("ProcessTree", bench.tree))
    bench.gpus.readings()
    bench.tree.sampled_at_s = 50.0

    assert bench.draw_w(after_s=9.0) == pytest.approx(382.0)


@pytest.mark.parametrize("share, expected_w", [(0.04, 95.0), (0.06, 382.0), (2.0, 382.0)])
def test_the_share_of_a_core_decides(bench: Bench, share: float, expected_w: float) -> None:
    """Five hundredths of a core are work."""
    bench.gpus.attach(["g0"], cast("ProcessTree", bench.tree))
    bench.gpus.readings()
    bench.tree.work(0.5, share)

    assert bench.draw_w(after_s=9.0) == pytest.approx(expected_w)


def test_a_tree_that_is_gone_lets_go_of_its_gpus(bench: Bench) -> None:
    """When root and members have ended the GPU is free."""
    bench.gpus.attach(["g0"], cast("ProcessTree", bench.tree))
    bench.tree.members, bench.tree.is_gone = [], True

    assert bench.draw_w(after_s=9.0) == pytest.approx(55.0)
    assert bench.gpus.readings()[0].processes == 0

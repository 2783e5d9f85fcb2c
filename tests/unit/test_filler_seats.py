"""Whether a filler has a GPU: what the guard's own thread makes of orders and readings."""

from __future__ import annotations

from dataclasses import replace

from scheduler.core.fillers import Range
from scheduler.core.orders import GpuReading, GpuSlot
from scheduler.core.power import A100_SXM
from workers.fillers.driver import Driver
from workers.fillers.seat import Seat, Stage

SLOT = GpuSlot(gpu_id="g0", model=A100_SXM.name)
RANGE = Range(47, 345)
LOW_W = A100_SXM.min_cap_w
REST = GpuReading(gpu_id="g0", draw_w=A100_SXM.idle_w, cap_w=LOW_W, processes=0)


class Willing(Driver):
    """Does at once what it is told."""

    def __init__(self) -> None:
        self.needs_proof = self.runs = False
        self.why = self.fault = ""

    @property
    def is_ready(self) -> bool:
        return True

    def start(self) -> None:
        self.runs = self.needs_proof = True

    def end(self) -> None:
        self.runs = False


def seated() -> tuple[Seat, Willing]:
    """A GPU at rest that a filler may have."""
    driver = Willing()
    seat = Seat("n1", SLOT, RANGE, driver, stuck_s=10.0)
    seat.look(REST, was_gone=True)
    return seat, driver


def test_a_filler_ends_on_a_gpu_that_does_not_answer() -> None:
    """Nobody can say any more what it draws, nor cap it, and no order reaches one that obeys nobody."""
    seat, driver = seated()
    seat.tell(345.0)
    ran = driver.runs
    seat.look(replace(REST, processes=1, lost=True), was_gone=False)

    assert (ran, driver.runs, seat.stage) == (True, False, Stage.LEAVING)


def test_no_filler_starts_under_a_cap_that_lets_it_draw_more() -> None:
    """The GPU enforces what it was read back to, not what it will be told."""
    seat, driver = seated()
    seat.look(replace(REST, cap_w=400.0), was_gone=True)
    seat.tell(100.0)
    too_early = driver.runs
    seat.look(REST, was_gone=True)
    seat.tell(100.0)

    assert not too_early
    assert driver.runs

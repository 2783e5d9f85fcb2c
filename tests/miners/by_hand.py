"""Time that a test moves on, so that ramps take as many looks as they must and no second of the wall's."""

from __future__ import annotations

from tests.miners.effect import Effect, Order, carry_out
from workers.miners.port import Miner

LOOK_S = 5.0  #: between two looks at a machine


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 100_000.0

    def __call__(self) -> float:
        return self.now_s


async def done(miner: Miner, order: Order, clock: Clock, *, deadline_s: float = 600.0) -> Effect:
    """An order, verified, on the clock of the machine."""

    async def pause(seconds: float) -> None:
        clock.now_s += seconds

    return await carry_out(
        miner, order, nameplate_w=3400.0, deadline_s=deadline_s, poll_s=LOOK_S, pause=pause, clock=clock
    )

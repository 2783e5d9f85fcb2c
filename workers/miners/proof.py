"""What counts as proof that a machine does what it was told: state *and* watts, for either alone may lie."""

from __future__ import annotations

from typing import Final

from workers.miners.port import MachineReading, MinerState

#: A draw that a machine estimates may miss its target by so much, as a part of it.
TOLERANCE: Final = 0.05
#: What a machine may draw asleep: controller and fans, W.
REST_W: Final = 150.0


def is_asleep(seen: MachineReading, *, rest_w: float = REST_W) -> bool:
    """Whether it says that it sleeps, and draws no more than its rest as far as it tells."""
    return seen.state is MinerState.ASLEEP and (seen.draw_w is None or seen.draw_w <= rest_w)

"""What a guard needs of the miners on its LAN. Each firmware is one driver; all pass one contract suite.

All watts are those *above a miner's rest*. What miners draw at rest (controllers, fans) belongs to the `base_w` of
their group, so that a group told to draw nothing may draw exactly its base.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from scheduler.core.orders import MinerReading


class MinerDriver(Protocol):
    """The miners of one group. They go on at their last targets whatever becomes of the guard."""

    def max_w(self) -> Mapping[str, float]:
        """The miners that there are, each with its nameplate."""
        ...

    def readings(self) -> tuple[MinerReading, ...]:
        """Target and draw of each miner now, and when it was last told to run or to sleep, over restarts too.

        One that does not answer counts at its nameplate.
        """
        ...

    def set_target(self, miner_id: str, target_w: float) -> float:
        """Give a miner a target and return what it took, as read back, W.

        What lies outside of its range becomes the nearest that it takes; the draw follows at the miner's own pace.
        Raises KeyError for an unknown miner, OSError if it does not obey.
        """
        ...

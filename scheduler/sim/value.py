"""What an hour of a GPU is worth, by the priority of the job that has it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from scheduler.core.worth import DOUBLES_EVERY, FURTHEST
from scheduler.sim.capacity import Floats


def value_weights(priorities: Iterable[int]) -> Floats:
    """What a full-speed GPU-hour at each priority is worth; 1 at priority 0."""
    near = np.clip(np.array(list(priorities), dtype=np.float64), -FURTHEST, FURTHEST)
    return np.asarray(2.0 ** (near / DOUBLES_EVERY), dtype=np.float64)

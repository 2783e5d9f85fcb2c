"""What an hour of a GPU is worth, by the priority of the job that has it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from scheduler.sim.capacity import Floats

DOUBLES_EVERY: Final = 10
"""Ten more of priority is worth twice as much per GPU-hour: the step between the classes in common use."""
FURTHEST: Final = 100
"""Priorities beyond this, up or down, are worth no more or less: a thousandfold is enough to say "before all"."""


def value_weights(priorities: Iterable[int]) -> Floats:
    """What a full-speed GPU-hour at each priority is worth; 1 at priority 0."""
    near = np.clip(np.array(list(priorities), dtype=np.float64), -FURTHEST, FURTHEST)
    return np.asarray(2.0 ** (near / DOUBLES_EVERY), dtype=np.float64)

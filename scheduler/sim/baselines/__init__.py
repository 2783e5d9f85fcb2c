"""Policies to compare with, each faithful to its source and small; `BASELINES` names them for the command line."""

from __future__ import annotations

from collections.abc import Callable

from scheduler.core.decide import Policy
from scheduler.sim.baselines.fair_caps import DvfsFair
from scheduler.sim.baselines.fcfs_kill import FcfsKill
from scheduler.sim.baselines.marginal import Marginal
from scheduler.sim.baselines.orders import LeastAttained, ShortestFirst
from scheduler.sim.baselines.pausing import GreedyPausing, PauseOnly
from scheduler.sim.baselines.slurm import SlurmDefault

_ALL: tuple[Callable[..., Policy], ...] = (
    FcfsKill,
    SlurmDefault,
    PauseOnly,
    DvfsFair,
    GreedyPausing,
    Marginal,
    ShortestFirst,
    LeastAttained,
)

BASELINES: dict[str, Callable[..., Policy]] = {make().name: make for make in _ALL}
"""By the name under which a person asks for one. Each call makes a new one; it may be told `estimates_s`, by job id."""

"""Whose turn it is among projects: who used little of what is due to them, by GPU-hours and energy, goes first.

Use is forgotten by half-lives, as in Slurm's multifactor priority (`PriorityDecayHalfLife`). There a share factor is
2^(-U/S), with U = a project's part of all use, S = its part of all weights: it falls with U/S, and so do the turns
here, which are U/S in steps. U = e * (its kWh / all kWh) + (1 - e) * (its GPU-hours / all GPU-hours), with the weight
e of energy. Steps are fractions of a doubling, so that near equals keep the order of their submission, and so that
the order does not depend on how many projects there are. All use decays alike: what U/S are does not change while
nobody uses anything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from scheduler.core.projects import OTHERS, FairShare, Project, Usage

STEPS_PER_DOUBLING = 4
FURTHEST = 8 * STEPS_PER_DOUBLING  #: beyond 256 times too much or too little nobody is told apart
NOTHING = Usage()


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What a project used, and what it was due."""

    used: float  #: part of all decayed use, 0 .. 1
    due: float  #: part of all weights, 0 .. 1
    turn: int  #: less is sooner; 0 = used what it was due

    @property
    def factor(self) -> float:
        """Slurm's share factor: 1 = used nothing, 0.5 = used what it was due."""
        return float(2.0 ** (-self.used / self.due))


def shares(
    projects: Mapping[str, Project], used: Mapping[str, Usage], fair_share: FairShare
) -> dict[str, Share]:
    """The share of each project. Nobody is ahead of anybody as long as nobody used anything.

    The others count beside those that are named once they have used something.
    """
    usages = {name: used.get(name, NOTHING) for name in projects}
    gpu_h, kwh = sum(u.gpu_h for u in usages.values()), sum(u.kwh for u in usages.values())
    weights = sum(p.weight for name, p in projects.items() if name != OTHERS or usages[name] != NOTHING)
    e = fair_share.energy_weight
    found = {}
    for name, project in projects.items():
        usage = usages[name]
        part = e * _part(usage.kwh, kwh) + (1.0 - e) * _part(usage.gpu_h, gpu_h)
        due = project.weight / max(weights, project.weight)
        found[name] = Share(used=part, due=due, turn=_turn(part / due) if gpu_h + kwh > 0 else 0)
    return found


def turns(
    projects: Mapping[str, Project], used: Mapping[str, Usage], fair_share: FairShare
) -> dict[str, int]:
    """The turn of each project: less is sooner."""
    return {name: share.turn for name, share in shares(projects, used, fair_share).items()}


def grown(usage: Usage, *, gpus: float, watts: float, seconds: float, half_life_s: float) -> Usage:
    """The usage after so long with so many GPUs and watts all the while: what was decays, and what comes too."""
    mean_life_s = half_life_s / math.log(2.0)
    left = math.exp(-seconds / mean_life_s)
    hours = -math.expm1(-seconds / mean_life_s) * mean_life_s / 3600.0
    return Usage(gpu_h=usage.gpu_h * left + gpus * hours, kwh=usage.kwh * left + watts / 1000.0 * hours)


def _part(some: float, everything: float) -> float:
    return some / everything if everything > 0 else 0.0


def _turn(ratio: float) -> int:
    if ratio <= 0:
        return -FURTHEST
    return max(-FURTHEST, min(FURTHEST, round(STEPS_PER_DOUBLING * math.log2(ratio))))

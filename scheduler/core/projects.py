"""Projects: what the site file promises each of them, and what each has used of the site.

Words as in Kueue: a *nominal* quota is a project's own; what it leaves unused is lent to others within its *lending
limit*, and another borrows of that within its *borrowing limit*.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

OTHERS = "others"
"""What all projects that the site file does not name are counted as: else a new name would be a new share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """One project of the site file."""

    name: str
    weight: float = 1.0  #: its part of the site over time, beside the weights of the others
    nominal_gpus: int | None = None  #: its own; None = it shares what is nobody's with all that have none
    borrowing_limit_gpus: int | None = None  #: above its nominal; None = as many as are lent
    lending_limit_gpus: int | None = None  #: of its nominal, to others; None = all that it does not use


@dataclass(frozen=True, slots=True, kw_only=True)
class FairShare:
    """How use is remembered."""

    half_life_s: float = 7 * 86_400.0  #: after so long a GPU-hour counts half
    energy_weight: float = 0.5  #: of energy beside GPU-hours, 0 .. 1


FAIR_SHARE = FairShare()


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a project has used, decayed."""

    gpu_h: float = 0.0
    kwh: float = 0.0  #: that its GPUs were entitled to


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What all projects have used, as of one instant."""

    at: datetime
    projects: Mapping[str, Usage]


def listed(projects: Iterable[Project]) -> dict[str, Project]:
    """The projects by name, and what the others count as; nothing where none is named."""
    named = {p.name: p for p in projects}
    return {**named, OTHERS: Project(name=OTHERS)} if named else {}

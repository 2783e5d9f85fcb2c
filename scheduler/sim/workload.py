"""What a simulated site is given: jobs, and the power it may draw."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SimJob:
    """One job of a workload, as it will turn out."""

    id: str
    arrives_s: float  #: since the window began
    gpus: int  #: in all
    work_s: float  #: seconds at full speed on all its GPUs
    priority: int = 0
    flex: int = 4
    project: str = "default"
    estimate_s: float | None = None  #: what the user said, if he did
    deadline_s: float | None = None  #: to be done so long after its arrival


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerTrace:
    """The site's limit, piecewise constant: (since the window began in s, W), the first at 0.0."""

    name: str
    steps: tuple[tuple[float, float], ...]

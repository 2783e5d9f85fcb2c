"""What a simulated run leaves behind: all that figures and reports are made of.

Instants are seconds since the window began; watts are at the site meter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from scheduler.core.altered import swift
from scheduler.sim.workload import SimJob


@swift
@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """What held from `starts_s` to the next interval (the last: to the end of the window)."""

    starts_s: float
    limit_w: float
    site_w: float  #: true draw of all
    ai_w: float  #: GPUs that compute, with their share of overhead
    idle_w: float  #: node bases, idle and held GPUs, boots, with overhead, auxiliary
    miners_w: Mapping[str, float]  #: by partner
    waiting_gpus: int  #: GPUs that waiting jobs ask for
    running_gpus: int
    powered_nodes: int
    smallest_waiting_gpus: int = 1  #: GPUs that the smallest of the waiting jobs asks for, where it is known


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOutcome:
    """What became of one job."""

    job: SimJob
    started_s: float | None  #: first process start
    finished_s: float | None
    kept_gpu_s: float  #: useful progress at the end of the window, full-speed GPU-seconds
    lost_gpu_s: float  #: GPU-seconds held while saving or restoring, and rolled back work
    pauses: int
    kills: int  #: of them without a save
    energy_wh: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of a job's life on its GPUs, for the picture of an hour."""

    job_id: str
    starts_s: float
    ends_s: float
    gpus: int
    what: str  #: "run", "save", "restore", ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """One policy on one pair of traces. Raises ValueError if the intervals do not begin at 0 or go back in time.

    Written out it leaves out what it is full of: whoever asks a finished task for its name has its result written out.
    """

    policy: str
    jobs_name: str
    power_name: str
    seed: int
    window_s: float
    reaction_s: float
    intervals: tuple[Interval, ...] = field(repr=False)
    jobs: tuple[JobOutcome, ...] = field(repr=False)
    wall_s: float
    spans: tuple[Span, ...] = field(default=(), repr=False)
    faults: Mapping[str, int] | None = None  #: that came to pass, by kind; None = none were asked for

    def __post_init__(self) -> None:
        starts_s = [interval.starts_s for interval in self.intervals]
        if not starts_s or starts_s[0] != 0.0:
            raise ValueError(f"intervals: the first begins at {starts_s[:1]}; let it begin at 0.0")
        if any(late < early for early, late in zip(starts_s, [*starts_s[1:], self.window_s], strict=True)):
            raise ValueError(
                "intervals: one begins before its predecessor or after the window; put them in order"
            )

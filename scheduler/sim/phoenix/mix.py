"""The jobs of the event and how each answers to a cap, as the sweep measured its workload.

The six jobs that have a published performance add up to all 256 GPUs, each on as many as its workload was swept on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from scheduler.core.power import A100_SXM, CapPoint, GpuModel
from scheduler.errors import SignalError
from scheduler.sim.phoenix.emerald import JobPerformance, SweepPoint


@dataclass(frozen=True, slots=True, kw_only=True)
class CapCurve:
    """A workload's cap curve, and the caps whose measurement was left out because it did not rise."""

    model: GpuModel
    gpus: int
    left_out_w: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MixJob:
    """One job of the event."""

    name: str
    gpus: int
    tier: int
    curve: GpuModel
    speed: float  #: in the event, as published

    def draw_w(self, cap_w: float) -> float:
        """What all its GPUs draw under a cap."""
        return self.gpus * self.curve.busy_w(cap_w)


def cap_curves(points: Iterable[SweepPoint]) -> dict[str, CapCurve]:
    """By workload. Idle and context watts are those of the A100, for the sweep has none. Raises `SignalError`."""
    ordered = sorted(points, key=lambda p: (p.workload, p.cap_w))
    return {name: _curve(name, list(part)) for name, part in groupby(ordered, key=lambda p: p.workload)}


def _curve(workload: str, points: Sequence[SweepPoint]) -> CapCurve:
    if len({p.cap_w for p in points}) < len(points):
        raise SignalError(f"sweep: workload {workload!r} has two rows for one cap; keep one")
    if len({p.gpus for p in points}) > 1:
        counts = sorted({p.gpus for p in points})
        raise SignalError(
            f"sweep: workload {workload!r} ran on {counts} GPUs; sweep it on one number of them"
        )
    kept = _rising(points)
    model = replace(
        A100_SXM,
        name=workload,
        tdp_w=kept[-1].cap_w,
        curve=tuple(CapPoint(cap_w=p.cap_w, speed=p.speed, draw_w=p.draw_w) for p in kept),
    )
    dropped = tuple(p.cap_w for p in points if p not in kept)
    return CapCurve(model=model, gpus=points[0].gpus, left_out_w=dropped)


def _rising(points: Sequence[SweepPoint]) -> list[SweepPoint]:
    """The points that rise in cap, speed and draw: one that is no slower than a higher cap tells of noise, not of caps.

    Read from the top, so that the speed without a cap stays 1.
    """
    kept = [points[-1]]
    for point in reversed(points[:-1]):
        if point.speed < kept[-1].speed and point.draw_w < kept[-1].draw_w:
            kept.append(point)
    return kept[::-1]


def job_mix(jobs: Iterable[JobPerformance], curves: dict[str, CapCurve]) -> tuple[MixJob, ...]:
    """The jobs with their curves. Raises `SignalError` for one whose workload was not swept."""
    return tuple(_mix_job(job, curves) for job in jobs)


def _mix_job(job: JobPerformance, curves: dict[str, CapCurve]) -> MixJob:
    if job.workload not in curves:
        raise SignalError(f"job {job.job!r}: no sweep of {job.workload!r}; there are {', '.join(curves)}")
    curve = curves[job.workload]
    return MixJob(name=job.job, gpus=curve.gpus, tier=job.tier, curve=curve.model, speed=job.speed)


def full_w(mix: Iterable[MixJob]) -> float:
    """All jobs without caps, by the sweep."""
    return sum(job.draw_w(job.curve.tdp_w) for job in mix)


def cap_for_speed_w(curve: GpuModel, speed: float) -> float:
    """The lowest cap at which a workload is as fast, W, linear between the measured points."""
    if speed <= curve.curve[0].speed:
        return curve.min_cap_w
    for low, high in zip(curve.curve, curve.curve[1:], strict=False):
        if speed <= high.speed:
            share = (speed - low.speed) / (high.speed - low.speed)
            return low.cap_w + share * (high.cap_w - low.cap_w)
    return curve.tdp_w

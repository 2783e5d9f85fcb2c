"""A small made-up Phoenix: two workloads, one cut, and files as Emerald writes them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from scheduler.sim.phoenix.emerald import (
    CAISO_POWER,
    PERFORMANCE,
    SRP_POWER,
    SWEEP,
    JobPerformance,
    MinutePower,
    SweepPoint,
)
from scheduler.sim.phoenix.event import PhoenixSite
from scheduler.sim.phoenix.mix import MixJob, cap_curves, job_mix

#: cap, speed and draw of one GPU
TRAIN = ((100.0, 0.2, 100.0), (200.0, 0.6, 200.0), (300.0, 0.85, 300.0), (400.0, 1.0, 380.0))
INFER = ((100.0, 0.3, 100.0), (200.0, 0.8, 200.0), (300.0, 0.95, 290.0), (400.0, 1.0, 340.0))
SITE = PhoenixSite(node_base_w=500.0, nodes=2)


def points(workload: str, curve: tuple[tuple[float, float, float], ...], gpus: int = 8) -> list[SweepPoint]:
    """A sweep of one workload."""
    return [SweepPoint(workload=workload, cap_w=c, speed=s, draw_w=w, gpus=gpus) for c, s, w in curve]


def mix() -> tuple[MixJob, ...]:
    """A flexible training job and a firmer inference job, 8 GPUs each."""
    curves = cap_curves([*points("train", TRAIN), *points("infer", INFER)])
    jobs = (
        JobPerformance(job="train-x", workload="train", speed=0.6, tier=3),
        JobPerformance(job="infer-y", workload="infer", speed=0.95, tier=1),
    )
    return job_mix(jobs, curves)


def day(draws_w: list[float]) -> MinutePower:
    """A day of so many minutes."""
    return MinutePower(name="day", starts_at=datetime(2025, 5, 4, 14, tzinfo=UTC), draws_w=tuple(draws_w))


def write_files(folder: Path) -> Path:
    """All four files, in small."""
    clock = [f"14:{m:02d},{5000 + m}" for m in range(60)]
    (folder / CAISO_POWER).write_text("\n".join(["timestamp,total", *clock]) + "\n")
    zoned = [f"2025-05-04 14:{m:02d}:00-07:00,{6000 + m}" for m in range(60)]
    (folder / SRP_POWER).write_text("\n".join(["timestamp,total", *zoned]) + "\n")
    header = "Workload,GPU power cap,throughput,total GPU power,normalized throughput,power per GPU"
    rows = [f"train,{c},{s},{8 * w},{s},{w}" for c, s, w in TRAIN]
    (folder / SWEEP).write_text("\n".join([header, *rows]) + "\n")
    jobs = ["Model,Performance,Flexibility", "train-x ,0.6,Flex 3", "Weighted Performance,0.6,"]
    (folder / PERFORMANCE).write_text("\n".join(jobs) + "\n")
    return folder

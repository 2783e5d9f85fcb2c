"""Where the computing went that a limit allowed and a run did not do, while work waited. Formulas: docs/metrics.md.

Each part is what the most that could be done falls by when one thing more is taken as it was: what standby draws, the
watts that work drew, the nodes that were on, the GPUs that were at work on them. They add up to the whole. A part may
be below zero: fewer GPUs at higher caps can do more than all of them.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from scheduler.sim.capacity import Capacity
from scheduler.sim.readings import Readings

_S_PER_H: Final = 3600.0
_PARTS: Final = ("standby_gpu_h", "watts_gpu_h", "nodes_gpu_h", "gpus_gpu_h")


def shortfall(readings: Readings, site: Capacity, standby_w: float) -> dict[str, float]:
    """Full-speed GPU-hours that were allowed while jobs waited, and what became of those that were not done.

    `standby_w` is what a node in standby draws.
    """
    waited = readings.waiting_gpus >= np.maximum(readings.smallest_waiting_gpus, 1.0)
    off_w = site.overhead * standby_w * (site.nodes - readings.powered_nodes)
    work_w = readings.site_w - readings.mined_w - off_w
    nodes_w = (work_w - site.auxiliary_w) / site.overhead
    levels = (
        site.capacity_gpus(readings.limit_w),
        site.capacity_gpus(readings.limit_w - off_w),
        site.capacity_gpus(work_w),
        site.powered_gpus(nodes_w, readings.powered_nodes),
        site.working_gpus(readings.ai_w / site.overhead, readings.running_gpus),
    )
    gpu_h = [readings.total(np.where(waited, level, 0.0)) / _S_PER_H for level in levels]
    parts = {name: gpu_h[i] - gpu_h[i + 1] for i, name in enumerate(_PARTS)}
    return {"allowed_gpu_h": gpu_h[0], **parts, "done_gpu_h": gpu_h[-1]}
